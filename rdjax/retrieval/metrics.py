"""Ranks and rank metrics, with ties resolved exactly.

Scores are [..., N]: the last axis is the list, leading axes are queries. `relevant` is int [...], one document per
query, or int [..., J] padded with -1, several; `grades` [..., J] >= 0 are the gains of the listed documents (default
1), and a document of gain 0 counts as not relevant. Ties get their exact expectation over all orders of the tied
documents, or the best ("optimistic") or the worst ("pessimistic") of them. A query without a relevant document is
worth 0.

Every metric is a `Metric`, which needs only the counts `above` and `tied` of each relevant document, so that counts
streamed over a large corpus (`count_above`) feed the same functions as a matrix of scores. Nothing here has a gradient:
differentiating through scores raises.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rdjax.checks import InputError, arrays_of, is_concrete, looking, numbers, require, whole_numbers
from rdjax.host import on_the_host
from rdjax.numerics import on_device
from rdjax.retrieval import aggregates
from rdjax.retrieval import ties as tie_law
from rdjax.retrieval import weights as weight_table
from rdjax.retrieval.scores import counts_from_scores, is_sound, mean_over_queries
from rdjax.retrieval.weights import Weights

Aggregate = Callable[[Weights, jax.Array, jax.Array, jax.Array, jax.Array], jax.Array]


@dataclass(frozen=True)
class Metric:
    """A rank metric: hashable, equal when made twice, so a static argument under jit.

    Args:
      name: as `parse_metric` reads it.
      weights: what one relevant document is worth by its rank; with one per query this is the whole metric.
      aggregate: how several relevant documents add up; from (weights, mean weight, above, tied, gains), all [..., J].
    """

    name: str
    weights: Weights
    aggregate: Aggregate

    @property
    def first_relevant(self) -> bool:
        """Whether only the first relevant document counts (the floor of theory notes, section 1.7, is for these)."""
        return self.aggregate is aggregates.first

    @property
    def graded(self) -> bool:
        """Whether the gain of a query's only relevant document counts; nDCG divides by it, most others ignore gains."""
        return self.aggregate is aggregates.gain

    def per_query(
        self, above: Any, tied: Any, gains: Any = None, *, ties: str = "expected", size: int | None = None
    ) -> jax.Array:
        """Value of the metric at each query.

        Args:
          above, tied: counts as `counts_from_scores` and `count_above` return them, integers.
          gains: None: one relevant document per entry, any shape; else [..., J], the gains of several per query
            (see `gains`), 0 at padding.
          ties: expected, optimistic or pessimistic.
          size: length of the list; needed only under jit, and there see `expected_weight`.

        Returns:
          float array [...]: the shape of `above`, less the last axis where `gains` are given.

        Raises:
          InputError: counts that are none, shapes that do not belong together, an unknown `ties`, no `size` under jit.
        """
        if gains is None:
            return tie_law.expected_weight(self.weights, above, tied, ties=ties, size=size)
        tie_law.check_ties(ties)
        tie_law.check_counts(above, tied)
        covered = tie_law.table_size(above, tied, size) if ties == "expected" else 0
        above, tied, dtype = tie_law.counted(above), tie_law.counted(tied), jnp.result_type(float)
        # a copy on the host is handed over faster than it is put on the device
        worth = np.array(gains, dtype, subok=True) if isinstance(gains, np.ndarray) else on_device(gains, dtype)
        _check_gains(worth, above)
        if ties != "expected":
            above, tied = tie_law.resolve(above, tied, worth, ties)
        table = tie_law.prefix_table(self.weights, covered)
        return tie_law.handed_over(partial(_several, self), above, tied, worth, table, leading=above.ndim - 1)

    def __call__(self, scores: Any, relevant: Any, *, grades: Any = None, ties: str = "expected") -> jax.Array:
        """Value at each query [...] from scores [..., N]; NaN, where a trace can refuse none, of NaN or no index."""
        above, tied = counts_from_scores(scores, relevant)
        listed = listed_gains(scores, relevant, grades)
        value = self.per_query(above, tied, listed, ties=ties, size=np.shape(scores)[-1])
        return value if is_concrete(scores, relevant) else jnp.where(is_sound(scores, relevant), value, jnp.nan)


