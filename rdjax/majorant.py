"""The least concave majorant of a curve, in parallel: what pool-adjacent-violators computes, without its loop.

One fact carries it: a point on or below a chord between two other points of the curve is not a vertex of its least
concave majorant, whatever else is dropped at the same time. A round drops every point below the chord of its neighbors.
What is left between the gaps are concave chains, and each gap is bridged by the common tangent of its two chains, found
by binary search; all points under a bridge are dropped too. When nothing is dropped any more, the slopes decrease, so
what is left is the majorant. Rounds grow like the logarithm of the number of chains: a handful settle a million points,
where the sequential stack takes a million steps.
"""

import jax
import jax.numpy as jnp
from jax import lax

BRIDGES = 4096  # gaps bridged in one round; further gaps wait for the next
SWINGS = 3  # times a bridge swings about each of its ends; one that has not settled is finished in the next round


def majorant_vertices(x: jax.Array, y: jax.Array, candidate: jax.Array) -> jax.Array:
    """Which points are vertices of the least concave majorant of the points (x_k, y_k).

    Args:
      x: [K], non-decreasing.
      y: [K]; or [2, K], whose sum it is: what a number of twice the precision rounds to, and what is left.
      candidate: [K], bool; points known not to be vertices are False. The two ends are vertices always.

    Returns:
      int32 [K], the vertices in order; the last point fills the rest. Points in the middle of a straight piece are not
      vertices.
    """
    size = x.shape[0]
    every = jnp.arange(size, dtype=jnp.int32)
    if size <= 2:
        return every

    def prune(state):
        place, kept, _ = state
        place, count = _compact(place, kept)
        curve = jnp.vstack([x, y])[:, place]
        violates = _below_neighbors(curve, count)
        kept = ~(violates | _under_bridges(curve, violates, count)) & (every < count)
        return place, kept, jnp.sum(kept, dtype=count.dtype) < count

    start = every, candidate | (every == 0) | (every == size - 1), jnp.asarray(True)
    start = jax.tree.map(lambda value: jnp.where(x[-1] > 0, value, value), start)  # one batch with x from the beginning
    return lax.while_loop(lambda state: state[2], prune, start)[0]


def pieces(vertices: jax.Array) -> jax.Array:
    """Which straight piece each of the K - 1 steps from point to point belongs to, int32, 0 to the first."""
    begins = jnp.zeros(vertices.shape[0], jnp.int32).at[vertices].set(1)
    return jnp.cumsum(begins[:-1], dtype=jnp.int32) - 1


def _compact(values: jax.Array, keep: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The kept values first, in order, and how many they are; the last index fills the rest."""
    size, rank = values.shape[0], jnp.cumsum(keep, dtype=jnp.int32)
    packed = jnp.full(size, size - 1, values.dtype).at[jnp.where(keep, rank - 1, size)].set(values, mode="drop")
    return packed, rank[-1]


def _slope(run: jax.Array, *rises: jax.Array) -> jax.Array:
    """Slope of a chord that leads to the right; a vertical one is infinitely steep."""
    rise = sum(rises[1:], rises[0])
    return jnp.where(run > 0, rise / jnp.where(run > 0, run, 1), jnp.where(rise > 0, jnp.inf, -jnp.inf))


def _below_neighbors(curve: jax.Array, count: jax.Array) -> jax.Array:
    """Whether a point lies on or below the chord of its neighbors; never at the ends."""
    slope = _slope(*jnp.diff(curve))
    inside = jnp.arange(1, curve.shape[1] - 1) < count - 1
    return jnp.pad((slope[:-1] <= slope[1:]) & inside, 1)


def _under_bridges(curve: jax.Array, violates: jax.Array, count: jax.Array) -> jax.Array:
    """Points of the chains strictly between the feet of the bridges over the first gaps."""
    size = curve.shape[1]
    gaps = min(BRIDGES, size // 2)
    turns = jnp.cumsum(violates ^ jnp.pad(violates[:-1], (1, 0)), dtype=jnp.int32)  # odd within a gap
    turn = jnp.searchsorted(turns, jnp.arange(1, 2 * gaps + 2, dtype=jnp.int32))  # size where there are fewer
    real, last = turn[:-1:2] < size, count - 1
    starts = jnp.pad(jnp.where(real, turn[1::2], last), (1, 0))  # of each chain, and where it ends
    ends = jnp.where(turn[::2] < size, turn[::2] - 1, last)
    left, right = _common_tangent(curve, starts, ends)
    begin, end = (
        jnp.pad(jnp.where(real, right, 0), (1, 0)),
        jnp.pad(jnp.where(real, left, size), (0, 1), constant_values=size),
    )
    chain, place = jnp.minimum(turns >> 1, gaps), jnp.arange(size)
    return (place < begin[chain]) | (place > end[chain])


def _common_tangent(curve: jax.Array, starts: jax.Array, ends: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Feet of the tangent of each of the concave chains and the next.

    From one foot the other is where the chord is extreme. Each swing lifts the bridge, so a bridge that has not
    settled yet still passes above every point between its feet. Mirrored, a swing of the left foot is one of the right.
    """

    def swing(state):
        feet, number, still = state
        side = 1 - 2 * (number & 1)
        fixed = curve[:, jnp.where(side > 0, feet[0], feet[1])]

        def halve(span):
            low, high = span
            middle = (low + high) >> 1
            here, there = curve[:, side * middle], curve[:, side * jnp.minimum(middle + 1, high)]
            ahead, behind = (_slope(side * run, *rises) for run, *rises in (there - here, here - fixed))
            rising = (ahead > behind) & (low < high)
            return jnp.where(rising, middle + 1, low), jnp.where(rising, high, middle)

        span = jnp.where(side > 0, starts[1:], -ends[:-1]), jnp.where(side > 0, ends[1:], -starts[:-1])
        foot = side * lax.while_loop(lambda span: jnp.any(span[0] < span[1]), halve, span)[0]
        found = jnp.where(side > 0, feet[0], foot), jnp.where(side > 0, foot, feet[1])
        moved = jnp.any((found[0] != feet[0]) | (found[1] != feet[1]))
        return found, number + 1, jnp.where(moved, 0, still + 1)

    begin = (ends[:-1], starts[1:]), jnp.asarray(0), jnp.asarray(0)
    return lax.while_loop(lambda state: (state[1] < 2 * SWINGS) & (state[2] < 2), swing, begin)[0]
