"""Bounds of n samples, each on 1,000 random instances against enumeration; the fit of exponents; the experiment."""

import itertools
import math

import jax
import numpy as np
import pytest
from scipy.stats import binom

from rdjax import limits
from rdjax.checks import InputError
from rdjax.codes.allocation import largest_remainder
from rdjax.paper.exponents import BEST, RATE, means_boundary, trained_excesses
from tests import oracles

pytestmark = pytest.mark.float64_only
MANY = 1000
WORTH = 1 / np.arange(1.0, 4)
SIGNS = np.array(list(itertools.product([-1.0, 1.0], repeat=8)))  # all of them, of a sample of eight
RANKS = np.array(list(itertools.permutations(range(3))))  # of three documents
SIZES = (2, 3)


def entropies(laws):
    return -(laws * np.log2(np.where(laws > 0, laws, 1))).sum(axis=-1)


# Rademacher complexity


def pairs(rng):
    """1,000 samples of eight pairs: two cells, three documents."""
    return rng.integers(0, 2, (MANY, 8)), rng.integers(0, 3, (MANY, 8))


suprema = jax.jit(jax.vmap(lambda k, y: limits.decoder_supremum(SIGNS, k, y, sizes=SIZES)))


def test_the_supremum_is_that_of_all_decoders(rng):
    """36 decoders of two cells and three documents, one by one."""
    cells, documents = pairs(rng)
    found = np.asarray(suprema(cells, documents))  # [1000, 256]
    decoders = np.array(list(itertools.product(RANKS, RANKS)))  # [36, cell, document]
    losses = 1 - WORTH[decoders[:, cells, documents]]  # [36, 1000, 8]
    best = np.max(np.einsum("dbi,si->dbs", losses, SIGNS), axis=0) / 8
    np.testing.assert_allclose(found, best, atol=1e-12)
    # so that the bounds are of the complexity itself, all signs being enumerated
    exact = found.mean(axis=1)
    counts = np.stack([(cells == k).sum(axis=1) for k in range(2)], axis=1)
    observed, whatever = limits.observed_complexity(counts, 3), limits.decoder_complexity(2, 3, 8)
    assert np.all(exact <= np.asarray(observed) + 1e-12)
    assert np.all(np.asarray(observed) <= float(whatever) + 1e-12)
    assert np.max(exact / np.asarray(observed)) > 0.6


def test_complexity_is_within_its_bound_s_constant_where_it_is_known():
    """One cell, one pair, two documents: R_n = 1/4, and the bound is 1 / sqrt 8."""
    found = np.mean([float(limits.decoder_supremum([s], [0], [1], sizes=(1, 2))) for s in (-1.0, 1.0)])
    assert found == pytest.approx(0.25)
    assert float(limits.observed_complexity([1], 2)) == pytest.approx(8**-0.5)
    as_array = float(limits.decoder_complexity(1, 2, 1, np.array([1, 0.5])))
    assert as_array == pytest.approx(float(limits.decoder_complexity(1, 2, 1)))
    assert float(limits.decoder_complexity(1, 10**9, 1)) < np.pi / 6**0.5  # whatever the number of documents


@pytest.mark.parametrize(
    ("n", "cells", "documents", "bound", "data"),
    [(1000, 100, 10, 0.263, 0.186), (10_000, 100, 1000, 0.126, 0.0527)],  # the notes have .0506 of fewer draws
)
def test_figures_of_the_theory(n, cells, documents, bound, data, rng):
    k, y = rng.integers(0, cells, n), rng.integers(0, documents, n)
    found, error = limits.rademacher_complexity(jax.random.key(0), k, y, sizes=(cells, documents), draws=40)
    worth = 1 / np.arange(1, documents + 1)
    assert float(found) == pytest.approx(data, rel=0.03)
    assert 0 < float(error) < 0.02 * data
    assert float(limits.decoder_complexity(cells, documents, n)) == pytest.approx(bound, rel=0.005)
    expected = np.linalg.norm(worth - worth.mean()) * np.sqrt(np.bincount(k)).sum() / n
    assert float(limits.observed_complexity(np.bincount(k), documents)) == pytest.approx(expected, rel=1e-9)
    assert float(found) < expected


def test_monte_carlo_and_its_error_against_enumeration(rng):
    cells, documents = (values[0] for values in pairs(rng))
    exact = float(np.mean(limits.decoder_supremum(SIGNS, cells, documents, sizes=SIZES)))
    found, error = limits.rademacher_complexity(jax.random.key(1), cells, documents, sizes=SIZES, draws=4000)
    assert abs(float(found) - exact) < 4 * float(error)
    assert float(error) < 0.03 * exact


