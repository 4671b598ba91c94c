"""The same corpus in every format is the same corpus; what is stored in fewer bits becomes float32."""

import json
import pathlib
import re
import sys
import tracemalloc

import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import save_file

from rdjax.data import load_corpus, pool_documents
from rdjax.data.vectors import is_one_array, load_vectors
from tests import fake_parquet
from tests.corpora import IDS, QUERY_IDS, N, Q, archive, arrays, folder, refused

pytestmark = pytest.mark.float64_only

JUDGED = "query-id\tcorpus-id\tscore\nq0\td4\t1\nq1\td0\t1\nq2\td2\t1\n"


@pytest.fixture(params=["pyarrow", "fake"])
def write_table(request, monkeypatch):
    return fake_parquet.writer(request.param, monkeypatch)


def tensors(tmp_path, **changes):
    path = str(tmp_path / "corpus.safetensors")
    save_file(arrays(**changes), path)
    return path


def json_lines(names):
    return "".join(json.dumps({"_id": name, "title": "", "text": f"text of {name}"}) + "\n" for name in names)


def beir(tmp_path, judged=JUDGED, split="test.tsv", queries=QUERY_IDS, texts=None, **changes):
    lines = {"corpus.jsonl": json_lines(IDS), "queries.jsonl": json_lines(queries), **(texts or {})}
    path = folder(tmp_path, lines, **{"relevant": None, **changes})
    (tmp_path / "corpus" / "qrels").mkdir()
    (tmp_path / "corpus" / "qrels" / split).write_text(judged)
    return path


def table_folder(tmp_path, write_table, documents=(), queries=(), **changes):
    good = arrays(**changes)
    place = tmp_path / "corpus"
    place.mkdir()
    for side, names, more in (("documents", IDS, documents), ("queries", QUERY_IDS, queries)):
        vectors = {key.partition(".")[2]: list(good[key]) for key in good if key.startswith(side)}
        write_table(place / f"{side}.parquet", {"id": names, "title": ["x"] * len(names), **vectors, **dict(more)})
    return str(place)


def same(corpus, wanted):
    assert corpus.modalities == wanted.modalities
    for name in wanted.modalities:
        for ours, theirs in ((corpus.documents, wanted.documents), (corpus.queries, wanted.queries)):
            np.testing.assert_array_equal(ours[name], theirs[name])
            assert ours[name].dtype == theirs[name].dtype
    assert corpus.relevant.tolist() == wanted.relevant.tolist()
    assert corpus.notes == ()
    assert corpus.name == "corpus"


@pytest.mark.parametrize("kind", [folder, tensors, beir])
def test_one_corpus_in_every_format(tmp_path, kind):
    corpus = load_corpus(kind(tmp_path))
    same(corpus, load_corpus(archive(tmp_path)))
    assert isinstance(corpus.documents["text"], np.memmap)
    assert not corpus.documents["text"].flags.writeable
    if kind is beir:
        assert (list(corpus.ids), list(corpus.query_ids)) == (IDS, QUERY_IDS)


def test_tables(tmp_path, write_table):
    more = {"relevant": ["d4", "d0", "d2"]}
    corpus = load_corpus(table_folder(tmp_path, write_table, queries=more))
    same(corpus, load_corpus(archive(tmp_path)))
    assert (list(corpus.ids), list(corpus.query_ids)) == (IDS, QUERY_IDS)


def test_tables_with_lists_of_relevant_documents(tmp_path, write_table):
    more = {"relevant": [["d4", "d1"], ["d0"], ["d2"]]}
    corpus = load_corpus(table_folder(tmp_path, write_table, queries=more))
    assert corpus.relevant.tolist() == [[4, 1], [0, -1], [2, -1]]
    assert corpus.grades is None


def test_tables_with_a_file_of_judgments_and_int8(tmp_path, write_table):
    stored = np.arange(1, 4 * N + 1, dtype=np.int8).reshape(N, 4)
    path = table_folder(tmp_path, write_table, **{"documents.image": stored})
    np.save(tmp_path / "corpus" / "documents.image.scale.npy", np.float32(0.5))
    (tmp_path / "corpus" / "qrels").mkdir()
    (tmp_path / "corpus" / "qrels" / "test.tsv").write_text(JUDGED)
    corpus = load_corpus(path)
    np.testing.assert_array_equal(corpus.documents["image"], stored * np.float32(0.5))
    assert corpus.relevant.tolist() == [4, 0, 2]


