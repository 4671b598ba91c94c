"""Bootstrap intervals against loops, normal theory and coverage."""

import itertools

import jax
import numpy as np
import pytest

from rdjax.checks import InputError
from rdjax.retrieval import intervals, paired_bootstrap

pytestmark = pytest.mark.float64_only


def test_equals_a_loop_over_resamples(rng):
    values, baseline = rng.random((3, 40)), rng.random(40)
    result = paired_bootstrap(values, baseline, samples=200, seed=7, level=0.9)
    draws = np.random.default_rng(7).integers(0, 40, (200, 40))
    means = np.array([values[:, draw].mean(axis=1) for draw in draws]).T
    ratios = means / np.array([baseline[draw].mean() for draw in draws])
    for code in range(3):
        ordered, divided = np.sort(means[code]), np.sort(ratios[code])
        np.testing.assert_allclose(result.mean[code], [ordered[9], ordered[190]])  # 5% and 95% of 0 .. 199, outward
        np.testing.assert_allclose(result.ratio[code], [divided[9], divided[190]])
        np.testing.assert_allclose(result.ratio_floor[code], divided[19])
    assert result.level == 0.9


def test_the_floor_of_a_ratio_is_taken_outward_at_any_level(rng):
    values, baseline = rng.random(30), rng.random(30)
    result = paired_bootstrap(values, baseline, samples=200, level=0.4)
    draws = np.random.default_rng(0).integers(0, 30, (200, 30))
    ratios = np.sort(values[draws].mean(axis=1) / baseline[draws].mean(axis=1))
    np.testing.assert_allclose(result.ratio_floor, ratios[119])  # 60% of 0 .. 199 is 119.4


def test_blocks_and_rows_do_not_change_the_answer(rng, monkeypatch):
    values, baseline = rng.random((2, 30)), rng.random(30)
    whole = paired_bootstrap(values, baseline, samples=101)
    monkeypatch.setattr(intervals, "_ENTRIES", 30 * 7)
    blocks = paired_bootstrap(values, baseline, samples=101)
    for one, other in zip(jax.tree.leaves(whole), jax.tree.leaves(blocks), strict=True):
        np.testing.assert_allclose(one, other)
    single = paired_bootstrap(values[1], baseline, samples=101)
    assert single.mean.shape == (2,)
    np.testing.assert_allclose(single.ratio, whole.ratio[1])


def test_pairing_removes_what_is_hard_for_both(rng):
    baseline = rng.random(500)
    result = paired_bootstrap(0.9 * baseline, baseline)
    np.testing.assert_allclose(result.ratio, 0.9)
    np.testing.assert_allclose(result.ratio_floor, 0.9)
    assert np.ptp(result.mean) > 0.03


def test_agrees_with_normal_theory(rng):
    values, baseline = rng.normal(1, 0.3, 2000), rng.normal(2, 0.5, 2000)
    result = paired_bootstrap(values, baseline, samples=4000)
    half = 1.96 * values.std() / np.sqrt(2000)
    np.testing.assert_allclose(result.mean, values.mean() + half * np.array([-1, 1]), atol=0.15 * half)
    ratio = values.mean() / baseline.mean()
    half = 1.96 * (values - ratio * baseline).std() / baseline.mean() / np.sqrt(2000)
    np.testing.assert_allclose(result.ratio, ratio + half * np.array([-1, 1]), atol=0.15 * half)
    np.testing.assert_allclose(result.ratio_floor, ratio - 1.645 / 1.96 * half, atol=0.15 * half)


def test_covers_as_often_as_it_says(rng):
    hits = 0
    for seed in range(200):
        result = paired_bootstrap(rng.exponential(size=100), np.ones(100), samples=300, seed=seed, level=0.9)
        hits += result.mean[0] <= 1 <= result.mean[1]
    assert 0.80 < hits / 200 < 0.96


def test_a_baseline_that_can_vanish_is_not_hidden():
    result = paired_bootstrap([1.0, 1.0, 1.0], [1.0, 0.0, 0.0], samples=1000)
    assert result.ratio[0] == 0
    assert result.ratio[1] == np.inf
    np.testing.assert_allclose(result.mean, 1.0)


def test_means_of_equal_values_are_that_value():
    """Not 1.0000000000000009: a mean is between the least and the most of what it is of."""
    for value, count in itertools.product((0.1, 1.0, 1 / 3), (7, 300, 1001)):
        found = paired_bootstrap(np.full(count, value), np.ones(count))
        np.testing.assert_array_equal(found.mean, value)


def test_seed_and_edges(rng):
    values, baseline = rng.random(20), rng.random(20)
    assert (paired_bootstrap(values, baseline, seed=1).mean == paired_bootstrap(values, baseline, seed=1).mean).all()
    assert (paired_bootstrap(values, baseline, seed=1).mean != paired_bootstrap(values, baseline, seed=2).mean).any()
    alone = paired_bootstrap([0.3], [0.6])
    np.testing.assert_allclose([*alone.mean, *alone.ratio, alone.ratio_floor], [0.3, 0.3, 0.5, 0.5, 0.5])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: paired_bootstrap(np.ones(3), np.ones(4)), "same queries"),
        (lambda: paired_bootstrap(np.ones(0), np.ones(0)), "same queries"),
        (lambda: paired_bootstrap(np.ones(3), np.zeros(3)), "not above 0"),
        (lambda: paired_bootstrap([1, np.nan], [1, 1]), "NaN"),
        (lambda: paired_bootstrap(np.ones(3), np.ones(3), level=95), "coverage"),
        (lambda: paired_bootstrap(np.ones(3), np.ones(3), samples=0), "resamples"),
    ],
)
def test_mistakes_are_one_sentence(call, message):
    with pytest.raises(InputError, match=message):
        call()
