"""The README: its figures are those of stored benchmark runs, links lead somewhere, the picture is small."""

import argparse
import builtins
import json
import pathlib
import re
import statistics
import symtable
import sys

import pytest

from benchmarks import readme_table, run
from benchmarks.rows import record
from benchmarks.run_sources import sources

pytestmark = pytest.mark.float64_only
ROOT = pathlib.Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
RESULTS = ROOT / "benchmarks" / "results"
STORED = [*sorted(RESULTS.glob("*.json")), *sorted(RESULTS.glob("full/*.json"))]


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


@pytest.mark.parametrize("path", STORED, ids=lambda path: f"{path.parent.name}/{path.stem}")
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


@pytest.mark.parametrize("path", STORED, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_stored_results_are_of_the_commands_that_run_them(path):
    """A result of other options than those of today says nothing of what `run.py` would find."""
    stored, full = json.loads(path.read_text()), path.parent.name == "full"
    assert stored["mode"] == ("full" if full else "quick")  # or the README's table would be of full runs
    assert stored["command"] == run.identity(path.stem, full)["command"]


def test_rows_of_codes_are_counted_as_they_are_stored():
    text = (RESULTS / "codes" / "rows.json").read_text()
    stored = json.loads(text)
    every = [row for row in stored if row["kind"] == "fixed"]
    mean = [row["verdict"] for row in stored if row["kind"] == "mean" and row["corpus"] != "large"]
    above, level, below, over = (mean.count(verdict) for verdict in ("above", "not below", "below", "over"))
    said = f"of mean length, {above} are above, {level} not below and {below} below"
    assert said in README
    assert f"and {over} took more bits than the budget" in README
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
    apart = [row["ours"]["mrr"] - row["any_peer"]["mrr"] for row in rows]
    lower = sum(difference < 0 for difference in apart)
    said = f"beside the best of any encoder {lower} of the {len(rows)} are lower and the median is"
    assert f"{said} {statistics.median(apart):+.3f}" in README
    large = [row for row in every if row["corpus"] == "large"]
    verdicts = [row["verdict"] for row in large]
    counted = f"{verdicts.count('above')} above and {verdicts.count('not below')} not below"
    assert f"Of 100,000 documents the {len(large)} rows are {counted}" in README


def test_no_code_that_searches_could_be_above_at_4_bits():
    """What Theorem C leaves above the peer is less than half an interval there, and at 6 bits more."""
    stored = json.loads((RESULTS / "codes" / "rows.json").read_text())
    room = {4: [], 5: [], 6: []}
    half = {4: [], 5: [], 6: []}
    for row in [row for row in stored if row["code_class"] == "A" and row["budget"] in room]:
        room[row["budget"]].append(row["reference"][1] - row["peer"]["mrr"])
        half[row["budget"]].append((row["interval"][1] - row["interval"][0]) / 2)
    assert max(room[4]) < min(half[4])
    assert min(room[6]) > max(half[6])
    assert (f"{min(room[4]):.3f}"[1:], f"{max(room[4]):.3f}"[1:]) == (".003", ".008")
    assert (f"{min(room[5]):.3f}"[1:], f"{max(room[6]):.3f}"[1:]) == (".009", ".043")
    assert "leaves .003 to .008 above the peer" in README
    assert "of .009 to .043 that it leaves" in README


def test_every_benchmark_is_in_the_list_and_there():
    helpers = {"run", "run_sources", "rows", "readme_table", "picture", "information", "information_bmi", "code_speed"}
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


@pytest.fixture
def toys(tmp_path, monkeypatch):
    """Benchmarks of a folder that stands for this one: one that works, by way of a module, and one that fails."""
    rows = (ROOT / "benchmarks" / "rows.py").read_text()
    script = "import sys\nfrom helper import said\nsaid(sys.argv[1:])\n"
    said = "from rows import record\ndef said(words):\n    record(' '.join(words), 2, 5, 'peer', 's')\n"
    for name, text in {"rows": rows, "toy": script, "helper": said, "broken": "raise SystemExit(3)\n"}.items():
        (tmp_path / f"{name}.py").write_text(text)
    monkeypatch.setattr(run, "HERE", tmp_path)
    monkeypatch.setattr(run, "RESULTS", tmp_path / "results")
    toys = {"broken": run.Benchmark(()), "toy": run.Benchmark(("a row",), ("--out", run._ROWS_OF_CODES))}
    monkeypatch.setattr(run, "BENCHMARKS", toys)
    monkeypatch.setattr(readme_table, "write", lambda page, results: None)
    monkeypatch.setitem(sys.modules, "readme_table", readme_table)
    return tmp_path


def asked(monkeypatch, *words):
    """The exit code of the command."""
    monkeypatch.setattr(sys, "argv", ["run.py", *words, "--repeats", "1"])
    return run.main()


def test_a_benchmark_is_run_as_often_as_asked_and_kept(toys):
    given = argparse.Namespace(full=False, repeats=2, environments=toys)
    run.run("toy", given)
    kept = json.loads((toys / "results" / "toy.json").read_text())
    assert kept["command"] == "python benchmarks/toy.py a row"
    assert kept["runs"] == 2
    (row,) = kept["rows"]
    assert (row["name"], row["peer"], row["unit"]) == ("a row", "peer", "s")
    assert row["ratio"] == {"median": 2.5, "least": 2.5, "most": 2.5}
    with pytest.raises(RuntimeError, match="broken ended with code 3"):
        run.run("broken", given)
    assert not (toys / "results" / "broken.json").exists()


def test_a_failure_is_reported_at_the_end_and_the_others_are_run(toys, monkeypatch, capfd):
    assert asked(monkeypatch) == 1
    assert (toys / "results" / "toy.json").exists()
    assert capfd.readouterr().err.rstrip().endswith("not done: broken")


def test_what_is_stored_of_the_same_sources_is_left_out(toys, monkeypatch, capfd):
    """And nothing else: another module, another mode, or a file of before there were digests."""
    seen = []
    monkeypatch.setattr(run, "once", lambda name, words: seen.append(name) or [])
    line = "toy: left out, it is stored of the same sources"
    for change, expected in (
        (lambda: None, True),
        (lambda: None, False),
        (lambda: (toys / "helper.py").write_text("# another\n"), True),
        (lambda: (toys / "broken.py").write_text("# is nothing to it\n"), False),
        (lambda: monkeypatch.setitem(run.BENCHMARKS, "toy", run.Benchmark(("b",), ("c",))), True),
        (lambda: (toys / "results" / "toy.json").write_text('{"mode": "quick"}'), True),
    ):
        change()
        assert asked(monkeypatch, "--resume", "--only", "toy") == 0
        assert bool(seen) == expected
        assert capfd.readouterr().out.count(line) == (not expected)
        seen.clear()
    assert asked(monkeypatch, "--resume", "--only", "toy", "--full") == 0
    assert asked(monkeypatch, "--only", "toy") == 0
    assert seen == ["toy", "toy"]


def test_what_a_benchmark_imports_or_starts_is_a_source_of_it(tmp_path):
    """Through packages of rdjax, with the packages above; all of a package that imports on first use."""
    texts = {
        "benchmarks/one.py": 'import two\nfrom rdjax.limits import ranking\nSCRIPT = "three.py"\n',
        "benchmarks/two.py": "from rdjax import report\n",
        "benchmarks/three.py": "import one\n",
        "rdjax/__init__.py": "from importlib import import_module\n",
        "rdjax/limits/__init__.py": "from rdjax.host import look\n",
        "rdjax/limits/ranking.py": "",
        "rdjax/host.py": "",
        "rdjax/report/__init__.py": "from importlib import import_module\n",
        "rdjax/report/page.py": "",
    }
    others = {"benchmarks/four.py": "import one\n", "rdjax/limits/dimensions.py": "", "rdjax/audit/__init__.py": ""}
    for name, text in (texts | others).items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    digest = lambda whole=False: sources(tmp_path / "benchmarks" / "one.py", tmp_path, whole)
    found, all_of_it = {digest()}, {digest(True)}
    for count, name in enumerate([*texts, *others], 2):
        (tmp_path / name).write_text((texts | others)[name] + "# changed\n")
        found.add(digest())
        all_of_it.add(digest(True))
        assert len(found) == min(count, len(texts) + 1), name
        assert len(all_of_it) == count - (count > len(texts) + 1), name


def test_full_results_stand_apart_and_name_paths_as_in_a_checkout(toys, monkeypatch):
    """What runs elsewhere is given the whole path; the README's table does not see it."""
    assert asked(monkeypatch, "--only", "toy", "--full") == 0
    kept = json.loads((toys / "results" / "full" / "toy.json").read_text())
    assert kept["mode"] == "full"
    assert kept["command"] == "python benchmarks/toy.py --out benchmarks/results/codes/rows.json"
    assert kept["rows"][0]["name"] == f"--out {RESULTS / 'codes' / 'rows.json'}"
    assert not list((toys / "results").glob("*.json"))


def test_the_codes_go_on_from_the_rows_that_are_there():
    option, place = run.BENCHMARKS["codes"].full
    assert option == "--out"
    assert ROOT / place == RESULTS / "codes" / "rows.json"
