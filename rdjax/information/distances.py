"""Distances of a block of rows to all rows, and what nearest-neighbor estimators read off them.

A space is an array [n, d]; a point of the joint space is near when it is near in every one of its spaces, so a joint
distance is the largest of theirs. Blocks keep memory to what is asked for, whatever n is. Inside a block, "separation"
is the distance itself under the maximum norm, and its square under the Euclidean one: comparisons are the same.
"""

from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from rdjax.information.rows import power_of_two

HIGHEST = lax.Precision.HIGHEST
WRITTEN_OUT = 32  # columns up to which differences are one fused expression; beyond, compiling it would take too long
DIRECT = 16  # columns up to which Euclidean distances are sums of squared differences; beyond, a matrix product


class Balls(NamedTuple):
    """What is counted around each row; arrays of JAX, or of NumPy from `tree`.

    Args:
      radius: separation from the k-th neighbor [n].
      tied: whether more than k rows are within it, or it is 0 [n].
      within: rows within it, itself left out [n].
      counts: for each counted space, rows nearer than it; where tied, rows within it; itself among them, [n] each.
    """

    radius: Any
    tied: Any
    within: Any
    counts: tuple[Any, ...]


class Space(NamedTuple):
    """An array [n, d], laid out for blocks: its rows, and a function from some of them to separations [rows, n]."""

    rows: jax.Array
    separations: Callable[[jax.Array], jax.Array]


def row_memory(spaces: Sequence[jax.Array], norm: str) -> int:
    """Bytes of the distances from one row: in each space, the joint one, a temporary, and two more for a product."""
    products = sum(norm == "euclidean" and points.shape[1] > DIRECT for points in spaces)
    return len(spaces[0]) * spaces[0].dtype.itemsize * (len(spaces) + 2 * products + 2)


def laid_out(spaces: Sequence[jax.Array], norm: str) -> list[Space]:
    """Lay out arrays [n, d] under "max" or "euclidean", the latter in another unit, the same one for all."""
    if norm == "max":
        return [Space(points, _largest_difference(points)) for points in spaces]
    return [_euclidean(points) for points in _lifted(spaces)]


def _euclidean(points: jax.Array) -> Space:
    if points.shape[1] <= DIRECT:
        return Space(points, _squared_difference(points))
    centered = points - jnp.mean(points, axis=0)[None, :]  # products of large numbers would cancel
    return Space(centered, _squared_by_product(centered))


