"""One rate-distortion cell: the point of R(D) of a named source at a slope, certified."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar

import jax
import numpy as np

from rdjax.checks import require
from rdjax.rate_distortion import interior_point, sources
from rdjax.rate_distortion.known_source import KnownSource, Source
from rdjax.sweep import axis_checks as value
from rdjax.sweep.grid import Axis, Grid, Values

SOURCES: dict[str, Callable[[int], Source]] = {
    "gaussian": sources.gaussian,
    "laplacian": sources.laplacian,
    "random": sources.random,
    "uniform": sources.uniform,
    "zipf": sources.zipf,
}
LARGEST = 2**16  # symbols: its distortions take 34 GB


@dataclass(frozen=True)
class SourceCells:
    """Cells of kind "rate distortion": sources of `rdjax.rate_distortion.sources`, `size` symbols, at slopes."""

    name: ClassVar[str] = "rate distortion"
    precision: ClassVar[str] = "float64"
    axes: ClassVar[tuple[Axis, ...]] = (
        Axis("size", value.whole_from(2, LARGEST), static=True),
        Axis("source", value.one_of(*SOURCES), static=True),
        Axis("slope", value.positive),
    )
    columns: ClassVar[dict[str, str]] = {
        "slope": "-dR/dD, bits per unit of distortion",
        "known": "theorem: least R + slope D in bits where the source has a closed form, else nan",
        "rate": "certificate: bits; 0 <= rate - R(distortion) <= gap",
        "distortion": "of the channel that has this rate",
        "gap": "bits, proved by duality",
        "steps": "of the interior point",
        "status": "0 where it converged; see `RateDistortion.message`",
    }

    def specialized(self, grid: Grid) -> "SourceCells":
        """The same: there is nothing to leave out."""
        return self

    def check(self, grid: Grid, precision: str) -> None:
        """Every combination means something, if the precision can hold its slope in nats."""
        most = float(np.finfo(precision).max) / 2
        for slope in grid.values["slope"]:
            require(slope <= most, f"slope is {slope:g}; {most:.2g} is the most in {precision}.")

    def shared(self, shape: Values) -> tuple[np.ndarray, np.ndarray]:
        """Law [X] and distortions [X, X]."""
        source = _source(shape["source"], shape["size"])
        return source.law, source.distortion

    def known(self, values: Values) -> tuple[dict[str, np.ndarray], dict[str, float]]:
        """The slope; the least R + s D where it has a closed form."""
        source = _source(values["source"], values["size"])
        least = source.value(values["slope"]) if isinstance(source, KnownSource) else math.nan
        return {"slope": np.array(values["slope"])}, {"known": least}

    def draw(self, shape: Values, key: jax.Array) -> tuple[()]:
        """Nothing."""
        return ()

    def cell(self, shape: Values, shared: Any, drawn: Any, parameters: Mapping[str, jax.Array]) -> dict[str, Any]:
        """rate, distortion, gap, steps and status at parameters["slope"]."""
        law, distortion = shared
        found = interior_point(law, distortion, parameters["slope"])
        return {name: getattr(found, name) for name in ("rate", "distortion", "gap", "steps", "status")}

    def work(self, shape: Values) -> float:
        """A dozen products and factorizations of [X, X]."""
        return 12.0 * 3 * shape["size"] ** 3


@lru_cache(maxsize=4)
def _source(name: str, size: int) -> Source:
    return SOURCES[name](size)
