"""Gaussian intent: joint and separate encoders against NumPy eigenvalues, SciPy's optimizer and finite differences."""

import jax
import mpmath
import numpy as np
import pytest
from scipy.optimize import minimize

from rdjax.checks import InputError
from rdjax.rate_distortion import (
    intent_from_covariance,
    intent_from_noise,
    joint_intent_distortion,
    joint_intent_rate,
    reverse_water_filling,
    reverse_water_filling_at,
    separate_intent_distortion,
    separate_intent_rate,
)

FIGURES = [  # noise, distortion, joint, separate, noise rates: theory notes, section 3.3
    ((0.25, 4.0), 0.3, 1.443, 1.500, (0.632, 0.0)),
    ((1.0, 1.0), 0.4, 1.661, 2.661, (1.0, 1.0)),
]


def random_covariance(rng, n=6):
    root = rng.normal(size=(n, n))
    return root @ root.T / n


def ceo_by_optimizer(noise, distortion, variance):
    """min of sum r + 1/2 log2(variance / D) under the constraint, by SLSQP from three starts."""
    met = lambda r: 1 / variance + np.sum((1 - 4.0**-r) / noise) - 1 / distortion
    found = []
    for start in (0.5, 2.0, 5.0):
        result = minimize(
            np.sum,
            np.full(noise.size, start),
            jac=np.ones_like,
            method="SLSQP",
            bounds=[(0, 60)] * noise.size,
            constraints=[{"type": "ineq", "fun": met}],
            options={"ftol": 1e-12, "maxiter": 500},
        )
        if met(result.x) > -1e-7:
            found.append(result.fun)
    return min(found) + 0.5 * np.log2(variance / distortion)


@pytest.mark.parametrize(("noise", "distortion", "joint", "separate", "noise_rates"), FIGURES)
def test_figures_of_the_theory(noise, distortion, joint, separate, noise_rates):
    noise = np.array(noise)
    assert float(joint_intent_rate(intent_from_noise(noise), distortion).rate) == pytest.approx(joint, abs=6e-4)
    found = separate_intent_rate(noise, distortion)
    assert float(found.rate) == pytest.approx(separate, abs=6e-4)
    np.testing.assert_allclose(found.noise_rates, noise_rates, atol=6e-4)
    assert float(found.distortion) == pytest.approx(distortion, rel=1e-6)


@pytest.mark.float64_only
def test_separate_encoders_against_an_optimizer(rng):
    for _ in range(12):
        noise, variance = np.exp(rng.normal(size=4) * 1.5), float(np.exp(rng.normal()))
        least = 1 / (1 / variance + np.sum(1 / noise))
        distortion = least + rng.uniform(0.02, 0.98) * (variance - least)
        found = separate_intent_rate(noise, distortion, variance)
        assert float(found.rate) == pytest.approx(ceo_by_optimizer(noise, distortion, variance), abs=2e-6)
        reached = 1 / variance + np.sum((1 - 4.0 ** -np.asarray(found.noise_rates)) / noise)
        assert reached == pytest.approx(1 / distortion, rel=1e-12)
        total = float(np.sum(found.noise_rates)) + 0.5 * np.log2(variance / distortion)
        assert float(found.rate) == pytest.approx(total, rel=1e-12)


@pytest.mark.float64_only
def test_each_order_of_decoding_obeys_the_rate_region(rng):
    """R_S >= I(X_S; C_S | C_rest) = sum_S r + 1/2 log2(J / J_rest) for every set S of encoders, equality at the sum."""
    noise = np.array([0.3, 0.9, 0.5, 8.0])
    found = separate_intent_rate(noise, 0.2)
    rates, spent = np.asarray(found.rates), np.asarray(found.noise_rates)
    gained = (1 - 4.0**-spent) / noise
    assert rates.min() >= 0
    for chosen in range(1, 16):
        inside = np.array([chosen >> m & 1 for m in range(4)], bool)
        needed = spent[inside].sum() + 0.5 * np.log2((1 + gained.sum()) / (1 + gained[~inside].sum()))
        assert rates[inside].sum() >= needed - 1e-12
    assert rates.sum() == pytest.approx(needed, rel=1e-12)


