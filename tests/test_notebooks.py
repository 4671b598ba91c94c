"""Every notebook runs from top to bottom, and is committed without outputs."""

import json
import pathlib

import jax
import matplotlib
import pytest

pytestmark = pytest.mark.float64_only  # users run them as they are: in float32

NOTEBOOKS = sorted((pathlib.Path(__file__).parent.parent / "notebooks").glob("*.ipynb"))


def cells(path):
    return [cell for cell in json.loads(path.read_text())["cells"] if cell["cell_type"] == "code"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_runs(path, monkeypatch):
    matplotlib.use("agg")
    names: dict = {"__name__": "__main__"}
    with jax.enable_x64(False), jax.numpy_rank_promotion("allow"):
        for number, cell in enumerate(cells(path)):
            exec(compile("".join(cell["source"]), f"{path.name}, cell {number}", "exec"), names)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_holds_no_outputs(path):
    for cell in cells(path):
        assert cell["outputs"] == []
        assert cell["execution_count"] is None


def test_there_are_some():
    assert NOTEBOOKS
