"""The posterior against a direct sum, and at the edges."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from rdjax.checks import InputError
from rdjax.retrieval import log_posterior, posterior


def direct(scores, temperatures, prior):
    weight = prior * np.exp(np.tensordot(1 / np.asarray(temperatures), scores, 1))
    return weight / weight.sum(axis=-1, keepdims=True)


def test_equals_the_direct_sum(rng, dtype, tolerance):
    scores, prior = rng.normal(size=(2, 5, 7)), rng.dirichlet(np.ones(7))
    expected = direct(scores, [0.5, 2.0], prior)
    arguments = jnp.asarray(scores, dtype), jnp.asarray([0.5, 2.0], dtype), jnp.asarray(prior, dtype)
    np.testing.assert_allclose(posterior(*arguments), expected, rtol=10 * tolerance)
    np.testing.assert_allclose(log_posterior(*arguments), np.log(expected), rtol=10 * tolerance, atol=tolerance)
    assert posterior(*arguments).dtype == dtype


def test_uniform_prior_one_query_one_modality(rng, dtype, tolerance):
    scores = rng.normal(size=(1, 4))
    for prior in (None, 4, np.full(4, 0.25)):
        np.testing.assert_allclose(
            posterior(jnp.asarray(scores, dtype), [1.0], prior), direct(scores, [1.0], 1.0), rtol=10 * tolerance
        )


def test_extremes_do_not_overflow(dtype, tolerance):
    scores = jnp.asarray([[[1.0, 0.9, -1.0]], [[3.0, 0.0, 0.0]]], dtype)
    law = posterior(scores, jnp.asarray([1e-6, jnp.inf], dtype))
    np.testing.assert_allclose(law, [[1.0, 0.0, 0.0]], atol=1e-30)
    assert np.isfinite(log_posterior(scores, jnp.asarray([1e-6, jnp.inf], dtype))).all()
    everything = posterior(scores, jnp.asarray([jnp.inf, jnp.inf], dtype))
    np.testing.assert_allclose(everything, np.full((1, 3), 1 / 3), rtol=tolerance)


def test_a_prior_of_zero_stays_zero_with_a_finite_gradient(dtype):
    scores, prior = jnp.ones((1, 2, 3), dtype), jnp.asarray([0.5, 0.5, 0.0], dtype)
    np.testing.assert_allclose(posterior(scores, [1.0], prior), [[0.5, 0.5, 0.0]] * 2)
    gradient = jax.grad(lambda s, p: posterior(s, [1.0], p)[0, 0], argnums=(0, 1))(scores, prior)
    assert all(np.isfinite(leaf).all() for leaf in gradient)


@pytest.mark.float64_only
def test_gradients_against_differences(rng):
    scores, prior = jnp.asarray(rng.normal(size=(2, 3, 4))), jnp.asarray([0.4, 0.3, 0.2, 0.1])
    taus, weight = jnp.asarray([0.7, 1.3]), jnp.asarray(rng.normal(size=(3, 4)))
    value = lambda s, t, p: jnp.sum(weight * log_posterior(s, t, p))
    law = lambda p: p / jnp.sum(p)
    check_grads(jax.jit(lambda s, t, p: value(s, t, law(p))), (scores, taus, prior), order=2, modes=["rev"])


@pytest.mark.float64_only
@pytest.mark.parametrize(
    ("temperatures", "prior", "message"),
    [
        ([1.0], None, "modalities"),
        ([1.0, 0.0], None, "above 0"),
        ([1.0, 1.0], np.ones(4), "sums to 4"),
        ([1.0, 1.0], 5, "5 documents"),
    ],
)
def test_mistakes_are_one_sentence(temperatures, prior, message):
    with pytest.raises(InputError, match=message):
        posterior(np.ones((2, 3, 4)), temperatures, prior)
