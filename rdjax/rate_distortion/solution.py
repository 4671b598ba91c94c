"""What a solver returns: a point of R(D) with its certificate, and the sentence that goes with its status."""

from collections.abc import Sequence
from dataclasses import dataclass

import chex
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.typing import ArrayLike

from rdjax.numerics import to_bits, xlogy
from rdjax.rate_distortion.problem import (
    HIGHEST,
    Problem,
    kernel_of,
    least_size,
    mixture,
    of_mixture,
    plain_gap,
    ratios,
    rounding,
    shares,
    steeper,
)
from rdjax.trees import register_dataclass

CONVERGED, STEPS, PRECISION, INFEASIBLE, INVALID = range(5)
MESSAGES = (
    "the certified gap is within the tolerance.",
    "the steps ran out before the gap was within the tolerance; the gap that is stated holds. Allow more steps, or use "
    "interior_point, which needs a dozen where Blahut-Arimoto needs thousands.",
    "this precision cannot certify the tolerance; the gap that is stated holds. Ask for less, or, if it is "
    "float32, work in float64 (inside jax.enable_x64).",
    "no code can serve it: a source symbol has no reproduction at a finite distortion, or the target is below the "
    "least distortion there is; the rate is infinite.",
    "a slope is negative, a probability is, or a slope, the source, the distortion or the channel holds NaN; outside "
    "jit an error says which.",
)


@register_dataclass
@dataclass(frozen=True)
class RateDistortion:
    """A point of the curve, and a proof of how good it is: 0 <= rate - R(distortion) <= gap.

    The left side holds but for rounding, which is a part of the gap: some 1e-7 bits in float32, and more where
    distortions are large beside their differences (`lower` holds whatever is lost). The law, so derivatives other than
    dR/dD, is off by about the root of the gap: for second ones ask for a tolerance of 1e-12.

    Args:
      rate: I(X; reproduction) in bits of the channel W(j|x) proportional to output_j 2^(-slope d_xj).
      distortion: mean distortion of that channel, units of the distortion.
      slope: s = -dR/dD in bits per unit of distortion.
      output: the law q [..., M]; the other fields have the shape of the slope.
      lagrangian: rate + slope * distortion in bits, the optimum value at this slope, up to the gap.
      gap: bits; certified at this very law, or (`rate_at`) by those of slopes beside it, rounding allowed for. No code
        of any distortion has a rate + slope * distortion below lagrangian - gap; so the gap may exceed the rate, and
        `lower` is at least 0.
      steps: how many the solver took.
      status: an integer; 0 is success, and `message` says the rest in words.

    `rate`, `distortion` and `output` are differentiable (first and second order) by the implicit function theorem,
    `lagrangian` by the envelope theorem, which needs no linear solve.

    Second derivatives by reverse mode, `jax.hessian` among them, are silently wrong where the solver is called inside
    `lax.scan` or `lax.map` before JAX 0.12, which dropped custom rules there. Hand in all slopes as one array, use
    `jax.vmap`, or take `jax.jacfwd` twice. First derivatives are right in loops too.
    """

    rate: jax.Array
    distortion: jax.Array
    slope: jax.Array
    output: jax.Array
    lagrangian: jax.Array
    gap: jax.Array
    steps: jax.Array
    status: jax.Array

    @property
    def message(self) -> str:
        """The status in words; of a batch, that of its worst members, and which they are."""
        return in_words(self.status, MESSAGES)

    @property
    def lower(self) -> jax.Array:
        """Bits that R(distortion) is at least: rate - gap, never below 0; inf where the rate is."""
        return jnp.maximum(self.rate - jnp.where(self.rate < jnp.inf, self.gap, 0), 0)


def in_words(status: ArrayLike, sentences: Sequence[str]) -> str:
    """The sentence of the worst status in an array; where they are several, after how many have it and where."""
    statuses = np.asarray(status)
    worst = int(np.max(statuses, initial=CONVERGED))
    if worst == CONVERGED or statuses.ndim == 0:
        return sentences[worst]
    places = np.argwhere(statuses == worst)
    return f"{len(places)} of {statuses.size} points, the first of them at {places[0].tolist()}: {sentences[worst]}"


@jax.custom_jvp
def lagrangian(problem: Problem, slope: jax.Array, law: jax.Array) -> jax.Array:
    """I + s (D - sum p least) in nats of the channel that `law` makes.

    Its derivative in problem and slope holds the law fixed, which is right at the optimum (envelope theorem), and stays
    right to second order when the law itself carries its implicit derivative.
    """
    kernel = kernel_of(problem.excess, slope)
    ratio = ratios(kernel, problem.source, law)
    return -jnp.sum(problem.source * jnp.log(mixture(kernel, law))) - jnp.sum(xlogy(law * ratio, ratio))


