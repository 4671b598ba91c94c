"""encode and export replace what is theirs to replace; all else is refused, and stays as it was."""

import contextlib
import os
import sys

import numpy as np
import pytest
from safetensors.numpy import save_file

from rdjax.checks import InputError
from rdjax.paper.cells import Cell, compute_cells
from tests.test_cli_codes import ran, run

pytestmark = pytest.mark.float64_only


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A working directory with two arrays."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    for name in ("one", "two"):
        np.save(f"{name}.npy", rng.standard_normal((60, 8)).astype(np.float32))
    return tmp_path


def contents(folder):
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def refused(folder, line, *words):
    """One sentence that has these words, and nothing has changed."""
    before = contents(folder)
    result = run(line)
    assert result.exit_code == 2, result.exception
    assert result.stdout == ""
    assert result.stderr.count("\n") == 1
    for word in words:
        assert word in result.stderr
    assert contents(folder) == before


# a code that another stream needs


def test_the_code_of_another_stream_is_not_replaced(place, monkeypatch):
    ran("encode one.npy --family int8")
    monkeypatch.setattr("rdjax.cli.jobs.write_stream", None)  # nothing is encoded before it is refused
    refused(
        place,
        "encode two.npy --family int8",
        "rdjax-codes/one.rdx was not written by this code, and rdjax-codes/code.safetensors may be needed to read it",
        "name another folder by --out.",
    )


def test_one_code_may_have_several_streams(place):
    """The same code again, fitted on one array, and a code for the same stream again."""
    ran("encode one.npy --family int8 --fit one.npy --out codes")
    ran("encode two.npy --family int8 --fit one.npy --out codes")
    for name in ("one", "two"):
        ran(f"decode codes/{name}.rdx --code codes/code.safetensors --out {name}-back.npy")
        error = np.abs(np.load(f"{name}-back.npy") - np.load(f"{name}.npy"))
        assert error[np.abs(np.load(f"{name}.npy")) < np.abs(np.load("one.npy")).max(axis=0)].max() < 0.02
    ran("encode one.npy --family int8 --out alone")
    ran("encode one.npy --family 'sign bits' --bits 8 --out alone")
    assert set(os.listdir("alone")) == {"code.safetensors", "one.rdx"}


def test_what_is_no_stream_or_has_no_code_beside_it_keeps_nobody_from_encoding(place):
    ran("encode one.npy --family int8 --out codes")
    (place / "codes" / "one.rdx").rename(place / "codes" / "old.rdx")
    (place / "codes" / "code.safetensors").unlink()
    (place / "codes" / "note.rdx").write_bytes(b"RDX")
    (place / "codes" / "folder.rdx").mkdir()
    ran("encode two.npy --family int8 --out codes")  # old.rdx has lost its code before
    (place / "codes" / "old.rdx").unlink()
    ran("encode one.npy --family int8 --out codes --seed 3 --fit two.npy")
    (place / "codes" / "note.rdx").write_bytes(b"RDX\x01abc!")
    refused(place, "encode one.npy --family int8 --out codes", "codes/note.rdx was not written by this code")


# tables that no export wrote


@pytest.fixture
def codes(place):
    """Codes of two kinds and their streams."""
    ran("encode one.npy --family int8 --out a")
    ran("encode one.npy --family 'PCA + scalar' --bits 16 --out b")
    return place


def test_an_export_takes_the_place_of_one_of_the_same_tables(codes):
    ran("export a/one.rdx --code a/code.safetensors --out tables")
    os.mkdir("newer")
    os.link("two.npy", "newer/one.npy")
    ran("encode newer/one.npy --family int8 --out c")
    (codes / "tables" / "notes.txt").write_text("mine")
    done = ran("export c/one.rdx --code c/code.safetensors --out tables")
    assert set(os.listdir("tables")) == {"symbols.npy", "scale.npy", "README.md", "notes.txt"}
    assert set(done["files"]) == {f"tables/{name}" for name in ("symbols.npy", "scale.npy", "README.md")}
    symbols, scale = np.load("tables/symbols.npy"), np.load("tables/scale.npy")
    assert symbols.dtype == np.uint8
    error = np.abs((symbols.astype(int) - 127) * scale - np.load("two.npy"))
    assert (error <= 0.5001 * scale).all()