@on_the_host
def gains(relevant: Any, grades: Any = None) -> np.ndarray | None:
    """Gains for `Metric.per_query` from what a corpus holds.

    Args:
      relevant: int [Q], or [Q, J] padded with -1.
      grades: gains [Q, J] beside a `relevant` of that shape; None: all 1.

    Returns:
      None for int [Q]; for [Q, J] the gains [Q, J], 0 at padding.

    Raises:
      InputError: relevant documents that are no indices; grades below 0 or not finite, or of another shape.
    """
    whole_numbers(relevant, "relevant", -1)
    if np.ndim(relevant) < 2:
        return None
    judged = np.asarray(relevant) >= 0
    if grades is not None:
        require(np.shape(grades) == judged.shape, f"grades have shape {np.shape(grades)}, relevant {judged.shape}.")
        numbers(np.where(judged, grades, 0), "the grades", 0)
    return np.where(judged, 1.0 if grades is None else np.asarray(grades), 0.0)


def parse_metric(name: str) -> Metric:
    """The metric of a name: mrr, map, recall@K, precision@K, ndcg, ndcg@K, dcg, dcg@K or rbp@P.

    Gains enter DCG linearly (not as 2^gain - 1), precision at k divides by k however short the list, recall and average
    precision divide by the number of relevant documents: the conventions in which ranx and ir_measures agree.

    Args:
      name: e.g. "mrr", "recall@10", "rbp@0.8".

    Returns:
      the `Metric`; its `weights` are the single-relevant case.

    Raises:
      InputError: an unknown name, a depth that is no whole number above 0, a persistence outside (0, 1).
    """
    require(isinstance(name, str), f"the metric is {name!r}; give its name, e.g. 'mrr'.")
    family, _, argument = name.partition("@")
    known = (
        f"metric {name!r} is not known; the known metrics are {', '.join(KNOWN_METRICS)}, e.g. recall@10 or rbp@0.8."
    )
    require((family in _PLAIN and "@" not in name) or (family in _WITH_ARGUMENT and argument != ""), known)
    if not argument:
        return _metric(family)
    try:
        value = float(argument) if family == "rbp" else int(argument)
    except ValueError:
        raise InputError(known) from None
    return _metric(family, value)


def _metric(family: str, argument: Any = None) -> Metric:
    if argument is None and family in _PLAIN:
        return Metric(family, *_PLAIN[family])
    make, aggregate = _WITH_ARGUMENT[family]
    return Metric(f"{family}@{argument}", make(argument), aggregate)


def ranks(scores: Any, relevant: Any, *, ties: str = "expected") -> jax.Array:
    """Rank of each relevant document, 1 for the top; under ties its mean, its best or its worst.

        expected: above + (tied + 1) / 2;   optimistic: above + 1;   pessimistic: above + tied

    Args:
      scores: [..., N].
      relevant: int [...], or [..., J] padded with -1, each document ranked for itself.
      ties: expected, optimistic or pessimistic.

    Returns:
      float array of the shape of `relevant`; infinity at padding, which every weight values at 0.

    Raises:
      InputError: see `counts_from_scores`; an unknown `ties`.
    """
    tie_law.check_ties(ties)
    return _ranks(*counts_from_scores(scores, relevant), on_device(relevant), ties)


def mean_reciprocal_rank(scores: Any, relevant: Any, *, ties: str = "expected") -> jax.Array:
    """Mean of 1 / rank of the (first) relevant document; under ties the mean of 1 / rank, not 1 / mean rank.

    A constant scorer over 5 documents with one relevant gets (1 + 1/2 + 1/3 + 1/4 + 1/5) / 5 = .4567.

    Args:
      scores: [..., N]; relevant: int [...] or [..., J] padded with -1; ties: expected, optimistic or pessimistic.

    Returns:
      the mean over all leading axes, a scalar in [0, 1]; `parse_metric("mrr")(scores, relevant)` has it per query.

    Raises:
      InputError: see `counts_from_scores`; an unknown `ties`; no query.
    """
    return mean_over_queries(_metric("mrr")(scores, relevant, ties=ties))


def recall_at_k(scores: Any, relevant: Any, k: int, *, ties: str = "expected") -> jax.Array:
    """Mean share of the relevant documents within the top `k` >= 1; otherwise as in `mean_reciprocal_rank`."""
    return mean_over_queries(_metric("recall", k)(scores, relevant, ties=ties))


def precision_at_k(scores: Any, relevant: Any, k: int, *, ties: str = "expected") -> jax.Array:
    """Mean share of the top `k` >= 1 that is relevant, even where N < k; otherwise as in `mean_reciprocal_rank`."""
    return mean_over_queries(_metric("precision", k)(scores, relevant, ties=ties))


def dcg(scores: Any, relevant: Any, *, k: int | None = None, grades: Any = None, ties: str = "expected") -> jax.Array:
    """Mean of sum_j gain_j / log2(1 + rank_j) over the ranks up to k; otherwise as in `ndcg`."""
    return mean_over_queries(_metric("dcg", k)(scores, relevant, grades=grades, ties=ties))


