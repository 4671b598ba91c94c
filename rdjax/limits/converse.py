"""Simpler converses beside the exact R(D) of Theorem B: Fano from both sides, Shannon's lower bound, Recall@1.

All speak of one relevant document Y with prior P and a ranking of distortion D = 1 - E w(rank), D_min = 1 - w_1. They
are looser than `ranking_rate` and say why it is what it is; Fano's is what equation (5) of the paper meant to be.
Source: theory notes, sections 1.2, 1.3 and 8.
"""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.typing import ArrayLike

from rdjax import checks
from rdjax.information.discrete import binary_entropy
from rdjax.limits.bound import AVERAGED, Bound
from rdjax.limits.rank_problem import RankProblem, above_best, lay_out, pose, refuse_below_best, room, tilted_rate
from rdjax.limits.rank_sums import Prior, check_listed, describe_prior
from rdjax.limits.tilting import Ranks, at_each, largest_slope, pool, tilt
from rdjax.numerics import at_ranks, entropy_nats, floating, on_device, safe_log, to_bits
from rdjax.retrieval.weights import Weights, reciprocal_rank

HALVINGS = 120  # of the bracket of a slope


def fano_bounds(distortion: ArrayLike, prior: Prior, weights: Weights | ArrayLike = reciprocal_rank) -> Bound:
    """R(D) from both sides by the probability that the first document is wrong.

        H(Y) - h(e) - e log2(N - 1) <= R(D) <= H(Y) - h(q) - q H(Y | Y is not the likeliest)
        e = min((D - D_min) / (w_1 - w_2), 1 - 1/N),  q = (1 - P_1) (D - D_min) / (D_max - D_min)

    Left: a wrong first document costs w_1 - w_2 at least. Right: the code that names Y but for a share of the queries,
    for which it says nothing: v = (1 - t) (1, 0, ..., 0) + t P majorizes P. For reciprocal rank e = 2 D, and with a
    uniform prior the right side is H - h(q) - q log2(N - 1) with q >= D: below H - h(D) - D log2(N - 1), which the typo
    in equation (5) of the paper suggests as a lower bound.

    Args:
      distortion: D, any shape.
      prior: law of the relevant document [N], or an int N for the uniform one.
      weights: a function of the rank, or a non-increasing array [N].

    Returns:
      `Bound`, bits, the shape of `distortion`; both sides are H(Y) at D_min (where w_2 < w_1) and the right one is 0 at
      D_max.

    Raises:
      InputError: a distortion below 1 - w_1; a prior that is no law; weights that increase.

    Source: theory notes, section 1.3, generalized to any prior and any weights.
    """
    problem = pose(distortion, prior, weights)
    refuse_below_best(distortion, problem)
    lower, upper = _fano(on_device(distortion, problem.gap.dtype), problem)
    return Bound(lower, upper, "theorem", (describe_prior(prior), AVERAGED))


@jax.jit
def _fano(distortion: jax.Array, problem: RankProblem) -> tuple[jax.Array, jax.Array]:
    above, documents = above_best(distortion, problem.first), problem.documents
    excess, never = jnp.maximum(above, 0), above < -room(above.dtype)
    if problem.uniform:
        mass, likeliest, entropy = problem.count / documents, 1 / documents, jnp.log2(documents)
    else:
        mass = -jnp.sort(-problem.prior)
        likeliest, entropy = mass[0], to_bits(entropy_nats(mass))
    second = problem.gap[min(1, problem.gap.shape[0] - 1)]
    wrong = jnp.minimum(_ratio(excess, second, 1.0), 1 - 1 / documents)
    lower = entropy - binary_entropy(wrong) - wrong * to_bits(safe_log(documents - 1))
    silent = (1 - likeliest) * jnp.minimum(_ratio(excess, _mean(mass, problem.gap), 1.0), 1)
    others = _ratio(entropy - binary_entropy(likeliest), 1 - likeliest, 0.0)
    upper = entropy - binary_entropy(silent) - silent * others
    at_least_0 = lambda side: jnp.where(never, jnp.inf, jnp.maximum(side, 0))
    return at_least_0(lower), at_least_0(upper)


def _mean(law: jax.Array, values: jax.Array) -> jax.Array:
    return jnp.matmul(law, values, precision=lax.Precision.HIGHEST)  # on accelerators `@` has three digits


def _ratio(over: jax.Array, under: jax.Array, otherwise: float) -> jax.Array:
    return jnp.where(under > 0, over / jnp.where(under > 0, under, 1), otherwise)


def shannon_rate(distortion: ArrayLike, prior: Prior, weights: Weights | ArrayLike = reciprocal_rank) -> jax.Array:
    """Shannon's lower bound of R(D): H(Y) - max{ H(p) : <p, w> >= 1 - D }, Theorem A's law whatever the prior.

    It is R(D) where D is at most the threshold of `shannon_threshold`, and strictly below it above.

    Args:
      distortion, prior, weights: as in `fano_bounds`.

    Returns:
      bits, the shape of `distortion`, at least 0; differentiable by the envelope theorem.

    Raises:
      InputError: as in `fano_bounds`.

    Source: theory notes, section 1.2.
    """
    problem = pose(distortion, prior, weights)
    refuse_below_best(distortion, problem)
    return _shannon(on_device(distortion, problem.gap.dtype), problem)


