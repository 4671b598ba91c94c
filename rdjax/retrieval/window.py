"""A running mean that forgets: what a metric is now, on a stream that does not stay what it was."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rdjax.checks import is_concrete, numbers, require
from rdjax.numerics import floating


def forgetful_mean(values: Any, half_life: Any) -> tuple[jax.Array, jax.Array]:
    """Mean of the values up to each time, the weight of each halving every `half_life` steps.

        mean_t = sum_{s<=t} w^(t-s) v_s / sum_{s<=t} w^(t-s),   n_t = (sum w^(t-s))^2 / sum w^(2(t-s)),   w = 2^(-1/h)

    Args:
      values: per block or per query, in order, [T] or [T, ...].
      half_life: h > 0 steps; infinity never forgets.

    Returns:
      means, the shape of `values`, in its units; and n [T], the number of equally weighted values that have a mean of
      the same variance, so that the standard error is that of n values. It tends to (1 + w) / (1 - w); float32 counts
      to 2^24.

    Raises:
      InputError: no values, one that is not finite, or a half-life that is not above 0.
    """
    numbers(values, "the values")
    values = floating(values)
    require(values.ndim >= 1 and values.shape[0] > 0, "there are no values to average; give at least one.")
    if is_concrete(half_life):
        good = np.ndim(half_life) == 0 and bool(np.asarray(half_life) > 0)
        require(good, f"the half-life is {half_life}; it must be a number above 0.")
    return _forgetful_mean(values, jnp.asarray(half_life, values.dtype))


@jax.jit
def _forgetful_mean(values: jax.Array, half_life: jax.Array) -> tuple[jax.Array, jax.Array]:
    decay = jnp.log(2.0) / half_life
    lost, lost_of_square = -jnp.expm1(-decay), -jnp.expm1(-2 * decay)  # 1 - w and 1 - w^2, however near w is to 1

    def step(sums: tuple[jax.Array, ...], value: jax.Array) -> Any:
        mean, weight, square = sums
        weight, square = weight - lost * weight + 1, square - lost_of_square * square + 1
        mean += (value - mean) / weight
        return (mean, weight, square), (mean, weight**2 / square)

    zero = jnp.zeros((), values.dtype)
    return jax.lax.scan(step, (jnp.zeros_like(values[0]), zero, zero), values)[1]
