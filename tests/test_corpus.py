"""Corpus: what it keeps, and what it refuses."""

import subprocess
import sys
import tracemalloc

import numpy as np
import pytest

from rdjax.checks import InputError
from rdjax.data import Corpus
from tests.corpora import large_map

pytestmark = pytest.mark.float64_only

N, Q = 6, 4


def fields(**changes):
    """A good corpus of two modalities, as arguments, with changes."""
    rng = np.random.default_rng(5)
    good = {
        "documents": {"image": rng.normal(size=(N, 3)), "text": rng.normal(size=(N, 2)).astype(np.float16)},
        "queries": {"image": rng.normal(size=(Q, 3)), "text": rng.normal(size=(Q, 2))},
        "relevant": np.array([0, 5, 2, 2]),
    }
    return {**good, **changes}


def spoiled(side, modality, row, column, value):
    arrays = {name: array.astype(np.float32) for name, array in fields()[side].items()}
    arrays[modality][row, column] = value
    return {side: arrays}


def zero_row(side, modality, row):
    return spoiled(side, modality, row, slice(None), 0)


def times(side, modality, factor, dtype=np.float32):
    arrays = {name: array.astype(dtype) for name, array in fields()[side].items()}
    return {side: {**arrays, modality: arrays[modality] * dtype(factor)}}


@pytest.mark.parametrize(("factor", "dtype"), [(1e-12, np.float32), (-1e-12, np.float32), (1e-30, np.float64)])
def test_small_vectors_whose_products_are_numbers_are_taken(factor, dtype):
    Corpus(**fields(**times("documents", "image", factor, dtype)))


def test_a_good_corpus_keeps_what_it_was_given():
    given = fields(ids=[f"d{i}" for i in range(N)], query_ids=np.array(["a", "b", "c", "d"]), prior=np.full(N, 1 / N))
    corpus = Corpus(**given, name="mine", notes=["a note"])
    assert (corpus.num_documents, corpus.num_queries, corpus.modalities) == (N, Q, ("image", "text"))
    assert corpus.documents["image"] is given["documents"]["image"]
    assert corpus.documents["text"].dtype == np.float16
    assert corpus.relevant.tolist() == [0, 5, 2, 2]
    assert corpus.ids[5] == "d5"
    assert corpus.query_ids[2] == "c"
    assert corpus.notes == ("a note",)
    assert repr(corpus) == "Corpus('mine': 6 documents, 4 queries, image [3], text [2])"


def test_queries_follow_the_documents_order_of_modalities():
    given = fields()
    given["queries"] = dict(reversed(given["queries"].items()))
    assert tuple(Corpus(**given).queries) == ("image", "text")


def test_without_judgments_and_with_several_per_query():
    assert Corpus(**fields(relevant=None)).relevant is None
    several = Corpus(
        **fields(relevant=[[0, 5], [-1, 1], [2, -1], [3, 4]], grades=[[2, 1], [7, 1], [1, np.nan], [1, 3]])
    )
    assert several.relevant.tolist() == [[0, 5], [-1, 1], [2, -1], [3, 4]]
    assert several.grades.tolist() == [[2, 1], [0, 1], [1, 0], [1, 3]]  # padding is worth nothing, whatever stood there


def test_integers_are_vectors_too():
    corpus = Corpus(documents={"v": np.array([[1, 0], [0, -7]], np.int8)}, queries={"v": np.ones((1, 2), np.int8)})
    assert corpus.documents["v"].dtype == np.int8


ONE_ROW = {"image": np.ones((1, 3)), "text": np.ones((1, 2))}
NO_ROWS = {"image": np.ones((0, 3)), "text": np.ones((0, 2))}

