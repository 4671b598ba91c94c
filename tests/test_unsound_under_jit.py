"""Metrics, losses and limits under jit, where values cannot be looked at: what is unsound is NaN, or what holds."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rdjax import limits
from rdjax.retrieval import (
    PooledRanks,
    SigmoidRanks,
    SoftmaxRanks,
    contrastive_loss,
    listwise_loss,
    pairwise_loss,
    smooth_metric,
)

RANKS = [SigmoidRanks(), SoftmaxRanks(), PooledRanks()]


@pytest.mark.parametrize("rank_fn", RANKS, ids=lambda rank_fn: type(rank_fn).__name__)
@pytest.mark.parametrize("metric", ["mrr", "ndcg@3", "map", "recall@2"])
def test_under_jit_what_would_be_refused_is_nan(rank_fn, metric, rng):
    """A NaN score is no document that cannot be, and an index out of range no document; other queries keep theirs."""
    scores = jnp.asarray(rng.normal(size=(4, 6)))
    relevant = jnp.array([[0, -1], [1, 2], [2, 4], [5, -1]])
    value = jax.jit(lambda s, r: smooth_metric(metric, s, r, rank_fn=rank_fn))
    sound = np.asarray(value(scores, relevant))
    assert np.isfinite(sound).all()
    for spoiled, row in (
        ((scores.at[1, 5].set(jnp.nan), relevant), 1),
        ((scores.at[3, 5].set(jnp.nan), relevant), 3),
        ((scores, relevant.at[2, 1].set(6)), 2),
        ((scores, relevant.at[0, 0].set(-2)), 0),
    ):
        found = np.asarray(value(*spoiled))
        assert np.isnan(found).tolist() == [i == row for i in range(4)]
        np.testing.assert_array_equal(np.delete(found, row), np.delete(sound, row))


@pytest.mark.parametrize("loss", [listwise_loss, pairwise_loss])
def test_under_jit_losses_of_nan_are_nan(loss, rng):
    scores = jnp.asarray(rng.normal(size=(2, 4, 6)))
    traced = jax.jit(lambda s: loss(s, jnp.arange(4), jnp.ones(2)))
    assert np.isfinite(traced(scores))
    assert np.isnan(traced(scores.at[1, 2, 5].set(jnp.nan)))
    assert np.isfinite(traced(scores.at[1, 2, 5].set(-jnp.inf)))


@pytest.mark.parametrize("loss", [listwise_loss, pairwise_loss])
def test_under_jit_losses_of_what_is_no_document_are_nan(loss, rng):
    scores = jnp.asarray(rng.normal(size=(1, 4, 6)))
    one = jax.jit(lambda r: loss(scores, r, jnp.ones(1)))
    for index in (-5, -1, 6, 100):
        assert np.isnan(one(jnp.array([0, 1, 2, index])))
    several = jnp.array([[0, -1], [1, 2], [2, 3], [4, 5]])
    assert np.isfinite(one(several))
    for index in (-2, 6):
        assert np.isnan(one(several.at[1, 1].set(index)))


def test_a_modality_that_is_left_out_spoils_nothing(rng):
    """At an infinite temperature its scores are not looked at, also where they are NaN or infinite."""
    scores = jnp.asarray(rng.normal(size=(2, 4, 6)))
    traced = jax.jit(lambda s: listwise_loss(s, jnp.arange(4), jnp.array([1.0, jnp.inf])))
    for value in (jnp.nan, jnp.inf, -jnp.inf):
        assert traced(scores.at[1, 2, 5].set(value)) == traced(scores)


def test_under_jit_a_contrastive_loss_of_nan_is_nan(rng):
    scores = jnp.asarray(rng.normal(size=(1, 4, 4)))
    traced = jax.jit(lambda s: contrastive_loss(s, jnp.ones(1)))
    assert np.isnan(traced(scores.at[0, 2, 1].set(jnp.nan)))
    assert np.isnan(traced(scores.at[0, 2, 2].set(jnp.nan)))


LAW = np.array([0.6, 0.25, 0.1, 0.05])


@pytest.mark.parametrize(
    "limit",
    [
        lambda r: limits.ranking_distortion(r, LAW),
        lambda r: limits.ranking_distortion(r, 10),
        lambda r: limits.blind_distortion(r, LAW),
        lambda r: limits.least_answer_error(r, LAW, 2, 0.1, 0.6),
        lambda r: limits.ranking_curve(r, LAW).rate,
        lambda r: limits.ranking_curve(r, LAW).distortion,
    ],
)
def test_a_traced_rate_or_slope_below_0_is_nan(limit):
    assert np.isfinite(jax.jit(limit)(1.0))
    assert np.isnan(jax.jit(limit)(-1.0))


@pytest.mark.parametrize(
    "limit",
    [
        lambda d: limits.ranking_rate(d, LAW),
        lambda d: limits.shannon_rate(d, LAW),
        lambda d: limits.first_relevant_rate(d, LAW),
        lambda d: limits.fano_bounds(d, LAW).lower,
        lambda d: limits.fano_bounds(d, LAW).upper,
    ],
)
def test_no_bits_reach_a_traced_distortion_below_the_best(limit):
    assert np.isfinite(jax.jit(limit)(0.1))
    assert np.isposinf(jax.jit(limit)(-0.2))
