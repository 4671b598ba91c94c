"""A plain table for a terminal."""

from collections.abc import Sequence

from rich import box
from rich.table import Table
from rich.text import Text


def plain_table(title: str, columns: Sequence[tuple[str, bool]]) -> Table:
    """A table without a frame; columns are (header, whether numbers), numbers right-aligned and never folded."""
    table = Table(title=Text(title, "bold"), title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.pad_edge = False
    for header, numeric in columns:
        table.add_column(header, justify="right" if numeric else "left", no_wrap=numeric, overflow="fold")
    return table
