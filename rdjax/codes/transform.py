"""Linear transforms before quantization: some coordinates as they are, principal components, a random rotation.

All here are orthonormal and affine, c = basis' (x - mean), x ~ mean + basis c, so errors of the coefficients are errors
of the vectors. Fitting streams the rows in float64 on the host, in blocks, so that a memory map is never copied whole.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from rdjax.checks import InputError, require, whole
from rdjax.codes.arrays import device_array, fit_vectors, require_dimension, working_dtype
from rdjax.codes.moments import covariance, float64_blocks, mean_and_variance, spread_along
from rdjax.numerics import matmul
from rdjax.trees import register_dataclass


class Transform(ABC):
    """What codes ask of a transform: k coefficients of a vector, about a mean, and a vector for k coefficients.

    `mean` is [D]; `variances` [k] are those of the coefficients over the vectors of the fit.
    """

    mean: jax.Array
    variances: jax.Array
    sides: ClassVar[tuple[str, ...]] = ("queries", "documents")  # whose vectors it is for

    @property
    def k(self) -> int:
        """Coefficients kept."""
        return self.variances.shape[0]

    @property
    @abstractmethod
    def label(self) -> str:
        """How a code's name begins."""

    @property
    @abstractmethod
    def encoder_bytes(self) -> int:
        """Memory of the encoder, at 4 bytes a number."""

    @abstractmethod
    def apply(self, vectors: jax.Array) -> jax.Array:
        """Vectors [n, D] to coefficients [n, k]."""

    @abstractmethod
    def invert(self, coefficients: jax.Array) -> jax.Array:
        """Coefficients [n, k] to vectors [n, D]."""

    def heading(self, coefficients: jax.Array) -> jax.Array:
        """Points [n, m] that have the directions of what the coefficients [n, k] stand for."""
        return self.invert(coefficients)

    @abstractmethod
    def take(self, k: int) -> "Transform":
        """The same, keeping the first k coefficients."""

    @abstractmethod
    def padded(self, k: int) -> "Transform":
        """The same with more coefficients, k, by coefficients that add nothing where they are 0."""


@partial(register_dataclass, data_fields=["mean", "variances"], meta_fields=["centered"])
@dataclass(frozen=True)
class Coordinates(Transform):
    """The first k coordinates, as they are; the others decode to the mean.

    Args:
      mean: [D]; zeros where not centered.
      variances: [k], of the coefficients about the mean, over the vectors of the fit.
      centered: whether the mean was fitted (or is zero and no burden to the encoder).
    """

    mean: jax.Array
    variances: jax.Array
    centered: bool

    @property
    def label(self) -> str:
        """How a code's name begins: "" for all coordinates."""
        return "" if self.mean.shape[0] == self.k else f"first {self.k}"

    @property
    def encoder_bytes(self) -> int:
        """Memory of the encoder, at 4 bytes a number."""
        return 4 * self.k if self.centered else 0

    def apply(self, vectors: jax.Array) -> jax.Array:
        """Vectors [n, D] to coefficients [n, k]."""
        return vectors[:, : self.k] - self.mean[None, : self.k]

    def invert(self, coefficients: jax.Array) -> jax.Array:
        """Coefficients [n, k] to vectors [n, D]."""
        rest = (0, self.mean.shape[0] - self.k)
        return jnp.pad(coefficients, ((0, 0), rest)) + self.mean[None, :]

    def take(self, k: int) -> "Coordinates":
        """The same, keeping the first k coefficients."""
        return Coordinates(self.mean, jax.device_put(np.asarray(self.variances)[:k]), self.centered)

    def padded(self, k: int) -> "Coordinates":
        """The same with k of them, at most D: by coordinates that are there, so codes must leave them at 0."""
        k = min(k, self.mean.shape[0])
        return Coordinates(self.mean, jax.device_put(wider(self.variances, k)), self.centered)


@partial(register_dataclass, data_fields=["mean", "basis", "variances"], meta_fields=["kind"])
@dataclass(frozen=True)
class Projection(Transform):
    """Coefficients along orthonormal directions, about the mean.

    Args:
      mean: [D].
      basis: [D, k], orthonormal columns.
      variances: [k], of the coefficients, over the vectors of the fit.
      kind: for the name: "PCA", "PCA by modality", "rotation", "OPQ", or "turned" and one of these; "" if padded.
    """

    mean: jax.Array
    basis: jax.Array
    variances: jax.Array
    kind: str

    @property
    def label(self) -> str:
        """How a code's name begins."""
        return f"{self.kind} {self.k}"

    @property
    def encoder_bytes(self) -> int:
        """Memory of the encoder, at 4 bytes a number."""
        return 4 * (self.mean.size + self.basis.size)

    def apply(self, vectors: jax.Array) -> jax.Array:
        """Vectors [n, D] to coefficients [n, k]."""
        return matmul(vectors - self.mean[None, :], self.basis)

    def invert(self, coefficients: jax.Array) -> jax.Array:
        """Coefficients [n, k] to vectors [n, D]."""
        return matmul(coefficients, self.basis.T) + self.mean[None, :]

    def take(self, k: int) -> "Projection":
        """The same, keeping the first k coefficients."""
        basis, variances = np.asarray(self.basis)[:, :k], np.asarray(self.variances)[:k]
        return Projection(self.mean, jax.device_put(basis), jax.device_put(variances), self.kind)

    def padded(self, k: int) -> "Projection":
        """The same with directions of length zero added, up to k: their coefficients are 0 and add nothing."""
        return Projection(self.mean, jax.device_put(wider(self.basis, k)), jax.device_put(wider(self.variances, k)), "")


