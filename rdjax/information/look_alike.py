"""Data that look like given x and y and share a known number of bits.

They have the size and the shape of x and y, the very values of their columns, and the correlations inside x and inside
y. What the two share is a Gaussian copula, spread evenly over the directions in which x and y are seen to correlate;
where they are not seen to, over their leading principal directions.

A column of which more than 1% repeats values, or that cannot be told from a normal one, gets normal ones of its mean
and deviation instead. Few values would hide part of what is shared, and a map to any n given values hides some: it
bends by n^-1/2, as they happen to be spaced. So in columns that are not normal an estimator of smooth relations finds
log2(n) / 2 bits a direction at most, about, and is withheld where it reads more in the data.
"""

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtri

from rdjax import checks
from rdjax.host import on_the_host
from rdjax.information.rows import check_observations
from rdjax.information.ties import ROUNDED


@on_the_host
def like(
    x: ArrayLike, y: ArrayLike, bits: float, *, directions: int | None = None, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Data like x [n, d] and y [n, e] that share `bits`, NumPy float64.

    Args:
      x: [n, d]; y: [n, e].
      bits: their mutual information, at least 0.
      directions: over how many pairs of directions it is spread; None: the effective number of those whose canonical
        correlation could not be chance, (sum i)^2 / sum i^2 with i = -log(1 - correlation^2); where there is none, that
        of principal directions, i their variances, on the side that has fewer.
      seed: of NumPy's default generator.

    Raises:
      InputError: shapes, NaN, fewer than 4 rows, bits below 0, more directions than both sides have columns that vary,
        bits above 0 where a side has none.
    """
    checks.require(0 <= bits < np.inf, f"bits is {bits}; it must be finite and at least 0.")
    return LookAlike(x, y, directions).draw(bits, np.random.default_rng(seed))


class LookAlike:
    """What is kept of x and y, to draw data like them; arguments and errors as in `like`."""

    def __init__(self, x: ArrayLike, y: ArrayLike, directions: int | None):
        check_observations({"x": x, "y": y}, least=4)
        first, second = self._sides = _Side(np.asarray(x, np.float64)), _Side(np.asarray(y, np.float64))
        n = len(first.white)
        left, correlations, right = np.linalg.svd(first.white.T @ second.white / n)
        first.turn(left)
        second.turn(right.T)
        chance = sum(np.sqrt(side.white.shape[1] / n) for side in self._sides)  # the largest that independence shows
        seen = np.minimum(correlations[correlations > chance], 1 - 1e-9)
        most = self._most = min(side.varying for side in self._sides)
        if directions is not None:
            self._shared = checks.whole(directions, "directions")
            checks.require(self._shared <= most, f"directions is {directions}; x and y have {most} in common at most.")
        elif seen.size:
            self._shared = _effective_number(-np.log(1 - seen**2))
        else:
            several = min(_effective_number(side.variances) for side in self._sides)
            self._shared = max(1, min(several, most))
            first.turn(left.T)  # back to the principal directions
            second.turn(right)

    def draw(self, bits: float, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """x and y that share so many bits."""
        checks.require(
            bits == 0 or self._most > 0,
            f"all columns of x or of y are constant, so {bits:.3g} bits cannot be shared; leave them out.",
        )
        a, b = self._sides
        first, second = (generator.standard_normal(side.white.shape) for side in self._sides)
        noise = 2.0 ** (-2 * bits / self._shared)  # 1 - correlation^2 in each of the shared directions
        shared = slice(self._shared)
        second[:, shared] = np.sqrt(1 - noise) * first[:, shared] + np.sqrt(noise) * second[:, shared]
        return a.dress(first), b.dress(second)


class _Side:
    """Sorted columns, which of them get normal values, and how white directions mix into them."""

    def __init__(self, points: np.ndarray):
        n = len(points)
        self.sorted = np.sort(points, axis=0)
        self.normal = ((np.diff(self.sorted, axis=0) == 0).mean(axis=0) > ROUNDED[1]) | _straight(self.sorted)
        varies = self.sorted[0] < self.sorted[-1]
        self.varying = int(varies.sum())  # columns
        kept = varies if varies.any() else np.arange(points.shape[1]) == 0  # or directions would go to constants
        self.mean, self.deviation = points.mean(axis=0), points.std(axis=0)
        ranks = _midranks(points[:, kept])  # their correlations are Spearman's
        scores, d = ranks / np.maximum(ranks.std(axis=0), np.finfo(float).tiny), ranks.shape[1]
        correlation = 2 * np.sin(np.pi / 6 * (scores.T @ scores / n))  # and these Pearson's, of a normal law
        weight = d / (n + d)  # toward no correlation, the more the fewer the rows
        variances, vectors = np.linalg.eigh((1 - weight) * correlation + weight * np.eye(d))
        self.variances = np.maximum(variances[::-1], 1e-3 * weight)
        self.white = scores @ vectors[:, ::-1] / np.sqrt(self.variances)
        mixing = vectors[:, ::-1] * np.sqrt(self.variances)
        self.mixing = np.zeros((points.shape[1], d))
        self.mixing[kept] = mixing / np.linalg.norm(mixing, axis=1, keepdims=True)

    def turn(self, rotation: np.ndarray) -> None:
        """Take other white directions: the columns of a rotation of those so far."""
        self.mixing = self.mixing @ rotation

    def dress(self, white: np.ndarray) -> np.ndarray:
        """White normal directions [n, d] as data: mixed, and column by column given the sorted values of the data."""
        mixed = white @ self.mixing.T
        order = mixed.argsort(axis=0).argsort(axis=0)
        return np.where(self.normal, self.mean + self.deviation * mixed, np.take_along_axis(self.sorted, order, 0))


def _straight(columns: np.ndarray) -> np.ndarray:
    """Of sorted columns [n, d] whether their normal scores plot is as straight as that of 999 normal ones in 1000.

    Source: the test of Shapiro and Francia, as Royston approximates it, Stat. Comput. 2, 1992; here up to n = 10^5.
    """
    n, apart = len(columns), columns - columns.mean(axis=0)
    scores = ndtri((np.arange(n) + 0.625) / (n + 0.25))
    size = np.sqrt((scores @ scores) * (apart**2).sum(axis=0))
    correlation = np.divide(scores @ apart, size, out=np.zeros_like(size), where=size > 0)
    u, v = np.log(n), np.log(np.log(n))
    mean, deviation = -1.2725 + 1.0521 * (v - u), 1.0308 - 0.26758 * (v + 2 / u)
    return np.log1p(-np.minimum(correlation**2, 1 - 1e-15)) < mean + 3 * deviation


def _midranks(points: np.ndarray) -> np.ndarray:
    """Ranks of each column [n, d] about 0; equal values share the mean of theirs."""
    ranks = np.empty(points.shape)
    for j, column in enumerate(points.T):
        _, place, times = np.unique(column, return_inverse=True, return_counts=True)
        ranks[:, j] = (np.cumsum(times) - (times + 1) / 2)[place] - (len(points) - 1) / 2
    return ranks


def _effective_number(amounts: np.ndarray) -> int:
    return max(1, round(float(amounts.sum() ** 2 / (amounts**2).sum())))
