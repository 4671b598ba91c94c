"""Files: what people have is read, and a mistake is one sentence that names the file."""

import os
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from rdjax.checks import InputError
from rdjax.data import load_corpus, load_prior
from tests.corpora import IDS, N, Q, archive, arrays, folder, refused

pytestmark = pytest.mark.float64_only

GOOD = "q0 0 d4 1\nq1 0 d0 1\nq2 0 d3 1\n"


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_npz(tmp_path, save):
    more = {"ids": np.array(IDS), "query_ids": np.array([7, 8, 9]), "prior": np.full(N, 0.2)}
    path = archive(tmp_path, save, **more)
    corpus, wanted = load_corpus(path), arrays()
    assert corpus.modalities == ("image", "text")
    for name in corpus.modalities:
        np.testing.assert_array_equal(corpus.documents[name], wanted[f"documents.{name}"])
        np.testing.assert_array_equal(corpus.queries[name], wanted[f"queries.{name}"])
    assert corpus.documents["text"].dtype == np.float16
    assert corpus.relevant.tolist() == [4, 0, 2]
    assert list(corpus.ids) == IDS
    assert list(corpus.query_ids) == ["7", "8", "9"]
    assert corpus.prior.tolist() == [0.2] * N
    assert corpus.name == "corpus"


def test_columns_first_arrays_keep_their_rows(tmp_path):
    wanted = np.asfortranarray(arrays()["documents.image"])
    for path in (archive(tmp_path, **{"documents.image": wanted}), folder(tmp_path, **{"documents.image": wanted})):
        np.testing.assert_array_equal(load_corpus(path).documents["image"], wanted)


@pytest.mark.parametrize("kind", [folder, archive])
def test_one_modality_needs_no_name(tmp_path, kind):
    gone = dict.fromkeys(arrays())
    path = kind(tmp_path, **gone, documents=np.eye(3), queries=np.ones((2, 3)))
    corpus = load_corpus(path)
    assert corpus.modalities == ("embedding",)
    assert corpus.relevant is None


@pytest.mark.parametrize("kind", [folder, archive])
def test_graded_judgments(tmp_path, kind):
    path = kind(tmp_path, relevant=np.array([[4, 1], [0, -1], [2, 3]]), grades=np.array([[3, 1], [2, 0], [1, 1]]))
    corpus = load_corpus(path)
    assert corpus.relevant.tolist() == [[4, 1], [0, -1], [2, 3]]
    assert corpus.grades.tolist() == [[3, 1], [2, 0], [1, 1]]


