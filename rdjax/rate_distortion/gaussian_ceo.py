"""Gaussian intent under squared error, one encoder for each modality: the quadratic Gaussian CEO problem.

Encoders that see one modality each cannot tell intent from noise, and pay for the noise they describe. The optimal
split is reverse water-filling once more, over the precisions of the modalities: the bits go first to the least noisy
one, which is the one of lowest entropy, so an allocation proportional to entropy is the wrong way round. Source: theory
notes, section 3.3 (M4); the sum rate was found by Oohama 1998 and, for any noise variances, by Prabhakaran, Tse and
Ramchandran 2004.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import ArrayLike

from rdjax import checks
from rdjax.numerics import LN2, floating
from rdjax.rate_distortion.gaussian_intent import (
    at_least_zero,
    intent_from_noise,
    intent_variance,
    noise_variances,
    refuse_below,
)
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
    water-filling of the precisions 1 / v_m at the distortion 1/D_min - 1/D, in closed form.

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
    v, power = noise_variances(noise), intent_variance(variance)
    target = floating(distortion)
    if checks.is_concrete(v, target, power):
        refuse_below(target, intent_from_noise(v, power).residual, "1 / (1/variance + sum 1/noise)")
    return _separate_rate(v, target, power)


def separate_intent_distortion(noise: ArrayLike, rate: ArrayLike, variance: ArrayLike = 1.0) -> SeparateIntent:
    """Least distortion of one encoder per modality at a total rate: the inverse of `separate_intent_rate`.

    The modalities that get bits are those whose precision the water level is below; the bits that they spend on noise
    then solve one monotone equation, by Newton's method from the side on which it cannot overshoot.

    Args:
      noise, variance: as in `separate_intent_rate`.
      rate: total bits, [...], at least 0; the leading shapes broadcast.

    Returns:
      `SeparateIntent`, whose rates add up to `rate`, or to 0 where every noise is infinite; its derivative is that of
      the inverse function.

    Raises:
      InputError: a variance that is not above 0; a negative rate.
    """
    v, power = noise_variances(noise), intent_variance(variance)
    return _separate_distortion(v, at_least_zero(rate), power)


@jax.jit
def _separate_rate(noise: jax.Array, distortion: jax.Array, variance: jax.Array) -> SeparateIntent:
    precision, target, power = _aligned(1 / noise, distortion, variance)
    # where D is at most 0 the precision to be gained is as large as it gets, and the rates are inf
    gain = jnp.where(target > 0, 1 / jnp.where(target > 0, target, 1.0), jnp.inf) - 1 / power
    nats, active = jnp.vectorize(_nats_for_gain, signature="(m),()->(m),(m)")(precision, gain)
    return _decoded_in_order(precision, nats, active, power)


@jax.jit
def _separate_distortion(noise: jax.Array, rate: jax.Array, variance: jax.Array) -> SeparateIntent:
    precision, target, power = _aligned(1 / noise, rate, variance)
    nats, active = jnp.vectorize(_nats_for_rate, signature="(m),(),()->(m),(m)")(precision, target, power)
    return _decoded_in_order(precision, nats, active, power)


def _decoded_in_order(precision: jax.Array, nats: jax.Array, active: jax.Array, variance: jax.Array) -> SeparateIntent:
    """From x_m = ln(p_m / t), twice the nats that each active modality spends on noise, [..., M]."""
    gained = jnp.where(active, precision * -jnp.expm1(-nats), 0.0)  # p_m - t, which would cancel
    noise_rates = jnp.where(active, nats / (2 * LN2), 0.0)
    start = (1 / variance)[..., None]
    known = start + jnp.cumsum(gained, axis=-1)
    before = jnp.concatenate([start, known[..., :-1]], axis=-1)
    return SeparateIntent(noise_rates + jnp.log1p(gained / before) / (2 * LN2), noise_rates, 1 / known[..., -1])


def _beyond(precision: jax.Array, least: jax.Array, active: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Of active modalities how many, p_m - least, and ln(p_m / least); all that is small keeps its digits."""
    over = jnp.where(active, precision - least, 0.0)
    ratio = jnp.where(active, precision / least, 1.0)
    logs = jnp.where(ratio < 2, jnp.log1p(jnp.where(ratio < 2, over, 0.0) / least), jnp.log(jnp.maximum(ratio, 1.0)))
    return jnp.sum(active).astype(over.dtype), over, logs