def test_massart_for_finite_classes(rng):
    """Random classes of six vectors of losses; and the class of all of them, where it is within a sixth."""
    losses = rng.random((MANY, 6, 8)) ** rng.uniform(0.1, 3, (MANY, 1, 1))
    exact = np.max(losses @ SIGNS.T, axis=1).mean(axis=1) / 8
    bound = float(limits.massart_complexity(np.log(6), 8))
    assert np.all(exact <= bound)
    assert exact.max() > 0.4 * bound
    everything = np.max((SIGNS > 0).astype(float) @ SIGNS.T, axis=0).mean() / 8
    assert everything == 0.5
    assert 1 < float(limits.massart_complexity(8 * np.log(2), 8)) / everything < 1.2


def test_encoders_that_vary(rng):
    """Every threshold on eight points and every decoder behind it: decoders' bound plus that of the growth function."""
    assert float(limits.interval_growth(np.array([2]), 8)) == pytest.approx(np.log(9))
    assert float(limits.interval_growth(np.array([3, 2]), 8)) == pytest.approx(np.log(45 * 9))
    many = [math.log(math.comb(n + 3, 3) * math.comb(n + 7, 7)) for n in (100, 10**6)]
    np.testing.assert_allclose(limits.interval_growth(np.array([4, 8]), np.array([100, 10**6])), many, rtol=1e-6)
    _, documents = pairs(rng)
    thresholds = (np.arange(8) >= np.arange(9)[:, None]).astype(int)
    over = [suprema(np.tile(cells, (MANY, 1)), documents) for cells in thresholds]
    exact = np.max(over, axis=0).mean(axis=1)
    batch = jax.jit(limits.interval_growth)(np.array([[3, 2], [2, 2]]), 8)
    np.testing.assert_allclose(batch, np.log([45 * 9, 81]))
    added = limits.massart_complexity(limits.interval_growth(np.array([2]), 8), 8)
    bound = float(limits.decoder_complexity(2, 3, 8) + added)
    assert np.all(exact <= bound)
    assert exact.max() > bound / 3


def test_trained_codes_keep_within_the_bound(rng):
    """1,000 laws of three cells and three documents, a training set of 600 each, the best decoder for it."""
    n, delta = 600, 0.05
    law = rng.gamma(0.5, size=(MANY, 9)) + 1e-9
    law = (law / law.sum(axis=1, keepdims=True)).reshape(MANY, 3, 3)
    counts = np.array([rng.multinomial(n, row.ravel()) for row in law]).reshape(MANY, 3, 3)
    ranks = np.argsort(np.argsort(-counts, axis=2, kind="stable"), axis=2)
    empirical, true = (1 - (table * WORTH[ranks]).sum(axis=(1, 2)) for table in (counts / n, law))
    complexity = limits.observed_complexity(counts.sum(axis=2), 3)
    bound = np.asarray(limits.generalization_bound(empirical, complexity, n, delta))
    assert np.mean(true > bound) <= delta
    assert np.all(true <= empirical + 2 * np.asarray(complexity) + 3 * np.sqrt(np.log(2 / delta) / (2 * n)))
    assert np.median(bound) < 0.5  # where any ranking has at most 2/3
    assert np.all(true - empirical > -0.1)


# entropies of samples


def test_entropy_continuity(rng):
    p, q = rng.dirichlet(np.full(4, 0.5), (2, MANY))
    distance = np.abs(p - q).sum(axis=1) / 2
    bound = np.asarray(limits.entropy_continuity(distance, 4))
    assert np.all(np.abs(entropies(p) - entropies(q)) <= bound + 1e-12)
    for delta in (0.01, 0.3, 0.75):  # reached
        assert float(limits.entropy_continuity(delta, 4)) == pytest.approx(
            oracles.entropy_bits([1 - delta] + [delta / 3] * 3)
        )
    assert float(limits.entropy_continuity(1.0, 4)) == pytest.approx(2)