def test_tables_with_a_dot_in_a_name(tmp_path, write_table):
    """One name is the beginning of another; bfloat16 says so as in other formats."""
    vectors = arrays()["documents.image"]
    changes = {
        "documents.text": None,
        "documents.image.v2": 2 * vectors,
        "documents.text.bf16": bits_of(vectors[:, :3]),
    }
    path = table_folder(tmp_path, write_table, **changes, **{"queries.image.v2": arrays()["queries.image"]})
    corpus = load_corpus(path)
    np.testing.assert_array_equal(corpus.documents["image"], vectors)
    np.testing.assert_array_equal(corpus.documents["image.v2"], 2 * vectors)
    np.testing.assert_array_equal(corpus.documents["text"], vectors[:, :3].astype(ml_dtypes.bfloat16))


def test_fixed_size_lists(tmp_path):
    pyarrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    good, place = arrays(), tmp_path / "corpus"
    place.mkdir()
    for side in ("documents", "queries"):
        values = good[f"{side}.image"]
        column = pyarrow.FixedSizeListArray.from_arrays(pyarrow.array(values.ravel()), 4)
        large = pyarrow.array(list(good[f"{side}.text"]), pyarrow.large_list(pyarrow.float32()))
        parquet.write_table(pyarrow.table({"image": column, "text": large}), place / f"{side}.parquet")
    np.save(place / "relevant.npy", good["relevant"])
    corpus = load_corpus(place)
    for name in ("image", "text"):
        np.testing.assert_array_equal(corpus.documents[name], good[f"documents.{name}"])
    assert corpus.documents["image"].dtype == np.float32
    assert corpus.ids is None


def test_without_pyarrow(tmp_path, monkeypatch):
    path = table_folder(tmp_path, fake_parquet.install(monkeypatch))
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    refused(path, r"documents\.parquet needs pyarrow, which is not installed; pip install pyarrow\.$")


STORES = {"npz": archive, "folder": folder, "safetensors": tensors}


def bits_of(values):
    return values.astype(ml_dtypes.bfloat16).view(np.uint16)


@pytest.mark.parametrize("store", STORES)
def test_bfloat16_is_named_so(tmp_path, store):
    """uint16 under a name that ends .bf16 is what JAX makes of it in float32; the rest is not touched."""
    wanted = arrays()["documents.text"].astype(ml_dtypes.bfloat16).astype(np.float32)
    kept = {"documents.text": None, "documents.text.bf16": bits_of(arrays()["documents.text"])}
    corpus = load_corpus(STORES[store](tmp_path, **kept))
    assert corpus.documents["text"].dtype == np.float32
    np.testing.assert_array_equal(corpus.documents["text"], wanted)
    assert corpus.documents["image"].dtype == np.float32
    assert isinstance(corpus.documents["image"], np.memmap) == (store != "npz")
    assert corpus.stored_bits == {"text": 16}


def test_bfloat16_of_jax(tmp_path):
    """safetensors says that it is bfloat16; numpy.save keeps two raw bytes, and the name must say it."""
    lower = arrays()["documents.text"].astype(ml_dtypes.bfloat16)
    corpus = load_corpus(tensors(tmp_path, **{"documents.text": lower}))
    np.testing.assert_array_equal(corpus.documents["text"], lower.astype(np.float32))
    path = folder(tmp_path, **{"documents.text": None, "documents.text.bf16": lower})
    np.testing.assert_array_equal(load_corpus(path).documents["text"], lower.astype(np.float32))
    (tmp_path / "corpus" / "documents.text.bf16.npy").rename(tmp_path / "corpus" / "documents.text.npy")
    refused(path, r"documents\.text\.npy holds two bytes .* if they are bfloat16, name it documents\.text\.bf16")


@pytest.mark.parametrize("store", STORES)
@pytest.mark.parametrize("shape", [(), (1,), (3,)])
def test_int8_with_a_scale(tmp_path, store, shape):
    stored = np.arange(-7, 3 * N - 7, dtype=np.int8).reshape(N, 3)
    scale = np.arange(1, 1 + np.prod(shape, dtype=int), dtype=np.float16).reshape(shape)
    scale /= np.float16(4)
    kept = {"documents.text": stored, "documents.text.scale": scale}
    corpus = load_corpus(STORES[store](tmp_path, **kept))
    assert corpus.documents["text"].dtype == np.float32
    np.testing.assert_array_equal(corpus.documents["text"], stored * scale)
    assert corpus.stored_bits == {"text": 8}


def test_one_modality_needs_no_name_to_be_scaled(tmp_path):
    stored, lower = np.eye(3, dtype=np.int8), np.ones((2, 3), ml_dtypes.bfloat16)
    kept = {"documents": stored, "documents.scale": np.float32(2), "queries.bf16": lower.view(np.uint16)}
    corpus = load_corpus(folder(tmp_path, **dict.fromkeys(arrays()), **kept))
    np.testing.assert_array_equal(corpus.documents["embedding"], 2 * np.eye(3))
    np.testing.assert_array_equal(corpus.queries["embedding"], np.ones((2, 3)))
    assert corpus.stored_bits == {"embedding": 8}


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.int8])
def test_tensors_stay_memory_maps(tmp_path, dtype):
    wanted = (10 * arrays()["documents.text"]).astype(dtype) + dtype(100)
    corpus = load_corpus(tensors(tmp_path, **{"documents.text": wanted}))
    assert isinstance(corpus.documents["text"], np.memmap)
    assert corpus.documents["text"].dtype == dtype
    np.testing.assert_array_equal(corpus.documents["text"], wanted)


