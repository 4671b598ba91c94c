"""Quantizers with gradients: what the hard ones do, and a slope where they have none.

Three relaxations. Straight-through: the hard value, with the gradient of something smooth. Additive noise: uniform
noise of one cell in place of rounding, whose density at a value is the probability of a cell there. Soft to hard: the
mean word under a softmax of distances, or the nearest word with the gradient of that mean.

Sources: Bengio, Leonard, Courville 2013; steps that learn: Esser et al. 2020; noise: Balle, Laparra, Simoncelli 2017;
soft to hard: Agustsson et al. 2017.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import ArrayLike

from rdjax.checks import require
from rdjax.numerics import to_bits
from rdjax.shards import by_compiler


def straight_through(soft: ArrayLike, hard: ArrayLike) -> jax.Array:
    """The value of `hard`, to the bit, with the gradient of `soft`; arrays of one shape."""
    soft = jnp.asarray(soft)
    nothing = jnp.where(jnp.isfinite(soft), soft - lax.stop_gradient(soft), 0)
    return lax.stop_gradient(jnp.asarray(hard)) + nothing


def rounded(x: ArrayLike, step: ArrayLike) -> jax.Array:
    """x to the nearest multiple of the step, in steps: round(x / step), with the gradient of x / step.

    Times the step it is the decoded value y: dy/dx = 1 and dy/dstep = round(x / step) - x / step.

    Args:
      x: [..., k]; step: [k] or a number, above 0.

    Returns:
      whole numbers as floats [..., k], float32 at least.
    """
    scaled = _in_steps(x, step)
    return straight_through(scaled, jnp.round(scaled))


def noisy(x: ArrayLike, step: ArrayLike, key: jax.Array) -> jax.Array:
    """x / step + u, u uniform on [-1/2, 1/2): the noise of rounding, independent of x; floats [..., k]."""
    scaled = _in_steps(x, step)
    return scaled + jax.random.uniform(key, scaled.shape, scaled.dtype, -0.5, 0.5)


def _in_steps(x: ArrayLike, step: ArrayLike) -> jax.Array:
    """In float32 at least: half precision has no whole numbers beyond some thousands."""
    x, step = jnp.asarray(x), jnp.asarray(step)
    dtype = jnp.promote_types(jnp.result_type(x, step), jnp.float32)
    return x.astype(dtype) / jnp.broadcast_to(step.astype(dtype), x.shape)


class Assigned(NamedTuple):
    """Words [..., d] of vectors, their numbers int [...], and the softmax over all words [..., K]."""

    words: jax.Array
    numbers: jax.Array
    shares: jax.Array


def nearest_word(x: ArrayLike, words: ArrayLike, softness: ArrayLike, *, hard: bool = True) -> Assigned:
    """The nearest word, with the gradient of the mean word under softmax(-|x - w|^2 / softness).

    Args:
      x: [..., d].
      words: [K, d].
      softness: above 0, in units of |x|^2; to 0 the mean becomes the nearest word. Anneal it.
      hard: False: the mean word itself.

    Returns:
      `Assigned`.

    Raises:
      InputError: vectors and words of different dimensions.
    """
    x, words = jnp.asarray(x), jnp.asarray(words)
    require(
        words.ndim == 2 and x.shape[-1:] == words.shape[-1:],
        f"vectors have shape {x.shape} and words {words.shape}; they must be [..., d] and [K, d].",
    )
    cross = jnp.matmul(x, words.T, precision=lax.Precision.HIGHEST)
    square = jnp.broadcast_to(jnp.sum(words**2, axis=-1), cross.shape)
    far = square - 2 * cross  # less |x|^2, which is the same for all words
    shares = jax.nn.softmax(-far / softness, axis=-1)
    numbers = jnp.argmin(far, axis=-1)
    mean = jnp.matmul(shares, words, precision=lax.Precision.HIGHEST)
    if not hard:
        return Assigned(mean, numbers, shares)
    found = by_compiler(lambda numbers, words: words[numbers], numbers, words, leading=numbers.ndim)
    return Assigned(straight_through(mean, found), numbers, shares)


def cell_bits(symbols: ArrayLike, weights: ArrayLike, means: ArrayLike, scales: ArrayLike) -> jax.Array:
    """-log2 of the probability that a mixture of logistic laws gives to the cell around a value.

        -log2 sum_c weight_c [F((y + 1/2 - mean_c) / scale_c) - F((y - 1/2 - mean_c) / scale_c)],  F(x) = 1 / (1 + e^-x)

    At whole numbers it is the length of an ideal code for symbols; with `noisy` ones it is differentiable, and in the
    mean over the noise an entropy that bounds the symbols' (Balle et al.). Tails fall exponentially, so it is finite.

    Args:
      symbols: y [..., k], rounded or noisy.
      weights: [k, C] above 0, each row summing to 1; means, scales: [k, C], in steps.

    Returns:
      bits [..., k].

    Raises:
      InputError: parameters of different shapes.
    """
    weights, means, scales = jnp.asarray(weights), jnp.asarray(means), jnp.asarray(scales)
    require(
        weights.ndim == 2 and weights.shape == means.shape == scales.shape,
        f"weights, means and scales have shapes {weights.shape}, {means.shape}, {scales.shape}; all must be [k, C].",
    )
    symbols = jnp.asarray(symbols)[..., None]
    shape = (*symbols.shape[:-1], weights.shape[1])
    weights, means, scales = (jnp.broadcast_to(array, shape) for array in (weights, means, scales))
    middle, half = (symbols - means) / scales, 0.5 / scales
    # F(a) - F(b) = F(a) F(-b) (1 - e^(b - a)), exact in both tails
    logs = jax.nn.log_sigmoid(middle + half) + jax.nn.log_sigmoid(half - middle) + jnp.log(-jnp.expm1(-2 * half))
    there = weights > 0  # a weight may underflow, and then has no gradient
    logs += jnp.where(there, jnp.log(jnp.where(there, weights, 1)), -jnp.inf)
    return -to_bits(jax.nn.logsumexp(logs, axis=-1))
