"""Quantizers with gradients: hard values, known slopes, entropies that bound real ones."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import expit

from rdjax.checks import InputError
from rdjax.codes.relaxed import cell_bits, nearest_word, noisy, rounded, straight_through


def test_straight_through_has_one_value_and_another_gradient(dtype):
    value, slope = jax.jit(jax.value_and_grad(lambda x: straight_through(3 * x, jnp.sign(x))))(dtype.type(0.4))
    assert (float(value), float(slope)) == (1.0, 3.0)


def test_rounding_and_its_slopes(dtype, tolerance):
    x, step = np.array([[0.26, -1.4, 2.0], [0.5, 1.0, 0.3]], dtype)
    decoded = lambda x, step: 2 * (rounded(x, step) * step,)
    (by_x, by_step), found = jax.jit(jax.jacobian(decoded, argnums=(0, 1), has_aux=True))(x, step)
    np.testing.assert_allclose(found, np.round(x / step) * step, rtol=20 * tolerance)
    np.testing.assert_allclose(by_x, np.eye(3), atol=20 * tolerance)
    np.testing.assert_allclose(by_step, np.diag(np.round(x / step) - x / step), atol=100 * tolerance)


def test_noise_is_that_of_rounding(dtype):
    x = np.full(20_000, 0.3, dtype)
    found = np.asarray(jax.jit(lambda x: noisy(x, 0.1, jax.random.key(0)))(x))
    assert found.min() >= 2.5 - 1e-3
    assert found.max() < 3.5 + 1e-3
    assert found.mean() == pytest.approx(3.0, abs=0.01)
    assert found.var() == pytest.approx(1 / 12, rel=0.03)


def test_nearest_word_against_brute_force(rng, dtype, tolerance):
    x, words = rng.standard_normal((5, 4, 3)).astype(dtype), rng.standard_normal((7, 3)).astype(dtype)
    assign = lambda softness, hard: nearest_word(x, words, softness, hard=hard)
    found, soft, sharp = jax.jit(lambda: (assign(0.5, True), assign(0.5, False), assign(1e-4, False)))()
    far = ((x[..., None, :] - words) ** 2).sum(axis=-1)
    np.testing.assert_array_equal(found.numbers, far.argmin(axis=-1))
    np.testing.assert_allclose(found.words, words[far.argmin(axis=-1)], rtol=100 * tolerance)
    shares = np.exp(-far / 0.5)
    np.testing.assert_allclose(found.shares, shares / shares.sum(axis=-1, keepdims=True), rtol=500 * tolerance)
    np.testing.assert_allclose(soft.words, np.asarray(found.shares) @ words, rtol=100 * tolerance, atol=10 * tolerance)
    np.testing.assert_allclose(sharp.words, found.words, atol=1e-2)


@pytest.mark.float64_only
def test_the_gradient_of_the_nearest_word_is_that_of_the_mean(rng):
    x, words, weights = rng.standard_normal((4, 3)), rng.standard_normal((5, 3)), rng.standard_normal((4, 3))
    total = lambda hard: lambda x, w: jnp.sum(nearest_word(x, w, 0.7, hard=hard).words * weights)
    hard, soft = (jax.jit(jax.value_and_grad(total(hard), argnums=(0, 1))) for hard in (True, False))
    slopes = soft(x, words)[1]
    for one, other in zip(hard(x, words)[1], slopes, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12)
    move, step = rng.standard_normal((5, 3)), 1e-6
    expected = (soft(x, words + step * move)[0] - soft(x, words - step * move)[0]) / (2 * step)
    assert np.sum(slopes[1] * move) == pytest.approx(float(expected), rel=1e-7)


LAWS = (np.array([[0.3, 0.7]]), np.array([[-1.2, 2.0]]), np.array([[0.8, 0.4]]))


def test_cells_have_the_mass_of_the_mixture_and_sum_to_one(dtype, tolerance):
    symbols = np.arange(-40, 41, dtype=dtype)[:, None]
    bits = np.asarray(jax.jit(cell_bits)(symbols, *LAWS), np.float64)
    edges = (symbols[..., None].astype(np.float64) + np.array([-0.5, 0.5])) - LAWS[1][0][:, None, None, None]
    edges = edges / LAWS[2][0][:, None, None, None]
    flipped = np.where(edges.sum(axis=-1, keepdims=True) > 0, -edges[..., ::-1], edges)  # no differences near one
    mass = expit(flipped[..., 1]) - expit(flipped[..., 0])
    expected = np.tensordot(LAWS[0][0], mass, 1)
    near = np.abs(symbols[:, 0]) < 15
    np.testing.assert_allclose(2.0 ** -bits[near], expected[near], rtol=2000 * tolerance)
    assert (2.0**-bits).sum() == pytest.approx(1, abs=1e-5)


def test_far_tails_cost_bits_in_proportion_and_stay_finite(dtype):
    bits, slope = jax.jit(jax.value_and_grad(lambda y: cell_bits(y[None], *LAWS)[0]))(dtype.type(1e4))
    assert np.isfinite(bits)
    assert float(slope) == pytest.approx(1 / 0.8 / np.log(2), rel=1e-3)  # the widest law has the last word


@pytest.mark.float64_only
def test_noisy_bits_are_above_the_entropy_of_the_symbols(rng):
    """Balle et al.: under noise the cross-entropy is of a density; at whole numbers, of the symbols. Both bound H."""
    x = 2 * rng.standard_normal((50_000, 1))
    share = np.unique(np.round(x), return_counts=True)[1] / len(x)
    entropy = -(share * np.log2(share)).sum()
    laws = (np.ones((1, 1)), np.zeros((1, 1)), np.full((1, 1), 2 * np.sqrt(3) / np.pi))
    bits = jax.jit(lambda x: [cell_bits(y, *laws) for y in (rounded(x, 1.0), noisy(x, 1.0, jax.random.key(1)))])
    for found in bits(x):
        assert np.mean(found) > entropy


def test_bad_shapes_are_refused():
    with pytest.raises(InputError, match="must be"):
        nearest_word(np.zeros((2, 3)), np.zeros((4, 2)), 1.0)
    with pytest.raises(InputError, match=r"\[k, C\]"):
        cell_bits(np.zeros(3), np.ones(3), np.ones(3), np.ones(3))
