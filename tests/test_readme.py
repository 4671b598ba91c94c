"""The README: its figures are those of stored benchmark runs, links lead somewhere, the picture is small."""

import argparse
import builtins
import json
import pathlib
import re
import statistics
import symtable

import pytest

from benchmarks import readme_table, run
from benchmarks.rows import record

pytestmark = pytest.mark.float64_only
ROOT = pathlib.Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
RESULTS = ROOT / "benchmarks" / "results"


def test_the_table_of_peers_is_what_the_stored_results_say():
    block = README.partition(readme_table.BEGIN)[2].partition(readme_table.END)[0]
    assert block.strip() == readme_table.render(RESULTS)


def test_another_result_makes_another_table(tmp_path):
    rows = [{"name": "encode 9 x 4", "peer": "faiss", "unit": "s", "ratio": {"median": 0.5, "least": 0.4, "most": 0.6}}]
    (tmp_path / "encode_speed.json").write_text(json.dumps({"runs": 3, "rows": rows}))
    assert "| faiss | `benchmarks/encode_speed.py`: encode 9 x 4 | 0.5 (0.4 to 0.6) |" in readme_table.render(tmp_path)
    page = tmp_path / "README.md"
    page.write_text(f"a\n{readme_table.BEGIN}\nold\n{readme_table.END}\nb\n")
    readme_table.write(page, tmp_path)
    written = page.read_text()
    assert written.startswith("a\n")
    assert written.endswith("b\n")
    assert "old" not in written


@pytest.mark.parametrize("path", sorted(RESULTS.glob("*.json")), ids=lambda path: path.stem)
def test_stored_results_are_small_complete_and_name_no_path(path):
    text = path.read_text()
    stored = json.loads(text)
    assert len(text) < 100_000
    assert stored["benchmark"] == path.stem
    assert path.stem in run.BENCHMARKS
    assert {"command", "machine", "processors", "threads", "python", "versions", "rows", "runs"} <= stored.keys()
    assert not re.search(r"(?<![\w.])/\w+/", text.replace("//", "")), "an absolute path"


def test_several_rows_are_shown_by_all_of_them(tmp_path):
    ratio = lambda value: {"median": value, "least": 0.1, "most": 99.0}
    rows = [
        {"name": f"{name}", "peer": "ranx", "unit": "ms", "ratio": ratio(x)}
        for name, x in zip("abc", (0.5, 3, 2), strict=True)
    ]
    rows.append({"name": "all metrics", "peer": "ranx", "unit": "ms", "ratio": ratio(50)})
    (tmp_path / "metrics.json").write_text(json.dumps({"runs": 3, "rows": rows}))
    assert "one by one, rankings given (3) | 2 (0.5 to 3) |" in readme_table.render(tmp_path)


@pytest.mark.parametrize("path", sorted(RESULTS.glob("*.json")), ids=lambda path: path.stem)
def test_stored_results_are_of_the_commands_that_run_them(path):
    """A result of other options than those of today says nothing of what `run.py` would find."""
    stored, how = json.loads(path.read_text()), run.BENCHMARKS[path.stem]
    words = [*how.arguments(stored["mode"] == "full"), *([how.peer[0], "PYTHON"] if how.peer else [])]
    assert stored["command"] == " ".join(["python", f"benchmarks/{path.stem}.py", *words])


def test_rows_of_codes_are_counted_as_they_are_stored():
    text = (RESULTS / "codes" / "rows.json").read_text()
    every = [row for row in json.loads(text) if row["kind"] == "fixed"]
    assert len(text) < 400_000
    assert len(every) == len({(r["corpus"], r["side"], r["code_class"], r["budget"]) for r in every})
    for rows in (
        [row for row in every if row["code_class"] == "A"],
        [row for row in every if row["code_class"] != "A" and row["corpus"] != "large"],
    ):
        verdicts = [row["verdict"] for row in rows]
        above, level, below = (verdicts.count(verdict) for verdict in ("above", "not below", "below"))
        assert above + level + below == len(rows)
        assert f"of {len(rows)} rows {above} are above, {level} not below and {below} below" in README
        assert f"the median {statistics.median(row['difference'] for row in rows):+.3f} MRR" in README