def _lifted(spaces: Sequence[jax.Array]) -> list[jax.Array]:
    """All times one power of two, so that the largest squared differences are near 2^80 in float32, 2^640 in float64.

    Nothing is rounded, sums of a million such squares do not overflow, and the least squares are as far from 0 as that
    allows.
    """
    ranges = [jnp.max(points, axis=0) / 2 - jnp.min(points, axis=0) / 2 for points in spaces]
    reach = reduce(jnp.maximum, [jnp.max(one) for one in ranges])
    most = 2.0 ** (jnp.finfo(reach.dtype).maxexp * 5 // 16 - 1)
    lift = jnp.where(reach > 0, most, 1.0).astype(reach.dtype)
    return [points / power_of_two(reach) * lift for points in spaces]


def _largest_difference(points: jax.Array) -> Callable[[jax.Array], jax.Array]:
    if points.shape[1] > WRITTEN_OUT:
        return lambda rows: jnp.max(jnp.abs(rows[:, None, :] - points[None, :, :]), axis=2)
    columns = lax.optimization_barrier(points.T)  # or it is transposed anew in every block
    return lambda rows: reduce(jnp.maximum, [jnp.abs(gap) for gap in _gaps(rows, columns)])


def _squared_difference(points: jax.Array) -> Callable[[jax.Array], jax.Array]:
    columns = lax.optimization_barrier(points.T)
    return lambda rows: reduce(jnp.add, [gap * gap for gap in _gaps(rows, columns)])


def _gaps(rows: jax.Array, columns: jax.Array) -> list[jax.Array]:
    return [rows[:, j][:, None] - columns[j][None, :] for j in range(len(columns))]


def _squared_by_product(points: jax.Array) -> Callable[[jax.Array], jax.Array]:
    """|a|^2 + |b|^2 - 2 ab, with 0 for whatever rounding could have made of 0.

    The product and the two norms are each off by at most d/2 ulps of (|a|^2 + |b|^2) / 2, |a|^2 and |b|^2.
    """
    columns = lax.optimization_barrier(points.T)
    squares = jnp.sum(points * points, axis=1)
    unsure = (points.shape[1] + 2) * jnp.finfo(points.dtype).eps

    def separations(rows: jax.Array) -> jax.Array:
        total = jnp.sum(rows * rows, axis=1)[:, None] + squares[None, :]
        found = total - 2 * jnp.matmul(rows, columns, precision=HIGHEST)
        return jnp.where(found > unsure * total, found, 0)

    return separations


def over_blocks(function: Callable, spaces: Sequence[Space], rows: int) -> Any:
    """function(separations of a block in each space, its row numbers) for all rows, `rows` at a time."""
    n = spaces[0].rows.shape[0]
    blocks = -(-n // rows)
    numbers = jnp.minimum(jnp.arange(blocks * rows), n - 1).reshape(blocks, rows)

    def one(number: jax.Array) -> Any:
        return function(_once(lambda turn: [space.separations(space.rows[number + turn]) for space in spaces]), number)

    def _once(make: Callable[[jax.Array], list[jax.Array]]) -> list[jax.Array]:
        """make(0) in one copy, by a loop whose end XLA cannot know. Where points are computed in the caller's jit, it
        would compute separations anew for every use, rounded otherwise, and a k-th neighbor is nearer than itself.
        """
        turns = 1 + jnp.isnan(spaces[0].rows[0, 0])  # another turn changes nothing
        begin = [jnp.zeros((rows, n), space.rows.dtype) for space in spaces]
        again = lambda state: (state[0] + 1, make(state[0] // turns))
        return lax.while_loop(lambda state: state[0] < turns, again, (jnp.zeros((), turns.dtype), begin))[1]

    found = lax.map(one, numbers)
    return jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:])[:n], found)


def balls(spaces: Sequence[Space], groups: Sequence[Sequence[int]], neighbors: int, rows: int) -> Balls:
    """Balls that reach to the k-th neighbor in the joint of all spaces, counted in the joint of each group."""

    def block(found: list[jax.Array], number: jax.Array) -> Balls:
        radius, within = kth_smallest(others(found, number), neighbors)
        tied = (within > neighbors) | (radius <= 0)
        counts = tuple(count_within(joint([found[i] for i in group]), radius, tied) for group in groups)
        return Balls(radius, tied, within, counts)

    return over_blocks(block, spaces, rows)


def boxes(spaces: Sequence[Space], neighbors: int, rows: int) -> Balls:
    """In each space, rows within the farthest of the k joint neighbors, itself left out (KSG 2)."""

    def block(found: list[jax.Array], number: jax.Array) -> Balls:
        apart = others(found, number)
        radius, within = kth_smallest(apart, neighbors)
        near = apart <= radius[:, None]
        reach = [jnp.max(jnp.where(near, one, 0), axis=1) for one in found]
        counts = tuple(jnp.sum(one <= far[:, None], axis=1) - 1 for one, far in zip(found, reach, strict=True))
        return Balls(radius, (within > neighbors) | (radius <= 0), within, counts)

    return over_blocks(block, spaces, rows)


def kth_neighbor(one: Space, neighbors: int, rows: int) -> tuple[jax.Array, jax.Array]:
    """The row number [n] of the k-th neighbor, the lowest among equals, and whether its separation is 0 [n]."""

    def block(found: list[jax.Array], number: jax.Array) -> tuple[jax.Array, jax.Array]:
        apart = others(found, number)
        radius, _ = kth_smallest(apart, neighbors)
        column = jnp.arange(apart.shape[1])[None, :]
        nearest = jnp.min(jnp.where(apart == radius[:, None], column, apart.shape[1] - 1), axis=1)
        return nearest, radius <= 0

    return over_blocks(block, [one], rows)


def joint(found: Sequence[jax.Array]) -> jax.Array:
    """The joint separation: the largest."""
    return reduce(jnp.maximum, found)


def others(found: Sequence[jax.Array], number: jax.Array) -> jax.Array:
    """The joint separation [rows, n] with each row infinitely far from itself."""
    apart = joint(found)
    return jnp.where(jnp.arange(apart.shape[1])[None, :] == number[:, None], jnp.inf, apart)


def count_within(apart: jax.Array, radius: jax.Array, closed: jax.Array) -> jax.Array:
    """How many entries of each row are below its radius; where `closed`, also those at it."""
    level = radius[:, None]
    return jnp.sum((apart < level) | (closed[:, None] & (apart == level)), axis=1)


def kth_smallest(apart: jax.Array, k: int) -> tuple[jax.Array, jax.Array]:
    """The k-th smallest entry of each row, and how many are at most it; k passes, where a sort takes a hundred."""

    def next_level(_: int, state: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        level, within = state
        above = jnp.min(jnp.where(apart > level[:, None], apart, jnp.inf), axis=1)
        enough = within >= k
        return jnp.where(enough, level, above), jnp.where(enough, within, count(above))

    count = lambda level: jnp.sum(apart <= level[:, None], axis=1)
    start = jnp.full(len(apart), -1, apart.dtype)  # below any distance
    return lax.fori_loop(0, k, next_level, (start, count(start)))
