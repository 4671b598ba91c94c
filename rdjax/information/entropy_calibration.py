"""How far a differential entropy read by nearest neighbors can be believed: read it on Gaussian data where it is known.

The Gaussian data have the size of the given ones and their covariance (shrunk, where rows are few). Where the vectors
lie on a sphere or in a subspace they have no density, and their differential entropy is minus infinity whatever an
estimator says; where a column repeats values, likewise.
"""

from dataclasses import dataclass

import numpy as np
from jax.typing import ArrayLike

from rdjax import checks
from rdjax.information.calibration import LARGEST_MISS, SMALLEST
from rdjax.information.covariance import gaussian_entropy
from rdjax.information.gaussian_samples import shrunk_covariance
from rdjax.information.neighbors import kozachenko_leonenko
from rdjax.information.rows import check_observations
from rdjax.trees import register_dataclass

_FLAT = 1e-3  # a spread, relative to the mean, that rounding to float16 explains


@register_dataclass
@dataclass(frozen=True)
class EntropyCalibration:
    """A differential entropy, bits, and how far the same reading is from the truth on Gaussian data. Unit: the data's.

    Args:
      estimate: Kozachenko-Leonenko's of the data; all but the shape are scalars.
      known, read: of the Gaussian data, the truth and the readings' mean.
      miss: the worst |reading - known|, relative to |known|, or to 0.5 bits where that is more.
      shape: n, columns.
    """

    estimate: np.ndarray
    known: np.ndarray
    read: np.ndarray
    miss: np.ndarray
    shape: np.ndarray

    @property
    def trusted(self) -> bool:
        """Whether the miss is at most 20%."""
        return bool(self.miss <= LARGEST_MISS)

    @property
    def message(self) -> str:
        """One sentence: what the estimate is worth, or why it is withheld."""
        n, d = (int(size) for size in self.shape)
        where = f"on Gaussian data like these ({n:,} rows, {d} {'column' if d == 1 else 'columns'})"
        words = f"{where} {float(self.known):.3g} bits read {float(self.read):.3g}"
        return f"{words}." if self.trusted else f"withheld: {words}, so it may miss by {float(self.miss):.1%}."


def calibrate_entropy(x: ArrayLike, *, neighbors: int = 3, repeats: int = 3, seed: int = 0) -> EntropyCalibration:
    """Read the differential entropy of rows, and of Gaussian rows of their covariance.

    Args:
      x: [n, d], n at least neighbors + 2.
      neighbors: k of `kozachenko_leonenko`.
      repeats: Gaussian data sets.
      seed: of NumPy's default generator.

    Returns:
      `EntropyCalibration`; `trusted` when it misses by at most 20%.

    Raises:
      InputError: shapes, NaN; vectors of one length or in a subspace, repeated rows: no density, nothing to estimate.
    """
    check_observations({"x": x}, least=max(4, neighbors + 2))
    checks.whole(repeats, "repeats")
    points = np.asarray(x, np.float64)
    _require_density(points)
    # Euclidean: blocks of matrix products, which many columns need
    reading = lambda rows: float(kozachenko_leonenko(rows.astype(np.asarray(x).dtype), neighbors, norm="euclidean"))
    covariance = np.asarray(shrunk_covariance(points)[0], np.float64)
    root = np.linalg.cholesky(covariance)
    generator = np.random.default_rng(seed)
    read = np.array([reading(generator.standard_normal(points.shape) @ root.T) for _ in range(repeats)])
    known = float(gaussian_entropy(covariance))
    miss = np.abs(read - known).max() / max(abs(known), SMALLEST)
    figures = (reading(points), known, read.mean(), miss, points.shape)
    return EntropyCalibration(*map(np.asarray, figures))


def _require_density(points: np.ndarray) -> None:
    """Refuse rows that lie where no density is, as far as that can be seen."""
    n, d = points.shape
    none = "so their differential entropy is minus infinity."
    lengths = np.linalg.norm(points, axis=1)
    checks.require(
        d == 1 or float(np.ptp(lengths)) > _FLAT * float(lengths.mean()), f"all rows have one length, {none}"
    )
    deviation = points.std(axis=0)
    flat = int(np.sum(deviation <= _FLAT * np.abs(points).mean(axis=0)))
    checks.require(flat == 0, f"{flat} of {d} columns are constant, {none}")
    if n > d:
        rank = int(np.linalg.matrix_rank((points - points.mean(axis=0)) / deviation, tol=1e-5 * np.sqrt(n)))
        checks.require(rank == d, f"the rows lie in {rank} of {d} dimensions, {none}")
