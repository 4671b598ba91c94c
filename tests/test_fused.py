"""Estimates where XLA, as users have it, may fuse what makes the data into what compares them."""

import jax
import numpy as np
import pytest

from rdjax.information import ksg, ksg_conditional
from rdjax.rate_distortion import reverse_water_filling_at
from tests.flags import USERS


def made(a, b, c):
    """Two spaces that need products and sums, which may be rounded once or twice."""
    return a * b * 0.37 + c * 1.13, b * 1.07 + a * 0.3


@pytest.mark.parametrize("norm", ["max", "euclidean"])
@pytest.mark.parametrize(("n", "d"), [(30, 1), (60, 3)])
def test_a_neighbor_is_never_nearer_than_itself(n, d, norm, rng, dtype, tolerance):
    """The k-th neighbor's distance in one space is the radius; computed twice, it was an ulp below: 5 of 30 rows."""
    a, b, c = rng.standard_normal((3, n, d)).astype(dtype)
    compiled = lambda function: jax.jit(function, compiler_options=USERS)
    x, y = compiled(made)(a, b, c)
    estimate = lambda x, y: ksg(x, y, method="blocks", norm=norm)
    inside = compiled(lambda *given: estimate(*made(*given)))(a, b, c)
    np.testing.assert_allclose(inside, estimate(x, y), rtol=tolerance, atol=tolerance)
    conditional = lambda x, y: ksg_conditional(x, y, c, method="blocks", norm=norm)
    inside = compiled(lambda *given: conditional(*made(*given)))(a, b, c)
    np.testing.assert_allclose(inside, conditional(x, y), rtol=tolerance, atol=tolerance)


def test_a_component_at_the_level_is_spent_however_it_is_rounded(rng, dtype, tolerance):
    """As many distortions as give every number of spent components, each at the edge of one."""
    a, b = rng.uniform(0.5, 2, size=(2, 16)).astype(dtype)
    variances = lambda a, b: a * b * 0.37 + 1.13 * a
    found = jax.jit(variances, compiler_options=USERS)(a, b)
    rising = np.sort(np.asarray(found, np.float64))
    reached = np.cumsum(rising) - rising + rising * np.arange(16, 0, -1)
    inside = jax.jit(lambda a, b, d: reverse_water_filling_at(variances(a, b), d), compiler_options=USERS)
    for total in reached.astype(dtype):
        rates = inside(a, b, total).rates
        level = rising[reached <= float(total) * (1 + 1e-6)][-1]
        expected = np.maximum(0.5 * np.log2(np.asarray(found, np.float64) / level), 0)
        np.testing.assert_allclose(rates, expected, atol=100 * tolerance)
