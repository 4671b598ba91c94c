"""Paired bootstrap intervals: how far a mean, and its ratio to a baseline on the same queries, could be off by luck."""

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from rdjax.checks import require, whole
from rdjax.host import on_the_host
from rdjax.trees import register_dataclass

_ENTRIES = 2**22  # of one block of resampling counts


@partial(register_dataclass, data_fields=["mean", "ratio", "ratio_floor"], meta_fields=["level"])
@dataclass(frozen=True)
class PairedIntervals:
    """Percentile intervals over resampled queries.

    Args:
      mean: [..., 2], lower and upper end for the mean of the values.
      ratio: [..., 2], lower and upper end for mean of values / mean of baseline.
      ratio_floor: [...], one-sided: the ratio is at least this.
      level: coverage asked of each of the three.
    """

    mean: np.ndarray
    ratio: np.ndarray
    ratio_floor: np.ndarray
    level: float


@on_the_host
def paired_bootstrap(
    values: Any, baseline: Any, *, samples: int = 2000, seed: int = 0, level: float = 0.95
) -> PairedIntervals:
    """Intervals for the mean over queries, and for its ratio to the mean of a baseline on the same queries.

    Queries are drawn with replacement, the same draws for every row of values and for the baseline, so that what is
    hard for both cancels in the ratio. Ends are order statistics of the resampled means, taken outward, with no
    interpolation; a resample in which the baseline is 0 counts against both ends of the ratio (as 0 and as infinity).

    Args:
      values: per-query values of a metric, [Q] or [..., Q] (say, one row per code).
      baseline: per-query values of what they are compared with, [Q].
      samples: number of resamples.
      seed: of NumPy's default generator; equal seeds give equal intervals on every machine.
      level: coverage, in (0, 1).

    Returns:
      `PairedIntervals`, NumPy float64, in the units of the values (the ratio has none).

    Raises:
      InputError: shapes that do not belong together, a NaN, a baseline whose mean is not above 0, a level or a number
        of samples that makes no sense.

    Source: Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13.
    """
    values, baseline = np.asarray(values, np.float64), np.asarray(baseline, np.float64)
    require(
        baseline.ndim == 1 and baseline.size > 0 and values.shape[-1:] == baseline.shape,
        f"values have shape {values.shape} and the baseline {baseline.shape}; both need the same queries, last axis.",
    )
    require(0 < level < 1, f"the level is {level}; a coverage lies between 0 and 1.")
    whole(samples, "the number of resamples")
    require(bool(np.isfinite(values).all() and np.isfinite(baseline).all()), "a value per query is a NaN or infinity.")
    require(baseline.mean() > 0, "the mean of the baseline is not above 0, so a ratio to it means nothing.")
    table = np.concatenate([values.reshape(-1, baseline.size), baseline[None]])
    means = _resampled_means(table, samples, np.random.default_rng(seed))
    means = np.clip(means, table.min(axis=1, keepdims=True), table.max(axis=1, keepdims=True))  # in spite of rounding
    mean, below = means[:-1], means[-1]
    positive = below > 0
    divided = mean / np.where(positive, below, 1.0)
    low, high = np.where(positive, divided, np.minimum(mean, 0.0)), np.where(positive, divided, np.inf)
    tail = (1 - level) / 2
    shape = values.shape[:-1]
    return PairedIntervals(
        mean=np.stack([_quantile(mean, tail), _quantile(mean, 1 - tail)], axis=-1).reshape(*shape, 2),
        ratio=np.stack([_quantile(low, tail), _quantile(high, 1 - tail)], axis=-1).reshape(*shape, 2),
        ratio_floor=np.quantile(low, 1 - level, axis=-1, method="lower").reshape(shape),
        level=level,
    )


def _resampled_means(table: np.ndarray, samples: int, generator: np.random.Generator) -> np.ndarray:
    """Means [rows, samples] of the rows of a table [rows, Q], as products with blocks of multinomial counts."""
    size = table.shape[1]
    rows = max(1, _ENTRIES // size)
    blocks = []
    for start in range(0, samples, rows):
        count = min(rows, samples - start)
        drawn = generator.integers(0, size, (count, size)) + size * np.arange(count)[:, None]
        times = np.bincount(drawn.ravel(), minlength=count * size).reshape(count, size)
        blocks.append(table @ (times.T / size))
    return np.concatenate(blocks, axis=1)


def _quantile(draws: np.ndarray, at: float) -> np.ndarray:
    """The order statistic at a level, the one further out of the two it falls between."""
    return np.quantile(draws, at, axis=-1, method="lower" if at < 0.5 else "higher")
