"""encode, decode and export: files in, files out; a mistake is one sentence and leaves nothing."""

import json
import os
import shlex
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from safetensors.numpy import save_file
from typer.testing import CliRunner

from rdjax.audit.budgets import budget_of, command_for, fit_family
from rdjax.audit.families import FAMILIES, trials
from rdjax.audit.training import Training
from rdjax.checks import InputError
from rdjax.cli import app
from rdjax.cli.coding import _tell
from rdjax.codes import LearnedCode
from rdjax.codes.saved import load_code
from rdjax.data.writing import staged

pytestmark = pytest.mark.float64_only
N, WIDTHS = 500, {"image": 5, "text": 3}
SET = ["a.bin", "b.bin", "c.bin"]


def run(line):
    words = line.split("'")  # quotes hold the names of families
    arguments = [part for i, word in enumerate(words) for part in ([word] if i % 2 else word.split())]
    return CliRunner().invoke(app, arguments)


def ran(line):
    result = run(f"{line} --json")
    assert result.exit_code == 0, result.stderr + str(result.exception)
    assert result.stderr == ""
    return json.loads(result.stdout)


def made_corpus(seed=0, queries=450):
    rng = np.random.default_rng(seed)
    relevant = rng.integers(0, N, queries)
    found = {"relevant": relevant}
    for name, width in WIDTHS.items():
        documents = rng.standard_normal((N, width)).astype(np.float32)
        noise = rng.standard_normal((queries, width)).astype(np.float32)
        found[f"documents.{name}"] = documents
        found[f"queries.{name}"] = documents[relevant] + (0.3 if name == "image" else 0.8) * noise
    return found


