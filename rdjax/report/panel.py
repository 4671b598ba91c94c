"""One side of an audit on one pair of axes: scales, then lines and points, then labels where they hide nothing."""

import re
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from rdjax.audit.result import FIXED, STREAM, Audit, Floor, Point
from rdjax.audit.wording import ITEM, TITLES, metric_title, percent
from rdjax.report import words
from rdjax.report.labels import Labels

TEXT, SMALL = 8.5, 8.0  # points; 8 are 7.4 pixels where the picture is shown 400 pixels wide
FLOOR, TODAY = "#222222", "#8A3A00"
MODEL = "under a fitted model"
STROKES: dict[str, Any] = {STREAM: "-", FIXED: (0, (5, 2)), MODEL: (0, (1, 1.2))}
FILLS = {"A": "left", "B": "full", "C": "none"}
BESIDE = ((-1, 0), (1, 0), (-1, 0.5), (1, -0.5))  # where the label of a steep line may stand

Look = tuple[str, str]  # color and marker of a family


def draw_panel(axes: Any, audit: Audit, side: str, top: float, looks: Mapping[str, Look], renderer: Any) -> None:
    """Quality against packed bits on one side.

    Args:
      axes: of matplotlib, placed and empty.
      audit: both sides or more; only this side is drawn.
      side: "documents" or "queries".
      top: upper end of the quality axis.
      looks: of each family.
      renderer: of the canvas, for the size of texts.
    """
    title, item = TITLES[side], ITEM[side]
    metric = metric_title(audit.setting.metric)
    points, floors = audit.on(side), [f for f in audit.floors if f.side == side and f.bits is not None]
    _scales(axes, points, floors, top)
    axes.set_title(f"{title}: {metric} against bits per {item} (packed)", fontsize=TEXT + 0.5, loc="left", pad=4)
    axes.set_xlabel(f"bits per {item} (packed), log scale", fontsize=TEXT, labelpad=1)
    axes.set_ylabel(metric, fontsize=TEXT, labelpad=2)
    labels = Labels(axes, renderer)
    chosen = [c.point for c in audit.recommendations if c.side == side and c.point is not None]
    _codes(axes, points, looks, labels)
    _rings(axes, chosen, labels)
    _levels(axes, audit, labels)
    lines = _floor_lines(axes, floors, words.number(audit.aim), labels)
    _name_levels(axes, audit, labels)  # first, because they have the least choice
    for point in chosen:
        text = f"{textwrap.fill(point.code, 26)}\n{words.bits(point.bits.packed)} bits, keeps {words.share(point.kept)}"
        labels.place(text, [_at(point)], {"fontsize": SMALL, "color": "black"})
    for text, places in lines:
        labels.place(text, places, {"fontsize": SMALL, "color": FLOOR}, BESIDE)


def fill(letter: str) -> dict[str, Any]:
    """How a marker shows the class of a code: A half, B full, C open."""
    return {"fillstyle": FILLS[letter], "markerfacecoloralt": "white", "markeredgewidth": 1.0}


def stroke(floor: Floor) -> str:
    """The key of `STROKES` by which a floor is drawn."""
    return MODEL if floor.bits is not None and floor.bits.evidence in ("model", "certificate") else floor.kind


def _at(point: Point) -> tuple[float, float]:
    return words.number(point.bits.packed), words.number(point.value)


def _scales(axes: Any, points: Sequence[Point], floors: Sequence[Floor], top: float) -> None:
    """Bits by powers of two from the first floor that matters to the last code; quality from zero."""
    spent = [words.number(point.bits.packed) for point in points]
    spent += [bits for floor in floors for bits, quality in _rising(floor) if 0.05 * top < quality < top]
    spent = [bits for bits in spent if 0 < bits < np.inf] or [1.0]
    low, high = np.floor(np.log2(min(spent))), np.log2(max(spent))
    every = 1 if high - low <= 8 else 2
    axes.set_xscale("log", base=2)
    axes.set_xlim(2.0 ** (low - 0.3), 2.0 ** (high + 0.5))
    axes.set_ylim(0, top)
    axes.xaxis.set_major_locator(FixedLocator(list(2.0 ** np.arange(low, high + 0.5, every))))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda bits, _: f"{bits:g}" if bits < 1000 else f"{bits:,.0f}"))
    axes.tick_params(labelsize=SMALL, length=2.5, pad=2)
    axes.grid(color="#E6E6E6", linewidth=0.5)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def _codes(axes: Any, points: Sequence[Point], looks: Mapping[str, Look], labels: Labels) -> None:
    """A point with its interval for each code, a thin line through the budgets of a family in a class."""
    for family, letter in dict.fromkeys((point.family, point.code_class) for point in points):
        color, marker = looks[family]
        members = sorted(_at(p) for p in points if (p.family, p.code_class) == (family, letter))
        x, y = np.array(members).T
        axes.plot(x, y, color=color, linewidth=0.6, alpha=0.6, zorder=3)
        if letter == "C":  # an open marker hides the interval behind it
            axes.plot(x, y, color="white", marker=marker, markersize=4.2, linestyle="none", zorder=3.9)
        axes.plot(x, y, color=color, marker=marker, markersize=4.2, linestyle="none", zorder=4, **fill(letter))
        labels.block_line(members, 2.0)
    bars = [(_at(point)[0], float(point.interval.lower), float(point.interval.upper)) for point in points]
    bits, low, high = zip(*bars, strict=True)
    axes.vlines(bits, low, high, colors=[looks[point.family][0] for point in points], linewidth=0.8, zorder=3.2)
    for at, *ends in bars:
        labels.block_line([(at, end) for end in ends], 6.0)