def test_a_folder_is_memory_mapped_and_not_copied(tmp_path):
    big = np.ones((2**18, 64), np.float32)
    path = folder(tmp_path, **{"documents.image": big, "queries.image": np.ones((Q, 64))}, **dict.fromkeys(SECOND))
    tracemalloc.start()
    corpus = load_corpus(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert isinstance(corpus.documents["image"], np.memmap)
    assert not corpus.documents["image"].flags.writeable
    assert peak < big.nbytes / 4


SECOND = ("documents.text", "queries.text")


def test_a_folder_with_ids_and_other_files(tmp_path):
    texts = {"ids.txt": "d0\r\nd1\nd2\nd 3 \nd\u2028é\n\n", "query_ids.txt": "\ufeffa\nb\nc", "README.md": "hello"}
    path = folder(tmp_path, texts)
    (tmp_path / "corpus" / "._documents.image.npy").write_bytes(b"left by a file manager")
    corpus = load_corpus(path + os.sep)
    assert corpus.ids == ("d0", "d1", "d2", "d 3", "d\u2028é")
    assert corpus.query_ids == ("a", "b", "c")
    assert corpus.name == "corpus"


def test_ids_as_bytes(tmp_path):
    corpus = load_corpus(folder(tmp_path, ids=np.array([name.encode() for name in IDS])))
    assert list(corpus.ids) == IDS
    bad = tmp_path / "bad"
    bad.mkdir()
    refused(folder(bad, ids=np.array([b"\xff"] * N)), r"ids\.npy holds bytes that are not UTF-8")


@pytest.mark.parametrize(
    ("texts", "changes", "message"),
    [
        ({"qrels.txt": GOOD}, {"relevant": None}, "judges by id and .* has no ids; add ids.txt"),
        ({"qrels.txt": GOOD, "ids.txt": "\n".join(IDS)}, {"relevant": None}, "has no query_ids; add query_ids.txt"),
        ({"qrels.txt": GOOD}, {}, "judgments both in relevant.npy and in qrels.txt; keep one"),
        ({"qrels.txt": GOOD, "x.qrels": GOOD}, {"relevant": None}, "has both qrels.txt and x.qrels; keep one"),
        ({"ids.txt": "\n".join(IDS)}, {"ids": np.array(IDS)}, "has both ids.npy and ids.txt; keep one"),
        ({"ids.txt": "a\n\nb\nc\nd"}, {}, "ids.txt line 2 is empty"),
        ({"ids.txt": "a\nb\nc\nd\na"}, {}, "ids.txt holds 'a' twice, again in row 4"),
        ({"ids.txt": "a\nb\n"}, {}, "ids.txt has 2 entries for 5 documents"),
        ({"query_ids.txt": ""}, {}, "query_ids.txt has 0 entries for 3 queries"),
        ({"qrels.txt": GOOD, "ids.txt": "a\na", "query_ids.txt": "q"}, {"relevant": None}, "ids.txt holds 'a' twice"),
    ],
)
def test_folder_mistakes(tmp_path, texts, changes, message):
    refused(folder(tmp_path, texts, **changes), message)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("qrels.txt.gz", "may hold judgments and is not read; unpack it and name it qrels.txt, or keep it elsewhere"),
        ("2019qrels-pass.txt", "2019qrels-pass.txt may hold judgments and is not read; name it qrels.txt"),
        ("QRELS.msmarco.dev.txt", "may hold judgments and is not read"),
        ("a.qrels.zip", "may hold judgments and is not read; unpack it"),
        ("documents.title.npy.gz", "documents.title.npy.gz is packed and not read; unpack it, or keep it elsewhere"),
        ("ids.txt.zst", "is packed and not read"),
        ("bm25.run.gz", "is packed and not read"),
        ("corpus.npz", "corpus.npz is not read: in a folder arrays are .npy files, or columns of documents.parquet"),
        ("documents.safetensors", "is not read: in a folder"),
        ("queries_title.npz", "is not read: in a folder"),
        ("documents-00000-of-00004.parquet", "is not read: in a folder"),
        ("prior.txt", "prior.txt is not read: in a folder this is prior.npy; save it so, or keep it elsewhere"),
        ("relevant.csv", r"in a folder this is relevant\.npy"),
        ("grades.json", r"in a folder this is grades\.npy"),
        ("ids.tsv", r"in a folder this is ids\.txt, one id per line"),
    ],
)
def test_what_looks_like_ours_and_is_not_read_is_refused(tmp_path, name, message):
    """Before, an audit without judgments went on without a word. A folder of this name is another matter."""
    path = folder(tmp_path, relevant=None)
    place = tmp_path / "corpus" / name
    place.mkdir()
    assert load_corpus(path).relevant is None
    place.rmdir()
    place.write_bytes(b"")
    assert refused(path, message).startswith(str(place))


def test_other_files_may_stand_in_a_folder(tmp_path):
    """Raw texts, models, downloads; judgments beside those that are read, and what is there unpacked."""
    names = ["queries.tsv", "corpus.txt", "model.safetensors", "scifact.zip", "queries.csv.gz", "idsets.npz"]
    names += ["a.parquet", "qrels.train.txt", "qrels.txt.gz", "documents.image.npy.gz"]
    assert load_corpus(folder(tmp_path, dict.fromkeys(names, "-"))).relevant.tolist() == [4, 0, 2]


CHANGES = {
    "nan": ({"documents.text": np.array([[1, 1, 1]] * 3 + [[1, np.nan, 1]] + [[1, 1, 1]])}, "NaN or infinity in row 3"),
    "zero row": ({"queries.image": np.diag([1, 1, 0])[:, [0, 1, 2, 2]]}, "all zeros in row 2"),
    "out of range": ({"relevant": np.array([0, 5, 1])}, "relevant.* has 5 in row 1, but there are 5 documents"),
    "shapes": ({"queries.text": np.ones((Q, 9))}, "documents.text.* has 3 columns and .*queries.text.* has 9"),
    "rows": ({"queries.text": np.ones((Q + 1, 3))}, "queries.text.* has 4 rows and .*queries.image.* has 3"),
    "no queries": ({"queries.image": np.ones((0, 4)), "queries.text": np.ones((0, 3))}, "queries.image.* has no rows"),
    "empty modality": ({"documents.image": np.ones((N, 0))}, "documents.image.* has no columns"),
    "strings": ({"documents.image": np.full((N, 4), "x")}, "documents.image.* holds <U1 values"),
    "records": ({"documents.image": np.zeros(N, [("a", "f4"), ("b", "f4")])}, "holds records of several fields"),
    "ids of floats": ({"ids": np.ones(N)}, "ids.* holds float64 values; it must hold strings"),
    "ids of two axes": ({"ids": np.array([IDS])}, r"ids.* has shape \(1, 5\)"),
    "prior": ({"prior": np.full(N, 0.3)}, "prior.* sums to 1.5"),
    "grades": ({"grades": np.ones((Q, 1))}, "grades.* has shape"),
    "a number": ({"prior": np.float64(3)}, r"prior.* has shape \(\)"),
    "no documents at all": (dict.fromkeys(("documents.image", "documents.text")), "has no documents"),
    "no queries at all": (dict.fromkeys(("queries.image", "queries.text")), "has no queries"),
    "lone modality": ({"queries.text": None}, "documents.text.* has no partner among the queries"),
    "one document": (
        {"documents.image": np.ones((1, 4)), "documents.text": np.ones((1, 3)), "relevant": np.zeros(Q, int)},
        "documents.image.* holds one document; a ranking needs at least two",
    ),
    "unknown": ({"document.image": np.ones((N, 4))}, "unknown.* documents.NAME, queries.NAME, relevant, grades, ids"),
    "no name": ({"documents.": np.ones((N, 4))}, "is unknown"),
}


