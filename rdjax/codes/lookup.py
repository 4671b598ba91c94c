"""Scores of encoded documents without decoding them all: tables of inner products, or a few decoded rows at a time.

A product code's item is a sum of words, so its inner product with a raw vector is a sum of entries of a small table,
one table for each vector: asymmetric distance computation (Jegou, Douze, Schmid 2011, section III). That pays for few
vectors; for many, `Decoded` hands tiles of decoded rows to the streamed counts of `rdjax.retrieval`.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from rdjax.checks import require
from rdjax.codes.arrays import host_vectors, padded
from rdjax.codes.blocks import to_blocks
from rdjax.codes.code import Code
from rdjax.codes.nearest_words import TILE
from rdjax.codes.product import ProductQuantizer
from rdjax.numerics import matmul

AT_ONCE = 1 << 16  # items whose scores are looked up at a time
_ENTRIES = 1 << 22  # of scores in one call


class Decoded:
    """Encoded items that look like the array [n, D] of what they decode to, decoded only where rows are read.

    What reads rows of documents tile by tile, such as `retrieval.count_above` and `top_document`, takes it in place of
    the array: exact ranks against a million coded documents, in the memory of one tile.

    Args:
      code: any code whose scores are inner products of what it decodes.
      symbols: int [n, L], as it encoded them.

    Raises:
      InputError: if the symbols are not this code's, or its scores are no inner products.
    """

    def __init__(self, code: Code, symbols: Any):
        require(
            code.inner_products, f"the scores of {code.name} are not inner products of decoded rows; use its `scores`."
        )
        self._code, self._symbols = code, code._host(symbols)
        self._drawn = code.at(1).fingerprint != code.fingerprint
        self.shape, self.dtype, self.ndim = (len(self._symbols), code.dimension), np.dtype(code.dtype), 2

    def __len__(self) -> int:
        return len(self._symbols)

    def __getitem__(self, rows: slice | np.ndarray) -> np.ndarray:
        """Decoded rows [len(rows), D]; of codes that draw numbers, each row's by its own number."""
        if isinstance(rows, slice) and rows.step in (None, 1):
            return np.asarray(self._code.at(rows.indices(len(self))[0]).decode(self._symbols[rows]))
        if not self._drawn:
            return np.asarray(self._code.decode(self._symbols[rows]))
        numbers = np.arange(len(self))[rows]
        found = np.zeros((len(numbers), self._code.dimension), self.dtype)
        for start in np.unique(numbers // TILE) * TILE:  # tile by tile: one call for all rows of one
            inside = numbers // TILE == start // TILE
            tile = np.asarray(self._code.at(int(start)).decode(self._symbols[start : start + TILE]))
            found[inside] = tile[numbers[inside] - start]
        return found


def tables(code: ProductQuantizer, vectors: ArrayLike) -> tuple[jax.Array, jax.Array]:
    """Inner products of vectors with every word of every codebook, and with what decodes to nothing but the mean.

    score = offset_q + sum_l table[l, symbol_l, q].

    Args:
      code: the product code.
      vectors: [Q, D], uncoded.

    Returns:
      (tables [L, K, Q], offsets [Q]).

    Raises:
      InputError: if D is not the code's, or a number is not finite.
    """
    return _tables(code, host_vectors(vectors, code.dtype, code.dimension, code.name))


def lookup_scores(code: ProductQuantizer, symbols: Any, vectors: ArrayLike) -> np.ndarray:
    """`code.scores` by table look-up: no item is decoded, and beside the result memory holds one block of items.

    Args:
      code: the product code.
      symbols: int [n, L], of the coded items.
      vectors: [Q, D], uncoded, of the other side; few.

    Returns:
      [n, Q], on the host.

    Raises:
      InputError: if D or L is not this code's, or a number is not finite.
    """
    symbols = code._host(symbols)
    table, offset = tables(code, vectors)
    scores = np.empty((len(symbols), len(offset)), table.dtype)
    size = min(AT_ONCE, TILE * max(1, _ENTRIES // (TILE * max(len(offset), 1))))
    size = min(size, -(-len(symbols) // TILE) * TILE)
    for start in range(0, len(symbols), max(size, 1)):
        block = np.asarray(symbols[start : start + size], np.int32)
        found = _looked_up(table, offset, padded(block, size))
        scores[start : start + size] = np.asarray(found)[: len(block)]
    return scores


@jax.jit
def _tables(code: ProductQuantizer, vectors: jax.Array) -> tuple[jax.Array, jax.Array]:
    num_blocks, stages, k, d = code.codebooks.shape
    # invert is affine, v = invert(0) + A c, so A' y comes from its transpose, whatever the transform.
    zero = jnp.zeros((1, code.transform.k), code.dtype)
    at_zero, back = jax.vjp(code.transform.invert, zero)
    coefficients = jax.vmap(lambda y: back(y[None, :])[0][0])(vectors)
    points = to_blocks(coefficients.T, code.blocks)
    products = matmul(code.codebooks.reshape(num_blocks, stages * k, d), points)
    return products.reshape(num_blocks * stages, k, -1), matmul(vectors, at_zero[0])


@jax.jit
def _looked_up(table: jax.Array, offset: jax.Array, symbols: jax.Array) -> jax.Array:
    """Sums of entries [n, Q], tile by tile; an entry for all Q vectors is one run of memory."""
    t = min(TILE, len(symbols))

    def tile(rows: jax.Array) -> jax.Array:
        def add(total: jax.Array, entry: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, None]:
            words, symbol = entry
            return total + jnp.take(words, symbol, axis=0, mode="clip"), None

        start = jnp.broadcast_to(offset[None, :], (t, len(offset)))
        return jax.lax.scan(add, start, (table, rows.T))[0]

    return jax.lax.map(tile, symbols.reshape(-1, t, symbols.shape[1])).reshape(len(symbols), -1)
