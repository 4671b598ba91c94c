"""Rank codes below and above log2 N bits against NumPy: what a codeword ranks, and which one the encoder takes."""

import numpy as np
import pytest

from rdjax.checks import InputError
from rdjax.codes.rank import RankCode
from rdjax.codes.rank_cells import CellRankCode, balanced_cells
from rdjax.codes.rank_designed import DesignedRankCode
from rdjax.limits import one_shot_distortion

N, D, HEAT = 24, 5, 0.25


@pytest.fixture
def corpus(rng, precision):
    """Documents of unit norm and noisy queries for them."""
    documents = rng.standard_normal((N, D))
    documents /= np.linalg.norm(documents, axis=1, keepdims=True)
    queries = np.repeat(documents, 8, axis=0) + 0.3 * rng.standard_normal((8 * N, D))
    return documents.astype(precision), queries.astype(precision)


def codes(corpus):
    documents, queries = corpus
    return (
        DesignedRankCode.fit(documents, 6, queries, temperature=HEAT),
        CellRankCode.fit(documents, 6, temperature=HEAT),
        RankCode.fit(documents, 3 * N - 5, temperature=HEAT),
    )


def posterior(documents, queries):
    logits = queries.astype(np.float64) @ documents.astype(np.float64).T / HEAT
    law = np.exp(logits - logits.max(axis=1, keepdims=True))
    return law / law.sum(axis=1, keepdims=True)


def rankings(code, documents):
    """Ranks [L, N] by the scores of every codeword."""
    scores = np.asarray(code.scores(np.arange(code.num_codewords)[:, None], documents))
    assert all(len(set(row)) == N for row in scores.tolist())
    return 1 + np.argsort(np.argsort(-scores, axis=1), axis=1)


def test_the_encoder_takes_the_ranking_worth_most(corpus):
    """Exactly for all three: no corpus is so large that places are counted among the best documents alone."""
    documents, queries = corpus
    law = posterior(documents, queries)
    for code in codes(corpus):
        ranks = rankings(code, documents)
        worth = 1 / ranks
        if isinstance(code, CellRankCode):  # documents of other cells do not vote
            inside = np.asarray(code.cells)[None, :] == np.arange(code.num_codewords)[:, None]
            worth = np.where(inside, worth, 0)
        value = law @ worth.T
        chosen = np.asarray(code.encode(queries))[:, 0]
        took = value[np.arange(len(queries)), chosen]
        if isinstance(code, RankCode):  # it looks at the codewords of two documents only
            top = np.argsort(-law, axis=1)[:, :2]
            first = ranks.argmin(axis=1)
            allowed = (first[None, :] == top[:, :1]) | (first[None, :] == top[:, 1:])
            value = np.where(allowed, value, -1)
        np.testing.assert_allclose(took, value.max(axis=1), rtol=1e-5)


def test_rankings_of_documents_that_follow(corpus):
    """Codeword f N + t: t, the f-th nearest to it, and the rest by similarity to both."""
    documents, _ = corpus
    code = codes(corpus)[2]
    similar = documents.astype(np.float64) @ documents.astype(np.float64).T
    ranks = rankings(code, documents)
    for codeword in range(code.num_codewords):
        follows, top = divmod(codeword, N)
        order = [top]
        rest = similar[top].copy()
        if follows:
            others = [j for j in np.argsort(-similar[top]) if j != top]
            order.append(others[follows])
            rest = rest + similar[order[1]]
        order += [j for j in np.argsort(-rest) if j not in order]
        assert np.argsort(ranks[codeword]).tolist() == order


def test_designed_rankings_beat_the_ones_they_start_from_and_stay_below_theorem_c(corpus):
    documents, _ = corpus
    exact = np.repeat(documents, 4, axis=0)
    code = DesignedRankCode.fit(documents, 6, exact, temperature=0.01)
    ranks = rankings(code, documents)
    value = np.mean(1 / ranks[np.asarray(code.encode(documents))[:, 0], np.arange(N)])
    limit = 1 - float(one_shot_distortion(6, N))
    assert 0.97 * limit <= value <= limit + 1e-6


def test_cells_are_equal_and_come_first(corpus, rng):
    documents, _ = corpus
    for count in (1, 5, N):
        sizes = np.bincount(balanced_cells(documents, count), minlength=count)
        assert sizes.sum() == N
        assert set(sizes.tolist()) <= {N // count, -(-N // count)}
    code = codes(corpus)[1]
    ranks, cells, places = rankings(code, documents), np.asarray(code.cells), np.asarray(code.places)
    for cell in range(6):
        assert np.array_equal(ranks[cell, cells == cell], places[cells == cell])


def test_real_bytes_and_sides(corpus):
    _, queries = corpus
    for code in codes(corpus):
        symbols = code.encode(queries)
        assert np.array_equal(code.from_bytes(code.to_bytes(symbols)), symbols)
        assert code.sides == ("queries",)
        assert code.searches_corpus
        assert code.rate(symbols).entropy == pytest.approx(np.log2(code.num_codewords))
        assert code.encoder_bytes >= 4 * N * D


@pytest.mark.float64_only
def test_mistakes_are_named(rng):
    documents = rng.standard_normal((4, 3))
    for make, words in (
        (lambda: DesignedRankCode.fit(documents, 0, documents), "number of codewords"),
        (lambda: DesignedRankCode.fit(documents, 2, documents[:, :2]), "shape"),
        (lambda: DesignedRankCode.fit(documents, 2, documents, temperature=0.0), "temperature"),
        (lambda: CellRankCode.fit(documents, 5), "5 cells"),
        (lambda: RankCode.fit(documents, 3), "3 codewords"),
    ):
        with pytest.raises(InputError, match=words):
            make()


def test_one_document(precision):
    documents = np.ones((1, 2), precision)
    for code in (
        DesignedRankCode.fit(documents, 1, documents),
        CellRankCode.fit(documents, 1),
        RankCode.fit(documents),
    ):
        assert code.bits == 0
        assert np.asarray(code.encode(documents)).tolist() == [[0]]