@pytest.mark.parametrize("kind", [folder, archive])
@pytest.mark.parametrize("change", CHANGES)
def test_mistakes_name_the_file(tmp_path, kind, change):
    changes, message = CHANGES[change]
    refused(kind(tmp_path, **changes), message)


def test_the_file_is_named_as_it_was_typed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder(tmp_path, **CHANGES["nan"][0])
    assert refused("./corpus", "NaN").startswith("./corpus/documents.text.npy has")
    archive(tmp_path, **CHANGES["nan"][0])
    assert refused("./corpus.npz", "NaN").startswith("./corpus.npz: documents.text has")
    refused("nowhere.npz", "^nowhere.npz does not exist")
    (tmp_path / "vectors.csv").write_bytes(b"1,2")
    refused("vectors.csv", "neither a .npz or .safetensors file nor a folder")
    for name in ("one.npy", "documents.parquet"):
        (tmp_path / name).write_bytes(b"PAR1")
        kind = Path(name).suffix
        both = f"documents{kind}, beside queries{kind}"
        refused(name, f"is one side of a corpus; put it into a folder as {both}, and give that")


def test_documents_twice(tmp_path):
    both = {"documents": np.ones((N, 2)), "documents.embedding": np.ones((N, 2))}
    refused(archive(tmp_path, **both), "has documents.embedding twice")
    refused(folder(tmp_path, **both), "has both documents.embedding.npy and documents.npy")


def test_unknown_keys_are_listed_before_anything_is_read(tmp_path):
    path = archive(tmp_path, docs=np.ones(3))
    refused(path, "has the key 'docs', which is unknown; the known ones are documents.NAME, queries.NAME, relevant")


def test_files_that_cannot_be_opened(tmp_path):
    path = folder(tmp_path)
    (tmp_path / "corpus" / "prior.npy").mkdir()
    refused(path, r"prior\.npy cannot be read: Is a directory")


@pytest.mark.parametrize("name", ["prior.txt", "prior.npy"])
def test_load_prior(tmp_path, name):
    path, law = tmp_path / name, [0.5, 0.25, 0.25, 0, 0]
    if name.endswith(".npy"):
        np.save(path, np.array(law, np.float32))
    else:
        path.write_text("0.5\n2.5e-1\n.25\n0\n0\n")
    prior = load_prior(str(path), N)
    assert prior.dtype == np.float64
    assert prior.tolist() == law


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("p.txt", "0.5\nhalf\n", r"p\.txt line 2 is 'half'; write one number per line"),
        ("p.txt", "0.5 0.5\n", r"p\.txt line 1 is '0.5 0.5'"),
        ("p.txt", "0.5\n0.5\n", r"p\.txt has shape \(2,\); .* each of the 5 documents"),
        ("p.txt", "", r"p\.txt has shape \(0,\)"),
        ("p.txt", "0.5\n0.5\n0.5\n0\n0\n", r"p\.txt sums to 1.5"),
        ("p.txt", "nan\n1\n0\n0\n0\n", r"p\.txt has an entry nan at 0;"),
        ("p.txt", "-1\n2\n0\n0\n0\n", r"p\.txt has an entry -1 at 0;"),
        ("p.txt", b"\xff\xfe", r"p\.txt is not UTF-8"),
        ("p.npy", b"\x93NUMPY", r"p\.npy is not a .npy array"),
        ("gone.txt", None, r"gone\.txt does not exist"),
    ],
)
def test_load_prior_mistakes(tmp_path, name, content, message):
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(InputError, match=message) as caught:
        load_prior(str(path), N)
    assert str(caught.value).startswith(str(path))


def test_load_prior_refuses_another_shape_and_objects(tmp_path):
    np.save(tmp_path / "p.npy", np.full((N, 1), 0.2))
    with pytest.raises(InputError, match=r"has shape \(5, 1\)"):
        load_prior(tmp_path / "p.npy", N)
    np.save(tmp_path / "p.npy", np.array([0.2] * N, object), allow_pickle=True)
    with pytest.raises(InputError, match="holds Python objects"):
        load_prior(tmp_path / "p.npy", N)
