"""A report appears whole or not at all, and equal audits give equal files."""

import dataclasses
import itertools
import json
import os
import xml.etree.ElementTree
from pathlib import Path

import matplotlib
import matplotlib.image
import pytest

from rdjax.checks import InputError
from rdjax.report import check_writable, document, figure, heatmap, page, to_json, write_report
from tests.fake_audit import fake_audit

pytestmark = pytest.mark.float64_only

FILES = {"report.json", "report.html", "frontier.svg", "frontier.png", "modalities.svg", "modalities.png"}


def contents(folder):
    """Path -> bytes of every file under a folder."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in Path(folder).rglob("*") if p.is_file()}


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A folder in which a report was written, two folders below."""
    folder = tmp_path_factory.mktemp("written")
    write_report(fake_audit(), folder / "new" / "deeper")
    return folder


def test_a_report_is_written_whole(written):
    assert set(contents(written)) == {f"new/deeper/{name}" for name in FILES}
    place = written / "new" / "deeper"
    assert json.loads((place / "report.json").read_text()) == json.loads(json.dumps(to_json(fake_audit())))
    assert matplotlib.image.imread(place / "frontier.png").shape[1] == 1200
    assert xml.etree.ElementTree.parse(place / "frontier.svg").getroot().tag.endswith("svg")


def test_equal_audits_give_equal_files_whatever_the_settings(written, tmp_path):
    with matplotlib.rc_context({"font.size": 30, "svg.hashsalt": "other", "lines.linewidth": 9}):
        before = dict(matplotlib.rcParams)
        write_report(fake_audit(), tmp_path)
        assert dict(matplotlib.rcParams) == before
    assert contents(written / "new" / "deeper") == contents(tmp_path)
    assert to_json(fake_audit(seed=7)) != to_json(fake_audit())


def test_an_old_report_is_replaced_and_other_files_stay(tmp_path):
    """Even a heat map goes where the new audit has none."""
    (tmp_path / "notes.txt").write_text("mine")
    for name in FILES:
        (tmp_path / name).write_text(f'old of rdjax, "schema": "{document.SCHEMA}"')
    write_report(dataclasses.replace(fake_audit(), modalities=(), pairs=()), tmp_path)
    assert set(contents(tmp_path)) == {"report.json", "report.html", "frontier.svg", "frontier.png", "notes.txt"}
    assert (tmp_path / "notes.txt").read_text() == "mine"
    for name in ("report.html", "frontier.svg", "frontier.png"):
        assert not (tmp_path / name).read_bytes().startswith(b"old")
    assert json.loads((tmp_path / "report.json").read_text())["schema"] == document.SCHEMA


@pytest.mark.parametrize("where", ["new/deeper", "."])
@pytest.mark.parametrize(("error", "raised"), [(OSError(28, "No space left"), InputError), (KeyboardInterrupt(), None)])
def test_nothing_is_left_when_writing_stops_midway(tmp_path, monkeypatch, where, error, raised):
    def half(audit, directory):
        Path(directory, "frontier.png").write_bytes(b"half")
        raise error

    monkeypatch.setattr(figure, "draw", half)
    with pytest.raises(raised or type(error)) as caught:
        write_report(fake_audit(), tmp_path / where)
    assert list(tmp_path.iterdir()) == []
    if raised:
        assert str(caught.value) == f"{tmp_path / where} cannot be written: No space left."


@pytest.fixture
def sketched(monkeypatch):
    """Figures and a page that take no time; a function that is called while they are drawn."""
    meanwhile = []
    drawn = FILES - {"report.json", "report.html"}

    def draw(audit, folder):
        for name in drawn:
            Path(folder, name).write_text("<svg/>")
        for act in meanwhile:
            act()

    monkeypatch.setattr(figure, "draw", draw)
    monkeypatch.setattr(heatmap, "draw_modalities", lambda audit, folder: None)
    return meanwhile


@pytest.mark.parametrize("made", ["new", "new/deeper"])
def test_a_folder_that_another_audit_makes_meanwhile(tmp_path, sketched, made):
    def other():
        (tmp_path / made).mkdir(parents=True)
        for name in ("report.json", "theirs.txt"):
            (tmp_path / made / name).write_text("theirs")

    sketched.append(other)
    write_report(fake_audit(), tmp_path / "new" / "deeper")
    found = contents(tmp_path)
    assert set(found) == {f"new/deeper/{name}" for name in FILES} | {f"{made}/theirs.txt", f"{made}/report.json"}
    assert json.loads(found["new/deeper/report.json"])["schema"] == document.SCHEMA
    assert found[f"{made}/theirs.txt"] == b"theirs"