def _least_active(precision: jax.Array, reached: Callable[[jax.Array, jax.Array], jax.Array]) -> Any:
    """The least precision of the active modalities, 1 if there are none, and which they are.

    One is if what is asked for is more than what is reached with the water level at its precision.
    """
    positive = precision > 0
    asked = jax.vmap(lambda p: reached(jnp.where(p > 0, p, 1.0), positive & (precision >= p)))(precision)
    active = positive & asked
    least = jnp.min(jnp.where(active, precision, jnp.inf))
    return jnp.where(jnp.any(active), least, 1.0), active


def _nats_for_gain(precision: jax.Array, gain: jax.Array) -> tuple[jax.Array, jax.Array]:
    """x_m = ln(p_m / t) with sum (p_m - t) = gain over the active modalities, and which they are."""

    def reached(p: jax.Array, active: jax.Array) -> jax.Array:
        return jnp.sum(_beyond(precision, p, active)[1]) <= gain

    least, active = _least_active(precision, reached)
    count, over, logs = _beyond(precision, least, active)
    share = (gain - jnp.sum(over)) / (jnp.maximum(count, 1) * least)
    total = jnp.sum(precision)
    possible = (share < 1) & (gain < total * (1 - jnp.finfo(total.dtype).eps))  # else D_min, but for rounding
    fall = jnp.where(possible, -jnp.log1p(-jnp.where(possible, share, 0.0)), jnp.inf)
    return logs + fall, active


def _nats_for_rate(precision: jax.Array, rate: jax.Array, variance: jax.Array) -> tuple[jax.Array, jax.Array]:
    """x_m = ln(p_m / t) with sum x_m + ln(1 + variance sum (p_m - t)) = 2 rate in nats over the active, and which.

    With the active modalities fixed and y = ln(least / t) the left side is concave and rises: Newton's first step from
    above ends below the root, and the others approach it from there.
    """
    goal = 2 * LN2 * rate

    def left(p: jax.Array, active: jax.Array) -> jax.Array:
        _, over, logs = _beyond(precision, p, active)
        return goal - jnp.sum(logs) - jnp.log1p(variance * jnp.sum(over))

    least, active = _least_active(precision, lambda p, active: left(p, active) >= 0)
    count, over, logs = _beyond(precision, least, active)
    count = jnp.maximum(count, 1)

    def newton(y: jax.Array) -> jax.Array:
        known = 1 + variance * (jnp.sum(over) - count * least * jnp.expm1(-y))
        value = count * y + jnp.sum(logs) + jnp.log(known) - goal
        slope = count + variance * count * least * jnp.exp(-y) / known
        return y - value / lax.stop_gradient(slope)

    start = lax.stop_gradient(
        _above_root(left(least, active), count, count * least * variance, variance * jnp.sum(over))
    )
    step = lambda _, y: jnp.maximum(lax.stop_gradient(newton(y)), 0)
    root = lax.fori_loop(0, _NEWTON_STEPS, step, start)
    return logs + newton(lax.stop_gradient(root)), active  # one more step carries the derivative of the root


def _above_root(left: jax.Array, count: jax.Array, most: jax.Array, known: jax.Array) -> jax.Array:
    """The lesser of what y were if one of the two terms that rise with it did not."""
    left = jnp.maximum(left, 0)
    share = (1 + known) * jnp.expm1(left)
    alone = jnp.where(
        share < most, -jnp.log1p(-jnp.where(share < most, share, 0.0) / jnp.maximum(most, share)), jnp.inf
    )
    return jnp.minimum(alone, left / count)


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