def test_bias_and_deviation_of_the_plug_in_entropy(rng):
    """A biased coin, its sample's law enumerated."""
    n, chance, t = rng.integers(2, 60, MANY), rng.random(MANY), rng.uniform(0, 1, MANY)
    for size, p, error in zip(n, chance, t, strict=True):
        heads = np.arange(size + 1)
        law, found = binom.pmf(heads, size, p), entropies(np.stack([heads, size - heads], axis=1) / size)
        mean, true = law @ found, oracles.entropy_bits([p, 1 - p])
        bias = np.log2(1 + 1 / size)
        assert -1e-9 <= true - mean <= bias + 1e-9
        far = law @ (np.abs(found - mean) >= error)
        assert far <= 2 * np.exp(-size * error**2 / (2 * np.log2(size) ** 2)) + 1e-9
        margin = bias + np.log2(size) * np.sqrt(2 * np.log(2 / 0.1) / size)
        assert law @ (np.abs(found - true) > margin) <= 0.1
    np.testing.assert_allclose(limits.entropy_bias(n, 2), np.log2(1 + 1 / n))
    np.testing.assert_allclose(limits.entropy_deviation(t, n), 2 * np.exp(-n * t**2 / (2 * np.log2(n) ** 2)))
    expected = np.log2(1 + 1 / n) + np.log2(n) * np.sqrt(2 * np.log(2 / 0.1) / n)
    np.testing.assert_allclose(limits.entropy_margin(n, 2, 0.1), expected)
    np.testing.assert_allclose(limits.entropy_margin(n, 2, 0.3, 3), expected)  # the union bound
    assert float(limits.entropy_bias(1, 2**20)) == pytest.approx(20)  # reached: one sample of a uniform source
    assert float(limits.entropy_deviation(4.0, 50)) < 0.01


def test_shares_and_allocations_by_estimates(rng):
    """Errors of the entropies at random and at the corners of the margin, where the share's bound is reached."""
    true, margin = rng.uniform(1, 8, (MANY, 3)), rng.uniform(0.01, 0.9, MANY)
    error = rng.uniform(-1, 1, (MANY, 3))
    error[::2] = np.where(error[::2] > 0, 1, -1)
    error[: MANY // 2] = [1, -1, -1]
    fitted = true + error * margin[:, None]
    alpha, estimated = (h / h.sum(axis=1, keepdims=True) for h in (true, fitted))
    bound = np.asarray(limits.share_margin(fitted, margin))
    assert np.all(np.abs(estimated - alpha) <= bound + 1e-12)
    assert np.max(np.abs(estimated - alpha)[:, 0] / bound[:, 0]) > 0.5
    assert np.all(np.asarray(limits.share_margin(np.array([0.1, 0.2]), 0.2)) == 1)
    allowed = np.asarray(limits.allocation_margin(512, np.abs(estimated - alpha)))
    bits = np.array([largest_remainder(row, 512) for row in fitted])
    off = np.abs(bits - 512 * alpha)
    assert np.all(off < allowed)
    assert np.max(off / allowed) > 0.95
    assert np.mean(off > 2) > 0.5  # what (14) of the paper allows


# how an excess falls


def test_intervals_of_the_fit_cover_the_truth():
    """.003 + 2 n^(-.6) under noise: 95% intervals of both, over 150 tables; a floor that is 0 as well."""
    rng, n = np.random.default_rng(0), 2.0 ** np.arange(6, 16)
    covered, naive = [], []
    for trial in range(150):
        floor = 0.003 * (trial % 2)
        excess = 2 * n**-0.6
        table = floor + excess[:, None] * rng.gamma(2.0, 0.5, (10, 60))
        fit = limits.fit_decay(n, table, resamples=100, seed=trial)
        inside = lambda ends, value: ends[0] <= value <= ends[1]
        covered.append((inside(fit.exponent_interval, 0.6), inside(fit.floor_interval, floor)))
        naive.append(fit.slopes[-1])
        assert fit.exponent_interval[0] <= fit.exponent <= fit.exponent_interval[1]
        assert inside(fit.floor_interval, fit.floor)
    assert np.all(np.mean(covered, axis=0) > 0.89)
    assert np.mean(naive[1::2]) > -0.5  # the raw slope sees the floor
    assert fit.scale == pytest.approx(2, rel=0.5)
    assert fit.bootstrap[0] < 0.6 < fit.bootstrap[1]


def test_an_exact_decay_is_recovered():
    n = 10.0 ** np.arange(2, 7)
    table = (0.25 + 3 * n**-1.0)[:, None] * (1 + np.array([-1e-9, 1e-9]))
    for statistic in ("mean", "mean absolute", "quantile"):
        fit = limits.fit_decay(n, table, statistic)
        assert fit.exponent == pytest.approx(1)
        assert fit.floor == pytest.approx(0.25, rel=1e-7)
        assert fit.scale == pytest.approx(3, rel=1e-3)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: limits.fit_decay([1, 2, 4, 8], np.ones((4, 9)), "median"), "statistic is 'median'"),
        (lambda: limits.fit_decay([1, 2, 4], np.ones((3, 9))), "T >= 4"),
        (lambda: limits.fit_decay([1, 2, 2, 8], np.ones((4, 9))), "do not increase"),
        (lambda: limits.fit_decay([1, 2, 4, 8], np.ones((4, 9))), "the same in all"),
        (lambda: limits.decoder_supremum([1.0], [0], [0, 1], sizes=(1, 2)), "for 1 signs"),
        (lambda: limits.decoder_supremum([1.0], [0], [0], sizes=(1, 2), weights=np.array([0.5, 1.0])), "weights rise"),
        (lambda: limits.decoder_supremum([1.0], [0], [0], sizes=(1, 1), weights=np.array([np.nan])), "weight is NaN"),
        (lambda: limits.decoder_supremum([1.0], [1], [0], sizes=(1, 2)), "there are 1 cells"),
        (lambda: limits.rademacher_complexity(jax.random.key(0), [0], [0], sizes=(1, 2), draws=1), "at least 2"),
        (lambda: limits.rademacher_complexity(jax.random.key(0), 0, [0], sizes=(1, 2)), "one for each pair"),
        (lambda: limits.fit_decay([1, 2, 4, 8], np.ones((4, 9)), level=1.0), "the level has an entry 1"),
        (lambda: limits.fit_decay([1, 2, 4, 8], np.ones((4, 9)), resamples=1), "resamples is 1"),
        (lambda: limits.decoder_complexity(1, 3, 1, np.ones(2)), "for 3 documents"),
    ],
)
def test_mistakes_get_one_sentence(call, words):
    with pytest.raises(InputError, match=words) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_the_trained_codes_are_what_they_are_said_to_be():
    """The best threshold and Lloyd's fixed point, on a fine grid of the source."""
    x = np.linspace(-12, 12, 480_001)
    density = np.stack([(1 - RATE) * np.exp(-((x + 1) ** 2) / 2), RATE * np.exp(-((x - 1) ** 2) / 2)])
    density /= density.sum()
    wrong = 0.5 * (density[1].cumsum() + density[0].sum() - density[0].cumsum())
    assert x[np.argmin(wrong)] == pytest.approx(BEST, abs=1e-4)
    mass, moment = density.sum(axis=0).cumsum()[:-1], (density.sum(axis=0) * x).cumsum()
    gain = moment[:-1] ** 2 / mass + (moment[-1] - moment[:-1]) ** 2 / (1 - mass)
    assert x[np.argmax(gain[1000:-1000]) + 1000] == pytest.approx(means_boundary(), abs=1e-3)


