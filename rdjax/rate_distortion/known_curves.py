"""The formulas behind `sources`: points of R(D) at a slope s >= 0 in bits, in closed form, float64 NumPy."""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from rdjax.numerics import LN2


class CurvePoint(NamedTuple):
    """A point of R(D): `rate` in bits, `distortion` in its own unit."""

    rate: float
    distortion: float


def hamming(falling: np.ndarray, slope: float) -> CurvePoint:
    """Hamming distortion for a law in falling order: Erokhin's reverse water-filling.

    With K = a + (1 - a) I the conditions of Kuhn and Tucker make (K q)_x = p_x / t wherever q_x > 0, so q is p / t
    less a, up to 1 - a, and sum q = 1 gives t.
    """
    a = 2.0**-slope
    mass, others = np.cumsum(falling), np.arange(falling.size)
    used = max(1, int(np.count_nonzero(falling * (1 + others * a) > a * mass)))
    inside = falling[:used]
    level = mass[used - 1] / (1 + (used - 1) * a)
    spare = (used - 1) * a
    distortion = (falling[used:].sum() + spare) / (1 + spare)
    rate = inside @ np.log2(level / inside) - slope * spare * level
    return CurvePoint(max(rate, 0.0), distortion)


def symmetric(distances: np.ndarray) -> Callable[[float], CurvePoint]:
    """The curve of a uniform source whose rows, and whose columns, all hold the same distances.

    By symmetry the uniform output law is optimal, and x to y becomes noise: R = log2 m - H(g), D = <g, distances>.
    """
    finite = np.isfinite(distances)
    best = distances[finite].min()
    excess = distances[finite] - best

    def curve(slope: float) -> CurvePoint:
        weight = np.exp2(-slope * excess)
        mean = weight @ excess / weight.sum()
        rate = math.log2(distances.size) - math.log2(weight.sum()) - slope * mean
        return CurvePoint(max(rate, 0.0), best + mean)

    return curve


def absolute(law: np.ndarray, step: float, slope: float) -> CurvePoint:
    """Absolute error on an even grid for a symmetric law that falls geometrically from its middle.

    On n points in use, u with sum_i u_i a^|i - j| = 1 is 1 / (1 + a) at the ends and (1 - a) / (1 + a) between, and
    K q = p / u has a solution that is nowhere negative as soon as (1 - a) p_end >= a p_next. Then R + s D =
    sum_x p_x log2(u_x / p_x); symbols beyond the ends are the ends' plus a distance that no code can save.
    """
    nats = slope * step * LN2
    a, fall = math.exp(-nats), -math.expm1(-nats)
    half = (law.size - 1) // 2  # points that may be cut off at either end; one or two remain
    tail = np.cumsum(law[: half + 1])  # mass of an end after so many cuts
    fits = fall * tail[:half] >= a * law[1 : half + 1]
    cut = int(np.argmax(fits)) if fits.any() else half
    beyond = 2 * step * tail[:cut].sum()
    inside = law[cut : law.size - cut].copy()
    inside[0] = inside[-1] = tail[cut]
    if inside.size == 1:
        return CurvePoint(0.0, beyond)
    between = inside[1:-1].sum()
    noise = step * (between * a / fall + a / (1 + a)) if between > 0 else step * a / (1 + a)
    entropy = -inside @ np.log2(inside)
    carried = entropy - math.log1p(a) / LN2 - slope * noise
    return CurvePoint(max(carried + (between * math.log2(fall) if between > 0 else 0.0), 0.0), beyond + noise)


def gaussian_output(points: np.ndarray, slope: float) -> np.ndarray:
    """The output law of a standard Gaussian source under squared error, sampled on its grid.

    N(0, 1 - D) for the continuous source, D = 1 / (2 s ln 2); on the grid D is the variance of the noise
    2^(-s x^2) sampled alike, which makes it right at steep slopes too. From D = 1 on, the middle of the grid.
    """
    step = points[1] - points[0]
    lattice = step * np.arange(-points.size, points.size + 1)
    noise = np.exp2(-slope * lattice**2)
    left = 1 - noise @ lattice**2 / noise.sum()
    if left <= 0:
        law = np.where(np.abs(points) == np.abs(points).min(), 1.0, 0.0)
    else:
        law = np.exp(-((points**2) - np.min(points**2)) / (2 * left))
    return law / law.sum()