@pytest.mark.parametrize("kind", ["bf16", "int8"])
def test_much_is_converted_in_blocks_on_disk(tmp_path, monkeypatch, kind):
    """64 MB become 128 or 256, of which a fraction is in memory at any time."""
    monkeypatch.setattr("rdjax.data.stored.SMALL", 2**20)
    shape = (2**18, 128)
    values = np.random.default_rng(3).integers(1, 100, shape).astype(np.int8)
    stored, key = (values, "documents.text") if kind == "int8" else (bits_of(values), "documents.text.bf16")
    changes = {"documents.image": None, "queries.image": None, "documents.text": None, key: stored}
    if kind == "int8":
        changes["documents.text.scale"] = np.float32(2)
    path = folder(tmp_path, **{**changes, "queries.text": np.ones((Q, 128))})
    tracemalloc.start()
    corpus = load_corpus(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    found = corpus.documents["text"]
    assert isinstance(found, np.memmap)
    assert peak < found.nbytes / 3
    np.testing.assert_array_equal(found[:: 2**9], values[:: 2**9] * (2.0 if kind == "int8" else 1.0))
    np.testing.assert_array_equal(found[-1], values[-1] * (2.0 if kind == "int8" else 1.0))


def test_no_room_to_convert(tmp_path, monkeypatch):
    monkeypatch.setattr("rdjax.data.stored.SMALL", 0)
    monkeypatch.setattr("shutil.disk_usage", lambda folder: type("Usage", (), {"free": 10}))
    kept = {"documents.text": None, "documents.text.bf16": bits_of(arrays()["documents.text"])}
    refused(folder(tmp_path, **kept), r"documents\.text\.bf16\.npy as float32 takes .* set TMPDIR to a larger folder")


def test_queries_without_judgments_are_left_out(tmp_path):
    judged = "query-id\tcorpus-id\tscore\nq2\td1\t2\nq1\td0\t0\nq0\td3\t1\nq2\td0\t1\n"
    corpus = load_corpus(beir(tmp_path, judged))
    wanted = arrays()
    assert corpus.query_ids == ("q0", "q2")
    assert corpus.relevant.tolist() == [[3, -1], [1, 0]]
    assert corpus.grades.tolist() == [[1, 0], [2, 1]]
    for name in corpus.modalities:
        np.testing.assert_array_equal(corpus.queries[name], wanted[f"queries.{name}"][[0, 2]])
    assert corpus.notes == ("1 of 3 queries have no relevant document in test.tsv and are left out",)


def test_another_split_is_named_by_its_file(tmp_path, monkeypatch):
    path = beir(tmp_path)
    train = tmp_path / "corpus" / "qrels" / "train.tsv"
    train.write_text("query-id\tcorpus-id\tscore\nq1\td1\t1\n")
    assert load_corpus(path).relevant.tolist() == [4, 0, 2]
    for place, name in ((tmp_path, "corpus/qrels/train.tsv"), (train.parent, "train.tsv"), ("/", str(train))):
        monkeypatch.chdir(place)
        corpus = load_corpus(name)
        assert (corpus.query_ids, corpus.relevant.tolist(), corpus.name) == (("q1",), [1], "corpus train")
    (train.parent / "test.tsv").unlink()
    assert load_corpus(path).query_ids == ("q1",)
    (train.parent / "dev.tsv").write_text("q1\td1\t1\n")
    refused(path, r"qrels holds dev\.tsv, train\.tsv and no test\.tsv; name one, e\.g\. .*qrels/dev\.tsv")


def test_fitting_on_one_split_and_auditing_another(tmp_path):
    """Both are of the same documents, which are found to be so and not joined."""
    path = beir(tmp_path, "q0\td4\t1\n")
    (tmp_path / "corpus" / "qrels" / "train.tsv").write_text("q1\td1\t1\nq2\td0\t1\n")
    audited, fit = load_corpus(path), load_corpus(f"{path}/qrels/train.tsv")
    pooled = pool_documents(audited, fit)
    assert pooled.documents is audited.documents
    assert (pooled.query_ids, pooled.relevant.tolist()) == (("q1", "q2"), [1, 0])


def test_tensors_that_start_anywhere(tmp_path):
    """The format asks for no alignment; the numbers are the same, here and in JAX."""
    path = tensors(tmp_path)
    file = tmp_path / "corpus.safetensors"
    whole = file.read_bytes()
    length = int.from_bytes(whole[:8], "little")
    for more in range(1, 9):
        header = whole[8 : 8 + length].rstrip() + b" " * (8 + more)
        file.write_bytes(len(header).to_bytes(8, "little") + header + whole[8 + length :])
        corpus = load_corpus(path)
        same(corpus, load_corpus(archive(tmp_path)))
        np.testing.assert_array_equal(jnp.asarray(corpus.queries["text"]), arrays()["queries.text"])


def test_an_error_numbers_the_rows_of_the_file(tmp_path):
    """The row of a query is its row in the file, whoever is left out before it."""
    spoiled = arrays()["queries.text"].copy()
    spoiled[2] = np.nan
    refused(beir(tmp_path, "q2\td1\t1\n", **{"queries.text": spoiled}), r"queries\.text\.npy has a NaN .* in row 2")


def test_one_array_or_a_corpus(tmp_path):
    """What `rdjax encode` takes for one array, and what for a corpus."""
    corpus = tensors(tmp_path)
    assert not is_one_array(corpus)
    one = str(tmp_path / "one.safetensors")
    lower = arrays()["documents.text"].astype(ml_dtypes.bfloat16)
    save_file({"documents": lower}, one)
    assert is_one_array(one)
    np.testing.assert_array_equal(load_vectors(one), lower.astype(np.float32))
    assert is_one_array("documents.npy")
    assert not is_one_array("corpus.npz")


def exported(out_of):
    """The line of Python that the README gives for a source."""
    readme = (pathlib.Path(__file__).parent.parent / "README.md").read_text()
    (line,) = re.findall(rf"^\| {re.escape(out_of)} \| `([^`]+)`", readme, re.MULTILINE)
    return line


@pytest.mark.parametrize("kind", ["flat", "cells"])
def test_export_from_faiss(tmp_path, monkeypatch, kind):
    """Run on real indexes; one that searches in cells gives its vectors back in the order of their numbers."""
    faiss = pytest.importorskip("faiss")
    monkeypatch.chdir(tmp_path)
    documents = np.random.default_rng(6).standard_normal((200, 8)).astype(np.float32)
    index = faiss.IndexFlatIP(8) if kind == "flat" else faiss.index_factory(8, "IVF4,Flat", faiss.METRIC_INNER_PRODUCT)
    index.train(documents)
    index.add(documents)
    (tmp_path / "corpus").mkdir()
    np.save("corpus/queries.text.npy", documents[:7])
    exec(exported("a faiss index"), {"np": np, "index": index})
    np.testing.assert_array_equal(load_corpus("corpus").documents["text"], documents)


class Encoder:
    """Has the methods of sentence-transformers and open_clip that the README calls, and gives arrays for tensors."""

    def encode_document(self, texts):
        return arrays()["documents.text"]

    def encode_query(self, texts):
        return arrays()["queries.text"]

    def encode_image(self, images, normalize):
        return arrays()["documents.image"]

    def encode_text(self, tokens, normalize):
        return arrays()["queries.image"]


@pytest.mark.parametrize(
    ("out_of", "file", "modality"),
    [("sentence-transformers", "corpus.npz", "text"), ("open_clip", "corpus.safetensors", "image")],
)
def test_export_from_encoders(tmp_path, monkeypatch, out_of, file, modality):
    """The packages are not there: what is tested is that the line writes what is read."""
    monkeypatch.chdir(tmp_path)
    names = dict.fromkeys(("texts", "asked", "images", "tokens"))
    exec(exported(out_of), {"np": np, "save_file": save_file, "model": Encoder(), **names})
    corpus = load_corpus(file)
    np.testing.assert_array_equal(corpus.documents[modality], arrays()[f"documents.{modality}"])
    np.testing.assert_array_equal(corpus.queries[modality], arrays()[f"queries.{modality}"])


class Dataset:
    """Has the methods of a Hugging Face dataset that the README calls."""

    def __init__(self, columns, write):
        self.columns, self.write = columns, write

    def select_columns(self, names):
        return Dataset({name: self.columns[name] for name in names}, self.write)

    def to_parquet(self, path):
        self.write(pathlib.Path(path), self.columns)


def test_export_from_a_dataset(tmp_path, monkeypatch, write_table):
    monkeypatch.chdir(tmp_path)
    folder(tmp_path, **{"documents.image": None, "documents.text": None, "queries.image": None})
    dataset = Dataset({"id": IDS, "title": IDS, "text": list(arrays()["documents.text"])}, write_table)
    exec(exported("a Hugging Face dataset"), {"dataset": dataset})
    corpus = load_corpus("corpus")
    assert list(corpus.ids) == IDS
    np.testing.assert_array_equal(corpus.documents["text"], arrays()["documents.text"])
