"""Judgments by id, in the formats of TREC and BEIR."""

import numpy as np
import pytest

from rdjax.checks import InputError
from rdjax.data import Corpus, load_corpus
from rdjax.data.qrels import read_qrels
from tests.corpora import IDS, QUERY_IDS, folder, refused

pytestmark = pytest.mark.float64_only


def with_qrels(tmp_path, text, name="qrels.txt", **changes):
    texts = {"ids.txt": "\n".join(IDS), "query_ids.txt": "\n".join(QUERY_IDS), name: text}
    return folder(tmp_path, texts, relevant=None, **changes)


@pytest.mark.parametrize("name", ["qrels.txt", "test.qrels"])
def test_qrels_one_each(tmp_path, name):
    corpus = load_corpus(with_qrels(tmp_path, "q2 0 d1 1\nq0 0 d4 1\n\nq1 Q0 d0 1\nq1 0 d3 0\nq0 0 d2 -1\n", name))
    assert corpus.relevant.tolist() == [4, 0, 1]
    assert corpus.grades is None


def test_qrels_several_and_graded(tmp_path):
    corpus = load_corpus(with_qrels(tmp_path, "q0 0 d4 2\nq0 0 d1 1\nq1 0 d0 0.5\nq2 0 d3 1\nq2 0 d0 3\n"))
    assert corpus.relevant.tolist() == [[4, 1], [0, -1], [3, 0]]
    assert corpus.grades.tolist() == [[2, 1], [0.5, 0], [1, 3]]


def test_qrels_several_of_one_grade(tmp_path):
    corpus = load_corpus(with_qrels(tmp_path, "q0 0 d4 1\nq0 0 d1 1\nq1 0 d0 1\nq2 0 d3 1\n"))
    assert corpus.relevant.tolist() == [[4, 1], [0, -1], [3, -1]]
    assert corpus.grades is None


def test_qrels_one_each_of_another_grade(tmp_path):
    corpus = load_corpus(with_qrels(tmp_path, "q0 0 d4 2\nq1 0 d0 2\nq2 0 d3 2\n"))
    assert corpus.relevant.tolist() == [[4], [0], [3]]
    assert corpus.grades.tolist() == [[2], [2], [2]]


def test_qrels_of_no_queries(tmp_path):
    texts = {"ids.txt": "\n".join(IDS), "query_ids.txt": "", "qrels.txt": ""}
    refused(folder(tmp_path, texts, relevant=None), r"query_ids\.txt has 0 entries for 3 queries")


@pytest.mark.parametrize("grade", ["nan", "1,0", "l", "1_0"])
@pytest.mark.parametrize("line", ["q0 d4 {}\nq1 d0 1\n", "q1 d0 1\nq0 d4 {}\n", "q0 0 d4 {}\nq1 0 d0 1\n"])
def test_a_grade_that_is_no_number_is_no_header(grade, line, tmp_path):
    refused(with_qrels(tmp_path, line.format(grade)), f"has the grade '{grade}'; it must be a number")


@pytest.mark.parametrize("header", ["query-id\tcorpus-id\tscore\n", ""])
def test_qrels_of_three_columns(tmp_path, header):
    path = with_qrels(tmp_path, f"{header}q0\td4\t1\nq1\td0\t1\nq2\td3\t1\n", "qrels.tsv")
    assert load_corpus(path).relevant.tolist() == [4, 0, 3]


def test_qrels_with_spaces_in_ids(tmp_path):
    texts = {"ids.txt": "a b\nc\nd\ne\nf", "query_ids.txt": "q q\nr\ns", "qrels.tsv": "q q\ta b\t1\nr\tc\t1\ns\td\t1\n"}
    assert load_corpus(folder(tmp_path, texts, relevant=None)).relevant.tolist() == [0, 1, 2]


GOOD = "q0 0 d4 1\nq1 0 d0 1\nq2 0 d3 1\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (GOOD + "q0 0 d9 1\n", r"qrels\.txt line 4 judges document 'd9', which is not among the ids"),
        (GOOD + "q9 0 d1 0\n", r"qrels\.txt line 4 judges query 'q9', which is not among the query ids"),
        (GOOD + "\n\nq0 0 d1 high\n", r"line 6 has the grade 'high'"),
        (GOOD + "q0 0 d1 nan\n", r"line 4 has the grade 'nan'"),
        (GOOD + "q0 d1\n", r"line 4 has 2 columns"),
        (GOOD + "q0 0 d1 1 run\n", r"line 4 has 5 columns"),
        (GOOD + "q0 0 d4 0\n", r"line 4 judges document 'd4' for 'q0' again"),
        ("q0 0 d4 1\nq2 0 d1 1\nq1 0 d1 0\n", r"qrels\.txt has no relevant document for query 'q1'"),
        ("", r"qrels\.txt has no relevant document for query 'q0'"),
        ("q0\td4\tx\nquery\tdocument\tscore\n", "line 1 has the grade 'x'"),
    ],
)
def test_qrels_mistakes(tmp_path, text, message):
    refused(with_qrels(tmp_path, text), message)


def test_an_id_that_differs_by_zeros_is_pointed_at(tmp_path):
    (tmp_path / "qrels.txt").write_text("q0 0 79 1\n")
    with pytest.raises(InputError, match=r"take such lines out, or add the documents \(did you mean '00079'"):
        read_qrels(str(tmp_path / "qrels.txt"), ["00079", "a"], ["q0"])


def test_bfloat16_under_a_plain_name_is_asked_about():
    vectors = np.random.default_rng(0).standard_normal((4, 3)).astype(np.float32)
    with pytest.raises(InputError, match="holds uint16 values beside numbers with fractions; if they are bfloat16"):
        Corpus({"v": vectors.view(np.uint32).astype(np.uint16) + 1}, {"v": vectors})
