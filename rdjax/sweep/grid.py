"""A grid of cells: named axes, one value of each to a cell, numbered without a list of all of them.

Axes that decide the shapes of arrays come first, then those of what is drawn, `seed` after them, then what is done
with a draw. So cells of equal static shape are neighbors in the numbering, within them cells that share a draw, and a
table sorted by cell is the parts in order.
"""

import hashlib
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, ClassVar, Protocol

import jax
import numpy as np

Values = Mapping[str, Any]
SEED = "seed"


@dataclass(frozen=True)
class Axis:
    """One quantity that a sweep varies.

    Args:
      name: as a config has it.
      check: from (value, where it stands) to the value as it is kept; raises `InputError`.
      default: the values where a config has none; empty if it must.
      static: whether it decides the shape of arrays, hence the compiled program.
      drawn: whether it belongs to what is drawn, hence to the random key; axes that are neither come last.
    """

    name: str
    check: Callable[[Any, str], Any]
    default: tuple[Any, ...] = ()
    static: bool = False
    drawn: bool = True


class Kind(Protocol):
    """What a cell computes: `known` on the host, once for all seeds; `draw` and `cell` under jit."""

    name: ClassVar[str]
    axes: ClassVar[tuple[Axis, ...]]
    precision: ClassVar[str]
    columns: ClassVar[dict[str, str]]

    def check(self, grid: "Grid", precision: str) -> None:
        """Refuse combinations of values that mean nothing, or leave the range of the precision (`InputError`)."""

    def shared(self, shape: Values) -> Any:
        """Arrays that all cells of a shape read."""

    def known(self, values: Values) -> tuple[dict[str, np.ndarray], dict[str, float]]:
        """(parameters of the cell, columns of the table) that no draw changes; NaN where `cell` has to find them."""

    def draw(self, shape: Values, key: jax.Array) -> Any:
        """What cells with this key share."""

    def cell(self, shape: Values, shared: Any, drawn: Any, parameters: Mapping[str, jax.Array]) -> dict[str, Any]:
        """The columns that a draw decides, one number each; NaN where the table has what `known` says."""

    def work(self, shape: Values) -> float:
        """Operations of a cell, roughly: for the order of shapes and the size of parts."""


@dataclass(frozen=True, eq=False)
class Grid:
    """All combinations of the values of the axes, static axes slowest; a cell is a number from 0 to size - 1."""

    axes: tuple[Axis, ...]
    values: Mapping[str, tuple[Any, ...]]

    @cached_property
    def lengths(self) -> tuple[int, ...]:
        """How many values each axis has."""
        return tuple(len(self.values[axis.name]) for axis in self.axes)

    @cached_property
    def size(self) -> int:
        """How many cells there are."""
        return math.prod(self.lengths)

    @cached_property
    def per_shape(self) -> int:
        """How many cells share a static shape; they stand together."""
        return math.prod(length for axis, length in zip(self.axes, self.lengths, strict=True) if not axis.static)

    def at(self, cell: int) -> dict[str, Any]:
        """The values of one cell."""
        places = np.unravel_index(cell, self.lengths)
        return {axis.name: self.values[axis.name][place] for axis, place in zip(self.axes, places, strict=True)}

    def shapes(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """(number of its first cell, values of its static axes) of each shape."""
        for first in range(0, self.size, self.per_shape):
            values = self.at(first)
            yield first, {axis.name: values[axis.name] for axis in self.axes if axis.static}

    @cached_property
    def sharing(self) -> int:
        """How many cells share a draw; they stand together."""
        lengths = zip(self.axes, self.lengths, strict=True)
        return math.prod(length for axis, length in lengths if not axis.static and not axis.drawn)

    def with_first_seed(self, cells: np.ndarray) -> np.ndarray:
        """The cells that differ from these in the seed alone and have the first one."""
        block = self.sharing * len(self.values.get(SEED, (0,)))
        return cells // block * block + cells % self.sharing

    def key(self, cell: int) -> np.ndarray:
        """The Threefry key [2] of what a cell draws, into which its seed is folded when it is computed.

        The sum mod 2^64 of a 64-bit hash of each drawn axis but the seed, and its value: the same whichever device,
        process or batch the cell falls to, and whatever else is in the grid. Cells that differ only in what is done
        with a draw (code, rate, temperatures, metric) share it, so their differences are paired.
        """
        values = self.at(cell)
        drawn = [axis.name for axis in self.axes if axis.drawn and axis.name != SEED]
        total = sum(_hash(name, values[name]) for name in drawn) % 2**64
        return np.array([total >> 32, total % 2**32], np.uint32)

    def columns(self, cells: np.ndarray) -> dict[str, np.ndarray]:
        """The values of some cells; of an axis with lists one column a place, NaN where a list is shorter."""
        found: dict[str, np.ndarray] = {}
        for axis, place in zip(self.axes, np.unravel_index(cells, self.lengths), strict=True):
            table = self._arrays[axis.name][place]
            found |= (
                {axis.name: table}
                if table.ndim == 1
                else {f"{axis.name}_{m + 1}": table[:, m] for m in range(table.shape[1])}
            )
        return found

    @cached_property
    def _arrays(self) -> dict[str, np.ndarray]:
        """The values of each axis, [values] or, where one is a list, [values, places]."""
        arrays = {}
        for axis in self.axes:
            values = self.values[axis.name]
            longest = max((len(value) for value in values if isinstance(value, tuple)), default=0)
            rows = [value if isinstance(value, tuple) else (value,) * longest for value in values]
            padded = [[*row, *[np.nan] * (longest - len(row))] for row in rows]
            arrays[axis.name] = np.array(padded if longest else values)
        return arrays


def ranges(cells: Sequence[tuple[int, int]], start: int, stop: int) -> list[tuple[int, int]]:
    """What of [start, stop) lies in none of the ranges (first, end)."""
    left, place = [], start
    for first, end in sorted(cells):
        if first >= stop:
            break
        if first > place:
            left.append((place, first))
        place = max(place, end)
    return [*left, (place, stop)] if place < stop else left


@lru_cache(maxsize=4096)
def _hash(name: str, value: Any) -> int:
    digest = hashlib.sha256(f"{name}={json.dumps(value)}".encode()).digest()
    return int.from_bytes(digest[:8], "big")
