"""A plain table for a terminal; on one too narrow for it, lines."""

from collections.abc import Sequence
from typing import Any

from rich import box
from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

WIDE = 10_000  # columns, in which every table fits
ROOM = 8  # columns that words are folded into, rather than leave the table


def plain_table(title: str, columns: Sequence[tuple[str, bool]]) -> Table:
    """A table without a frame; columns are (header, whether numbers), numbers right-aligned and never folded or cut."""
    table = _Plain(title=Text(title, "bold"), title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.pad_edge = False
    for header, numeric in columns:
        table.add_column(header, justify="right" if numeric else "left", no_wrap=numeric, overflow="fold")
    return table


class _Plain(Table):
    """Rows become lines, "header: cell", where columns of numbers have no room: rich would cut them."""

    def add_row(self, *cells: Any, **settings: Any) -> None:
        """As rich's, but no cell is markup: a name in brackets is a name."""
        super().add_row(*(Text(cell) if isinstance(cell, str) else cell for cell in cells), **settings)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        if self._least(console, options) <= options.max_width:
            yield from super().__rich_console__(console, options)
            return
        yield self.title or ""
        for row, cells in zip(self.rows, zip(*(column.cells for column in self.columns), strict=True), strict=True):
            lines = [Text.assemble(f"{c.header}: ", cell) for c, cell in zip(self.columns, cells, strict=True)]
            yield ""
            yield Text("\n", row.style or "").join(lines)
        yield ""

    def _least(self, console: Console, options: ConsoleOptions) -> int:
        """Columns of the terminal that it takes at least: numbers in full, and a little room for words."""
        wide = options.update_width(WIDE)
        least = console.measure(self, options=wide).maximum
        for column in (column for column in self.columns if not column.no_wrap):
            sizes = [console.measure(cell, options=wide) for cell in (column.header, *column.cells)]
            least -= max(size.maximum for size in sizes) - min(ROOM, max(size.minimum for size in sizes))
        return least
