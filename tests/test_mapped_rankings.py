"""Rank codes along the directions of relevance, beside NumPy in all directions at once."""

import numpy as np
import pytest

from rdjax.checks import InputError
from rdjax.codes import MappedRankCode, QueryModel, RankCode
from rdjax.codes.saved import load_code, save_code
from rdjax.retrieval import mean_reciprocal_rank

N, D = 60, 6
NOISE = np.array([3.0, 3.0, 0.3, 0.3, 0.3, 0.3])


def world(dtype):
    """(documents, queries, wanted): the two directions of largest variance say next to nothing."""
    rng = np.random.default_rng(4)
    documents = rng.standard_normal((N, D)) * [2.0, 2.0, 1, 1, 1, 1]
    wanted = rng.integers(0, N, 300)
    queries = 0.8 * documents[wanted] + NOISE * rng.standard_normal((300, D))
    return documents.astype(dtype), queries.astype(dtype), wanted


@pytest.fixture(scope="module")
def made(precision):
    documents, queries, wanted = world(precision)
    model = QueryModel.fit(queries[:200], documents[wanted[:200]], blocks=(D,))
    return MappedRankCode.fit(documents, N, model), model


def test_the_top_document_is_the_likeliest(made, precision):
    """Scores (q - m)' Sigma^-1 A (d - mean), by solving with the noise and no map."""
    code, model = made
    documents, queries, _ = world(precision)
    centered = model.coordinate_gains * (documents - documents.mean(axis=0))
    asked = queries[200:] - model.predict(documents.mean(axis=0, keepdims=True))
    scores = asked @ np.linalg.solve(model.noise, centered.T)
    symbols = np.asarray(code.encode(queries[200:]))
    assert (symbols[:, 0] == scores.argmax(axis=1)).mean() > 0.99  # but for ties of rounding
    similar = centered @ np.linalg.solve(model.noise, centered.T)
    similar[np.arange(N), np.arange(N)] = np.inf
    found = np.asarray(code.scores(np.arange(N)[:, None], documents))
    order = lambda rows: np.argsort(-rows, axis=1)
    assert (order(found) == order(similar)).mean() > 0.99


def test_it_ranks_better_than_what_does_not_know_the_noise(made, precision):
    documents, queries, wanted = world(precision)
    worth = lambda code: float(
        mean_reciprocal_rank(np.asarray(code.scores(code.encode(queries[200:]), documents)), wanted[200:])
    )
    assert worth(made[0]) > 2 * worth(RankCode.fit(documents))


@pytest.mark.float64_only
def test_below_the_size_of_the_corpus_rankings_are_designed(made):
    documents, queries, wanted = world(np.float64)
    code = MappedRankCode.fit(documents, 16, made[1], k=4, draws=8)
    assert code.name == "relevance 4 + 16 designed rankings"
    assert code.bits == 4
    assert code.searches_corpus
    assert code.encoder_bytes == 4 * (N * 4 + D + D * 4) + 2 * 16 * N
    symbols = code.encode(queries[200:])
    scores = np.asarray(code.scores(symbols, documents))
    law = np.sum(1 / np.arange(1, N + 1)) / N
    assert float(mean_reciprocal_rank(scores, wanted[200:])) > 2 * law
    again, _ = load_code(save_code(code), "the file")
    np.testing.assert_array_equal(again.encode(queries[200:]), symbols)
    assert np.asarray(code.decode(symbols)).shape == (100, D)
    with pytest.raises(InputError, match="made for 60 documents"):
        code.scores(symbols, documents[:-1])
