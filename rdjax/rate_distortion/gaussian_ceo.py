"""Gaussian intent under squared error, one encoder for each modality: the quadratic Gaussian CEO problem.

Encoders that see one modality each cannot tell intent from noise, and pay for the noise they describe. The optimal
split is reverse water-filling once more, over the precisions of the modalities: the bits go first to the least noisy
one, which is the one of lowest entropy, so an allocation proportional to entropy is the wrong way round. Source: theory
notes, section 3.3 (M4); the sum rate was found by Oohama 1998 and, for any noise variances, by Prabhakaran, Tse and
Ramchandran 2004.
"""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import ArrayLike

from rdjax import checks
from rdjax.numerics import LN2, floating
from rdjax.rate_distortion.gaussian_intent import above_zero, at_least_zero, intent_from_noise, refuse_below
from rdjax.rate_distortion.water_filling import reverse_water_filling_at
from rdjax.trees import register_dataclass

_NEWTON_STEPS = 30


@register_dataclass
@dataclass(frozen=True)
class SeparateIntent:
    """One encoder per modality: bits of each, and the distortion they reach together.

    Args:
      rates: [..., M], bits of each encoder; of the optimal splits (their sum is unique, they need not be) the one in
        which modalities are decoded in the order given, each with the help of those before it.
      noise_rates: r_m = I(X_m; C_m | Z) [..., M], the part of those bits that describes noise; unique.
      distortion: [...], squared error.
    """

    rates: jax.Array
    noise_rates: jax.Array
    distortion: jax.Array

    @property
    def rate(self) -> jax.Array:
        """Total bits [...]."""
        return jnp.sum(self.rates, axis=-1)


def separate_intent_rate(noise: ArrayLike, distortion: ArrayLike, variance: ArrayLike = 1.0) -> SeparateIntent:
    """Fewest bits in total of one encoder per modality, X_m = Z + N_m: the quadratic Gaussian CEO problem.

        R = min over r >= 0 of sum_m r_m + 1/2 log2(variance / D)
            subject to  1/D <= 1/variance + sum_m (1 - 2^(-2 r_m)) / v_m

    With y_m = 2^(-2 r_m) / v_m this is max sum_m log y_m, y_m <= 1 / v_m, sum_m y_m <= 1/D_min - 1/D: reverse
    water-filling of the precisions 1 / v_m at the distortion 1/D_min - 1/D, solved by one sort.

    Args:
      noise: variances v [..., M] > 0; inf for a modality that carries nothing. For a gain a_m, v_m / a_m^2.
      distortion: D = E(Z - Z')^2, [...]; the leading shapes broadcast.
      variance: of Z, [...], above 0.

    Returns:
      `SeparateIntent`; 0 bits at and above the variance of Z, inf at D_min. Never below `joint_intent_rate`, and equal
      to it at M = 1. Differentiable where no precision equals the water level.

    Raises:
      InputError: a variance that is not above 0; a distortion below D_min = 1 / (1/variance + sum_m 1/v_m), which no
        code reaches (inf under jit).

    Source: Oohama 1998, The rate-distortion function for the quadratic Gaussian CEO problem; Prabhakaran, Tse and
    Ramchandran 2004, Rate region of the quadratic Gaussian CEO problem.
    """
    checks.along_last(noise, "the noise variances")
    v, power = above_zero(noise, "a noise variance", infinite=True), above_zero(variance, "the variance of Z")
    target = floating(distortion)
    if checks.is_concrete(v, target, power):
        refuse_below(target, intent_from_noise(v, power).residual, "1 / (1/variance + sum 1/noise)")
    return _separate_rate(v, target, power)


def separate_intent_distortion(noise: ArrayLike, rate: ArrayLike, variance: ArrayLike = 1.0) -> SeparateIntent:
    """Least distortion of one encoder per modality at a total rate: the inverse of `separate_intent_rate`.

    The modalities that get bits are known from a sort; the water level then solves one monotone equation, by Newton's
    method from the side on which it cannot overshoot.

    Args:
      noise, variance: as in `separate_intent_rate`.
      rate: total bits, [...], at least 0; the leading shapes broadcast.

    Returns:
      `SeparateIntent`, whose rates add up to `rate`; its derivative is that of the inverse function.

    Raises:
      InputError: a variance that is not above 0; a negative rate.
    """
    checks.along_last(noise, "the noise variances")
    v, power = above_zero(noise, "a noise variance", infinite=True), above_zero(variance, "the variance of Z")
    return _separate_distortion(v, at_least_zero(rate), power)


