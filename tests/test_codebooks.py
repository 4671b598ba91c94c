"""Codebooks: nearest words against brute force, k-means at its fixed point, starts, revival."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.cluster.vq import kmeans2

from rdjax import checks
from rdjax.codes import codebooks
from rdjax.codes.codebooks import fit_codebooks
from rdjax.codes.nearest_words import comparable, nearest, nearest_at_once, nearest_in_turn, with_ones


def points(n, d=3, seed=4, centers=9):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n, d)) + 4 * rng.standard_normal((centers, d))[rng.integers(0, centers, n)]


def kmeans(x, k, **options):
    """k words for points [n, d] of one block."""
    return fit_codebooks(np.ascontiguousarray(x.T)[None], (k,), **options)[0]


def cells(words, x):
    return ((x[:, None] - words[None]) ** 2).sum(axis=2).argmin(axis=1)


def error(words, x):
    return ((x[:, None] - np.asarray(words, np.float64)[None]) ** 2).sum(axis=2).min(axis=1).mean()


def means(x):
    """Lloyd's step in NumPy."""

    def step(words):
        cell = cells(words, x)
        return np.stack([x[cell == i].mean(axis=0) for i in range(len(words))])

    return step


@pytest.mark.parametrize("how", [nearest, nearest_in_turn, nearest_at_once])
@pytest.mark.parametrize("size", [1, 6, 8, 19])
def test_the_nearest_word_is_the_nearest_and_the_first_among_equals(how, size, precision, rng):
    words, x = rng.standard_normal((size + 1, 3)).astype(precision), rng.standard_normal((256, 3)).astype(precision)
    words[size // 2 + 1 : size] = words[: size - size // 2 - 1]
    searched = jax.jit(lambda words, x: how(comparable(words, jnp.array(size)), with_ones(x)))  # the last is not in use
    found, score = searched(words, x.T)
    used = words[:size].astype(np.float64)
    np.testing.assert_array_equal(found, cells(used, x.astype(np.float64)))
    assert np.max(found) <= size // 2
    distance = np.sum(x**2, axis=1) + 2 * np.asarray(score)
    np.testing.assert_allclose(distance, np.min(((x[:, None] - used[None]) ** 2).sum(2), axis=1), atol=1e-5)


@pytest.mark.parametrize("how", [nearest_in_turn, nearest_at_once])
def test_what_is_no_number_still_has_a_word(how):
    found, score = how(comparable(jnp.eye(4), jnp.array(4)), with_ones(jnp.full((4, 256), jnp.nan)))
    assert ((np.asarray(found) >= 0) & (np.asarray(found) < 4)).all()
    assert not np.isfinite(score).any()


@pytest.mark.float64_only
def test_at_convergence_words_are_the_means_of_their_cells():
    x = points(512)
    words = kmeans(x, 16, steps=500)
    checks.assert_fixed_point(means(x), words, 1e-12)
    with pytest.raises(AssertionError):
        checks.assert_fixed_point(means(x), words * 1.001, 1e-12)


def test_on_the_median_no_worse_than_scipy(precision):
    x = points(512)
    ours = [error(kmeans(x.astype(precision), 16, seed=seed), x) for seed in range(7)]
    theirs = [error(kmeans2(x, 16, iter=50, minit="++", rng=seed)[0], x) for seed in range(15)]
    assert np.median(ours) <= 1.01 * np.median(theirs)


def test_clusters_far_apart_are_all_found(precision, rng):
    centers = 1000 * np.stack(np.meshgrid([0, 1, 2, 3], [0, 1, 2, 3]), axis=-1).reshape(16, 2)
    x = (np.repeat(centers, 32, axis=0) + rng.standard_normal((512, 2))).astype(precision)
    words = kmeans(x[rng.permutation(512)], 16)
    own = x.reshape(16, 32, 2).mean(axis=1)
    np.testing.assert_allclose(
        words[np.lexsort(np.round(words / 1000).T)], own[np.lexsort(centers.T)], rtol=1e-4, atol=1e-2
    )


def test_in_many_dimensions_clusters_far_apart_are_all_found(precision):
    """Above 64 dimensions the starts see 64 of them; the better one ends with the means of the clusters in all."""
    rng = np.random.default_rng(7)
    centers = 8 * rng.standard_normal((16, 80))
    x = (np.repeat(centers, 32, axis=0) + rng.standard_normal((512, 80))).astype(precision)
    words = kmeans(x, 16).astype(np.float64)
    expected = np.stack([x[32 * i : 32 * (i + 1)].mean(axis=0) for i in range(16)])
    distance = ((expected[:, None] - words[None]) ** 2).sum(axis=2)
    assert sorted(distance.argmin(axis=1)) == list(range(16))
    np.testing.assert_allclose(distance.min(axis=1), 0, atol=1e-6)


def test_words_without_points_are_revived(precision):
    """From 16 words at one place, 15 of which are nearest to nothing (the first among equals takes all)."""
    x = points(512).astype(precision)
    start = np.full((16, 4), 0.1, precision)
    lanes, every = np.pad(x.T, ((0, 1), (0, 0))), np.full(18, 4, np.int32)
    words = np.asarray(codebooks._lloyd(start, 16, lanes, np.ones(512, precision), every, 60)[0])[:, :3]
    assert len(np.unique(cells(words.astype(np.float64), x.astype(np.float64)))) == 16
    assert error(words, x) < 1.3 * error(kmeans(x, 16), x)


@pytest.mark.parametrize("distinct", [1, 5, 16])
def test_with_fewer_distinct_vectors_than_words_nothing_is_lost(precision, distinct):
    x = np.repeat(points(distinct).astype(precision), 512 // distinct, axis=0)
    words = kmeans(x, 16)
    assert words.shape == (16, 3)
    assert np.isfinite(words).all()
    assert error(words, x) <= 1e-9 * np.mean(x**2)


@pytest.mark.float64_only
def test_one_vector_one_word_one_dimension():
    x = points(512)
    np.testing.assert_allclose(kmeans(x[:1], 1), x[:1])
    np.testing.assert_allclose(kmeans(x, 1), x.mean(axis=0)[None], rtol=1e-12)
    line = np.array([[0.0], [1.0], [10.0], [11.0], [30.0]])
    np.testing.assert_allclose(np.sort(kmeans(line, 3), axis=0), [[0.5], [10.5], [30.0]])


@pytest.mark.float64_only
def test_the_seed_decides():
    x = points(512)
    np.testing.assert_array_equal(kmeans(x, 16, seed=3), kmeans(x, 16, seed=3))
    assert not np.array_equal(kmeans(x, 16, seed=3, steps=1), kmeans(x, 16, seed=4, steps=1))