@pytest.fixture(scope="module", autouse=True)
def inverse_temperatures():
    """1.5 for images and .5 for texts, in place of the calibration, which has tests of its own and takes long."""
    with pytest.MonkeyPatch.context() as patch:
        found = SimpleNamespace(temperatures=1 / np.array([1.5, 0.5]), message="Converged", status=0)
        patch.setattr("rdjax.audit.view.calibrate_temperatures", lambda scores, relevant: found)
        yield


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A working directory with a corpus, arrays, and what is wrong with some."""
    monkeypatch.chdir(tmp_path)
    corpus = made_corpus()
    np.savez("corpus.npz", **corpus)
    save_file(corpus, "corpus.safetensors")
    np.savez("other.npz", **{k: v for k, v in corpus.items() if "text" not in k})
    flat = np.concatenate([corpus["documents.image"], corpus["documents.text"]], axis=1)
    np.save("flat.npy", flat)
    save_file({"embedding": flat, "norms": np.ones(N)}, "flat.safetensors")
    np.save("narrow.npy", flat[:, :7])
    np.save("nan.npy", np.where(np.arange(N)[:, None] == 321, np.nan, flat))
    np.save("cube.npy", flat[None])
    save_file({"a": flat, "b": flat}, "two.safetensors")
    save_file({"a": np.ones(3)}, "none.safetensors")
    (tmp_path / "cut.safetensors").write_bytes((tmp_path / "flat.safetensors").read_bytes()[:-1])
    (tmp_path / "junk.safetensors").write_bytes(b"\x80\x04K\x01." * 9)
    (tmp_path / "taken" / "code.safetensors").mkdir(parents=True)
    return tmp_path


def flat_documents():
    return np.load("flat.npy")


def test_a_corpus_goes_out_and_comes_back(place):
    done = ran("encode corpus.npz --family 'PCA + scalar' --bits 24 --out codes")
    assert set(os.listdir("codes")) == {"code.safetensors", "documents.rdx"}
    assert done["files"] == {f"codes/{name}": os.path.getsize(f"codes/{name}") for name in os.listdir("codes")}
    assert done["bits"] == 8 * os.path.getsize("codes/documents.rdx") / N
    assert done["bits"] == pytest.approx(24, abs=8 * 30 / N)
    assert done["class"].startswith("B, fitted on the 500 searched documents and 225 fit queries")
    code, notes = load_code((place / "codes/code.safetensors").read_bytes(), "x")
    assert json.loads(notes["modalities"]) == WIDTHS
    assert (notes["side"], notes["family"], notes["class"]) == ("documents", "PCA + scalar", "B")
    back = ran("decode codes/documents.rdx --code codes/code.safetensors --out back.npy")
    assert back["file"] == {"back.npy": os.path.getsize("back.npy")}
    assert (back["vectors"], back["dimensions"]) == (N, 8)
    assert done["items"] == N
    assert done["encoder"] == code.encoder_bytes
    vectors = np.load("back.npy")
    np.testing.assert_array_equal(vectors, code.decode(code.encode(flat_documents())))
    # The same by the saved code, from each kind of file.
    for source in ("corpus.npz", "corpus.safetensors", "flat.npy", "flat.safetensors"):
        ran(f"encode {source} --code codes/code.safetensors --out again.rdx")
        assert (place / "again.rdx").read_bytes() == (place / "codes/documents.rdx").read_bytes()


def test_what_an_audit_promises_on_disk_is_what_encode_writes(place):
    """Codes and the file of the code, header and notes included, to the byte."""
    run("audit corpus.npz --side documents --family 'PCA + scalar, stretched' --target .9 --out report")
    found = json.loads((place / "report" / "report.json").read_text())
    (stored,) = [each["point"] for each in found["recommendations"]]
    (command,) = [each["command"] for each in found["commands"]]
    done = ran(command.removeprefix("rdjax "))
    written = done["files"]
    assert done["encoder"] == stored["encoder_bytes"]
    assert sum(written.values()) == stored["stored_bytes"] + stored["bits"]["packed"]["lower"] * N / 8
    assert f"{sum(written.values()) / 1000:.3g} kB for {N} documents" in "\n".join(found["answer"])


def test_scores_of_what_is_decoded_are_calibrated(place):
    """With all of a vector kept, <decoded, raw query> is sum_m <query_m, document_m> / temperature_m."""
    ran("encode corpus.npz --family 'PCA truncation' --bits 128 --out codes")
    ran("decode codes/documents.rdx --code codes/code.safetensors --out back.npy")
    corpus = made_corpus()
    expected = sum(
        beta * corpus[f"queries.{name}"] @ corpus[f"documents.{name}"].T
        for name, beta in {"image": 1.5, "text": 0.5}.items()
    )
    queries = np.concatenate([corpus["queries.image"], corpus["queries.text"]], axis=1)
    np.testing.assert_allclose(queries @ np.load("back.npy").T, expected, atol=0.002 * np.abs(expected).max())


def test_a_saved_code_encodes_a_corpus_that_nothing_can_be_fitted_on(place, monkeypatch):
    """One query, nothing else to fit on, no calibration, no search for what is relevant."""
    ran("encode corpus.npz --side queries --family int8 --class B --out codes")
    kept = {name: array for name, array in made_corpus().items() if name != "relevant"}
    np.savez("one.npz", **{name: array[:1] if name.startswith("q") else array for name, array in kept.items()})
    monkeypatch.setattr("rdjax.audit.view.top_document", None)
    done = ran("encode one.npz --side queries --code codes/code.safetensors")
    assert done["items"] == 1
    ran("decode queries.rdx --code codes/code.safetensors --out one.npy")
    ran("decode codes/queries.rdx --code codes/code.safetensors --out all.npy")
    np.testing.assert_array_equal(np.load("one.npy"), np.load("all.npy")[:1])


@pytest.mark.parametrize("line", ["--family fame", "--family 'PCA + scalar'", "", "--family int8 --out flat.npy"])
def test_what_is_wrong_with_the_request_is_said_before_anything_is_read(place, monkeypatch, line):
    monkeypatch.setattr("rdjax.cli.jobs.encoding", None)
    result = run(f"encode corpus.npz {line}")
    assert result.exit_code == 2, result.exception


def test_an_array_alone(place):
    done = ran("encode flat.npy --family int8 --out codes")
    assert set(os.listdir("codes")) == {"code.safetensors", "flat.rdx"}
    assert done["class"] == "B, fitted on the vectors of flat"
    ran("decode codes/flat.rdx --code codes/code.safetensors --out back.npy")
    np.testing.assert_allclose(np.load("back.npy"), flat_documents(), atol=np.abs(flat_documents()).max() / 127)
    done = ran("encode flat.safetensors --fit flat.npy --family 'sign bits' --bits 8 --side queries --out more")
    assert done["class"] == "C, fitted on the vectors of flat"


def test_without_a_place_named_a_saved_code_writes_a_stream_of_the_name_of_what_it_encodes(place):
    ran("encode flat.npy --family int8")
    assert set(os.listdir("rdjax-codes")) == {"code.safetensors", "flat.rdx"}
    assert list(ran("encode flat.npy --code rdjax-codes/code.safetensors")["files"]) == ["flat.rdx"]
    assert (place / "flat.rdx").read_bytes() == (place / "rdjax-codes/flat.rdx").read_bytes()


def test_queries_by_a_code_that_searches(place):
    done = ran("encode corpus.npz --side queries --family 'rank code' --out codes")
    assert done["class"].startswith("A, fitted on nothing")
    assert set(os.listdir("codes")) == {"code.safetensors", "queries.rdx"}


def test_exports(place):
    ran("encode corpus.npz --family 'PCA + scalar' --bits 24 --out codes")
    ran("decode codes/documents.rdx --code codes/code.safetensors --out back.npy")
    done = ran("export codes/documents.rdx --code codes/code.safetensors --out tables")
    assert done["files"] == {f"tables/{name}": os.path.getsize(f"tables/{name}") for name in os.listdir("tables")}
    (place / "tables").joinpath("README.md").read_text().index("np.load")
    faiss = pytest.importorskip("faiss")
    ran("export codes/documents.rdx --code codes/code.safetensors --out codes.faiss")
    queries = np.concatenate([made_corpus()["queries.image"], made_corpus()["queries.text"]], axis=1)[:20]
    _, numbers = faiss.read_index("codes.faiss").search(queries, 3)
    scores = queries @ np.load("back.npy").T
    np.testing.assert_allclose(np.take_along_axis(scores, numbers, axis=1), -np.sort(-scores, axis=1)[:, :3], rtol=1e-5)


def test_tables_do_not_go_into_a_corpus(place):
    """Their names mean nothing there, so it could not be read any more; other folders may hold what they like."""
    ran("encode corpus.npz --family 'PCA + scalar' --bits 24 --out codes")
    export = "export codes/documents.rdx --code codes/code.safetensors --out"
    (place / "mine").mkdir()
    (place / "mine" / "notes.npy").write_bytes(b"not ours")
    ran(f"{export} mine")
    ran(f"{export} codes")
    ran("encode corpus.npz --side queries --family 'rank code' --out ranks")  # its tables hold documents.npy
    for _ in range(2):
        ran("export ranks/queries.rdx --code ranks/code.safetensors --out orders")
    np.save("mine/queries.npy", np.ones((2, 8)))
    before = sorted(os.listdir("mine"))
    result = run(f"{export} mine")
    assert result.exit_code == 2
    assert result.stderr == (
        "mine is a corpus, it has queries.npy, and tables would spoil it; name another folder by --out.\n"
    )
    assert sorted(os.listdir("mine")) == before
    kept = (place / "mine" / "queries.npy").read_bytes()
    for name in ("mine/queries.npy", "mine/more.npy"):  # nor do decoded vectors, which would be embeddings there
        result = run(f"decode codes/documents.rdx --code codes/code.safetensors --out {name}")
        assert result.exit_code == 2
        assert "mine is a corpus, it has queries.npy, and vectors that are decoded would spoil it" in result.stderr
    assert (place / "mine" / "queries.npy").read_bytes() == kept
    assert sorted(os.listdir("mine")) == before


@pytest.mark.parametrize("name", ["codes.fais", "codes.FAISS", "codes.index", "codes.faissx"])
def test_an_index_whose_ending_is_mistyped_is_no_folder(place, name):
    ran("encode corpus.npz --family 'PCA + scalar' --bits 24 --out codes")
    result = run(f"export codes/documents.rdx --code codes/code.safetensors --out {name}")
    assert result.exit_code == 2
    assert result.stderr == f"{name} ends neither as an index nor as a folder; an index is FILE.faiss.\n"
    assert not os.path.lexists(name)
    ran("export codes/documents.rdx --code codes/code.safetensors --out tables.v1")


def test_lines_for_people(place):
    result = run("encode flat.npy --family int8 --out codes")
    assert result.exit_code == 0
    size = os.path.getsize("codes/flat.rdx")
    assert f"codes/flat.rdx, {size:,} bytes" in result.stdout
    assert f"items:      {N}\n" in result.stdout
    assert f"bits:       {8 * size / N:.2f}\n" in result.stdout  # 64 and the header's
    assert "encoder:    32 bytes\n" in result.stdout
    assert "dimensions: 8\n" in run("decode codes/flat.rdx --code codes/code.safetensors").stdout


@pytest.mark.parametrize(("value", "shown"), [(12288.4, "12,288"), (1229.0, "1,229"), (37.25, "37.25"), (0.5, "0.50")])
def test_bits_are_never_in_powers_of_ten(capsys, value, shown):
    _tell({"bits": value, "items": 2_000_000, "encoder": 3_100_000}, False)
    assert capsys.readouterr().out == f"bits:       {shown}\nitems:      2,000,000\nencoder:    3.1 MB\n"


MISTAKES = {
    "encode nowhere.npz --family int8": "nowhere.npz does not exist.",
    "encode nowhere.npy --family int8": "nowhere.npy does not exist.",
    "encode flat.npy": "no code is named; give --family",
    "encode flat.npy --family fame --bits 8": "the family is 'fame'; it must be one of: rank code; PCA truncation",
    "encode flat.npy --family 'PCA + scalar'": "PCA + scalar comes at any budget; say how many --bits.",
    "encode flat.npy --family 'PCA + scalar' --bits 2.5": "this family takes a whole number.",
    "encode flat.npy --family 'PCA + scalar' --bits 0": "the budget is 0.0 bits; it must be above 0",
    "encode flat.npy --family 'PCA + scalar' --bits 999": "the budget is 999 bits",
    "encode flat.npy --family 'PCA truncation' --bits 20": "stores numbers of 16 bits each.",
    "encode flat.npy --family int8 --bits 8": "int8 takes 64 bits on these vectors, not 8; ask for 64.",
    "encode flat.npy --family 'rank code'": "a rank code names documents of a corpus",
    "encode flat.npy --family 'sign bits, int8 rescores' --side queries": "is a code for documents, not for queries.",
    "encode corpus.npz --family 'rank code'": "rank code is a code for queries, not for documents.",
    "encode corpus.npz --family int8 --side both": "the side is 'both'; it must be queries or documents.",
    "encode corpus.npz --family int8 --seed -1": "the seed is -1; it must be a whole number, at least 0.",
    "encode flat.npy --family int8 --seed -1": "the seed is -1",
    "encode corpus.npz --side queries --family 'relevance + product' --bits 8": "there are no documents to learn "
    "relevance from, as class C knows only others than are searched (--fit)",
    "encode corpus.npz --family int8 --class X": "the class is 'X'; it must be B or C.",
    "encode flat.npy --family int8 --class C": "one array fitted on itself is class B.",
    "encode flat.npy --family int8 --task T1": "--task chooses among the emoji tasks",
    "encode nan.npy --family int8": "nan.npy has a NaN or infinity in row 321",
    "encode nan.npy --code code.safetensors": "nan.npy has a NaN or infinity in row 321",
    "encode cube.npy --family int8": "cube.npy has shape (1, 500, 8); it must be two-dimensional",
    "encode two.safetensors --family int8": "two.safetensors holds 2 matrices (a, b)",
    "encode none.safetensors --family int8": "none.safetensors holds 0 matrices (none)",
    "encode cut.safetensors --family int8": "cut.safetensors is cut short or damaged",
    "encode junk.safetensors --family int8": "junk.safetensors is no .safetensors file or is damaged",
    "encode flat.npy --family int8 --out flat.npy": "cannot be written",
    "encode flat.npy --family int8 --out taken": "taken/code.safetensors is a folder; name a file.",
    "encode flat.npy --code nowhere.safetensors": "nowhere.safetensors does not exist.",
    "encode flat.npy --code flat.safetensors": "flat.safetensors holds no code of rdjax",
    "encode flat.npy --code code.safetensors --family int8 --bits 8": "--family --bits: a code is not fitted",
    "encode narrow.npy --code code.safetensors": "vectors have shape (500, 7)",
    "encode other.npz --code code.safetensors": "was fitted on image [5], text [3] and the corpus has image [5]",
    "decode nowhere.rdx --code code.safetensors": "nowhere.rdx does not exist.",
    "decode flat.npy --code code.safetensors": "flat.npy does not begin as a stream of rdjax",
    "decode cut.rdx --code code.safetensors": "cut.rdx was cut short",
    "decode changed.rdx --code code.safetensors": "changed.rdx was altered: it does not agree with its checksum",
    "decode documents.rdx --code other.safetensors": "documents.rdx was written by another code",
    "decode documents.rdx --code code.safetensors --out back": "back is no .npy file",
    "decode documents.rdx --code code.safetensors --out cut.rdx/below.npy": "cannot be written",
    "export documents.rdx --code other.safetensors": "documents.rdx was written by another code",
    "export ints.rdx --code other.safetensors --out x.faiss": "faiss has no index for int8",
}


@pytest.fixture(scope="module")
def codes(tmp_path_factory):
    """Two codes and their streams, made once."""
    folder = tmp_path_factory.mktemp("codes")
    here = os.getcwd()
    os.chdir(folder)
    try:
        np.savez("corpus.npz", **made_corpus())
        ran("encode corpus.npz --family 'PCA + scalar' --bits 24 --out a")
        ran("encode corpus.npz --family int8 --out b")
    finally:
        os.chdir(here)
    stream = (folder / "a/documents.rdx").read_bytes()
    return {
        "code.safetensors": (folder / "a/code.safetensors").read_bytes(),
        "other.safetensors": (folder / "b/code.safetensors").read_bytes(),
        "documents.rdx": stream,
        "ints.rdx": (folder / "b/documents.rdx").read_bytes(),
        "cut.rdx": stream[:-5],
        "changed.rdx": stream[:-5] + b"?" + stream[-4:],
    }


@pytest.mark.parametrize("line", MISTAKES)
def test_a_mistake_is_one_sentence_and_leaves_nothing(place, codes, line):
    for name, data in codes.items():
        (place / name).write_bytes(data)
    before = sorted(place.rglob("*"))
    result = run(line)
    assert result.exit_code == 2, result.exception
    assert result.stdout == ""
    assert MISTAKES[line] in result.stderr
    assert result.stderr.count("\n") == 1
    assert result.stderr.endswith(".\n")
    assert sorted(place.rglob("*")) == before


def test_an_interruption_leaves_what_was_there(place):
    (place / "a.bin").write_bytes(b"old")

    def interrupted():
        with staged(["a.bin", "b/c.bin"]) as (a, b):
            a.write_bytes(b"new")
            b.write_bytes(b"new")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert (place / "a.bin").read_bytes() == b"old"
    assert not (place / "b").exists()
    assert not list(place.glob(".rdjax*"))
    with staged(["a.bin", "b/c.bin"]) as (a, b):
        a.write_bytes(b"new")
        b.write_bytes(b"newer")
    assert ((place / "a.bin").read_bytes(), (place / "b/c.bin").read_bytes()) == (b"new", b"newer")


def write_set(written):
    with staged(SET) as fresh:
        for file in fresh[:written]:
            file.write_bytes(b"new")


@pytest.mark.parametrize("stop", range(5))
def test_of_several_files_all_are_replaced_or_none(place, monkeypatch, stop):
    """Stopped at any move, an old file of the set is there, and a new one that had none before is not."""
    (place / "a.bin").write_bytes(b"old")
    (place / "c.bin").write_bytes(b"old")
    moves, replace = iter(range(9)), os.replace

    def sometimes(source, target):
        if next(moves) == stop:
            raise PermissionError(13, "Permission denied")
        replace(source, target)

    monkeypatch.setattr("rdjax.data.writing.os.replace", sometimes)
    with pytest.raises(InputError, match=r"\.bin cannot be written: Permission denied\."):
        write_set(3)
    assert [(place / name).read_bytes() for name in ("a.bin", "c.bin")] == [b"old", b"old"]
    assert not (place / "b.bin").exists()
    assert not list(place.glob(".rdjax*"))


def test_a_file_that_was_not_written_leaves_the_others_as_they_were(place):
    (place / "a.bin").write_bytes(b"old")
    with pytest.raises(InputError, match=r"c\.bin cannot be written"):
        write_set(2)
    assert (place / "a.bin").read_bytes() == b"old"
    assert not (place / "b.bin").exists()


def test_every_family_of_the_audit_can_be_asked_for_by_its_budget(monkeypatch):
    """What `budget_of` says of the audit's code, `fit_family` answers with that same code."""
    monkeypatch.setattr("rdjax.audit.training.EXAMPLES", 256)
    monkeypatch.setattr("rdjax.audit.training.TAUGHT", 200)
    fit = LearnedCode.fit
    monkeypatch.setattr(
        LearnedCode, "fit", lambda *given, **settings: fit(*given, **{**settings, "steps": 3, "looks": 1})
    )
    rng = np.random.default_rng(5)
    documents, wanted = rng.standard_normal((50, 40)), rng.integers(0, 50, 30)
    queries = documents[wanted] + 0.3 * rng.standard_normal((30, 40))
    material = Training(
        np.concatenate([documents, queries]), documents, documents, queries, documents[wanted], (40,), False, 50
    )
    seen = set()
    for side in ("queries", "documents"):
        for trial in trials(side, 40, 1, [family.name for family in FAMILIES]):
            if trial.family in seen:
                continue
            seen.add(trial.family)
            code = trial.makers[0](material)
            again = fit_family(trial.family, budget_of(code), side, material)
            assert again.fingerprint == code.fingerprint, trial.family
    assert seen == {family.name for family in FAMILIES}


