"""PCA and its kin against the singular value decomposition, dense and short of rows."""

import jax.numpy as jnp
import numpy as np
import pytest

from rdjax.checks import InputError
from rdjax.codes import SignBits, Truncation
from rdjax.codes.transform import fit_coordinates, fit_pca, fit_rotation, fit_transform


def data(n, d, precision, seed=0):
    rng = np.random.default_rng(seed)
    return (rng.standard_normal((n, d)) * 0.8 ** np.arange(d) + 2.0).astype(precision)


@pytest.mark.parametrize(("n", "d", "k"), [(200, 10, 4), (200, 10, 10), (6, 10, 5), (10, 10, 9), (2, 3, 1), (50, 1, 1)])
def test_pca_is_the_best_approximation_of_its_rank(n, d, k, precision, tolerance):
    x = data(n, d, precision)
    transform = fit_pca(x, k)
    exact = x.astype(np.float64)
    mean = exact.mean(axis=0)
    left, singular, right = np.linalg.svd(exact - mean, full_matrices=False)
    best = mean + (left[:, :k] * singular[:k]) @ right[:k]
    approximation = transform.invert(transform.apply(jnp.asarray(x)))
    np.testing.assert_allclose(approximation, best, atol=20 * tolerance)
    np.testing.assert_allclose(transform.variances, singular[:k] ** 2 / n, rtol=100 * tolerance, atol=tolerance)
    np.testing.assert_allclose(transform.basis.T @ transform.basis, np.eye(k), atol=5 * tolerance)
    np.testing.assert_allclose(np.var(transform.apply(jnp.asarray(x)), axis=0), transform.variances, rtol=1e-3)


def test_pca_does_not_depend_on_the_sign_of_its_solver(precision):
    basis = np.asarray(fit_pca(data(200, 10, precision), 5).basis)
    assert (basis[np.abs(basis).argmax(axis=0), np.arange(5)] > 0).all()


def test_fewer_vectors_than_dimensions_bound_the_rank():
    with pytest.raises(InputError, match="6 dimensions were asked for, but 6 vectors of 10 dimensions span at most 5"):
        Truncation.fit(data(6, 10, "float32"), 6, transform="pca")
    with pytest.raises(InputError, match="at least two vectors"):
        fit_pca(data(1, 10, "float32"), 1)
    assert SignBits.fit(data(6, 10, "float32"), transform="pca").bits == 5


@pytest.mark.parametrize("k", [0, -1, 11, 2.5, 4.0, "4"])
@pytest.mark.parametrize("kind", ["pca", "coordinates", "rotation"])
def test_k_out_of_range_is_refused(kind, k):
    with pytest.raises(InputError, match="dimensions were asked for"):
        fit_transform(kind, data(30, 10, "float32"), k)


def test_an_unknown_transform_is_refused():
    with pytest.raises(InputError, match="wavelet"):
        fit_transform("wavelet", data(30, 10, "float32"))


def test_a_constant_cloud_has_no_variance_and_decodes_to_its_point(precision):
    x = np.full((20, 4), 0.5, precision)
    transform = fit_pca(x, 3)
    np.testing.assert_array_equal(transform.variances, np.zeros(3))
    np.testing.assert_allclose(transform.invert(transform.apply(jnp.asarray(x))), x, atol=1e-6)


def test_coordinates_keep_a_prefix(precision):
    x = data(30, 6, precision)
    bare, centered = fit_coordinates(x, 2, centered=False), fit_coordinates(x, 2)
    np.testing.assert_array_equal(bare.invert(bare.apply(jnp.asarray(x)))[:, :2], x[:, :2])
    np.testing.assert_array_equal(bare.invert(bare.apply(jnp.asarray(x)))[:, 2:], 0.0)
    rest = np.broadcast_to(x.astype(np.float64).mean(axis=0)[2:], (30, 4))
    np.testing.assert_allclose(centered.invert(centered.apply(jnp.asarray(x)))[:, 2:], rest, rtol=1e-6)
    assert bare.encoder_bytes == 0


def test_a_rotation_keeps_lengths_and_its_seed(precision, tolerance):
    x = data(30, 6, precision)
    whole = fit_rotation(x, 6, seed=4)
    np.testing.assert_allclose(whole.invert(whole.apply(jnp.asarray(x))), x, atol=20 * tolerance)
    np.testing.assert_array_equal(whole.basis, fit_rotation(x, 6, seed=4).basis)
    assert np.abs(whole.basis - fit_rotation(x, 6, seed=5).basis).max() > 0.1
    part = fit_rotation(x, 3, seed=4)
    spread = np.var(
        (x.astype(np.float64) - x.mean(axis=0, dtype=np.float64)) @ np.asarray(part.basis, np.float64), axis=0
    )
    np.testing.assert_allclose(part.variances, spread, rtol=100 * tolerance)


def test_a_fitted_transform_is_shared_between_budgets(precision):
    x = data(60, 6, precision)
    shared = fit_pca(x, 6)
    np.testing.assert_array_equal(
        SignBits.fit(x, 3, transform=shared).transform.basis, SignBits.fit(x, 3, transform="pca").transform.basis
    )
    with pytest.raises(InputError, match="the transform has 6"):
        SignBits.fit(x, 7, transform=shared)
    with pytest.raises(InputError, match="fitted on 6 dimensions"):
        SignBits.fit(x[:, :5], transform=shared)


def test_floats_are_stored_as_they_round(precision):
    x = data(30, 6, precision)
    x[0] = 1e6
    half, single = Truncation.fit(x, 4), Truncation.fit(x, 4, store="float32")
    stored = np.clip(x[:, :4], -65504, 65504).astype(np.float16)
    np.testing.assert_array_equal(half.decode(half.encode(x))[:, :4], stored.astype(precision))
    np.testing.assert_array_equal(single.decode(single.encode(-x))[:, :4], -x[:, :4].astype(np.float32))
    with pytest.raises(InputError, match="bfloat16"):
        Truncation.fit(x, 4, store="bfloat16")
    with pytest.raises(InputError, match="rotation"):
        Truncation.fit(x, 4, transform="rotation")