def test_joint_against_eigenvalues(rng, tolerance):
    """D as a function of the level, straight from NumPy's eigenvalues."""
    covariance = random_covariance(rng)
    zz, zx, xx = covariance[:3, :3], covariance[:3, 3:], covariance[3:, 3:]
    explained = zx @ np.linalg.solve(xx, zx.T)
    eigenvalues = np.linalg.eigvalsh(explained)
    residual = np.trace(zz - explained)
    intent = intent_from_covariance(covariance, 3)
    np.testing.assert_allclose(intent.explained, eigenvalues, rtol=1e3 * tolerance)
    assert float(intent.residual) == pytest.approx(residual, rel=1e3 * tolerance)
    levels = eigenvalues.max() * np.array([1.5, 0.9, 0.3, 0.02, 1e-3])
    for level in levels:
        distortion = residual + np.minimum(eigenvalues, level).sum()
        rate = np.sum(0.5 * np.log2(np.maximum(eigenvalues / level, 1)))
        found = joint_intent_rate(intent, np.array(distortion))
        # a relative error of the residual is one of the level, magnified by residual / level
        slack = 1e3 * tolerance * max(1, residual / level)
        assert float(found.rate) == pytest.approx(rate, abs=slack)
        assert float(joint_intent_distortion(intent, np.array(rate)).distortion) == pytest.approx(distortion, abs=slack)


@pytest.mark.float64_only
def test_joint_is_never_above_separate_and_equal_for_one_modality(rng, tolerance):
    noise = np.exp(rng.normal(size=(40, 2)))
    least = 1 / (1 + np.sum(1 / noise, axis=1))
    distortion = least + rng.uniform(0.05, 0.95, 40) * (1 - least)
    joint = joint_intent_rate(intent_from_noise(noise), distortion)
    separate = separate_intent_rate(noise, distortion)
    assert np.all(np.asarray(joint.rate) <= np.asarray(separate.rate) + 1e3 * tolerance)
    alone = np.stack([noise[:, 0], np.full(40, np.inf)], axis=1)  # the second modality carries nothing
    worse = 1 / (1 + 1 / noise[:, 0])
    distortion = worse + 0.3 * (1 - worse)
    one = joint_intent_rate(intent_from_noise(alone), distortion).rate
    np.testing.assert_allclose(separate_intent_rate(alone, distortion).rate, one, atol=1e3 * tolerance)
    np.testing.assert_array_equal(separate_intent_rate(alone, distortion).rates[:, 1], 0)


def test_rates_and_distortions_are_inverse(rng, tolerance):
    noise, variance = np.exp(rng.normal(size=(40, 2))), np.exp(rng.normal(size=40))
    rate = rng.exponential(size=40) * 3
    found = separate_intent_distortion(noise, rate, variance)
    np.testing.assert_allclose(found.rate, rate, rtol=1e2 * tolerance, atol=1e2 * tolerance)
    slack = 1e3 * tolerance * np.max(4.0**rate)  # D is that close to D_min
    np.testing.assert_allclose(separate_intent_rate(noise, found.distortion, variance).rate, rate, atol=slack)
    better = joint_intent_distortion(intent_from_noise(noise, variance), rate)
    np.testing.assert_allclose(better.rate, rate, rtol=1e2 * tolerance)
    assert np.all(np.asarray(better.distortion) <= np.asarray(found.distortion) * (1 + 1e2 * tolerance))


def test_edges():
    noise = np.array([0.25, 4.0])
    intent = intent_from_noise(noise)
    least = float(intent.residual)
    assert least == pytest.approx(1 / 5.25, rel=1e-6)
    for distortion in (1.0, 1.7):
        assert float(joint_intent_rate(intent, distortion).rate) == 0
        assert float(separate_intent_rate(noise, distortion).rate) == 0
        assert float(separate_intent_rate(noise, distortion).distortion) == pytest.approx(1, rel=1e-6)
    assert np.isinf(joint_intent_rate(intent, intent.residual).rate)
    for call in (joint_intent_rate, lambda _, d: separate_intent_rate(noise, d)):
        rate = jax.jit(lambda d, call=call: call(intent, d).rate)
        assert np.isinf(rate(0.1))
    assert np.isinf(rate(-1.0))
    assert float(separate_intent_distortion(noise, 0.0).distortion) == pytest.approx(1, rel=1e-6)
    assert float(separate_intent_distortion(noise, 200.0).distortion) == pytest.approx(least, rel=1e-6)
    assert float(joint_intent_distortion(intent, 0.0).distortion) == pytest.approx(1, rel=1e-6)
    singular = jax.jit(lambda c: intent_from_covariance(c, 1).residual)(np.ones((3, 3)))
    assert np.isinf(singular)
    # the covariance of the same scalar model
    by_covariance = intent_from_covariance(np.ones((3, 3)) + np.diag([0, 0.25, 4.0]), 1)
    np.testing.assert_allclose(by_covariance.explained, intent.explained, rtol=1e-5)
    np.testing.assert_allclose(by_covariance.residual, least, rtol=1e-5)


