"""Experiments in cells: each is computed once, kept in a file of its own, and read from there the next time.

A file appears whole or not at all, so that what is interrupted goes on where it was. It holds what it was computed for,
from which source and with which versions; where any of these differs it is computed anew.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, is_dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import rdjax
from rdjax.data.writing import check_files, staged
from rdjax.paper.provenance import source_hash

Progress = Callable[[str, int, int | None, float], None]


@dataclass(frozen=True)
class Cell:
    """One piece of work.

    Args:
      name: of its file, without the end.
      config: what it depends on, as JSON has it or dataclasses of that.
      modules: names of those whose source it depends on, and that of all they import.
      compute: gives what JSON can hold.
      weight: how long it takes beside others, about, in seconds on one core.
    """

    name: str
    config: Mapping[str, Any]
    modules: Sequence[str]
    compute: Callable[[], dict[str, Any]]
    weight: float


def compute_cells(cells: Sequence[Cell], folder: str | Path | None, progress: Progress) -> dict[str, dict[str, Any]]:
    """Every cell's result by its name.

    Args:
      cells: in the order in which they are computed.
      folder: where files are kept; None: nowhere.
      progress: called with what is being computed, of those that no file has how many are done and how many there are,
        and the share of their work that is done.

    Raises:
      InputError: files that cannot be written; before anything is computed, as far as that can be known.
    """
    found = {} if folder is None else {c.name: kept for c in cells if (kept := _read(_file(folder, c), c)) is not None}
    rest = [cell for cell in cells if cell.name not in found]
    if rest and folder is not None:
        check_files([_file(folder, cell) for cell in rest])
    done, work = 0.0, sum(cell.weight for cell in rest)
    for number, cell in enumerate(rest):
        progress(cell.name, number, len(rest), done / work)
        # through JSON here too, so that a first run and a second one give the same
        found[cell.name] = json.loads(json.dumps(cell.compute(), allow_nan=False))
        done += cell.weight
        if folder is not None:
            _keep(_file(folder, cell), cell, found[cell.name])
    return found


def versions() -> dict[str, str]:
    """Of what computes."""
    return {"rdjax": rdjax.__version__, **{name: version(name) for name in ("jax", "jaxlib", "numpy")}}


def _file(folder: str | Path, cell: Cell) -> Path:
    return Path(folder, f"{cell.name}.json")


def _stamp(cell: Cell) -> dict[str, Any]:
    config = {key: asdict(v) if is_dataclass(v) and not isinstance(v, type) else v for key, v in cell.config.items()}
    return json.loads(json.dumps({"source": source_hash(cell.modules), "versions": versions(), "config": config}))


def _read(path: Path, cell: Cell) -> dict[str, Any] | None:
    """What is kept for this cell, or None: no file, a damaged one, or one of something else."""
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    same = isinstance(kept, dict) and kept.get("stamp") == _stamp(cell) and isinstance(kept.get("found"), dict)
    return kept["found"] if same else None


def _keep(path: Path, cell: Cell, found: dict[str, Any]) -> None:
    document = json.dumps({"stamp": _stamp(cell), "found": found}, indent=1, allow_nan=False)
    with staged([path]) as (fresh,):
        fresh.write_text(document + "\n", encoding="utf-8")