@pytest.mark.parametrize(
    ("sizes", "trials", "say"),
    [
        ((1, 2), 3, "at least 2"),
        ((100.5,), 3, "whole number"),
        ((4, 4), 3, "rising"),
        ((), 3, "rising"),
        ((4,), 0, "trials"),
    ],
)
def test_sizes_that_cannot_be_trained_on_are_refused(sizes, trials, say):
    with pytest.raises(InputError, match=say):
        trained_excesses(sizes, trials)


def test_exponents_of_the_theory():
    """A short run of `benchmarks/exponents.py`: 2.7 decades of n, 200 training sets each, every floor left free."""
    cases = trained_excesses((32, 64, 128, 256, 1024, 4096, 16384), 200)
    for case in cases:
        assert case.values.shape == (7, 200)
        fit = case.fit("mean absolute")
        assert fit.exponent_interval[0] <= case.exponent <= fit.exponent_interval[1], case.name
        assert fit.floor_interval[0] <= case.floor <= fit.floor_interval[1], case.name
        slower = fit.exponent_interval[1] < 0.8
        assert slower == (case.exponent < 0.8), case.name  # none of the slower ones passes for 1 / n
    ends = cases[-1].fit()
    assert ends.floor_interval[0] > 0.02  # an objective that is not the loss never reaches the best code,
    assert abs(ends.slopes[-1]) < 0.1  # and the raw slope says that nothing falls at all
    assert np.all(np.abs(cases[4].values.mean(axis=1)) < np.abs(cases[4].values).mean(axis=1) / 2)
