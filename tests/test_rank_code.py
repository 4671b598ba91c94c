"""Rank codes against their definitions, written out in NumPy, and against Theorem C."""

import math

import jax
import numpy as np
import pytest

from rdjax.checks import InputError
from rdjax.codes import rank as rank_module
from rdjax.codes.rank import RankCode
from rdjax.codes.rank_cells import CellRankCode, balanced_cells
from rdjax.codes.rank_designed import DesignedRankCode
from rdjax.codes.wrapped import Weighted
from rdjax.limits import one_shot_distortion
from rdjax.limits.rankings_code import first_orders

N, D, Q = 50, 6, 30


def falling(scores):
    """Orders by falling scores, the lower number first among equals."""
    return np.argsort(-np.asarray(scores), axis=-1, kind="stable")


def ranks_of(orders):
    return np.argsort(orders, axis=-1) + 1


def posterior(queries, documents, temperature=1.0):
    logits = queries.astype(float) @ documents.astype(float).T / temperature
    law = np.exp(logits - logits.max(axis=1, keepdims=True))
    return law / law.sum(axis=1, keepdims=True)


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
    assert rate.entropy <= rate.payload <= rate.entropy + 2 * 8 / 2048
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
    with pytest.raises(InputError, match="made for 50 documents"):
        Weighted.fit(code, np.ones(6)).scores([[0]], documents[1:])
    with pytest.raises(InputError, match="outside its alphabet"):
        code.to_bytes(np.array([[50]]))


# more codewords than documents


def followed(documents, first, row):
    """The ranking of codeword row * N + first, by its definition."""
    others = [j for j in falling(documents @ documents[first]) if j != first]
    if row == 0:
        return [first, *others]
    second = others[row]
    rest = falling(documents @ (documents[first] + documents[second]))
    return [first, second, *(j for j in rest if j not in (first, second))]


