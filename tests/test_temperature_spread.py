"""Intervals of temperatures: coverage where the optimum is known, a bootstrap of its own, the edges."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rdjax.checks import InputError
from rdjax.retrieval import calibrate_temperatures, gaussian_temperatures, temperature_intervals
from tests.calibration import best, task

NOISE = (0.3, 0.6)  # standard deviations of isotropic noise on queries, in two modalities
DOCUMENTS, QUERIES, DIM = 40, 300, 8


def mixtures(rng, count):
    """`count` samples of queries that are a document of unit norm plus noise: scores [count, 2, Q, N], relevant."""
    y = rng.standard_normal((2, DOCUMENTS, DIM))
    y /= np.linalg.norm(y, axis=-1, keepdims=True)
    relevant = rng.integers(0, DOCUMENTS, (count, QUERIES))
    noise = np.array(NOISE)[:, None, None] * rng.standard_normal((count, 2, QUERIES, DIM))
    x = np.moveaxis(y[:, relevant], 0, 1) + noise
    return np.einsum("cmqd,mnd->cmqn", x, y), relevant


@pytest.mark.float64_only
def test_nineteen_in_twenty_intervals_hold_the_optimum(rng):
    """Posterior of the mixture: tau = noise variance over 1. 200 samples: the share is within 4 sigma of .95."""
    scores, relevant = mixtures(rng, 200)
    truth = np.asarray(gaussian_temperatures(np.ones(2), np.square(NOISE)))

    @jax.jit
    @jax.vmap
    def ends(s, r):
        return temperature_intervals(s, r, calibrate_temperatures(s, r).temperatures)

    found = np.asarray(ends(jnp.asarray(scores), jnp.asarray(relevant)))
    inside = (found[..., 0] < truth) & (truth < found[..., 1])
    four_sigma = 4 * np.sqrt(0.95 * 0.05 / len(inside))
    np.testing.assert_allclose(inside.mean(axis=0), 0.95, atol=four_sigma)
    assert np.median(found[..., 1] / found[..., 0]) < 1.6  # and they are no wider than they have to be


@pytest.mark.float64_only
def test_spread_is_that_of_resampled_queries_where_the_posterior_is_wrong(rng):
    """Heavy tails, so that the model is false: against scipy's calibration of resampled queries."""
    scores, relevant = task(rng, queries=80)
    scores = scores * rng.lognormal(0, 0.7, (1, 80, 1))
    tau = 1 / best(scores, relevant)[0]
    low, high = np.asarray(temperature_intervals(scores, relevant, tau)).T
    draws = [rng.integers(0, 80, 80) for _ in range(120)]
    spread = np.std([np.log(best(scores[:, rows], relevant[rows])[0]) for rows in draws], axis=0)
    np.testing.assert_allclose(np.log(high / low) / (2 * 1.959964), spread, rtol=0.35)
    np.testing.assert_allclose(np.sqrt(low * high), tau, rtol=1e-12)


def test_level_and_units(rng, dtype, precision):
    scores, relevant = task(rng)
    tau = calibrate_temperatures(jnp.asarray(scores, dtype), relevant).temperatures
    found = temperature_intervals(jnp.asarray(scores, dtype), relevant, tau)
    assert found.dtype == dtype
    wide = temperature_intervals(jnp.asarray(scores, dtype), relevant, tau, level=0.99)
    close = 1e-9 if precision == "float64" else 1e-3
    ratio = np.log(wide[:, 1] / wide[:, 0]) / np.log(found[:, 1] / found[:, 0])
    np.testing.assert_allclose(ratio, 2.5758293 / 1.9599640, rtol=max(close, 1e-6))
    units = np.array([1e3, 1e-3])
    scaled = temperature_intervals(jnp.asarray(scores * units[:, None, None], dtype), relevant, tau * units)
    np.testing.assert_allclose(scaled, found * units[:, None], rtol=close)


def test_nothing_is_said_of_what_is_not_determined(rng, dtype):
    scores, relevant = task(rng)
    left_out = np.asarray(temperature_intervals(jnp.asarray(scores, dtype), relevant, np.array([0.5, np.inf])))
    np.testing.assert_array_equal(left_out[1], [0, np.inf])
    assert np.isfinite(left_out[0]).all()
    scores[1] = 0  # the same for every document
    silent = np.asarray(temperature_intervals(jnp.asarray(scores, dtype), relevant, np.array([0.5, 1.0])))
    assert not np.isnan(silent).any()
    np.testing.assert_array_equal(silent[1], [0, np.inf])


@pytest.mark.parametrize("seed", range(4))
def test_nothing_is_said_of_modalities_that_are_the_same(seed, dtype):
    scores, relevant = task(np.random.default_rng(seed))
    twice = jnp.asarray(scores[[0, 0]], dtype)
    found = temperature_intervals(twice, relevant, np.array([0.5, 0.7]))
    np.testing.assert_array_equal(found, [[0, np.inf]] * 2)


@pytest.mark.float64_only
def test_mistakes_get_one_sentence(rng):
    scores, relevant = task(rng)
    with pytest.raises(InputError, match="query 0 has no relevant document"):
        temperature_intervals(scores, np.where(np.arange(len(relevant)) > 0, relevant, -1)[:, None], [1.0, 1.0])
    with pytest.raises(InputError, match="a NaN or infinity"):
        temperature_intervals(np.stack([scores[0], np.full_like(scores[0], np.nan)]), relevant, [1.0, 1.0])
    with pytest.raises(InputError, match="not empty"):
        temperature_intervals(scores[:, :0], relevant[:0], [1.0, 1.0])
    with pytest.raises(InputError, match=r"must be \[M, Q, N\] and \[M\]"):
        temperature_intervals(scores, relevant, [1.0])
    with pytest.raises(InputError, match="the level is traced"):
        jax.jit(lambda level: temperature_intervals(np.ones((1, 2, 3)), np.zeros(2, int), np.ones(1), level=level))(0.9)
    with pytest.raises(InputError, match="coverage lies between 0 and 1"):
        temperature_intervals(scores, relevant, [1.0, 1.0], level=1.0)
