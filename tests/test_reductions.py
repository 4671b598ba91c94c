"""Sums as products, maxima in rows of 32: what NumPy says at sizes around the cut; what is no number comes through."""

import jax.numpy as jnp
import numpy as np
import pytest

from rdjax.rate_distortion.reductions import inner, largest, total


@pytest.mark.parametrize("size", [1, 2, 31, 32, 33, 100])
def test_sums_and_maxima_are_those_of_numpy(size, rng, dtype, tolerance):
    x, y, rows = (rng.normal(size=shape).astype(dtype) for shape in ((size,), (size,), (2, size)))
    wide = lambda part: part.astype(np.float64)
    np.testing.assert_allclose(inner(x, y), wide(x) @ wide(y), atol=tolerance * size)
    np.testing.assert_allclose(inner(x, rows.T), wide(x) @ wide(rows).T, atol=tolerance * size)
    np.testing.assert_allclose(total(x), wide(x).sum(), atol=tolerance * size)
    np.testing.assert_array_equal(largest(jnp.asarray(x)), x.max())
    np.testing.assert_array_equal(largest(jnp.asarray(rows)), rows.max(axis=1))


def test_what_is_no_number_comes_through(dtype):
    for value, expected in ((np.nan, np.nan), (np.inf, np.inf)):
        x = jnp.zeros(40, dtype).at[35].set(value)
        np.testing.assert_array_equal(largest(x), expected)
        np.testing.assert_array_equal(total(x), expected)
    np.testing.assert_array_equal(largest(jnp.full(40, -jnp.inf, dtype)), -np.inf)