def test_the_command_of_a_point_reads_as_it_is_typed(tmp_path):
    class Point:
        side, family, code_class, budget = "documents", "PCA + scalar", "C", 64.0

    assert command_for(Point, "my corpus.npz", task=None, fit="b.npz", seed=3) == (
        "rdjax encode 'my corpus.npz' --fit b.npz --side documents --family 'PCA + scalar' --bits 64 --class C "
        "--seed 3 --out 'my corpus-documents-64-bits'"
    )
    Point.family, Point.code_class, Point.side = "rank code", "A", "queries"
    line = command_for(Point, None, task="T1", fit=None, seed=0)
    assert line == "rdjax encode --task T1 --side queries --family 'rank code' --out searched-queries-rank-code"
    Point.code_class, Point.family = "C", "int8"
    assert command_for(Point, None, task=None, fit=None, seed=0).endswith(" --out queries-int8")  # another folder
    for path in ("/a/news.npz", "/a/news", "/a/news/", "../a/./news"):  # codes of two corpora do not meet
        assert command_for(Point, path, task=None, fit=None, seed=0).endswith(" --out news-queries-int8")
    (tmp_path / "v1.5").mkdir()
    assert command_for(Point, str(tmp_path / "v1.5"), task=None, fit=None, seed=0).endswith(" --out v1.5-queries-int8")
    assert command_for(Point, "/", task=None, fit=None, seed=0).endswith(" --out queries-int8")


