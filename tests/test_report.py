"""Numbers, JSON, tables and progress: what is shown is what was found."""

import dataclasses
import io
import json
import math
import re

import pytest
from rich.console import Console

from rdjax.audit import wording
from rdjax.audit.answer import disk
from rdjax.limits.bound import Bound
from rdjax.report import Progress, print_audit, terminal, to_json, words
from rdjax.report.columns import plain_table
from tests.fake_audit import fake_audit, measured, point, with_floor

pytestmark = pytest.mark.float64_only


def printed(audit, width):
    console = Console(file=io.StringIO(), width=width)
    print_audit(audit, console)
    return console.file.getvalue()


def flat(text):
    """One line, without the panel's edges, so that folding does not matter."""
    return " ".join(re.sub("[│╭╮╰╯─]", " ", text).split())


# numbers


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (4.8465, "4.85"),
        (42.5, "42.50"),
        (128.02, "128.0"),
        (896.0, "896"),
        (12288.4, "12,288"),
        (math.inf, "unreachable"),
    ],
)
def test_bits(value, text):
    assert words.bits(value) == words.bits(Bound.at_least(value, "theorem")) == text


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 bytes"),
        (640, "640 bytes"),
        (24_500, "24.5 kB"),
        (3_584_000, "3.58 MB"),
        (1.5e9, "1.5 GB"),
        (2e13, "20 TB"),
        (999_900, "1,000 kB"),
    ],
)
def test_sizes_of_storage(size, text):
    assert wording.storage(size) == text


def test_a_bound_shows_the_side_that_is_known():
    assert words.number(Bound(-math.inf, 3.0, "theorem")) == 3.0
    assert words.number(Bound.at_least(2.0, "theorem")) == 2.0
    assert words.count(1, "query") == "1 query"
    assert words.count(1000, "query") == "1,000 queries"
    assert wording.metric_title("ndcg@10") == "nDCG@10"
    assert [words.tau(tau) for tau in (0.046, 1.0, 120.4, math.inf, None)] == [
        *("0.0460", "1", "120"),
        *("infinite", "infinite"),
    ]


# JSON


def test_json_holds_every_record_and_every_bound():
    audit = fake_audit()
    found = json.loads(json.dumps(to_json(audit), allow_nan=False))
    assert len(found["points"]) == len(audit.points)
    for given, kept in zip(audit.points, found["points"], strict=True):
        assert kept["code"] == given.code
        assert kept["encoder_bytes"] == given.encoder_bytes
        assert kept["bits"]["packed"]["lower"] == given.bits.packed.lower
        assert kept["chosen_by"] == {
            "lower": given.chosen_by.lower,
            "upper": None,
            "evidence": "estimate",
            "assumes": list(given.chosen_by.assumes),
        }
        assert [kept["interval"][end] for end in ("lower", "upper")] == [given.interval.lower, given.interval.upper]
    assert found["floors"][2]["bits"] is None
    assert found["floors"][0]["curve"] == [list(pair) for pair in audit.floors[0].curve]
    assert found["setting"]["dimensions"] == audit.setting.dimensions
    assert found["qualities"][1]["pessimistic"]["lower"] == 0.387
    assert found["recommendations"][0]["point"]["code"] == audit.recommendations[0].point.code
    assert found["answer"] == list(audit.answer)
    assert found["seed"] == audit.setting.seed
    assert found["schema"] == "rdjax.audit/1"
    assert set(found["versions"]) == {"rdjax", "jax", "jaxlib", "numpy"}


def test_json_has_every_field_of_the_audit():
    audit = fake_audit()
    assert {field.name for field in dataclasses.fields(audit)} <= set(to_json(audit))


def test_json_has_what_documents_are_chosen_by():
    audit = fake_audit()
    found = to_json(audit)
    for given, kept in zip(audit.points, found["points"], strict=True):
        bytes_ = given.bits.packed.lower / 8 * audit.setting.documents + given.stored_bytes
        assert kept["disk_bytes"] == (bytes_ if given.side == "documents" else None)
    kept = [choice["point"]["disk_bytes"] for choice in found["recommendations"]]
    assert kept == [disk(audit.recommendations[0].point, audit.setting), None, None]
    without = dataclasses.replace(audit.recommendations[0], point=None)
    assert to_json(dataclasses.replace(audit, recommendations=(without,)))["recommendations"][0]["point"] is None
    assert "disk_bytes" in found["reading"]


def test_plus_infinity_is_not_taken_for_no_bound():
    found = to_json(with_floor(fake_audit(), bits=Bound.at_least(math.inf, "model")))["floors"]
    assert found[0]["bits"]["lower"] is None
    assert found[0]["bits"]["unreachable"] is True
    assert "unreachable" not in found[1]["bits"]


def test_nan_is_refused_with_its_place():
    audit = fake_audit()
    bad = dataclasses.replace(audit, today=dataclasses.replace(audit.today, value=measured(math.nan)))
    with pytest.raises(ValueError, match=r"audit\.today\.value\.lower is NaN"):
        to_json(bad)


# terminal


