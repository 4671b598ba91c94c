"""Gaussian intent under squared error, one encoder that sees every modality.

The intent Z is seen only through modalities X, jointly Gaussian with it. The encoder can do no better than estimate Z
and code the estimate: reverse water-filling over the eigenvalues of Cov(E[Z | X]). Source: theory notes, section 3.3
(M4). What encoders pay that see one modality each is in `gaussian_ceo`.
"""

from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.typing import ArrayLike

from rdjax import checks
from rdjax.numerics import floating
from rdjax.rate_distortion.water_filling import reverse_water_filling, reverse_water_filling_at
from rdjax.trees import register_dataclass


@register_dataclass
@dataclass(frozen=True)
class GaussianIntent:
    """What X tells about Z, in squared error.

    `explained` [..., d]: the eigenvalues of Cov(E[Z | X]). `residual` [...]: tr Cov(Z | X), the least distortion that
    any code of X can have.
    """

    explained: jax.Array
    residual: jax.Array


@register_dataclass
@dataclass(frozen=True)
class JointIntent:
    """One encoder of all modalities: `rates` [..., d], bits per component of E[Z | X], and `distortion` [...]."""

    rates: jax.Array
    distortion: jax.Array

    @property
    def rate(self) -> jax.Array:
        """Total bits [...]."""
        return jnp.sum(self.rates, axis=-1)


def intent_from_covariance(covariance: ArrayLike, size: int) -> GaussianIntent:
    """What jointly Gaussian X tells about Z: eigenvalues of S_ZX S_XX^-1 S_XZ, and tr(S_ZZ) less their sum.

    Args:
      covariance: of (Z, X), [..., n, n].
      size: dimensions of Z, which comes first; 1 <= size < n.

    Returns:
      `explained` [..., size], in rising order.

    Raises:
      InputError: no square matrix, not symmetric, no covariance, a singular block of X (residual inf under jit).
    """
    with checks.looking():
        values = floating(covariance)
    n = values.shape[-1] if values.ndim else 0
    square = values.ndim >= 2 and values.shape[-2] == n
    checks.require(square, f"the covariance has shape {values.shape}; it must be square, [..., n, n].")
    checks.require(1 <= size < n, f"the intent takes {size} of {n} dimensions; give it at least 1 and X at least 1.")
    if checks.is_concrete(covariance):
        array = np.asarray(values)
        checks.covariance(array)
        checks.not_singular(array[..., size:, size:], "the covariance of X")
    return _explained(values, size)


def intent_from_noise(noise: ArrayLike, variance: ArrayLike = 1.0) -> GaussianIntent:
    """Scalar intent in independent noise, X_m = Z + N_m: 1 / D_min = 1 / variance + sum_m 1 / v_m.

    Args:
      noise: variances v [..., M] > 0; inf for a modality that carries nothing. For a gain a_m, v_m / a_m^2.
      variance: of Z, [...], above 0; the leading shapes broadcast.

    Returns:
      `explained` [..., 1] = variance - D_min and `residual` [...] = D_min.

    Raises:
      InputError: a variance that is not above 0.
    """
    return _scalar(noise_variances(noise), intent_variance(variance))


def joint_intent_rate(intent: GaussianIntent, distortion: ArrayLike) -> JointIntent:
    """Fewest bits of one encoder of all modalities: R = sum_i 1/2 log2+(lam_i / t), D = residual + sum_i min(lam_i, t).

    Args:
      intent: from `intent_from_covariance` or `intent_from_noise`.
      distortion: D = E|Z - Z'|^2, [...]; the leading shapes broadcast.

    Returns:
      `JointIntent`; 0 bits at and above the variance of Z, inf at the residual. Differentiable in distortion and intent
      where no eigenvalue equals t.

    Raises:
      InputError: a distortion below the residual, which no code reaches (inf under jit).

    Source: Dobrushin and Tsybakov 1962; Cover and Thomas, theorem 10.3.3; theory notes, section 3.3.
    """
    target = floating(distortion)
    if checks.is_concrete(target, intent):
        refuse_below(target, intent.residual, "tr Cov(Z | X)")
    return _joint_rate(intent, target)


