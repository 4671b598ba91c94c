"""Cells of scalar quantizers that take a given number of bits on average, their symbols being entropy-coded.

`optimal_cells`: entropy-constrained scalar quantization, the same price of a bit in every coefficient, which is reverse
water-filling. `dead_zone_cells`: uniform borders but for the cell around zero, the same step in every coefficient,
decoded to centroids. `step_for`: the step of any other uniform quantizer.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import NamedTuple, TypeVar

import jax
import numpy as np

from rdjax.checks import require
from rdjax.codes.cells import Table, better_of, padded_width, table_of
from rdjax.codes.lloyd import SMOOTHING, Cells, Samples, cost, descend, sorted_samples
from rdjax.numerics import LN2
from rdjax.rate_distortion.water_filling import reverse_water_filling

TOLERANCE = 0.002  # a design's mean length is at most this share below what was asked for, where the samples allow
MOST_CELLS = 1 << 13  # of one coefficient: beyond, a cell is finer than any fit can learn frequencies for
_ROUNDINGS = (0.5, 0.45, 0.4, 0.35, 0.3, 0.25, 0.2)  # symbol = sign * floor(|c| / step + rounding)
_TRIES, _SAME = 24, 1e-4  # of a search, and the width of a bracket in the logarithm where it ends
_STRIDE = 0.5  # of a search in the logarithm, at first
_TOO_LARGE = (
    "the budget is too large for an entropy-coded quantizer fitted on this many vectors; use int8 or truncation."
)

T = TypeVar("T")


def optimal_cells(coefficients: np.ndarray, bits: float) -> Table:
    """Least squared error at a mean length, by generalized Lloyd at the slope that meets it.

    Minimizes E (c - y)^2 + slope * length over each coefficient's samples, lengths being those of the smoothed
    frequencies; one slope for all coefficients.

    Args:
      coefficients: samples [n, k].
      bits: mean length over the samples, above 0; met from below, within .2% unless no slope comes so near.

    Raises:
      InputError: if even the finest cells that are tried take fewer bits.
    """
    with jax.enable_x64(True):
        samples = sorted_samples(np.asarray(coefficients, np.float64))
        bits, slope = _goal(coefficients, bits)
        start = math.log(slope)
        cells, above = _longest_within(bits, lambda point: _at_slope(samples, math.exp(point)), start)
        if above is None:
            return table_of(cells)

        def near(point: float, origin: Cells) -> tuple[float, Cells]:
            slope = np.float64(math.exp(point))
            found = descend(samples, slope, jax.device_put(origin.levels), jax.device_put(origin.counts > 0))
            return _length(samples, found), found

        # The length jumps over the budget: keep to the cells on either side of the jump as the slope goes on.
        others = [_longest_within(bits, partial(near, origin=origin), start)[0] for origin in (cells, above)]
        return max((table_of(each) for each in (cells, *others)), key=lambda table: table.kept.sum())


def _at_slope(samples: Samples, slope: float) -> tuple[float, Cells]:
    """(mean length, the cells) at a slope: of each coefficient, the better of two descents.

    They start from uniform cells, a level or a border at zero: with both, the best of fourteen starts (other steps too)
    was missed by .04% of the Lagrangian on average, over normal, Laplace, two-humped and exponential samples.
    """
    count = int(samples.count)
    values, means = np.asarray(samples.values), np.asarray(samples.sums)[:, count] / count
    peak = np.maximum(means - values[:, 0], values[:, count - 1] - means)
    # Z within 1 of its mean 0 has H(Z) >= I(Z; B) >= Var(Z) / (2 ln 2) bits, B = +-1 with E[B | Z] = Z: so where
    # 2 ln 2 peak^2 is below the slope no cells pay. 64, 128, 256, ... coefficients are looked at, to share programs.
    paying = int((2 * LN2 * peak**2 > slope).sum())
    chosen = np.sort(np.argsort(-peak, kind="stable")[: max(64, 1 << (paying - 1).bit_length())])
    part = jax.tree.map(lambda field: jax.device_put(np.asarray(field)[chosen]) if field.ndim else field, samples)
    cells = _two_descents(part, slope, values[chosen, 0], values[chosen, count - 1])
    single = np.broadcast_to(np.arange(cells.levels.shape[1]) == 0, (len(means), cells.levels.shape[1]))
    merged = Cells(
        levels=means[:, None] * single,
        lengths=np.where(single, 0.0, np.inf),
        lows=np.where(single, -np.inf, np.inf),
        counts=np.where(single, float(count), 0.0),
    )
    for all_of_them, found in zip(merged, cells, strict=True):
        all_of_them[chosen] = found
    return _length(samples, merged), merged


def _two_descents(samples: Samples, slope: float, low: np.ndarray, high: np.ndarray) -> Cells:
    step = _step_at(slope)
    _require_cells((high - low) / step + 2)
    width = padded_width(int(np.max((high - low) / step, initial=0)) + 2)
    found = []
    for offset in (0.0, 0.5):
        first, last = np.round(low / step - offset), np.round(high / step - offset)
        levels = (first[:, None] + np.arange(width)[None, :] + offset) * step
        used = np.arange(width)[None, :] <= (last - first)[:, None]
        cells = descend(samples, np.float64(slope), jax.device_put(levels), jax.device_put(used))
        error, taken = cost(samples, cells)
        found.append((np.asarray(error) + slope * np.asarray(taken), cells))
    return better_of(*found)


def _length(samples: Samples, cells: Cells) -> float:
    return float(np.asarray(cost(samples, cells)[1]).sum())


def dead_zone_cells(coefficients: np.ndarray, bits: float) -> Table:
    """Uniform cells but for the one around zero, decoded to the centroids of the samples in them.

    Symbol of c: sign(c) floor(|c| / step + rounding). The step meets the mean length, for each of seven roundings from
    1/2 (all cells alike) to 1/5 (the one around zero is 1.6 steps wide); the least squared error wins. Source:
    Sullivan 1996, Efficient scalar quantization of exponential and Laplacian random variables.

    Args:
      coefficients: samples [n, k].
      bits: mean length over the samples, above 0; met from below, within .2% unless no step comes so near.

    Raises:
      InputError: if even the finest cells that are tried take fewer bits.
    """
    array = np.asarray(coefficients, np.float64)
    bits, slope = _goal(array, bits)
    values = np.sort(array.T, axis=1)  # once; a step then only asks where its few borders lie
    sums = np.pad(np.cumsum(values, axis=1), ((0, 0), (1, 0)))
    steps, tables = [math.log(_step_at(slope))], list[Table]()
    for rounding in _ROUNDINGS:

        def measure(log_step: float, rounding: float = rounding) -> tuple[float, _Uniform]:
            cells = _uniform(values, math.exp(log_step), rounding)
            return mean_length(np.diff(cells.ends), cells.sizes), cells

        first = len(tables) < 2  # later steps lie on the line of the last two, or near it
        start = steps[-1] if first else 2 * steps[-1] - steps[-2]
        found = _longest_within(bits, measure, start, _STRIDE if first else _STRIDE / 64)[0]
        steps.append(math.log(found.step))
        tables.append(_dead_zone(sums, found))
    return max(tables, key=lambda table: table.kept.sum())


class _Uniform(NamedTuple):
    """Cells of one step, dead zone aside: `lowest` [k] and `sizes` [k] of the alphabets, upper `borders` [k, K - 1] of
    all cells but the last, infinity beyond, and how many samples lie below each cell, and at last in all [k, K + 1].
    """

    step: float
    lowest: np.ndarray
    sizes: np.ndarray
    borders: np.ndarray
    ends: np.ndarray


def _uniform(values: np.ndarray, step: float, rounding: float) -> _Uniform:
    """The cells of one step and rounding; `values` [k, n] are sorted."""
    extremes = values[:, [0, -1]]
    lowest, highest = (np.sign(extremes) * np.floor(np.abs(extremes) / step + rounding)).T
    sizes = (highest - lowest + 1).astype(np.int64)
    _require_cells(sizes)
    index = np.arange(1, int(sizes.max()))[None, :]
    cell = lowest[:, None] + index
    borders = step * (cell - np.where(cell > 0, rounding, 1 - rounding))
    borders = np.where(index < sizes[:, None], borders, np.inf)
    ends = np.full((len(values), index.size + 2), values.shape[1])
    ends[:, 0] = 0
    for row, (column, size) in enumerate(zip(values, sizes, strict=True)):
        ends[row, 1:size] = np.searchsorted(column, borders[row, : size - 1], side="right")
    return _Uniform(step, lowest, sizes, borders, ends)


def _dead_zone(sums: np.ndarray, cells: _Uniform) -> Table:
    """The cells with the centroids of the samples in them; `sums` [k, n + 1] of the first 0, 1, 2, ... samples."""
    counts = np.diff(cells.ends)
    inside = np.diff(np.take_along_axis(sums, cells.ends, axis=1))
    index = np.arange(counts.shape[1])[None, :]
    middles = cells.step * (cells.lowest[:, None] + index)  # the levels of cells without samples
    levels = np.where(counts > 0, inside / np.maximum(counts, 1), middles)
    levels = np.where(index < cells.sizes[:, None], levels, np.take_along_axis(levels, cells.sizes[:, None] - 1, 1))
    return Table(levels, cells.borders, counts, cells.sizes)


def count_symbols(symbols: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(lowest symbol [k], counts [k, most symbols], size of every alphabet [k]) of whole numbers [n, k]."""
    lowest = symbols.min(axis=0)
    sizes = symbols.max(axis=0) - lowest + 1
    _require_cells(sizes)
    width, k = int(sizes.max()), symbols.shape[1]
    flat = (symbols - lowest[None, :]).astype(np.int64) + width * np.arange(k)[None, :]
    return lowest, np.bincount(flat.ravel(), minlength=k * width).reshape(k, width), sizes.astype(np.int64)