@jax.jit
def _shannon(distortion: jax.Array, problem: RankProblem) -> jax.Array:
    ranks = _unpooled(problem)
    enough = _mean(ranks.count, ranks.gap) / problem.documents  # every law is good enough there
    return at_each(lambda one: tilted_rate(one, problem.first, ranks, enough), distortion, ranks)


def _unpooled(problem: RankProblem) -> Ranks:
    """The ranks of a prior, its order forgotten."""
    return replace(lay_out(problem)[0], pooled=False)


def shannon_threshold(prior: Prior, weights: Weights | ArrayLike = reciprocal_rank) -> tuple[jax.Array, jax.Array]:
    """Where Shannon's lower bound is R(D): for D <= D_c, slopes of at least s_c.

    It is exact where the Gibbs law g_s(k) = exp(s w_k) / Z majorizes the prior, and a steeper one majorizes more.

    Args:
      prior, weights: as in `fano_bounds`.

    Returns:
      D_c, and s_c in bits per unit of distortion; (D_max, 0) for a uniform prior, (-inf, inf) where it is exact
      nowhere, as with a document that nobody wants, or two ranks of equal worth and a prior above 1/2.

    Raises:
      InputError: a prior that is no law; weights that increase.

    Source: theory notes, section 1.2.
    """
    return _threshold(pose(0.0, prior, weights))


@jax.jit
def _threshold(problem: RankProblem) -> tuple[jax.Array, jax.Array]:
    ranks = _unpooled(problem)
    if problem.uniform:
        zero = jnp.zeros_like(problem.best)
        return problem.best + _mean(ranks.count, ranks.gap) / problem.documents, zero
    if problem.prior.shape[0] == 1:
        return problem.best, jnp.zeros_like(problem.best)
    prior = _tails(-jnp.sort(-problem.prior))
    tiny, rounding = jnp.finfo(prior.dtype).tiny, 1 + 8 * jnp.finfo(prior.dtype).eps

    def excess(slope: jax.Array) -> jax.Array:
        """ln of the Gibbs law's mass beyond each rank, over the prior's."""
        weight = jnp.exp(-slope * ranks.gap)
        return jnp.log(jnp.maximum(_tails(weight / jnp.sum(weight)), tiny)) - jnp.log(jnp.maximum(prior, tiny))

    def halve(_: jax.Array, span: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        low, high = span
        middle = (low + high) / 2
        enough = jnp.all(excess(middle) <= jnp.log(rounding))
        return jnp.where(enough, low, middle), jnp.where(enough, middle, high)

    limit = lax.stop_gradient(largest_slope(ranks))
    _, slope = lax.stop_gradient(lax.fori_loop(0, HALVINGS, halve, (jnp.zeros_like(limit), limit)))
    known = jnp.all(lax.stop_gradient(excess(limit)) <= jnp.log(rounding)) & jnp.all(prior > 0)
    value, fall = jax.jvp(excess, (slope,), (jnp.ones_like(slope),))
    binding = jnp.argmax(lax.stop_gradient(value))
    step = _ratio(value[binding], -lax.stop_gradient(fall[binding]), 0.0)
    slope = slope + step - lax.stop_gradient(step)  # the value is the bisection's; the derivative the implicit one
    point = problem.best + tilt(ranks, pool(ranks, slope), slope).mean
    return jnp.where(known, point, -jnp.inf), jnp.where(known, to_bits(slope), jnp.inf)


def _tails(law: jax.Array) -> jax.Array:
    """Mass beyond each rank but the last, added from the small end."""
    return jnp.cumsum(law[::-1])[::-1][1:]


def success_range(
    distortion: ArrayLike, num_documents: int, weights: Weights | ArrayLike = reciprocal_rank
) -> tuple[jax.Array, jax.Array]:
    """What D says of p_S = P(rank = 1), both ends tight: 1 - 2 D <= p_S <= (N (1 - D) - 1) / (N - 1) for RR.

        1 - (D - D_min) / (w_1 - w_2) <= p_S <= 1 - (D - D_min) / (w_1 - w_N)

    A rank that is not 1 costs w_1 - w_2 at least, and w_1 - w_N at most. In place of equation (4) of the paper.

    Args:
      distortion: D, any shape; num_documents: N >= 2.
      weights: a function of the rank, or a non-increasing array [N].

    Returns:
      least and greatest p_S, within [0, 1], the shape of `distortion`.

    Raises:
      InputError: fewer than two documents; another number of weights, or weights that increase; a distortion that
        is not finite.

    Source: theory notes, section 8.
    """
    checks.numbers(distortion, "the distortion")
    n, d = checks.whole(num_documents, "the number of documents", 2), floating(distortion)
    ends = np.array([1.0, 2.0, n])
    worth = at_ranks(weights, ends) if callable(weights) else weights
    check_listed(worth, len(ends) if callable(weights) else n)
    return _success(d, floating(worth))


@jax.jit
def _success(d: jax.Array, worth: jax.Array) -> tuple[jax.Array, jax.Array]:
    first, second, last = worth[0], worth[1], worth[-1]
    excess = above_best(d, first)
    least, most = (1 - _ratio(excess, first - other, empty) for other, empty in ((second, 1.0), (last, 0.0)))
    return jnp.clip(least, 0, 1), jnp.clip(most, 0, 1)
