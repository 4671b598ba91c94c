"""The heat maps of modalities: every number of the audit, its unit, and what is withheld; readable small."""

import dataclasses

import matplotlib
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from rdjax.limits.bound import Bound
from rdjax.report import heatmap, words
from tests.fake_audit import fake_audit, guessed, modality

pytestmark = pytest.mark.float64_only


def three():
    """An audit of three modalities, whose pairs share something that is known of one only."""
    pair = fake_audit().pairs[0]
    shared = Bound(0.42, 0.48, "estimate", ("nearest neighbors, calibrated",))
    pairs = (
        dataclasses.replace(pair, information=shared, why=""),
        dataclasses.replace(pair, second="a rather long name of sound", told=guessed(7.0)),
        dataclasses.replace(pair, first="text", second="a rather long name of sound", told=guessed(6.5)),
    )
    sound = modality("a rather long name of sound", 3.3, 8.0, 0.4)
    return dataclasses.replace(fake_audit(), modalities=(*fake_audit().modalities, sound), pairs=pairs)


@pytest.mark.parametrize("audit", [fake_audit(), three()], ids=["two", "three"])
def test_every_number_is_there_with_its_unit(audit):
    told, shared = heatmap.compose_modalities(audit).axes
    assert told.get_title("left").endswith("bits")
    assert shared.get_title("left").endswith("bits")
    texts = [text.get_text() for text in told.texts]
    expected = [words.bits(found.told) for found in (*audit.modalities, *audit.pairs)]
    assert sorted(texts) == sorted(expected)
    expected = ["withheld" if p.information is None else "0.42 to\n0.48" for p in audit.pairs]
    assert sorted(text.get_text() for text in shared.texts) == sorted(expected)


@pytest.mark.parametrize("audit", [fake_audit(), three()], ids=["two", "three"])
def test_nothing_overlaps_and_all_is_inside(audit):
    figure = heatmap.compose_modalities(audit)
    renderer = FigureCanvasAgg(figure).get_renderer()
    edges = [axes.get_tightbbox(renderer) for axes in figure.axes]
    fine = figure.texts[0].get_window_extent(renderer)
    whole = figure.bbox
    assert not edges[0].overlaps(edges[1])
    for box in (*edges, fine):
        assert whole.x0 <= box.x0 < box.x1 <= whole.x1
        assert whole.y0 <= box.y0 < box.y1 <= whole.y1
    assert all(fine.y1 <= box.y0 for box in edges)


def test_names_without_spaces_can_be_told_apart():
    pair = [words.clipped(name, 12) for name in ("multilingual_e5_small", "multilingual_e5_large")]
    assert pair[0] != pair[1]
    assert all(len(name) == 12 and name.startswith("multi") for name in pair)
    assert words.clipped("image", 12) == "image"
    assert words.clipped("msmarco_passages_bge_large_en_v15", 30).endswith("large_en_v15")


def test_numbers_stand_out_from_every_color():
    """Contrast at least 4.5 to 1 (WCAG AA)."""

    def luminance(color):
        rgb = np.array(matplotlib.colors.to_rgb(color))
        return float(np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4) @ [0.2126, 0.7152, 0.0722])

    for share in np.linspace(0, 1, 101):
        color = matplotlib.colormaps[heatmap.MAP](share)
        dark, light = sorted([luminance(color[:3]), luminance(heatmap._readable(color))])
        assert (light + 0.05) / (dark + 0.05) >= 4.5
