"""Gaussian sources in closed form: reverse water-filling and the information bottleneck.

Both are allocations: bits go to components, the next bit to the one where it buys most. The level that makes the bits
add up is found exactly, by sorting, with no iteration.
"""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.typing import ArrayLike

from rdjax import checks
from rdjax.numerics import LN2, floating
from rdjax.trees import register_dataclass


@register_dataclass
@dataclass(frozen=True)
class WaterFilling:
    """`rates` [..., d] in bits per component and `distortions` [..., d] in squared error."""

    rates: jax.Array
    distortions: jax.Array


def reverse_water_filling(variances: ArrayLike, rate: ArrayLike) -> WaterFilling:
    """Bits of independent Gaussian components under squared error: r_i = max(0, 1/2 log2(variance_i / level)).

    Args:
      variances: [..., d], at least 0; a component of variance 0 gets no bits.
      rate: total bits, shape [...], at least 0.

    Returns:
      rates with sum `rate` (0 where every variance is 0), and distortions D_i = variance_i 2^(-2 r_i).

    Raises:
      InputError: a negative variance or rate, no variance.

    Source: Cover and Thomas, Elements of Information Theory, theorem 10.3.3.
    """
    return _water_filling(_variances(variances), _at_least_zero(rate, "the rate"))


@jax.jit
def _water_filling(variances: jax.Array, rate: jax.Array) -> WaterFilling:
    used = variances > 0
    half_log = jnp.where(used, 0.5 * jnp.log2(jnp.where(used, variances, 1.0)), -jnp.inf)
    rates = _fill(half_log, rate)
    return WaterFilling(rates, variances * 2.0 ** (-2 * rates))


def reverse_water_filling_at(variances: ArrayLike, distortion: ArrayLike) -> WaterFilling:
    """Fewest bits of independent Gaussian components at a total squared error: r_i = max(0, 1/2 log2(variance_i / t)).

    The level t solves sum_i min(variance_i, t) = distortion: with the components at or below it known from one sort,
    t is what they leave of the distortion, shared evenly among the others.

    Args:
      variances: [..., d], at least 0.
      distortion: total squared error, shape [...]; the leading shapes broadcast.

    Returns:
      rates, and distortions min(variance_i, t), with sum `distortion`; at and above sum_i variance_i no bits. At
      distortion 0 the rates are inf where the variance is not 0. Differentiable in both arguments where no variance
      equals t.

    Raises:
      InputError: no variance, a negative variance or distortion (a negative distortion has rates inf under jit).

    Source: Cover and Thomas, Elements of Information Theory, theorem 10.3.3.
    """
    return _filled_at(_variances(variances), _at_least_zero(distortion, "the distortion"))


@jax.jit
def _filled_at(variances: jax.Array, total: jax.Array) -> WaterFilling:
    shape = jnp.broadcast_shapes(variances.shape[:-1], total.shape)
    dtype = jnp.promote_types(variances.dtype, total.dtype)
    variances = jnp.broadcast_to(variances, (*shape, variances.shape[-1])).astype(dtype)
    total = jnp.broadcast_to(total, shape).astype(dtype)[..., None]
    rising = lax.stop_gradient(jnp.sort(variances, axis=-1))
    left = jnp.arange(rising.shape[-1], 0, -1, dtype=dtype)
    below = jnp.cumsum(rising, axis=-1) - rising
    # the distortion at which the level reaches each component in turn; those it has reached are spent
    reached = below + rising * _like(left, rising)
    number = jnp.sum(reached <= total, axis=-1, keepdims=True)
    edge = jnp.take_along_axis(rising, jnp.maximum(number - 1, 0), axis=-1)
    # by place as well: in the caller's jit a variance may be computed twice, and rounded to just above itself
    place = jnp.argsort(jnp.argsort(lax.stop_gradient(variances), axis=-1), axis=-1)
    spent = (number > 0) & ((variances <= edge) | (place < number))
    active = jnp.maximum(jnp.sum(~spent, axis=-1, keepdims=True), 1).astype(dtype)
    level = (total - jnp.sum(jnp.where(spent, variances, 0.0), axis=-1, keepdims=True)) / active
    reachable = level > 0
    ratio = jnp.where(spent, 1.0, variances / jnp.where(reachable, level, 1.0))
    rates = jnp.where(spent, 0.0, jnp.where(reachable, 0.5 * jnp.log2(jnp.where(ratio > 0, ratio, 1.0)), jnp.inf))
    return WaterFilling(jnp.maximum(rates, 0.0), jnp.where(spent, variances, jnp.maximum(level, 0.0)))


def gaussian_bottleneck(correlations: ArrayLike, rate: ArrayLike) -> jax.Array:
    """IB(b) = max{ I(Y; C) : I(X; C) <= b } of jointly Gaussian (X, Y), in bits.

    IB(b) = sum_i -1/2 log2(1 - rho_i^2 (1 - 2^(-2 r_i))) with r_i = max(0, 1/2 log2(c_i / level)),
    c_i = rho_i^2 / (1 - rho_i^2), sum_i r_i = b.

    Args:
      correlations: canonical correlations rho [d] of X and Y, in [-1, 1].
      rate: b in bits, any shape.

    Returns:
      bits, the shape of `rate`; concave, at most b and at most I(X; Y) = sum_i -1/2 log2(1 - rho_i^2).

    Raises:
      InputError: a correlation outside [-1, 1], or none, or a negative rate.

    Source: Chechik, Globerson, Tishby and Weiss 2005, Information bottleneck for Gaussian variables.
    """
    return _bottleneck(_correlations(correlations), _at_least_zero(rate, "the rate"))


