"""The simplest rank code against its definition."""

import math

import numpy as np
import pytest

from rdjax.checks import InputError
from rdjax.codes import RankCode
from rdjax.codes import rank as rank_module


@pytest.fixture
def documents(rng, precision):
    return rng.standard_normal((50, 6)).astype(precision)


@pytest.fixture
def queries(rng, precision):
    return rng.standard_normal((30, 6)).astype(precision)


def test_the_codeword_is_the_number_of_the_top_document(documents, queries):
    code = RankCode.fit(documents)
    np.testing.assert_array_equal(np.asarray(code.encode(queries))[:, 0], (queries @ documents.T).argmax(axis=1))


def test_the_search_in_blocks_is_the_search(documents, queries, monkeypatch):
    monkeypatch.setattr(rank_module, "_SCORES_AT_ONCE", 50 * 7)  # 7 queries at a time, of 23, a shape of its own
    queries = queries[:23]
    np.testing.assert_array_equal(
        np.asarray(RankCode.fit(documents).encode(queries))[:, 0], (queries @ documents.T).argmax(axis=1)
    )


def test_the_ranking_is_the_named_document_and_then_the_most_similar(documents, queries):
    """Norms differ, so the named document is often not the most similar to itself."""
    code = RankCode.fit(documents)
    symbols = np.asarray(code.encode(queries))
    scores = np.asarray(code.scores(symbols, documents))
    for row, (first,) in zip(scores, symbols, strict=True):
        similar = np.argsort(-(documents @ documents[first]), kind="stable")
        np.testing.assert_array_equal(np.argsort(-row, kind="stable"), [first, *similar[similar != first]])


def test_a_copy_of_the_named_document_comes_after_it(documents):
    documents[7] = documents[3]
    code = RankCode.fit(documents)
    scores = np.asarray(code.scores([[7], [3]], documents))
    np.testing.assert_array_equal(scores.argmax(axis=1), [7, 3])
    similar = documents @ documents[3]
    np.testing.assert_allclose(scores[[0, 1], [3, 7]], similar[3], rtol=1e-5)


def test_it_decodes_to_the_document(documents):
    np.testing.assert_array_equal(RankCode.fit(documents).decode([[4], [0]]), documents[[4, 0]])


@pytest.mark.float64_only
@pytest.mark.parametrize(("n", "bits"), [(1, 0), (2, 1), (3, 2), (1000, 10), (1024, 10), (1025, 11)])
def test_bits_of_one_number_and_of_a_batch(rng, n, bits):
    code = RankCode.fit(rng.standard_normal((n, 2)))
    symbols = rng.integers(0, n, (2048, 1))
    rate = code.rate(symbols)
    assert code.bits == bits
    assert rate.entropy == math.log2(n)
    assert rate.single == 8 * math.ceil(bits / 8)
    assert rate.entropy <= rate.packed <= rate.entropy + (48 + 2 * 8) / 2048
    np.testing.assert_array_equal(code.from_bytes(code.to_bytes(symbols)), symbols)


@pytest.mark.float64_only
def test_it_says_what_it_is(documents):
    code = RankCode.fit(documents)
    assert code.searches_corpus
    assert code.sides == ("queries",)
    assert code.encoder_bytes == 4 * 50 * 6
    assert code.num_codewords == 50


def test_another_corpus_and_a_number_out_of_range_are_refused(documents):
    code = RankCode.fit(documents)
    with pytest.raises(InputError, match="made for 50 documents"):
        code.scores([[0]], documents[1:])
    with pytest.raises(InputError, match="outside its alphabet"):
        code.to_bytes(np.array([[50]]))
