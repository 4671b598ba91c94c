"""What is known of a source: nothing, computed bounds, or the whole curve R(D). Its cases are in `sources`."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from rdjax import checks
from rdjax.rate_distortion.known_curves import CurvePoint


@dataclass(frozen=True, eq=False)
class Source:
    """A name, a law [X] and a distortion matrix [X, M], float64; R(D) need not be known."""

    name: str
    law: np.ndarray
    distortion: np.ndarray


class Bounds(NamedTuple):
    """`lower` <= min over D of R(D) + s D <= `upper`, bits."""

    lower: float
    upper: float


@dataclass(frozen=True, eq=False)
class BoundedSource(Source):
    """A source whose R(D) lies between bounds that need no solver: those at an output law which is nearly the best.

    `output` gives that law [M] at a slope.
    """

    output: Callable[[float], np.ndarray]

    def bounds(self, slope: float) -> Bounds:
        """Bounds on the least R(D) + s D at a slope, from the output law q and the kernel K = 2^(-s d).

            upper = -sum_x p_x log2 (K q)_x,   lower = sum_x p_x log2 (g_x / p_x) - log2 max_j sum_x g_x K_xj

        for any g >= 0: p / (K q), and 1, which makes it Shannon's lower bound. Proved, up to rounding.
        """
        held = self.law > 0
        law, kernel = self.law[held], np.exp2(-_slope(slope) * self.distortion[held])
        match = kernel @ self.output(slope)
        lower = [
            law @ np.log2(weight / law) - math.log2(np.max(weight @ kernel))
            for weight in (law / match, np.ones(law.size))
        ]
        return Bounds(float(max(lower)), float(-law @ np.log2(match)))


@dataclass(frozen=True, eq=False)
class KnownSource(Source):
    """A source whose R(D) is known exactly; `curve` is the point of it at a slope, from 0 up."""

    curve: Callable[[float], CurvePoint]

    def point(self, slope: float) -> CurvePoint:
        """(rate in bits, distortion) at a slope s >= 0; at 0 the limit from above, D_max with its rate.

        Where R(D) is straight, a whole segment has this slope and one end of it is returned: compare `value` there.
        """
        rate, distortion = self.curve(_slope(slope))
        return CurvePoint(float(rate), float(distortion))

    def value(self, slope: float) -> float:
        """The least R(D) + s D in bits, one number even where the point is not."""
        rate, distortion = self.point(slope)
        return rate + slope * distortion

    def rate(self, distortion: float) -> float:
        """R(D) in bits, the highest of its tangents there, by bisection on the slope; right on segments too.

        Raises:
          InputError: a distortion below D_min, which no rate reaches.
        """
        flat = self.point(0)
        if distortion >= flat.distortion:
            return flat.rate
        low, high = 0.0, 1.0
        while self.point(high).distortion > distortion and high < 2.0**60:
            low, high = high, 2 * high
        least = self.point(high)
        if least.distortion >= distortion:
            checks.require(
                distortion >= least.distortion - 1e-12,
                f"{self.name}: a distortion of {distortion:.6g} is below {least.distortion:.6g}, the least there is.",
            )
            return least.rate
        for _ in range(1200):  # a bracket from 0 may have to shrink through every exponent
            middle = (low + high) / 2
            if not low < middle < high:
                break
            low, high = (middle, high) if self.point(middle).distortion > distortion else (low, middle)
        return max(self.value(slope) - slope * distortion for slope in (low, high))


def _slope(slope: float) -> float:
    checks.require(0 <= slope < math.inf, f"the slope is {slope}; it must be finite and at least 0.")
    return float(slope)
