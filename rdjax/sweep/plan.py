"""What a sweep will take, before anything of it runs: compiled and tried on a few cells, nothing written."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from rdjax.sweep.config import Sweep
from rdjax.sweep.program import Program
from rdjax.sweep.run import part_size, queue

TRIED = 4  # shapes that are compiled and timed; the time of others is scaled by their work
ENOUGH = 0.2  # seconds of a trial


@dataclass(frozen=True)
class ShapePlan:
    """What one static shape takes.

    Args:
      shape: values of the static axes.
      cells, parts: how many.
      bytes: of arrays on each device, from XLA's analysis of the compiled program; of the shapes not tried, scaled.
      compiling, computing: seconds, the latter for all cells on all devices of all processes.
      tried: whether it was compiled and timed, or scaled from the nearest that was.
    """

    shape: dict[str, Any]
    cells: int
    parts: int
    bytes: float
    compiling: float
    computing: float
    tried: bool


@dataclass(frozen=True)
class Plan:
    """What a sweep takes: its shapes, one compilation each in every one of its processes, and how many devices."""

    shapes: tuple[ShapePlan, ...]
    devices: int
    processes: int

    @property
    def cells(self) -> int:
        """How many cells."""
        return sum(shape.cells for shape in self.shapes)

    @property
    def bytes(self) -> float:
        """Most arrays on a device at any time; the process itself adds some hundred megabytes."""
        return max(shape.bytes for shape in self.shapes)

    @property
    def seconds(self) -> float:
        """Compiling and computing."""
        return sum(shape.compiling + shape.computing for shape in self.shapes)


def plan_sweep(sweep: Sweep, *, devices: Sequence[jax.Device] | None = None, processes: int = 1) -> Plan:
    """Cells, compilations, memory and time, measured on a few cells of the largest, the smallest and other shapes.

        time = compilations + cells x (time of a cell) / processes

    A cell is timed in a batch that is spread over the cells of its shape, on all devices of this process; processes
    are taken to be as fast as this one. Of shapes that are not tried, time and memory are those of the nearest one
    that is, times the ratio of their work.

    Args:
      sweep: from `read_config`.
      devices: of a process; all of this one by default.
      processes: how many will share the cells.

    Returns:
      a `Plan`.
    """
    places = list(jax.local_devices() if devices is None else devices)
    shapes = queue(sweep)
    chosen = sorted({int(n) for n in np.linspace(0, len(shapes) - 1, TRIED)})
    tried = {n: _try(sweep, *shapes[n], places) for n in chosen}
    rows = []
    for number, (_, shape) in enumerate(shapes):
        nearest = min(chosen, key=lambda n: abs(n - number))
        ratio = sweep.kind.work(shape) / sweep.kind.work(shapes[nearest][1])
        size, compiling, each = tried[nearest]
        cells, per_part = sweep.grid.per_shape, part_size(sweep, shape)
        computing = cells * each * ratio / processes
        found = number in tried
        rows.append(ShapePlan(dict(shape), cells, -(-cells // per_part), size * ratio, compiling, computing, found))
    return Plan(tuple(rows), len(places), processes)


def _try(
    sweep: Sweep, first: int, shape: Mapping[str, Any], devices: Sequence[jax.Device]
) -> tuple[float, float, float]:
    """(bytes on a device, seconds to compile, seconds a cell)."""
    begun = time.perf_counter()
    program = Program(sweep, first, shape, part_size(sweep, shape), devices)
    memory = program.compiled.memory_analysis()
    compiling = time.perf_counter() - begun
    size = sum(getattr(memory, f"{kind}_size_in_bytes", 0) for kind in ("temp", "argument", "output"))
    count, most, seconds = 2 * len(devices), part_size(sweep, shape), 0.0
    while seconds < ENOUGH:  # a batch has a cost of its own: few cells would seem slow
        count = min(4 * count, most)
        cells = first + np.linspace(0, sweep.grid.per_shape - 1, count).astype(int)
        program(cells).table()  # what is known of these cells is worked out once
        begun = time.perf_counter()
        program(cells).table()
        seconds = time.perf_counter() - begun
        if count == most:
            break
    return float(size), compiling, seconds / count
