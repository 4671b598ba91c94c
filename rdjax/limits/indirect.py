"""Data processing sharpened: what Theorem B says when a query only suggests its document, without any search.

The source is X with law p; its posterior q_x(y) = P(Y = y | X = x) is known, and C is made from X. Then

    I(X; C) >= I(Y; C) / eta,    I(Y; C) >= H(Y) - max{ H(v) : v majorizes P_Y, v_X majorizes v, <v, w> >= 1 - D }

with v_X = E[sorted q_X], which no ranking's law of the rank is better than, and eta <= 1 the contraction of the channel
from X to Y. With Y = y(X) it is Theorem B, hence exact; in general it can be arbitrarily loose, as I(X; C | Y) is left
out, and `relevance_bounds` is the better bound. Source: theory notes, section 2.1.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.typing import ArrayLike

from rdjax import checks
from rdjax.limits.rank_problem import RankProblem, pose, refuse_below_best, room, tilted_rate
from rdjax.limits.tilting import Ranks, at_each, pool
from rdjax.numerics import entropy_nats, floating, on_device, to_bits
from rdjax.retrieval.weights import Weights, reciprocal_rank

HIGHEST = lax.Precision.HIGHEST


def dobrushin_coefficient(posteriors: ArrayLike) -> jax.Array:
    """max_{x, x'} TV(q_x, q_x'): I(Y; C) is at most this times I(X; C), for every C made from X.

    Args:
      posteriors: P(y | x), [X, N]; every pair of queries is compared, X^2 N operations.

    Returns:
      a number in [0, 1]; 1 where two queries have no relevant document in common.

    Raises:
      InputError: posteriors that are no laws.

    Source: Dobrushin 1956; Cohen, Iwasa, Rautu, Ruskai, Seneta and Zbaganu 1993.
    """
    return _farthest(_posteriors(posteriors))


@jax.jit
def _farthest(rows: jax.Array) -> jax.Array:
    farthest = lax.map(lambda row: jnp.max(jnp.sum(jnp.abs(rows - row[None]), axis=1)), rows)
    return jnp.minimum(jnp.max(farthest) / 2, 1)


def doeblin_coefficient(posteriors: ArrayLike) -> jax.Array:
    """1 - sum_y min_x q_x(y): never below `dobrushin_coefficient`, for X N operations.

    Args:
      posteriors: P(y | x), [X, N].

    Returns:
      a number in [0, 1].

    Raises:
      InputError: posteriors that are no laws.

    Source: Doeblin 1937; theory notes, section 2.1.
    """
    return jnp.clip(1 - jnp.sum(jnp.min(_posteriors(posteriors), axis=0)), 0, 1)


def indirect_rate(
    distortion: ArrayLike,
    posteriors: ArrayLike,
    *,
    source: ArrayLike | None = None,
    weights: Weights | ArrayLike = reciprocal_rank,
    contraction: ArrayLike = 1.0,
) -> jax.Array:
    """Bits per query below which no code ranks at this distortion, from the laws of X and Y in closed form.

    Args:
      distortion: D = 1 - E w(rank of Y), any shape.
      posteriors: P(y | x), [X, N], rows sum to one.
      source: law of the queries [X]; None for equiprobable.
      weights: a function of the rank, or a non-increasing array [N].
      contraction: a number eta, e.g. `dobrushin_coefficient(posteriors)`; 1 leaves it out.

    Returns:
      bits, the shape of `distortion`; inf below D_min = 1 - <v_X, w>, which no code reaches, and at D_min itself
      (H(Y) - H(v_X)) / eta at least. Differentiable in all but the order of documents. The time is that of up to N^2
      steps a slope.

    Raises:
      InputError: posteriors or a source that are no laws, a distortion below 1 - w_1, weights that increase, a
        contraction outside [0, 1].

    Source: theory notes, section 2.1 (a) and (b).
    """
    checks.numbers(contraction, "the contraction", 0, 1)
    rows = _posteriors(posteriors)
    if source is not None:
        checks.law(source, "the source")
        checks.require(
            np.shape(source) == rows.shape[:1], f"the source has shape {np.shape(source)} for {rows.shape[0]} queries."
        )
    law = floating(np.full(rows.shape[0], 1 / rows.shape[0], rows.dtype) if source is None else source)
    law = law / jnp.sum(law)
    problem = pose(distortion, jnp.matmul(law, rows, precision=HIGHEST), weights)
    refuse_below_best(distortion, problem)
    return _rate(on_device(distortion, problem.gap.dtype), problem, law, rows, on_device(contraction))


@jax.jit
def _rate(
    distortion: jax.Array, problem: RankProblem, law: jax.Array, rows: jax.Array, contraction: jax.Array
) -> jax.Array:
    dtype = problem.gap.dtype
    falling = lambda table: -jnp.sort(-table.astype(dtype))
    most, mass = jnp.matmul(law.astype(dtype), falling(rows), precision=HIGHEST), falling(problem.prior)
    ranks = Ranks(problem.gap, problem.count, mass, entropy_nats(mass), True, most)
    least, worst = jnp.matmul(jnp.stack([most, ranks.mass]), ranks.gap, precision=HIGHEST)
    again = lambda blocks, slope: pool(ranks, slope)  # for the gradient of its masses
    at = lambda one: tilted_rate(one, problem.first, ranks, worst, least=least, slack=4, differentiable=again)
    rate = at_each(at, distortion, ranks)
    noise = to_bits(room(dtype) * (1 + ranks.entropy))  # of a rate: a small contraction must not make bits of it
    rate = jnp.where(contraction < 1, jnp.maximum(rate - noise, 0), rate)
    passes = ~(contraction <= 0)  # else nothing of the query comes through: no rate is any use, none is needed or all
    return jnp.where(passes, rate / jnp.where(passes, contraction, 1), jnp.where(rate > 0, jnp.inf, rate))


def _posteriors(posteriors: ArrayLike) -> jax.Array:
    shape = np.shape(posteriors)
    checks.require(len(shape) == 2 and min(shape) > 0, f"the posteriors have shape {shape}; they must be [X, N].")
    checks.law(posteriors, "a posterior")
    rows = floating(posteriors)
    return rows / jnp.sum(rows, axis=1, keepdims=True)  # or D_min is off by what their sums are