@jax.jit
def _separate_rate(noise: jax.Array, distortion: jax.Array, variance: jax.Array) -> SeparateIntent:
    precision, target, power = _aligned(1 / noise, distortion, variance)
    # where D is at most 0 the budget is as negative as it gets, and the rates are inf
    inverse = jnp.where(target > 0, 1 / jnp.where(target > 0, target, 1.0), jnp.inf)
    filled = reverse_water_filling_at(precision, 1 / power + jnp.sum(precision, axis=-1) - inverse)
    return _decoded_in_order(precision - filled.distortions, filled.rates, power)


@jax.jit
def _separate_distortion(noise: jax.Array, rate: jax.Array, variance: jax.Array) -> SeparateIntent:
    precision, target, power = _aligned(1 / noise, rate, variance)
    level, active = jnp.vectorize(_water_level, signature="(m),(),()->(),(m)")(precision, target, power)
    level = jnp.where(active, level[..., None], 1.0)
    noise_rates = jnp.where(active, 0.5 * jnp.log2(jnp.where(active, precision, 1.0) / level), 0.0)
    return _decoded_in_order(jnp.where(active, precision - level, 0.0), noise_rates, power)


def _decoded_in_order(gained: jax.Array, noise_rates: jax.Array, variance: jax.Array) -> SeparateIntent:
    """From the precision of Z that each modality adds and the bits it spends on noise, [..., M]."""
    start = (1 / variance)[..., None]
    known = start + jnp.cumsum(gained, axis=-1)
    before = jnp.concatenate([start, known[..., :-1]], axis=-1)
    return SeparateIntent(noise_rates + 0.5 * jnp.log2(known / before), noise_rates, 1 / known[..., -1])


def _water_level(precision: jax.Array, rate: jax.Array, variance: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The active modalities and t with sum 1/2 log2(p_m / t) + 1/2 log2(1 + variance sum (p_m - t)) = rate over them.

    In u = ln t, and with the active modalities fixed, twice the left side in nats is concave and falls; Newton's steps
    from the least active precision, which is to the right of the root, approach it from there.
    """
    goal = 2 * LN2 * rate
    positive = precision > 0
    logs = jnp.where(positive, jnp.log(jnp.where(positive, precision, 1.0)), -jnp.inf)

    def excess(u: jax.Array, active: jax.Array) -> tuple[jax.Array, jax.Array]:
        t, count = jnp.exp(u), jnp.sum(active).astype(u.dtype)
        known = 1 + variance * jnp.sum(jnp.where(active, precision - t, 0.0))
        spent = jnp.sum(jnp.where(active, logs - u, 0.0))
        return spent + jnp.log(known) - goal, -count - variance * t * count / known

    reached = jax.vmap(lambda u: excess(u, logs >= u)[0] <= 0)(jnp.where(positive, logs, 0.0))
    active = reached & positive
    start = jnp.min(jnp.where(active, logs, jnp.inf))
    start = lax.stop_gradient(jnp.where(jnp.isfinite(start), start, 0.0))

    def newton(u: jax.Array) -> jax.Array:
        value, slope = excess(u, active)
        return u - value / lax.stop_gradient(jnp.where(slope < 0, slope, -1.0))

    root = lax.fori_loop(0, _NEWTON_STEPS, lambda _, u: lax.stop_gradient(newton(u)), start)
    return jnp.exp(newton(lax.stop_gradient(root))), active  # one more step carries the derivative of the root


def _aligned(vector: jax.Array, scalar: jax.Array, variance: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """[..., M], [...] and [...] of one leading shape and one precision."""
    shape = jnp.broadcast_shapes(vector.shape[:-1], scalar.shape, variance.shape)
    dtype = jnp.result_type(vector, scalar, variance)
    spread = jnp.broadcast_to(vector, (*shape, vector.shape[-1]))
    return (
        spread.astype(dtype),
        jnp.broadcast_to(scalar, shape).astype(dtype),
        jnp.broadcast_to(variance, shape).astype(dtype),
    )