def ndcg(scores: Any, relevant: Any, *, k: int | None = None, grades: Any = None, ties: str = "expected") -> jax.Array:
    """Mean DCG over that of the ideal order, with linear gains (Jarvelin and Kekalainen 2002).

        DCG = sum_j gain_j 1{rank_j <= k} / log2(1 + rank_j)

    Args:
      scores: [..., N]; relevant: int [...] or [..., J] padded with -1; ties: expected, optimistic or pessimistic.
      k: depth; None for the whole list.
      grades: gains [..., J] >= 0 beside a `relevant` of that shape; None: all 1.

    Returns:
      the mean over all leading axes, a scalar in [0, 1].

    Raises:
      InputError: see `counts_from_scores`; grades of another shape or below 0; an unknown `ties`.
    """
    return mean_over_queries(_metric("ndcg", k)(scores, relevant, grades=grades, ties=ties))


def average_precision(scores: Any, relevant: Any, *, ties: str = "expected") -> jax.Array:
    """Mean over queries of the mean precision at the ranks of relevant documents: as in `mean_reciprocal_rank`."""
    return mean_over_queries(_metric("map")(scores, relevant, ties=ties))


def rank_biased_precision(scores: Any, relevant: Any, p: float = 0.8, *, ties: str = "expected") -> jax.Array:
    """Mean of (1 - p) sum_j p^(rank_j - 1), `p` in (0, 1) (Moffat and Zobel 2008): as in `mean_reciprocal_rank`."""
    return mean_over_queries(_metric("rbp", p)(scores, relevant, ties=ties))


@partial(jax.jit, static_argnums=3)
def _ranks(above: jax.Array, tied: jax.Array, relevant: jax.Array, ties: str) -> jax.Array:
    last = tied.astype(jnp.result_type(float))
    after = {"expected": (last + 1) / 2, "optimistic": jnp.ones_like(last), "pessimistic": last}[ties]
    return jnp.where(relevant < 0, jnp.inf, above + after)


@partial(jax.jit, static_argnums=0)
def _several(metric: Metric, above: jax.Array, tied: jax.Array, worth: Any, table: Any) -> jax.Array:
    return metric.aggregate(metric.weights, tie_law.mean_weight(metric.weights, above, tied, table), above, tied, worth)


def listed_gains(scores: Any, relevant: Any, grades: Any) -> Any:
    """Gains [..., J] from `relevant` and `grades`; None for one relevant document per query."""
    if np.ndim(relevant) < np.ndim(scores):
        words = "grades are given for one relevant document per query; give relevant as [..., J] with grades."
        require(grades is None, words)
        return None
    require(
        grades is None or np.shape(grades) == np.shape(relevant),
        f"grades have shape {np.shape(grades)} and relevant {np.shape(relevant)}; both must be the same.",
    )
    xp = arrays_of(relevant) if is_concrete(relevant, grades) else jnp
    with looking():
        worth = xp.where(xp.asarray(relevant) >= 0, 1.0 if grades is None else xp.asarray(grades, float), 0.0)
    _check_worth(worth)
    return worth


def _check_gains(worth: Any, above: jax.Array) -> None:
    words = f"gains have shape {worth.shape} and counts {above.shape}; both must be the same."
    require(worth.shape == above.shape, words)
    _check_worth(worth)


def _check_worth(worth: Any) -> None:
    require(not isinstance(worth, np.ma.MaskedArray), "gains are masked; fill them, with 0 for what is not relevant.")
    if is_concrete(worth):
        with looking():
            worth = arrays_of(worth).asarray(worth)
            good = bool(((worth >= 0) & (worth < np.inf)).all())
        require(good, "a grade is below 0, infinite or not a number; gains are at least 0.")


_PLAIN: dict[str, tuple[Weights, Aggregate]] = {
    "mrr": (weight_table.reciprocal_rank, aggregates.first),
    "map": (weight_table.reciprocal_rank, aggregates.mean_precision),
    "ndcg": (weight_table.dcg, aggregates.ideal_share),
    "dcg": (weight_table.dcg, aggregates.gain),
}
_WITH_ARGUMENT: dict[str, tuple[Callable[[Any], Weights], Aggregate]] = {
    "recall": (weight_table.recall_at, aggregates.recall),
    "precision": (weight_table.precision_at, aggregates.total),
    "ndcg": (weight_table.dcg_at, aggregates.ideal_share),
    "dcg": (weight_table.dcg_at, aggregates.gain),
    "rbp": (weight_table.rank_biased, aggregates.total),
}

#: What `parse_metric` reads.
KNOWN_METRICS = (*_PLAIN, *(f"{family}@{'P' if family == 'rbp' else 'K'}" for family in _WITH_ARGUMENT))
