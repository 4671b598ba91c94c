"""The small figure of an audit with several modalities: what they tell of the relevant document, what they share."""

import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from rdjax.audit.result import Audit
from rdjax.limits.bound import Bound
from rdjax.report import words
from rdjax.report.figure import DPI, GRAY, LINE, WIDTH, save
from rdjax.report.panel import SMALL, TEXT

MAP = "cividis"  # rises in lightness, and reads alike with every kind of color vision
CELL, LEFT, TOP, GAP = 0.62, 0.75, 0.55, 1.05  # inches
WITHHELD = "#E4E4E4"


def draw_modalities(audit: Audit, directory: str | Path) -> None:
    """Write modalities.svg and modalities.png: two heat maps, bits per query.

    Args:
      audit: what `rdjax.audit.audit` found, of two modalities or more.
      directory: exists and can be written.

    Raises:
      OSError: it cannot be written.
    """
    about = {"Title": f"Modalities of {audit.setting.corpus}"}
    save(lambda: compose_modalities(audit), Path(directory, "modalities"), about)


def compose_modalities(audit: Audit) -> Figure:
    """The figure, not yet written: what is told on the left, what is shared on the right, fine print below."""
    names = [modality.name for modality in audit.modalities]
    told: dict[tuple[int, int], Bound | None] = {(m, m): one.told for m, one in enumerate(audit.modalities)}
    shared: dict[tuple[int, int], Bound | None] = {}
    for pair in audit.pairs:
        at = (names.index(pair.second), names.index(pair.first))
        told[at], shared[at] = pair.told, pair.information
    fine = _fine_print(audit)
    side, below = CELL * len(names), 0.2 + LINE * len(fine)
    width, height = max(WIDTH, 2 * (LEFT + side) + GAP), TOP + side + 0.3 + below
    figure = Figure(figsize=(width, height), dpi=DPI, facecolor="white")
    FigureCanvasAgg(figure)
    titles = ("told of the relevant document, bits", "shared by two modalities, bits")
    for cells, title, left in zip((told, shared), titles, (LEFT, width / 2 + LEFT), strict=True):
        box = (left / width, (below + 0.3) / height, side / width, side / height)
        _map(figure.add_axes(box), names, cells, title)
    figure.text(0.02, 0.05 / height, "\n".join(fine), fontsize=SMALL - 1, va="bottom", color=GRAY, linespacing=1.15)
    return figure


def _map(axes: Any, names: list[str], cells: Mapping[tuple[int, int], Bound | None], title: str) -> None:
    """The lower triangle: a colored square with its number, or a hatched one where the estimate is withheld."""
    most = max([words.number(bound) for bound in cells.values() if bound is not None], default=0.0) or 1.0
    colors = matplotlib.colormaps[MAP]
    for (row, column), bound in cells.items():
        share = 0.0 if bound is None else words.number(bound) / most
        look: dict[str, Any] = {"facecolor": colors(share), "edgecolor": "white", "linewidth": 1.5}
        if bound is None:
            look = {"facecolor": WITHHELD, "edgecolor": "#9A9A9A", "hatch": "///", "linewidth": 0}
        axes.add_patch(Rectangle((column - 0.5, row - 0.5), 1, 1, **look))
        text, color = ("withheld", "black") if bound is None else (_number(bound), _readable(colors(share)))
        back = {"facecolor": WITHHELD, "edgecolor": "none", "pad": 1.0} if bound is None else None
        axes.text(column, row, text, ha="center", va="center", color=color, fontsize=SMALL, bbox=back)
    short = [words.clipped(name, 12) for name in names]
    axes.set_xticks(range(len(names)), short, fontsize=SMALL)
    axes.set_yticks(range(len(names)), short, fontsize=SMALL)
    axes.set(xlim=(-0.5, len(names) - 0.5), ylim=(len(names) - 0.5, -0.5))
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set_title(title, fontsize=TEXT, loc="left", pad=6, x=-0.02)


def _number(bound: Bound) -> str:
    """The value, or both ends of an interval."""
    low, high = words.bits(float(bound.lower)), words.bits(float(bound.upper))
    return low if low == high else f"{low} to\n{high}"


def _readable(color: tuple[float, ...]) -> str:
    """Black or white, whichever stands out (W3C relative luminance)."""
    rgb = np.array(color[:3])
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    return "black" if float(linear @ np.array([0.2126, 0.7152, 0.0722])) > 0.18 else "white"


def _fine_print(audit: Audit) -> list[str]:
    """How to read it."""
    note = (
        "Bits per query, estimates. Left: told by each alone (diagonal) and by two together, at least, as calibrated "
        "posteriors have it. Right: mutual information of the query vectors, by nearest neighbors; hatched: withheld, "
        "since the same reading misses by more than 20% on data of this shape whose answer is known."
    )
    return textwrap.wrap(note, 112)
