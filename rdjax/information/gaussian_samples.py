"""Gaussian information from samples, in bits, with what their number does to the estimate."""

import math

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.typing import ArrayLike
from scipy.special import digamma

from rdjax import checks
from rdjax.information.covariance import block_information, information_of, singular_values
from rdjax.numerics import floating

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
    """The Ledoit-Wolf estimate (1 - a) S + a (tr S / d) 1: invertible however few the samples.

    S is the sample covariance (divided by n); a minimizes an estimate of the mean squared error in the Frobenius norm.

    Args:
      samples: [n, d], n >= 2; centered here.

    Returns:
      the covariance [d, d] and a, in [0, 1].

    Raises:
      InputError: no such array, fewer than two samples, NaN.

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
    first, second = _pair(x, y)
    _check_enough(first, second)
    return _cosines(first, second)


def gaussian_mutual_information_from_samples(x: ArrayLike, y: ArrayLike, method: str = "unbiased") -> jax.Array:
    """I(X; Y) of samples, read as Gaussian: what their second moments prove of it, and no more.

        plugin       of the sample covariance: `gaussian_information_bias` too high on average
        unbiased     less that: exactly right on average for Gaussian data, so it may be below 0
        ledoit_wolf  of the shrunk covariance of the columns at unit variance, for n <= p + q, where the others are
                     infinite. Its bias depends on the data (too high without dependence, too low with much), so read
                     it beside a calibration on data of known I

    Args:
      x: [n, p].
      y: [n, q], the same observations; n > p + q, except for ledoit_wolf, which takes n >= 2.
      method: one of the above. Static.

    Returns:
      bits; for data that are not Gaussian, the I of the Gaussian with their covariance. A constant column adds nothing
      to ledoit_wolf and is refused by the others.

    Raises:
      InputError: no such arrays, an unknown method, too few observations, columns that others of their block determine
        (inf under jit).
    """
    checks.require(method in METHODS, f"method {method!r} is not known; the known ones are {', '.join(METHODS)}.")
    first, second = _pair(x, y)
    if method == "ledoit_wolf":
        return _shrunk_information(first, second)
    _check_enough(first, second)
    bits = information_of(_cosines(first, second))
    if method == "plugin":
        return bits
    return bits - gaussian_information_bias(first.shape[0], first.shape[1], second.shape[1])


@jax.jit
def _cosines(x: jax.Array, y: jax.Array) -> jax.Array:
    bases = []
    for block in (x, y):
        basis, triangle = jnp.linalg.qr(_standardized(block))
        # a column that others determine leaves a basis vector that is noise
        thin = jnp.min(jnp.abs(jnp.diagonal(triangle))) < _slack(block) * block.shape[0] ** 0.5
        bases.append(jnp.where(thin, jnp.nan, basis))
    return singular_values(jnp.matmul(bases[0].T, bases[1], precision=HIGHEST))


@jax.jit
def _ledoit_wolf(samples: jax.Array) -> tuple[jax.Array, jax.Array]:
    n, d = samples.shape
    centered = samples - jnp.mean(samples, axis=0, keepdims=True)
    covariance = jnp.matmul(centered.T, centered, precision=HIGHEST) / n
    level = jnp.trace(covariance) / d
    identity = jnp.eye(d, dtype=samples.dtype)
    away = jnp.sum((covariance - level * identity) ** 2)
    noise = (jnp.mean(jnp.sum(centered**2, axis=1) ** 2) - jnp.sum(covariance**2)) / n
    weight = jnp.where(noise < away, jnp.maximum(noise, 0) / jnp.where(away > 0, away, 1.0), 1.0)
    return (1 - weight) * covariance + weight * level * identity, weight


@jax.jit
def _shrunk_information(x: jax.Array, y: jax.Array) -> jax.Array:
    p = x.shape[1]
    covariance, _ = _ledoit_wolf(jnp.concatenate([_standardized(x), _standardized(y)], axis=1))
    return block_information(covariance[:p, :p], covariance[:p, p:], covariance[p:, p:])


def _standardized(samples: jax.Array) -> jax.Array:
    """Centered, at unit variance; a constant column becomes 0."""
    centered = samples - jnp.mean(samples, axis=0, keepdims=True)
    scale = jnp.max(jnp.abs(samples), axis=0, keepdims=True)
    square = jnp.mean(centered**2, axis=0, keepdims=True)
    varies = square > (4 * jnp.finfo(samples.dtype).eps * scale) ** 2  # beyond what rounding makes of a constant
    return jnp.where(varies, centered / jnp.sqrt(jnp.where(varies, square, 1.0)), 0.0)


def _samples(values: ArrayLike, where: str, least: int) -> jax.Array:
    shape = np.shape(values)
    good = len(shape) == 2 and shape[0] >= least and shape[1] > 0
    checks.require(good, f"{where} have shape {shape}; they must be [n, d] with n at least {least}.")
    if checks.is_concrete(values):
        checks.numeric_matrix(np.asarray(values), where)
    return floating(values)


def _pair(x: ArrayLike, y: ArrayLike) -> tuple[jax.Array, jax.Array]:
    first, second = _samples(x, "the samples of X", 2), _samples(y, "the samples of Y", 2)
    n, m = first.shape[0], second.shape[0]
    checks.require(n == m, f"X has {n} observations and Y has {m}; both need the same.")
    dtype = jnp.promote_types(first.dtype, second.dtype)
    return first.astype(dtype), second.astype(dtype)


def _check_enough(x: jax.Array, y: jax.Array) -> None:
    """More observations than dimensions, and columns of which none is determined by others of its block."""
    n, p, q = x.shape[0], x.shape[1], y.shape[1]
    checks.require(
        n > p + q,
        f"{n} observations of {p} + {q} dimensions: their sample covariance is singular and the plug-in infinite; give "
        f"more than {p + q}, or use method='ledoit_wolf'.",
    )
    for block, name in ((x, "X"), (y, "Y")):
        if checks.is_concrete(block):
            values = np.linalg.svd(np.linalg.qr(np.asarray(_standardized(block)), mode="r"), compute_uv=False)
            checks.require(
                bool(values[-1] > _slack(block) * n**0.5),
                f"a column of {name} is constant or determined by others; leave it out.",
            )


def _slack(block: jax.Array) -> float:
    return 64 * block.shape[1] * float(jnp.finfo(block.dtype).eps)
