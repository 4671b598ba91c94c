"""Figure 1 of the paper, recomputed: MRR against bits for every reading, with bands over trials."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from rdjax.paper.readings import READINGS
from rdjax.paper.tables import Row, Table
from rdjax.report.figure import COLORS, DPI, FINE, GRAY, WIDTH, save
from rdjax.report.panel import FLOOR, SMALL, TEXT

PANEL, TOP, KEYS = 2.1, 0.3, 1.06  # inches: of a row of panels with its axis, above them, and of the keys below
STEM = "figure1"
FILES = (f"{STEM}.png", f"{STEM}.svg")

#: label of a row: (key, color, marker or line, how it is drawn)
LOOKS: dict[str, tuple[str, str, str, Any]] = {
    "ours: all modalities fused": ("ours, fused code", COLORS[0], "o", "-"),
    "ours: learned code": ("ours, learned code", COLORS[5], "P", "-"),
    "ours: rank code (class A)": ("ours, rank code (class A)", COLORS[3], "D", "-"),
    "ours, channel: queries coded together": ("channel (queries together)", COLORS[2], "", "--"),
    "Naive CLIP": ("naive CLIP", COLORS[4], "s", "-"),
    "Fixed tau": ("fixed tau = adaptive tau", COLORS[1], "^", "-"),
    "uncompressed, exact posterior": ("uncompressed", "#8A3A00", "", (0, (4, 2))),
    "Theorem D: made without the corpus": ("Theorem D", FLOOR, "", "-"),
    "Theorem B: any code": ("Theorem B", FLOOR, "", (0, (1, 1.2))),
    "Adaptive tau (10), as printed": ("adaptive tau, as printed", GRAY, "x", ":"),
    "Rate-Distortion Bound, as printed": ('"bound", as printed', GRAY, "+", ":"),
}


def draw_figure_one(tables: Sequence[Table], directory: str | Path) -> None:
    """Write figure1.png and figure1.svg.

    Args:
      tables: those of Table 1, a panel each.
      directory: exists and can be written.
    """
    about = {"Title": "Figure 1, recomputed", "Description": "mean reciprocal rank against bits per query"}
    save(lambda: compose(tables), Path(directory, STEM), about)


def compose(tables: Sequence[Table]) -> Figure:
    """The figure, not yet written: two panels a row, keys under them."""
    lines = math.ceil(len(tables) / 2)
    height = TOP + lines * PANEL + KEYS
    figure = Figure(figsize=(WIDTH, height), dpi=DPI, facecolor="white")
    FigureCanvasAgg(figure)
    head = "Figure 1, recomputed: mean reciprocal rank against bits per query"
    figure.text(0.02, 1 - 0.17 / height, head, fontsize=TEXT + 1, weight="bold", va="center")
    for number, table in enumerate(tables):
        row, column = divmod(number, 2)
        left, bottom = (0.085, 0.575)[column], (height - TOP - (row + 1) * PANEL + 0.22) / height
        axes = figure.add_axes((left, bottom, 0.405, (PANEL - 0.5) / height))
        _panel(axes, table, column == 0, row == lines - 1 or number + 2 >= len(tables))
    handles = [_key(label) for label in LOOKS if any(_row(table, label) for table in tables)]
    look: dict[str, Any] = {"fontsize": SMALL, "frameon": False, "handlelength": 2.0, "ncols": 3}
    spacing = {"borderpad": 0, "borderaxespad": 0, "labelspacing": 0.3, "columnspacing": 0.9, "handletextpad": 0.4}
    figure.legend(handles=handles, loc="lower left", bbox_to_anchor=(0.02, 0.34 / height), **look, **spacing)
    fine = (
        "Bands, mostly narrower than lines: one standard error, over trials or, where there is one, over test corpora."
    )
    fine += "\nTheorem D binds codes made without the corpus, Theorem B all. As printed: the paper's Table 1."
    figure.text(0.02, 0.05 / height, fine, fontsize=FINE, va="bottom", color=GRAY, linespacing=1.15)
    return figure


def _panel(axes: Any, table: Table, first: bool, last: bool) -> None:
    rates = [float(column) for column in table.columns]
    axes.set_title(_title(table), fontsize=TEXT, loc="left", pad=4)
    axes.set_xscale("log", base=2)
    axes.set_xlim(min(rates) / 1.3, max(rates) * 1.3)
    axes.set_ylim(0, 1.03)
    axes.xaxis.set_major_locator(FixedLocator(rates))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda bits, _: f"{bits:g}"))
    axes.tick_params(labelsize=SMALL, length=2.5, pad=2)
    axes.grid(color="#E6E6E6", linewidth=0.5)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    if first:
        axes.set_ylabel("mean reciprocal rank", fontsize=TEXT, labelpad=2)
    if last:
        axes.set_xlabel("R, bits per query, log scale", fontsize=TEXT, labelpad=1)
    for label, (_, color, marker, dashes) in LOOKS.items():
        row = _row(table, label)
        if row is not None:
            _curve(axes, rates, row, color, marker, dashes)


def _curve(axes: Any, rates: Sequence[float], row: Row, color: str, marker: str, dashes: Any) -> None:
    """A line with its band, at what was asked for: what was spent is in the table."""
    pairs = [(rate, entry) for rate, entry in zip(rates, row.entries, strict=True) if entry is not None]
    if not pairs:
        return
    x, y = np.array([rate for rate, _ in pairs]), np.array([entry.mean for _, entry in pairs])
    spread = np.array([entry.error or 0.0 for _, entry in pairs])
    axes.plot(x, y, color=color, linestyle=dashes, linewidth=1.1, marker=marker or None, markersize=3.6, zorder=3)
    if spread.any():
        axes.fill_between(x, y - spread, y + spread, color=color, alpha=0.25, linewidth=0, zorder=2)


def _key(label: str) -> Line2D:
    text, color, marker, dashes = LOOKS[label]
    return Line2D(
        [], [], color=color, linestyle=dashes, linewidth=1.1, marker=marker or None, markersize=3.6, label=text
    )


def _row(table: Table, label: str) -> Row | None:
    return next((row for row in table.rows if row.label == label and any(row.entries)), None)


def _title(table: Table) -> str:
    words = READINGS[table.name.removeprefix("table1-")]
    return words[:1].upper() + words[1:]
