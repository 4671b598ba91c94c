"""The one figure: quality against bits, floors as labelled lines, codes as points with intervals.

Drawn on canvases of its own: no pyplot, and the settings of whoever imports this are neither used nor changed. Equal
audits give equal files.
"""

import textwrap
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import matplotlib
import matplotlib.style
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from rdjax.audit.families import STRETCHED
from rdjax.audit.result import FIXED, Audit
from rdjax.audit.wording import TITLES
from rdjax.report import words
from rdjax.report.panel import FLOOR, SMALL, STROKES, TEXT, Look, draw_panel, fill, stroke

WIDTH, DPI = 6.0, 200  # inches and dots: 1,200 pixels wide
HEAD, TITLE, PANEL, BELOW = 0.32, 0.22, 3.1, 0.42  # inches: heading; above, of and below one panel
LEFT, RIGHT = 0.56, 0.2  # inches beside the panels
KEY, LINE, FINE = 0.165, 0.125, 7.0  # inches of a row of keys and of a line of fine print; points of the latter
GRAY = "#444444"

COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#7F7F7F")  # Okabe and Ito
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "h", "*")  # 11, prime to the number of colors
CLASSES = {"A": "A: searches the corpus", "B": "B: knows the corpus", "C": "C: made without it"}
SETTINGS = {  # a corpus may have a dollar in its name, which is no formula
    "font.family": "DejaVu Sans",
    "font.size": TEXT,
    "axes.linewidth": 0.7,
    "svg.fonttype": "path",
    "text.parse_math": False,
}


def draw(audit: Audit, directory: str | Path) -> None:
    """Write frontier.svg and frontier.png (1,200 pixels wide): one panel per side, quality against packed bits.

    Args:
      audit: what `rdjax.audit.audit` found; it has codes on one side at least.
      directory: exists and can be written.

    Raises:
      OSError: it cannot be written.
    """
    about = {"Title": f"rdjax audit of {audit.setting.corpus}", "Description": " ".join(audit.answer)}
    save(lambda: compose(audit), Path(directory, "frontier"), about)


def save(make: Callable[[], Figure], stem: Path, about: Mapping[str, str]) -> None:
    """Make a figure with our settings, and write it as STEM.png and STEM.svg, with `about` as their metadata."""
    style, salt = matplotlib.style.context(["default", SETTINGS]), matplotlib.rc_context({"svg.hashsalt": "rdjax"})
    with style, salt, warnings.catch_warnings():
        # letters that the font lacks are boxes there; the page has them
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        figure = make()
        figure.savefig(f"{stem}.png", dpi=DPI, metadata={**about, "Software": "rdjax"})
        figure.savefig(f"{stem}.svg", metadata={**about, "Creator": "rdjax", "Date": None})