def test_what_follows_the_top_document(documents):
    code = RankCode.fit(documents, 4 * N)
    symbols = np.arange(0, 4 * N, 7)[:29]  # a few of all four rows
    orders = falling(code.scores(symbols[:, None], documents))
    np.testing.assert_array_equal(orders, [followed(documents, c % N, c // N) for c in symbols])
    second = followed(documents, 3, 2)[1]
    np.testing.assert_allclose(code.decode([[2 * N + 3]])[0], (documents[3] + documents[second]) / 2, rtol=1e-6)


@pytest.mark.parametrize("codewords", [4 * N, 3 * N + 11])
def test_the_encoder_takes_the_codeword_worth_most(documents, queries, codewords):
    """Of those of the query's two top documents, the best 32 of the posterior counting."""
    code = RankCode.fit(documents, codewords, temperature=2.0)
    chosen = np.asarray(code.encode(queries))[:, 0]
    law = posterior(queries, documents, 2.0)
    law[np.arange(Q)[:, None], falling(law)[:, 32:]] = 0
    for row, c in zip(law, chosen, strict=True):
        allowed = [f * N + t for t in falling(row)[:2] for f in range(4) if f * N + t < codewords]
        worth = [row @ (1 / ranks_of(followed(documents, k % N, k // N))) for k in allowed]
        assert c in allowed
        assert worth[allowed.index(c)] >= max(worth) * (1 - 1e-5)


def test_more_codewords_are_worth_more(documents, queries):
    """Expected reciprocal rank under the posterior rises with L, up to the sorted posterior's."""
    law = posterior(queries, documents)
    worth = []
    for codewords in (N, 4 * N, 12 * N):
        code = RankCode.fit(documents, codewords)
        ranks = ranks_of(falling(code.scores(code.encode(queries), documents)))
        worth.append(np.mean(np.sum(law / ranks, axis=1)))
    best = np.mean(np.sum(-np.sort(-law, axis=1) / np.arange(1, N + 1), axis=1))
    assert worth[0] < worth[1] < worth[2] < best


# designed rankings


@pytest.fixture
def designed(documents, rng):
    asked = np.repeat(documents, 16, axis=0) + 0.5 * rng.standard_normal((16 * N, D)).astype(documents.dtype)
    return DesignedRankCode.fit(documents, 12, asked, temperature=0.5), asked


def test_designed_codewords_are_rankings_and_the_best_is_sent(documents, queries, designed):
    code, _ = designed
    np.testing.assert_array_equal(np.sort(code.orders, axis=1), np.tile(np.arange(N), (12, 1)))
    symbols = np.asarray(code.encode(queries))
    value = posterior(queries, documents, 0.5) @ (1 / ranks_of(np.asarray(code.orders))).T
    taken = value[np.arange(Q), symbols[:, 0]]
    np.testing.assert_allclose(taken, value.max(axis=1), rtol=1e-5)
    np.testing.assert_array_equal(falling(code.scores(symbols, documents)), np.asarray(code.orders)[symbols[:, 0]])
    worth = 1 / ranks_of(np.asarray(code.orders)[symbols[:, 0]])
    mean = worth @ documents / worth.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(code.decode(symbols), mean, rtol=1e-4, atol=1e-5)


def test_each_ranking_is_the_sort_of_its_queries_mean_posterior(documents, designed):
    """What the alternation ends at: the means of k-means, but for re-sorts that were still to come."""
    code, asked = designed
    law = posterior(asked, documents, 0.5)
    orders = np.asarray(code.orders)
    own = np.asarray(code.encode(asked))[:, 0]
    sums = np.zeros((12, N))
    np.add.at(sums, own, law)
    worth = np.sum(sums / ranks_of(orders)) / len(law)
    resorted = np.sum(sums / ranks_of(falling(sums))) / len(law)
    start = np.max(law @ (1 / ranks_of(np.asarray(first_orders(law, 12)))).T, axis=1).mean()
    assert resorted * 0.999 < worth <= resorted * (1 + 1e-6)
    assert worth > 1.05 * start


def test_with_every_ranking_nothing_is_lost(rng, precision):
    three = rng.standard_normal((3, 4)).astype(precision)
    asked = rng.standard_normal((40, 4)).astype(precision)
    code = DesignedRankCode.fit(three, 8, asked)
    assert code.num_codewords == 6
    assert code.bits == 3
    np.testing.assert_array_equal(falling(code.scores(code.encode(asked), three)), falling(asked @ three.T))


# cells


@pytest.mark.parametrize("codewords", [1, 7, N])
def test_cells_come_first_and_then_the_rest_by_similarity(documents, codewords):
    code = CellRankCode.fit(documents, codewords)
    cells, places = np.asarray(code.cells), np.asarray(code.places)
    assert set(np.bincount(cells)) <= {N // codewords, N // codewords + 1}
    orders = falling(code.scores(np.arange(codewords)[:, None], documents))
    for cell, order in enumerate(orders):
        inside = np.flatnonzero(cells == cell)
        center = documents[inside].mean(axis=0)
        np.testing.assert_allclose(code.centers[cell], center, rtol=1e-5, atol=1e-6)
        np.testing.assert_array_equal(order[: len(inside)], inside[falling(documents[inside] @ center)])
        np.testing.assert_array_equal(places[order[: len(inside)]], np.arange(1, len(inside) + 1))
        outside = np.flatnonzero(cells != cell)
        np.testing.assert_array_equal(order[len(inside) :], outside[falling(documents[outside] @ center)])


def test_the_cell_worth_most_is_sent(documents, queries):
    code = CellRankCode.fit(documents, 7, temperature=3.0)
    law = posterior(queries, documents, 3.0)
    worth = np.zeros((Q, 7))
    for y in range(N):
        worth[:, code.cells[y]] += law[:, y] / float(code.places[y])
    sent = np.asarray(code.encode(queries))[:, 0]
    np.testing.assert_allclose(worth[np.arange(Q), sent], worth.max(axis=1), rtol=1e-4)


@pytest.mark.float64_only
def test_cells_attain_theorem_c_where_queries_are_exact():
    """Orthogonal documents and no doubt: no fixed-length code does better, and this one does as well."""
    documents = 100 * np.eye(40)
    for codewords in (1, 6, 20):
        code = CellRankCode.fit(documents, codewords)
        ranks = ranks_of(falling(code.scores(code.encode(documents), documents)))
        score = np.mean(1 / np.diagonal(ranks))
        np.testing.assert_allclose(score, 1 - float(one_shot_distortion(codewords, 40)), rtol=1e-5)


@pytest.mark.float64_only
@pytest.mark.parametrize(("count", "cells"), [(1, 1), (5, 5), (64, 8), (100, 37), (1000, 999)])
def test_cells_are_equal_and_cut_where_points_vary(rng, count, cells):
    found = balanced_cells(rng.standard_normal((count, 3)), cells)
    assert set(np.bincount(found, minlength=cells)) <= {count // cells, count // cells + 1}
    line = np.stack([np.zeros(count), rng.permutation(count)], axis=1)
    ordered = balanced_cells(line, cells)[np.argsort(line[:, 1])]
    np.testing.assert_array_equal(ordered, np.sort(ordered))


@pytest.mark.float64_only
def test_equal_documents_and_one_document_are_cut_too():
    same = np.ones((9, 2))
    code = CellRankCode.fit(same, 4)
    assert sorted(np.bincount(code.cells)) == [2, 2, 2, 3]
    one = CellRankCode.fit(same[:1], 1)
    np.testing.assert_array_equal(one.encode(same[:3]), np.zeros((3, 1)))
    assert (one.bits, RankCode.fit(same[:1], 1).bits) == (0, 0)


# all of them


@pytest.mark.float64_only
def test_they_say_what_they_are_and_come_back_from_bytes(documents, designed, queries):
    made = [RankCode.fit(documents, 101), designed[0], CellRankCode.fit(documents, 9)]
    names = ["top document and what follows, 101 codewords", "12 designed rankings", "9 balanced cells"]
    memory = [4 * N * D, 4 * N * D + 2 * 12 * N, 4 * N * (D + 2)]
    for code, name, held in zip(made, names, memory, strict=True):
        assert (code.name, code.encoder_bytes) == (name, held)
        symbols = np.asarray(code.encode(queries))
        assert code.rate(symbols).entropy == math.log2(code.num_codewords)
        np.testing.assert_array_equal(code.from_bytes(code.to_bytes(symbols)), symbols)
        leaves, tree = jax.tree.flatten(code)
        np.testing.assert_array_equal(jax.tree.unflatten(tree, leaves).encode(queries), symbols)


@pytest.mark.float64_only
@pytest.mark.parametrize(
    ("fit", "message"),
    [
        (lambda x: RankCode.fit(x, N - 1), "there are 50 to 2450"),
        (lambda x: RankCode.fit(x, N * N), "there are 50 to 2450"),
        (lambda x: RankCode.fit(np.ones((70_000, 1)), 1 << 31), "there are 70000 to 2147460000"),
        (lambda x: RankCode.fit(x, temperature=0.0), "temperature is 0.0"),
        (lambda x: RankCode.fit(x, temperature=math.nan), "above 0"),
        (lambda x: CellRankCode.fit(x, N + 1), "51 cells were asked for"),
        (lambda x: CellRankCode.fit(x, 0), "at least 1"),
        (lambda x: DesignedRankCode.fit(x, 4, x[:, 1:]), "fitted on 6 dimensions"),
        (lambda x: DesignedRankCode.fit(x, (1 << 16) + 1, x), "at most 65,536"),
    ],
)
def test_what_cannot_be_is_refused(documents, fit, message):
    with pytest.raises(InputError, match=message):
        fit(documents)
