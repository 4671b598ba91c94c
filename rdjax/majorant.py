"""The least concave majorant of a curve, in parallel: what pool-adjacent-violators computes, without its loop.

One fact carries it: a point on or below a chord between two other points of the curve is not a vertex of its least
concave majorant, whatever else is dropped at the same time. A round drops every point below the chord of its neighbors.
What is left between the gaps are concave chains, and each gap is bridged by the common tangent of its two chains, found
by binary search; all points under a bridge are dropped too. When nothing is dropped any more, the slopes decrease, so
what is left is the majorant. Rounds grow like the logarithm of the number of chains: a handful settle a million points,
where the sequential stack takes a million steps.
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

BRIDGES = 4096  # gaps bridged in one round; further gaps wait for the next
SWINGS = 3  # times a bridge swings about each of its ends; one that has not settled is finished in the next round


class Curve(NamedTuple):
    """Surviving points, packed to the front: x [K], y [K]; the last survivor fills the rest."""

    x: jax.Array
    y: jax.Array


def majorant_vertices(x: jax.Array, y: jax.Array, candidate: jax.Array) -> jax.Array:
    """Which points are vertices of the least concave majorant of the points (x_k, y_k).

    Args:
      x: [K], non-decreasing; y: [K].
      candidate: [K], bool; points known not to be vertices are False. The two ends are vertices always.

    Returns:
      bool [K]. Points in the middle of a straight piece are not vertices.
    """
    size = x.shape[0]
    if size <= 2:
        return jnp.ones(size, bool)
    first = candidate.at[0].set(True).at[-1].set(True)

    def prune(state):
        place, count, _ = state
        curve = Curve(x[place], y[place])
        violates = _below_neighbors(curve, count)
        keep = ~(violates | _under_bridges(curve, violates, count)) & (jnp.arange(size) < count)
        return _compact(place, keep), jnp.sum(keep, dtype=count.dtype), count

    count = jnp.sum(first, dtype=jnp.int32)
    start = (_compact(jnp.arange(size, dtype=jnp.int32), first), count, count + 1)
    place, *_ = lax.while_loop(lambda state: state[1] < state[2], prune, start)
    return jnp.zeros(size, bool).at[place].set(True)


def _compact(values: jax.Array, keep: jax.Array) -> jax.Array:
    """The kept values first, in order; the last index fills the rest."""
    size = values.shape[0]
    target = jnp.where(keep, jnp.cumsum(keep, dtype=jnp.int32) - 1, size)
    return jnp.full(size, size - 1, values.dtype).at[target].set(values, mode="drop")


def _slope(curve: Curve, i: jax.Array, j: jax.Array) -> jax.Array:
    """Slope of the chord from point i to point j > i; a vertical chord is infinitely steep."""
    run, rise = curve.x[j] - curve.x[i], curve.y[j] - curve.y[i]
    return jnp.where(run > 0, rise / jnp.where(run > 0, run, 1), jnp.where(rise > 0, jnp.inf, -jnp.inf))


def _below_neighbors(curve: Curve, count: jax.Array) -> jax.Array:
    """Whether a point lies on or below the chord of its neighbors; never at the ends."""
    run, rise = jnp.diff(curve.x), jnp.diff(curve.y)
    slope = jnp.where(run > 0, rise / jnp.where(run > 0, run, 1), jnp.where(rise > 0, jnp.inf, -jnp.inf))
    inside = jnp.arange(1, curve.x.shape[0] - 1) < count - 1
    return jnp.pad((slope[:-1] <= slope[1:]) & inside, 1)


def _under_bridges(curve: Curve, violates: jax.Array, count: jax.Array) -> jax.Array:
    """Points strictly between the feet of the bridges over the first gaps."""
    size = curve.x.shape[0]
    gaps = min(BRIDGES, size // 2)
    begins = violates & ~jnp.pad(violates[:-1], (1, 0))
    ends = violates & ~jnp.pad(violates[1:], (0, 1))
    wanted = jnp.arange(1, gaps + 1)
    begin = jnp.searchsorted(jnp.cumsum(begins, dtype=jnp.int32), wanted)  # size where there are fewer gaps
    end = jnp.searchsorted(jnp.cumsum(ends, dtype=jnp.int32), wanted)
    real, last = begin < size, count - 1
    left_end, right_start = jnp.where(real, begin - 1, last), jnp.where(real, end + 1, last)
    left_start = jnp.concatenate([jnp.zeros_like(end[:1]), right_start[:-1]])
    right_end = jnp.concatenate([left_end[1:], jnp.broadcast_to(last, (1,)).astype(left_end.dtype)])
    # beyond the last bridged gap there may be others: its right chain ends before the next one begins
    total = jnp.sum(begins, dtype=jnp.int32)
    unbridged = jnp.searchsorted(jnp.cumsum(begins, dtype=jnp.int32), jnp.asarray(gaps + 1)) - 1
    right_end = right_end.at[-1].set(jnp.where(total > gaps, unbridged, right_end[-1]))
    left, right = _common_tangent(curve, left_start, left_end, right_start, right_end)
    step = jnp.zeros(size + 1, jnp.int32)
    step = (
        step.at[jnp.where(real, left + 1, size)]
        .add(1, mode="drop")
        .at[jnp.where(real, right, size)]
        .add(-1, mode="drop")
    )
    return jnp.cumsum(step, dtype=jnp.int32)[:-1] > 0


def _common_tangent(
    curve: Curve, left_start: jax.Array, left_end: jax.Array, right_start: jax.Array, right_end: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Feet of the tangent of two concave chains, for many pairs at once.

    From one foot the other is where the chord is extreme. Each swing lifts the bridge, so a bridge that has not
    settled yet still passes above every point between its feet.
    """
    steps = math.ceil(math.log2(curve.x.shape[0])) + 1

    def swing_right(left, _):
        def halve(_, span):
            low, high = span
            middle = (low + high) // 2
            rising = _slope(curve, middle, middle + 1) > _slope(curve, left, middle)
            rising = rising & (low < high)
            return jnp.where(rising, middle + 1, low), jnp.where(rising, high, middle)

        return lax.fori_loop(0, steps, halve, (right_start, right_end))[0]

    def swing_left(right):
        def halve(_, span):
            low, high = span
            middle = (low + high + 1) // 2
            falling = _slope(curve, middle - 1, middle) < _slope(curve, middle, right)
            falling = falling & (low < high)
            return jnp.where(falling, low, middle), jnp.where(falling, middle - 1, high)

        return lax.fori_loop(0, steps, halve, (left_start, left_end))[0]

    def both(_, feet):
        right = swing_right(feet[0], feet[1])
        return swing_left(right), right

    return lax.fori_loop(0, SWINGS, both, (left_end, right_start))