@pytest.mark.parametrize("name", ["README.md", "scale.npy", "symbols.npy"])
def test_files_that_no_export_wrote_stay(codes, monkeypatch, name):
    (codes / "tables").mkdir()
    (codes / "tables" / name).write_bytes(b"# My project\n\nabout codes that were written by rdjax.\n\xff")
    monkeypatch.setattr("rdjax.cli.jobs.read_symbols", None)  # it is said before the stream is read
    words = f"tables/{name} is there and is no table that export wrote; name another folder by --out."
    refused(codes, "export a/one.rdx --code a/code.safetensors --out tables", words)


def test_tables_of_another_kind_of_code_are_not_mixed(codes):
    ran("export b/one.rdx --code b/code.safetensors --out tables")
    again = "export a/one.rdx --code a/code.safetensors --out tables"
    refused(codes, again, "tables/levels.npy is a table of another kind of code; name another folder by --out.")
    for name in ("levels", "rows", "offset"):
        (codes / "tables" / f"{name}.npy").unlink()
    ran(again)  # what is left has been thrown away by its owner


# an index that no export wrote


def test_an_index_takes_the_place_of_one_of_its_kind(codes):
    """Of a product quantizer and of an additive one."""
    faiss = pytest.importorskip("faiss")
    ran("encode one.npy --family 'sign bits' --bits 8 --out c")
    for folder in ("b", "c", "b"):
        ran(f"export {folder}/one.rdx --code {folder}/code.safetensors --out x.faiss")
        whole = faiss.read_index("x.faiss")
        kind = type(faiss.downcast_index(whole.index))
        assert kind is (faiss.IndexPQ if folder == "c" else faiss.IndexResidualQuantizer)


@pytest.mark.parametrize("kind", ["text", "nothing", "flat", "turned and flat", "euclidean", "cut short", "endless"])
def test_an_index_that_no_export_wrote_stays(codes, monkeypatch, kind):
    faiss = pytest.importorskip("faiss")
    export = "export b/one.rdx --code b/code.safetensors --out x.faiss"
    flat, turn = faiss.IndexFlatIP(8), faiss.LinearTransform(8, 8, False)
    faiss.copy_array_to_vector(np.eye(8, dtype=np.float32).ravel(), turn.A)
    turn.is_trained = True
    made = {"flat": flat, "turned and flat": faiss.IndexPreTransform(turn, flat)}
    made["euclidean"] = faiss.IndexPreTransform(turn, faiss.IndexPQ(8, 2, 4))
    if kind in made:
        faiss.write_index(made[kind], "x.faiss")
    elif kind in ("text", "nothing"):
        (codes / "x.faiss").write_bytes(b"days of work" if kind == "text" else b"")
    else:
        ran(export)
        ours = (codes / "x.faiss").read_bytes()
        much = ours[:46] + b"\xff" * 8 + ours[54:]  # so many entries in its map
        (codes / "x.faiss").write_bytes(ours[:200] if kind == "cut short" else much)
    monkeypatch.setattr("rdjax.cli.jobs.read_symbols", None)  # it is said before the stream is read
    refused(codes, export, "x.faiss is there and is no index that export wrote; name another file by --out.")


# what is refused before a stream is read


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("--out one.npy/below", "one.npy/below/symbols.npy cannot be written: Not a directory."),
        ("--out one.npy/below.faiss", "one.npy/below.faiss cannot be written: Not a directory."),
        ("--out x.faiss", "faiss is not installed, and an index file needs it; install faiss-cpu."),
    ],
)
def test_what_an_export_cannot_do_is_said_before_the_stream_is_read(codes, monkeypatch, line, words):
    monkeypatch.setattr("rdjax.cli.jobs.read_symbols", None)
    if line == "--out x.faiss":
        monkeypatch.setitem(sys.modules, "faiss", None)
    else:
        pytest.importorskip("faiss")
    refused(codes, f"export b/one.rdx --code b/code.safetensors {line}", words)


