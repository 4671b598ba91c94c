"""The exact rate-distortion function of a rank metric: Theorems A and B.

The source is Y, the index of the relevant document, with prior P; a code shows a ranking; the distortion is
1 - w(rank of Y). For any query X with relevant document Y and any code, I(X; C) >= R(D); with Y = y(X) it is attained.

    Theorem A (uniform prior):  R(D) = log2 N - max{ H(p) : <p, w> >= 1 - D }
    Theorem B (any prior):      R(D) = H(P) - max{ H(v) : v majorizes P, <v, w> >= 1 - D }

Both speak of averages over a stream of queries; a single fixed-length code is bound by Theorem C (`one_shot`). Source:
theory notes, sections 1.1 and 1.2. They replace equations (5) and (7) of the paper, which are false as printed.

Gradients: the rate by the envelope theorem and the slope by implicit differentiation, so first and second
derivatives in the distortion, the prior and an array of weights are exact wherever the blocks of equal tilt do not
change; there R has a kink in its second derivative. At D_min the derivative is minus infinity and a large finite number
is returned. At rate 0 the derivative of D(R) is the one-sided one, -1 over the slope at D_max, and a large finite
number where that is 0.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.typing import ArrayLike

from rdjax import checks
from rdjax.limits.bound import AVERAGED, Bound
from rdjax.limits.rank_problem import RankProblem, lay_out, pose, refuse_below_best, room, tilted_rate
from rdjax.limits.rank_sums import Prior, describe_prior
from rdjax.limits.tilting import (
    Blocks,
    Ranks,
    at_each,
    largest_slope,
    pool,
    rate_residual,
    refine,
    solve_slope,
    tilt,
)
from rdjax.numerics import on_device, to_bits, to_nats
from rdjax.retrieval.weights import Weights, reciprocal_rank
from rdjax.trees import register_dataclass


@register_dataclass
@dataclass(frozen=True)
class RankingCurve:
    """Points of R(D): rate in bits, distortion, slope s = -dR/dD in bits per unit of distortion; equal shapes."""

    rate: jax.Array
    distortion: jax.Array
    slope: jax.Array


@register_dataclass
@dataclass(frozen=True)
class RankingRange:
    """Where R(D) lives: no ranking is better than `best`; at `worst` and above the rate is 0.

    `rate_at_best` in bits is R(D_min); `slope_at_worst` in bits per unit of distortion is -dR/dD just below D_max,
    zero for a uniform prior and positive for a skewed one. All four are scalars.
    """

    best: jax.Array
    worst: jax.Array
    rate_at_best: jax.Array
    slope_at_worst: jax.Array


def ranking_rate(distortion: ArrayLike, prior: Prior, weights: Weights | ArrayLike = reciprocal_rank) -> jax.Array:
    """Fewest bits per query with which any code ranks at this distortion: R(D), Theorem B (Theorem A if uniform).

    Args:
      distortion: D = 1 - E w(rank), any shape.
      prior: law of the relevant document, [N], or an int N for the uniform one (up to 1e15).
      weights: a function of the rank, or a non-increasing array [N].

    Returns:
      bits, the shape of `distortion`; 0 at and above D_max = 1 - sum_k P_(k) w_k.

    Raises:
      InputError: a distortion below D_min = 1 - w_1, which no ranking reaches (inf under jit); a prior that is no law;
        weights that increase.

    In float32 the value is good to about 1e-5 bits up to 10,000 documents with a prior array; longer priors want
    float64. The uniform prior is good to 1e-5 in float32 and 1e-12 in float64 at any N, but for what rounding the
    distortion to that precision changes: the slope times 3e-8 in float32, which small w_1 make the larger part.
    """
    problem = pose(distortion, prior, weights)
    refuse_below_best(distortion, problem)
    return _over(_rate, problem, distortion)


def ranking_distortion(rate: ArrayLike, prior: Prior, weights: Weights | ArrayLike = reciprocal_rank) -> jax.Array:
    """Least distortion at which any code with this many bits per query ranks: D(R), the inverse of `ranking_rate`.

    Args:
      rate: bits, any shape, at least 0; above R(D_min) the answer stays D_min.
      prior, weights: as in `ranking_rate`.

    Returns:
      distortion, the shape of `rate`.

    Raises:
      InputError: a negative rate; a prior that is no law; weights that increase.
    """
    problem = pose(rate, prior, weights)
    if checks.is_concrete(rate):
        checks.require(bool(np.all(np.asarray(rate) >= 0)), "a rate is negative or NaN; rates are bits, at least 0.")
    return _over(_distortion, problem, rate)


def ranking_curve(slopes: ArrayLike, prior: Prior, weights: Weights | ArrayLike = reciprocal_rank) -> RankingCurve:
    """Points of R(D) at given slopes, without any search: one pooling a slope.

    Args:
      slopes: s = -dR/dD, bits per unit of distortion, any shape, at least 0.
      prior, weights: as in `ranking_rate`.

    Returns:
      rate (bits) and distortion at each slope. At slope 0 the point is (0, D_max).

    Raises:
      InputError: a slope that is negative or not finite; a prior that is no law; weights that increase.
    """
    problem = pose(slopes, prior, weights)
    if checks.is_concrete(slopes):
        most = float(jnp.finfo(problem.gap.dtype).max)
        good = bool(np.all((np.asarray(slopes) >= 0) & (np.asarray(slopes, np.float64) < most)))
        checks.require(good, "a slope is negative, infinite or NaN; slopes are finite and at least 0.")
    rate, distortion = _over(_curve, problem, slopes)
    return RankingCurve(rate, distortion, on_device(slopes, rate.dtype))


def ranking_range(prior: Prior, weights: Weights | ArrayLike = reciprocal_rank) -> RankingRange:
    """D_min, D_max, R(D_min), and the slope at D_max, min_k log2(P_k / P_{k+1}) / (w_k - w_{k+1}).

    Args:
      prior, weights: as in `ranking_rate`.

    Raises:
      InputError: a prior that is no law; weights that increase.

    Source: theory notes, section 1.2.
    """
    return _range(pose(0.0, prior, weights))


def ranking_bound(distortion: ArrayLike, prior: Prior, weights: Weights | ArrayLike = reciprocal_rank) -> Bound:
    """`ranking_rate` as a floor with its evidence and what it rests on."""
    return Bound.at_least(ranking_rate(distortion, prior, weights), "theorem", describe_prior(prior), AVERAGED)


def _slope_at_worst(problem: RankProblem, ranks: Ranks) -> jax.Array:
    """-dR/dD just below D_max in nats, but never 0: a small number there, and inf where D_max is D_min."""
    least = jnp.zeros(()) if problem.uniform else _least_slope(ranks.mass, ranks.gap)
    span = ranks.gap[-1]
    return jnp.where(span > 0, jnp.maximum(least, jnp.finfo(span.dtype).eps ** 0.5 / span), jnp.inf)


def _least_slope(mass: jax.Array, gap: jax.Array) -> jax.Array:
    """min_k ln(P_k / P_{k+1}) / (w_k - w_{k+1}) of a falling prior, nats; inf if there is none."""
    loss = jnp.diff(gap)
    known = (loss > 0) & (mass[1:] > 0)
    fall = jnp.where(known, mass[:-1], 1) / jnp.where(known, mass[1:], 1)
    return jnp.min(jnp.where(known, jnp.log(fall) / jnp.where(known, loss, 1), jnp.inf), initial=jnp.inf)


def _with_gradient(blocks: Blocks, problem: RankProblem, position: jax.Array) -> Blocks:
    """The same blocks, their masses summed from the prior as it was given, so that its gradient needs no sort."""
    if problem.uniform:
        return blocks
    mass = jax.ops.segment_sum(problem.prior, blocks.label[position], blocks.mass.shape[0])
    return blocks._replace(mass=lax.stop_gradient(blocks.mass) + mass - lax.stop_gradient(mass))  # rounded less there


def _rate(distortion: jax.Array, problem: RankProblem, ranks: Ranks, position: jax.Array) -> jax.Array:
    given = lambda blocks, slope: _with_gradient(blocks, problem, position)
    return tilted_rate(distortion, problem.first, ranks, jnp.sum(ranks.mass * ranks.gap), differentiable=given)


def _distortion(rate: jax.Array, problem: RankProblem, ranks: Ranks, position: jax.Array) -> jax.Array:
    target = to_nats(rate)
    slope, blocks = solve_slope(target, ranks, rate_residual)
    blocks = _with_gradient(blocks, problem, position)
    slope = refine(target, ranks, blocks, slope, rate_residual)
    state = tilt(ranks, blocks, slope)
    dual = (ranks.entropy - state.psi - target) / jnp.where(slope > 0, slope, 1)
    saturated = lax.stop_gradient(slope) >= lax.stop_gradient(largest_slope(ranks)) * (1 - 1e-6)
    gap = jnp.where(saturated, lax.stop_gradient(state.mean), jnp.clip(dual, 0))
    worst = jnp.sum(ranks.mass * ranks.gap)
    start = worst - target / lax.stop_gradient(_slope_at_worst(problem, ranks))
    found = problem.best + jnp.where(target <= 0, start, jnp.minimum(gap, worst))
    return jnp.where(lax.stop_gradient(target) < -room(target.dtype), jnp.nan, found)


def _curve(slope: jax.Array, problem: RankProblem, ranks: Ranks, position: jax.Array) -> tuple[jax.Array, jax.Array]:
    nats = to_nats(slope)
    blocks = _with_gradient(pool(ranks, nats), problem, position)
    state = tilt(ranks, blocks, nats)
    rate = ranks.entropy - state.psi - nats * state.mean
    rate, mean = (jnp.where(nats < 0, jnp.nan, value) for value in (jnp.where(rate <= 0, 0, rate), state.mean))
    return to_bits(rate), problem.best + mean


@partial(jax.jit, static_argnums=0)
def _over(point: Callable[..., Any], problem: RankProblem, values: ArrayLike) -> Any:
    """`point` at every entry of `values`."""
    ranks, position = lay_out(problem)
    values = jnp.asarray(values, problem.gap.dtype)
    return at_each(lambda value: point(value, problem, ranks, position), values, ranks)


@jax.jit
def _range(problem: RankProblem) -> RankingRange:
    ranks, _ = lay_out(problem)
    limit = largest_slope(ranks)
    at_best = ranks.entropy - tilt(ranks, pool(ranks, limit), limit).psi
    worst = problem.best + jnp.sum(ranks.mass * ranks.gap)
    level = problem.uniform or problem.prior.shape[0] == 1
    slope = jnp.zeros_like(limit) if level else _least_slope(ranks.mass, ranks.gap)
    return RankingRange(problem.best, worst, to_bits(jnp.maximum(at_best, 0)), to_bits(slope))