def compose(audit: Audit) -> Figure:
    """The figure, not yet written: panels under each other, then the keys, then the fine print."""
    sides = [side for side in TITLES if audit.on(side)]
    looks = _looks(audit)
    small, codes, floors = list(_fine_print(audit)), _code_keys(audit, looks), _floor_keys(audit)
    floor_keys_at = 0.1 + LINE * len(small)
    code_keys_at = floor_keys_at + KEY * -(-len(floors) // 3) + 0.05
    height = HEAD + len(sides) * (TITLE + PANEL + BELOW) + code_keys_at + KEY * -(-len(codes) // 3)
    figure = Figure(figsize=(WIDTH, height), dpi=DPI, facecolor="white")
    renderer = FigureCanvasAgg(figure).get_renderer()
    figure.text(0.02, 1 - 0.6 * HEAD / height, _headline(audit), fontsize=TEXT + 1, weight="bold", va="center")
    top = _top(audit)
    for row, side in enumerate(sides):
        bottom = height - HEAD - (row + 1) * (TITLE + PANEL) - row * BELOW
        box = (LEFT / WIDTH, bottom / height, 1 - (LEFT + RIGHT) / WIDTH, PANEL / height)
        draw_panel(figure.add_axes(box), audit, side, top, looks, renderer)
    _keys(figure, codes, code_keys_at / height)
    _keys(figure, floors, floor_keys_at / height, handlelength=2.4)
    figure.text(0.02, 0.04 / height, "\n".join(small), fontsize=FINE, va="bottom", color=GRAY, linespacing=1.15)
    return figure


def _keys(figure: Figure, handles: list[Line2D], bottom: float, handlelength: float = 1.2) -> None:
    """A legend in three columns under the panels, where it hides nothing; `bottom` as a share of the height."""
    spacing = {"borderpad": 0, "borderaxespad": 0, "labelspacing": 0.3, "columnspacing": 1.2, "handletextpad": 0.5}
    look: dict[str, Any] = {"fontsize": SMALL, "frameon": False, "handlelength": handlelength, "ncols": 3, **spacing}
    if handles:
        figure.legend(handles=handles, loc="lower left", bbox_to_anchor=(0.02, bottom), **look)


def _headline(audit: Audit) -> str:
    setting = audit.setting
    counts = f"{words.count(setting.documents, 'document')}, {words.count(setting.queries, 'query')}"
    return f"{words.clipped(setting.corpus, 30)}: {counts}"


def _fine_print(audit: Audit) -> Iterator[str]:
    """How to read it, what is not proved, and what must be said wherever a figure of this corpus is shown."""
    proved = {floor.kind for floor in audit.floors if floor.bits is not None}
    reading = "Bars: 95% intervals. Ring: recommended."
    if proved:
        reading += (
            " Black lines: floors; no uniquely decodable code of the classes named averages fewer bits over a stream"
        )
        reading += "; broken: no fixed-length one has fewer" if FIXED in proved else ""
        modeled = any(floor.bits is not None and floor.bits.evidence != "theorem" for floor in audit.floors)
        reading += "; dotted: if the fitted model is true." if modeled else "."
    notes = [reading]
    if any(family != name for family, name in _shown(audit).items()):
        notes.append("Stored documents: decoded stretched, with the length that coding takes from them.")
    for side, title in TITLES.items():
        lacking = [floor.name for floor in audit.floors if floor.side == side and floor.bits is None]
        if lacking:
            notes.append(f"{title}: no floor is proved for {'; '.join(lacking)}.")
    for note in (*notes, *audit.setting.notes):
        yield from textwrap.wrap(note[:1].upper() + note[1:], 112)


def _looks(audit: Audit) -> dict[str, Look]:
    """(color, marker) of each family, the same in both panels."""
    number = {name: i for i, name in enumerate(dict.fromkeys(_shown(audit).values()))}
    look = lambda i: (COLORS[i % len(COLORS)], MARKERS[i % len(MARKERS)])
    return {family: look(number[name]) for family, name in _shown(audit).items()}


def _shown(audit: Audit) -> dict[str, str]:
    """What the keys call each family: a stretched one is shown as the plain one, unless both are in one panel."""
    met = {(point.family, point.side) for point in audit.points}
    alone = lambda family: all((family.removesuffix(STRETCHED), side) not in met for f, side in met if f == family)
    families = dict.fromkeys(point.family for point in audit.points)
    return {f: f.removesuffix(STRETCHED) if f.endswith(STRETCHED) and alone(f) else f for f in families}


def _code_keys(audit: Audit, looks: dict[str, Look]) -> list[Line2D]:
    """Families by color and marker, then classes by how the marker is filled."""
    marks: dict[str, Any] = {"markersize": 5.5, "linestyle": "none"}
    named = {name: looks[family] for family, name in _shown(audit).items()}
    keys = [Line2D([], [], color=color, marker=marker, label=f, **marks) for f, (color, marker) in named.items()]
    letters = sorted({point.code_class for point in audit.points})
    return keys + [Line2D([], [], color=GRAY, marker="o", label=CLASSES[x], **marks, **fill(x)) for x in letters]


def _floor_keys(audit: Audit) -> list[Line2D]:
    """What the strokes of the floors mean."""
    used = {stroke(floor) for floor in audit.floors if floor.bits is not None}
    look: dict[str, Any] = {"color": FLOOR, "linewidth": 1.3}
    return [Line2D([], [], linestyle=STROKES[s], label=f"floor, {s}", **look) for s in STROKES if s in used]


def _top(audit: Audit) -> float:
    """Upper end of the quality axis: room above today's for a line of text."""
    highest = [float(point.interval.upper) for point in audit.points]
    return 1.13 * max([words.number(audit.today.value), *highest]) or 1.0
