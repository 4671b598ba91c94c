"""Sign bits and their rescoring against plain loops."""

import numpy as np
import pytest

from rdjax.checks import InputError
from rdjax.codes import SignBits, SignBitsRescored


@pytest.fixture
def documents(rng, precision):
    return (rng.standard_normal((40, 8)) * 0.9 ** np.arange(8) + 0.2).astype(precision)


@pytest.fixture
def queries(rng, precision):
    return rng.standard_normal((9, 8)).astype(precision)


def test_signs_about_the_mean_scaled_by_the_mean_magnitude(documents, queries, tolerance):
    code = SignBits.fit(documents)
    exact = documents.astype(np.float64)
    centered = exact - exact.mean(axis=0)
    np.testing.assert_array_equal(code.encode(documents), centered > 0)
    decoded = exact.mean(axis=0) + np.where(centered > 0, 1, -1) * np.abs(centered).mean(axis=0)
    np.testing.assert_allclose(code.decode(code.encode(documents)), decoded, atol=10 * tolerance)
    np.testing.assert_allclose(code.scores(code.encode(documents), queries), decoded @ queries.T, atol=50 * tolerance)


def test_the_scale_is_the_one_of_least_error(documents):
    code = SignBits.fit(documents)
    exact = documents.astype(np.float64) - documents.astype(np.float64).mean(axis=0)
    signs, scale = np.where(exact > 0, 1, -1), np.asarray(code.scale, np.float64)
    best = np.sum((exact - signs * scale) ** 2)
    for factor in (0.99, 1.01):
        assert np.sum((exact - signs * scale * factor) ** 2) > best


@pytest.mark.parametrize("candidates", [1, 5, 39, 40, 100])
def test_candidates_come_first_by_int8_and_the_rest_by_signs(documents, queries, candidates):
    code = SignBitsRescored.fit(documents, candidates)
    symbols = code.encode(documents)
    coarse = np.asarray(code.signs.scores(symbols[:, :8], queries))
    fine = np.asarray(code.levels.scores(symbols[:, 8:], queries))
    scores = np.asarray(code.scores(symbols, queries))
    assert scores.shape == (40, 9)
    for query in range(9):
        first = np.argsort(-coarse[:, query], kind="stable")
        top, rest = first[:candidates], first[candidates:]
        expected = [*top[np.argsort(-fine[top, query], kind="stable")], *rest]
        np.testing.assert_array_equal(np.argsort(-scores[:, query], kind="stable"), expected)
        np.testing.assert_allclose(scores[top, query], fine[top, query], rtol=1e-5)


def test_bits_stored_and_bits_touched(documents):
    code = SignBitsRescored.fit(documents, 10)
    assert code.bits == 8 + 8 * 8
    assert code.bits_touched(40) == 8 + 8 * 8 * 10 / 40
    assert code.bits_touched(5) == code.bits
    assert code.sides == ("documents",)
    assert SignBits.fit(documents).sides == ("queries", "documents")


@pytest.mark.parametrize("value", [0.0, 3.0])
def test_constant_scores_leave_all_documents_ranked(documents, value):
    code = SignBitsRescored.fit(np.full_like(documents, value), 3)
    scores = np.asarray(code.scores(code.encode(np.full_like(documents, value)), np.zeros((1, 8))))
    assert np.isfinite(scores).all()
    assert scores[:3].min() > scores[3:].max()


@pytest.mark.parametrize("candidates", [0, -2, 1.5, float("nan"), "4"])
def test_no_candidates_are_refused(documents, candidates):
    with pytest.raises(InputError, match="whole number, at least 1"):
        SignBitsRescored.fit(documents, candidates)
