"""Smooth versions of every rank metric, by one slot: the function that ranks.

    mrr = smooth_metric("mrr", scores, relevant)                               sigmoid ranks
    mrr = smooth_metric("mrr", scores, relevant, rank_fn=PooledRanks(0.02))    soft sort

What a document is worth is read at its soft rank. A metric with a cutoff loses its jump: a document at rank r counts by
sigmoid((k + 1/2 - r) / (width (k + 1/2))), one half between ranks k and k + 1.
"""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from rdjax.checks import numbers
from rdjax.retrieval import aggregates
from rdjax.retrieval.metrics import Metric, listed_gains, parse_metric
from rdjax.retrieval.scores import check_relevant, is_listed, is_sound, working
from rdjax.retrieval.soft_ranks import RankFunction, SigmoidRanks

USUAL = SigmoidRanks()


def smooth_metric(
    metric: Metric | str,
    scores: ArrayLike,
    relevant: ArrayLike,
    *,
    grades: ArrayLike | None = None,
    rank_fn: RankFunction = USUAL,
    width: ArrayLike = 0.05,
) -> jax.Array:
    """A metric of soft ranks: differentiable in the scores, and close to the hard metric (see `SigmoidRanks`).

    Args:
      metric: a name that `parse_metric` reads, or a `Metric`.
      scores: [..., N]; -inf for documents that cannot be, as a large negative number widens the scale of soft ranks.
      relevant: int [...], or [..., J] padded with -1.
      grades: gains [..., J] >= 0 beside a `relevant` of that shape; None: all 1.
      rank_fn: (scores, listed documents, among) to ranks; see `soft_ranks`.
      width: of a cutoff, relative to its rank, a number above 0; lower is closer to the jump and has fewer gradients.

    Returns:
      value at each query [...]. Under jit, where values cannot be refused, NaN for a query with a NaN score or a
      relevant document that is none of the list.

    Raises:
      InputError: an unknown metric; shapes that do not belong together; an index out of range; a width that is not
        above 0.
    """
    metric = parse_metric(metric) if isinstance(metric, str) else metric
    numbers(width, "the width of a cutoff", 0, ends=False)
    scores, relevant = working(scores), jnp.asarray(relevant)
    check_relevant(scores, relevant)
    several = listed_gains(scores, relevant, grades)
    listed = relevant if several is not None else relevant[..., None]
    gains = jnp.ones(listed.shape, scores.dtype) if several is None else jnp.asarray(several, scores.dtype)
    ranks = rank_fn(scores, listed)
    smooth = getattr(metric.weights, "smooth", lambda rank, _: metric.weights(rank))  # any function of the rank will do
    worth = smooth(ranks, width)
    if metric.aggregate is aggregates.first:
        value = jnp.max(jnp.where(gains > 0, worth, 0), axis=-1)
    elif metric.aggregate is aggregates.mean_precision:
        relevant_ones = is_listed(jnp.where(gains > 0, listed, scores.shape[-1]), scores.shape[-1])
        precision = rank_fn(scores, listed, relevant_ones) / ranks
        value = aggregates.recall(metric.weights, precision, ranks, ranks, gains)
    else:
        value = metric.aggregate(metric.weights, worth, ranks, ranks, gains)
    return jnp.where(is_sound(scores, relevant), value, jnp.nan)
