"""Reading what to sweep: TOML, a Python file that sets `config`, or a mapping; a mistake is one sentence."""

import os
import runpy
import tomllib
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from rdjax.checks import InputError, require
from rdjax.sweep.axis_checks import one_of, shown, whole_from
from rdjax.sweep.grid import SEED, Axis, Grid, Kind
from rdjax.sweep.mixture_cell import MixtureCells
from rdjax.sweep.source_cell import SourceCells

KINDS: tuple[type[MixtureCells] | type[SourceCells], ...] = (MixtureCells, SourceCells)
KEYS = ("kind", "precision", "cells_per_part", "grid")
SEEDS, MOST = "seeds", 10**12
MOST_SEEDS = 10**6  # a list of them stands in memory and in the manifest


@dataclass(frozen=True, eq=False)
class Sweep:
    """A config that has been read.

    Args:
      kind: what a cell computes.
      grid: which cells there are.
      precision: "float32" or "float64", of the cells; what is known of them is computed in float64.
      cells_per_part: how many cells a file of results holds at most; 0: as many as take about a second.
    """

    kind: Kind
    grid: Grid
    precision: str
    cells_per_part: int

    def document(self) -> dict[str, Any]:
        """What decides the numbers, as JSON has it."""
        grid = {name: [list(v) if isinstance(v, tuple) else v for v in self.grid.values[name]] for name in self.names}
        return {"kind": self.kind.name, "precision": self.precision, "grid": grid}

    @property
    def names(self) -> tuple[str, ...]:
        """Of the axes, slowest first."""
        return tuple(axis.name for axis in self.grid.axes)


def read_config(config: str | os.PathLike[str] | Mapping[str, Any]) -> Sweep:
    """What to sweep, from a file or from a mapping.

    Args:
      config: a .toml file; a .py file, which is run and sets `config` to a mapping; or that mapping: `kind`
        ("retrieval" or "rate distortion"), `precision`, `cells_per_part`, and `grid`, the axes of `KINDS` by name, each
        one value or a list of them. `seeds = 5` is `seed = [0, 1, 2, 3, 4]`, `rho` is `noise` given as 1 / sigma^2.

    Raises:
      InputError: one sentence, with the file and the key.
    """
    known = isinstance(config, Mapping | str | os.PathLike)
    require(known, f"the config is {shown(config)}; give the name of a .toml or .py file, or a mapping.")
    where = "the config" if isinstance(config, Mapping) else os.fspath(config)
    table = config if isinstance(config, Mapping) else _read(where)
    _refuse_unknown(table, KEYS, where)
    kinds = {kind.name: kind for kind in KINDS}
    name = one_of(*kinds)(table.get("kind", MixtureCells.name), f"{where}: kind")
    kind = kinds[name]()
    precision = one_of("float32", "float64")(table.get("precision", kind.precision), f"{where}: precision")
    per_part = whole_from(0)(table.get("cells_per_part", 0), f"{where}: cells_per_part")
    listed = table.get("grid")
    require(isinstance(listed, Mapping), f"{where} has no table `grid`; name the axes of the grid and their values.")
    assert isinstance(listed, Mapping)
    grid = _grid(kind.axes, listed, where)
    try:
        kind.check(grid, precision)
    except InputError as error:
        raise InputError(f"{where}: {error}") from None
    return Sweep(kind.specialized(grid), grid, precision, per_part)


def _read(path: str) -> Mapping[str, Any]:
    try:
        with open(path, "rb") as file:
            if path.endswith(".toml"):
                return tomllib.load(file)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}.") from None
    except (ValueError, RecursionError) as error:  # TOMLDecodeError, no UTF-8, thousands of digits or of brackets
        raise InputError(f"{path} is no TOML: {error}.") from None
    require(path.endswith(".py"), f"{path} is no config; name a .toml or a .py file.")
    try:
        found = runpy.run_path(path).get("config")
    except (Exception, SystemExit) as error:  # whatever the file runs into
        lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == path]
        line = lines[-1] if lines else getattr(error, "lineno", "?")
        ends = "it ends the program, and should set `config` instead" if isinstance(error, SystemExit) else error
        raise InputError(f"{path}, line {line}: {type(error).__name__}: {ends}.") from None
    require(isinstance(found, Mapping), f"{path} sets no mapping `config`; write config = {{'grid': {{...}}}}.")
    assert isinstance(found, Mapping)
    return found


def _grid(axes: tuple[Axis, ...], listed: Mapping[str, Any], where: str) -> Grid:
    names = [axis.name for axis in axes]
    given = dict(listed)
    seeded, noisy = SEED in names, "noise" in names
    _refuse_unknown(given, [*names, *([SEEDS] if seeded else []), *(["rho"] if noisy else [])], f"{where}: grid")
    if seeded and SEEDS in given:
        require(SEED not in given, f"{where}: grid has both seed and seeds; keep one.")
        seeds = whole_from(1)(given.pop(SEEDS), f"{where}: grid.seeds")
        require(seeds <= MOST_SEEDS, f"{where}: grid.seeds is {seeds:,}; {MOST_SEEDS:,} is the most.")
        given[SEED] = list(range(seeds))
    if noisy and "rho" in given:
        require("noise" not in given, f"{where}: grid has both noise and rho = 1 / noise^2; keep one.")
        rho = _values(Axis("rho", next(a.check for a in axes if a.name == "noise")), given.pop("rho"), where)
        given["noise"] = [[r**-0.5 for r in v] if isinstance(v, tuple) else v**-0.5 for v in rho]
    grid = Grid(axes, {axis.name: _values(axis, given.get(axis.name, axis.default), where) for axis in axes})
    require(grid.size <= MOST, f"{where}: grid has {grid.size:,} cells; {MOST:,} is the most.")
    return grid


def _values(axis: Axis, given: Any, where: str) -> tuple[Any, ...]:
    place = f"{where}: grid.{axis.name}"
    several = isinstance(given, list | tuple | range) or (isinstance(given, np.ndarray) and given.ndim > 0)
    entries = list(given) if several else [given]
    require(len(entries) > 0, f"{place} has no value; give at least one.")
    values = tuple(axis.check(entry, place) for entry in entries)
    seen: set[Any] = set()
    for value in values:
        require(value not in seen, f"{place} has {value!r} twice; keep one.")
        seen.add(value)
    return values


def _refuse_unknown(table: Mapping[str, Any], known: Any, where: str) -> None:
    for key in table:
        require(key in known, f"{where} has the key {key!r}, which is none; the keys are {', '.join(known)}.")
