"""Rank codes of fewer codewords than documents, for a corpus of any size: a cell, then its documents (class A)."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from rdjax.checks import require, row_blocks, whole
from rdjax.codes.arrays import device_array, fit_vectors, working_dtype
from rdjax.codes.rank import RankingCode, checked_temperature, raised
from rdjax.codes.transform import coefficient_blocks, fit_pca
from rdjax.numerics import matmul
from rdjax.trees import register_dataclass

_AXES = 64  # principal axes that cells are cut along
_VALUED = 64  # best documents of the posterior, which vote for their cells


@partial(
    register_dataclass,
    data_fields=["documents", "temperature", "cells", "places", "centers"],
    meta_fields=[],
)
@dataclass(frozen=True)
class CellRankCode(RankingCode):
    """Send the number of a cell of similar documents: they come first, the others by similarity to their mean.

        c = argmax_c sum_{y in cell c} P(y | x) / place(y)

    The best 64 documents of the posterior vote: all of its mass that counts where it is calibrated. L cells of N / L
    documents each, to one: the form of the codes that attain Theorem C, which fill every rank with L
    documents (theory notes, section 1.5). What is stored is a cell and a place for each document, no ranking.

    Args:
      documents: the corpus [N, D].
      temperature: of the posterior, a number > 0.
      cells: of each document, int32 [N].
      places: of each document in its cell, from 1, int32 [N]: most similar to the center first.
      centers: mean document of each cell [L, D].
    """

    documents: jax.Array
    temperature: jax.Array
    cells: jax.Array
    places: jax.Array
    centers: jax.Array

    @classmethod
    def fit(cls, documents: Any, codewords: int, *, temperature: float = 1.0) -> "CellRankCode":
        """Cut the corpus in two across its principal axis of largest variance there, and every part again.

        Args:
          documents: [N, D], scaled as the queries will be.
          codewords: L, 1 to N.
          temperature: of the posterior exp(<x, d> / temperature), > 0.

        Raises:
          InputError: if L or the temperature is out of range.
        """
        array = fit_vectors(documents)
        codewords = whole(codewords, "the number of codewords")
        require(
            codewords <= len(array),
            f"{codewords} cells were asked for, of {len(array)} documents; from there on a RankCode names documents.",
        )
        dtype = working_dtype(array)
        heat = checked_temperature(temperature, dtype)
        cells = balanced_cells(_coordinates(array), codewords)
        centers, similar = _centers(array, cells, codewords)
        order = np.lexsort((-similar, cells))
        starts = np.searchsorted(cells[order], np.arange(codewords))
        places = np.empty(len(array), np.int32)
        places[order] = np.arange(len(array)) - starts[cells[order]] + 1
        return cls(
            device_array(array, dtype),
            heat,
            device_array(cells, np.int32),
            device_array(places, np.int32),
            device_array(centers, dtype),
        )

    @property
    def name(self) -> str:
        """For example "4096 balanced cells"."""
        return f"{self.num_codewords} balanced cells"

    @property
    def num_codewords(self) -> int:
        """L."""
        return self.centers.shape[0]

    @property
    def encoder_bytes(self) -> int:
        """The corpus, and a cell and a place of every document."""
        return 4 * (self.documents.size + 2 * self.num_documents)

    def _encoder(self) -> Callable[[jax.Array], jax.Array]:
        return self._voted

    def _voted(self, vector: jax.Array) -> jax.Array:
        """The cell worth most to the best documents of the posterior."""
        best, near = lax.top_k(matmul(self.documents, vector), min(_VALUED, self.num_documents))
        worth = jax.nn.softmax(best / self.temperature) / self.places[near]
        voted = self.cells[near]
        together = voted[:, None] == voted[None, :]
        return voted[jnp.argmax(jnp.sum(jnp.where(together, worth[None, :], 0.0), axis=1))]

    def _scores(self, symbols: jax.Array, vectors: jax.Array) -> jax.Array:
        inside = self.cells[None, :] == symbols
        largest = jnp.max(self.places)
        bonus = jnp.where(inside, (1.0 + largest - self.places[None, :]) / largest, 0.0)
        return raised(matmul(self._decode(symbols), vectors.T), bonus)

    def _decode(self, symbols: jax.Array) -> jax.Array:
        return self.centers[symbols[:, 0]]


def balanced_cells(coordinates: np.ndarray, cells: int) -> np.ndarray:
    """Cells of floor(N / L) or one more points, by cuts across the coordinate that varies most within each part.

    Args:
      coordinates: [N, k].
      cells: L, 1 to N.

    Returns:
      the cell of each point, int64 [N].
    """
    count = len(coordinates)
    order = np.arange(count)
    first, owed = np.zeros(1, np.int64), np.array([cells])  # of each part: its first place in `order`, its cells
    while owed.max() > 1:
        sizes = np.diff(np.append(first, count))
        part = np.repeat(np.arange(len(owed)), sizes)
        axis = _widest(coordinates, order, first, sizes)
        order = order[np.lexsort((coordinates[order, axis[part]], part))]
        left = owed // 2
        begins = np.cumsum(owed) - owed
        middle = (begins + left) * count // cells  # where a part is one cell, this is its first place
        first = np.stack([first, middle], axis=1).ravel()
        owed = np.stack([left, owed - left], axis=1).ravel()
        first, owed = first[owed > 0], owed[owed > 0]
    sizes = np.diff(np.append(first, count))
    found = np.empty(count, np.int64)
    found[order] = np.repeat(np.arange(cells), sizes)
    return found


def _widest(coordinates: np.ndarray, order: np.ndarray, first: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """The coordinate of largest variance in each part: one column after the other, so that nothing is copied whole."""
    variances = np.empty((coordinates.shape[1], len(first)))
    for k in range(coordinates.shape[1]):
        column = coordinates[order, k].astype(np.float64)
        mean = np.add.reduceat(column, first) / sizes
        variances[k] = np.add.reduceat((column - np.repeat(mean, sizes)) ** 2, first) / sizes
    return np.argmax(variances, axis=0)


def _coordinates(array: np.ndarray) -> np.ndarray:
    """The documents along up to 64 principal axes, column by column in memory; as they are where there is but one."""
    k = min(_AXES, len(array) - 1, array.shape[1])
    if k < 1:
        return np.asarray(array, np.float32)
    found = np.empty((len(array), k), np.float32, order="F")
    start = 0
    for block in coefficient_blocks(fit_pca(array, k), array):
        found[start : start + len(block)] = block
        start += len(block)
    return found


def _centers(array: np.ndarray, cells: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean document of each cell [L, D], and the similarity of every document to its own [N]."""
    order = np.argsort(cells, kind="stable")
    starts = np.searchsorted(cells[order], np.arange(count))
    sizes = np.diff(np.append(starts, len(array)))
    centers = np.empty((count, array.shape[1]), np.float64)
    for cell, (start, size) in enumerate(zip(starts, sizes, strict=True)):
        centers[cell] = array[order[start : start + size]].mean(axis=0, dtype=np.float64)
    similar = np.empty(len(array))
    for start, block in row_blocks(array):
        own = centers[cells[start : start + len(block)]]
        similar[start : start + len(block)] = np.einsum("nd,nd->n", block, own)
    return centers, similar
