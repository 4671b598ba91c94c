"""Answers written from k retrieved passages: the error in two parts, and what bits alone force on it.

A code of the query shows k passages. The answer is wrong with probability

    P(wrong) = P(miss) P(wrong | miss) + P(hit) P(wrong | hit),   hit: the sought document is among the k,

the error of retrieval and that of the generator; `answer_error` measures them. By Theorem B (Theorem C for one query
alone) no code of so many bits has P(hit) above h = 1 - D, the ceiling of recall@k. So, with e the generator's errors,

    P(wrong) >= e_miss - h max(e_miss - e_hit, 0)      if its error given hit or miss does not depend on the code,
    P(wrong) >= 1 - h - P(right, miss)                 for every generator and code, P(right, miss) as measured,

the second because P(wrong) >= P(wrong, miss) = P(miss) - P(right, miss). Both are attained when the encoder knows the
sought document; the second by a generator that is never wrong on a hit. This is the decomposition that section 9 of the
paper conjectures, without a divergence term: the generator's part is measured. Every rate in bits a query.

Source: theory notes, sections 1.2 and 1.5, with recall@k as the metric; the law of total probability.
"""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from rdjax import checks
from rdjax.limits.bound import Bound
from rdjax.limits.one_shot import one_shot_distortion
from rdjax.limits.rank_sums import Prior, checked_size
from rdjax.limits.ranking import ranking_distortion
from rdjax.numerics import floating
from rdjax.retrieval.weights import recall_at


@dataclass(frozen=True)
class AnswerError:
    """Four counts of queries, and what follows from them; each Bound is an interval that holds with chance `level`.

    Args:
      wrong_misses, right_misses, wrong_hits, right_hits: queries of each kind.
      level: of each interval (Clopper and Pearson 1934: exact for independent queries, never shorter).
    """

    wrong_misses: int
    right_misses: int
    wrong_hits: int
    right_hits: int
    level: float

    @property
    def queries(self) -> int:
        """How many there are."""
        return self.wrong_misses + self.right_misses + self.wrong_hits + self.right_hits

    @property
    def wrong(self) -> Bound:
        """P(wrong)."""
        return self._share(self.wrong_misses + self.wrong_hits, self.queries)

    @property
    def miss(self) -> Bound:
        """P(miss), the error of retrieval."""
        return self._share(self.wrong_misses + self.right_misses, self.queries)

    @property
    def wrong_given_miss(self) -> Bound:
        """P(wrong | miss); nothing, [0, 1], is known of it without a miss."""
        return self._share(self.wrong_misses, self.wrong_misses + self.right_misses)

    @property
    def wrong_given_hit(self) -> Bound:
        """P(wrong | hit), the error that is the generator's own."""
        return self._share(self.wrong_hits, self.wrong_hits + self.right_hits)

    @property
    def right_and_miss(self) -> Bound:
        """P(right, miss): answers that needed no passage."""
        return self._share(self.right_misses, self.queries)

    def _share(self, count: int, of: int) -> Bound:
        from scipy.special import betaincinv

        tail = (1 - self.level) / 2
        low = float(betaincinv(count, of - count + 1, tail)) if count > 0 else 0.0
        high = float(betaincinv(count + 1, of - count, 1 - tail)) if count < of else 1.0
        return Bound(low, high, "estimate", (f"{of:,} independent queries", f"interval of {self.level:.0%}"))


def answer_error(hits: Any, wrong: Any, *, level: float = 0.95) -> AnswerError:
    """The error of answers, split into what retrieval missed and what the generator got wrong.

    Args:
      hits: bool [Q], whether the sought document was among the passages that were read.
      wrong: bool [Q], whether the answer was wrong.
      level: of the intervals, in (0, 1).

    Returns:
      `AnswerError`; wrong = miss wrong_given_miss + (1 - miss) wrong_given_hit holds exactly for the counts.

    Raises:
      InputError: lists of different lengths, none at all, entries other than 0 and 1, a level that makes no sense.
    """
    hits, wrong = np.asarray(hits), np.asarray(wrong)
    checks.require(
        hits.ndim == 1 and hits.shape == wrong.shape and hits.size > 0,
        f"hits have shape {hits.shape} and wrong {wrong.shape}; both need the same queries, at least one.",
    )
    checks.require(
        bool(np.isin(hits, (0, 1)).all() and np.isin(wrong, (0, 1)).all()), "hits and wrong must hold only 0 and 1."
    )
    checks.require(0 < level < 1, f"the level is {level}; a coverage lies between 0 and 1.")
    hit, bad = hits.astype(bool), wrong.astype(bool)
    counts = [int(np.sum(both)) for both in (~hit & bad, ~hit & ~bad, hit & bad, hit & ~bad)]
    return AnswerError(counts[0], counts[1], counts[2], counts[3], level)


