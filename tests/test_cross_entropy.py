"""The certificate against the truth, near the optimum and far from it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rdjax import checks
from rdjax.retrieval import calibrate_temperatures, cross_entropy
from rdjax.retrieval.temperature import CONVERGED
from tests.calibration import best, task, truth

make = jax.jit(cross_entropy.make_problem)


def test_the_gap_is_never_below_the_truth(rng, dtype, precision):
    """At points near and far, on easy, hard and nearly separable problems: the certificate covers F - min F."""

    @jax.jit
    def bounds(problem, beta):
        at = cross_entropy.moments(problem, beta)
        return cross_entropy.certificate(problem, beta, at)[0], at.value - cross_entropy.floor(problem)

    local = 0
    for noise in (0.3, 1.0, 4.0):
        scores, relevant = task(rng, noise=(noise, 2 * noise))
        beta, bits = best(scores, relevant)
        problem = make(jnp.asarray(scores, dtype), jnp.asarray(relevant)[:, None], jnp.full(15, 1 / 15, dtype))
        for spread in (1e-6, 1e-3, 0.02, 0.1, 0.5, 2.0):
            point = beta * np.exp(spread * rng.normal(size=2)) * (rng.random(2) < 0.9)
            scaled = jnp.asarray(point, dtype) * problem.scale
            gap, trivial = (float(bound) for bound in bounds(problem, scaled))
            excess = (truth(np.asarray(scaled / problem.scale, float), scores, relevant)[0] - bits) * np.log(2)
            assert gap >= excess - 1e-11
            local += gap < 0.1 * trivial
            if spread == 1e-3 and point.all() and noise == 1.0:  # in the quadratic regime it is nearly the truth
                assert gap <= 1.1 * excess + (1e-12 if precision == "float64" else 1e-4)
    assert local >= 6


def test_stationarity_is_a_fixed_point_of_the_projected_gradient(rng, dtype, precision):
    scores, relevant = task(rng, 3)
    result = calibrate_temperatures(jnp.asarray(scores, dtype), relevant)
    beta = np.asarray(1 / result.temperatures, float)

    def step(point):
        return np.maximum(point - truth(point, scores, relevant)[1], 0)

    checks.assert_fixed_point(step, beta, 1e-10 if precision == "float64" else 1e-5)
    with pytest.raises(AssertionError):
        checks.assert_fixed_point(step, beta * 1.1, 1e-5)


@pytest.mark.float64_only
@pytest.mark.parametrize("size", [1e-3, 1e-6])
def test_a_slightly_worse_copy_of_a_modality_is_held_out_and_certified(size, rng):
    scores, relevant = task(rng)
    scores[1] = 2 * scores[0] - size * np.eye(15)[relevant]
    result = calibrate_temperatures(jnp.asarray(scores), relevant)
    _, bits = best(scores[:1], relevant)
    assert np.isinf(result.temperatures[1])
    assert int(result.status) == CONVERGED
    assert float(result.gap) < 1e-11
    np.testing.assert_allclose(result.cross_entropy, bits, rtol=1e-11)
