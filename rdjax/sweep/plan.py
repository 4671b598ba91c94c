"""What a sweep will take, before anything of it runs: compiled and tried on a few cells, nothing written."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from rdjax.sweep.budget import WRITING, resident, within
from rdjax.sweep.config import Sweep
from rdjax.sweep.grid import SEED
from rdjax.sweep.program import Program, inputs
from rdjax.sweep.run import part_size, queue
from rdjax.sweep.tables import best_format

TRIED = 4  # shapes that are compiled and timed; the time of others is scaled by their work
ENOUGH = 0.2  # seconds of a trial


@dataclass(frozen=True)
class ShapePlan:
    """What one static shape takes.

    Args:
      shape: values of the static axes.
      cells, parts: how many.
      bytes: of arrays on a device (see `Program.bytes`); of the shapes not tried, scaled.
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
    """What a sweep takes.

    Args:
      shapes: one compilation each, in every process.
      devices: of a process.
      processes: how many share the cells.
      held: bytes of a process beside what it computes with: programs, and tables on their way to disk.
    """

    shapes: tuple[ShapePlan, ...]
    devices: int
    processes: int
    held: float

    @property
    def cells(self) -> int:
        """How many cells."""
        return sum(shape.cells for shape in self.shapes)

    @property
    def bytes(self) -> float:
        """Most arrays on a device at any time."""
        return max(shape.bytes for shape in self.shapes)

    @property
    def memory(self) -> float:
        """Most bytes of a process whose devices share its memory."""
        return self.held + self.devices * self.bytes

    @property
    def seconds(self) -> float:
        """Compiling and computing."""
        return sum(shape.compiling + shape.computing for shape in self.shapes)


def plan_sweep(sweep: Sweep, *, devices: Sequence[jax.Device] | None = None, processes: int = 1) -> Plan:
    """Cells, compilations, memory and time, measured on a few cells of the largest, the smallest and other shapes.

        time = compilations + [cells x (time of a cell) + laws x (time to work out what is known of one)] / processes

    A law is the cells that differ in their seed alone. A cell is timed in a batch that is spread over the cells of its
    shape, on all devices of this process; processes are taken to be as fast as this one. Of shapes that are not tried,
    time and memory are those of the nearest one that is, times the ratio of their work.

    Args:
      sweep: from `read_config`.
      devices: of a process; all of this one by default.
      processes: how many will share the cells.

    Returns:
      a `Plan`.

    Raises:
      InputError: cells that are tried take more memory than there is.
    """
    best_format()  # imports what writes tables, which is held too
    places = list(jax.local_devices() if devices is None else devices)
    shapes = queue(sweep)
    chosen = sorted({int(n) for n in np.linspace(0, len(shapes) - 1, TRIED)})
    compiled = {n: _compile(sweep, *shapes[n], places) for n in chosen}
    held = resident() + WRITING
    seconds = {n: _seconds(sweep, *shapes[n], compiled[n][0]) for n in chosen}
    rows = []
    for number, (_, shape) in enumerate(shapes):
        nearest = min(chosen, key=lambda n: abs(n - number))
        ratio = sweep.kind.work(shape) / sweep.kind.work(shapes[nearest][1])
        (program, compiling), cells = compiled[nearest], sweep.grid.per_shape
        parts, size = -(-cells // part_size(sweep, shape)), program.bytes * ratio
        each, known = seconds[nearest]
        computing = cells * (each * ratio + known) / processes
        rows.append(ShapePlan(dict(shape), cells, parts, size, compiling, computing, number in compiled))
    return Plan(tuple(rows), len(places), processes, held)


def _compile(
    sweep: Sweep, first: int, shape: Mapping[str, Any], devices: Sequence[jax.Device]
) -> tuple[Program, float]:
    begun = time.perf_counter()
    program = Program(sweep, first, shape, part_size(sweep, shape), devices)
    return within([program], None)[0], time.perf_counter() - begun


def _seconds(sweep: Sweep, first: int, shape: Mapping[str, Any], program: Program) -> tuple[float, float]:
    """Of a cell, in a batch over all devices; and its share of what is known of its law, on the host."""
    count, most, seconds, known = 2 * len(program.devices), part_size(sweep, shape), 0.0, None
    while seconds < ENOUGH:  # a batch has a cost of its own: few cells would seem slow
        count = min(4 * count, most)
        together = min(sweep.grid.sharing, count)
        starts = np.linspace(0, sweep.grid.per_shape - together, count // together).astype(int) // together * together
        cells = (first + starts[:, None] + np.arange(together)).ravel()
        known = _known_seconds(sweep, cells) if known is None else known
        program(cells).table()  # now what is known of these cells is there
        begun = time.perf_counter()
        program(cells).table()
        seconds = time.perf_counter() - begun
        if count == most:
            break
    return seconds / len(cells), (known or 0.0) / len(sweep.grid.values.get(SEED, (0,)))


def _known_seconds(sweep: Sweep, cells: np.ndarray) -> float:
    """To work out what is known of a law, where nothing of it was before; the first of them may compile."""
    laws = np.unique(sweep.grid.with_first_seed(cells))
    inputs(sweep, laws[:1])
    begun = time.perf_counter()
    if laws.size > 1:
        inputs(sweep, laws[1:])
    return (time.perf_counter() - begun) / max(laws.size - 1, 1)
