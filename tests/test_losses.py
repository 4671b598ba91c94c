"""Losses in nats: NumPy brute force, closed forms, gradients, and what they say of information."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rdjax.checks import InputError
from rdjax.information import infonce
from rdjax.retrieval import calibrate_temperatures, contrastive_loss, listwise_loss, pairwise_loss

TAU = np.array([0.5, 2.0])


@jax.jit
def both(scores, relevant, tau):
    return listwise_loss(scores, relevant, tau), pairwise_loss(scores, relevant, tau)


def data(rng, dtype):
    scores = rng.standard_normal((2, 4, 7)).astype(dtype)
    relevant = np.array([[0, 3], [6, -1], [2, 1], [5, -1]])
    return scores, relevant


def brute(scores, relevant):
    """Both losses, pair by pair in float64."""
    fused = (np.asarray(scores, np.float64) / TAU[:, None, None]).sum(axis=0)
    listwise, pairwise = [], []
    for row, named in zip(fused, relevant, strict=True):
        own = named[named >= 0]
        listwise.append(np.log(np.exp(row).sum()) - row[own].mean())
        others = np.setdiff1d(np.arange(row.size), own)
        pairwise.append(np.log1p(np.exp(row[None, others] - row[own, None])).mean())
    return np.mean(listwise), np.mean(pairwise)


def test_against_brute_force(rng, dtype, tolerance):
    scores, relevant = data(rng, dtype)
    np.testing.assert_allclose(both(scores, relevant, TAU), brute(scores, relevant), rtol=20 * tolerance)


def test_one_relevant_document_has_no_second_axis(rng, dtype, tolerance):
    scores, _ = data(rng, dtype)
    relevant = np.array([0, 3, 6, 2])
    one, listed = both(scores, relevant, TAU), both(scores, relevant[:, None], TAU)
    np.testing.assert_allclose(one, listed, rtol=20 * tolerance)


def test_equal_scores_lose_the_log_of_the_list(dtype, tolerance):
    listwise, pairwise = both(np.zeros((2, 4, 7), dtype), np.array([1, 2, 3, 3]), TAU)
    contrastive = jax.jit(contrastive_loss)(np.zeros((2, 6, 6), dtype), TAU)
    found, expected = (listwise, pairwise, contrastive), np.log([7, 2, 6])
    np.testing.assert_allclose(found, expected, rtol=20 * tolerance)


def test_contrastive_is_the_mean_of_both_directions(rng, dtype, tolerance):
    scores = rng.standard_normal((2, 6, 6)).astype(dtype)
    fused = (scores / TAU[:, None, None]).sum(axis=0)
    bits = np.mean([jax.jit(infonce)(one) for one in (fused, fused.T)])
    found = jax.jit(contrastive_loss)(scores, TAU)
    np.testing.assert_allclose(found, np.log(6) - np.log(2) * bits, rtol=100 * tolerance)


def test_contrastive_where_pairs_cannot_be(rng, dtype, tolerance):
    """Documents that cannot go with a query count in no sum; a pair that cannot be is lost infinitely, never NaN."""
    graded = jax.jit(jax.value_and_grad(contrastive_loss, argnums=(0, 1)))
    scores = rng.standard_normal((2, 5, 5)).astype(dtype)
    scores[:, 0, 3] = scores[:, 4, 1] = -np.inf
    fused = (scores.astype(np.float64) / TAU[:, None, None]).sum(axis=0)
    sums = np.log(np.exp(fused).sum(axis=0)) + np.log(np.exp(fused).sum(axis=1))
    value, slopes = graded(scores, TAU)
    np.testing.assert_allclose(value, np.mean(sums / 2 - np.diag(fused)), rtol=100 * tolerance)
    assert all(np.isfinite(slope).all() for slope in slopes)
    scores[:, 2] = -np.inf
    value, slopes = graded(scores, TAU)
    assert value == np.inf
    assert all(np.isfinite(slope).all() for slope in slopes)


@pytest.mark.float64_only
def test_calibrated_temperatures_are_stationary(rng):
    y = rng.standard_normal((40, 3))
    relevant = rng.integers(0, 40, 300)
    noisy = [y[relevant] + spread * rng.standard_normal((300, 3)) for spread in (0.5, 1.5)]
    scores = np.stack([x @ y.T for x in noisy])
    found = calibrate_temperatures(scores, relevant)
    value, gradient = jax.jit(jax.value_and_grad(lambda t: listwise_loss(scores, relevant, t)))(found.temperatures)
    assert float(value) == pytest.approx(float(found.cross_entropy) * np.log(2), rel=1e-12)
    np.testing.assert_allclose(gradient, 0, atol=1e-7)


@pytest.mark.float64_only
@pytest.mark.parametrize("loss", [listwise_loss, pairwise_loss])
def test_gradients_against_differences(loss, rng):
    scores, relevant = data(rng, np.float64)
    move, turn, step = rng.standard_normal(scores.shape), rng.standard_normal(2), 1e-6
    found = jax.jit(jax.value_and_grad(lambda s, t: loss(s, relevant, t), argnums=(0, 1)))
    value = lambda t: found(scores + t * move, TAU + t * turn)[0]
    slopes = found(scores, TAU)[1]
    along = float(np.sum(slopes[0] * move) + np.sum(slopes[1] * turn))
    assert along == pytest.approx(float(value(step) - value(-step)) / (2 * step), rel=1e-6)


def test_extreme_scores_stay_finite(dtype):
    scores = np.array([[[1e4, -1e4, 0.0]]], dtype)
    losses = lambda s: both(s, np.array([1]), np.array([1e-2]))
    for found in jax.tree.leaves(jax.jit(lambda s: (losses(s), jax.jacrev(losses)(s)))(scores)):
        assert np.isfinite(found).all()


@pytest.mark.float64_only
def test_pairs_are_compared_in_blocks():
    """500 relevant documents in lists of 2000: all differences of 4 lists at once would be 31 MiB."""
    relevant = np.tile(np.arange(500), (4, 1))
    shape = jax.ShapeDtypeStruct((1, 4, 2000), jnp.float64)
    lower = jax.jit(jax.grad(lambda s: pairwise_loss(s, relevant, jnp.ones(1)))).lower(shape)
    assert lower.compile().memory_analysis().temp_size_in_bytes < 25 * 2**20


def test_bad_input_is_refused(rng):
    scores, relevant = data(rng, np.float64)
    with pytest.raises(InputError, match="start with the modalities"):
        pairwise_loss(scores, relevant, [1.0])
    with pytest.raises(InputError, match="batch of pairs"):
        contrastive_loss(scores, TAU)
    with pytest.raises(InputError):
        listwise_loss(scores, relevant + 7, TAU)


def test_pairs_are_counted_as_floats():
    """3,000 relevant documents of a million make more pairs than int32 holds."""
    listed = jax.ShapeDtypeStruct((2, 3000), jnp.int32)
    scores = jax.ShapeDtypeStruct((1, 2, 1_000_000), jnp.float32)
    program = jax.make_jaxpr(lambda s, r: pairwise_loss(s, r, jnp.ones(1)))(scores, listed)
    inside = [eqn for outer in program.eqns if "jaxpr" in outer.params for eqn in outer.params["jaxpr"].eqns]
    made = [out.aval.dtype for eqn in inside if eqn.primitive.name == "mul" for out in eqn.outvars]
    assert made
    assert all(jnp.issubdtype(dtype, jnp.floating) for dtype in made)
