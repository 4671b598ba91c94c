"""What `rdjax reproduce table1|figure1|table2|all` do: cells computed or read, then tables, a figure, a page."""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rdjax.checks import require
from rdjax.data.writing import check_files, staged
from rdjax.paper.cells import Cell, compute_cells, versions
from rdjax.paper.imbalance import sweep_cells
from rdjax.paper.pair_table import table_two, table_two_cells
from rdjax.paper.readings import QUICK, Sizes
from rdjax.paper.tables import Table, sweep_tables, table_one, table_one_cells
from rdjax.report.paper_figure import FILES, draw_figure_one
from rdjax.report.paper_page import render_paper
from rdjax.report.paper_tables import tables_to_json
from rdjax.report.progress import Progress
from rdjax.report.statements import statements_to_json

CELLS, PAGE, DOCUMENT = "cells", "paper.html", "paper.json"
PARTS = ("table1", "figure1", "table2", "all")


@dataclass(frozen=True)
class Experiment:
    """What to compute: `part` of `PARTS`; `quick`, less than the paper's sizes, or `full`, more trials.

    And where Flickr30k is (or None), and the folder for files.
    """

    part: str
    quick: bool
    full: bool
    flickr30k: str | None
    out: str

    @property
    def sizes(self) -> Sizes:
        """Of Table 1, and what goes with it."""
        return QUICK if self.quick else Sizes()


def experiment(part: str, *, full: bool, quick: bool, flickr30k: str | None, out: str) -> Experiment:
    """The experiment that arguments ask for.

    Raises:
      InputError: both --full and --quick, or a folder that is a file.
    """
    require(not (full and quick), "--full and --quick ask for opposite things; leave one out.")
    require(not os.path.isfile(out), f"{out} is a file; name a folder.")
    return Experiment(part, quick, full, flickr30k, out)


def run(asked: Experiment) -> tuple[list[Table], list[str]]:
    """(the tables, the files written); what was computed before with the same source and versions is read from cells.

    Raises:
      InputError: Flickr30k that is not there or damaged, or files that cannot be written.
    """
    if files := _files(asked):
        check_files(files)
    cells = _cells(asked)
    with Progress() as progress:
        found = compute_cells(cells, os.path.join(asked.out, CELLS), progress)
        progress("writing", len(cells), len(cells))
        tables = _tables(asked, found)
        return tables, _write(asked, tables, found)


def _cells(asked: Experiment) -> list[Cell]:
    cells = []
    if asked.part in ("table2", "all"):  # first: what a user hands in may be refused
        cells += table_two_cells(asked.flickr30k, asked.quick)
    if asked.part != "table2":
        cells += table_one_cells(asked.sizes, asked.full)
    if asked.part in ("table1", "all"):
        cells += sweep_cells(asked.sizes)
    if asked.part == "all":
        modules = "rdjax.paper.catalog", "rdjax.report.statements"
        cells.append(Cell("statements", {}, modules, _statements, 40.0))
    return cells


def _tables(asked: Experiment, found: dict[str, Any]) -> list[Table]:
    tables = [] if asked.part == "table2" else table_one(found, asked.sizes, asked.full)
    if asked.part in ("table1", "all"):
        tables += sweep_tables(found, asked.sizes)
    if asked.part in ("table2", "all"):
        tables += table_two(found, asked.flickr30k)
    return tables


def _statements() -> dict[str, Any]:
    from rdjax.paper import examined

    return statements_to_json(list(examined()))


def _files(asked: Experiment) -> list[str]:
    """What is written besides the cells."""
    names = [*(FILES if asked.part in ("figure1", "all") else ()), *((DOCUMENT, PAGE) if asked.part == "all" else ())]
    return [os.path.join(asked.out, name) for name in names]


def _write(asked: Experiment, tables: Sequence[Table], found: dict[str, Any]) -> list[str]:
    """The figure; and for all of it the page and its numbers: all of these files or none."""
    files = _files(asked)
    if not files:
        return []
    with staged(files) as fresh:
        folder = Path(fresh[0].parent, "drawn")
        folder.mkdir()
        draw_figure_one([table for table in tables if table.name.startswith("table1")], folder)
        texts = [Path(folder, name).read_bytes() for name in FILES]
        if asked.part == "all":
            document = tables_to_json(tables) | {"statements": found["statements"]["statements"]}
            texts.append((json.dumps(document, indent=1, allow_nan=False) + "\n").encode())
            page = render_paper(tables, found["statements"], texts[1].decode(), versions())
            texts.append(page.encode())
        for place, text in zip(fresh, texts, strict=True):
            place.write_bytes(text)
    return files
