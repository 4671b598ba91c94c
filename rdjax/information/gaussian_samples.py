"""Gaussian information from samples, in bits, with what their number does to the estimate."""

import math

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.typing import ArrayLike
from scipy.special import digamma

from rdjax import checks
from rdjax.information.covariance import block_information, singular_values
from rdjax.information.rows import narrowed, power_of_two
from rdjax.numerics import floating, to_bits

HIGHEST = lax.Precision.HIGHEST
METHODS = ("unbiased", "plugin", "ledoit_wolf")


def gaussian_information_bias(observations: int, x_dimension: int, y_dimension: int) -> float:
    """How much too high `method="plugin"` is on average, exactly, for Gaussian data and whatever the true I.

        b = 1/2 [ g(p) + g(q) - g(p + q) ],  g(d) = sum_(i < d) psi((n - 1 - i) / 2) / ln 2;  about p q / (2 n ln 2)

    Args:
      observations: n, above p + q.
      x_dimension, y_dimension: p and q.

    Returns:
      bits.

    Raises:
      InputError: too few observations; then the plug-in is infinite.

    Source: the mean log-determinant of a Wishart matrix: Misra, Singh and Demchuk, J. Multivariate Anal. 92, 2005.
    """
    n, p, q = (checks.whole(v, "a size") for v in (observations, x_dimension, y_dimension))
    checks.require(n > p + q, f"{n} observations of {p} + {q} dimensions; the plug-in needs more than {p + q}.")
    psi = digamma((n - 1 - np.arange(p + q)) / 2)
    return float((psi[:p].sum() + psi[:q].sum() - psi.sum()) / (2 * math.log(2)))


def shrunk_covariance(samples: ArrayLike) -> tuple[jax.Array, jax.Array]:
    """The Ledoit-Wolf estimate (1 - a) S + a (tr S / d) 1: invertible unless a is 0 or all samples are equal.

    S is the sample covariance (divided by n); a minimizes an estimate of the mean squared error in the Frobenius norm,
    which is 0 at a = 0, and leaves S of rank one, where the outer products of all samples less their mean are the same:
    always of two, and of +-v in equal numbers.

    Args:
      samples: [n, d], n >= 2; centered here.

    Returns:
      the covariance [d, d], in squared units of the samples, and a, in [0, 1].

    Raises:
      InputError: no such array, fewer than two samples, NaN, an entry beyond float32 where x64 is off.

    Source: Ledoit and Wolf, J. Multivariate Anal. 88, 2004.
    """
    return _ledoit_wolf(_samples(samples, "the samples", 2))


def sample_canonical_correlations(x: ArrayLike, y: ArrayLike) -> jax.Array:
    """Canonical correlations of samples, as cosines of the angles between the spaces their columns span.

    Args:
      x: [n, p].
      y: [n, q], the same observations; n > p + q (else some are 1 whatever the data).

    Returns:
      [min(p, q)], falling, in [0, 1].

    Raises:
      InputError: no such arrays, too few observations, columns that others of their block determine.

    Source: Bjorck and Golub, Math. Comp. 27, 1973.
    """
    return _checked_angles(*_pair(x, y))[0]


def gaussian_mutual_information_from_samples(x: ArrayLike, y: ArrayLike, method: str = "unbiased") -> jax.Array:
    """I(X; Y) of samples, read as Gaussian: what their second moments prove of it, and no more.

        plugin       of the sample covariance: `gaussian_information_bias` too high on average
        unbiased     less that: exactly right on average for Gaussian data, so it may be below 0
        ledoit_wolf  of the shrunk covariance of the columns at unit variance, for n <= p + q, where the others are
                     infinite. Its bias depends on the data (too high without dependence, too low with much), so read
                     it beside a calibration on data of known I

    Args:
      x: [n, p].
      y: [n, q], the same observations; n > p + q, except for ledoit_wolf, which takes n >= 3.
      method: one of the above. Static.

    Returns:
      bits; for data that are not Gaussian, the I of the Gaussian with their covariance; inf where a direction of one is
      determined by the other to rounding, in float32 from 19 bits of it on (9 by ledoit_wolf). A constant column is
      left out by ledoit_wolf and refused by the others.

    Raises:
      InputError: no such arrays, an unknown method, too few observations, columns that others of their block determine
        (inf under jit).
    """
    checks.require(method in METHODS, f"method {method!r} is not known; the known ones are {', '.join(METHODS)}.")
    first, second = _pair(x, y)
    if method == "ledoit_wolf":
        return _shrunk_information(first, second)
    bits = _information(*_checked_angles(first, second))
    if method == "plugin":
        return bits
    return bits - gaussian_information_bias(first.shape[0], first.shape[1], second.shape[1])


@jax.jit
def _angles(x: jax.Array, y: jax.Array) -> tuple[jax.Array, jax.Array, list[jax.Array]]:
    """Cosines and sines of the angles between the blocks, and for each whether one of its columns others determine."""
    bases, thin = [], []
    for block in (x, y):
        basis, triangle = jnp.linalg.qr(_standardized(block))
        least = jnp.linalg.svd(lax.stop_gradient(triangle), compute_uv=False)[-1]
        thin.append(~(least > _slack(block) * block.shape[0] ** 0.5))
        bases.append(jnp.where(thin[-1], jnp.nan, basis))  # there a basis vector is noise
    many, few = bases if x.shape[1] > y.shape[1] else bases[::-1]
    shared = jnp.matmul(many.T, few, precision=HIGHEST)
    sines = singular_values(few - jnp.matmul(many, shared, precision=HIGHEST))[::-1]
    return singular_values(shared), jnp.where(thin[0] | thin[1], 0, sines), thin