@lagrangian.defjvp
def _envelope(primals: tuple, tangents: tuple) -> tuple[jax.Array, jax.Array]:
    problem, slope, law = primals

    def dual(problem: Problem, slope: jax.Array) -> jax.Array:
        mix = mixture(kernel_of(problem.excess, slope), law)
        return -jnp.sum(problem.source * of_mixture(jnp.log, mix, problem.source))

    _, change = jax.jvp(dual, (problem, slope), tangents[:2])
    return lagrangian(*primals), change


def mean_excess(problem: Problem, slope: jax.Array, law: jax.Array) -> jax.Array:
    """Mean distortion above D_min of the channel a law makes at a slope (nats)."""
    kernel = kernel_of(problem.excess, slope)
    moved = kernel * jnp.where(jnp.isfinite(problem.excess), problem.excess, 0)
    spread = jnp.matmul(moved, law, precision=HIGHEST)
    return jnp.sum(shares(kernel, problem.source, law) * spread)


def certify(
    problem: Problem,
    slope: jax.Array,
    law: jax.Array,
    steps: jax.Array,
    exhausted: jax.Array,
    tolerance: float,
    doubt: ArrayLike = 0.0,
    proved: ArrayLike = -np.inf,
) -> RateDistortion:
    """The point that a law makes at a slope, with its gap computed at that very law; slope and tolerance in nats.

    `exhausted` says whether the solver stopped because its steps ran out; `doubt` is added to the gap (nats), which is
    less if the value is near what was `proved` to be least: nats of rate + slope * excess.
    """
    chex.assert_shape(law, problem.excess.shape[1:])
    chex.assert_rank([slope, steps, exhausted], 0)
    kernel = lax.optimization_barrier(kernel_of(problem.excess, slope))  # or its exponentials are taken anew per use
    weight = shares(kernel, problem.source, law)
    # sum_x p_x W(j|x) excess_xj / q_j; of terms that wait for the law, or they are made first and kept all along
    terms = weight[:, None] * kernel * jnp.where(jnp.isfinite(problem.excess), problem.excess, 0)
    spread = jnp.matmul(jnp.ones_like(weight), terms, precision=HIGHEST)
    excess = jnp.sum(law * spread)
    value = lagrangian(problem, slope, law)
    base = jnp.sum(problem.source * problem.least)
    per_unit = slope / problem.unit  # nats, by what distortions are measured in
    more = steeper(value.dtype) * excess  # of the slope that the kernel has
    rate = value - slope * excess - more
    beside = value - proved + 8 * jnp.finfo(value.dtype).eps * jnp.abs(value)  # both are rounded
    gap = lax.stop_gradient(_gap(problem, slope, law, ratios(kernel, problem.source, law), spread, beside)) + doubt
    status = jnp.where(gap <= tolerance, CONVERGED, jnp.where(exhausted, STEPS, PRECISION))
    valid = (slope >= 0) & ~jnp.isnan(value) & ~jnp.isnan(gap)
    status = jnp.where(valid, jnp.where(problem.feasible, status, INFEASIBLE), INVALID)
    bits = lambda nats: jnp.where(valid, jnp.where(problem.feasible, to_bits(nats), jnp.inf), jnp.nan)
    return RateDistortion(
        rate=bits(jnp.where(rate < 0, 0, jnp.where(rate == 0, rate - lax.stop_gradient(rate), rate))),  # not -0.0
        distortion=jnp.where(problem.feasible, base + problem.unit * excess, jnp.inf),
        slope=to_bits(per_unit),
        output=law,
        lagrangian=bits(value - lax.stop_gradient(more) + per_unit * base),
        gap=bits(gap),
        steps=steps,
        status=status.astype(jnp.int32),
    )


def _gap(
    problem: Problem, slope: jax.Array, law: jax.Array, ratio: jax.Array, spread: jax.Array, beside: jax.Array
) -> jax.Array:
    """Nats: the plain gap, or that `beside` another proof if it is less, plus what rounding may have hidden of it.

    The exponent s * excess is off by an ulp of itself, so c_j is off by its mean exponent (s * spread_j / c_j) in ulps.
    The distortion is off by some ulps of `least_size`, which may be far more than their sum, and R by s times as much.
    """
    exponent = slope * jnp.max(spread) / jnp.max(ratio)
    ulps = 4 * exponent + 4 * jnp.abs(jnp.sum(law * spread) * slope) + 3 * least_size(problem) * (slope / problem.unit)
    allowance = rounding(ratio.dtype, problem.excess.shape) + jnp.finfo(ratio.dtype).eps * ulps
    return jnp.maximum(jnp.minimum(plain_gap(law, ratio), beside), 0) + allowance
