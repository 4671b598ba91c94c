"""The one table of rank metrics: what a relevant document is worth at rank k.

A weight is a function from the rank (1-based, any shape, NumPy or JAX) to w_k, non-increasing and non-negative. Weights
are hashable and equal when made twice, so they are static arguments that never compile twice, and they need no array of
length N, so N may be 1e12. `breaks` lists the ranks after which w jumps; between breaks it is smooth.
"""

import numbers
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rdjax.checks import InputError, require

Weights = Callable[[Any], Any]


def _module(rank: Any) -> Any:
    return jnp if isinstance(rank, jax.Array) else np


@dataclass(frozen=True)
class _Weight:
    """A named weight; `breaks` are the last ranks before a jump."""

    @property
    def breaks(self) -> tuple[int, ...]:
        return ()

    def __call__(self, rank: Any) -> Any:
        raise NotImplementedError

    def smooth(self, rank: Any, width: Any) -> Any:
        """The worth of a real rank, a cutoff at k spread over about width * k ranks, so that it has a gradient."""
        return self(rank)


@dataclass(frozen=True)
class _ReciprocalRank(_Weight):
    name = "mrr"

    def __call__(self, rank: Any) -> Any:
        return 1.0 / rank


@dataclass(frozen=True)
class _Dcg(_Weight):
    cutoff: int | None = None

    @property
    def name(self) -> str:
        return "dcg" if self.cutoff is None else f"dcg@{self.cutoff}"

    @property
    def breaks(self) -> tuple[int, ...]:
        return () if self.cutoff is None else (self.cutoff,)

    def __call__(self, rank: Any) -> Any:
        xp = _module(rank)
        worth = 1.0 / xp.log2(1.0 + rank)
        return worth if self.cutoff is None else xp.where(rank <= self.cutoff, worth, 0.0)

    def smooth(self, rank: Any, width: Any) -> Any:
        return _Dcg()(rank) * (1.0 if self.cutoff is None else _gate(rank, self.cutoff, width))


@dataclass(frozen=True)
class _Step(_Weight):
    name: str
    k: int
    height: float

    @property
    def breaks(self) -> tuple[int, ...]:
        return (self.k,)

    def __call__(self, rank: Any) -> Any:
        xp = _module(rank)
        return xp.where(rank <= self.k, 1.0, 0.0) * self.height

    def smooth(self, rank: Any, width: Any) -> Any:
        return _gate(rank, self.k, width) * self.height


@dataclass(frozen=True)
class _RankBiased(_Weight):
    p: float

    @property
    def name(self) -> str:
        return f"rbp@{self.p:g}"

    def __call__(self, rank: Any) -> Any:
        return (1.0 - self.p) * self.p ** (rank - 1.0)


#: w_k = 1 / k: reciprocal rank, whose mean is MRR (paper, equation 1).
reciprocal_rank = _ReciprocalRank()

#: w_k = 1 / log2(1 + k): discounted gain of one relevant document (Jarvelin and Kekalainen 2002). w_1 = 1.
dcg = _Dcg()


def dcg_at(k: int) -> Weights:
    """w_j = 1{j <= k} / log2(1 + j): nDCG@k of a query with one relevant document, whose ideal is 1."""
    return _Dcg(_depth(k))


def recall_at(k: int) -> Weights:
    """w_j = 1{j <= k}: recall (or success) at k of one relevant document."""
    return _Step(f"recall@{_depth(k)}", int(k), 1.0)


def precision_at(k: int) -> Weights:
    """w_j = 1{j <= k} / k: precision at k; one relevant document is worth at most 1 / k."""
    return _Step(f"precision@{_depth(k)}", int(k), 1.0 / int(k))


def rank_biased(p: float) -> Weights:
    """w_j = (1 - p) p^(j - 1): rank-biased precision with persistence 0 < p < 1 (Moffat and Zobel 2008)."""
    require(0 < p < 1, f"the persistence of rank-biased precision is {p}; it must lie strictly between 0 and 1.")
    return _RankBiased(float(p))


def _gate(rank: Any, k: int, width: Any) -> jax.Array:
    """1 well above rank k, 0 well below, one half between ranks k and k + 1."""
    middle = k + 0.5
    return jax.nn.sigmoid((middle - rank) / (width * middle))


def _depth(k: int) -> int:
    if not isinstance(k, numbers.Real) or not 1 <= k < np.inf or int(k) != k:
        raise InputError(f"the depth of a metric is {k!r}; it must be a whole number, at least 1.")
    return int(k)
