"""What a code of one class may be fitted on, and what families of codes make of it once and share."""

from dataclasses import dataclass
from functools import cached_property
from threading import Lock
from typing import Any

import jax
import numpy as np

from rdjax.checks import require
from rdjax.codes.lesson import Fresh, simulated_documents, simulated_lessons
from rdjax.codes.query_model import QueryModel
from rdjax.codes.relevance_map import RelevanceMap, fit_relevance_map
from rdjax.codes.transform import Projection, fit_pca

LEAST_PAIRS = 20  # below, a model of queries says too little
DIRECTIONS = 256  # of a map fitted to relevance, at most
ROWS = 20_000  # vectors that codes are fitted on, at most: 78 for each of 256 centroids
EXAMPLES = 16_384  # simulated queries that codebooks of queries are fitted on, about
TAUGHT = 4_000  # queries that a learned code is told at each look, about
LIKE_THEM = 1_000  # documents that a code for unknown ones is taught on besides those it may see
OBSERVED = {"queries": 0.0, "documents": 0.5}  # of the noise: what cross-validation on the emoji tasks chose
FIDELITY = 0.3  # of documents that are coded as they were told; by the same


@dataclass(frozen=True)
class Training:
    """Vectors of one class in one view, [n, D] each.

    Args:
      vectors: all that codes may be fitted on: `documents` or others, and the fit queries.
      documents: those that are searched, or where only a fit asks, those that were drawn of them.
      seen: those that a code may know.
      queries: the fit queries with a judged document; for a code of class C one of the fit corpus' own.
      wanted: row i is the document that query i wants.
      blocks: widths of the modalities.
      blind: whether other documents than `seen` will be searched (class C).
      searched: how many documents are searched, also where `documents` are a sample.
    """

    vectors: np.ndarray
    documents: np.ndarray
    seen: np.ndarray
    queries: np.ndarray
    wanted: np.ndarray
    blocks: tuple[int, ...]
    blind: bool
    searched: int

    @classmethod
    def of_array(cls, vectors: np.ndarray) -> "Training":
        """One array [n, D] that nobody asked anything of."""
        return cls(vectors, vectors, vectors, vectors[:0], vectors[:0], (vectors.shape[1],), False, len(vectors))

    @cached_property
    def principal(self) -> Projection:
        """All principal components, shared by every budget."""
        return fit_pca(self.vectors, min(len(self.vectors) - 1, self.vectors.shape[1]))

    @cached_property
    def model(self) -> QueryModel:
        """What a query looks like, given its document.

        Raises:
          InputError: if there are too few pairs.
        """
        require(
            len(self.queries) >= LEAST_PAIRS,
            f"there are {len(self.queries)} fit queries with a judged document to learn relevance from; this family "
            f"needs {LEAST_PAIRS}.",
        )
        return QueryModel.fit(self.queries, self.wanted, blocks=self.blocks)

    def chart(self, side: str) -> RelevanceMap:
        """The map fitted to relevance, for what is coded on this side; families take its first k directions."""
        return self._once(("chart", side), lambda: self._chart(side))

    def examples(self, side: str) -> np.ndarray:
        """What codebooks of this side are fitted on: documents, or queries simulated for them and the fit queries."""
        return self._once(("examples", side), lambda: self._examples(side))

    def lessons(self, side: str) -> Fresh:
        """What a learned code of this side is told: queries of documents it may see, and, if blind, of others."""
        documents = self.seen
        if self.blind:
            documents = np.concatenate([documents, simulated_documents(documents, LIKE_THEM).astype(documents.dtype)])
        return simulated_lessons(self.model, documents, TAUGHT, observed=OBSERVED[side])

    def fidelity(self, side: str) -> float:
        """Weight of the error of what is coded, where it is the very vectors that are told."""
        return 0.0 if self.blind or side == "queries" else FIDELITY

    def _chart(self, side: str) -> RelevanceMap:
        most = min(DIRECTIONS, self.vectors.shape[1], len(self.seen) - 1)
        there = "is one document" if len(self.seen) else "are no documents"
        others = ", as class C knows only others than are searched (--fit)" if self.blind else ""
        require(most > 0, f"there {there} to learn relevance from{others}; this family needs at least two.")
        return fit_relevance_map(self.model, self.seen, most, side=side)

    def _examples(self, side: str) -> np.ndarray:
        if side == "documents":
            return self.seen
        simulated = self.model.simulate(self.seen, max(1, EXAMPLES // len(self.seen)))
        return np.concatenate([simulated.astype(self.queries.dtype), self.queries])

    @cached_property
    def _made(self) -> dict[Any, Any]:
        return {}

    @cached_property
    def _lock(self) -> Any:
        return Lock()

    def _once(self, key: Any, make: Any) -> Any:
        with self._lock:  # two families are fitted at a time
            if key not in self._made:
                self._made[key] = jax.block_until_ready(make())
            return self._made[key]


def sample_rows(count: int, seed: int) -> np.ndarray:
    """All rows of so many, or `ROWS` of them drawn at random, in order."""
    if count <= ROWS:
        return np.arange(count)
    return np.sort(np.random.default_rng(seed).choice(count, ROWS, replace=False))
