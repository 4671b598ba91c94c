"""Gaussian entropy and information of a given covariance, in bits. For samples see `gaussian_samples`.

Everything but entropy is invariant to invertible maps within a block, so covariances are scaled to unit variances.
Canonical correlations are singular values of Lx^-1 S_xy Ly^-T (Cholesky factors), never eigenvalues of products of
inverses: small ones keep their relative accuracy, and with them a small information. A correlation that is 1 to
rounding gives inf.

Gradients: through Cholesky factors, of information of every order, of correlations once; right where correlations
coincide or are 0. The covariance is read as symmetric, so move it along symmetric matrices. Where a value is infinite
there is none, and 0 stands for it.
"""

import math
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.typing import ArrayLike

from rdjax import checks
from rdjax.numerics import floating, matmul, to_bits


def gaussian_entropy(covariance: ArrayLike) -> jax.Array:
    """Differential entropy h(X) = 1/2 log2 det(2 pi e S).

    Args:
      covariance: S [..., d, d], in squared units of X: h moves by log2 |det A| when X becomes A X, so it is no amount
        of information by itself.

    Returns:
      bits [...]; -inf where S is singular, to rounding at unit variances.

    Raises:
      InputError: no covariance.

    Gradients: S^-1 / (2 ln 2); 0 where the value is -inf.

    Source: Cover and Thomas, Elements of Information Theory, theorem 8.4.1, as for the mutual information.
    """
    return _entropy(_covariance(covariance))


def canonical_correlations(covariance: ArrayLike, split: int) -> jax.Array:
    """Correlations of the pairs of linear functions of X and Y that are most correlated, each pair apart from the last.

    Args:
      covariance: of (X, Y), [..., d, d].
      split: dimensions of X, which comes first; 1 <= split < d. Static.

    Returns:
      [..., min(split, d - split)], falling, in [0, 1].

    Raises:
      InputError: no covariance, a split that leaves a block empty, a block that is singular by itself (1 under jit).

    Source: Hotelling 1936; Golub and Van Loan, Matrix Computations, section 6.4.
    """
    return _correlations(*_blocks(covariance, split))


def gaussian_mutual_information(covariance: ArrayLike, split: int) -> jax.Array:
    """I(X; Y) = -1/2 sum_i log2(1 - rho_i^2) over the canonical correlations, of jointly Gaussian X and Y.

    Args:
      covariance: of (X, Y), [..., d, d].
      split: dimensions of X, which comes first (the size of the first block); 1 <= split < d. Static.

    Returns:
      bits [...], at least 0; inf where one block determines a part of the other.

    Raises:
      InputError: no covariance, a split that leaves a block empty, a block that is singular by itself (inf under jit).

    Source: Gelfand and Yaglom 1957.
    """
    return block_information(*_blocks(covariance, split))


def gaussian_total_correlation(covariance: ArrayLike, sizes: tuple[int, ...]) -> jax.Array:
    """TC = sum_m h(X_m) - h(X) = sum_m I(X_m; X_1, ..., X_(m-1)) of jointly Gaussian blocks.

    Args:
      covariance: of all blocks, [..., d, d].
      sizes: dimensions of each block, adding up to d. Static.

    Returns:
      bits [...], at least 0; inf where the blocks together are singular.

    Raises:
      InputError: no covariance, sizes that do not add up, a block that is singular by itself (inf under jit).
    """
    values = _covariance(covariance)
    sizes = checks.whole_tuple(sizes, "sizes", "the size of a block")
    d = values.shape[-1]
    checks.require(sum(sizes) == d, f"the blocks have {sizes} dimensions, which do not add up to the covariance's {d}.")
    for start, stop in _bounds(sizes):
        _check_block(values[..., start:stop, start:stop])
    return _total_correlation(values, sizes)


@jax.jit
def _entropy(covariance: jax.Array) -> jax.Array:
    d = covariance.shape[-1]
    variances = jnp.diagonal(covariance, axis1=-2, axis2=-1)
    scale = jnp.sqrt(jnp.where(variances > 0, variances, 1.0))
    unit = covariance / scale[..., :, None] / scale[..., None, :]
    least = jnp.linalg.eigvalsh(lax.stop_gradient(unit))[..., 0]  # a pivot that should be 0 is any small number
    usable = least > 64 * d**0.5 * float(jnp.finfo(covariance.dtype).eps)  # as `checks.not_singular`; a NaN is not
    regular = jnp.where(usable[..., None, None], unit, jnp.eye(d, dtype=unit.dtype))
    pivots = jnp.diagonal(jnp.linalg.cholesky(regular), axis1=-2, axis2=-1)
    logs = jnp.sum(jnp.log(pivots) + jnp.log(scale), axis=-1)
    return jnp.where(usable, to_bits(logs) + d / 2 * math.log2(2 * math.pi * math.e), -jnp.inf)


@jax.jit
def _correlations(own: jax.Array, cross: jax.Array, other: jax.Array) -> jax.Array:
    """From S_xx, S_xy, S_yy."""
    return singular_values(_whitened(own, cross, other))