@pytest.mark.parametrize("width", [80, 120])
def test_everything_fits_and_nothing_is_missing(width):
    audit = fake_audit(warnings=("only 150 queries: cross-fitted.",))
    text = printed(audit, width)
    assert max(map(len, text.splitlines())) <= width
    assert "…" not in text
    assert "\x1b" not in text
    for sentence in (*audit.answer, *audit.setting.notes, "Warning: only 150 queries: cross-fitted."):
        assert flat(sentence) in flat(text)
    for floor in audit.floors:
        assert floor.name in flat(text)
    assert "no floor is proved: a codebook fitted on the searched documents knows them" in flat(text)
    assert "model: exact for a fitted model" in flat(text)
    for heading in ("entropy", "packed", "single", "kept", "encoder"):
        assert heading in text
    for choice in audit.recommendations:
        assert f"* {choice.point.code}" in flat(text)
    assert text.index(audit.answer[0][:30]) < text.index("ties against us") < text.index("Stored documents: codes")


@pytest.mark.parametrize("width", [30, 40, 60, 79])
def test_a_narrow_terminal_shows_every_number_whole(width):
    numbers = lambda width: {word for word in flat(printed(fake_audit(), width)).split() if re.search(r"\d", word)}
    assert len(numbers(120)) > 100
    assert numbers(120) <= numbers(width)


def test_codes_without_room_are_lines():
    audit = fake_audit()
    shown = audit.recommendations[0].point
    text = printed(audit, 50)
    assert max(map(len, text.splitlines())) <= 50
    lines = [line.rstrip() for line in text.splitlines()]
    at = next(
        i
        for i, line in enumerate(lines)
        if line.startswith(f"* {shown.code}"[:30]) and "encoder" in flat(" ".join(lines[i : i + 2]))
    )
    assert f"    packed {words.bits(shown.bits.packed)}" in lines[at : at + 6]
    assert f"    MRR 95% {words.interval(shown.interval)}" in lines[at : at + 8]
    assert f"    95% of kept {words.share_interval(shown.kept_interval)}" in lines[at : at + 9]
    assert f"on disk {wording.storage(disk(shown, audit.setting))}, encoder" in flat(" ".join(lines[at : at + 2]))


@pytest.mark.parametrize("width", [80, 110, 140])
def test_columns_of_codes_are_aligned_and_each_says_what_it_is(width):
    """Two of them were "95%", and what documents are chosen by stood nowhere."""
    audit = fake_audit()
    documents, queries = printed(audit, width).split("Queries: codes")
    asked = ((documents, "documents", 0), (queries, "queries", 1))
    for text, side, number in asked:
        lines = text.split("codes, bits per")[-1].splitlines()
        header = next(line for line in lines if "entropy  " in line)
        names = re.split(r" {2,}", header[header.index("entropy") :])
        stored = ["on disk"] if side == "documents" else []
        assert names == ["entropy", "packed", "single", *stored, "MRR", "95%", "kept", "95% of kept"]
        shown = audit.recommendations[number].point
        row = next(line for line in lines if words.share_interval(shown.kept_interval) in line)
        told = [wording.storage(disk(shown, audit.setting))] if stored else []
        ends = [header.index("  " + name) + len(name) + 2 for name in names[:-4]]
        cells = [*(words.bits(getattr(shown.bits, name)) for name in names[:3]), *told]
        assert [row[:end].endswith("  " + cell) for end, cell in zip(ends, cells, strict=True)] == [True] * len(cells)
        assert len(row) == len(header)
        assert row.endswith("  " + words.share_interval(shown.kept_interval))
    assert terminal.ON_DISK.strip() in flat(documents)
    assert terminal.ON_DISK.strip() not in flat(queries)


@pytest.mark.parametrize(("width", "column"), [(80, False), (90, True)])
def test_what_is_on_disk_is_above_where_its_column_has_no_room(width, column):
    audit = short_audit(touched=1612.8)
    size = wording.storage(disk(audit.points[0], audit.setting))
    text = printed(audit, width)
    assert (f"on disk {size}, encoder" in text) != column
    assert bool(re.search(rf"touched  on disk  .*  MRR.*\n(.*\n){{3}}.*  1,613  +{size}  ", text)) == column
    assert "touched  " in text  # the other columns stay


def test_a_table_without_room_becomes_lines():
    table = plain_table("Codes", [("code", False), ("bits", True), ("95%", True)])
    table.add_row("product", "12,288", "[0.683, 0.740]")
    table.add_row("[int8]", "64", "-")
    shown = {}
    for width in (33, 32):
        console = Console(file=io.StringIO(), width=width)
        console.print(table)
        shown[width] = [line.strip() for line in console.file.getvalue().splitlines()]
    assert shown[33][-3:-1] == ["product  12,288  [0.683, 0.740]", "[int8]       64               -"]
    lines = ["code: product", "bits: 12,288", "95%: [0.683, 0.740]", "", "code: [int8]", "bits: 64", "95%: -", ""]
    assert shown[32] == ["Codes", "", *lines]