# a code that is large beside the memory


def test_a_code_may_be_as_large_as_memory_and_no_larger(codes, monkeypatch):
    """A rank code holds every document; it is read in place."""
    size = os.path.getsize("a/code.safetensors")
    line = "decode a/one.rdx --code a/code.safetensors --out back.npy"
    monkeypatch.setattr("rdjax.data.reading._memory", lambda: size - 1)
    refused(codes, line, f"a/code.safetensors has {size / 1e9:.3g} GB, and there are")
    monkeypatch.setattr("rdjax.data.reading._memory", lambda: size)
    ran(line)
    assert np.abs(np.load("back.npy") - np.load("one.npy")).max() < 0.02
    os.unlink("a/code.safetensors")  # what is mapped must not change
    (codes / "a" / "code.safetensors").touch()
    refused(codes, line, "a/code.safetensors is no .safetensors file")


# a disk that is full


@contextlib.contextmanager
def files_of(size):
    """No file of this process may be larger, in bytes: what a full disk does, as an error of the system."""
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize(
    ("line", "target"),
    [
        ("encode one.npy --family int8 --out new", "new/code.safetensors"),
        ("encode one.npy --code b/code.safetensors --out new.rdx", "new.rdx"),
        ("decode a/one.rdx --code a/code.safetensors --out new.npy", "new.npy"),
        ("export a/one.rdx --code a/code.safetensors --out tables", "tables/symbols.npy"),
        ("export b/one.rdx --code b/code.safetensors --out new.faiss", "new.faiss"),
    ],
)
@pytest.mark.parametrize("size", [0, 100])
def test_a_disk_that_fills_is_one_sentence_and_leaves_nothing(codes, line, target, size):
    if target.endswith(".faiss"):
        pytest.importorskip("faiss")
    with files_of(size):
        refused(codes, line, f"{target} cannot be written")
    ran(line)
    assert os.path.exists(target)


def test_cells_of_an_experiment_on_a_full_disk(place):
    cell = Cell("one", {}, (), lambda: {"found": "x" * 500}, 1.0)
    with files_of(100), pytest.raises(InputError, match=r"cells/one\.json cannot be written: File too large\."):
        compute_cells([cell], "cells", lambda *words: None)
    assert not os.path.exists("cells")


def test_cells_that_cannot_be_kept_are_not_computed(place):
    cell = Cell("one", {}, (), None, 1.0)
    with pytest.raises(InputError, match=r"one\.npy/cells/one\.json cannot be written: Not a directory\."):
        compute_cells([cell], "one.npy/cells", lambda *words: None)


@pytest.mark.parametrize("part", ["table1", "figure1", "all"])
def test_an_experiment_that_cannot_be_written_is_not_begun(place, monkeypatch, part):
    monkeypatch.setattr("rdjax.cli.experiments.table_one_cells", lambda *sizes: [Cell("one", {}, (), None, 1.0)])
    for name in ("table_two_cells", "sweep_cells"):
        monkeypatch.setattr(f"rdjax.cli.experiments.{name}", lambda *given: [])
    refused(place, f"reproduce {part} --out one.npy/below", "cannot be written: Not a directory.")
    (place / "out" / "figure1.png").mkdir(parents=True)
    if part != "table1":
        refused(place, f"reproduce {part} --out out", "out/figure1.png is a folder; name a file.")


def test_what_is_all_there_may_be_read_where_nothing_can_be_written(place):
    cell = Cell("one", {}, (), lambda: {"found": 1}, 1.0)
    compute_cells([cell], "cells", lambda *words: None)
    with files_of(0):
        assert compute_cells([cell], "cells", lambda *words: None) == {"one": {"found": 1}}