def _whitened(own: jax.Array, cross: jax.Array, other: jax.Array) -> jax.Array:
    """Lx^-1 S_xy Ly^-T, at unit variances."""
    own_scale, other_scale = _deviations(own), _deviations(other)
    whitened = cross / own_scale[..., :, None] / other_scale[..., None, :]
    for block, scale in ((own, own_scale), (other, other_scale)):
        factor = jnp.linalg.cholesky(block / scale[..., :, None] / scale[..., None, :])
        whitened = jnp.swapaxes(lax.linalg.triangular_solve(factor, whitened, left_side=True, lower=True), -1, -2)
    return whitened


@jax.jit
def block_information(own: jax.Array, cross: jax.Array, other: jax.Array) -> jax.Array:
    """Bits from S_xx, S_xy, S_yy, unchecked; inf where S_xx or S_yy is singular."""
    return _information(_whitened(own, cross, other))


@jax.custom_jvp
def _information(matrix: jax.Array) -> jax.Array:
    """Bits [...] of W, whose singular values are the correlations: -1/2 log2 det(I - W W')."""
    return information_of(singular_values(matrix))


@_information.defjvp
def _slope(primals: tuple[jax.Array], tangents: tuple[jax.Array]) -> tuple[jax.Array, jax.Array]:
    """tr W' (I - W W')^-1 dW / ln 2: smooth also where singular values coincide, whose own slopes are not."""
    (matrix,), (moved,) = primals, tangents
    bits = _information(matrix)
    known = jnp.isfinite(lax.stop_gradient(bits))[..., None, None]
    usable = jnp.where(known, matrix, 0.0)
    square = matmul(usable, jnp.swapaxes(usable, -1, -2))
    rest = jnp.broadcast_to(jnp.eye(matrix.shape[-2], dtype=matrix.dtype), square.shape) - square
    factor = jnp.linalg.cholesky(rest)
    whole = partial(lax.linalg.triangular_solve, factor, left_side=True, lower=True)
    pull = whole(whole(usable), transpose_a=True)
    return bits, to_bits(jnp.sum(pull * jnp.where(known, moved, 0.0), axis=(-2, -1)))


@partial(jax.jit, static_argnums=1)
def _total_correlation(covariance: jax.Array, sizes: tuple[int, ...]) -> jax.Array:
    part = lambda a, b, c, d: covariance[..., a:b, c:d]
    steps = [
        block_information(part(0, a, 0, a), part(0, a, a, b), part(a, b, a, b)) for a, b in _bounds(sizes) if a > 0
    ]
    return sum(steps, jnp.zeros(covariance.shape[:-2], covariance.dtype))


@jax.jit
def information_of(correlations: jax.Array) -> jax.Array:
    """Bits [...] of canonical correlations [..., r]; inf where one is 1 to rounding."""
    one = 1 - 8 * correlations.shape[-1] ** 0.5 * float(jnp.finfo(correlations.dtype).eps)
    below = correlations < one
    terms = -jnp.log1p(-(jnp.where(below, correlations, 0.0) ** 2))
    return jnp.where(jnp.all(below, axis=-1), to_bits(0.5 * jnp.sum(terms, axis=-1)), jnp.inf)


def singular_values(matrix: jax.Array) -> jax.Array:
    """Falling, in [0, 1]; a matrix that is not finite (a block was singular) has all 1."""
    usable = jnp.all(jnp.isfinite(matrix), axis=(-2, -1), keepdims=True)
    values = jnp.linalg.svd(jnp.where(usable, matrix, 0.0), compute_uv=False)
    return jnp.where(usable[..., 0], jnp.minimum(values, 1.0), 1.0)


def _deviations(covariance: jax.Array) -> jax.Array:
    return jnp.sqrt(jnp.diagonal(covariance, axis1=-2, axis2=-1))


def _bounds(sizes: tuple[int, ...]) -> list[tuple[int, int]]:
    ends = [sum(sizes[: m + 1]) for m in range(len(sizes))]
    return list(zip([0, *ends[:-1]], ends, strict=True))


def _blocks(covariance: Any, split: int) -> tuple[jax.Array, jax.Array, jax.Array]:
    """S_xx, S_xy, S_yy; values are tested unless they are traced."""
    values = _covariance(covariance)
    d = values.shape[-1]
    size = checks.whole(split, "the split")
    checks.require(size < d, f"the first block takes {size} of {d} dimensions; each block needs at least 1.")
    with checks.looking():
        own, cross, other = values[..., :size, :size], values[..., :size, size:], values[..., size:, size:]
    _check_block(own)
    _check_block(other)
    return own, cross, other


def _covariance(covariance: Any) -> jax.Array:
    """Symmetric positive semidefinite [..., d, d], as floats."""
    with checks.looking():
        values = floating(covariance)
    d = values.shape[-1] if values.ndim else 0
    square = values.ndim >= 2 and values.shape[-2] == d > 0
    checks.require(square, f"the covariance has shape {values.shape}; it must be square, [..., d, d].")
    if not checks.is_concrete(covariance):
        return values
    checks.covariance(np.asarray(values))
    return values


def _check_block(block: jax.Array) -> None:
    """Refuse a block that is singular by itself."""
    if checks.is_concrete(block):
        checks.not_singular(np.asarray(block), "a block of the covariance")
