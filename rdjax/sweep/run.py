"""Running a sweep: what is left of each shape in batches, results to disk as they finish, the table at the end."""

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np

from rdjax.sweep.budget import within
from rdjax.sweep.config import Sweep, read_config
from rdjax.sweep.grid import ranges
from rdjax.sweep.hosts import Host
from rdjax.sweep.parts import TABLE, check_folder, finished_parts, manifest_of, merge, open_folder, write_part
from rdjax.sweep.program import Program
from rdjax.sweep.tables import best_format

Progress = Callable[[str, int, int | None], None]
OPERATIONS = 5e9  # a second, of a device: for the size of parts alone
LEAST_CELLS, MOST_CELLS = 16, 4096  # in a part; enough for the devices of a host to share


def run_sweep(
    config: str | os.PathLike[str] | Mapping[str, Any] | Sweep,
    out: str | os.PathLike[str],
    *,
    resume: bool = False,
    memory: float | None = None,
    devices: Sequence[jax.Device] | None = None,
    host: Host | None = None,
    progress: Progress = lambda description, done, total: None,
) -> Path:
    """Compute every cell of a grid, to a table in a folder.

    Cells of equal static shape form batches; shapes queue, largest first; a batch is computed by all devices of a
    process (see `program`), and written as a part when it is done (see `parts`). With several processes, each takes
    every P-th batch and process 0 merges when all are done. The table is the same, to the last bit, for any number of
    devices and processes, any size of parts, and after any interruption, on one kind of machine.

    Args:
      config: as `read_config` takes it, or what it returned.
      out: the folder; shared by all processes.
      resume: go on with the sweep that is in the folder.
      memory: bytes that a process may take (see `budget.within`), by default all there are; fewer devices compute where
        it is little. The largest shape, or if it is given all, are compiled and checked before the first runs.
      devices: of this process; all of them by default. On CPUs one computes on one core: set `jax_num_cpu_devices`.
      host: which process this is, from `join`.
      progress: called as progress(description, done, total), of the cells of this process.

    Returns:
      the path of the table, table.parquet, or table.csv where pyarrow is not installed (see `read_table`).

    Raises:
      InputError: a config that is none; see `open_folder`; too little memory; a disk that is full. What was finished
        stays.
    """
    sweep = config if isinstance(config, Sweep) else read_config(config)
    host = host or Host()
    places = list(jax.local_devices() if devices is None else devices)
    folder, suffix = Path(out), best_format()
    manifest = manifest_of(sweep, suffix, places[0].device_kind)
    programs: list[Callable[[], Program]] = []
    host.together(lambda: programs.extend(_programs(sweep, places, memory)))
    host.together(lambda: open_folder(out, manifest, resume=resume) if host.leads() else None)
    host.together(lambda: None if host.leads() else check_folder(out, manifest))
    host.together(lambda: _compute(sweep, folder, suffix, host, programs, progress))
    table: list[Path] = []
    host.together(lambda: table.append(merge(folder, sweep.grid.size, suffix)) if host.leads() else None)
    return table[0] if table else folder / (TABLE + suffix)


def part_size(sweep: Sweep, shape: Mapping[str, Any]) -> int:
    """Cells in a part: as the config says, or what takes about a second. The same in every process, which matters."""
    by_time = int(np.clip(OPERATIONS / sweep.kind.work(shape), LEAST_CELLS, MOST_CELLS))
    size, sharing = sweep.cells_per_part or by_time, sweep.grid.sharing
    return min(size // sharing * sharing or size, sweep.grid.per_shape)  # no draw in two parts, if they are not smaller


def queue(sweep: Sweep) -> list[tuple[int, dict[str, Any]]]:
    """(first cell, static values) of each shape, largest first, so that no long one is left for the end."""
    return sorted(sweep.grid.shapes(), key=lambda item: (-sweep.kind.work(item[1]), item[0]))


def _programs(sweep: Sweep, devices: Sequence[jax.Device], memory: float | None) -> list[Callable[[], Program]]:
    """What makes the program of each shape of the queue, within memory; the largest, by a budget all, is made here."""
    make = [partial(Program, sweep, first, shape, part_size(sweep, shape), devices) for first, shape in queue(sweep)]
    now = make[: 1 if memory is None else len(make)]
    checked = [partial(lambda program: program, program) for program in within([one() for one in now], memory)]
    return [*checked, *(partial(lambda one: within([one()], None)[0], one) for one in make[len(now) :])]


def _compute(
    sweep: Sweep, folder: Path, suffix: str, host: Host, programs: list[Callable[[], Program]], progress: Progress
) -> None:
    """Everything of this process that is not on disk yet."""
    finished = [(part.first, part.end) for part in finished_parts(folder)]
    todo = _shares(sweep, finished, host)
    meter = _Meter(progress, sum(len(cells) for batches in todo for cells in batches))
    for make, batches in zip(programs, todo, strict=True):
        if not batches:
            continue
        program, running = make(), None
        meter.go_on()
        for cells in [*batches, None]:
            # the devices have the next batch while the host writes this one
            following = None if cells is None else program(np.arange(cells.start, cells.stop))
            if running is not None:
                table = running.table()
                write_part(folder, table, suffix)
                meter.add(len(table["cell"]), program.described())
            running = following


def _shares(sweep: Sweep, finished: list[tuple[int, int]], host: Host) -> list[list[range]]:
    """What this process has to do of each shape of the queue: every P-th batch, counted through all of them."""
    shares, before = [], 0
    for first, shape in queue(sweep):
        size = part_size(sweep, shape)
        shares.append(list(_mine(sweep, first, size, before, finished, host)))
        before += -(-sweep.grid.per_shape // size)
    return shares


def _mine(
    sweep: Sweep, first: int, size: int, before: int, finished: list[tuple[int, int]], host: Host
) -> Iterator[range]:
    """What of every P-th batch is not finished. Only this process adds to that, so it may look before others end."""
    for low, high in ranges(finished, first, first + sweep.grid.per_shape):
        while low < high:
            number = (low - first) // size
            end = min(first + (number + 1) * size, high)
            if (before + number) % host.count == host.index:
                yield range(low, end)
            low = end


class _Meter:
    """Cells done, cells a second and time left, for people; compiling is not counted."""

    def __init__(self, progress: Progress, total: int) -> None:
        self._progress, self._total, self._done = progress, total, 0
        self._spent, self._since = 0.0, time.monotonic()
        progress("sweeping", 0, total)

    def go_on(self) -> None:
        self._since = time.monotonic()

    def add(self, cells: int, what: str) -> None:
        now = time.monotonic()
        self._spent, self._since, self._done = self._spent + now - self._since, now, self._done + cells
        rate = self._done / max(self._spent, 1e-9)
        left = in_words((self._total - self._done) / rate)
        self._progress(f"sweeping ({what}): {rate:,.3g} cells a second, {left} left", self._done, self._total)


def in_words(seconds: float) -> str:
    """A time as people say it."""
    for size, unit in ((86400.0, "days"), (3600.0, "hours"), (60.0, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.0f} seconds" if seconds >= 10 else f"{seconds:.1f} seconds"
