"""The paper's tables, recomputed: on a terminal and as JSON. Formats, computes nothing."""

from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.text import Text

from rdjax.paper.tables import AS_PRINTED, Entry, Row, Table
from rdjax.report.columns import plain_table
from rdjax.report.document import plain, provenance

NARROW = 110  # columns of a terminal: below, errors are left out


def print_tables(tables: Sequence[Table], console: Console) -> None:
    """Print every table with its notes.

    Args:
      tables: as `rdjax.paper.tables` assembles them.
      console: a rich console of any width; below 110 columns standard errors are left to the JSON.
    """
    for table in tables:
        shown = plain_table(table.title, ())
        shown.add_column(table.corner, overflow="fold", ratio=1)
        for column in table.columns:
            shown.add_column(column, justify="right", no_wrap=True)
        for row in table.rows:
            style = "dim" if row.evidence == AS_PRINTED else ""
            shown.add_row(row.label, *cells(row, errors=console.width >= NARROW), style=style)
        console.print(shown)
        for note in table.notes:
            console.print(Text(note))
        console.print()


def cells(row: Row, errors: bool) -> list[str]:
    """The entries of a row as text, e.g. ".863 +- .002"."""
    digits = 3 if all(abs(entry.mean) <= 1 for entry in row.entries if entry) else 1
    return [_cell(entry, digits, errors) for entry in row.entries]


def _cell(entry: Entry | None, digits: int, errors: bool) -> str:
    """One entry; nothing where there is none."""
    if entry is None:
        return ""
    text = f"{entry.mean:.{digits}f}"
    return text if entry.error is None or not errors else f"{text} ±{entry.error:.{digits}f}"


def tables_to_json(tables: Sequence[Table]) -> dict[str, Any]:
    """The same as what `json.dumps` takes, with the versions that made it."""
    return {
        "schema": "rdjax.paper/1",
        **provenance(),
        "reading": {
            "mean": "mean over trials, or over corpora or queries where there is one trial",
            "error": "one standard error, null where there is none",
            "bits": "mean bits per query that were spent, null where that says nothing",
            AS_PRINTED: "a number of the paper, not computed here",
        },
        "tables": [plain(table, table.name) for table in tables],
    }
