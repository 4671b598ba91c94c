"""The taut string: the shortest path through a tube, whose pieces every convex cost of slopes agrees on.

Between a lower and an upper curve with common ends, the path that is straight wherever it touches neither bends upward
at the upper curve and downward at the lower one. With an upper curve out of reach and a concave lower one it is the
least concave majorant in other coordinates (theory notes, section 2.1 a).
"""

import jax
import jax.numpy as jnp
from jax import lax

State = tuple[jax.Array, jax.Array, jax.Array, jax.Array]


def string_knots(x: jax.Array, lower: jax.Array, upper: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Which points the shortest path through a tube touches, and where it touches the upper curve.

    A funnel is opened from one knot after the other until the constraints cross; the path bends where the funnel
    closed. At most K openings of K comparisons.

    Args:
      x: [K + 1], increasing.
      lower, upper: [K + 1], lower <= upper, equal at both ends.

    Returns:
      knot: bool [K + 1], the ends among them; above: bool [K + 1], whether the path is at the upper curve there.

    Source: Davies and Kovac 2001 (the string of a sample); theory notes, section 2.1.
    """
    size = x.shape[0]
    place = jnp.arange(size)

    def advance(state: State) -> State:
        here, height, knot, above = state
        run = jnp.where(place > here, x - x[here], 1)
        run = jnp.where(run > 0, run, jnp.finfo(x.dtype).tiny)
        floor = jnp.where(place > here, (lower - height) / run, -jnp.inf)
        ceiling = jnp.where(place > here, (upper - height) / run, jnp.inf)
        highest, lowest = lax.cummax(floor), lax.cummin(ceiling)
        crossed = (highest > lowest).at[-1].set(True)
        first = jnp.argmax(crossed)
        through = (first == size - 1) & (highest[-1] <= lowest[-1])  # the end is common: an open funnel leads to it
        bends_up = floor[first] > lowest[jnp.maximum(first - 1, 0)]
        before = lambda values, otherwise: jnp.where(place < first, values, otherwise)
        bend = jnp.where(bends_up, jnp.argmin(before(ceiling, jnp.inf)), jnp.argmax(before(floor, -jnp.inf)))
        following = jnp.maximum(jnp.where(through, size - 1, bend), here + 1)  # rounding must not stop it
        touches = bends_up & ~through
        height = jnp.where(touches, upper[following], lower[following])
        return following, height, knot.at[following].set(True), above.at[following].set(touches)

    none = jnp.zeros(size, bool)
    start = (jnp.zeros((), place.dtype), lower[0], none.at[0].set(True), none)
    _, _, knot, above = lax.while_loop(lambda state: state[0] < size - 1, advance, start)
    return knot, above
