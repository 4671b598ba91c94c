"""The command line: arguments in, report out; a mistake is one sentence and exit code 2."""

import json
import os
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import rdjax
from rdjax.checks import InputError
from rdjax.cli import app
from rdjax.report import figure, heatmap, to_json
from rdjax.report.document import FILES
from tests.fake_audit import fake_audit

pytestmark = pytest.mark.float64_only

GOOD = {"documents.text": np.eye(4), "queries.text": np.eye(4)[:3], "relevant": np.arange(3)}


def run(*arguments):
    return CliRunner().invoke(app, list(arguments))


@pytest.fixture
def place(tmp_path, monkeypatch):
    """An empty working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def asked(place, monkeypatch):
    """The audit replaced by a made-up one; what it was asked."""
    calls = []

    def audit(corpus, **options):
        calls.append({"corpus": corpus, **options})
        options["progress"]("measuring", 0, 1)
        return fake_audit(seed=options["seed"])

    monkeypatch.setattr("rdjax.audit.audit", audit)
    return calls


@pytest.fixture
def sketched(monkeypatch):
    """Figures that take no time to draw."""
    sketch = '<svg xmlns="http://www.w3.org/2000/svg"/>'
    drawn = [name for name in FILES if name.endswith((".svg", ".png"))]
    monkeypatch.setattr(figure, "draw", lambda audit, folder: [Path(folder, n).write_text(sketch) for n in drawn])
    monkeypatch.setattr(heatmap, "draw_modalities", lambda audit, folder: None)


def test_a_warning_is_a_sentence(place, asked, sketched, monkeypatch):
    def audit(corpus, **options):
        warnings.simplefilter("always")
        warnings.warn("this audit may take 9 GB", stacklevel=1)
        return fake_audit(seed=options["seed"])

    monkeypatch.setattr("rdjax.audit.audit", audit)
    done = run("audit")
    assert done.exit_code == 0
    assert "Warning: this audit may take 9 GB.\n" in done.stderr
    assert ".py" not in done.stderr


# audit


def test_audit_prints_the_answer_and_writes_the_report(asked, place):
    result = run("audit", "--task", "T3", "--seed", "5")
    assert result.exit_code == 0
    assert "rdjax audit: emoji T1" in result.stdout
    assert "rdjax-report/report.json" in result.stdout
    assert "rdjax encode --task T3 --side documents --family" in result.stdout
    assert result.stderr == ""
    assert {p.name for p in (place / "rdjax-report").iterdir()} == set(FILES)
    (call,) = asked
    assert call["corpus"].name == "emoji T3"
    assert (call["corpus"].num_queries, call["fit"].num_queries) == (1000, 228)
    assert {k: call[k] for k in ("metric", "target", "side", "prior", "seed")} == {
        "metric": "mrr",
        "target": 0.95,
        "side": None,
        "prior": "queries",
        "seed": 5,
    }


def test_audit_hands_on_every_option(asked, sketched, place):
    np.savez("mine.npz", **GOOD)
    np.savez("other.npz", **GOOD)
    (place / "law.txt").write_text("0.4\n0.3\n0.2\n0.1\n")
    flags = "--fit other.npz --target 0.9 --metric recall@2 --side queries --prior law.txt --seed 3 --out a/b --json"
    result = run("audit", "mine.npz", "--memory", "8GB", *flags.split())
    assert result.exit_code == 0
    (call,) = asked
    assert (call["corpus"].name, call["fit"].name) == ("mine", "other")
    assert (call["metric"], call["target"], call["side"], call["seed"]) == ("recall@2", 0.9, "queries", 3)
    assert call["memory"] == 8e9
    np.testing.assert_array_equal(call["prior"], [0.4, 0.3, 0.2, 0.1])
    assert json.loads(result.stdout) == json.loads((place / "a/b/report.json").read_text())
    found = json.loads(result.stdout)
    commands = found.pop("commands")
    assert {**found, "commands": []} == json.loads(json.dumps(to_json(fake_audit(seed=3))))
    chosen = [choice["purpose"] for choice in found["recommendations"] if choice["point"]]
    assert [step["purpose"] for step in commands] == chosen
    assert commands[0]["command"].startswith("rdjax encode mine.npz --fit other.npz --side documents")


def test_without_fit_the_audit_splits_the_queries(asked, sketched, place):
    np.savez("mine.npz", **GOOD)
    assert run("audit", "mine.npz", "--prior", "uniform").exit_code == 0
    assert asked[0]["fit"] is None
    assert asked[0]["prior"] == "uniform"


@pytest.mark.parametrize("flags", ["", "--json"])
def test_a_report_that_cannot_be_written_does_not_cost_the_answer(place, asked, sketched, monkeypatch, flags):
    def full(audit, folder):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(figure, "draw", full)
    result = run("audit", "--task", "T3", *flags.split())
    assert result.exit_code == 2
    assert result.stderr == "rdjax-report cannot be written: No space left on device.\n"
    assert "rdjax encode --task T3 --side documents --family" in result.stdout
    assert "The whole report" not in result.stdout
    if flags:
        commands = json.loads(result.stdout).pop("commands")
        assert {**json.loads(result.stdout), "commands": []} == json.loads(json.dumps(to_json(fake_audit())))
        assert commands
    else:
        assert "rdjax audit: emoji T1" in result.stdout
    assert list(place.iterdir()) == []


@pytest.mark.parametrize("out", ["report", os.fsdecode(b"r\xe9port")])
def test_names_that_are_no_text(asked, sketched, place, out):
    corpus = os.fsdecode(b"caf\xe9.npz")
    np.savez(corpus, **GOOD)
    result = run("audit", corpus, "--out", out)
    assert result.exit_code == 0, result.exception
    assert "rdjax encode 'caf\\udce9.npz' --side" in result.stdout
    assert f"The whole report: {out}/report.json".encode(errors="backslashreplace") in result.stdout_bytes
    assert "caf\\udce9.npz" in (place / out / "report.html").read_text(encoding="utf-8")


MISTAKES = {
    "audit --task T9": "there is no emoji task 'T9'; choose one of T1, T2, T3, T4.",
    "audit nowhere.npz": "nowhere.npz does not exist.",
    "audit good.npz --fit nowhere.npz": "nowhere.npz does not exist.",
    "audit good.npz --task T1": "--task chooses among the emoji tasks",
    "audit --fit good.npz": "--fit goes with a PATH of your own",
    "audit bad.npz": "bad.npz: documents.text has a NaN or infinity in row 2",
    "audit objects.npz": "holds Python objects",
    "audit one.npz bad.npz": "reads one file or folder, and bad.npz is given beside one.npz; put them into a folder as",
    "audit one.npz": "holds one document",
    "audit good.npz --side both": "the side is 'both'; it must be queries or documents.",
    "audit good.npz --memory lots": "the memory is 'lots'; write a size such as 500MB or 8GB.",
    "audit good.npz --memory 1GB": "takes 1.02 GB at least and the budget is 1 GB; give more memory, or audit a sample",
    "audit good.npz --family int9": "the family is 'int9' (did you mean 'int8'?); it must be one of: rank code; PCA",
    "audit good.npz --family fame": "the family is 'fame'; it must be one of: rank code; PCA truncation",
    "audit good.npz --target 0": "the target is 0.0",
    "audit good.npz --target nan": "the target is nan",
    "audit good.npz --seed -1": "the seed is -1; it must be a whole number, at least 0.",
    "audit good.npz --metric fame": "metric 'fame' is not known",
    "audit good.npz --prior unifrom": "the prior is 'unifrom', and there is no such file; give queries, uniform,",
    "audit good.npz --prior law.txt": "law.txt sums to 0.9, not 1; normalize it.",
    "audit good.npz --out good.npz": "good.npz is not a folder",
    "audit good.npz --out good.npz/below": "good.npz/below cannot be written: Not a directory.",
    "audit good.npz --out taken": "taken/report.json is a folder",
    "audit good.npz --out other": "other holds the audit of laws, and this one is of good; name another folder",
    "rate --documents many --value 0.5": "--documents is 'many'; give a whole number from 2 to 1e15, e.g. 1e9.",
    "rate --documents 1 --value 0.5": "--documents is '1'",
    "rate --documents 2.5 --value 0.5": "--documents is '2.5'",
    "rate --documents 1e16 --value 0.5": "--documents is '1e16'",
    "rate --documents nan --value 0.5": "--documents is 'nan'",
    "rate --documents 10 --value 1.1": "the value is 1.1; mrr of one relevant document a query is from 0 to 1.",
    "rate --documents 10 --value nan": "the value is nan",
    "rate --documents 10 --value 0.8 --dimensions .": ". cannot be read: Is a directory.",
    "rate --documents 10 --value 0.2000001 --metric rbp@0.8": "is from 0 to 0.2.",
    "rate --documents 10 --value -0.1": "the value is -0.1",
    "rate --documents 10 --value 0.2 --metric precision@10": "is from 0 to 0.1.",
    "rate --documents 10 --value 0.5 --metric mrr@10": "metric 'mrr@10' is not known",
    "rate --documents 10 --value 0.5 --prior law.txt": "law.txt has shape (4,); it must hold one probability for each",
    f"rate --documents 10 --value 0.5 --dimensions {'1' * 5000}": "has 5,000 digits; give how many of the 10",
    "rate --documents 10 --value 0.5 --dimensions 2.5": "--dimensions is 2.5; give how many of the 10 documents",
    "rate --documents 10 --value 0.5 --dimensions -3": "--dimensions is -3; give how many",
    "rate --documents 10 --value 0.5 --blind-correlation 1.5:3": "--blind-correlation is '1.5:3'",
    "rate --documents 10 --value 0.5 --blind-correlation nan": "--blind-correlation is 'nan'",
    "rate --documents 10 --value 0.5 --blind-correlation 0.5:0": "--blind-correlation is '0.5:0'",
    "rate --documents 10 --value 0.5 --blind-correlation 0.5:9999999": "--blind-correlation is '0.5:9999999'",
}


@pytest.mark.parametrize("line", MISTAKES)
def test_a_mistake_is_one_sentence_and_leaves_nothing(place, line):
    np.savez("good.npz", **GOOD)
    np.savez("bad.npz", **{**GOOD, "documents.text": np.where(np.arange(4) == 2, np.nan, 1.0)[:, None] * np.eye(4)})
    np.savez("objects.npz", **{**GOOD, "relevant": np.array([{}, {}, {}], dtype=object)})
    np.savez("one.npz", **{**GOOD, "documents.text": np.eye(4)[:1], "relevant": np.zeros(3, int)})
    (place / "law.txt").write_text("0.4\n0.3\n0.1\n0.1\n")
    (place / "taken" / "report.json").mkdir(parents=True)
    (place / "other").mkdir()
    report = {"schema": "rdjax.audit/1", "setting": {"corpus": "laws"}}
    (place / "other" / "report.json").write_text(json.dumps(report))
    before = sorted(place.rglob("*"))
    result = run(*line.split())
    assert result.exit_code == 2
    assert result.stdout == ""
    assert MISTAKES[line] in result.stderr
    assert result.stderr.count("\n") == 1
    assert result.stderr.endswith(".\n")
    assert sorted(place.rglob("*")) == before


OPTIONS = ["metric fame", "target 0", "side both", "seed -1", "family int9", "prior unifrom"]


@pytest.mark.parametrize("option", OPTIONS)
def test_a_wrong_option_is_told_before_anything_is_read(place, monkeypatch, option):
    monkeypatch.setattr("rdjax.cli.auditing.corpora", None)
    result = run("audit", "good.npz", *f"--{option}".split())
    assert (result.exit_code, result.stdout) == (2, ""), result.exception
    assert any(MISTAKES[line] in result.stderr for line in MISTAKES if line.endswith(option))


@pytest.mark.parametrize("line", ["audit good.npz", "audit other.npz --fit good.npz", "audit folder"])
def test_what_is_inflated_stays_within_the_budget(place, monkeypatch, line):
    """Numbers of 5 kB and a budget of 4: refused before any is read."""
    monkeypatch.setattr("rdjax.data.reading._member", None)
    monkeypatch.setattr("rdjax.data.tables.Table._batches", None)
    np.savez("good.npz", **{**GOOD, "documents.text": np.ones((4, 128)), "queries.text": np.ones((3, 128))})
    if line == "audit folder":
        parquet = pytest.importorskip("pyarrow.parquet")
        (place / "folder").mkdir()
        parquet.write_table(pytest.importorskip("pyarrow").table({"id": range(100)}), "folder/documents.parquet")
    result = run(*line.split(), "--memory", "4kB")
    assert (result.exit_code, result.stdout) == (2, ""), result.exception
    assert " kB" not in result.stderr
    assert "e-06 GB of 4e-06 GB of memory; save a folder of .npy files" in result.stderr


@pytest.mark.parametrize("line", ["rate --value 0.5", "audit --target much", "doctor a", "guess", "audit --colour"])
def test_a_wrong_option_also_exits_with_2(place, line):
    result = run(*line.split())
    assert result.exit_code == 2
    assert isinstance(result.exception, SystemExit)
    assert "Error" in result.stderr
    assert list(place.iterdir()) == []


@pytest.mark.parametrize(
    ("error", "code"),
    [(InputError("Say why."), 2), (KeyboardInterrupt(), 130), (ValueError("bug"), 1), (KeyError("bug"), 1)],
)
def test_only_mistakes_and_interruptions_lose_their_traceback(place, monkeypatch, error, code):
    def audit(corpus, **options):
        raise error

    monkeypatch.setattr("rdjax.audit.audit", audit)
    result = run("audit")
    assert result.exit_code == code
    assert (result.exception is error) == (code == 1)
    assert result.stderr == ("Say why.\n" if code == 2 else "")
    assert list(place.iterdir()) == []


# rate

PAPER = f"{(4 / 9) ** 0.5}:32"  # the paper's mixture, both modalities: theory notes, section 1.6


def limit(*arguments):
    result = run("rate", *arguments, "--json")
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


@pytest.mark.parametrize(
    ("value", "bits", "codewords"),
    [(0.1, 0.4735, 23), (0.46, 3.5256, 203), (0.59, 4.8465, 314), (0.79, 7.0916, 580), (1.0, 9.9658, 1000)],
)
def test_rate_gives_the_limits_of_a_thousand_documents(value, bits, codewords):
    found = limit("--documents", "1000", "--value", str(value))
    stream, fixed, blind = found["floors"]
    assert stream["bits"]["lower"] == pytest.approx(bits, abs=6e-5)
    assert blind["bits"]["lower"] == stream["bits"]["lower"]
    assert found["codewords"] == codewords
    assert fixed["bits"]["lower"] == pytest.approx(np.log2(codewords), abs=1e-9)
    assert [floor["bits"]["evidence"] for floor in found["floors"]] == ["theorem"] * 3
    assert all(floor["bits"]["upper"] is None and floor["bits"]["assumes"] for floor in found["floors"])


@pytest.mark.parametrize(("value", "bits"), [(0.428, 8), (0.678, 16), (0.963, 32)])
def test_rate_under_a_gaussian_model(value, bits):
    floor = limit("--documents", "1e3", "--value", str(value), "--blind-correlation", PAPER)["floors"][-1]
    assert floor["bits"]["lower"] == pytest.approx(bits, rel=0.01)
    assert floor["bits"]["evidence"] == "model"


@pytest.mark.parametrize(("metric", "best"), [("rbp@0.8", "0.2"), ("rbp@0.9", "0.1")])
def test_rate_takes_the_best_value_as_it_is_written(metric, best):
    """1 - .8 is a little below .2 in binary. The relevant document first each time: log2 10 bits."""
    found = limit("--documents", "10", "--metric", metric, "--value", best)["floors"][0]["bits"]
    assert found["lower"] == pytest.approx(np.log2(10), abs=1e-6)


def test_correlations_may_be_listed():
    listed = limit("--documents", "50", "--value", "0.5", "--blind-correlation", "0.9,0.9,-0.5:2,0.1")
    assert listed == limit("--documents", "50", "--value", "0.5", "--blind-correlation", "0.9:2,0.5:2,0.1:1")


def test_rate_says_when_no_number_of_bits_suffices():
    arguments = ["--documents", "1e9", "--value", "0.9", "--blind-correlation", "0.1:3"]
    bits = limit(*arguments)["floors"][-1]["bits"]
    assert bits["lower"] is None
    assert bits["unreachable"] is True
    text = run("rate", *arguments).stdout
    assert "no number of bits suffices" in " ".join(text.replace("│", " ").split())
    assert "inf" not in text


def test_rate_takes_a_prior(place):
    (place / "law.txt").write_text("0.05\n0.6\n0.15\n0.2\n")
    stream, fixed, blind = limit("--documents", "4", "--value", str(1 - 0.17861), "--prior", "law.txt")["floors"]
    assert stream["bits"]["lower"] == pytest.approx(0.216175, abs=2e-5)  # theory notes, section 1.2
    assert "Theorem B" in stream["name"]
    assert fixed["bits"]["lower"] == 1.0  # two codewords: .6 + .2 at rank 1, the rest at rank 2, are .9
    assert blind["bits"]["lower"] == stream["bits"]["lower"]  # nothing is assumed of the query
    assert "the given prior" in blind["bits"]["assumes"]
    asked = ["--documents", "4", "--value", "0.9", "--prior", "law.txt", "--blind-correlation", "0.9:2"]
    *_, blind, model = limit(*asked)["floors"]
    assert model["bits"]["lower"] > blind["bits"]["lower"] > 0
    assert set(blind["bits"]["assumes"]) < set(model["bits"]["assumes"])
    assert "no floor is proved" not in run("rate", *asked).stdout


def test_rate_tells_how_many_dimensions(place):
    found = limit("--documents", "6", "--value", "0.8", "--dimensions", "2")["dimensions"]
    assert found["bound"]["lower"] == found["bound"]["upper"] == 4
    assert limit("--documents", "6", "--value", "0.8", "--dimensions", "2e0")["dimensions"] == found
    vast = limit("--documents", "1e9", "--value", "0.8", "--dimensions", "1000")["dimensions"]
    assert (vast["queries"], vast["bound"]["lower"]) == (None, 2000)  # of 6,432 digits, which Python refuses to print
    (place / "wanted.txt").write_text("0 1\n2, 3\n4\n")
    text = run("rate", "--documents", "5", "--value", "0.8", "--dimensions", "wanted.txt").stdout
    assert "the documents that each of 3 queries wants" in text
    assert "found by gradient descent" in text
    (place / "wanted.txt").write_text("0 1\n2 9\n")
    result = run("rate", "--documents", "5", "--value", "0.8", "--dimensions", "wanted.txt")
    assert result.exit_code == 2
    assert result.stderr == "wanted.txt line 2 is '2 9'; write document numbers from 0 to 4.\n"


def test_rate_is_worded_as_it_is_proved():
    text = " ".join(run("rate", "--documents", "1e9", "--value", "0.8").stdout.replace("│", " ").split())
    assert (
        "No uniquely decodable code averages fewer than 23.1959 bits over a stream, "
        "no fixed-length one has fewer than 29.1604 bits (600,000,000 codewords)." in text
    )
    assert "MRR 0.8 over 1,000,000,000 documents" in text


# the rest


def test_doctor_says_what_a_bug_report_needs():
    result = run("doctor")
    assert result.exit_code == 0
    for word in (
        "python",
        "jaxlib",
        "numpy",
        "scipy",
        "flax",
        "optax",
        "chex",
        "devices",
        "precision",
        "x64",
        "threads",
    ):
        assert word in result.stdout
    assert "needs 4.85 bits: right" in result.stdout


def test_doctor_fails_where_a_known_limit_comes_out_wrong(monkeypatch):
    monkeypatch.setattr("rdjax.limits.ranking_rate", lambda *arguments: 4.0)
    result = run("doctor")
    assert result.exit_code == 1
    assert "wrong" in result.stdout


@pytest.mark.parametrize("command", ["audit", "rate", "doctor"])
def test_help_has_an_example(command):
    result = run(command, "--help")
    assert result.exit_code == 0
    assert f"Example: rdjax {command}" in result.stdout


def test_version():
    assert run("--version").stdout == f"rdjax {rdjax.__version__}\n"


def test_help_waits_for_nothing():
    code = (
        "import sys; from rdjax.cli import app; app(['--help'], standalone_mode=False); "
        "sys.exit(bool({'numpy', 'jax', 'matplotlib', 'rich.table', 'scipy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "audit" in done.stdout


def test_the_module_runs_and_the_figure_leaves_pyplot_alone(place):
    done = subprocess.run(
        [sys.executable, "-m", "rdjax", "audit", "no.npz"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (2, "", "no.npz does not exist.\n")
    code = "import sys, rdjax.report.figure; sys.exit('matplotlib.pyplot' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no /dev/full")
def test_a_full_disk_behind_stdout_is_one_sentence():
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "rdjax", "rate", "--documents", "10", "--value", ".5"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
        )
    assert done.returncode == 2
    assert done.stderr.startswith("the output cannot be written: No space left on device")
    assert done.stderr.count("\n") == 1
