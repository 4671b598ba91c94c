"""Joint laws of x [n, d] and y [n, e] whose mutual information is known: the families behind `tasks`.

Each knows its mutual information by a closed form or by quadrature, and apart from that the information density

    i(x, y) = log2 p(x, y) / (p(x) p(y)),

whose mean over samples is the same number: `Task.measured` takes it. Values and densities are float64 NumPy on the host
and share no code with the estimators; samples are JAX.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from rdjax import checks
from rdjax.numerics import LN2

Sample = tuple[jax.Array, jax.Array]


class Measured(NamedTuple):
    """A mean over samples and its standard error, both in bits."""

    bits: float
    standard_error: float


@dataclass(frozen=True, eq=False)
class Task:
    """A joint law with known mutual information.

    Args:
      name: what it is called.
      dim_x, dim_y: columns of x and of y.
      mutual_information: bits.
      draw: (key, n) -> x [n, dim_x], y [n, dim_y], traceable.
      density: (x, y), NumPy float64 -> the information density of each row, bits [n]: what a perfect critic reads.
    """

    name: str
    dim_x: int
    dim_y: int
    mutual_information: float
    draw: Callable[[jax.Array, int], Sample]
    density: Callable[[np.ndarray, np.ndarray], np.ndarray]

    def sample(self, key: jax.Array, n: int) -> Sample:
        """n independent rows of x [n, dim_x] and of y [n, dim_y]; compiled once per n, which is static under jit.

        Raises:
          InputError: an n that is no whole number above 0.
        """
        return _draw(self, key, checks.whole(n, "the number of samples"))

    def measured(self, n: int = 100_000, seed: int = 0) -> Measured:
        """The mutual information once more, as the mean of the information density over n samples.

        Args:
          n: how many, at least 2.
          seed: of their key.

        Raises:
          InputError: an n that is no whole number above 1.
        """
        checks.whole(n, "the number of samples", 2)
        with jax.enable_x64(True):
            x, y = self.sample(jax.random.key(seed), n)
        bits = self.density(np.asarray(x), np.asarray(y))
        return Measured(float(bits.mean()), float(bits.std(ddof=1) / math.sqrt(n)))


@partial(jax.jit, static_argnums=(0, 2))
def _draw(task: Task, key: jax.Array, n: int) -> Sample:
    return task.draw(key, n)


def normal(name: str, covariance: ArrayLike, dim_x: int) -> Task:
    """Joint normal: -1/2 sum_i log2(1 - rho_i^2) over the canonical correlations rho_i."""
    matrix = np.asarray(covariance, np.float64)
    x, y = matrix[:dim_x, :dim_x], matrix[dim_x:, dim_x:]
    white = np.linalg.solve(np.linalg.cholesky(x), matrix[:dim_x, dim_x:])
    white = np.linalg.solve(np.linalg.cholesky(y), white.T)
    correlations = np.linalg.svd(white, compute_uv=False)
    bits = np.sum(-0.5 * np.log2(1 - correlations**2), initial=0.0)
    return Task(
        name,
        dim_x,
        len(y),
        float(bits),
        _elliptic(matrix, dim_x, None),
        lambda a, b: _log_ratio(_log_normal, matrix, dim_x, a, b),
    )


def student(name: str, dispersion: ArrayLike, dim_x: int, freedom: int) -> Task:
    """Joint Student-t: what a normal law of that dispersion shares, and what the common scale tells besides.

        c(nu) + c(nu + d + e) - c(nu + d) - c(nu + e),   c(t) = ln Gamma(t / 2) - (t / 2) psi(t / 2)   (nats)

    Source: Arellano-Valle, Contreras-Reyes and Genton 2013.
    """
    matrix = np.asarray(dispersion, np.float64)
    base = normal(name, matrix, dim_x)
    c = lambda t: special.gammaln(t / 2) - t / 2 * special.psi(t / 2)
    nats = c(freedom) + c(freedom + len(matrix)) - c(freedom + dim_x) - c(freedom + base.dim_y)
    return Task(
        name,
        dim_x,
        base.dim_y,
        base.mutual_information + float(nats) / LN2,
        _elliptic(matrix, dim_x, freedom),
        lambda a, b: _log_ratio(partial(_log_student, freedom=freedom), matrix, dim_x, a, b),
    )


def uniform_noise(name: str, width: float) -> Task:
    """x uniform on [0, 1], y = x + noise uniform on [-w, w]: w - ln 2w nats up to w = 1/2, 1 / (4w) beyond."""
    nats = width - math.log(2 * width) if width <= 0.5 else 1 / (4 * width)

    def draw(key: jax.Array, n: int) -> Sample:
        x, noise = (uniforms(part, n) for part in jax.random.split(key))
        return x, x + width * (2 * noise - 1)

    density = lambda x, y: -np.log2(np.minimum(1, y + width) - np.maximum(0, y - width))[:, 0]
    return Task(name, 1, 1, nats / LN2, draw, density)


def mixture(name: str, weights: Sequence[float], means: ArrayLike, covariances: ArrayLike) -> Task:
    """Normal laws in the plane (x, y), one of them drawn by weight; the value by quadrature on a grid.

    Args:
      name: of the task.
      weights: [K], sum to one; means: [K, 2]; covariances: [K, 2, 2].
    """
    law, center = np.asarray(weights, np.float64), np.asarray(means, np.float64)
    spread = np.asarray(covariances, np.float64)
    roots = np.linalg.cholesky(spread)

    def log_law(z: np.ndarray, columns: list[int]) -> np.ndarray:
        parts = [
            math.log(p) + _log_normal(z - m[columns], v[np.ix_(columns, columns)])
            for p, m, v in zip(law, center, spread, strict=True)
        ]
        return special.logsumexp(parts, axis=0)

    def density(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        together = log_law(np.concatenate([x, y], axis=1), [0, 1])
        return (together - log_law(x, [0]) - log_law(y, [1])) / LN2

    def draw(key: jax.Array, n: int) -> Sample:
        which, shape = jax.random.split(key)
        chosen = chosen_by(law, uniforms(which, n))[:, 0]
        noise = jax.random.normal(shape, (n, 2), jnp.result_type(float))
        z = jnp.asarray(center)[chosen] + jnp.sum(jnp.asarray(roots)[chosen] * noise[:, None, :], axis=2)
        return z[:, :1], z[:, 1:]

    reach = np.abs(center).max() + 9 * math.sqrt(spread.max())
    grid = np.linspace(-reach, reach, 401)  # falls off like exp(-x^2), so an even grid converges fast
    x, y = (axis.reshape(-1, 1) for axis in np.meshgrid(grid, grid, indexing="ij"))
    mass = np.exp(log_law(np.concatenate([x, y], axis=1), [0, 1])) * (grid[1] - grid[0]) ** 2
    return Task(name, 1, 1, float(mass @ density(x, y)), draw, density)


def table(name: str, joint: ArrayLike) -> Task:
    """Symbols by a joint law [A, B], as the numbers 0, 1, ...: H(X) + H(Y) - H(X, Y)."""
    law = np.asarray(joint, np.float64)
    checks.law(law.ravel(), name)
    rows, columns = law.sum(axis=1), law.sum(axis=0)
    entropy = lambda p: -np.sum(special.xlogy(p, p)) / LN2

    def draw(key: jax.Array, n: int) -> Sample:
        cell = chosen_by(law.ravel(), uniforms(key, n))
        return (cell // law.shape[1]).astype(jnp.result_type(float)), (cell % law.shape[1]).astype(
            jnp.result_type(float)
        )

    def density(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        a, b = x[:, 0].astype(int), y[:, 0].astype(int)
        return np.log2(law[a, b] / (rows[a] * columns[b]))

    return Task(name, 1, 1, float(entropy(rows) + entropy(columns) - entropy(law)), draw, density)


def uniforms(key: jax.Array, n: int) -> jax.Array:
    """[n, 1], uniform on [0, 1)."""
    return jax.random.uniform(key, (n, 1), jnp.result_type(float))


def chosen_by(law: np.ndarray, uniform: jax.Array) -> jax.Array:
    """The symbol [n, 1] of a law [K] that each uniform number [n, 1] falls on."""
    return jnp.sum(uniform >= jnp.asarray(np.cumsum(law)[:-1], uniform.dtype)[None, :], axis=1, keepdims=True)


def _elliptic(matrix: np.ndarray, dim_x: int, freedom: int | None) -> Callable[[jax.Array, int], Sample]:
    root = np.linalg.cholesky(matrix)

    def draw(key: jax.Array, n: int) -> Sample:
        shape, scale = jax.random.split(key)
        z = jax.random.normal(shape, (n, len(root)), jnp.result_type(float)) @ jnp.asarray(root.T)
        if freedom is not None:
            square = jnp.sum(jax.random.normal(scale, (n, freedom), jnp.result_type(float)) ** 2, axis=1)
            z = z / jnp.sqrt(square / freedom)[:, None]
        return z[:, :dim_x], z[:, dim_x:]

    return draw


def _log_ratio(
    log_law: Callable[[np.ndarray, np.ndarray], np.ndarray],
    matrix: np.ndarray,
    dim_x: int,
    x: np.ndarray,
    y: np.ndarray,
) -> np.ndarray:
    together = log_law(np.concatenate([x, y], axis=1), matrix)
    return (together - log_law(x, matrix[:dim_x, :dim_x]) - log_law(y, matrix[dim_x:, dim_x:])) / LN2


def _log_normal(z: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """ln of the normal density of mean 0."""
    form, log_volume = _quadratic(z, matrix)
    return -0.5 * form - log_volume - 0.5 * len(matrix) * math.log(2 * math.pi)


def _log_student(z: np.ndarray, matrix: np.ndarray, freedom: int) -> np.ndarray:
    """ln of the Student-t density of center 0."""
    form, log_volume = _quadratic(z, matrix)
    half, d = freedom / 2, len(matrix)
    top = special.gammaln(half + d / 2) - special.gammaln(half) - 0.5 * d * math.log(freedom * math.pi)
    return top - log_volume - (half + d / 2) * np.log1p(form / freedom)


def _quadratic(z: np.ndarray, matrix: np.ndarray) -> tuple[np.ndarray, float]:
    """z' M^-1 z of each row, and half the log determinant of M."""
    root = np.linalg.cholesky(matrix)
    white = np.linalg.solve(root, z.T)
    return np.sum(white * white, axis=0), float(np.sum(np.log(np.diag(root))))
