"""The one form in which benchmarks hand on what they found: rows of ours beside a peer's, as lines of JSON.

A benchmark prints its tables for people, and calls `record` beside each figure that others quote. Rows go to the file that
the variable RDJAX_ROWS names; without it nothing is written. `run.py` sets it, repeats, and keeps medians.
"""

import json
import os
import pathlib
from typing import Any


def record(name: str, ours: float, theirs: float | None = None, peer: str = "", unit: str = "ms") -> None:
    """One row.

    Args:
      name: what was measured, the same in every repeat.
      ours: our figure.
      theirs: the peer's in the same unit, measured in the same process or beside it; None: there is no peer.
      peer: who that is.
      unit: of both; times are "ms" or "s".
    """
    if "RDJAX_ROWS" in os.environ:
        row = {"name": name, "ours": float(ours), "unit": unit}
        if theirs is not None:
            row |= {"peer": peer, "theirs": float(theirs)}
        with pathlib.Path(os.environ["RDJAX_ROWS"]).open("a") as file:
            file.write(json.dumps(row) + "\n")


def as_text(entries: list[dict]) -> str:
    """JSON with an entry on a line, figures to six digits."""
    return "[\n" + ",\n".join(json.dumps(_short(entry)) for entry in entries) + "\n]\n"


def _short(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _short(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_short(each) for each in value]
    return value if isinstance(value, (str, int)) or value is None else float(f"{float(value):.6g}")