@jax.jit
def _information(cosines: jax.Array, sines: jax.Array) -> jax.Array:
    """Bits, of whichever is the smaller of the two and keeps its digits; inf where a sine is 0 to rounding."""
    apart = sines > 8 * sines.shape[-1] ** 0.5 * float(jnp.finfo(sines.dtype).eps)
    close = apart & (sines < cosines)
    wide = jnp.where(apart & ~close, cosines, 0)
    nats = jnp.sum(-jnp.log(jnp.where(close, sines, 1)) - jnp.log1p(-(wide**2)) / 2)
    return jnp.where(jnp.all(apart), to_bits(nats), jnp.inf)


@jax.jit
def _ledoit_wolf(samples: jax.Array) -> tuple[jax.Array, jax.Array]:
    centered = _centered(samples)
    some = centered[:: max(1, len(samples) // 1024)]  # enough to know the size by
    unit = power_of_two(jnp.max(jnp.abs(some)))  # fourth powers of float32 end at 1e-11 and 1e9
    covariance, weight = _shrunk(centered * (1 / unit), jnp.ones(samples.shape[1], samples.dtype))
    return covariance * unit * unit, weight


def _shrunk(scaled: jax.Array, counted: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Ledoit and Wolf's covariance, and weight, of samples that are centered and of a size near 1.

    `counted` [d] is 1, or 0 for a column of zeros that is to have no part in it.
    """
    n = scaled.shape[0]
    covariance = jnp.matmul(scaled.T, scaled, precision=HIGHEST) / n
    level = jnp.trace(covariance) / jnp.maximum(jnp.sum(counted), 1)
    identity = jnp.diag(counted)
    away = jnp.sum((covariance - level * identity) ** 2)
    noise = (jnp.mean(jnp.sum(scaled**2, axis=1) ** 2) - jnp.sum(covariance**2)) / n
    weight = jnp.where(noise < away, jnp.maximum(noise, 0) / jnp.where(away > 0, away, 1.0), 1.0)
    return (1 - weight) * covariance + weight * level * identity, weight


@jax.jit
def _shrunk_information(x: jax.Array, y: jax.Array) -> jax.Array:
    p = x.shape[1]
    both = jnp.concatenate([_standardized(x), _standardized(y)], axis=1)
    varies = jnp.any(both != 0, axis=0)
    covariance, _ = _shrunk(both, varies.astype(both.dtype))
    covariance += jnp.diag((~varies).astype(both.dtype))  # uncorrelated: adds nothing
    bits = block_information(covariance[:p, :p], covariance[:p, p:], covariance[p:, p:])
    return jnp.where(jnp.any(varies[:p]) & jnp.any(varies[p:]), bits, 0)


def _centered(samples: jax.Array) -> jax.Array:
    """Less the mean of each column, found about the first entry: far from 0 a float32 mean is off by its rounding."""
    first = samples[:1]
    offset = jnp.mean(samples - first, axis=0, keepdims=True)
    mean = first + offset
    return (samples - mean) - (offset - (mean - first))  # the latter is what rounding made of the mean


def _standardized(samples: jax.Array) -> jax.Array:
    """Centered, at unit variance; a constant column becomes 0."""
    largest = jnp.max(jnp.abs(samples), axis=0, keepdims=True)
    unit = power_of_two(largest)  # or squares end at 1e-38 and 1e38 of float32
    centered = _centered(samples * (1 / unit))
    square = jnp.mean(centered**2, axis=0, keepdims=True)
    varies = square > (4 * jnp.finfo(samples.dtype).eps * largest / unit) ** 2  # more than a constant's rounding
    return jnp.where(varies, centered / jnp.sqrt(jnp.where(varies, square, 1.0)), 0.0)


def _samples(values: ArrayLike, where: str, least: int) -> jax.Array:
    shape = np.shape(values)
    good = len(shape) == 2 and shape[0] >= least and shape[1] > 0
    checks.require(good, f"{where} have shape {shape}; they must be [n, d] with n at least {least}.")
    if not checks.is_concrete(values):
        return floating(values)
    if checks.arrays_of(values) is np:
        checks.numeric_matrix(np.asarray(values), where)
    else:
        checks.numbers(values, where)
    return narrowed(values, where)


def _pair(x: ArrayLike, y: ArrayLike) -> tuple[jax.Array, jax.Array]:
    first, second = _samples(x, "the samples of X", 3), _samples(y, "the samples of Y", 3)
    n, m = first.shape[0], second.shape[0]
    checks.require(n == m, f"X has {n} observations and Y has {m}; both need the same.")
    dtype = jnp.promote_types(first.dtype, second.dtype)
    return first.astype(dtype), second.astype(dtype)


def _checked_angles(x: jax.Array, y: jax.Array) -> tuple[jax.Array, jax.Array]:
    """`_angles` of more observations than dimensions, and of columns of which none is determined by others."""
    n, p, q = x.shape[0], x.shape[1], y.shape[1]
    checks.require(
        n > p + q,
        f"{n} observations of {p} + {q} dimensions: their sample covariance is singular and the plug-in infinite; give "
        f"more than {p + q}, or use method='ledoit_wolf'.",
    )
    cosines, sines, thin = _angles(x, y)
    for bad, name in zip(thin, "XY", strict=True):
        if checks.is_concrete(bad):
            checks.require(not bad, f"a column of {name} is constant or determined by others; leave it out.")
    return cosines, sines


def _slack(block: jax.Array) -> float:
    return 64 * block.shape[1] * float(jnp.finfo(block.dtype).eps)