def mean_length(counts: np.ndarray, sizes: np.ndarray) -> float:
    """Bits per item, over the samples that were counted, under the smoothed frequencies of these same samples."""
    total = counts.sum(axis=1, keepdims=True) + SMOOTHING * sizes[:, None]
    return float((counts * (np.log2(total) - np.log2(counts + SMOOTHING))).sum() / counts[0].sum())


def step_for(coefficients: np.ndarray, bits: float, quantize: Callable[[np.ndarray, float], np.ndarray]) -> float:
    """The step at which the symbols `quantize(coefficients, step)` take `bits`, from below, within .2% if there is one.

    Raises:
      InputError: if even the finest steps that are tried take fewer bits.
    """

    def measure(log_step: float) -> tuple[float, float]:
        _, counts, sizes = count_symbols(quantize(coefficients, math.exp(log_step)))
        return mean_length(counts, sizes), math.exp(log_step)

    bits, slope = _goal(coefficients, bits)
    return _longest_within(bits, measure, math.log(_step_at(slope)))[0]


def _longest_within(
    bits: float, measure: Callable[[float], tuple[float, T]], start: float, stride: float = _STRIDE
) -> tuple[T, T | None]:
    """A design that takes at most `bits`, and the one next above it, or None if the first takes nearly all of them.

    Bits fall as the argument of `measure`, which gives (bits, design), rises. Brackets by growing strides from `start`,
    then secants that are kept off the ends of the bracket.
    """
    fine: tuple[float, float, T] | None = None
    coarse: tuple[float, float, T] | None = None
    point = start
    for _ in range(_TRIES):
        taken, design = measure(point)
        if taken > bits:
            fine = (point, taken, design)
        else:
            coarse = (point, taken, design)
            if taken >= (1 - TOLERANCE) * bits:
                return design, None
        if fine is None or coarse is None:
            point, stride = point + (stride if coarse is None else -stride), 2 * stride
            continue
        if coarse[0] - fine[0] < _SAME:
            break
        share = (fine[1] - (1 - TOLERANCE / 2) * bits) / (fine[1] - coarse[1])
        point = fine[0] + min(max(share, 0.1), 0.9) * (coarse[0] - fine[0])
    assert coarse is not None  # coarse enough, all is one cell
    return coarse[2], None if fine is None else fine[2]


def _goal(coefficients: np.ndarray, bits: float) -> tuple[float, float]:
    """The bits to aim at, none where nothing varies, and the slope at which Gaussians would take them."""
    variances = coefficients.var(axis=0, dtype=np.float64)
    if not np.ptp(coefficients, axis=0).any():
        return 0.0, 1.0
    padded = np.pad(variances, (0, -len(variances) % 64))  # to share compiled programs
    with jax.enable_x64(True):
        level = float(np.asarray(reverse_water_filling(padded, np.float64(bits)).distortions).max())
    require(level > 1e-30 * variances.max(), _TOO_LARGE)
    return bits, 2 * LN2 * level


def _step_at(slope: float) -> float:
    """The step of uniform cells at high rate: their error is step^2 / 12, and its slope 2 ln 2 times that."""
    return math.sqrt(6 * slope / LN2)


def _require_cells(sizes: np.ndarray) -> None:
    require(bool((sizes <= MOST_CELLS).all()), _TOO_LARGE)
