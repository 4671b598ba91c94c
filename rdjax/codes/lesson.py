"""What a learned code is taught with: coded items, what they are scored against, and who wants whom.

All in the coordinates of a fitted `RelevanceMap`: an item's coefficients c = basis' (x - mean), and keys back' y of the
other side, so that the score of decoded coefficients with y is their inner product with its key.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import numpy as np

from rdjax.checks import require, whole
from rdjax.codes.arrays import device_array, fit_vectors, require_dimension, working_dtype
from rdjax.codes.lengths import Stretch
from rdjax.codes.moments import mean_and_variance
from rdjax.codes.query_model import QueryModel
from rdjax.codes.relevance_map import RelevanceMap
from rdjax.codes.transform import coefficient_blocks
from rdjax.information import shrunk_covariance
from rdjax.trees import register_dataclass

CANDIDATES = 4096  # documents that a step ranks, at most

Told = tuple[Any, Any, Any]  # queries [q, D], documents [N, D], wanted int [q]
Fresh = Callable[[int], Told]


def simulated_lessons(model: QueryModel, documents: Any, count: int, *, observed: float = 0.0, seed: int = 0) -> Fresh:
    """What a learned code is told at each look: queries drawn anew for these documents.

    Args:
      model: of the queries.
      documents: [N, D]; of more than `count`, so many drawn at random.
      count: queries of a look, about; as many of every document.
      observed: share of the noise that is observed residuals, see `QueryModel.simulate`.
      seed: of NumPy's generators.

    Returns:
      a function of the look that gives (queries [q, D], documents, wanted int [q]).

    Raises:
      InputError: as `QueryModel.simulate`.
    """
    rows, count = fit_vectors(documents), whole(count, "how many queries")
    if len(rows) > count:
        rows = rows[np.sort(np.random.default_rng(seed).choice(len(rows), count, replace=False))]
    draws = max(1, count // len(rows))
    wanted = np.repeat(np.arange(len(rows)), draws)
    drawn = lambda look: model.simulate(rows, draws, seed=1000 * (look + 1) + (seed << 32), observed=observed)
    return lambda look: (drawn(look), rows, wanted)


def simulated_documents(documents: Any, count: int, *, seed: int = 0) -> np.ndarray:
    """Documents drawn from a Gaussian law with the mean and the shrunk covariance of the given ones.

    For codes of class C, which rank documents that they have never seen: what is learned from a few hundred documents
    is about those, what is learned from many like them is about all.

    Args:
      documents: [N, D], at least two.
      count: how many to draw.
      seed: of NumPy's default generator.

    Returns:
      [count, D], in the precision of the documents, float32 at least.

    Raises:
      InputError: documents that are no finite matrix of two rows, a count below 1.

    Source: Ledoit and Wolf 2004 (the covariance).
    """
    rows = fit_vectors(documents)
    covariance = np.asarray(shrunk_covariance(rows)[0], np.float64)
    values, axes = np.linalg.eigh(covariance)
    root = (axes * np.sqrt(np.maximum(values, 0.0))).astype(working_dtype(rows))
    drawn = np.random.default_rng(seed).standard_normal((whole(count, "how many documents"), rows.shape[1]), root.dtype)
    return np.asarray(mean_and_variance(rows)[0], root.dtype) + drawn @ root.T


@partial(register_dataclass, meta_fields=["side"])
@dataclass(frozen=True)
class Lesson:
    """Queries and documents in the coordinates of a map.

    Args:
      coded: coefficients of the coded side, [q, K] queries or [N, K] documents.
      keys: of the other side [N, K] or [q, K].
      wanted: document that each query wants, int32 [q].
      side: "queries" or "documents", the one that is coded.
      stretch: of decoded documents, or None.
    """

    coded: jax.Array
    keys: jax.Array
    wanted: jax.Array
    side: str
    stretch: Stretch | None = None

    @classmethod
    def of(
        cls, chart: RelevanceMap, queries: Any, documents: Any, wanted: Any, stretch: Stretch | None = None
    ) -> "Lesson":
        """From vectors.

        Args:
          chart: of the coded side.
          stretch: as above.
          queries: [q, D]; documents: [N, D].
          wanted: int [q], rows of the documents.

        Raises:
          InputError: vectors of another dimension, a document that is not there, no query.
        """
        queries, documents, wanted = fit_vectors(queries), fit_vectors(documents), np.asarray(wanted)
        for rows in (queries, documents):
            require_dimension(rows, chart.mean.shape[0], "the map")
        require(
            wanted.shape == (len(queries),) and wanted.dtype.kind in "iu" and len(queries) > 0,
            f"wanted has shape {wanted.shape} and type {wanted.dtype}; it must be a document's number for each of "
            f"{len(queries)} queries.",
        )
        require(
            int(wanted.min()) >= 0 and int(wanted.max()) < len(documents),
            f"wanted names document {int(wanted.max())} or {int(wanted.min())}; there are {len(documents)}, from 0.",
        )
        coded, others = (queries, documents) if chart.side == "queries" else (documents, queries)
        dtype = chart.mean.dtype
        coefficients = np.concatenate(list(coefficient_blocks(chart, coded)))
        keys = np.asarray(others, dtype) @ np.asarray(chart.back)
        arrays = device_array(coefficients, dtype), device_array(keys, dtype), device_array(wanted, np.int32)
        return cls(*arrays, chart.side, stretch)

    @property
    def num_documents(self) -> int:
        """N."""
        return len(self.coded if self.side == "documents" else self.keys)

    def batches(self, generator: np.random.Generator, batch: int, length: int) -> "Batches":
        """Rows of queries and of documents for so many steps.

        Every query comes once before any comes twice. Documents: all; of more than 4,096 so many, those that
        the queries want (no more queries than that) and others at random.
        """
        few, total = min(self.num_documents, CANDIDATES), len(self.wanted)
        batch = batch if few == self.num_documents else min(batch, few)
        orders = [generator.permutation(total) for _ in range(-(-batch * length // total))]
        rows = np.concatenate(orders)[: batch * length].reshape(length, batch)
        if few == self.num_documents:
            return Batches(rows.astype(np.int32), np.broadcast_to(np.arange(few, dtype=np.int32), (length, few)))
        wanted = np.asarray(self.wanted)
        documents = [self._sampled(generator, np.unique(wanted[own]), few) for own in rows]
        return Batches(rows.astype(np.int32), np.stack(documents).astype(np.int32))

    def _sampled(self, generator: np.random.Generator, own: np.ndarray, few: int) -> np.ndarray:
        """So many documents: the wanted ones and others, any as likely as any other."""
        drawn = generator.choice(self.num_documents, few, replace=False)
        others = drawn[~np.isin(drawn, own)]  # in the order of the draw, which is random: cut off are any
        return np.sort(np.concatenate([own, others[: few - len(own)]]))

    def blocks(self, size: int) -> Iterator["Batches"]:
        """All queries among all documents, so many at a time; the last block is shorter."""
        every = np.arange(self.num_documents, dtype=np.int32)[None, :]
        for start in range(0, len(self.wanted), size):
            yield Batches(np.arange(start, min(start + size, len(self.wanted)), dtype=np.int32)[None, :], every)


@register_dataclass
@dataclass(frozen=True)
class Batches:
    """Rows of queries [steps, b] and of documents [steps, C], these rising."""

    queries: Any
    documents: Any
