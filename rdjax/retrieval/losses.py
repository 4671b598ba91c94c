"""What ranking models are trained on, in nats as training losses are: smooth, convex in the scores, lowest when right.

Scores are [M, ..., N], one matrix per modality, and divided by temperatures tau [M] before they are added; so the same
losses train temperatures. Every loss is a mean over lists, of which there must be one, a scalar.
"""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from rdjax.checks import require
from rdjax.retrieval.posteriors import log_probability, log_weights
from rdjax.retrieval.scores import (
    check_relevant,
    check_temperatures,
    checked_scores,
    fused_scores,
    is_listed,
    listed_documents,
    mean_over_queries,
)
from rdjax.retrieval.soft_ranks import in_blocks


def listwise_loss(
    scores: ArrayLike, relevant: ArrayLike, temperatures: ArrayLike, *, prior: ArrayLike | None = None
) -> jax.Array:
    """Cross-entropy of the posterior: -ln q(Y | x), the mean over the relevant documents of a list.

        q(k | x) proportional to prior(k) exp(sum_m s_m(x, k) / tau_m)

    In bits it is what `calibrate_temperatures` minimizes; 2^-bits is a floor of MRR (theory notes, section 4).

    Args:
      scores: [M, ..., N].
      relevant: int [...], or [..., J] padded with -1.
      temperatures: tau [M] > 0.
      prior: [N]; None for the uniform one.

    Raises:
      InputError: shapes that do not belong together, an index out of range.
    """
    scores, relevant = checked_scores(scores), jnp.asarray(relevant)
    require(scores.ndim > 1 and len(scores) > 0, f"scores have shape {scores.shape}; they must be [M, ..., N].")
    check_relevant(scores[0], relevant)
    logits = log_weights(scores, temperatures, prior)
    listed = listed_documents(relevant, logits)
    own = log_probability(logits, jnp.maximum(listed, 0))
    count = jnp.sum(listed >= 0, axis=-1)
    return -_over_judged(jnp.sum(jnp.where(listed >= 0, own, 0), axis=-1) / jnp.maximum(count, 1), count)


def pairwise_loss(scores: ArrayLike, relevant: ArrayLike, temperatures: ArrayLike) -> jax.Array:
    """Logistic loss of every (relevant, other) pair: the mean of softplus(s_other - s_relevant), fused scores.

    Args:
      scores: [M, ..., N].
      relevant: int [...], or [..., J] padded with -1; pairs of two relevant documents do not count,
        nor those with a document that cannot be (-inf).
      temperatures: tau [M] > 0.

    Raises:
      InputError: shapes that do not belong together, an index out of range.

    Source: RankNet, Burges et al. 2005.
    """
    scores, relevant = checked_scores(scores), jnp.asarray(relevant)
    require(scores.ndim > 1 and len(scores) > 0, f"scores have shape {scores.shape}; they must be [M, ..., N].")
    check_relevant(scores[0], relevant)
    return _pairwise(_fused(scores, temperatures), relevant)


@jax.jit
def _pairwise(fused: jax.Array, relevant: jax.Array) -> jax.Array:
    listed = listed_documents(relevant, fused)
    judged = listed >= 0
    others = ~is_listed(jnp.where(judged, listed, fused.shape[-1]), fused.shape[-1])
    others &= fused != -jnp.inf
    own = jnp.take_along_axis(fused, jnp.maximum(listed, 0), axis=-1)

    def lost(entry: jax.Array) -> jax.Array:
        return jnp.sum(jnp.where(others, jnp.logaddexp(fused - entry[..., None], 0), 0), axis=-1)

    total = jnp.sum(jnp.where(judged, in_blocks(lost, own, fused.size), 0), axis=-1)
    pairs = jnp.sum(judged, axis=-1).astype(total.dtype) * jnp.sum(others, axis=-1)  # more than int32 counts
    return _over_judged(total / jnp.maximum(pairs, 1), jnp.sum(judged, axis=-1))


def _over_judged(losses: jax.Array, relevant: jax.Array) -> jax.Array:
    """The mean over the lists that have a relevant document; 0 where none has one."""
    judged = relevant > 0
    total = mean_over_queries(jnp.where(judged, losses, 0))
    return total / jnp.maximum(mean_over_queries(judged.astype(losses.dtype)), jnp.finfo(losses.dtype).tiny)


def contrastive_loss(scores: ArrayLike, temperatures: ArrayLike) -> jax.Array:
    """InfoNCE in both directions over a batch: each query among the documents, each document among the queries.

        (1/2) mean_i [-ln softmax_k(s_ik)_i - ln softmax_k(s_ki)_i],   s = sum_m s_m / tau_m

    ln N less the loss is a lower bound of I(query; document) in nats (`information.infonce` has it in bits).

    Args:
      scores: [M, N, N], pairs on the diagonal; -inf where query and document cannot go together, and inf is
        returned if these are a pair.
      temperatures: tau [M] > 0.

    Raises:
      InputError: scores that are not [M, N, N].

    Source: van den Oord et al. 2018; Radford et al. 2021.
    """
    scores = checked_scores(scores)
    require(
        scores.ndim == 3 and scores.shape[1] == scores.shape[2],
        f"scores have shape {scores.shape}; a batch of pairs is [modalities, N, N].",
    )
    fused = _fused(scores, temperatures)
    possible = jnp.diagonal(fused) != -jnp.inf
    # where the pair cannot be, a row may have nothing that can: its sum is of a stand-in, so that no gradient is NaN
    fused = jnp.where(jnp.diag(~possible), 0, fused)
    each = jax.nn.logsumexp(fused, axis=0) + jax.nn.logsumexp(fused, axis=1) - 2 * jnp.diagonal(fused)
    return mean_over_queries(jnp.where(possible, each, jnp.inf)) / 2


def _fused(scores: jax.Array, temperatures: ArrayLike) -> jax.Array:
    """sum_m s_m / tau_m."""
    check_temperatures(temperatures)
    tau = jnp.asarray(temperatures, scores.dtype)
    require(
        tau.shape == scores.shape[:1],
        f"scores have shape {scores.shape} and temperatures {tau.shape}; both start with the modalities.",
    )
    return fused_scores(scores, tau)