def wider(array: jax.Array, k: int) -> np.ndarray:
    """Zeros added on the last axis, up to k."""
    host = np.asarray(array)
    return np.pad(host, [(0, 0)] * (host.ndim - 1) + [(0, k - host.shape[-1])])


def fit_transform(kind: str | Transform, vectors: Any, k: int | None = None, *, seed: int = 0) -> Transform:
    """One of the transforms by name, centered, or one that is given.

    Args:
      kind: "coordinates", "pca" or "rotation"; or a fitted transform, of which k coefficients are kept, so that many
        budgets share one.
      vectors: [n, D].
      k: coefficients kept; None for as many as there are.
      seed: of the rotation.

    Raises:
      InputError: if the kind is none of these, or k is out of range.
    """
    array = fit_vectors(vectors)
    if isinstance(kind, Transform):
        require_dimension(array, kind.mean.shape[0], "the transform")
        k = kind.k if k is None else k
        require_k(k, kind.k, f"the transform has {kind.k}")
        return kind.take(k)
    if kind == "pca":
        return fit_pca(array, min(len(array) - 1, array.shape[1]) if k is None else k)
    k = array.shape[1] if k is None else k
    if kind == "coordinates":
        return fit_coordinates(array, k)
    if kind == "rotation":
        return fit_rotation(array, k, seed=whole(seed, "the seed", 0))
    raise InputError(f'the transform is {kind!r}; it must be "coordinates", "pca" or "rotation".')


def fit_coordinates(vectors: Any, k: int, *, centered: bool = True) -> Coordinates:
    """The first k coordinates (a Matryoshka prefix), about their mean or, uncentered, about zero.

    Args:
      vectors: [n, D].
      k: coordinates kept, 1 to D.
      centered: subtract the mean; if not, the other coordinates decode to zero.

    Raises:
      InputError: if k is out of range.
    """
    array = fit_vectors(vectors)
    require_k(k, array.shape[1], f"the vectors have {array.shape[1]} dimensions")
    mean, variances = mean_and_variance(array)
    dtype = working_dtype(array)
    mean = mean if centered else np.zeros_like(mean)
    return Coordinates(device_array(mean, dtype), device_array(variances[:k], dtype), centered)


def fit_pca(vectors: Any, k: int) -> Projection:
    """The k directions of largest variance: eigenvectors of the covariance, or singular vectors where n <= D.

    Signs are such that the largest entry of every direction is positive.

    Args:
      vectors: [n, D].
      k: directions kept, 1 to min(n - 1, D).

    Returns:
      a `Projection`; variances are those of the vectors of the fit (divisor n), non-increasing.

    Raises:
      InputError: if k is larger than the rank that n vectors can have.
    """
    array = fit_vectors(vectors)
    rank = min(len(array) - 1, array.shape[1])
    require_k(k, rank, f"{len(array)} vectors of {array.shape[1]} dimensions span at most {rank} about their mean")
    mean, _ = mean_and_variance(array)
    if len(array) <= array.shape[1]:
        _, singular, rows = np.linalg.svd(np.asarray(array, np.float64) - mean, full_matrices=False)
        variances, basis = singular**2 / len(array), rows.T
    else:
        variances, basis = np.linalg.eigh(covariance(array, mean))
        variances, basis = np.maximum(variances[::-1], 0.0), basis[:, ::-1]
    basis = basis[:, :k] * signs(basis[:, :k])
    dtype = working_dtype(array)
    return Projection(device_array(mean, dtype), device_array(basis, dtype), device_array(variances[:k], dtype), "PCA")


def fit_rotation(vectors: Any, k: int, *, seed: int = 0) -> Projection:
    """k orthonormal directions drawn uniformly at random, about the mean of the vectors [n, D]: spread variance evenly.

    Raises:
      InputError: if k is out of range.
    """
    array = fit_vectors(vectors)
    require_k(k, array.shape[1], f"the vectors have {array.shape[1]} dimensions")
    mean, _ = mean_and_variance(array)
    basis = random_directions(array.shape[1], k, seed)
    variances = spread_along(array, mean, basis)
    dtype = working_dtype(array)
    return Projection(device_array(mean, dtype), device_array(basis, dtype), device_array(variances, dtype), "rotation")


def random_directions(dimension: int, k: int, seed: int) -> np.ndarray:
    """Orthonormal columns [D, k], drawn uniformly."""
    basis, triangle = np.linalg.qr(np.random.default_rng(seed).standard_normal((dimension, k)))
    return basis * np.where(np.diag(triangle) < 0, -1.0, 1.0)  # without this the draw is not uniform


def coefficient_blocks(transform: Transform, array: np.ndarray) -> Iterator[np.ndarray]:
    """Coefficients of the rows in the transform's precision, a block at a time, without leaving the host."""
    host = jax.tree.map(np.asarray, transform)
    for block in float64_blocks(array):
        yield host.apply(block.astype(host.mean.dtype))


def signs(basis: np.ndarray) -> np.ndarray:
    """1 or -1 for every column, the sign of its largest entry."""
    largest = np.take_along_axis(basis, np.abs(basis).argmax(axis=0)[None, :], axis=0)
    return np.where(largest < 0, -1.0, 1.0)


def require_k(k: int, most: int, why: str) -> None:
    """k is a whole number, 1 to most, or an error that says why."""
    require(most >= 1, f"{why}, so there is nothing to fit; give at least two vectors.")
    good = isinstance(k, int | np.integer) and not isinstance(k, bool) and 1 <= k <= most
    require(good, f"{k} dimensions were asked for, but {why}; ask for 1 to {most}, in whole numbers.")