MISTAKES = {
    "nan": (spoiled("documents", "image", 4, 1, np.nan), r"documents\.image has a NaN or infinity in row 4"),
    "inf": (spoiled("queries", "text", 2, 0, -np.inf), r"queries\.text has a NaN or infinity in row 2"),
    "zero row": (zero_row("documents", "text", 3), r"documents\.text is all zeros in row 3"),
    "tiny": (times("documents", "text", 1e-30), r"documents\.text has .*; products underflow float32, so divide"),
    "tiny queries": (times("queries", "image", -1e-17), r"queries\.image has no number .* above 1\.4e-17; products"),
    "tiny in 64 bits": (times("queries", "text", 1e-160, np.float64), "products underflow float64"),
    "zero query": (zero_row("queries", "image", 0), r"queries\.image is all zeros in row 0"),
    "one document": ({"documents": ONE_ROW, "relevant": None}, "one document; a ranking needs at least two"),
    "no documents": ({"documents": NO_ROWS}, r"documents\.image has no rows"),
    "no queries": ({"queries": NO_ROWS}, r"queries\.image has no rows"),
    "no columns": (
        {"documents": {**fields()["documents"], "text": np.ones((N, 0))}},
        r"documents\.text has no columns; an empty modality",
    ),
    "no modality": ({"documents": {}}, "documents must map the name of each modality"),
    "no mapping": ({"queries": np.ones((Q, 3))}, "queries must map the name of each modality"),
    "modality lacks": ({"queries": {"image": np.ones((Q, 3))}}, r"documents\.text has no partner among the queries"),
    "names differ": (
        {"queries": {"image": np.ones((Q, 3)), "audio": np.ones((Q, 2))}},
        r"queries\.audio has no partner among the documents",
    ),
    "dimensions": (
        {"queries": {"image": np.ones((Q, 3)), "text": np.ones((Q, 5))}},
        r"documents\.text has 2 columns and queries\.text has 5",
    ),
    "rows": (
        {"documents": {"image": np.ones((N, 3)), "text": np.ones((N - 1, 2))}},
        r"documents\.text has 5 rows and documents\.image has 6",
    ),
    "one axis": ({"documents": {"image": np.ones(N), "text": np.ones((N, 2))}}, r"documents\.image has shape \(6,\)"),
    "ragged": ({"documents": {"image": [[1, 2, 3], [1, 2]], "text": np.ones((2, 2))}}, "image is not rectangular"),
    "objects": (
        {"documents": {"image": np.ones((N, 3)).astype(object), "text": np.ones((N, 2))}},
        r"documents\.image holds object values; export it as float32",
    ),
    "strings": ({"documents": {"image": np.full((N, 3), "a"), "text": np.ones((N, 2))}}, "image holds <U1 values"),
    "complex": ({"documents": {"image": np.ones((N, 3)) * 1j, "text": np.ones((N, 2))}}, "holds complex128 values"),
    "foreign byte order": (
        {"documents": {"image": np.ones((N, 3), ">f4"), "text": np.ones((N, 2))}},
        "image holds >f4 values; export it as float32",
    ),
    "index too large": (
        {"relevant": [0, 6, 1, 2]},
        "relevant has 6 in row 1, but there are 6 documents, numbered 0 to 5",
    ),
    "index below": ({"relevant": [0, 1, -2, 2]}, "relevant has -2 in row 2"),
    "no judgment": ({"relevant": [0, 1, 2, -1]}, "relevant has no document in row 3"),
    "row of padding": ({"relevant": [[0, 1], [-1, -1], [1, 2], [3, 4]]}, "relevant has no document in row 1"),
    "no column of judgments": ({"relevant": np.zeros((Q, 0), int)}, "relevant has no document in row 0"),
    "index in a table": ({"relevant": [[0, 1], [2, -1], [1, 9], [3, 4]]}, "relevant has 9 in row 2"),
    "named twice": ({"relevant": [[0, 1], [2, -1], [4, 4], [3, 4]]}, "relevant names document 4 twice in row 2"),
    "floats as indices": ({"relevant": [0.0, 1.0, 2.0, 3.0]}, "relevant holds float64 values"),
    "too few judgments": ({"relevant": [0, 1, 2]}, r"relevant has shape \(3,\); for 4 queries it is \(4,\)"),
    "judgments of three axes": ({"relevant": np.zeros((Q, 1, 1), int)}, r"relevant has shape \(4, 1, 1\)"),
    "a number for judgments": ({"relevant": 3}, r"relevant has shape \(\)"),
    "grades alone": ({"relevant": None, "grades": np.ones((Q, 1))}, "grades is given without relevant"),
    "grades of another shape": ({"grades": np.ones(Q)}, r"grades has shape \(4,\) and relevant has \(4,\)"),
    "grade zero": (
        {"relevant": [[0], [1], [2], [3]], "grades": [[1], [2], [0], [1]]},
        "grades has 0 in row 2, column 0",
    ),
    "grade nan": ({"relevant": [[0], [1], [2], [3]], "grades": [[1], [np.nan], [1], [1]]}, "grades has nan in row 1"),
    "grades of words": ({"relevant": [[0], [1], [2], [3]], "grades": [["a"]] * 4}, "grades holds <U1 values"),
    "id count": ({"ids": ["a", "b"]}, "ids has 2 entries for 6 documents"),
    "query id count": ({"query_ids": list("abcde")}, "query_ids has 5 entries for 4 queries"),
    "id twice": ({"ids": list("abcdea")}, "ids holds 'a' twice, again in row 5"),
    "id twice in an array": ({"query_ids": np.array(list("abcb"))}, "query_ids holds 'b' twice, again in row 3"),
    "id not a string": ({"query_ids": ["a", "b", 3, "d"]}, "query_ids holds 3 in row 2"),
    "ids one string": ({"query_ids": "abcd"}, "query_ids is a str"),
    "ids of two axes": ({"query_ids": np.array([["a"], ["b"], ["c"], ["d"]])}, r"query_ids has shape \(4, 1\)"),
    "prior length": ({"prior": np.full(5, 0.2)}, r"prior has shape \(5,\); .* each of the 6 documents"),
    "prior sum": ({"prior": np.full(N, 0.2)}, "prior sums to 1.2, not 1"),
    "prior negative": ({"prior": [1.5, -0.5, 0, 0, 0, 0]}, "prior has an entry -0.5 at 1; probabilities are numbers"),
    "prior nan": ({"prior": [np.nan, 1, 0, 0, 0, 0]}, "prior has an entry nan at 0; probabilities are"),
    "prior of words": ({"prior": list("abcdef")}, "prior holds <U1 values"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_sentence(mistake):
    changes, message = MISTAKES[mistake]
    with pytest.raises(InputError, match=message) as caught:
        Corpus(**fields(**changes))
    sentence = str(caught.value)
    assert sentence.endswith(".")
    assert "\n" not in sentence


def test_an_error_uses_the_name_of_the_source():
    given = fields(**spoiled("documents", "image", 1, 1, np.nan))
    with pytest.raises(InputError, match=r"^some/file\.npy has a NaN or infinity in row 1;"):
        Corpus(**given, sources={"documents.image": "some/file.npy"})


def test_whole_numbers_as_ids_become_strings():
    assert list(Corpus(**fields(ids=np.arange(10, 16))).ids) == ["10", "11", "12", "13", "14", "15"]


@pytest.fixture
def large(tmp_path):
    return large_map(tmp_path)


def test_a_memory_map_is_read_in_blocks_and_not_copied(large):
    queries = np.ones((2, 256), np.float32)
    tracemalloc.start()
    corpus = Corpus(documents={"v": large}, queries={"v": queries}, relevant=[0, 1])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert corpus.documents["v"] is large
    assert peak < large.nbytes / 4


@pytest.mark.parametrize(("value", "message"), [(np.nan, "NaN or infinity in row 65535"), (0, "zeros in row 65535")])
def test_the_last_block_is_read_too(large, value, message):
    large[-1, :] = value
    with pytest.raises(InputError, match=message):
        Corpus(documents={"v": large}, queries={"v": np.ones((2, 256))}, relevant=[0, 1])


def test_take_queries():
    ids = ["a", "b", "c", "d"]
    grades = [[1, 2], [3, 0], [1, 1], [4, 5]]
    corpus = Corpus(**fields(relevant=[[0, 5], [1, -1], [2, 3], [3, 4]], grades=grades, query_ids=ids))
    part = corpus.take_queries([3, 1])
    assert part.documents is corpus.documents
    assert part.num_queries == 2
    np.testing.assert_array_equal(part.queries["text"], corpus.queries["text"][[3, 1]])
    assert part.relevant.tolist() == [[3, 4], [1, -1]]
    assert part.grades.tolist() == [[4, 5], [3, 0]]
    assert part.query_ids == ("d", "b")
    assert corpus.num_queries == 4


@pytest.mark.parametrize(
    ("indices", "message"),
    [
        ([], "no queries are chosen"),
        ([4], "entry 0 is 4, but there are 4 queries"),
        ([0, -1], "entry 1 is -1"),
        ([0.5], "float"),
    ],
)
def test_take_queries_refuses(indices, message):
    with pytest.raises(InputError, match=message):
        Corpus(**fields()).take_queries(indices)


def test_importing_data_does_not_import_jax():
    code = "import sys, rdjax.data; rdjax.data.emoji(); assert not {'jax', 'chex', 'scipy'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