def _rings(axes: Any, chosen: Sequence[Point], labels: Labels) -> None:
    """A ring around each recommended code."""
    for point in chosen:
        ring = {"markersize": 10, "markerfacecolor": "none", "markeredgecolor": "black", "markeredgewidth": 1.3}
        axes.plot(*_at(point), marker="o", zorder=5, **ring)
        labels.block_line([_at(point)] * 2, 8.0)


def _levels(axes: Any, audit: Audit, labels: Labels) -> None:
    """Today's quality as a full line, the aim as a dashed one."""
    for bound, dashes in ((audit.today.value, "-"), (audit.aim, (0, (4, 2)))):
        level = words.number(bound)
        axes.axhline(level, color=TODAY, linewidth=1.1, linestyle=dashes, zorder=2)
        labels.block_line([(bits, level) for bits in axes.get_xlim()], 3.0)


def _name_levels(axes: Any, audit: Audit, labels: Labels) -> None:
    """The names of both lines, just above today's and just below the aim's."""
    today, aim = words.number(audit.today.value), words.number(audit.aim)
    metric = metric_title(audit.setting.metric)
    names = [(today, f"today {metric} {today:.3f}", 1), (aim, f"aim {aim:.3f} ({percent(audit.setting.target)})", -1)]
    left, right = axes.get_xlim()
    for level, text, upward in names:
        places = [(bits, level) for bits in np.geomspace(left, right, 40)]
        labels.place(text, places, {"fontsize": SMALL, "color": TODAY}, [(0, upward)], gaps=[1.0])


def _floor_lines(axes: Any, floors: Sequence[Floor], aim: float, labels: Labels) -> list[tuple[str, np.ndarray]]:
    """A line for each floor, one for those that coincide; (label, places that it may point at)."""
    drawn: list[tuple[list[str], np.ndarray]] = []
    for floor in floors:
        line = _line(floor, aim, axes.get_xlim()[1])
        twin = next((names for names, other in drawn if line.shape == other.shape and np.allclose(line, other)), None)
        if twin is not None:
            twin.append(_short(floor))
        elif len(line):
            axes.plot(*line.T, color=FLOOR, linewidth=1.3, linestyle=STROKES[stroke(floor)], zorder=2.2)
            labels.block_line(line, 4.0)
            drawn.append(([_short(floor)], line))
    return [("\n".join(names), _visible(line, axes)) for names, line in drawn]


def _line(floor: Floor, aim: float, right: float) -> np.ndarray:
    """[n, 2] of (bits, quality): its curve, or upright at its bits up to the aim where it has none."""
    if floor.curve:
        return np.array(_rising(floor))
    bits = words.number(floor.bits) if floor.bits is not None else np.inf
    return np.array([(bits, 0.0), (bits, aim)]) if 0 < bits < right else np.zeros((0, 2))


def _rising(floor: Floor) -> list[tuple[float, float]]:
    """The curve up to where it is flat for good: more bits say nothing more."""
    best = max((quality for _, quality in floor.curve), default=0.0)
    points = sorted((bits, quality) for bits, quality in floor.curve if bits > 0)
    end = next((i for i, (_, quality) in enumerate(points) if quality >= best - 1e-3), len(points))
    return points[: end + 1]


def _visible(line: np.ndarray, axes: Any) -> np.ndarray:
    """Places along the part of a line that is inside the axes, close together."""
    (left, right), (low, high) = axes.get_xlim(), axes.get_ylim()
    steps, fine = np.arange(len(line)), np.linspace(0, len(line) - 1, 400)
    bits, quality = 2.0 ** np.interp(fine, steps, np.log2(line[:, 0])), np.interp(fine, steps, line[:, 1])
    inside = (bits > left) & (bits < right) & (quality > low + 0.04 * high) & (quality < 0.96 * high)
    places = np.column_stack([bits, quality])[inside]
    return places[:: max(1, len(places) // 30)] if len(places) else line[:1]


def _short(floor: Floor) -> str:
    """E.g. "Theorem D, Gaussian fit" over "binds C": what the name has in brackets and after, else the whole name."""
    found = re.search(r"\(([^()]*)\)([^()]*)$", floor.name)
    return f"{textwrap.fill(found[1] + found[2] if found else floor.name, 14)}\nbinds {floor.classes}"
