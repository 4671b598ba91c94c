"""Rank codes of fewer codewords than documents, designed for the queries that are to come (class A)."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rdjax.checks import require, whole
from rdjax.codes.arrays import device_array, fit_vectors, require_dimension, working_dtype
from rdjax.codes.rank import RankingCode, checked_temperature
from rdjax.limits.rankings_code import KERNELS, design, first_orders, worth_of
from rdjax.numerics import matmul
from rdjax.retrieval.weights import reciprocal_rank
from rdjax.trees import register_dataclass

_SLOPES = ((16, 2), (32, 2), (64, 2), (128, 2), (1e6, 4))  # (nats per unit of distortion, re-sorts), in turn
_MEMORY = 1 << 30  # bytes that the design may take: queries that do not fit are left out of it
_POSTERIORS = 1 << 24  # probabilities computed at once


@partial(register_dataclass, data_fields=["documents", "temperature", "orders"], meta_fields=[])
@dataclass(frozen=True)
class DesignedRankCode(RankingCode):
    """Send the number of one of L rankings, whichever is worth most to the query's posterior.

        c = argmax_c sum_y P(y | x) / rank_c(y)

    The rankings are designed by alternating minimization at a uniform law over the codewords (theory notes, section
    2.3), the slope raised until every query takes its best codeword alone: k-means, whose means are sorted posteriors.

    Args:
      documents: the corpus [N, D].
      temperature: of the posterior, a number > 0.
      orders: documents of each ranking, best first, int [L, N].
    """

    documents: jax.Array
    temperature: jax.Array
    orders: jax.Array

    @classmethod
    def fit(
        cls, documents: Any, codewords: int, queries: Any, *, temperature: float = 1.0, seed: int = 0
    ) -> "DesignedRankCode":
        """Design the rankings for these queries, which are best simulated: a document and noise (`QueryModel`).

        With fewer than about 16 queries for each codeword the rankings fit their noise. Nothing is gained above N
        codewords: there a `RankCode` needs no queries.

        Args:
          documents: [N, D].
          codewords: L, 1 to 65,536; all N! rankings where there are no more than L.
          queries: [X, D], scaled as the documents; which documents they look for is not needed. If the design would
            take more than 1 GiB, as many as fit are used, evenly spaced.
          temperature: of the posterior exp(<x, d> / temperature), > 0.
          seed: of the rankings to start from.

        Raises:
          InputError: if a number is out of range or shapes disagree.

        Source: theory notes, section 2.3.
        """
        array, asked = fit_vectors(documents), fit_vectors(queries)
        require_dimension(asked, array.shape[1], "the corpus")
        codewords = whole(codewords, "the number of codewords")
        require(codewords <= 1 << 16, f"{codewords} codewords were asked for; at most 65,536 rankings are designed.")
        dtype = working_dtype(array)
        heat = checked_temperature(temperature, dtype)
        size = np.dtype(dtype).itemsize
        fitting = max(256, _MEMORY // (size * (len(array) + KERNELS * codewords)))
        kept = np.linspace(0, len(asked) - 1, min(len(asked), fitting)).astype(np.int64)
        posteriors = _posteriors(array.astype(dtype), asked[kept].astype(dtype), heat)
        orders = _designed(posteriors, codewords, seed)
        kind = np.int16 if len(array) < 1 << 15 else np.int32
        return cls(device_array(array, dtype), heat, device_array(orders, kind))

    @property
    def name(self) -> str:
        """For example "256 designed rankings"."""
        return f"{self.num_codewords} designed rankings"

    @property
    def num_codewords(self) -> int:
        """L."""
        return self.orders.shape[0]

    @property
    def encoder_bytes(self) -> int:
        """The corpus and the rankings, at 4 bytes a number and 2 or 4 a place."""
        return 4 * self.documents.size + self.orders.size * self.orders.dtype.itemsize

    def _held(self) -> int:
        return 2 * self.num_documents + self.num_codewords

    def _encoder(self) -> Callable[[jax.Array], jax.Array]:
        worth = worth_of(self.orders.astype(jnp.int32), _worth(self.num_documents, self.dtype))

        def best(vector: jax.Array) -> jax.Array:
            law = jax.nn.softmax(matmul(self.documents, vector) / self.temperature)
            return jnp.argmax(matmul(worth, law))

        return best

    def _scores(self, symbols: jax.Array, vectors: jax.Array) -> jax.Array:
        worth = worth_of(self.orders[symbols[:, 0]].astype(jnp.int32), jnp.arange(self.num_documents, 0.0, -1.0))
        return worth.astype(vectors.dtype)

    def _decode(self, symbols: jax.Array) -> jax.Array:
        """The documents' mean, each weighted by what its place is worth."""
        worth = worth_of(self.orders[symbols[:, 0]].astype(jnp.int32), _worth(self.num_documents, self.dtype))
        return matmul(worth, self.documents) / jnp.sum(worth, axis=1, keepdims=True)


def _worth(size: int, dtype: Any) -> jax.Array:
    return reciprocal_rank(jnp.arange(1, size + 1, dtype=dtype))


@jax.jit
def _posterior(documents: jax.Array, queries: jax.Array, temperature: jax.Array) -> jax.Array:
    return jax.nn.softmax(matmul(queries, documents.T) / temperature, axis=1)


def _posteriors(documents: np.ndarray, queries: np.ndarray, temperature: jax.Array) -> np.ndarray:
    """P(y | x) [X, N] on the host, a block of queries at a time."""
    rows = max(1, _POSTERIORS // len(documents))
    shared = jax.device_put(documents)
    parts = [_posterior(shared, queries[i : i + rows], temperature) for i in range(0, len(queries), rows)]
    return np.concatenate([np.asarray(part) for part in parts])


def _designed(posteriors: np.ndarray, codewords: int, seed: int) -> np.ndarray:
    """Rankings [L, N]: the alternation at ever larger slopes, without sweeps of the law, which so stays uniform."""
    dtype = posteriors.dtype
    orders: Any = first_orders(posteriors, codewords, seed)
    if len(orders) == math.factorial(min(posteriors.shape[1], 9)):  # all rankings: a re-sort could only lose some
        return np.asarray(orders)
    shared = jax.device_put(posteriors)
    source = np.full(len(posteriors), 1 / len(posteriors), dtype)
    worth = np.asarray(_worth(posteriors.shape[1], dtype))
    for slope, rounds in _SLOPES:
        orders = design(shared, source, worth, float(slope), orders, rounds=rounds, sweeps=0).orders
    return np.asarray(orders)
