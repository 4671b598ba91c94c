"""Answers from k passages: the least error against every encoder and list of a tiny corpus, and the measured split."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import binomtest

from rdjax.checks import InputError
from rdjax.limits import answer_error, least_answer_error, least_error_beyond_luck
from tests.oracles import entropy_bits

N, PRIOR = 4, np.array([0.4, 0.3, 0.2, 0.1])


def codes(k, size):
    """Every encoder of the sought document into `size` codewords with every choice of lists: hit [N], encoder [N]."""
    lists = list(itertools.combinations(range(N), k))
    for encoder in itertools.product(range(size), repeat=N):
        for shown in itertools.product(lists, repeat=size):
            yield np.array([y in shown[c] for y, c in enumerate(encoder)], float), np.array(encoder)


@pytest.mark.float64_only
@pytest.mark.parametrize("k", [1, 2])
def test_least_error_against_every_code_of_two_codewords(k):
    hits, encoders = map(np.array, zip(*codes(k, 2), strict=True))
    rates = np.round([entropy_bits(np.bincount(encoder, PRIOR, 2)) for encoder in encoders], 12)
    values = np.unique(rates)
    for hit, miss in ((0.1, 0.7), (0.5, 0.2)):  # passages help; passages mislead
        errors = (hits * hit + (1 - hits) * miss) @ PRIOR
        alone = float(least_answer_error(1.0, PRIOR, k, hit, miss, alone=True))
        assert alone <= np.min(errors) + 1e-12
        if hit < miss:
            assert alone == pytest.approx(np.min(errors), abs=1e-12)  # Theorem C is attained
        least = np.array([np.min(errors[rates == rate]) for rate in values])
        assert np.all(np.asarray(least_answer_error(values, PRIOR, k, hit, miss)) <= least + 1e-9)


@pytest.mark.float64_only
def test_nothing_is_assumed_of_the_generator(rng):
    """Errors that depend on document, codeword and list: the joint probability alone carries the bound."""
    slack = []
    for k in (1, 2):
        bare = float(least_error_beyond_luck(1.0, PRIOR, k, 0.0, alone=True))
        for hit, _ in codes(k, 2):
            wrong = rng.random(N) * (rng.random(N) < 0.5)
            lucky = PRIOR @ ((1 - hit) * (1 - wrong))
            floor = max(bare - lucky, 0)
            slack.append(PRIOR @ wrong - floor)
            blind = PRIOR @ (1 - hit)  # never right on a miss, never wrong on a hit
            assert blind >= bare - 1e-12
    assert min(slack) >= -1e-12
    luck = np.array([0.0, 0.05, 0.9])
    floors = np.asarray(least_error_beyond_luck(1.0, PRIOR, 1, luck, alone=True))
    np.testing.assert_allclose(floors, np.maximum(0.3 - luck, 0), atol=1e-12)  # documents 3 and 4 are missed
    assert least_error_beyond_luck(0.5, PRIOR, 1, 0.0) <= least_error_beyond_luck(0.5, PRIOR, 1, 0.0, alone=True)


def test_edges_and_closed_form(dtype, tolerance):
    errors = jnp.asarray(0.1, dtype), jnp.asarray(0.7, dtype)
    for alone in (False, True):
        rates = np.array([0.0, 2.0, 30.0])
        low, full, more = np.asarray(least_answer_error(rates, N, 1, *errors, alone=alone))
        assert low == pytest.approx(0.7 - 0.6 / N, rel=50 * tolerance)  # no bits: one passage of four
        assert (full, more) == pytest.approx((0.1, 0.1), rel=50 * tolerance)
    everything = least_answer_error(0.0, N, N, *errors, alone=True)  # all documents are read
    assert float(everything) == pytest.approx(0.1, rel=50 * tolerance)
    sizes = np.arange(1, 9)
    each = least_answer_error(np.log2(sizes), 8, 1, *errors, alone=True)
    np.testing.assert_allclose(each, 0.7 - 0.6 * sizes / 8, rtol=50 * tolerance)


def test_a_rate_in_float32_keeps_its_codewords():
    """A size whose logarithm was rounded down is that size still, eager and traced."""
    sizes = np.arange(1, 41)
    rates = np.log2(sizes).astype(np.float32)
    floor = lambda rate: least_error_beyond_luck(rate, np.full(40, 1 / 40), 1, 0.0, alone=True)
    uniform = least_error_beyond_luck(rates, 40, 1, 0.0, alone=True)
    for found in (uniform, floor(rates), jax.jit(floor)(rates)):
        np.testing.assert_allclose(found, 1 - sizes / 40, atol=1e-6)


@pytest.mark.float64_only
def test_under_jit_vmap_and_grad():
    least = lambda rate, prior, hit, miss: least_answer_error(rate, prior, 1, hit, miss)
    at = (jnp.asarray(0.7), jnp.asarray(PRIOR), jnp.asarray(0.1), jnp.asarray(0.7))
    both = jax.vmap(jax.value_and_grad(least, argnums=(0, 2, 3)), in_axes=(0, None, None, None))
    values, slopes = jax.jit(both)(jnp.array([0.3, 0.7]), *at[1:])
    assert float(values[1]) == pytest.approx(float(least(*at)), abs=1e-9)
    for place, slope in zip((0, 2, 3), slopes, strict=True):
        moved = [float(least(*(x + sign * 1e-5 * (i == place) for i, x in enumerate(at)))) for sign in (1, -1)]
        assert float(slope[1]) == pytest.approx((moved[0] - moved[1]) / 2e-5, rel=1e-4)
    traced = jax.jit(lambda rate: least_answer_error(rate, PRIOR, 1, 0.1, 0.7, alone=True))(jnp.log2(jnp.array([3.0])))
    np.testing.assert_allclose(traced, 0.7 - 0.6 * 0.9)


@pytest.mark.float64_only
def test_the_measured_split(rng):
    hits = rng.random(300) < 0.7
    wrong = rng.random(300) < np.where(hits, 0.1, 0.8)
    found = answer_error(hits, wrong, level=0.9)
    assert found.queries == 300
    conditions = {
        "wrong": (wrong.sum(), 300),
        "miss": ((~hits).sum(), 300),
        "wrong_given_miss": ((wrong & ~hits).sum(), (~hits).sum()),
        "wrong_given_hit": ((wrong & hits).sum(), hits.sum()),
        "right_and_miss": ((~wrong & ~hits).sum(), 300),
    }
    for name, (count, of) in conditions.items():
        bound, exact = getattr(found, name), binomtest(int(count), int(of)).proportion_ci(0.9, "exact")
        assert (bound.lower, bound.upper) == pytest.approx((exact.low, exact.high), abs=1e-9)
        assert bound.evidence == "estimate"
    perfect = answer_error([1, 1, 1], [0, 0, 1])
    assert (perfect.wrong_given_miss.lower, perfect.wrong_given_miss.upper) == (0, 1)  # no miss, nothing known
    assert perfect.miss.lower == 0 < perfect.miss.upper


@pytest.mark.float64_only
@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: answer_error([1], [1, 0]), "same queries"),
        (lambda: answer_error([2], [1]), "only 0 and 1"),
        (lambda: answer_error([1], [1], level=1.0), "coverage"),
        (lambda: least_answer_error(1.0, N, 0, 0.1, 0.7), "k is 0"),
        (lambda: least_answer_error(1.0, 0, 1, 0.1, 0.7, alone=True), "0 documents"),
        (lambda: least_answer_error(-1.0, N, 1, 0.1, 0.7, alone=True), "negative"),
        (lambda: least_answer_error(1.0, N, 1, 0.1, 1.7), "at least 0, at most 1"),
        (lambda: least_error_beyond_luck(1.0, N, 1, -0.1), "at least 0, at most 1"),
    ],
)
def test_mistakes_get_one_sentence(call, words):
    with pytest.raises(InputError, match=words):
        call()
