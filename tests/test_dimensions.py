"""Dimensions of single-vector scores: Cover's count, floors, the moment curve, and free embeddings."""

import itertools
import math

import numpy as np
import pytest
from scipy.optimize import linprog

from rdjax.audit.calculator import limit_at
from rdjax.audit.dimensions import dimensions_for, every_set
from rdjax.checks import InputError
from rdjax.limits import (
    achieved_dimension,
    complete_dimension,
    embed_freely,
    free_embeddings,
    least_dimension,
    log2_rankings,
    moment_curve,
    pattern_dimension,
)
from rdjax.report.limit import dimension_sentences

pytestmark = pytest.mark.float64_only  # on the host


def brute_rankings(n, d):
    """Cover's recursion in whole numbers."""
    if d == 1 or n == 2:
        return 2
    return brute_rankings(n - 1, d) + (n - 1) * brute_rankings(n - 1, d - 1)


@pytest.mark.parametrize("n", [2, 3, 5, 8])
def test_rankings_follow_the_recursion(n):
    for d in range(1, n + 2):
        assert log2_rankings(n, d) == pytest.approx(math.log2(brute_rankings(n, d)), abs=1e-12)
    assert log2_rankings(n, n - 1 or 1) == pytest.approx(math.log2(math.factorial(n)))


@pytest.mark.parametrize(("n", "d"), [(4, 2), (5, 2), (4, 3), (5, 3)])
def test_rankings_are_as_many_as_linear_programs_find(n, d, rng):
    """The count itself: which orders of generic documents some direction gives."""
    documents = rng.standard_normal((n, d))
    found = 0
    for order in itertools.permutations(range(n)):
        falls = np.diff(documents[list(order)], axis=0)  # <c, fall> <= -1 for every one
        found += linprog(np.zeros(d), falls, -np.ones(n - 1), bounds=(None, None)).status == 0
    assert found == brute_rankings(n, d)


@pytest.mark.parametrize(("d", "bits"), [(2, 19.9), (8, 121), (64, 900), (512, 5499)])
def test_a_thousand_documents(d, bits):  # theory notes, section 3.3
    assert log2_rankings(1000, d) == pytest.approx(bits, rel=0.004)


def test_many_documents_are_bounded_from_above():
    for d in (1, 2, 3, 7):
        exact = log2_rankings(4096, d)
        assert log2_rankings(4097, d) >= exact
        assert log2_rankings(4097, d) - exact < 0.05 * d
    assert log2_rankings(10**9, 2) == pytest.approx(2 * math.log2(10**9), rel=1e-3)
    assert log2_rankings(10**9, 10**9) == pytest.approx(math.lgamma(1e9 + 1) / math.log(2))  # N!, without a list of it


def test_no_more_rankings_than_orders():
    everything = log2_rankings(5000, 4999)
    assert log2_rankings(5000, 4000) <= log2_rankings(5000, 4900) <= everything
    assert least_dimension(everything, 5000) <= 4900


def test_least_dimension_is_the_first_with_enough_rankings():
    for n, bits in ((6, 5.0), (50, 30.0), (1000, 900.0), (10**7, 200.0)):
        d = least_dimension(bits, n)
        assert log2_rankings(n, d) >= bits
        assert d == 1 or log2_rankings(n, d - 1) < bits
    assert least_dimension(0.0, 10) == 1
    assert least_dimension(math.log2(math.factorial(10)), 10) == 9
    with pytest.raises(InputError, match="more than"):
        least_dimension(30.0, 10)


def separable(documents, own):
    """Whether a linear function brings these documents strictly above the others: a linear program."""
    d = documents.shape[1]
    signs = np.where(own, -1.0, 1.0)
    rows = np.concatenate([signs[:, None] * documents, -signs[:, None]], axis=1)  # s (<c, e> - t) <= -1
    return linprog(np.zeros(d + 1), rows, -np.ones(len(documents)), bounds=(None, None)).status == 0


@pytest.mark.parametrize(("n", "k"), [(5, 1), (6, 2), (9, 2), (9, 3), (12, 3)])
def test_the_curve_brings_every_set_to_the_top_in_as_few_dimensions_as_the_floor(n, k):
    patterns = every_set(n, k)
    bound = pattern_dimension(patterns)
    queries, documents = moment_curve(patterns)
    scores = queries @ documents.T
    assert np.where(patterns, scores, np.inf).min(axis=1) == pytest.approx(np.where(patterns, scores, -9).max(axis=1))
    assert (np.where(patterns, scores, np.inf).min(axis=1) > np.where(patterns, -np.inf, scores).max(axis=1)).all()
    np.testing.assert_allclose(np.linalg.norm(queries, axis=1), 1)
    np.testing.assert_allclose(np.linalg.norm(documents, axis=1), 1)
    assert documents.shape[1] == 2 * k == complete_dimension(n, k) == bound.lower == bound.upper


@pytest.mark.parametrize(("n", "k", "d"), [(6, 2, 3), (7, 2, 3), (6, 2, 2)])
def test_one_dimension_less_leaves_a_set_out(n, k, d, rng):
    """Radon's theorem, by linear programs over random documents."""
    for _ in range(5):
        documents = rng.standard_normal((n, d))
        assert not all(separable(documents, own) for own in every_set(n, k))