@pytest.mark.float64_only
def test_gradients_against_finite_differences(rng):
    noise, covariance = np.array([0.25, 0.9]), random_covariance(rng)
    residual = np.asarray(intent_from_covariance(covariance, 3).residual)
    cases = [
        (lambda v, d, p: separate_intent_rate(v, d, p).rate, (noise, 0.2, 1.0)),  # both active
        (lambda v, d, p: separate_intent_rate(v, d, p).rate, (noise, 0.8, 1.0)),  # one
        (lambda v, r, p: separate_intent_distortion(v, r, p).distortion, (noise, 2.5, 1.0)),
        (lambda c, d: joint_intent_rate(intent_from_covariance(c, 3), d).rate, (covariance, residual + 0.3)),
        (lambda c, r: joint_intent_distortion(intent_from_covariance(c, 3), r).distortion, (covariance, 1.0)),
    ]
    for function, arguments in cases:
        ways = [np.asarray(rng.normal(size=np.shape(a))) for a in arguments]
        ways = tuple(d + d.T if d.ndim == 2 else d for d in ways)
        both = jax.jit(lambda x, t, f=function: jax.jvp(f, x, t))
        moved = [tuple(np.asarray(a + h * d) for a, d in zip(arguments, ways, strict=True)) for h in (0, 1e-6, -1e-6)]
        (value, along), (high, _), (low, _) = (both(at, ways) for at in moved)
        assert np.isfinite(value)
        difference = (high - low) / 2e-6
        assert float(along) == pytest.approx(float(difference), rel=1e-6, abs=1e-8)


@pytest.mark.float64_only
def test_derivatives_at_zero_rate_are_one_sided(tolerance):
    """-dD/dR at R = 0 is 2 ln 2 times the largest explained variance; nothing halves it."""
    noise = np.array([0.25, 4.0])
    joint = jax.jit(jax.grad(lambda r: joint_intent_distortion(intent_from_noise(noise), r).distortion))
    slope = -2 * np.log(2) * (1 - 1 / 5.25)
    assert float(joint(0.0)) == pytest.approx(slope, rel=1e2 * tolerance)
    separate = jax.jit(jax.grad(lambda r: separate_intent_distortion(noise, r).distortion))
    assert float(separate(0.0)) == pytest.approx(-2 * np.log(2) * 0.8, rel=1e2 * tolerance)


@pytest.mark.float64_only
def test_vmap_agrees_with_batches(rng, tolerance):
    noise, distortion = np.exp(rng.normal(size=(40, 2))), np.full(40, 0.9)
    keep = 1 / (1 + np.sum(1 / noise, axis=1)) < 0.85
    noise[~keep] = 1.0
    together = separate_intent_rate(noise, distortion)
    apart = jax.jit(jax.vmap(separate_intent_rate))(noise, distortion)
    for one, other in zip(jax.tree.leaves(together), jax.tree.leaves(apart), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e2 * tolerance, atol=1e2 * tolerance)
    many = separate_intent_rate(noise[0], np.array([0.5, 0.9]) * (1 - 0.85) + 0.85)
    assert many.rates.shape == (2, 2)


@pytest.mark.float64_only
def test_water_filling_at_a_distortion_inverts_the_one_at_a_rate(tolerance):
    variances = np.array([[9.0, 4.0, 1e-3, 0.0]] * 4)
    rate = np.array([0.0, 0.3, 2.5, 9.0])
    by_rate = reverse_water_filling(variances, rate)
    total = np.sum(np.asarray(by_rate.distortions), axis=-1)
    found = reverse_water_filling_at(variances, total)
    np.testing.assert_allclose(found.rates, by_rate.rates, atol=1e3 * tolerance)
    np.testing.assert_allclose(found.distortions, by_rate.distortions, rtol=1e3 * tolerance)
    # level 1 leaves 1 + 1 + .5 of 2.5, and log2 of 4 and 2 halved in bits
    level = reverse_water_filling_at(np.array([4.0, 2.0, 0.5]), 2.5)
    np.testing.assert_allclose(level.rates, [1.0, 0.5, 0.0], atol=1e2 * tolerance)
    np.testing.assert_array_equal(reverse_water_filling_at(np.array([4.0, 2.0, 0.5]), 7.0).rates, 0)
    np.testing.assert_array_equal(reverse_water_filling_at(np.array([4.0, 2.0, 0.0]), 0.0).rates, [np.inf, np.inf, 0])


