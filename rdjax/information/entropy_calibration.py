"""How far a differential entropy read by nearest neighbors can be believed: read it on Gaussian data where it is known.

The Gaussian data have the size of the given ones, their means, deviations and correlations (these shrunk, where there
are ten rows a column or fewer). Where the vectors lie on a sphere or in a subspace they have no density, and their
differential entropy is minus infinity whatever an estimator says; where a column repeats values, likewise.
"""

from dataclasses import dataclass

import numpy as np
from jax.typing import ArrayLike

from rdjax import checks
from rdjax.host import on_the_host
from rdjax.information.calibration import LARGEST_MISS
from rdjax.information.gaussian_samples import shrunk_covariance
from rdjax.information.neighbors import kozachenko_leonenko
from rdjax.information.rows import check_observations
from rdjax.trees import register_dataclass

_FLAT = 1e-3  # a spread, relative to the size, that rounding to float16 explains
_THIN = 1e-2  # a spread of lengths, relative to that of the rows, that no law with a density has
_FEW = 10  # rows a column, up to which correlations are shrunk
_NORMAL = 0.5 * np.log2(2 * np.pi * np.e)  # bits of a standard normal, 2.05


@register_dataclass
@dataclass(frozen=True)
class EntropyCalibration:
    """A differential entropy, bits, and how far the same reading is from the truth on Gaussian data. Unit: the data's.

    Args:
      estimate: Kozachenko-Leonenko's of the data; all but the shape are scalars.
      known, read: of the Gaussian data, the truth and the readings' mean.
      miss: the worst |reading - known|, in bits a column, which another unit does not change.
      shape: n, columns.
    """

    estimate: np.ndarray
    known: np.ndarray
    read: np.ndarray
    miss: np.ndarray
    shape: np.ndarray

    @property
    def trusted(self) -> bool:
        """Whether the miss is at most 20% of a bit a column."""
        return bool(self.miss <= LARGEST_MISS)

    @property
    def message(self) -> str:
        """One sentence: what the estimate is worth, or why it is withheld."""
        n, d = (int(size) for size in self.shape)
        where = f"on Gaussian data like these ({n:,} rows, {d} {'column' if d == 1 else 'columns'})"
        words = f"{where} {float(self.known):.3g} bits read {float(self.read):.3g}"
        miss = f"{float(self.miss):.2g} bits a column"
        return f"{words}." if self.trusted else f"withheld: {words}, so it may miss by {miss}."


@on_the_host
def calibrate_entropy(x: ArrayLike, *, neighbors: int = 3, repeats: int = 3, seed: int = 0) -> EntropyCalibration:
    """Read the differential entropy of rows, and of Gaussian rows of their covariance.

    Args:
      x: [n, d], n at least neighbors + 2.
      neighbors: k of `kozachenko_leonenko`.
      repeats: Gaussian data sets.
      seed: of NumPy's default generator.

    Returns:
      `EntropyCalibration`; `trusted` when it misses by at most 20% of a bit a column.

    Raises:
      InputError: shapes, NaN; vectors of one length or in a subspace, repeated rows: no density, nothing to estimate.
    """
    check_observations({"x": x}, least=max(4, checks.whole(neighbors, "neighbors") + 2))
    checks.whole(repeats, "repeats")
    points = np.asarray(x, np.float64)
    dtype = np.asarray(x).dtype
    dtype = dtype if dtype.kind == "f" else np.dtype(np.float64)
    _require_density(points, float(np.finfo(dtype).eps))
    # Euclidean: blocks of matrix products, which many columns need
    reading = lambda rows: float(kozachenko_leonenko(rows.astype(dtype), neighbors, norm="euclidean"))
    center, root = _gaussian(points)
    generator = np.random.default_rng(seed)
    read = np.array([reading(generator.standard_normal(points.shape) @ root.T + center) for _ in range(repeats)])
    d = points.shape[1]
    known = d * _NORMAL + float(np.log2(np.diag(root)).sum())
    miss = np.abs(read - known).max() / d
    figures = (reading(points), known, read.mean(), miss, points.shape)
    return EntropyCalibration(*map(np.asarray, figures))


def _gaussian(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Means [d] and a triangular root [d, d] of the covariance of the Gaussian data that stand for the given ones."""
    n, d = points.shape
    center, spread = points.mean(axis=0), points.std(axis=0)
    white = (points - center) / spread  # shrunk in its own unit, a narrow column would be widened to the others
    correlation = np.asarray(shrunk_covariance(white)[0], np.float64) if n <= _FEW * d else white.T @ white / n
    return center, spread[:, None] * np.linalg.cholesky(correlation)


def _require_density(points: np.ndarray, eps: float) -> None:
    """Refuse rows, stored to a relative eps, that lie where no density is, as far as that can be seen."""
    n, d = points.shape
    none = "so their differential entropy is minus infinity."
    size, deviation = np.abs(points), points.std(axis=0)
    lengths = np.linalg.norm(points, axis=1)
    thick = min(_FLAT * float(lengths.mean()), _THIN * float(np.linalg.norm(deviation)))
    # far from 0 all lengths are much alike, so what varies beside them has to be much more than they do
    checks.require(d == 1 or float(np.ptp(lengths)) > thick, f"all rows have one length, {none}")
    # a constant that was rounded stays within a step, the least gap between its values, or within its own rounding
    gaps = np.diff(np.sort(points, axis=0), axis=0)
    step = np.min(np.where(gaps > 0, gaps, np.inf), axis=0)
    still = (deviation <= step) | (deviation <= 8 * eps * size.max(axis=0))
    flat = int(np.sum((deviation <= _FLAT * size.mean(axis=0)) & still))
    checks.require(flat == 0, f"{flat} of {d} columns are constant, {none}")
    if n > d:
        rank = int(np.linalg.matrix_rank((points - points.mean(axis=0)) / deviation, tol=1e-5 * np.sqrt(n)))
        checks.require(rank == d, f"the rows lie in {rank} of {d} dimensions, {none}")