@pytest.mark.parametrize("seed", range(4))
def test_floors_are_below_what_can_be_reached(seed):
    """Patterns that some vectors do satisfy: the floor may not exceed their dimension."""
    rng = np.random.default_rng(seed)
    d, n = int(rng.integers(1, 5)), 14
    scores = rng.standard_normal((200, d)) @ rng.standard_normal((d, n))
    size = rng.integers(1, 5, 200)
    patterns = np.argsort(np.argsort(-scores, axis=1), axis=1) < size[:, None]
    bound = pattern_dimension(patterns)
    assert bound.lower <= d
    assert bound.upper >= bound.lower


def test_hadamard_patterns_need_many():
    hadamard = np.array([[1]])
    for _ in range(5):
        hadamard = np.block([[hadamard, hadamard], [hadamard, -hadamard]])
    bound = pattern_dimension((hadamard > 0)[1:])  # the first row wants all
    assert bound.lower >= math.sqrt(32) - 1.1


def test_free_embeddings_satisfy_what_they_say():
    patterns = every_set(8, 2)
    found = embed_freely(patterns, 5, seed=1)
    queries, documents = np.asarray(found.queries, np.float64), np.asarray(found.documents, np.float64)
    scores = queries @ documents.T
    gaps = np.where(patterns, scores, np.inf).min(axis=1) - np.where(patterns, -np.inf, scores).max(axis=1)
    np.testing.assert_allclose(found.gaps, gaps, atol=1e-6)
    assert found.satisfied == np.mean(gaps > 0) == 1
    again = embed_freely(patterns, 5, seed=1)
    np.testing.assert_array_equal(found.queries, again.queries)


def test_no_start_takes_more_steps_than_are_allowed(monkeypatch):
    taken = []
    monkeypatch.setattr(free_embeddings, "_descend", lambda optimizer, length, state, *_: taken.append(length) or state)
    for steps in (1, 30, 60):
        taken.clear()
        embed_freely(np.eye(6, dtype=bool), 1, steps=steps)
        assert sum(taken) == steps
        assert len(taken) <= free_embeddings.LOOKS


def test_search_ends_between_the_floor_and_the_simplex():
    patterns = every_set(5, 2)
    bound = pattern_dimension(patterns)
    dimension, found = achieved_dimension(patterns, int(bound.lower), 5)
    assert bound.lower <= dimension <= 4
    assert found.documents.shape == (5, dimension)
    assert achieved_dimension(every_set(7, 2), 2, 2, steps=100)[0] is None


def test_one_compilation_for_one_shape():
    from rdjax.limits.free_embeddings import _descend

    patterns = np.eye(6, dtype=bool)
    embed_freely(patterns, 3, steps=60)
    before = _descend._cache_size()
    embed_freely(patterns[::-1], 3, steps=60, seed=5)
    assert _descend._cache_size() == before


def test_the_calculator_tells_all_three():
    found = limit_at(0.8, 7, wanted=2).dimensions
    assert found.rankings == least_dimension(float(limit_at(0.8, 7).floors[0].bits.lower), 7)
    assert (found.bound.lower, found.bound.upper, found.queries) == (4, 4, 21)
    assert found.found is None or found.found >= 4
    assert "exactly 4" in dimension_sentences(found)[2]
    large = dimensions_for(10**6, 20.0, 3)
    assert (large.bound.lower, large.bound.upper, large.tried) == (6, 6, 0)
    assert "too many to search" in dimension_sentences(large)[3]
    vast = dimensions_for(10**15, 20.0, 10**15 // 2)  # C(N, K) has 10^14 digits
    assert (vast.bound.lower, vast.queries) == (10**15 // 2, None)
    assert "More than 10^18 queries are too many" in dimension_sentences(vast)[3]
    assert dimensions_for(62, 1.0, 31).queries == math.comb(62, 31)
    assert (dimensions_for(66, 1.0, 33).queries, dimensions_for(70, 1.0, 35).queries) == (None, None)
    given = dimensions_for(4, 1.0, np.eye(4, dtype=bool))
    assert given.bound.lower <= given.found <= 3
    assert "each of 4 queries" in given.wanted


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: pattern_dimension(np.zeros((2, 3), bool)), "row 0 wants 0 of 3"),
        (lambda: pattern_dimension(np.array([[True, False], [True, True]])), "row 1 wants 2 of 2"),
        (lambda: pattern_dimension(np.eye(3)), "booleans"),
        (lambda: complete_dimension(3, 3), "leave at least one out"),
        (lambda: log2_rankings(1, 2), "number of documents"),
        (lambda: embed_freely(np.eye(3, dtype=bool), 0), "dimension"),
        (lambda: achieved_dimension(np.eye(3, dtype=bool), 3, 2), "from 1 on"),
    ],
)
def test_bad_questions_are_refused(call, words):
    with pytest.raises(InputError) as error:
        call()
    assert words in str(error.value)
