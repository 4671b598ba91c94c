"""The parallel least concave majorant against the sequential one."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rdjax import majorant
from tests import oracles

pytestmark = pytest.mark.float64_only
vertices = jax.jit(majorant.majorant_vertices)


def check(x, y, candidate=None):
    x, y = np.asarray(x, float), np.asarray(y, float)
    candidate = np.ones(len(x), bool) if candidate is None else candidate
    kept = np.unique(vertices(x, y, candidate))
    slopes, _ = oracles.least_concave_majorant_slopes(x, y)
    ours = np.repeat(np.diff(y[kept]) / np.diff(x[kept]), np.diff(kept))
    np.testing.assert_allclose(ours, slopes, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("n", [2, 3, 4, 5, 17, 64, 1000, 5000])
@pytest.mark.parametrize("kind", ["noise", "convex", "concave", "creeping", "walk", "steps"])
def test_equals_the_stack(n, kind, rng):
    k = np.arange(n, dtype=float)
    y = {
        "noise": rng.random(n),
        "convex": (k / n) ** 2,
        "concave": np.sqrt(k),
        "creeping": np.where(k < n / 5, (k / n) ** 3, np.sqrt(k / n) - 0.3),  # one block that swallows a concave chain
        "walk": np.cumsum(rng.normal(size=n)),
        "steps": np.floor(7 * k / n),
    }[kind]
    check(np.cumsum(rng.random(n) + 1e-3), y)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.floats(0.01, 10), st.floats(-5, 5)), min_size=16, max_size=16))
def test_any_sixteen_points(points):
    steps, heights = zip(*points, strict=True)
    check(np.cumsum(steps), heights)


def test_more_gaps_than_bridges(rng, monkeypatch):
    """Gaps beyond the number bridged at once wait for a later round, and nothing is lost."""
    monkeypatch.setattr(majorant, "BRIDGES", 3)
    x, y = np.arange(400.0), np.cumsum(rng.normal(size=400))
    kept = np.unique(majorant.majorant_vertices(jnp.asarray(x), jnp.asarray(y), jnp.ones(400, bool)))
    expected = oracles.least_concave_majorant_slopes(x, y)[1]
    np.testing.assert_array_equal(kept, expected)
