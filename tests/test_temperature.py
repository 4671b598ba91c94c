"""Calibration against scipy and closed forms; the edges."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rdjax.checks import InputError
from rdjax.retrieval import calibrate_temperatures, cross_entropy, gaussian_temperatures, printed_rule
from rdjax.retrieval.temperature import CONVERGED, FLAT, NOT_CERTIFIED, SEPARABLE, UNINFORMATIVE
from tests.calibration import best, task

make = jax.jit(cross_entropy.make_problem)


@pytest.mark.parametrize("modalities", [1, pytest.param(3, marks=pytest.mark.float64_only)])
def test_equals_scipy(modalities, rng, dtype, precision):
    scores, relevant = task(rng, modalities)
    beta, bits = best(scores, relevant)
    result = calibrate_temperatures(scores.astype(dtype), relevant)
    close = 1e-5 if precision == "float64" else 2e-3  # scipy's own stopping is the limit in float64
    np.testing.assert_allclose(1 / result.temperatures, beta, rtol=close)
    np.testing.assert_allclose(result.cross_entropy, bits, rtol=1e-9 if precision == "float64" else 2e-6)
    assert int(result.status) == CONVERGED
    assert result.message.startswith("Converged")
    assert result.gap.dtype == dtype
    assert 0 <= float(result.gap) < (1e-12 if precision == "float64" else 1e-4)
    assert float(result.cross_entropy) - bits <= float(result.gap) + 1e-12


@pytest.mark.float64_only
def test_prior_and_several_relevant_documents(rng, dtype, precision):
    scores, relevant = task(rng)
    several = np.stack([relevant, (relevant + 1) % 15, np.full(60, -1)], axis=1)
    several[::2, 1] = -1
    prior = rng.dirichlet(np.ones(15))
    beta, bits = best(scores, several, prior)
    result = calibrate_temperatures(scores.astype(dtype), several, prior=prior.astype(dtype))
    np.testing.assert_allclose(result.cross_entropy, bits, rtol=1e-9 if precision == "float64" else 2e-6)
    np.testing.assert_allclose(1 / result.temperatures, beta, rtol=1e-4 if precision == "float64" else 5e-3)


def test_a_document_of_prior_zero_is_as_if_absent(rng, dtype, tolerance):
    scores, relevant = task(rng, documents=14)
    extended = np.concatenate([scores, np.full((2, 60, 1), 50.0)], axis=2)
    prior = np.append(np.full(14, 1 / 14), 0.0)
    _, bits = best(scores, relevant)
    result = calibrate_temperatures(extended.astype(dtype), relevant, prior=prior.astype(dtype))
    np.testing.assert_allclose(result.cross_entropy, bits, rtol=10 * tolerance)
    assert int(result.status) == CONVERGED


def test_uniform_prior_may_be_said_in_three_ways(rng, dtype):
    scores, relevant = task(rng)
    scores = scores.astype(dtype)
    results = [calibrate_temperatures(scores, relevant, prior=p) for p in (None, 15, jnp.full(15, 1 / 15, dtype))]
    for result in results[1:]:
        np.testing.assert_allclose(result.temperatures, results[0].temperatures, rtol=1e-3)
    with pytest.raises(InputError, match="over 14 documents"):
        calibrate_temperatures(scores, relevant, prior=14)


def test_units_of_a_modality_do_not_matter(rng, dtype, precision):
    scores, relevant = task(rng)
    units = np.array([1e4, 1e-4])
    plain = calibrate_temperatures(scores.astype(dtype), relevant)
    scaled = calibrate_temperatures((scores * units[:, None, None]).astype(dtype), relevant)
    close = 1e-9 if precision == "float64" else 1e-3
    np.testing.assert_allclose(scaled.temperatures, plain.temperatures * units, rtol=close)
    np.testing.assert_allclose(scaled.cross_entropy, plain.cross_entropy, rtol=close)


def test_a_modality_that_only_hurts_gets_temperature_infinity(rng, dtype):
    scores, relevant = task(rng)
    scores[1] = -scores[0] + rng.normal(size=scores[1].shape) * 0.01
    alone = calibrate_temperatures(scores[:1].astype(dtype), relevant)
    both = calibrate_temperatures(scores.astype(dtype), relevant)
    beta, bits = best(scores, relevant)
    assert beta[1] == 0
    assert np.isinf(both.temperatures[1])
    np.testing.assert_allclose(both.temperatures[0], alone.temperatures[0], rtol=1e-3)
    np.testing.assert_allclose(both.cross_entropy, bits, rtol=2e-6)
    assert int(both.status) == CONVERGED


def test_scores_upside_down_are_uninformative(rng, dtype, tolerance):
    scores, relevant = task(rng)
    result = calibrate_temperatures((-scores).astype(dtype), relevant)
    assert int(result.status) == UNINFORMATIVE
    assert np.isinf(result.temperatures).all()
    np.testing.assert_allclose(result.cross_entropy, np.log2(15), rtol=tolerance)
    assert "not distances" in result.message


def test_separable_scores_stop_with_finite_temperatures(rng, dtype, precision):
    relevant = rng.integers(0, 15, 60)
    scores = jnp.asarray(np.stack([np.eye(15)[relevant], rng.normal(size=(60, 15)) * 0.1]), dtype)
    result = calibrate_temperatures(scores, relevant)
    small = 1e-8 if precision == "float64" else 1e-3
    assert int(result.status) == SEPARABLE
    assert 0 < float(result.temperatures[0]) < 1
    assert 0 <= float(result.cross_entropy) <= float(result.gap) < small
    assert "fall to 0" in result.message


def test_exact_copies_of_the_relevant_document_are_not_held_against_it(rng, dtype, precision):
    relevant = np.arange(60) % 7
    scores = np.eye(15)[relevant][None] + rng.normal(size=(1, 60, 15)) * 0.05
    scores[..., 7:14] = scores[..., :7]
    result = calibrate_temperatures(scores.astype(dtype), relevant)
    small = 1e-8 if precision == "float64" else 1e-3
    np.testing.assert_allclose(result.cross_entropy, 1.0, atol=small)
    assert int(result.status) == SEPARABLE
    assert float(result.gap) < small


@pytest.mark.parametrize("case", ["repeated", "constant"])
def test_modalities_that_add_nothing_leave_the_optimum_flat(case, rng, dtype, precision):
    scores, relevant = task(rng, 1)
    other = scores[0] * 3 if case == "repeated" else np.ones_like(scores[0])
    alone = calibrate_temperatures(scores.astype(dtype), relevant)
    both = calibrate_temperatures(np.stack([scores[0], other]).astype(dtype), relevant)
    close = 1e-10 if precision == "float64" else 1e-5
    np.testing.assert_allclose(both.cross_entropy, alone.cross_entropy, rtol=close)
    assert int(both.status) == FLAT
    assert float(both.gap) < (1e-10 if precision == "float64" else 1e-4)
    if case == "repeated":
        beta = 1 / both.temperatures[0] + 3 / both.temperatures[1]
        np.testing.assert_allclose(beta, 1 / alone.temperatures[0], rtol=100 * close)


def test_too_few_steps_are_not_called_converged(rng, dtype):
    scores, relevant = task(rng)
    _, bits = best(scores, relevant)
    result = calibrate_temperatures(scores.astype(dtype), relevant, max_steps=1)
    assert int(result.steps) == 1
    assert int(result.status) == NOT_CERTIFIED
    assert float(result.cross_entropy) - bits <= float(result.gap)
    assert "max_steps" in result.message


@pytest.mark.float64_only
def test_gradients_of_optimum_and_optimal_value(rng):
    scores, relevant = task(rng)
    direction = rng.normal(size=scores.shape) * 0.1
    prior, tilt = rng.dirichlet(np.ones(15) * 5), rng.normal(size=15) * 0.01

    def solve(t):
        law = prior * jnp.exp(t * tilt)
        result = calibrate_temperatures(scores + t * direction, relevant, prior=law / jnp.sum(law))
        return jnp.append(result.temperatures, result.cross_entropy)

    slopes = jax.jacrev(solve)
    every = jax.jit(lambda t: (solve(t), *jax.jvp(slopes, (t,), (1.0,))))  # forward over reverse: both modes
    step = 1e-4
    (low, *_), (middle, first, second), (high, *_) = (every(t) for t in (-step, 0.0, step))
    np.testing.assert_allclose(first, (high - low) / (2 * step), rtol=1e-5)
    np.testing.assert_allclose(second, (high - 2 * middle + low) / step**2, rtol=1e-3)


@pytest.mark.float64_only
def test_gradients_at_an_active_constraint_are_zero_not_nan(rng):
    scores, relevant = task(rng)
    scores[1] = -scores[0] + rng.normal(size=scores[1].shape) * 0.01
    scores = jnp.asarray(scores)
    beta = lambda s: 1 / calibrate_temperatures(s, relevant).temperatures
    gradient = jax.jit(jax.jacrev(beta))(scores)
    assert np.isfinite(gradient).all()
    assert np.all(gradient[1] == 0)
    direction = rng.normal(size=scores.shape) * 0.1
    central = (beta(scores + 1e-4 * direction) - beta(scores - 1e-4 * direction)) / 2e-4
    np.testing.assert_allclose(np.tensordot(gradient, direction, 3), central, rtol=1e-5)


@pytest.mark.float64_only
def test_jit_and_vmap(rng, dtype):
    stack = [task(rng) for _ in range(3)]
    scores, relevant = np.stack([s for s, _ in stack]).astype(dtype), np.stack([r for _, r in stack])
    batch = jax.jit(jax.vmap(calibrate_temperatures))(scores, relevant)
    for i in range(3):
        one = calibrate_temperatures(scores[i], relevant[i])
        np.testing.assert_allclose(batch.temperatures[i], one.temperatures, rtol=1e-3)
        np.testing.assert_allclose(batch.cross_entropy[i], one.cross_entropy, rtol=1e-5)
    assert batch.message.startswith("Converged")


@pytest.mark.float64_only
def test_gaussian_noise_is_calibrated_by_noise_over_signal(rng, dtype):
    """Theory notes, section 4: tau_m = sigma_m^2 / a_m; the fit is within five standard errors of it."""
    documents, queries, dimension = 32, 2000, 16
    signal, deviation = np.array([2.0, 0.8]), np.array([0.7, 0.5])
    relevant = rng.integers(0, documents, queries)
    scores = []
    for gain, sigma in zip(signal, deviation, strict=True):
        vectors = rng.normal(size=(documents, dimension))
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        scores.append((gain * vectors[relevant] + sigma * rng.normal(size=(queries, dimension))) @ vectors.T)
    scores = np.stack(scores).astype(dtype)
    result = calibrate_temperatures(scores, relevant)
    problem = make(scores, jnp.asarray(relevant)[:, None], jnp.full(documents, 1 / documents, dtype))
    information = jax.jit(cross_entropy.moments)(problem, problem.scale / result.temperatures).hessian * queries
    error = np.sqrt(np.diag(np.linalg.inv(np.asarray(information, float)))) / np.asarray(problem.scale)
    expected = np.asarray(gaussian_temperatures(signal, deviation**2))
    np.testing.assert_allclose(expected, [0.245, 0.3125], rtol=1e-6)
    deviations = np.abs(1 / np.asarray(result.temperatures) - 1 / expected) / error
    assert (deviations < 5).all()
    assert (error * expected < 0.05).all()  # so that five standard errors say something


@pytest.mark.float64_only
@pytest.mark.parametrize(("name", "beta"), [("T1", (19.2, 12.6)), ("T3", (22.8, 19.6))])
def test_emoji_corpus(name, beta):
    """Known from an independent calibration on the concepts outside the test split."""
    from rdjax.data import emoji
    from rdjax.retrieval import modality_scores

    fit, _ = emoji(name)
    result = calibrate_temperatures(modality_scores(fit.queries, fit.documents), fit.relevant)
    order = [fit.modalities.index(modality) for modality in ("image", "text")]
    np.testing.assert_allclose(1 / np.asarray(result.temperatures)[order], beta, atol=0.05)


def test_printed_rule_is_as_printed(dtype):
    rule = jax.jit(printed_rule)
    taus = rule(np.array([2.0, 4.0, 6.0], dtype))
    np.testing.assert_allclose(taus, [np.sqrt(2), 1, np.sqrt(2 / 3)], rtol=1e-6)
    np.testing.assert_allclose(rule(np.full(3, 3, dtype)), [1, 1, 1])
    with pytest.raises(InputError, match="entropy"):
        printed_rule([1.0, 0.0])


@pytest.mark.float64_only
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s, r: (s[0], r, None), "modalities, queries, documents"),
        (lambda s, r: (s, r[:-1], None), "must be"),
        (lambda s, r: (s, r + 15, None), "numbered 0 to 14"),
        (lambda s, r: (np.where(s > 0, np.inf, s), r, None), "infinity"),
        (lambda s, r: (s, np.full((60, 2), -1), None), "no relevant document"),
        (lambda s, r: (s, r * 0, np.eye(15)[1]), "prior 0"),
        (lambda s, r: (s, r, np.ones(15)), "sums to 15"),
        (lambda s, r: (s, r, np.ones(3) / 3), "shape"),
    ],
)
def test_mistakes_are_one_sentence(change, message, rng):
    scores, relevant, prior = change(*task(rng))
    with pytest.raises(InputError, match=message):
        calibrate_temperatures(scores, relevant, prior=prior)