def test_every_benchmark_is_in_the_list_and_there():
    helpers = {"run", "rows", "readme_table", "picture", "information", "information_bmi", "code_speed"}
    helpers |= {"sweep_work", "temperature_optimum"}  # parts of sweep and temperatures
    files = {path.stem for path in (ROOT / "benchmarks").glob("*.py")}
    parts = {name for name in files if name.startswith("code_")}
    assert set(run.BENCHMARKS) <= files
    assert files - helpers - parts <= set(run.BENCHMARKS)


def test_rows_are_medians_of_runs(tmp_path, monkeypatch):
    record("nothing is written without the variable", 1)
    monkeypatch.setenv("RDJAX_ROWS", str(tmp_path / "rows"))
    for ours, theirs in ((1.0, 4.0), (2.0, 2.0), (4.0, 12.0)):
        record("a row", ours, theirs, "peer")
    runs = [[json.loads(line)] for line in (tmp_path / "rows").read_text().splitlines()]
    (row,) = run.summary(runs)
    assert row["ours"] == {"median": 2, "least": 1, "most": 4}
    assert row["ratio"] == {"median": 3, "least": 1, "most": 4}


def test_links_and_the_picture():
    headings = [line.lstrip("# ").lower() for line in README.splitlines() if line.startswith("#")]
    anchors = {re.sub(r"[^\w -]", "", heading).replace(" ", "-") for heading in headings}
    for target in re.findall(r"\]\(#([\w-]+)\)", README):
        assert target in anchors, target
    (picture,) = re.findall(r'<img src="([^"]+)"', README)
    assert 10_000 < (ROOT / picture).stat().st_size < 110_000


def test_every_python_block_stands_on_its_own():
    """What a block reads it has imported or made: names are looked up by the compiler, nothing is run."""
    blocks = [block.split("```")[0] for block in README.split("```python\n")[1:]]
    assert len(blocks) >= 10
    for block in blocks:
        table = symtable.symtable(block, "README.md", "exec")
        free = {one.get_name() for one in table.get_symbols() if one.is_referenced() and not one.is_assigned()}
        free -= {one.get_name() for one in table.get_symbols() if one.is_imported() or one.is_namespace()}
        assert free <= set(dir(builtins)), f"{sorted(free - set(dir(builtins)))} in: {block[:80]}"


def test_a_benchmark_is_run_as_often_as_asked_and_kept(tmp_path, monkeypatch):
    (tmp_path / "rows.py").write_text((ROOT / "benchmarks" / "rows.py").read_text())
    script = "import sys\nfrom rows import record\nrecord(sys.argv[1], 2, 5, 'peer', 's')\n"
    (tmp_path / "toy.py").write_text(script)
    (tmp_path / "broken.py").write_text("raise SystemExit(3)\n")
    monkeypatch.setattr(run, "HERE", tmp_path)
    monkeypatch.setattr(run, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(run, "BENCHMARKS", {"toy": run.Benchmark(("a row",)), "broken": run.Benchmark(())})
    given = argparse.Namespace(full=False, repeats=2, environments=tmp_path)
    run.run("toy", given)
    kept = json.loads((tmp_path / "results" / "toy.json").read_text())
    assert kept["command"] == "python benchmarks/toy.py a row"
    assert kept["runs"] == 2
    (row,) = kept["rows"]
    assert (row["name"], row["peer"], row["unit"]) == ("a row", "peer", "s")
    assert row["ratio"] == {"median": 2.5, "least": 2.5, "most": 2.5}
    with pytest.raises(RuntimeError, match="broken ended with code 3"):
        run.run("broken", given)
    assert not (tmp_path / "results" / "broken.json").exists()