def test_a_name_that_is_no_text_is_escaped_on_the_page(tmp_path, sketched):
    """As Python has the bytes of another encoding in the name of a file."""
    write_report(fake_audit(), tmp_path, {"see": os.fsdecode(b"rdjax encode caf\xe9")})
    assert "rdjax encode caf\\udce9" in (tmp_path / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("old", [FILES, {"frontier.svg"}])
@pytest.mark.parametrize("stop", range(12))
def test_an_old_report_comes_back_when_replacing_stops(tmp_path, monkeypatch, stop, old):
    for name in old:
        (tmp_path / name).write_text(f'old {name}, "schema": "{document.SCHEMA}"')
    before, calls, replace = contents(tmp_path), itertools.count(), os.replace

    def sometimes(source, target):
        if next(calls) == stop:
            raise KeyboardInterrupt
        replace(source, target)

    drawn = FILES - {"report.json", "report.html"}
    monkeypatch.setattr(figure, "draw", lambda audit, d: [Path(d, n).write_text("<svg/>") for n in drawn])
    monkeypatch.setattr(heatmap, "draw_modalities", lambda audit, d: None)
    monkeypatch.setattr(page, "to_html", lambda audit, told, figures: "<html>")
    monkeypatch.setattr(document.os, "replace", sometimes)
    if stop < len(old) + len(FILES):
        with pytest.raises(KeyboardInterrupt):
            write_report(fake_audit(), tmp_path)
        assert contents(tmp_path) == before
    else:
        write_report(fake_audit(), tmp_path)
        assert set(contents(tmp_path)) == FILES


def test_a_folder_that_cannot_be_written_is_refused_first(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    (tmp_path / "full" / "report.json").mkdir(parents=True)
    (tmp_path / "nowhere").symlink_to(tmp_path / "missing")
    for place, words_ in {
        "file": "is not a folder",
        "file/below": "cannot be written: Not a directory",
        "nowhere": "is not a folder",
        "full": "is a folder; name another",
    }.items():
        with pytest.raises(InputError, match=words_) as caught:
            check_writable(tmp_path / place)
        assert str(caught.value).startswith(str(tmp_path / place))
    check_writable(tmp_path)
    check_writable(tmp_path / "a" / ".." / "b")
    assert {p.name for p in tmp_path.iterdir()} == {"file", "full", "nowhere"}

    def denied(**options):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(document.tempfile, "mkdtemp", denied)
    with pytest.raises(InputError, match="cannot be written: Permission denied"):
        check_writable(tmp_path)


def test_a_stretched_family_looks_like_the_plain_one_of_the_other_side():
    """And like nothing else where both are in one panel, so that they can be told apart."""
    audit = fake_audit()
    renamed = lambda p: dataclasses.replace(p, family=f"{p.family}, stretched")
    apart = dataclasses.replace(audit, points=tuple(renamed(p) if p.side == "documents" else p for p in audit.points))
    looks = figure._looks(apart)
    assert looks["PCA + scalar, stretched"] == looks["PCA + scalar"]
    keys = [key.get_label() for key in figure._code_keys(apart, looks)]
    assert keys == [key.get_label() for key in figure._code_keys(audit, figure._looks(audit))]
    assert any("decoded stretched" in line for line in figure._fine_print(apart))
    assert not any("decoded stretched" in line for line in figure._fine_print(audit))
    both = dataclasses.replace(audit, points=(*audit.points, *map(renamed, audit.points)))
    looks = figure._looks(both)
    assert len(set(looks.values())) == len(looks) == 2 * len({p.family for p in audit.points})
    assert "PCA + scalar, stretched" in [key.get_label() for key in figure._code_keys(both, looks)]


@pytest.mark.parametrize(("name", "text"), [("report.json", '{"my": 1}'), ("report.html", "<p>mine</p>")])
def test_somebody_elses_report_is_kept(name, text, tmp_path):
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=f"{name} is there and is no report of an audit"):
        check_writable(tmp_path)
    (tmp_path / name).unlink()
    write_report(fake_audit(), tmp_path)
    write_report(fake_audit(), tmp_path)  # its own it replaces
