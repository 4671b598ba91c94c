"""A floor for queries with several relevant documents, when the metric looks at the first of them.

Let f_y = P(y is relevant). Whatever the ranking, its first relevant rank K is stochastically no better than the law
p_k = min(f_(k), 1 - sum_{j<k} p_j) (union bound), so E_X e^{s w_K} <= sum_k p_k e^{s w_k} for every fixed ranking,
and the Donsker-Varadhan inequality with the test function s w_K gives, for every s >= 0,

    I(X; C) >= s E w_K - ln sum_k p_k e^{s w_k}    (nats).

The floor is the best s. With one relevant document a query it is Theorem B without majorization, hence weaker.
Source: theory notes, section 1.7.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.typing import ArrayLike

from rdjax import checks
from rdjax.limits.bound import AVERAGED, Bound
from rdjax.limits.rank_problem import above_best, check_every_rank
from rdjax.limits.rank_sums import check_weights
from rdjax.limits.tilting import Ranks, at_each, distortion_residual, refine, solve_slope, tilt
from rdjax.numerics import floating, on_device, to_bits
from rdjax.retrieval.weights import Weights, reciprocal_rank


def first_relevant_law(frequencies: ArrayLike) -> jax.Array:
    """p_k = min(f_(k), 1 - sum_{j<k} p_j): the best law any ranking can give the first relevant rank.

    Args:
      frequencies: f_y = P(document y is relevant), [N], each in [0, 1]; their sum may exceed one.

    Returns:
      [N], non-increasing, with sum at most one (less where some query has no relevant document).

    Raises:
      InputError: frequencies outside [0, 1].
    """
    checks.numbers(frequencies, "the relevance frequencies", 0, 1)
    checks.require(np.ndim(frequencies) > 0, "the relevance frequencies are a number; give one a document, [N].")
    return _law(floating(frequencies))


@jax.jit
def _law(frequencies: jax.Array) -> jax.Array:
    falling = -jnp.sort(-frequencies)
    before = lax.cummax(jnp.cumsum(falling))[:-1]  # sums of blocks may fall by an ulp from one to the next
    left = jnp.append(jnp.ones_like(falling[:1]), jnp.maximum(1 - before, 0))
    return jnp.minimum(falling, left)


def first_relevant_rate(
    distortion: ArrayLike, frequencies: ArrayLike, weights: Weights | ArrayLike = reciprocal_rank
) -> jax.Array:
    """Bits per query below which no code's first relevant documents rank this well: max_s of the display above.

    Args:
      distortion: D = 1 - E w(first relevant rank), any shape.
      frequencies: f_y = P(document y is relevant), [N].
      weights: a function of the rank, or a non-increasing array [N].

    Returns:
      bits, the shape of `distortion`; 0 where no bits are needed. Differentiable in all three by the envelope theorem.

    Raises:
      InputError: frequencies outside [0, 1]; a distortion below 1 - w_1; weights that increase or
        are not one a document.
    """
    if checks.is_concrete(frequencies):
        given = np.asarray(frequencies)
        good = given.ndim == 1 and given.size > 0 and bool(np.all((given >= 0) & (given <= 1)))
        checks.require(good, "the relevance frequencies must be an array [N] of numbers in [0, 1].")
    law = first_relevant_law(frequencies)
    xp = np if checks.is_concrete(frequencies) else jnp
    documents = law.shape[0]
    if callable(weights):
        check_every_rank(weights, documents)
        worth = weights(xp.arange(1, documents + 1, dtype=law.dtype))
    else:
        shape = np.shape(weights)
        checks.require(shape == (documents,), f"the weights have shape {shape} for {documents} documents.")
        if checks.is_concrete(weights):
            check_weights(np.asarray(weights, np.float64))
        worth = floating(weights)
    if checks.is_concrete(distortion) and checks.is_concrete(worth):
        reached = np.min(np.asarray(distortion, np.float64), initial=np.inf) >= 1 - float(np.asarray(worth)[0]) - 1e-6
        checks.require(bool(reached), "a distortion is below 1 - w_1, which a perfect ranking has; no rate reaches it.")
    return _rate(on_device(distortion, law.dtype), law, worth)


@jax.jit
def _rate(distortion: jax.Array, law: jax.Array, worth: jax.Array) -> jax.Array:
    missing = jnp.maximum(1 - jnp.sum(law), 0)  # queries without a relevant document earn nothing
    mass, gap = jnp.append(law, missing), worth[0] - jnp.append(worth, 0.0)
    ranks = Ranks(gap, mass, mass, jnp.zeros((), law.dtype), False)

    def at(one: jax.Array) -> jax.Array:
        target = jnp.maximum(above_best(one, worth[0]), 0)
        slope, blocks = solve_slope(target, ranks, distortion_residual)
        slope = refine(target, ranks, blocks, slope, distortion_residual)
        nats = -tilt(ranks, blocks, slope).psi - slope * target
        return jnp.where((target >= jnp.sum(mass * gap)) | (nats <= 0), 0, to_bits(nats))

    return at_each(at, distortion, ranks.gap.shape[0])


def first_relevant_bound(
    distortion: ArrayLike, frequencies: ArrayLike, weights: Weights | ArrayLike = reciprocal_rank
) -> Bound:
    """`first_relevant_rate` as a floor with its evidence and what it rests on."""
    rests = ("the given relevance frequencies", AVERAGED)
    return Bound.at_least(first_relevant_rate(distortion, frequencies, weights), "theorem", *rests)