# what is read, and what is somebody else's


def test_no_file_is_written_over_one_that_is_read(place):
    rng = np.random.default_rng(1)
    corpus = {
        side: rng.standard_normal((n, 6)).astype(np.float32) for side, n in (("documents.x", 40), ("queries.x", 30))
    }
    np.savez("corpus.npz", **corpus)
    ran("encode one.npy --family int8 --out codes")
    ran("encode corpus.npz --family int8 --class B --out others")
    os.link("corpus.npz", "same.rdx")
    for line, named in (
        ("encode corpus.npz --code others/code.safetensors --out corpus.npz", "corpus.npz"),
        ("encode corpus.npz --code others/code.safetensors --out same.rdx", "same.rdx is corpus.npz"),
        ("encode one.npy --code codes/code.safetensors --out codes/code.safetensors", "codes/code.safetensors"),
        ("decode codes/one.rdx --code codes/code.safetensors --out one.npy/", "one.npy/ is a folder; name a file"),
        ("encode one.npy --code codes/code.safetensors --out x.rdx/", "x.rdx/ is a folder; name a file"),
        ("encode one.npy --code codes/code.safetensors --out two.npy", "is there and is no stream that encode wrote"),
        (
            "encode one.npy --code codes/code.safetensors --seed 5",
            "--seed: a code is not fitted where --code gives one",
        ),
        ("encode one.npy --family int8 --out ''", "the folder to write to is empty"),
        ("decode codes/code.safetensors --code codes/one.rdx", "codes/one.rdx is no .safetensors file"),
    ):
        refused(place, line, named)
    ran("encode one.npy --code codes/code.safetensors --out codes/one.rdx")
    ran("decode codes/one.rdx --code codes/code.safetensors --out one-again.npy")
    ran("decode codes/one.rdx --code codes/code.safetensors --out one-again.npy")


def test_a_corpus_is_no_code_to_replace(place):
    os.mkdir("mine")
    save_file({"documents.x": np.ones((3, 2), np.float32)}, "mine/code.safetensors")
    refused(
        place, "encode one.npy --family int8 --out mine", "mine/code.safetensors is there and is no code that encode"
    )
    (place / "mine" / "code.safetensors").unlink()
    (place / "mine" / "one.rdx").write_bytes(b"notes of mine")
    refused(place, "encode one.npy --family int8 --out mine", "mine/one.rdx is there and is no stream")


def test_queries_that_are_left_out_are_said(place):
    rng = np.random.default_rng(1)
    os.mkdir("judged")
    for side, count in (("documents", 40), ("queries", 30)):
        np.save(f"judged/{side}.npy", rng.standard_normal((count, 6)).astype(np.float32))
    (place / "judged" / "query_ids.txt").write_text("".join(f"q{i}\n" for i in range(30)))
    (place / "judged" / "ids.txt").write_text("".join(f"d{i}\n" for i in range(40)))
    os.mkdir("judged/qrels")
    rows = "".join(f"q{i}\td{i}\t1\n" for i in range(20))
    (place / "judged" / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\n" + rows)
    done = ran("encode judged --side queries --family int8 --class C --out codes")
    assert done["items"] == 20
    assert done["note"].startswith("10 of 30 queries have no relevant document")
    assert "note" not in ran("encode judged --side documents --family int8 --out others")


def test_tables_of_another_stream_are_not_replaced(place):
    ran("encode one.npy --family int8 --out codes")
    ran("encode two.npy --code codes/code.safetensors --out codes/two.rdx")
    ran("export codes/one.rdx --code codes/code.safetensors")
    refused(
        place, "export codes/two.rdx --code codes/code.safetensors", "tables holds the tables of one.rdx; name another"
    )
    ran("export codes/one.rdx --code codes/code.safetensors")
    ran("export codes/two.rdx --code codes/code.safetensors --out others")
