"""The nearest of a codebook's words, for many points at once.

Points stand in columns: the last axis is theirs, so that what is done for every point runs along the lanes of the
processor. A search adds a row of ones to the points, and half the squared norms to the words [K, d]:

    [-c, |c|^2 / 2] [x, 1]' = (|x - c|^2 - |x|^2) / 2,

so that one matrix product, small enough for the cache, compares all words.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from rdjax.numerics import matmul

TILE = 2048  # points compared at once: scores with 256 words fill 2 MB
IN_TURN = 8  # words compared at once on a processor: scores fill 64 kB


def padded_points(columns: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Points [..., d, n] and weights [n] with points of weight 0 added, up to whole tiles."""
    n = weights.shape[-1]
    extra = -n % (TILE if n > TILE else 256)
    wide = [(0, 0)] * (columns.ndim - 1) + [(0, extra)]
    return np.pad(columns, wide), np.pad(weights, (0, extra))


def comparable(words: jax.Array, size: jax.Array | int) -> jax.Array:
    """Words [..., K, d] as [..., K, d + 1] for `nearest`: negative, with half their squared norms; inf beyond size.

    A codebook of no words (no bits) is left with its first, which is zero.
    """
    norms = 0.5 * jnp.sum(words * words, axis=-1)
    number = jax.lax.broadcasted_iota(jnp.int32, norms.shape, norms.ndim - 1)
    unused = number >= jnp.maximum(size, 1)[..., None]
    return jnp.concatenate([-words, jnp.where(unused, jnp.inf, norms)[..., None]], axis=-1)


def with_ones(columns: jax.Array) -> jax.Array:
    """A row of ones below points [..., d, n]."""
    ones = jnp.ones((*columns.shape[:-2], 1, columns.shape[-1]), columns.dtype)
    return jnp.concatenate([columns, ones], axis=-2)


def nearest(compared: jax.Array, columns: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The nearest word of every point, the first among equals.

    Args:
      compared: `comparable` words [K, d + 1].
      columns: points `with_ones` [d + 1, t]; t a tile.

    Returns:
      (number of the word, int32 [t]; (|x - c|^2 - |x|^2) / 2 [t]); where no score is a number, 0 and no number or inf.
    """
    return lax.platform_dependent(compared, columns, cpu=nearest_in_turn, default=nearest_at_once)


def nearest_at_once(compared: jax.Array, columns: jax.Array) -> tuple[jax.Array, jax.Array]:
    """`nearest` for accelerators: one product. Minima twice, since XLA makes an argmin of one number after another.

    Infinity is added, not multiplied: a TPU multiplies in parts, and the parts of infinity are no numbers.
    """
    scores = matmul(compared[:, :-1], columns[:-1]) + compared[:, -1:]
    best = jnp.min(scores, axis=0)
    order = jnp.arange(len(compared), dtype=scores.dtype)[:, None]
    index = jnp.min(jnp.where(scores <= best[None, :], order, len(compared)), axis=0).astype(jnp.int32)
    return jnp.where(index < len(compared), index, 0), best


def nearest_in_turn(compared: jax.Array, columns: jax.Array) -> tuple[jax.Array, jax.Array]:
    """`nearest` for processors: a few words at a time, so that scores are read while they are in the nearest cache."""
    extra = jnp.zeros((-len(compared) % IN_TURN, compared.shape[1]), compared.dtype).at[:, -1].set(jnp.inf)
    groups = jnp.concatenate([compared, extra]).reshape(-1, IN_TURN, compared.shape[1])

    def step(state: tuple[jax.Array, jax.Array], entry: tuple[jax.Array, jax.Array]) -> tuple[Any, None]:
        index, best = state
        first, group = entry
        scores = matmul(group, columns)
        for number in range(IN_TURN):
            closer = scores[number] < best
            index, best = jnp.where(closer, first + number, index), jnp.where(closer, scores[number], best)
        return (index, best), None

    start = jnp.zeros(columns.shape[1], jnp.int32), jnp.full(columns.shape[1], jnp.inf, columns.dtype)
    return lax.scan(step, start, (jnp.arange(0, len(groups) * IN_TURN, IN_TURN, dtype=jnp.int32), groups))[0]


def in_tiles(points: jax.Array) -> jax.Array:
    """Points [d, n] as [tiles, d, t], n being a multiple of the tile or within one."""
    t = min(TILE, points.shape[1])
    return jnp.swapaxes(points.reshape(len(points), -1, t), 0, 1)


def cell_sums(rows: jax.Array, index: jax.Array, cells: int) -> jax.Array:
    """Sums over the columns of every cell: rows [r, t], cells int [t] -> [r, cells].

    Accelerators multiply by an indicator; a processor adds column after column, which is less work there.
    """

    def added(rows: jax.Array, index: jax.Array) -> jax.Array:
        return jnp.zeros((cells, len(rows)), rows.dtype).at[index].add(rows.T).T

    def multiplied(rows: jax.Array, index: jax.Array) -> jax.Array:
        return matmul(rows, (index[:, None] == jnp.arange(cells)[None, :]).astype(rows.dtype))

    return lax.platform_dependent(rows, index, cpu=added, default=multiplied)


def cell_means(points: jax.Array, mass: jax.Array, symbols: jax.Array, words: jax.Array) -> jax.Array:
    """Mean of the points of every cell [K, d]; a word without points stays as it is.

    Args:
      points: [d, n].
      mass: weights [n].
      symbols: number of every point's word, int [n].
      words: [K, d].
    """
    rows = with_ones(points) * mass[None, :]

    def add(total: jax.Array, entry: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, None]:
        return total + cell_sums(*entry, len(words)), None

    zero = jnp.zeros((len(rows), len(words)), points.dtype)
    total, _ = jax.lax.scan(add, zero, (in_tiles(rows), in_tiles(symbols[None, :])[:, 0]))
    weight = total[-1][:, None]
    return jnp.where(weight > 0, total[:-1].T / jnp.where(weight > 0, weight, 1), words)
