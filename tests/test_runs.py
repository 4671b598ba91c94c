"""Runs of other systems, in TREC's format."""

import numpy as np
import pytest

from rdjax.checks import InputError
from rdjax.data import Corpus, load_corpus
from rdjax.data.ranked import Run
from rdjax.data.runs import read_run

pytestmark = pytest.mark.float64_only
IDS, ASKED = ("d0", "d1", "d2", "d3"), ("q0", "q1", "q2")
TEXT = "q1 Q0 d2 1 7.5 bm25\nq1 Q0 d0 2 7.5 bm25\nq1 Q0 d3 9 8 bm25\nq0 Q0 d1 1 -3e2 bm25\nq9 Q0 d1 1 1 bm25\n"


@pytest.fixture
def path(tmp_path):
    (tmp_path / "a.run").write_text(TEXT)
    return str(tmp_path / "a.run")


def test_scores_order_and_what_is_left_out_comes_last(path):
    """By hand: q1 has d3, then d2 and d0 tied, then d1; q0 has d1, then the others tied; q2 has all four tied."""
    run = read_run(path, IDS, ASKED)
    above, tied = run.counts(np.array([[1, 0], [0, 1], [2, -1]]), 4)
    np.testing.assert_array_equal(above, [[0, 1], [1, 3], [0, 0]])
    np.testing.assert_array_equal(tied, [[1, 3], [2, 1], [4, 0]])
    np.testing.assert_array_equal(run.take([1]).counts(np.array([3]), 4), [[0], [1]])


def test_counts_are_those_of_the_scores(rng):
    """Against a full score matrix: what a run leaves out scores minus infinity."""
    scores = rng.integers(0, 4, (30, 9)).astype(float)
    scores[rng.random((30, 9)) < 0.4] = -np.inf
    order = np.argsort(-scores, axis=1)
    placed = np.take_along_axis(scores, order, axis=1)
    run = Run(np.where(np.isfinite(placed), order, -1), placed)
    wanted = rng.integers(0, 9, 30)
    own = scores[np.arange(30), wanted][:, None]
    above, tied = run.counts(wanted, 9)
    np.testing.assert_array_equal(above, (scores > own).sum(axis=1))
    np.testing.assert_array_equal(tied, (scores == own).sum(axis=1))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("q1 Q0 d2 1 7.5\n", "line 1 has 5 columns"),
        (TEXT + "q0 Q0 d7 1 1 bm25\n", "line 6 ranks document 'd7', which is not among"),
        (TEXT + "q0 Q0 d1 2 1 bm25\n", "line 6 ranks document 'd1' for 'q0' again"),
        ("q0 Q0 d1 1 nan bm25\n", "line 1 has the score 'nan'"),
        ("q0 Q0 d1 1 high bm25\n", "line 1 has the score 'high'"),
        ("q7 Q0 d1 1 2 bm25\n", "ranks nothing for any of the 3 queries"),
        ("", "ranks nothing for any of the 3 queries"),
    ],
)
def test_a_bad_run_is_one_sentence(tmp_path, text, words):
    (tmp_path / "bad.run").write_text(text)
    with pytest.raises(InputError, match=words):
        read_run(str(tmp_path / "bad.run"), IDS, ASKED)


def test_ids_with_spaces_between_tabs(tmp_path):
    """As judgments have them; a line that mixes tabs and spaces is split at both."""
    ids, text = ("d 0", "d1"), "q 1\tQ0\td 0\t1\t2.5\tmy run\nq 1\tQ0\td1\t2\t1\tmy run\nq0 Q0\td1 1\t4 bm25\n"
    (tmp_path / "a.run").write_text(text)
    run = read_run(str(tmp_path / "a.run"), ids, ("q0", "q 1"))
    np.testing.assert_array_equal(run.documents, [[1, -1], [0, 1]])
    np.testing.assert_array_equal(run.scores, [[4, -np.inf], [2.5, 1]])
    (tmp_path / "a.run").write_text("q 1\tQ0\td 0\t1\t2.5\n")
    with pytest.raises(InputError, match="line 1 has 7 columns"):
        read_run(str(tmp_path / "a.run"), ids, ("q0", "q 1"))


def test_a_folder_brings_its_runs(tmp_path, path, rng):
    for side, count in (("documents", 4), ("queries", 3)):
        np.save(tmp_path / f"{side}.text.npy", rng.standard_normal((count, 2)))
    with pytest.raises(InputError, match=r"a\.run ranks by id and .* has no ids; add ids\.txt"):
        load_corpus(tmp_path)
    (tmp_path / "ids.txt").write_text("\n".join(IDS))
    (tmp_path / "query_ids.txt").write_text("\n".join(ASKED))
    (tmp_path / "b.trec").write_text(TEXT)
    corpus = load_corpus(tmp_path)
    assert set(corpus.runs) == {"a", "b"}
    part = corpus.take_queries([1, 0])
    np.testing.assert_array_equal(part.runs["a"].documents, corpus.runs["a"].documents[[1, 0]])
    assert Corpus({"text": np.eye(3)}, {"text": np.eye(3)}).runs == {}
    (tmp_path / "b.run").write_text(TEXT)
    with pytest.raises(InputError, match=r"both b\.run and b\.trec"):
        load_corpus(tmp_path)


def test_a_run_that_lacks_queries_is_noted(tmp_path):
    for side, names in (("documents", IDS), ("queries", ASKED)):
        np.save(tmp_path / f"{side}.npy", np.random.default_rng(0).standard_normal((len(names), 3)))
        (tmp_path / f"{'ids' if side == 'documents' else 'query_ids'}.txt").write_text("\n".join(names) + "\n")
    np.save(tmp_path / "relevant.npy", np.arange(3))
    (tmp_path / "bm25.run").write_text(TEXT)
    assert load_corpus(tmp_path).notes == (
        "1 of the 3 queries are not in the run bm25, where all documents tie for them",
    )
    (tmp_path / "bm25.run").write_text(TEXT + "q2 Q0 d2 1 7.5 bm25\n")
    assert load_corpus(tmp_path).notes == ()