def gaussian_bottleneck_rate(correlations: ArrayLike, information: ArrayLike) -> jax.Array:
    """The inverse of `gaussian_bottleneck`: least b with IB(b) >= information.

    Args:
      correlations: canonical correlations [d], in [-1, 1].
      information: bits, any shape.

    Returns:
      bits, the shape of `information`; inf at and above I(X; Y), which no number of bits reaches. Its derivative is
      that of the inverse function.

    Raises:
      InputError: a correlation outside [-1, 1], or none, or negative information.
    """
    return _inverses(_correlations(correlations), _at_least_zero(information, "the information"))


@jax.jit
def _bottleneck(rho: jax.Array, rates: jax.Array) -> jax.Array:
    square = _square(rho)
    used = square > 0
    strength = jnp.where(used, square, 0.5)
    height = jnp.where(used, 0.5 * (jnp.log2(strength) - jnp.log2(1 - strength)), -jnp.inf)

    def carried(rate: jax.Array) -> jax.Array:
        lost = -jnp.expm1(-2 * LN2 * _fill(height, rate))
        return jnp.sum(-0.5 * jnp.log1p(-square * lost)) / LN2

    return jnp.where(_perfect(rho), rates, jnp.vectorize(carried)(rates))


@jax.jit
def _inverses(rho: jax.Array, goals: jax.Array) -> jax.Array:
    square = _square(rho)
    return jnp.where(_perfect(rho), goals, jnp.vectorize(lambda goal: _bottleneck_inverse(square, goal))(goals))


def _bottleneck_inverse(square: jax.Array, goal: jax.Array) -> jax.Array:
    """With t = 1 / level, active components carry 1/2 log2((1 + c_i) t / (1 + t)): solve for t by the number active.

    Everything is told as how far it is from the weakest active component, so that a small goal keeps its digits.
    """
    strength = -jnp.sort(-square)
    number = jnp.arange(1, strength.shape[0] + 1)
    twice = 2 * LN2 * goal
    # a_i = ln(1 + c_i) = -ln(1 - rho_i^2); what the k strongest carry when the next begins: sum (a_i - a_k)
    falls = jnp.log1p((strength[:-1] - strength[1:]) / (1 - strength[:-1]))
    before = jnp.append(jnp.zeros_like(falls, shape=1), jnp.cumsum(number[:-1] * falls))
    chosen = jnp.sum((strength > 0) & (twice >= before))
    last = jnp.maximum(chosen, 1) - 1
    weakest, active = jnp.where(chosen > 0, strength[last], 1.0), number <= chosen
    lost = jnp.expm1((before[last] - twice) / (last + 1)) / weakest  # level over that component's c, less 1
    possible = (lost > -1) & (twice < jnp.sum(-jnp.log1p(-strength)))
    over = jnp.where(active, strength - weakest, 0.0)
    nats = jnp.log1p(over / weakest) + jnp.log1p(over / (1 - strength)) - jnp.log1p(jnp.where(possible, lost, 0.0))
    bits = jnp.sum(jnp.where(active, nats, 0.0)) / (2 * LN2)
    bits = jnp.where(bits < goal, goal, bits)  # not a maximum, which halves the derivative where they are equal
    return jnp.where(chosen > 0, jnp.where(possible, bits, jnp.inf), jnp.where(goal <= 0, 0.0, jnp.inf))


def _fill(height: jax.Array, total: jax.Array) -> jax.Array:
    """r_i = max(0, height_i - level) with sum `total`; height -inf gets nothing."""
    falling = -jnp.sort(-height, axis=-1)
    finite = jnp.isfinite(falling)
    number = jnp.arange(1, height.shape[-1] + 1)
    levels = (jnp.cumsum(jnp.where(finite, falling, 0.0), axis=-1) - total[..., None]) / _like(number, falling)
    active = finite & (falling >= levels)
    count = jnp.maximum(jnp.sum(active, axis=-1, keepdims=True), 1)
    level = jnp.take_along_axis(levels, count - 1, axis=-1)
    filled = jnp.isfinite(height) & (height >= level)  # not a maximum, which halves the derivative where they are equal
    return jnp.where(filled, jnp.where(filled, height, 0.0) - level, 0.0)


def _like(vector: jax.Array, batch: jax.Array) -> jax.Array:
    return vector.reshape((1,) * (batch.ndim - 1) + (-1,)).astype(batch.dtype)


def _variances(variances: ArrayLike) -> jax.Array:
    checks.along_last(variances, "the variances")
    checks.numbers(variances, "the list of variances", 0)
    return floating(variances)


def _at_least_zero(values: ArrayLike, what: str) -> jax.Array:
    """Floats, refused unless at least 0; infinity is."""
    if checks.is_concrete(values):
        good = np.isrealobj(np.asarray(values)) and bool(np.all(np.asarray(values) >= 0))
        checks.require(good, f"{what} is negative, complex or NaN; it must be at least 0.")
    return floating(values)


def _correlations(correlations: ArrayLike) -> jax.Array:
    shape = np.shape(correlations)
    checks.require(len(shape) == 1 and shape[0] > 0, f"the correlations have shape {shape}; give one a component, [d].")
    if checks.is_concrete(correlations):
        good = bool(np.all(np.abs(np.asarray(correlations)) <= 1))
        checks.require(good, "a correlation lies outside [-1, 1], or is NaN.")
    return floating(correlations)


def _square(rho: jax.Array) -> jax.Array:
    return jnp.minimum(rho**2, 1 - 4 * jnp.finfo(rho.dtype).eps)  # finite where a component is perfect


def _perfect(rho: jax.Array) -> jax.Array:
    """Whether a component tells all, to rounding: then IB(b) = b, which is never less than it is."""
    return jnp.any(rho**2 >= 1 - 4 * jnp.finfo(rho.dtype).eps)