def test_a_path_that_begins_with_a_dash_is_no_option_in_the_command(place):
    class Point:
        side, family, code_class, budget = "documents", "int8", "C", 0.0

    os.rename("flat.npy", "-x.npy")
    line = command_for(Point, "-x.npy", task=None, fit="--y/z.npy", seed=0)
    assert line.startswith("rdjax encode ./-x.npy --fit ./--y/z.npy --side documents")
    assert " /a/-x " in command_for(Point, "/a/-x", task=None, fit=None, seed=0)
    words = shlex.split(command_for(Point, "-x.npy", task=None, fit="-x.npy", seed=0))[1:]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output


def test_the_command_is_quoted_for_the_shell_of_the_system(monkeypatch):
    class Point:
        side, family, code_class, budget = "documents", "PCA + scalar", "B", 64.0

    monkeypatch.setattr("rdjax.audit.budgets.sys", SimpleNamespace(platform="win32"))
    line = command_for(Point, "my corpus.npz", task=None, fit=None, seed=0)
    assert line.startswith('rdjax encode "my corpus.npz" --side documents --family "PCA + scalar" --bits 64')


def test_decoding_spoils_no_vectors_that_stand_there(place):
    """Not those that were encoded, to which the usual name leads; the same once more is no loss."""
    np.save("vectors.npy", np.random.default_rng(0).standard_normal((60, 8)).astype(np.float32))
    before = Path("vectors.npy").read_bytes()
    arguments = ["decode", "codes/vectors.rdx", "--code", "codes/code.safetensors"]
    assert CliRunner().invoke(app, ["encode", "vectors.npy", "--family", "int8", "--out", "codes"]).exit_code == 0
    for out in ([], ["--out", "vectors.npy"]):
        refused = CliRunner().invoke(app, arguments + out)
        assert refused.exit_code == 2
        assert "is there and holds something else than these vectors" in refused.stderr
        assert Path("vectors.npy").read_bytes() == before
    for _ in range(2):
        assert CliRunner().invoke(app, [*arguments, "--out", "decoded.npy"]).exit_code == 0
    Path("decoded.npy").write_text("mine")
    assert CliRunner().invoke(app, [*arguments, "--out", "decoded.npy"]).exit_code == 2
    assert Path("decoded.npy").read_text() == "mine"