def joint_intent_distortion(intent: GaussianIntent, rate: ArrayLike) -> JointIntent:
    """Least distortion of one encoder of all modalities at a rate: the inverse of `joint_intent_rate`.

    Args:
      intent: from `intent_from_covariance` or `intent_from_noise`.
      rate: total bits, [...], at least 0; the leading shapes broadcast.

    Returns:
      `JointIntent`, whose rates add up to `rate`, or to 0 where nothing is explained.

    Raises:
      InputError: a negative rate.
    """
    return _joint_distortion(intent, at_least_zero(rate))


@partial(jax.jit, static_argnums=1)
def _explained(covariance: jax.Array, size: int) -> GaussianIntent:
    intent, cross, seen = (covariance[..., :size, :size], covariance[..., size:, :size], covariance[..., size:, size:])
    whitened = lax.linalg.triangular_solve(jnp.linalg.cholesky(seen), cross, left_side=True, lower=True)
    gram = jnp.matmul(jnp.swapaxes(whitened, -1, -2), whitened, precision=lax.Precision.HIGHEST)
    usable = jnp.all(jnp.isfinite(gram), axis=(-1, -2))
    values = jnp.maximum(jnp.linalg.eigvalsh(jnp.where(usable[..., None, None], gram, 0.0)), 0.0)
    left = jnp.trace(intent, axis1=-2, axis2=-1) - jnp.sum(values, axis=-1)
    return GaussianIntent(values, jnp.where(usable, jnp.maximum(left, 0.0), jnp.inf))


@jax.jit
def _scalar(noise: jax.Array, variance: jax.Array) -> GaussianIntent:
    known = jnp.sum(1 / noise, axis=-1)
    shape = jnp.broadcast_shapes(known.shape, variance.shape)
    known, variance = jnp.broadcast_to(known, shape), jnp.broadcast_to(variance, shape)
    least = 1 / (1 / variance + known)
    return GaussianIntent((variance * known * least)[..., None], least)


@jax.jit
def _joint_rate(intent: GaussianIntent, distortion: jax.Array) -> JointIntent:
    shape = jnp.broadcast_shapes(intent.residual.shape, distortion.shape)
    residual, target = jnp.broadcast_to(intent.residual, shape), jnp.broadcast_to(distortion, shape)
    filled = reverse_water_filling_at(intent.explained, target - residual)
    return JointIntent(filled.rates, residual + jnp.sum(filled.distortions, axis=-1))


@jax.jit
def _joint_distortion(intent: GaussianIntent, rate: jax.Array) -> JointIntent:
    shape = jnp.broadcast_shapes(intent.residual.shape, rate.shape)
    explained = jnp.broadcast_to(intent.explained, (*shape, intent.explained.shape[-1]))
    filled = reverse_water_filling(explained, jnp.broadcast_to(rate, shape))
    residual = jnp.broadcast_to(intent.residual, shape)
    return JointIntent(filled.rates, residual + jnp.sum(filled.distortions, axis=-1))


def noise_variances(noise: ArrayLike) -> jax.Array:
    """Floats [..., M], refused unless above 0; infinity is."""
    checks.along_last(noise, "the noise variances")
    if checks.is_concrete(noise):
        good = bool(np.all(np.asarray(noise) > 0))
        checks.require(good, "a noise variance is not above 0; give a positive number, or inf for no information.")
    return floating(noise)


def intent_variance(variance: ArrayLike) -> jax.Array:
    """Floats, refused unless finite and above 0."""
    checks.numbers(variance, "the variance of Z", 0, ends=False)
    return floating(variance)


def at_least_zero(rate: ArrayLike) -> jax.Array:
    """Floats, refused unless finite and at least 0."""
    checks.numbers(rate, "the rate in bits", 0)
    return floating(rate)


def refuse_below(distortion: jax.Array, least: jax.Array, formula: str) -> None:
    """Refuse a distortion that no rate reaches."""
    asked, floor = np.broadcast_arrays(np.asarray(distortion), np.asarray(least))
    good = asked >= floor * (1 - 16 * np.finfo(floor.dtype).eps)
    if not good.all():
        at = np.unravel_index(np.argmin(good), good.shape)
        raise checks.InputError(
            f"a distortion of {asked[at]:.6g} is below {floor[at]:.6g} = {formula}, which the modalities leave "
            f"uncoded; no rate reaches it."
        )
