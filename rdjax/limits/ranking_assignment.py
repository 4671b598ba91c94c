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
ROWS = 64  # queries whose costs are added at a time
AT_A_TIME = 2**17  # costs of documents on top that are assigned together: they stay near a core
LEAST = -(2**31)  # int32
INDEX = 26  # bits of a document's number, in an int64 beside a float32 and a knot's number


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
    # XLA would fold the transpose into the product, which then takes twice as long on a CPU
    linear = jnp.matmul(lax.optimization_barrier(linear.T), posteriors, precision=HIGHEST)
    table = _add_outer(table, majorant.near[:, 0], far, majorant.phi[:, -1])
    table = table.at[majorant.key, place].add(dual[:, None, None] * majorant.phi[:, :-1], mode="drop")
    return table + linear.T[:, :, None] * knots.worth[None, None, :]


def _add_outer(table: jax.Array, at: jax.Array, far: jax.Array, phi: jax.Array) -> jax.Array:
    """Adds far_x phi_x^T to table[at_x] for every x, some at a time, so that products [rows, width, K] are small."""
    missing = -len(at) % ROWS
    grouped = lambda x: jnp.pad(x, [(0, missing)] + [(0, 0)] * (x.ndim - 1)).reshape(-1, ROWS, *x.shape[1:])

    def step(table: jax.Array, group: tuple[jax.Array, ...]) -> tuple[jax.Array, None]:
        at, far, phi = group
        return table.at[at].add(far[:, :, None] * phi[:, None, :]), None

    return lax.scan(step, table, (grouped(at), grouped(far), grouped(phi)))[0]


@jax.jit
def assignments(table: jax.Array, knots: Knots, first: int) -> tuple[jax.Array, jax.Array]:
    """Bounds from above [width] of the best assignments of costs C_j[y, k], [N, width, K], and good ones.

    Document j itself is left out of the bound, and first in the rankings [width, N].
    """
    documents, width, count = table.shape
    tops = max(1, min(AT_A_TIME // (count * documents), width))
    cost = jnp.pad(jnp.moveaxis(table, 0, 2), ((0, -width % tops), (0, 0), (0, 0))).reshape(-1, tops, count, documents)
    numbers = (first + jnp.arange(cost.shape[0] * tops)).reshape(-1, tops)
    each = jax.vmap(lambda cost, top: _assignment(cost, jnp.arange(documents) == top, knots))
    bounds, orders = lax.map(lambda some: each(*some), (cost, numbers))
    return bounds.ravel()[:width], orders.reshape(-1, documents)[:width]


def _assignment(cost: jax.Array, own: jax.Array, knots: Knots) -> tuple[jax.Array, jax.Array]:
    """For costs [K, N] of one document on top, the only `own` [N]: the bound, and the ranking [N]."""
    count = len(cost)
    prices = _prices(cost.astype(jnp.float32), own, knots).astype(cost.dtype)
    surplus = cost - prices[:, None]
    bound = jnp.matmul(prices, knots.capacity, precision=HIGHEST) + jnp.sum(jnp.where(own, 0, jnp.max(surplus, axis=0)))
    knot = jnp.where(own, -1, jnp.argmax(surplus, axis=0)).astype(jnp.int32)
    at = jnp.minimum(jnp.maximum(knot, 0), max(count - 2, 0))[None, :]
    drop = jnp.take_along_axis(cost, at, axis=0) - jnp.take_along_axis(cost, jnp.minimum(at + 1, count - 1), axis=0)
    return bound, _sorted_by(knot, -drop[0])


def _sorted_by(knot: jax.Array, value: jax.Array) -> jax.Array:
    """Indices [N], int32, by rising knot, in each by rising float32 value; of equals the first comes first.

    All is put into one integer, which sorts seven times faster than three.
    """
    rising = _ordered(value.astype(jnp.float32)).astype(jnp.int64) - LEAST
    joined = ((knot.astype(jnp.int64) + 1) << (32 + INDEX)) | (rising << INDEX) | jnp.arange(len(knot))
    return (jnp.sort(joined) & (2**INDEX - 1)).astype(jnp.int32)


def _ordered(values: jax.Array) -> jax.Array:
    """int32 in the order of float32 values: their bits, those of negative ones turned around."""
    return _flipped(lax.bitcast_convert_type(values, jnp.int32))


def _flipped(bits: jax.Array) -> jax.Array:
    return bits ^ ((bits >> 31) & 0x7FFFFFFF)


def _prices(cost: jax.Array, own: jax.Array, knots: Knots) -> jax.Array:
    """Prices [K] that nearly clear the market: from what each knot is worth more than the next, then each knot's set to
    what clears it given the others'. float32 will do: any prices make a bound."""
    if len(cost) == 1:
        return jnp.zeros(1, cost.dtype)
    hide = lambda values: jnp.where(own, -jnp.inf, values)
    steps = _clearing(hide(cost[:-1] - cost[1:]), knots.above)
    prices = jnp.pad(jnp.flip(jnp.cumsum(jnp.flip(steps))), (0, 1))
    least = jnp.full_like(cost[:1], -jnp.inf)
    after = jnp.concatenate([lax.cummax(cost - prices[:, None], reverse=True)[1:], least])

    def adjust(before: jax.Array, knot: tuple[jax.Array, ...]) -> tuple[jax.Array, jax.Array]:
        worth, after, places = knot
        price = _clearing(hide(worth - jnp.maximum(before, after))[None], places[:, None])[0]
        return jnp.maximum(before, worth - price), price

    return lax.scan(adjust, least[0], (cost, after, knots.within.T))[1]


def _clearing(values: jax.Array, places: jax.Array) -> jax.Array:
    """Midway between two neighboring places [2, K] of the falling sort of float32 values [K, N], counted from 0.

    The value at a place is the largest that so many are not below. It is found bit by bit, which takes a third of the
    time of a sort.
    """
    keys = _ordered(values)
    above = lambda level: jnp.sum(keys >= level[:, None], axis=1, dtype=jnp.int32)

    def step(turn: jax.Array, level: jax.Array) -> jax.Array:
        higher = level + (jnp.int32(1) << (31 - turn.astype(jnp.int32)))  # the first turn wraps around, to 0
        return jnp.where(above(higher) > places[0], higher, level)

    first = lax.fori_loop(0, 32, step, jnp.full(len(values), LEAST, jnp.int32))
    below = jnp.max(jnp.where(keys < first[:, None], keys, LEAST), axis=1)
    second = jnp.where(above(first) > places[1], first, below)
    high, low = lax.bitcast_convert_type(_flipped(jnp.stack([first, second])), jnp.float32)
    return (high + low) / 2