def least_answer_error(
    rate: ArrayLike,
    prior: Prior,
    k: int,
    wrong_given_hit: ArrayLike,
    wrong_given_miss: ArrayLike,
    *,
    alone: bool = False,
) -> jax.Array:
    """Least P(wrong) with k passages found by a code of so many bits: e_miss - h max(e_miss - e_hit, 0).

    Assumes that the errors given hit and given miss are those of the generator, whatever the code, list and document.

    Args:
      rate: bits a query, any shape, at least 0.
      prior: law of the sought document, [N], or an int N for the uniform one.
      k: passages read, at least 1.
      wrong_given_hit, wrong_given_miss: probabilities, of shapes that broadcast with `rate`.
      alone: False: bits on average over a stream (Theorem B); True: floor(2^rate) codewords for each query (Theorem C;
        with an int prior the rate must be concrete).

    Returns:
      probability; differentiable in everything but k (in the rate not when `alone`).

    Raises:
      InputError: a negative rate, a prior that is no law, k below 1, a probability outside [0, 1].
    """
    for error in (wrong_given_hit, wrong_given_miss):
        checks.numbers(error, "an error of the generator", 0, 1)
    hit, miss = floating(wrong_given_hit), floating(wrong_given_miss)
    return miss - (1 - _least_miss(rate, prior, k, alone)) * jnp.maximum(miss - hit, 0.0)


def least_error_beyond_luck(
    rate: ArrayLike, prior: Prior, k: int, right_and_miss: ArrayLike, *, alone: bool = False
) -> jax.Array:
    """Least P(wrong) of any generator whatever: max(1 - h - P(right, miss), 0); nothing is assumed.

    Args:
      rate, prior, k, alone: as in `least_answer_error`.
      right_and_miss: P(right, miss), a joint probability of the shape of `rate`, as `AnswerError.right_and_miss`
        measures it (take `upper`).

    Returns:
      probability; errors as in `least_answer_error`.
    """
    checks.numbers(right_and_miss, "P(right, miss)", 0, 1)
    return jnp.maximum(_least_miss(rate, prior, k, alone) - floating(right_and_miss), 0.0)


def _least_miss(rate: ArrayLike, prior: Prior, k: int, alone: bool) -> jax.Array:
    """1 - h."""
    metric = recall_at(checks.whole(k, "k"))
    if not alone:
        return ranking_distortion(rate, prior, metric)
    if checks.is_concrete(rate):
        checks.require(bool(np.all(np.asarray(rate) >= 0)), "a rate is negative or NaN; rates are bits, at least 0.")
    return one_shot_distortion(_codewords(rate, checked_size(prior)), prior, metric)


def _codewords(rate: ArrayLike, documents: int) -> Any:
    """floor(2^rate), at most one a document; log2 of a whole number, rounded as it is, gives that number back."""
    most = np.log2(documents)
    if checks.is_concrete(rate):
        bits = np.asarray(rate)
        return np.floor(np.exp2(np.minimum(bits.astype(np.float64), most)) * _room(bits.dtype)).astype(np.int64)
    traced = floating(rate)
    return jnp.floor(jnp.exp2(jnp.minimum(traced, most)) * _room(traced.dtype)).astype(jnp.int32)


def _room(dtype: Any) -> float:
    """What 2^rate may have lost to the precision that the rate was given in."""
    return 1 + max(1e-14, 16 * float(jnp.finfo(dtype).eps) if jnp.issubdtype(dtype, jnp.floating) else 0.0)
