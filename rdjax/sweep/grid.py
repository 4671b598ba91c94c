"""A grid of cells: named axes, one value of each to a cell, numbered without a list of all of them.

Axes that decide the shapes of arrays come first, so cells of equal static shape are neighbors in the numbering, `seed`
comes last, and a table sorted by cell is the parts in order.
"""

import hashlib
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Protocol

import jax
import numpy as np

Values = Mapping[str, Any]


@dataclass(frozen=True)
class Axis:
    """One quantity that a sweep varies.

    Args:
      name: as a config has it.
      check: from (value, where it stands) to the value as it is kept; raises `InputError`.
      default: the values where a config has none; empty if it must.
      static: whether it decides the shape of arrays, hence the compiled program.
      drawn: whether it belongs to what is drawn, hence to the random key.
    """

    name: str
    check: Callable[[Any, str], Any]
    default: tuple[Any, ...] = ()
    static: bool = False
    drawn: bool = True


class Kind(Protocol):
    """What a cell computes. `known` is worked out on the host, once for all seeds; `cell` traces under jit."""

    name: ClassVar[str]
    axes: ClassVar[tuple[Axis, ...]]
    precision: ClassVar[str]
    columns: ClassVar[dict[str, str]]

    def check(self, grid: "Grid") -> None:
        """Refuse combinations of values that mean nothing (`InputError`)."""

    def shared(self, shape: Values) -> Any:
        """Arrays that all cells of a shape read."""

    def known(self, values: Values) -> tuple[dict[str, np.ndarray], dict[str, float]]:
        """(parameters of the cell, columns of the table) that no draw changes."""

    def cell(self, shape: Values, shared: Any, key: jax.Array, parameters: Mapping[str, jax.Array]) -> dict[str, Any]:
        """The columns that a draw decides, one number each."""

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

    def keys(self, cells: np.ndarray) -> np.ndarray:
        """Random keys [n, 2] of Threefry, from what a cell draws and nothing else.

        The key is the sum mod 2^64 of a 64-bit hash of each drawn axis and its value: the same whichever device,
        process or batch the cell falls to, and whatever else is in the grid. Cells that differ only in what is done
        with a draw (code, rate, temperatures, metric) share it, so their differences are paired.
        """
        places = np.unravel_index(cells, self.lengths)
        total = np.zeros(len(cells), np.uint64)
        for axis, place in zip(self.axes, places, strict=True):
            if axis.drawn:
                total += np.array([_hash(axis.name, value) for value in self.values[axis.name]], np.uint64)[place]
        high, low = total >> np.uint64(32), total & np.uint64(0xFFFFFFFF)
        return np.stack([high, low], axis=1).astype(np.uint32)


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


def _hash(name: str, value: Any) -> int:
    digest = hashlib.sha256(f"{name}={json.dumps(value)}".encode()).digest()
    return int.from_bytes(digest[:8], "big")
