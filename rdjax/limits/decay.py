"""How an excess falls with the sample size, where it may not fall to 0: c + a n^(-b), the floor c free.

A straight line through the logarithms of an excess reads the floor as an exponent of 0. Here c and a are solved for at
every b of a grid (weighted least squares in closed form), and what is reported for b and for c are the ends of their
profile likelihoods. The standard errors are bootstrapped over training sets, and so is the fit as a whole. NumPy on the
host. Source: theory notes, section 6.
"""

from collections.abc import Callable
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np

from rdjax.checks import numbers, require, whole
from rdjax.host import on_the_host

EXPONENTS = np.linspace(0.02, 3.0, 597)  # the grid of b; an end that is reached is the grid's own
UPPER = 0.9
STATISTICS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "mean": lambda values: values.mean(axis=-1),
    "mean absolute": lambda values: np.abs(values).mean(axis=-1),
    "quantile": lambda values: np.quantile(np.abs(values), UPPER, axis=-1),
}


@dataclass(frozen=True)
class DecayFit:
    """c + a n^(-b) fitted to one statistic of an excess over training sets.

    Args:
      exponent: b; exponent_interval: [2], its profile likelihood interval.
      floor: c, in the units of the values; floor_interval: [2].
      scale: a.
      bootstrap: [2], percentile interval of b over resampled training sets.
      misfit: squared residual over standard error, per degree of freedom; where it is above 1, intervals are as much
        wider (its root).
      slopes: local slopes [T - 1] of the logarithm of the statistic against ln n, the floor not taken away; NaN
        where the statistic is not positive.
    """

    exponent: float
    exponent_interval: np.ndarray
    floor: float
    floor_interval: np.ndarray
    scale: float
    bootstrap: np.ndarray
    misfit: float
    slopes: np.ndarray


@on_the_host
def fit_decay(
    samples: Any, values: Any, statistic: str = "mean", *, resamples: int = 300, level: float = 0.95, seed: int = 0
) -> DecayFit:
    """Fit c + a n^(-b) to a statistic of an excess, over independent training sets at each sample size.

    Args:
      samples: n [T], increasing, at least four; geometric over 2.5 decades or more tells b from c.
      values: excess of every training set [T, trials]; better its exact population value than a test error.
      statistic: "mean", "mean absolute", or "quantile" (that of .9, of the absolute value): they may differ in b.
      resamples: of the bootstrap, at least 2.
      level: coverage asked of each interval, in (0, 1).
      seed: of the bootstrap.

    Returns:
      `DecayFit`.

    Raises:
      InputError: an unknown statistic, shapes that do not belong together, too few sizes, training sets or resamples,
        sizes that are below 1, an excess that is not finite, a level outside (0, 1), a statistic that does not vary
        between training sets.
    """
    numbers(samples, "the sample sizes")
    numbers(values, "the excess")
    n, table = np.asarray(samples, np.float64), np.asarray(values, np.float64)
    require(statistic in STATISTICS, f"the statistic is {statistic!r}; it must be one of {', '.join(STATISTICS)}.")
    good = n.ndim == 1 and len(n) >= 4 and table.ndim == 2 and len(table) == len(n) and table.shape[1] >= 2
    require(good, f"{n.shape} sizes and values of shape {table.shape}; take [T >= 4] and [T, trials].")
    numbers(n, "the sample sizes", 1)
    require(bool(np.all(np.diff(n) > 0)), "the sample sizes do not increase.")
    numbers(level, "the level", 0, 1, ends=False)
    whole(resamples, "resamples", 2)
    measure, rng = STATISTICS[statistic], np.random.default_rng(seed)
    found, trials = measure(table), table.shape[1]
    drawn = np.stack([measure(row[rng.integers(trials, size=(resamples, trials))]) for row in table], axis=1)
    error = drawn.std(axis=0, ddof=1)
    require(bool(np.all(error > 0)), "the statistic is the same in all training sets of some size; take more of them.")
    floors, scales, squares, variance = _solve(n, found, error)
    best = int(np.argmin(squares))
    misfit = float(squares[best]) / (len(n) - 3)
    quantile = NormalDist().inv_cdf((1 + level) / 2) ** 2
    room = squares[best] + quantile * max(1.0, misfit) - squares  # what the profile leaves at each b
    inside = room >= 0
    reach = np.sqrt(variance[inside] * room[inside])
    again = [EXPONENTS[np.argmin(_solve(n, row, error)[2])] for row in drawn]
    logs = np.log(np.where(found > 0, found, np.nan))
    return DecayFit(
        exponent=float(EXPONENTS[best]),
        exponent_interval=EXPONENTS[inside][[0, -1]],
        floor=float(floors[best]),
        floor_interval=np.array([np.min(floors[inside] - reach), np.max(floors[inside] + reach)]),
        scale=float(scales[best]),
        bootstrap=np.quantile(again, [(1 - level) / 2, (1 + level) / 2]),
        misfit=misfit,
        slopes=np.diff(logs) / np.diff(np.log(n)),
    )


def _solve(n: np.ndarray, found: np.ndarray, error: np.ndarray) -> tuple[np.ndarray, ...]:
    """At every b of the grid: c, a, the sum of squared residuals over errors, and the variance of c."""
    middle = np.exp(np.log(n).mean())
    basis = (n / middle) ** -EXPONENTS[:, None]
    weight = error**-2.0
    total, first, second = weight.sum(), basis @ weight, basis**2 @ weight
    plain, crossed = weight @ found, basis @ (weight * found)
    determinant = total * second - first**2
    floor = (second * plain - first * crossed) / determinant
    scale = (total * crossed - first * plain) / determinant
    residual = found - floor[:, None] - scale[:, None] * basis
    return floor, scale * middle**EXPONENTS, residual**2 @ weight, second / determinant
