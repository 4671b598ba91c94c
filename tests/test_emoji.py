"""The emoji corpus: the measured table of its tasks, by NumPy alone in float64."""

from pathlib import Path

import numpy as np
import pytest

import rdjax.data
from rdjax.checks import InputError
from rdjax.data import emoji

pytestmark = pytest.mark.float64_only

# task: MRR of image, text, sum of cosines; ties counted against us
TABLE = {
    "T1": (0.539, 0.387, 0.710),
    "T2": (0.539, 0.750, 0.873),
    "T3": (0.539, 0.595, 0.801),
    "T4": (0.640, 0.631, 0.844),
}
RECALL = {"T1": 0.590, "T2": 0.806, "T3": 0.726, "T4": 0.776}
WRONG_IMAGES = {"T1": 0.450, "T2": 0.663, "T3": 0.540, "T4": 0.561}


def score(corpus, name):
    queries, documents = (side[name].astype(np.float64) for side in (corpus.queries, corpus.documents))
    return queries @ documents.T


def fused(corpus):
    return score(corpus, "image") + score(corpus, "text")


def against(scores, relevant):
    """(documents above the relevant one, documents level with it, itself included) for each query."""
    own = scores[np.arange(len(relevant)), relevant][:, None]
    return (scores > own).sum(1), (scores == own).sum(1)


def pessimistic(scores, relevant):
    above, level = against(scores, relevant)
    return 1 / (above + level)


def expected(scores, relevant):
    """Mean of 1 / rank over all orders of the documents that are level."""
    above, level = against(scores, relevant)
    return np.array([np.mean([1 / (a + j) for j in range(1, n + 1)]) for a, n in zip(above, level, strict=True)])


@pytest.mark.parametrize("task", TABLE)
def test_the_measured_table(task):
    _, test = emoji(task)
    scores = [score(test, "image"), score(test, "text"), fused(test)]
    found = [pessimistic(s, test.relevant).mean() for s in scores]
    np.testing.assert_allclose(found, TABLE[task], atol=0.001, rtol=0)
    recall = np.mean(pessimistic(scores[2], test.relevant) == 1)
    np.testing.assert_allclose(recall, RECALL[task], atol=0.001, rtol=0)


def test_repeated_texts_count_less_with_expected_ties():
    _, test = emoji("T1")
    np.testing.assert_allclose(expected(score(test, "text"), test.relevant).mean(), 0.409, atol=0.001, rtol=0)


def test_two_corpora_of_different_concepts():
    fit, test = emoji()
    assert (fit.num_documents, fit.num_queries) == (228, 228)
    assert (test.num_documents, test.num_queries) == (1000, 1000)
    assert not set(fit.ids) & set(test.ids)
    assert len({*fit.ids, *test.ids}) == 1228
    assert all(int(point, 16) for name in test.ids for point in name.split("-"))
    for corpus in (fit, test):
        assert corpus.modalities == ("image", "text")
        assert [corpus.documents[name].shape[1] for name in corpus.modalities] == [512, 384]
        assert corpus.ids == corpus.query_ids
        np.testing.assert_array_equal(corpus.relevant, np.arange(corpus.num_queries))
        for array in (*corpus.documents.values(), *corpus.queries.values()):
            assert array.dtype == np.float32
            np.testing.assert_allclose(np.linalg.norm(array, axis=1), 1, atol=1e-3)


def test_vectors_are_centered_on_the_concepts_outside_the_test():
    """Centered, then scaled to unit norm: what remains of the mean is the scaling's doing."""
    for task in TABLE:
        fit, _ = emoji(task)
        for array in (*fit.documents.values(), *fit.queries.values()):
            assert np.linalg.norm(array.mean(0)) < 0.05


def test_the_corpus_says_what_it_is():
    _, test = emoji("T3")
    said = " ".join(test.notes)
    for word in ("not photographs", "no joint image-text space", "Flickr30k", "Noto", "CC BY 4.0", "Fluent", "CLDR"):
        assert word in said
    assert test.name == "emoji T3"


@pytest.mark.parametrize("task", TABLE)
def test_wrong_images(task):
    for right, wrong in zip(emoji(task), emoji(task, wrong_images=True), strict=True):
        moved = (right.queries["image"] != wrong.queries["image"]).any(axis=1)
        assert moved.sum() == right.num_queries // 2  # every chosen query has another's image
        order = [tuple(sorted(map(tuple, c.queries["image"][moved].tolist()))) for c in (right, wrong)]
        assert order[0] == order[1]  # and they are the images of the chosen half
        for name in ("image", "text"):
            np.testing.assert_array_equal(right.documents[name], wrong.documents[name])
        np.testing.assert_array_equal(right.queries["text"], wrong.queries["text"])
        assert "another query's image" in wrong.notes[-1]
    # another random half was measured; the mean over 1,000 queries has a standard deviation of .012
    np.testing.assert_allclose(pessimistic(fused(wrong), wrong.relevant).mean(), WRONG_IMAGES[task], atol=0.035)


def test_wrong_images_follow_the_seed():
    first, again, other = (emoji("T1", wrong_images=True, seed=s)[1].queries["image"] for s in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_no_such_task():
    with pytest.raises(InputError, match="no emoji task 'T5'; choose one of T1, T2, T3, T4"):
        emoji("T5")


def test_attributions_ship_with_the_corpus():
    root = Path(rdjax.data.__file__).parents[2]
    notice = (root / "NOTICE").read_text()
    for name in ("Noto", "Twemoji", "CC BY 4.0", "Fluent", "emojibase-data", "CLDR", "EfficientNet", "MiniLM", "e5"):
        assert name in notice
