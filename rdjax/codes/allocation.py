"""How many bits each modality, block or coefficient gets.

By weights that someone chose (`proportional_ceil`, as printed in the paper; `largest_remainder`), by variances
(`water_filled`), or by what bits were measured to buy (`marginal_returns`). Weights say nothing about returns: a
modality of irrelevant noise with variance 1e6 beside one of variance 1 gets 85% of the bits in proportion to entropy
(theory notes, section 4). All of it is arithmetic on the host.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rdjax.checks import require, whole
from rdjax.codes.lloyd import lloyd_max

MAX_WIDTH = 8  # bits of one coefficient at most: 256 levels
_SNAP, _LEAST = 1e-9, float(np.finfo(np.float64).tiny)  # bits: a share this near is whole; any share at all
_ROUNDING = 1e-12  # of a budget: what sums of measured bits may be off


@dataclass(frozen=True)
class PrintedAllocation:
    """`bits` [M] of the printed rule, and the `overrun`: their sum is the budget plus this, 0 to M - 1."""

    bits: np.ndarray
    overrun: int


def proportional_ceil(weights: Any, bits: int) -> PrintedAllocation:
    """The paper's rule, R_m = ceil(R alpha_m) with alpha_m = weight_m / sum of weights: it overruns the budget.

    Every modality is rounded up, so the sum exceeds R by as much as M - 1, and does so whenever one of the shares is
    not whole: H = (1, 2) and R = 64 gives 22 + 43 = 65. `largest_remainder` is what keeps the budget.

    Args:
      weights: [M], at least 0, not all 0; the paper's are the entropies H_m.
      bits: R, a whole number, at least 0.

    Raises:
      InputError: if the weights or the budget are none.

    Source: the paper's section on the entropy-weighted allocation; theory notes, section 4.
    """
    rounded = np.ceil(_shares(weights, bits)).astype(np.int64)
    return PrintedAllocation(rounded, int(rounded.sum()) - int(bits))


def largest_remainder(weights: Any, bits: int) -> np.ndarray:
    """Shares in proportion to weights, in whole bits that add up: |R_m - R alpha_m| < 1 and sum R_m = R.

    Every share is rounded down, and the bits that are left go to the largest remainders, the first of equal ones.

    Args:
      weights: [M], at least 0, not all 0.
      bits: R, a whole number, at least 0.

    Returns:
      int [M].

    Raises:
      InputError: if the weights or the budget are none.

    Source: Hamilton's method; theory notes, section 4.
    """
    shares = _shares(weights, bits)
    rounded = np.floor(shares).astype(np.int64)
    first = np.argsort(np.round(rounded - shares, 9), kind="stable")[: int(bits) - int(rounded.sum())]
    rounded[first] += 1
    return rounded


def water_filled(variances: Any, bits: int, most: int = MAX_WIDTH) -> np.ndarray:
    """Reverse water-filling in whole bits: each next bit where it lowers the squared error most.

    Coefficient l at b bits costs variance_l * mse(b), mse of the Lloyd-Max quantizer of a unit Gaussian; mse is convex
    in b, so this is the least total error of all allocations, and at high rate the closed form (`rate_distortion.
    reverse_water_filling`) rounded to whole bits. Bits of a modality are the sum over its coefficients.

    Args:
      variances: [k], at least 0.
      bits: in all, 0 to k * most.
      most: bits of one coefficient at most.

    Returns:
      int [k] with sum `bits`.

    Raises:
      InputError: if a variance is negative or the budget out of range.
    """
    variances = _numbers(variances, "variances")
    room = most * len(variances)
    require(
        isinstance(bits, int | np.integer) and 0 <= bits <= room,
        f"the budget is {bits} bits; {len(variances)} dimensions take a whole number up to {room}.",
    )
    returns = -np.diff([1.0] + [lloyd_max(2**b)[2] for b in range(1, most + 1)])
    # Returns fall with b, and a stable sort keeps b in order where they tie (at zero variance).
    best = np.argsort(-np.outer(variances, returns).ravel(), kind="stable")[:bits]
    return np.bincount(best // most, minlength=len(variances))


@dataclass(frozen=True)
class Purchase:
    """One operating point of every curve, and how good the choice is.

    Args:
      points: index of the point chosen on each curve [M].
      bits: what they take in all, at most the budget.
      quality: what they give in all.
      ceiling: no choice of points within the budget gives more (the fractional optimum over the concave hulls).
    """

    points: np.ndarray
    bits: float
    quality: float
    ceiling: float


def marginal_returns(curves: Sequence[tuple[Any, Any]], bits: float) -> Purchase:
    """Spend a budget on measured curves, the next bits always where they buy most quality each.

    Of every curve only the points on its upper concave hull count. Steps along the hulls are taken in order of quality
    per bit; a step that no longer fits ends its curve, and cheaper ones on other curves may still follow. Optimal
    wherever no step was left out (then `quality` equals `ceiling`); otherwise short of it by less than the quality of
    the first step left out.

    Args:
      curves: for each block (bits [P], quality [P]): points that were measured, in any order, bits at least 0; quality
        adds up over blocks, larger is better (minus a squared error, say). P may differ.
      bits: budget, at least the sum of every curve's cheapest point.

    Raises:
      InputError: if a curve is empty or not finite, or the cheapest points already take more than the budget.

    Source: Shoham and Gersho 1988, Efficient bit allocation for an arbitrary set of quantizers.
    """
    tables = [_curve(curve, number) for number, curve in enumerate(curves)]
    hulls = [_hull(cost, value) for cost, value in tables]
    points = np.array([hull[0] for hull in hulls], np.int64)
    spent = math.fsum(cost[p] for (cost, _), p in zip(tables, points, strict=True))
    most = bits * (1 + _ROUNDING)
    require(spent <= most, f"the budget is {bits} bits, but the cheapest points of the curves take {spent} already.")
    quality = float(sum(value[p] for (_, value), p in zip(tables, points, strict=True)))
    ceiling, ended = None, set()
    for _, m, start, end in sorted(_steps(tables, hulls), key=lambda step: (-step[0], step[1])):
        price, gain = (float(column[end] - column[start]) for column in tables[m])
        if m not in ended and spent + price <= most:
            points[m], spent, quality = end, spent + price, quality + gain
            continue
        if ceiling is None:  # the first that does not fit: all before it were taken
            ceiling = quality + gain * max(bits - spent, 0.0) / price
        ended.add(m)
    return Purchase(points, min(spent, bits), quality, quality if ceiling is None else ceiling)


def _steps(tables: list[tuple[np.ndarray, np.ndarray]], hulls: list[list[int]]) -> list[tuple[float, int, int, int]]:
    """(quality per bit, curve, point, next point) of every step along a hull."""
    steps = []
    for m, ((cost, value), hull) in enumerate(zip(tables, hulls, strict=True)):
        returns = np.diff(value[hull]) / np.diff(cost[hull])
        falling = np.minimum.accumulate(returns).tolist()  # on a straight stretch rounding could turn the order round
        steps += [(slope, m, hull[i], hull[i + 1]) for i, slope in enumerate(falling)]
    return steps


def _hull(cost: np.ndarray, value: np.ndarray) -> list[int]:
    """Points of the upper concave hull by rising cost, from the best of the cheapest to the best of all."""
    hull: list[int] = []
    for p in np.lexsort((-value, cost)).tolist():
        if hull and value[p] <= value[hull[-1]]:
            continue
        while len(hull) > 1 and _above(cost, value, hull[-2], p, hull[-1]):
            hull.pop()
        hull.append(p)
    return hull


def _above(cost: np.ndarray, value: np.ndarray, first: int, last: int, middle: int) -> bool:
    """Whether the chord from first to last passes above the middle point."""
    rise = (value[last] - value[first]) * (cost[middle] - cost[first])
    return bool(rise > (value[middle] - value[first]) * (cost[last] - cost[first]))


def _curve(curve: tuple[Any, Any], number: int) -> tuple[np.ndarray, np.ndarray]:
    cost, value = (np.asarray(column, np.float64) for column in curve)
    require(
        cost.ndim == 1 and len(cost) > 0 and cost.shape == value.shape,
        f"curve {number} has bits {cost.shape} and quality {value.shape}; both are lists of the same, positive length.",
    )
    good = np.isfinite(cost).all() and np.isfinite(value).all() and bool((cost >= 0).all())
    require(bool(good), f"curve {number} has a bit count that is negative, or an entry that is not finite.")
    return cost, value


def _shares(weights: Any, bits: int) -> np.ndarray:
    """R alpha_m; what rounding has kept from being whole is whole, or the printed rule would round it up."""
    numbers = _numbers(weights, "weights")
    require(bool(numbers.any()), "all weights are 0; at least one modality must weigh something.")
    relative = numbers / numbers.max()  # the sum of large weights may overflow
    shares = whole(bits, "the budget in bits", least=0) * (relative / relative.sum())
    shares = np.maximum(shares, np.where(numbers > 0, min(bits, _LEAST), 0.0))  # no share of a weight vanishes
    nearest = np.round(shares)
    return np.where((nearest > 0) & (np.abs(shares - nearest) < _SNAP), nearest, shares)


def _numbers(values: Any, what: str) -> np.ndarray:
    array = np.asarray(values, np.float64)
    good = array.ndim == 1 and len(array) > 0 and bool((np.isfinite(array) & (array >= 0)).all())
    require(good, f"{what} are {values!r}; they must be a list of numbers that are at least 0.")
    return array