@pytest.mark.float64_only
@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: separate_intent_rate(np.array([0.25, 4.0]), 0.1), "0.190476"),
        (lambda: joint_intent_rate(intent_from_noise(np.array([0.25, 4.0])), 0.1), "0.190476"),
        (lambda: intent_from_noise(np.array([0.0, 4.0])), "above 0"),
        (lambda: intent_from_noise(np.array([1.0, 4.0]), np.inf), "variance of Z has an entry inf; it must be"),
        (lambda: separate_intent_distortion(np.array([1.0, 4.0]), -1.0), "rate in bits has an entry -1; it must be"),
        (lambda: intent_from_covariance(np.ones((3, 3)), 1), "singular"),
        (lambda: intent_from_covariance(np.diag([1.0, -1.0]), 1), "negative eigenvalue"),
        (lambda: intent_from_covariance(np.array([[1.0, 0.5], [0.2, 1.0]]), 1), "symmetric"),
        (lambda: intent_from_covariance(np.ones((2, 3)), 1), "square"),
        (lambda: intent_from_covariance(np.eye(2), 2), "at least 1"),
        (lambda: reverse_water_filling_at(np.array([1.0, 4.0]), -1.0), "negative"),
        (lambda: reverse_water_filling_at(2.0, 1.0), r"the variances have shape \(\)"),
        (lambda: reverse_water_filling(2.0, 1.0), r"the variances have shape \(\)"),
        (lambda: intent_from_noise(1.0), r"the noise variances have shape \(\)"),
        (lambda: separate_intent_rate(1.0, 0.6), r"the noise variances have shape \(\)"),
        (lambda: separate_intent_distortion(np.ones(0), 1.0), r"the noise variances have shape \(0,\)"),
    ],
)
def test_mistakes_are_told(call, words):
    with pytest.raises(InputError, match=words):
        call()


@pytest.mark.float64_only
def test_gradient_with_equal_eigenvalues_is_finite_and_right():
    """Three equal eigenvalues 1 / (1 + .5) at D = 1 + .9: 3/2 log2(2/3 / .3) bits, with any eigenvectors."""
    covariance = np.kron([[1, 1], [1, 1.5]], np.eye(3))
    rate = jax.jit(jax.value_and_grad(lambda c: joint_intent_rate(intent_from_covariance(c, 3), 1.9).rate))
    value, gradient = rate(covariance)
    assert float(value) == pytest.approx(1.5 * np.log2((2 / 3) / 0.3), rel=1e-12)
    # more variance of Z that X does not explain leaves less of D to code in: d level = -1/3, dR = 3/2 log2(e) / 3 / .3
    expected = 1 / (2 * np.log(2) * 0.3)
    np.testing.assert_allclose(gradient[:3, :3], expected * np.eye(3), atol=1e-9)


def precise_split(noise, rate, variance):
    """Distortion and bits spent on noise at a total rate: the water level by bisection in mpmath, sixty digits."""
    with mpmath.workdps(60):
        precisions, goal, power = [1 / mpmath.mpf(float(v)) for v in noise], mpmath.mpf(rate), mpmath.mpf(variance)
        spent = lambda t: [max(mpmath.mpf(0), mpmath.log(p / t, 2) / 2) for p in precisions]
        known = lambda t: 1 / power + sum(max(mpmath.mpf(0), p - t) for p in precisions)
        high = mpmath.log(max(precisions))
        low = high - 2 * goal - 1
        for _ in range(180):
            middle = (low + high) / 2
            enough = sum(spent(mpmath.e**middle)) + mpmath.log(power * known(mpmath.e**middle), 2) / 2 > goal
            low, high = (middle, high) if enough else (low, middle)
        return float(1 / known(mpmath.e**low)), [float(r) for r in spent(mpmath.e**low)]


@pytest.mark.parametrize(
    ("noise", "rate", "variance"),
    [
        ([1e-4], 1.0, 1.0),
        ([1e-7], 1.0, 1.0),
        ([0.25], 80.0, 1.0),
        ([1e-8, 1e8], 3.0, 1e6),
        ([1e-7, 1.001e-7], 1.0, 1.0),
        ([1e-15, 2e-15, 1e-14], 22.0, 1e3),
        ([1e-15, 2e-15, 1e-14], 30.0, 1e3),
    ],
)
def test_next_to_no_noise_costs_next_to_no_bits(noise, rate, variance, dtype, tolerance):
    """A precision less the water level, both 1e7, is 3: bits of noise are what is solved for."""
    noise = np.asarray(noise, dtype)
    distortion, spent = precise_split(noise, rate, variance)
    found = separate_intent_distortion(noise, dtype.type(rate), dtype.type(variance))
    np.testing.assert_allclose(found.distortion, distortion, rtol=tolerance)
    np.testing.assert_allclose(found.noise_rates, spent, rtol=10 * tolerance, atol=1e-3 * tolerance)
    np.testing.assert_allclose(found.rate, rate, rtol=tolerance)
    if rate < 80:  # else D is D_min to the digits it has
        back = separate_intent_rate(noise, dtype.type(distortion), dtype.type(variance))
        np.testing.assert_allclose(back.rate, rate, rtol=10 * tolerance)
