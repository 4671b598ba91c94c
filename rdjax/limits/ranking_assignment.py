"""The best ranking for a separable score, for each document on top, bounded from above by prices.

Given the document j on top, a sum of bounded kernels is an assignment of the others to ranks with costs C_j[y, k], the
ranks lumped on knots. Any prices P of the knots bound it (linear programming duality):

    max over assignments <= sum_k capacity_k P_k + sum_{y != j} max_k (C_j[y, k] - P_k).
"""

import jax
import jax.numpy as jnp
from jax import lax

from rdjax.limits.kernel_majorant import Majorant
from rdjax.limits.rank_knots import Knots

HIGHEST = lax.Precision.HIGHEST


@jax.jit
def add_costs(
    table: jax.Array,
    posteriors: jax.Array,
    majorant: Majorant,
    dual: jax.Array,
    worth: jax.Array,
    slope: float,
    knots: Knots,
    first: int,
) -> jax.Array:
    """Adds to C_j[y, k], j = first .. first + width - 1, [N, width, K], what a block of queries costs.

    `dual` [X] is p_x / v_x with v in units of exp(s shift_x).
    """
    rows, width = jnp.arange(posteriors.shape[0])[:, None], table.shape[1]
    place = majorant.near - first
    place = jnp.where((place >= 0) & (place < width), place, width)  # out of bounds: dropped
    some = lax.dynamic_slice_in_dim(posteriors, first, width, axis=1)
    far = dual[:, None] * jnp.exp(slope * worth[0] * (some - majorant.level[:, None]))
    far = far.at[rows, place].set(0, mode="drop")
    chords = dual[:, None] * majorant.chord
    linear = (far * majorant.chord[:, -1:]).at[rows, place].set(chords[:, :-1], mode="drop")
    linear = jnp.matmul(linear.T, posteriors, precision=HIGHEST)
    table = table.at[majorant.near[:, 0]].add(far[:, :, None] * majorant.phi[:, -1][:, None, :])
    table = table.at[majorant.key, place].add(dual[:, None, None] * majorant.phi[:, :-1], mode="drop")
    return table + linear.T[:, :, None] * knots.worth[None, None, :]


@jax.jit
def assignments(table: jax.Array, knots: Knots, first: int) -> tuple[jax.Array, jax.Array]:
    """Bounds from above [width] of the best assignments of costs C_j[y, k], [N, width, K], and good ones.

    Document j itself is left out of the bound, and first in the rankings [width, N].
    """
    cost = jnp.moveaxis(table, 0, 2)
    width, count, documents = cost.shape
    own = first + jnp.arange(width)[:, None] == jnp.arange(documents)[None, :]
    prices = _prices(cost.astype(jnp.float32), own, knots).astype(cost.dtype)
    surplus = cost - prices[:, :, None]
    bounds = prices @ knots.capacity + jnp.sum(jnp.where(own, 0, jnp.max(surplus, axis=1)), axis=1)
    knot = jnp.where(own, -1, jnp.argmax(surplus, axis=1)).astype(jnp.int32)
    at = jnp.minimum(jnp.maximum(knot, 0), max(count - 2, 0))[:, None, :]
    drop = jnp.take_along_axis(cost, at, axis=1) - jnp.take_along_axis(cost, jnp.minimum(at + 1, count - 1), axis=1)
    names = jnp.broadcast_to(jnp.arange(documents, dtype=jnp.int32)[None, :], knot.shape)
    return bounds, lax.sort((knot, -drop[:, 0].astype(jnp.float32), names), num_keys=2)[2]


def _prices(cost: jax.Array, own: jax.Array, knots: Knots) -> jax.Array:
    """Prices [width, K] that nearly clear the market: from sorts of what a knot is worth more than the next, then each
    knot's set to what clears it given the others'. float32 will do: any prices make a bound."""
    count = cost.shape[1]
    hide = lambda x: jnp.where(own[:, None, :], -jnp.inf, x)
    steps = _clearing(hide(cost[:, :-1] - cost[:, 1:]), knots.above)
    prices = jnp.pad(jnp.flip(jnp.cumsum(jnp.flip(steps, 1), axis=1), 1), ((0, 0), (0, 1)))

    def adjust(k: jax.Array, prices: jax.Array) -> jax.Array:
        other = jnp.arange(count) != k
        others = jnp.max(jnp.where(other[None, :, None], cost - prices[:, :, None], -jnp.inf), axis=1)
        return prices.at[:, k].set(
            _clearing(hide((cost[:, k] - others)[:, None, :]), knots.within[:, k][:, None])[:, 0]
        )

    return lax.fori_loop(0, count, adjust, prices) if count > 1 else prices


def _clearing(values: jax.Array, places: jax.Array) -> jax.Array:
    """Midway between two places [2, K] of the falling sort of float32 values [width, K, N]."""
    bits = lax.bitcast_convert_type(values, jnp.int32)
    flip = lambda b: b ^ ((b >> 31) & 0x7FFFFFFF)  # signed floats order like these integers
    rising = jnp.sort(flip(bits), axis=-1)
    falling = lax.bitcast_convert_type(flip(jnp.flip(rising, axis=-1)), jnp.float32)
    pick = lambda p: jnp.take_along_axis(falling, p[None, :, None], axis=2)[:, :, 0]
    return (pick(places[0]) + pick(places[1])) / 2
