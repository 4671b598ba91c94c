"""The figure: what it says, that nothing hides anything, that it can be read small and without color."""

import dataclasses
import functools
import itertools
import math
import tracemalloc

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from rdjax.limits.bound import Bound
from rdjax.report import figure, labels
from tests.fake_audit import fake_audit, point, with_floor

pytestmark = pytest.mark.float64_only


@functools.cache
def drawing():
    """The figure of both sides, for the tests that only look."""
    return figure.compose(fake_audit())


@pytest.mark.parametrize("sides", [("documents",), ("queries",), ("documents", "queries")])
def test_there_is_a_panel_for_each_side_and_it_says_what_and_in_which_units(sides):
    panels = figure.compose(fake_audit(sides)).axes
    assert len(panels) == len(sides)
    for panel, side in zip(panels, sides, strict=True):
        item = {"documents": "document", "queries": "query"}[side]
        assert panel.get_xlabel() == f"bits per {item} (packed), log scale"
        assert panel.get_ylabel() == "MRR"
        assert panel.get_xscale() == "log"


def label_boxes(panel, renderer):
    return {text.get_text(): text.get_window_extent(renderer) for text in panel.texts}


def test_labels_lie_inside_and_hide_neither_each_other_nor_a_code():
    drawn = drawing()
    renderer = FigureCanvasAgg(drawn).get_renderer()
    for panel, side in zip(drawn.axes, ("documents", "queries"), strict=True):
        boxes = label_boxes(panel, renderer)
        assert any("Theorem D" in text for text in boxes)
        assert any(text.startswith("today MRR 0.712") for text in boxes)
        assert any(text.startswith("aim 0.676 (95%)") for text in boxes)
        frame = panel.get_window_extent(renderer)
        for box in boxes.values():
            assert frame.x0 <= box.x0 < box.x1 <= frame.x1
            assert frame.y0 <= box.y0 < box.y1 <= frame.y1
        assert not any(one.overlaps(other) for one, other in itertools.combinations(boxes.values(), 2))
        for p in fake_audit().on(side):
            at = panel.transData.transform((p.bits.packed.lower, p.value.lower))
            assert not any(box.contains(*at) for box in boxes.values())


def test_keys_and_fine_print_are_below_the_panels():
    drawn = drawing()
    renderer = FigureCanvasAgg(drawn).get_renderer()
    lowest = min(panel.get_tightbbox(renderer).y0 for panel in drawn.axes)
    keys = [legend.get_window_extent(renderer) for legend in drawn.legends]
    assert all(box.y0 >= 0 and box.y1 <= lowest and box.x1 <= drawn.bbox.x1 for box in keys)
    small = drawn.texts[-1]
    assert small.get_window_extent(renderer).y1 <= min(box.y0 for box in keys)
    for note in (*fake_audit().setting.notes, "no floor is proved for class B codebooks"):
        assert note[1:] in " ".join(small.get_text().split())


def test_text_can_be_read_at_400_pixels():
    drawn = drawing()
    sizes = [text.get_fontsize() for panel in drawn.axes for text in (*panel.texts, *panel.get_xticklabels())]
    assert min(sizes) * figure.DPI / 72 * 400 / 1200 > 7


def test_families_and_classes_differ_without_color():
    points = [point(f"code {i}", f"family {i}", "queries", "B", 8.0 * (i + 1), 0.5) for i in range(20)]
    audit = dataclasses.replace(fake_audit(("queries",)), points=tuple(points), recommendations=())
    looks = figure._looks(audit)
    assert len(set(looks.values())) == 20
    drawn = drawing()
    fills = [line.get_fillstyle() for line in drawn.legends[0].get_lines()[-3:]]
    assert len(set(fills)) == 3


def test_floors_without_a_curve_and_beyond_reach_are_drawn_without_harm(tmp_path):
    upright = with_floor(fake_audit(), curve=())
    assert any("Theorem D" in text.get_text() for text in figure.compose(upright).axes[0].texts)
    lost = with_floor(upright, bits=Bound.at_least(math.inf, "model"), name="lost (Theorem Z)")
    assert not any("Theorem Z" in text.get_text() for text in figure.compose(lost).axes[0].texts)
    bare = dataclasses.replace(fake_audit(("documents",)), floors=(), recommendations=())
    figure.draw(bare, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"frontier.svg", "frontier.png"}


def test_a_search_that_finds_nothing_is_drawn_too():
    useless = point("int8", "int8", "queries", "B", 7168.0, 0.0)
    flat = dataclasses.replace(useless, interval=Bound(0.0, 0.0, "estimate"))
    today = dataclasses.replace(fake_audit().today, value=Bound.value(0.0, "measured"))
    audit = dataclasses.replace(fake_audit(("queries",)), points=(flat,), today=today, aim=today.value)
    assert figure.compose(audit).axes[0].get_ylim() == (0.0, 1.0)


def test_the_flat_end_of_a_floor_does_not_stretch_the_axis():
    curve = tuple((2.0**p, min(1.0, 0.1 * p)) for p in range(1, 41))
    high = dataclasses.replace(fake_audit(("documents",)).today, value=Bound.value(0.99, "measured"))
    audit = dataclasses.replace(with_floor(fake_audit(("documents",)), curve=curve), today=high)
    assert figure.compose(audit).axes[0].get_xlim()[1] < 2.0**14


def test_lines_far_beyond_the_axes_take_no_more_to_draw():
    """Of a corpus whose quality is next to nothing floors go up to 1, thousands of times as high as the axes."""
    audit = fake_audit(("documents",))
    low = lambda bound: Bound(*(1e-5 * float(end) for end in (bound.lower, bound.upper)), bound.evidence, bound.assumes)
    points = tuple(dataclasses.replace(p, value=low(p.value), interval=low(p.interval)) for p in audit.points)
    today = dataclasses.replace(audit.today, value=low(audit.today.value))
    picked = {id(p): small for p, small in zip(audit.points, points, strict=True)}
    recommended = tuple(dataclasses.replace(r, point=picked.get(id(r.point))) for r in audit.recommendations)
    poor = dataclasses.replace(audit, points=points, today=today, aim=low(audit.aim), recommendations=recommended)
    tracemalloc.start()
    (panel,) = figure.compose(poor).axes
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert panel.get_ylim()[1] < 1e-4
    assert peak < 2**28


@pytest.mark.parametrize(
    ("start", "end", "piece"),
    [
        ((-5, 5), (20, 5), ((0, 5), (10, 5))),
        ((5, 5), (5, 1e9), ((5, 5), (5, 10))),
        ((2, 3), (4, 5), ((2, 3), (4, 5))),
        ((-1, 9), (1, 11), ((0, 10), (0, 10))),
        ((-1, 10), (1, 12), None),
        ((11, 0), (11, 10), None),
    ],
)
def test_lines_are_cut_to_the_box(start, end, piece):
    found = labels._cut(*map(np.array, (start, end)), np.zeros(2), np.full(2, 10.0))
    assert (found is None) == (piece is None)
    if piece is not None:
        np.testing.assert_allclose(found, piece, atol=1e-9)


def test_letters_that_the_font_lacks_warn_nobody(tmp_path):
    """Warnings are errors here; the page and report.json have the letters."""
    setting = dataclasses.replace(fake_audit().setting, corpus="日本")
    figure.draw(dataclasses.replace(fake_audit(), setting=setting), tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"frontier.svg", "frontier.png"}
