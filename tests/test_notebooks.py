"""Every notebook runs from top to bottom. They are kept as text: jupytext's percent format, without outputs."""

import pathlib
import re

import jax
import matplotlib
import matplotlib.pyplot as plt
import pytest

from tests.optimized import long_loops

pytestmark = pytest.mark.float64_only  # users run them as they are: in float32

NOTEBOOKS = sorted((pathlib.Path(__file__).parent.parent / "notebooks").glob("*.py"))


def cells(path):
    """(kind, source) of each cell."""
    parts = re.split(r"^# %%( \[markdown\])?\n", path.read_text(), flags=re.MULTILINE)
    assert parts[0] == ""
    return [("words" if kind else "code", source) for kind, source in zip(parts[1::2], parts[2::2], strict=True)]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_runs(path, capsys):
    matplotlib.use("agg")
    names: dict = {"__name__": "__main__"}
    with jax.enable_x64(False), jax.numpy_rank_promotion("allow"), long_loops():
        for number, (kind, source) in enumerate(cells(path)):
            if kind == "code":
                exec(compile(source, f"{path.name}, cell {number}", "exec"), names)
    plt.close("all")
    assert capsys.readouterr().out


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_is_short_and_says_what_it_does(path):
    found = cells(path)
    assert len(found) <= 16
    assert found[0][0] == "words"
    assert found[0][1].startswith("# # ")
    assert all(line.startswith("#") for kind, source in found if kind == "words" for line in source.strip().split("\n"))


def test_there_are_some_in_order():
    assert [path.stem[:2] for path in NOTEBOOKS] == ["00", "10", "20", "30", "40", "50", "60"]
