"""How the worths of several relevant documents add up to a metric of their list.

Each takes (weights, mean, above, tied, gains): the weight function, its mean over the tie orders of each document, the
counts, and the gains (0: not relevant), all [..., J]; and returns [...]. A list with nothing relevant is worth 0.
"""

import jax
import jax.numpy as jnp

from rdjax.retrieval.ties import at_rank, first_weight, group_counts
from rdjax.retrieval.weights import Weights


def first(weights: Weights, mean: jax.Array, above: jax.Array, tied: jax.Array, gains: jax.Array) -> jax.Array:
    """Worth of the first relevant document, by the joint law of its tie group."""
    return first_weight(weights, above, tied, gains > 0, mean)


def total(weights: Weights, mean: jax.Array, above: jax.Array, tied: jax.Array, gains: jax.Array) -> jax.Array:
    """Sum of the worths."""
    return jnp.sum(jnp.where(gains > 0, mean, 0.0), axis=-1)


def recall(weights: Weights, mean: jax.Array, above: jax.Array, tied: jax.Array, gains: jax.Array) -> jax.Array:
    """Mean of the worths over the relevant documents."""
    return total(weights, mean, above, tied, gains) / jnp.maximum(jnp.sum(gains > 0, axis=-1), 1)


def gain(weights: Weights, mean: jax.Array, above: jax.Array, tied: jax.Array, gains: jax.Array) -> jax.Array:
    """Sum of gain times worth."""
    return jnp.sum(gains * mean, axis=-1)


def ideal_share(weights: Weights, mean: jax.Array, above: jax.Array, tied: jax.Array, gains: jax.Array) -> jax.Array:
    """Sum of gain times worth, over that of the order by gain."""
    place = jax.lax.broadcasted_iota(jnp.int32, gains.shape, gains.ndim - 1)
    ideal = jnp.sum(jnp.sort(gains, axis=-1, descending=True) * at_rank(weights, place + 1), axis=-1)
    return gain(weights, mean, above, tied, gains) / jnp.where(ideal > 0, ideal, 1.0)


def mean_precision(weights: Weights, mean: jax.Array, above: jax.Array, tied: jax.Array, gains: jax.Array) -> jax.Array:
    """Mean over the relevant documents of precision at their ranks; `mean` is of reciprocal rank.

    The document at place i of its tie group meets 1 + A + c (i - 1) relevant ones at rank a + i, c = (r - 1) / (t - 1).
    Averaged over i, with sum_i (i - 1) / (a + i) = t - (a + 1) sum_i 1 / (a + i) and `mean` = sum_i 1 / (a + i) / t.
    """
    better, peers = group_counts(above, gains > 0)
    share = (peers - 1) / jnp.maximum(tied - 1, 1).astype(mean.dtype)
    precision = (1 + better) * mean + share * jnp.where(tied > 1, 1.0 - (above + 1) * mean, 0.0)
    return recall(weights, precision, above, tied, gains)