def test_touched_is_shown_only_where_it_differs():
    assert "touched" in printed(short_audit(touched=1612.8), 120)
    assert "touched" not in printed(short_audit(touched=None), 120)


def short_audit(touched):
    audit = fake_audit(("documents",))
    kept = point("sign bits, int8 rescores 100", "sign bits, int8 rescores", "documents", "B", 8064.0, 0.99, touched)
    return dataclasses.replace(audit, points=(kept,), recommendations=())


def test_an_unreachable_floor_and_odd_names_are_printed_as_they_are():
    audit = with_floor(fake_audit(corpus="[bold]cats[/bold] $5 $6"), bits=Bound.at_least(math.inf, "model"))
    text = printed(audit, 80)
    assert "unreachable" in text
    assert "[bold]cats[/bold] $5 $6" in text


def test_a_long_list_shows_the_frontier_and_what_was_chosen():
    audit = fake_audit(("queries",))
    chosen = audit.points[5]
    shown = terminal.useful(audit.points, [chosen])
    assert chosen in shown
    assert len(shown) < len(audit.points)
    for one in shown:
        if one is chosen:
            continue
        rivals = [p for p in audit.points if p.code_class == one.code_class]
        cheaper = [p for p in rivals if p.bits.packed.lower <= one.bits.packed.lower and p is not one]
        assert all(p.value.lower < one.value.lower for p in cheaper)
    assert {p.code_class for p in shown} == {"A", "B", "C"}
    assert len(terminal.useful(audit.points[:12])) == 12


# progress


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


def shown_progress(terminal_, pause):
    clock, console = Clock(), Console(file=io.StringIO(), force_terminal=terminal_, width=80)
    with Progress(console, clock) as progress:
        progress("fitting [x] codes", 0, 4)
        clock.now += pause
        progress("fitting [x] codes", 1, 4)
    return console.file.getvalue()


@pytest.mark.parametrize(("terminal_", "pause", "seen"), [(True, 0.5, False), (True, 1.5, True), (False, 9, False)])
def test_progress_is_shown_when_it_is_worth_it(terminal_, pause, seen):
    text = shown_progress(terminal_, pause)
    assert ("fitting [x] codes" in text and "1/4" in text) == seen
    if not terminal_:
        assert text == ""


def test_progress_is_a_sparse_line_where_there_is_no_terminal():
    assert shown_progress(False, 20) == "fitting [x] codes 1/4, about 60 s left (20 s)\n"


def test_progress_says_what_is_left_of_the_work_at_hand():
    """Only once it can be judged, and from where this piece of work began."""
    clock, console = Clock(), Console(file=io.StringIO(), width=80)
    with Progress(console, clock) as progress:
        progress("reading", 0, 1)
        for passed, done in ((500, 0), (0, 0), (300, 2), (100, 3), (600, 10)):
            clock.now += passed
            progress("fitting", done, 10)
    lines = console.file.getvalue().splitlines()
    assert lines[0] == "fitting 0/10 (500 s)"
    assert lines[1] == "fitting 2/10, about 20 min left (800 s)"
    assert lines[2] == "fitting 3/10, about 16 min left (900 s)"
    assert lines[3] == "fitting 10/10 (1500 s)"


# modalities


def test_modalities_have_their_table_and_pairs_their_sentence():
    audit = fake_audit()
    text = flat(printed(audit, 100))
    assert "image 6.10 5.20 1.02 [0.82, 1.22]" in text
    assert "text 4.77 3.87 0 [0, 0.20]" in text
    assert "image and text tell 7.81 bits together. What they share is withheld: on data like" in text
    known = Bound(0.42, 0.48, "estimate", ("nearest neighbors, calibrated",))
    audit = dataclasses.replace(audit, pairs=(dataclasses.replace(audit.pairs[0], information=known, why=""),))
    assert "They share 0.42 to 0.48 bits" in flat(printed(audit, 100))
    none = dataclasses.replace(audit, modalities=(), pairs=(), measures=None)
    assert "price at the aim" not in flat(printed(none, 100))
    assert "With one modality wrong" in flat(printed(none, 100))
    one = dataclasses.replace(none, fusion=None)
    assert "With one modality wrong" not in flat(printed(one, 100))


@pytest.mark.parametrize("width", [80, 120])
def test_what_modalities_save_and_what_is_left_when_one_is_wrong(width):
    text = flat(printed(fake_audit(), width))
    assert "Without one modality: MRR, 0.714 with all (fused, calibrated tau)" in text
    assert "image 0.409 0.305 [0.280, 0.330] 382 (38.2%) 28 (2.8%)" in text
    assert "Saved by image, most of all: image 17, 1f95f." in text
    assert "Spoiled by image, most of all: 1f411." in text
    assert "Spoiled by text" not in text
    assert "image 0.094 [0.074, 0.114] 0.355 0.699" in text
    assert "text 0.436 [0.416, 0.456] - -" in text
    assert "Not doubted: doubt takes 200 fit queries at least." in text
    assert "Temperature of image: 0.0521; [0.0460, 0.0558], 95%" in text
    assert "Temperature of text: infinite; withheld: the relevant" in text
