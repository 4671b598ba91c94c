"""Scalar quantizers of fixed length: Lloyd-Max levels for a Gaussian, bits shared out by marginal return."""

import math
from dataclasses import dataclass
from functools import cache, partial
from statistics import NormalDist
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rdjax.checks import InputError, require
from rdjax.codes.arrays import device_array, fit_vectors
from rdjax.codes.code import COEFFICIENTS, FixedLengthCode
from rdjax.codes.transform import Transform, fit_transform

MAX_WIDTH = 8  # bits of one dimension at most: 256 levels


@partial(
    jax.tree_util.register_dataclass, data_fields=["transform", "levels", "thresholds"], meta_fields=["allocation"]
)
@dataclass(frozen=True)
class ScalarQuantizer(FixedLengthCode):
    """Every coefficient to the nearest of 2^b_l Lloyd-Max levels, scaled by its standard deviation.

    Args:
      transform: gives the k centered coefficients.
      levels: reproductions [k, 2^max b], increasing; beyond 2^b_l the last one repeats.
      thresholds: borders between them [k, 2^max b - 1]; infinity beyond 2^b_l - 1.
      allocation: b_l, bits of every coefficient [k]; 0 sends nothing and decodes to the mean.
    """

    transform: Transform
    levels: jax.Array
    thresholds: jax.Array
    allocation: tuple[int, ...]

    @classmethod
    def fit(
        cls,
        vectors: Any,
        bits: int,
        *,
        k: int | None = None,
        transform: str | Transform = "pca",
        spread: str = "variance",
        seed: int = 0,
    ) -> "ScalarQuantizer":
        """Fit transform and variances, share out the bits, scale the levels.

        Args:
          vectors: [n, D].
          bits: in all, per item; at most 8 for every coefficient.
          k: coefficients; None for as many as there are. Trailing ones that get no bits are left out.
          transform: "pca", "coordinates" or "rotation", or one that is already fitted.
          spread: "variance" (`allocate_bits`: reverse water-filling in whole bits) or "equal" (bits / k each).
          seed: of the rotation.

        Raises:
          InputError: if the budget is out of range, does not divide by k where it must, or k is out of range.
        """
        fitted = fit_transform(transform, fit_vectors(vectors), k, seed=seed)
        widths = _share_out(np.asarray(fitted.variances, np.float64), bits, spread)
        fitted = fitted.take(int(np.flatnonzero(widths)[-1]) + 1)
        levels, thresholds = _tables(widths[: fitted.k])
        deviation = np.sqrt(np.asarray(fitted.variances, np.float64))[:, None]
        # A dimension that never varied keeps the thresholds of a unit Gaussian: all its levels are the mean anyway.
        width = np.where(deviation > 0, deviation, 1.0)
        dtype = fitted.mean.dtype
        return cls(
            fitted,
            device_array(levels * deviation, dtype),
            device_array(thresholds * width, dtype),
            tuple(int(b) for b in widths[: fitted.k]),
        )

    @property
    def name(self) -> str:
        """E.g. "PCA 32 + 4-bit scalar", or "PCA 32 + scalar, 64 bits" where the widths differ."""
        same = len(set(self.widths)) == 1
        kind = f"{self.widths[0]}-bit scalar" if same else f"scalar, {self.bits} bits"
        return f"{self.transform.label} + {kind}" if self.transform.label else kind

    @property
    def dimension(self) -> int:
        """D."""
        return self.transform.mean.shape[0]

    @property
    def dtype(self) -> Any:
        """Precision of the fitted arrays."""
        return self.levels.dtype

    @property
    def widths(self) -> tuple[int, ...]:
        """The allocation."""
        return self.allocation

    @property
    def encoder_bytes(self) -> int:
        """Transform, one deviation and one width per coefficient, and the thresholds of the unit Gaussian in use."""
        return self.transform.encoder_bytes + 5 * self.transform.k + 4 * sum(2**b - 1 for b in set(self.widths))

    def _shared(self) -> "ScalarQuantizer":
        transform = self.transform.padded(COEFFICIENTS)
        extra = (0, transform.k - self.transform.k)
        levels = np.pad(np.asarray(self.levels), (extra, (0, 0)))  # one level, zero: what a coefficient of no bits is
        thresholds = np.pad(np.asarray(self.thresholds), (extra, (0, 0)), constant_values=np.inf)
        return ScalarQuantizer(transform, jax.device_put(levels), jax.device_put(thresholds), (0,) * transform.k)

    def _encode(self, vectors: jax.Array) -> jax.Array:
        coefficients = self.transform.apply(vectors)
        return jax.vmap(jnp.searchsorted, in_axes=(0, 1), out_axes=1)(self.thresholds, coefficients).astype(jnp.int32)

    def _decode(self, symbols: jax.Array) -> jax.Array:
        return self.transform.invert(jnp.take_along_axis(self.levels, symbols.T, axis=1).T)


def allocate_bits(variances: np.ndarray, total: int, most: int = MAX_WIDTH) -> np.ndarray:
    """Whole bits per dimension by greedy marginal return: each next bit where it lowers the squared error most.

    Dimension l at b bits costs variance_l * mse(b), mse of the Lloyd-Max quantizer of a unit Gaussian; mse is convex in
    b, so greedy is optimal, and at high rate it is reverse water-filling rounded to whole bits.

    Args:
      variances: [k], at least 0.
      total: bits in all, 0 to k * most.
      most: bits of one dimension at most.

    Returns:
      int [k] with sum `total`.

    Raises:
      InputError: if `total` is out of range.
    """
    require(
        int(total) == total and 0 <= total <= most * len(variances),
        f"the budget is {total} bits; {len(variances)} dimensions take a whole number up to {most * len(variances)}.",
    )
    returns = -np.diff([1.0] + [lloyd_max(2**b)[2] for b in range(1, most + 1)])
    # Returns fall with b, and a stable sort keeps b in order where they tie (at zero variance).
    best = np.argsort(-np.outer(variances, returns).ravel(), kind="stable")[: int(total)]
    return np.bincount(best // most, minlength=len(variances))


@cache
def lloyd_max(num_levels: int) -> tuple[np.ndarray, np.ndarray, float]:
    """The quantizer of a unit Gaussian with least squared error: every level the centroid of its cell.

    Solves y = T(y), T one step of Lloyd (borders halfway, then centroids), by Newton from the companded levels: Lloyd's
    own iteration takes some hundred thousand steps at 256 levels, Newton takes about ten.

    Args:
      num_levels: at least 1.

    Returns:
      (levels [num_levels] increasing, borders [num_levels - 1], mean squared error), float64, read-only. The error is
      .3634, .1175, .03454, .009497 for 2, 4, 8, 16 levels (Max 1960, table I).

    Raises:
      InputError: if there are no levels.
    """
    require(num_levels >= 1, f"a quantizer with {num_levels} levels was asked for; it needs at least one.")
    levels = np.array([math.sqrt(3) * NormalDist().inv_cdf((i + 0.5) / num_levels) for i in range(num_levels)])
    for _ in range(50):
        centroids, slopes, _ = _lloyd_step(levels)
        step = np.linalg.solve(np.eye(num_levels) - slopes, centroids - levels)
        levels = levels + step
        if np.abs(step).max() < 1e-12:
            break
    levels = (levels - levels[::-1]) / 2  # symmetric to the last bit
    _, _, mass = _lloyd_step(levels)
    borders = (levels[1:] + levels[:-1]) / 2
    levels.setflags(write=False)
    borders.setflags(write=False)
    return levels, borders, float(1 - mass @ levels**2)


def lloyd_step(levels: np.ndarray) -> np.ndarray:
    """One step of Lloyd's iteration for a unit Gaussian: borders halfway, then the centroid of every cell [K]."""
    return _lloyd_step(np.asarray(levels, np.float64))[0]


def _lloyd_step(levels: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(centroids [K], their derivatives by the levels [K, K], probabilities of the cells [K])."""
    borders = (levels[1:] + levels[:-1]) / 2
    density = np.concatenate([[0.0], np.exp(-(borders**2) / 2) / math.sqrt(2 * math.pi), [0.0]])
    upper = np.array([1.0] + [math.erfc(b / math.sqrt(2)) / 2 for b in borders] + [0.0])
    lower = np.array([0.0] + [math.erfc(-b / math.sqrt(2)) / 2 for b in borders] + [1.0])
    # Differences of the smaller tail: in the other one the tail's digits are lost.
    mass = np.where(levels > 0, upper[:-1] - upper[1:], lower[1:] - lower[:-1])
    centroids = (density[:-1] - density[1:]) / mass
    low, high = np.concatenate([[0.0], borders]), np.concatenate([borders, [0.0]])
    by_low = density[:-1] * (centroids - low) / mass / 2
    by_high = density[1:] * (high - centroids) / mass / 2
    slopes = np.diag(by_low + by_high) + np.diag(by_low[1:], -1) + np.diag(by_high[:-1], 1)
    return centroids, slopes, mass


def _share_out(variances: np.ndarray, bits: int, spread: str) -> np.ndarray:
    """Bits of every coefficient [k], at least one in all."""
    k = len(variances)
    require(bits >= 1, f"the budget is {bits} bits; a scalar quantizer needs at least one.")
    if spread == "variance":
        return allocate_bits(variances, bits)
    if spread != "equal":
        raise InputError(f'bits are to be spread by {spread!r}; it must be "variance" or "equal".')
    require(
        bits % k == 0 and bits // k <= MAX_WIDTH,
        f"{bits} bits cannot be spread equally over {k} dimensions; take a multiple of {k} up to {MAX_WIDTH * k}.",
    )
    return np.full(k, bits // k)


def _tables(widths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Levels [k, 2^max] and thresholds [k, 2^max - 1] of unit Gaussians, padded with the last level and infinity."""
    size = 2 ** int(widths.max())
    levels, thresholds = np.zeros((len(widths), size)), np.full((len(widths), size - 1), np.inf)
    for row, width in enumerate(widths):
        values, borders, _ = lloyd_max(2 ** int(width))
        levels[row] = np.concatenate([values, np.full(size - len(values), values[-1])])
        thresholds[row, : len(borders)] = borders
    return levels, thresholds
