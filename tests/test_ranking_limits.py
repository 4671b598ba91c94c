"""Theorems A and B against every permutation, mpmath, closed forms, and the figures of the theory notes."""

import jax
import mpmath
import numpy as np
import pytest

from rdjax.checks import InputError
from rdjax.limits import (
    Bound,
    one_shot_distortion,
    ranking_bound,
    ranking_curve,
    ranking_distortion,
    ranking_range,
    ranking_rate,
)
from rdjax.retrieval.weights import dcg, dcg_at, precision_at, rank_biased, recall_at, reciprocal_rank
from tests import oracles

WEIGHTS = [reciprocal_rank, dcg, dcg_at(3), recall_at(2), precision_at(2), rank_biased(0.7)]
SKEWED = np.array([0.6, 0.2, 0.15, 0.05, 0])  # one that is never sought: five documents, as elsewhere in this file
EACH = 300  # ranks that mpmath sums one by one


def named(weights):
    return weights.name


def array_of(weights, n):
    return np.asarray(weights(np.arange(1.0, n + 1)))


@pytest.mark.float64_only
@pytest.mark.parametrize("weights", WEIGHTS, ids=named)
@pytest.mark.parametrize("n", [2, 5])
def test_equals_blahut_arimoto_over_all_rankings(weights, n):
    """Of two documents ours has three more that are never sought, and so the shape of five."""
    rng = np.random.default_rng(n)
    distortion = oracles.permutation_distortions(n, array_of(weights, n))
    scale = 1 / np.ptp(array_of(weights, n)) if np.ptp(array_of(weights, n)) else 1.0
    for prior in (np.full(n, 1 / n), rng.dirichlet(np.ones(n)), rng.dirichlet(np.full(n, 0.3))):
        slopes = scale * np.array([0.7, 2.5, 9])
        points = [oracles.blahut_point(prior, distortion, slope, tolerance=2e-8) for slope in slopes]
        rate, mean, gap = np.transpose(points)
        ours = np.asarray(ranking_rate(mean, np.pad(prior, (0, 5 - n)), weights))
        assert (ours <= rate + 1e-9).all()  # what the channel spends is achievable
        assert (np.abs(ours - rate) <= 1e-6 + gap).all(), prior


def test_figures_of_the_theory_for_a_thousand_documents():
    score = np.array([0.1, 0.46, 0.59, 0.68, 0.79, 0.85, 1.0])
    bits = np.array([0.4735, 3.5256, 4.8465, 5.8220, 7.0916, 7.8284, 9.9658])
    np.testing.assert_allclose(ranking_rate(1 - score, 1000), bits, rtol=0, atol=1e-4)
    np.testing.assert_allclose(ranking_distortion(bits, 1000), 1 - score, rtol=0, atol=1e-4)


def test_figures_of_the_theory_for_a_skewed_prior():
    rates = ranking_rate(np.array([0.17861, 0.12062, 0.00797]), SKEWED)
    np.testing.assert_allclose(rates, [0.216175, 0.509902, 1.408617], rtol=0, atol=4e-5)
    limits = ranking_range(SKEWED)
    assert float(limits.worst) == pytest.approx(0.2375)
    assert float(limits.slope_at_worst) == pytest.approx(2.490225, abs=1e-5)  # 1.72609 nats
    assert float(limits.rate_at_best) == pytest.approx(oracles.entropy_bits(SKEWED), rel=1e-6)


@pytest.mark.float64_only
@pytest.mark.parametrize("weights", [*WEIGHTS, rank_biased(1 - 1e-7), recall_at(10**6), dcg_at(5000)], ids=named)
@pytest.mark.parametrize("n", [7, 1000, 10**6, 10**12])
def test_uniform_prior_against_mpmath(weights, n):
    """At a slope, mpmath sums the Gibbs law itself; our rate at its distortion must be its rate."""
    if n <= getattr(weights, "k", 0):  # every rank is worth the same: the curve is the point (1 - w_1, 0)
        assert float(ranking_rate(1 - weights(1.0), n, weights)) == 0
        return
    distortion, rate, slope = np.transpose(_mpmath_points(weights, n, (1e-6, 0.3, 0.9, 1 - 1e-6)))
    ours = np.asarray(ranking_rate(distortion, n, weights))
    # the distortion is rounded to a double, which moves the rate by slope * eps
    assert (np.abs(ours - rate) <= np.maximum(1e-8 * rate, 1e-12) + 1e-14 * slope).all()


def _tail(function, first, last):
    """sum of a smooth function over integers by Euler-Maclaurin with mpmath's quadrature on doubling intervals."""
    points = [first]
    while points[-1] * 4 < last:
        points.append(points[-1] * 4)
    points.append(last)
    total = mpmath.quad(function, points, method="gauss-legendre") + (function(first) + function(last)) / 2
    for j, bernoulli in ((1, mpmath.mpf(1) / 12), (3, -mpmath.mpf(1) / 720)):
        total += bernoulli * (mpmath.diff(function, last, j, direction=-1) - mpmath.diff(function, first, j))
    return total


def _mpmath_points(weights, n, shares):
    """_mpmath_point where the best rank has lost each share of its largest possible gain."""
    with mpmath.workdps(30):
        worth = _mpmath_weight(weights)
        gap = lambda rank: worth(1) - worth(rank)
        each, groups = [gap(k) for k in range(1, min(n, EACH) + 1)], _groups(weights, n, worth)
        slopes = [mpmath.mpf(share) * 60 / gap(n if n < 10**7 else 10**7) for share in shares]
        return [_mpmath_point(slope, n, gap, each, groups, 1 - worth(1)) for slope in slopes]


def _mpmath_point(slope, n, gap, each, groups, best):
    """(distortion, rate in bits, slope in bits) at a slope in nats."""
    both = lambda gap: mpmath.exp(-slope * gap) * mpmath.mpc(1, gap)  # the Gibbs weight, and the gap times it
    sums = mpmath.fsum(map(both, each))
    for kind, first, last in groups:
        if kind == "same":
            sums += (last - first + 1) * both(gap(first))
        else:
            sums += _tail(lambda rank: both(gap(rank)), mpmath.mpf(first), mpmath.mpf(last))
    mean = sums.imag / sums.real
    distortion, bits = float(best + mean), slope / mpmath.log(2)
    rate = mpmath.log(n / sums.real, 2) - bits * mean
    return distortion, float(rate - bits * (mpmath.mpf(distortion) - best - mean)), float(bits)


def _mpmath_weight(weights):
    k_of = getattr(weights, "k", None) or getattr(weights, "cutoff", None)
    if weights is reciprocal_rank:
        return lambda k: 1 / mpmath.mpf(k)
    if weights.name.startswith("dcg"):
        return lambda k: mpmath.mpf(0) if k_of and k > k_of else 1 / mpmath.log(1 + mpmath.mpf(k), 2)
    if weights.name.startswith("rbp"):
        return lambda k: (1 - mpmath.mpf(weights.p)) * mpmath.mpf(weights.p) ** (mpmath.mpf(k) - 1)
    height = mpmath.mpf(weights.height)
    return lambda k: height if k <= k_of else mpmath.mpf(0)


def _groups(weights, n, worth):
    """Ranks EACH + 1..n as runs of equal worth and smooth tails."""
    cut = min((*weights.breaks, n))
    kind = "same" if worth(1) == worth(cut) else "smooth"
    return [x for x in ((kind, EACH + 1, cut), ("same", max(cut, EACH) + 1, n)) if x[1] <= x[2]]


@pytest.mark.parametrize("k", [1, 3, 40])
def test_recall_has_a_closed_form(k, tolerance):
    n, r = 1000, np.array([0.2, 0.5, 0.95])
    h = -r * np.log2(r) - (1 - r) * np.log2(1 - r)
    expected = np.log2(n) - h - r * np.log2(k) - (1 - r) * np.log2(n - k)
    np.testing.assert_allclose(ranking_rate(1 - r, n, recall_at(k)), expected, rtol=tolerance, atol=50 * tolerance)


@pytest.mark.parametrize("weights", WEIGHTS, ids=named)
def test_uniform_number_array_of_priors_and_array_of_weights_agree(weights, dtype, tolerance):
    n = 1000
    limits = ranking_range(n, weights)
    distortion = np.linspace(float(limits.best), float(limits.worst), 5)[1:-1].astype(dtype)
    by_number = ranking_rate(distortion, n, weights)
    by_prior = ranking_rate(distortion, np.full(n, 1 / n, dtype), weights)
    by_weights = ranking_rate(distortion, n, array_of(weights, n).astype(dtype))
    np.testing.assert_allclose(by_prior, by_number, rtol=0, atol=100 * tolerance)
    np.testing.assert_allclose(by_weights, by_number, rtol=0, atol=100 * tolerance)
    assert by_number.dtype == dtype


@pytest.mark.parametrize(
    "prior", [pytest.param(1000, marks=pytest.mark.float64_only), SKEWED], ids=["uniform", "skewed"]
)
def test_distortion_inverts_rate_and_the_curve_passes_through_both(prior, precision):
    near, far, beside = (1e-9, 1e-7, 1e-8) if precision == "float64" else (3e-4, 2e-3, 3e-4)
    falling = jax.jit(jax.vmap(jax.grad(lambda d, worth: ranking_rate(d, prior, worth)), (0, None)))
    for weights in (reciprocal_rank, recall_at(2)):
        worth = array_of(weights, 1000 if prior is not SKEWED else 5)
        rate = float(ranking_range(prior, worth).rate_at_best) * np.array([0.05, 0.4, 0.9])
        distortion = ranking_distortion(rate, prior, worth)
        np.testing.assert_allclose(ranking_rate(distortion, prior, worth), rate, atol=near)
        curve = ranking_curve(-np.asarray(falling(distortion, worth)), prior, worth)
        np.testing.assert_allclose(curve.rate, rate, atol=far)
        np.testing.assert_allclose(curve.distortion, distortion, atol=beside)


@pytest.mark.float64_only
def test_convex_and_falling_with_the_right_ends():
    for prior in (np.full(40, 1 / 40), np.random.default_rng(1).dirichlet(np.full(40, 0.5)), np.pad(SKEWED, (0, 35))):
        limits = ranking_range(prior)
        grid = np.linspace(float(limits.best), float(limits.worst), 17)
        *rate, above, top = np.asarray(ranking_rate(np.append(grid, [0.99, 1.0]), prior))
        assert (np.diff(rate) <= 1e-6).all()
        assert (np.diff(rate, 2) >= -1e-4).all()
        assert rate[-1] == 0
        assert rate[0] == pytest.approx(float(limits.rate_at_best), rel=1e-5)
        assert above == top == 0


def check_line(function, at, rng):
    """Slope and curvature along random lines, by reverse over reverse mode, against central differences."""
    path = lambda t, ways: function(*(a + t * way for a, way in zip(at, ways, strict=True)))
    first = jax.value_and_grad(path)
    both = jax.jit(jax.grad(lambda t, ways: (lambda found: (found[1], found))(first(t, ways)), has_aux=True))
    for _ in range(2):
        ways, step = [0.1 * rng.standard_normal(np.shape(a)) for a in at], 1e-5
        (_, up), (_, down), (bent, (_, slope)) = jax.device_get([both(t, ways) for t in (step, -step, 0.0)])
        assert slope == pytest.approx((up[0] - down[0]) / (2 * step), rel=2e-4, abs=1e-6)
        assert bent == pytest.approx((up[1] - down[1]) / (2 * step), rel=2e-4, abs=1e-5)


@pytest.mark.float64_only
def test_gradients_and_hessians_against_finite_differences(rng):
    n = 40
    prior = rng.dirichlet(np.ones(n))
    worth = np.sort(rng.random(n))[::-1].copy()
    limits = ranking_range(prior, worth)
    middle = 0.6 * float(limits.best) + 0.4 * float(limits.worst)

    def rate(distortion, free, worth):
        return ranking_rate(distortion, jax.nn.softmax(free), worth)

    free = np.log(prior)
    check_line(rate, (middle, free, worth), rng)
    check_line(lambda r, f, w: ranking_distortion(r, jax.nn.softmax(f), w), (0.8, free, worth), rng)
    check_line(lambda d: ranking_rate(d, 10**9), (0.3,), rng)


@pytest.mark.float64_only
def test_the_certificate_of_theorem_b(rng):
    """The law behind the rate majorizes the prior, meets the distortion, and has the entropy that is claimed."""
    worth = 1 / np.arange(1, 41)
    for n in (7, 40) * 10:
        prior, slope = np.pad(rng.dirichlet(np.full(n, 0.5)), (0, 40 - n)), float(rng.exponential(8))
        falling = np.sort(prior)[::-1]
        gibbs = np.exp(slope * worth - slope)
        x, y = np.concatenate([[0], np.cumsum(gibbs)]), np.concatenate([[0], np.cumsum(falling)])
        law = gibbs * oracles.least_concave_majorant_slopes(x, y)[0]
        assert (np.cumsum(law) >= np.cumsum(falling) - 1e-12).all()
        curve = ranking_curve(slope / np.log(2), prior)
        assert float(curve.distortion) == pytest.approx(1 - law @ worth, abs=1e-10)
        assert float(curve.rate) == pytest.approx(oracles.entropy_bits(prior) - oracles.entropy_bits(law), abs=1e-9)


@pytest.mark.float64_only
def test_long_priors_against_scipy(rng):
    """20,000 documents start from a coarse solution; value, and gradient along a direction, of four kinds of prior."""
    n = 20_000
    counts = np.bincount(np.minimum(rng.zipf(1.4, n), n) - 1, minlength=n) + 0.0
    zipf = rng.permutation(1 / np.arange(1.0, n + 1))
    both = jax.jit(jax.value_and_grad(ranking_rate, argnums=1))
    priors = rng.dirichlet(np.ones(n)), zipf / zipf.sum(), counts / counts.sum(), np.full(n, 1 / n)
    for prior, distortions in zip(priors, ((0.15,), (0.15, 0.6), (0.6,), (0.6,)), strict=True):
        for distortion in distortions:
            expected = oracles.pooled_rate(distortion, prior)
            value, gradient = both(distortion, prior)
            assert float(value) == pytest.approx(expected, abs=1e-10)
            toward = rng.dirichlet(np.ones(n)) * (prior > 0)
            toward = toward / toward.sum() - prior  # between laws, and no mass where there is none
            step = 1e-4
            slope = (
                oracles.pooled_rate(distortion, prior + step * toward)
                - oracles.pooled_rate(distortion, prior - step * toward)
            ) / (2 * step)
            assert float(np.asarray(gradient) @ toward) == pytest.approx(slope, rel=2e-3, abs=2e-4)


@pytest.mark.float64_only
def test_under_jit_and_vmap(tolerance):
    grid = np.linspace(0.1, 0.6, 3)
    eager = ranking_rate(grid, 1000)
    np.testing.assert_allclose(jax.jit(lambda d: ranking_rate(d, 1000))(grid), eager, rtol=20 * tolerance)
    grid, priors = np.linspace(0.1, 0.35, 3), np.random.default_rng(0).dirichlet(np.ones(5), size=4)
    together = jax.jit(jax.vmap(lambda p: ranking_rate(grid, p)))(priors)
    np.testing.assert_allclose(together, [ranking_rate(grid, p) for p in priors], rtol=50 * tolerance)


def test_edges(precision):
    low = np.array([0.0, 0.1, 0.2])
    np.testing.assert_array_equal(ranking_rate(low, 1), 0)  # one document: nothing to say
    np.testing.assert_allclose(ranking_rate(low, np.eye(5)[0]), 0, atol=1e-6)  # one that is certain
    wrong = np.array([0.0, 0.2, 0.4])  # symbols of probability zero: one bit, or how often the second of two is on top
    half = ranking_rate(low, np.array([0.5, 0.5, 0, 0, 0]))
    np.testing.assert_allclose(half, [1 - oracles.entropy_bits([1 - q, q]) for q in wrong], atol=1e-5)
    np.testing.assert_array_equal(ranking_rate(low + 0.2, np.full(5, 0.2), np.full(5, 0.9)), 0)  # constant weights
    assert float(ranking_rate(0.0, 10**12)) == pytest.approx(np.log2(1e12), rel=1e-6)
    huge = ranking_curve(np.array([0.0, 1e4, 1e30 if precision == "float64" else 1e20]), SKEWED)
    assert np.isfinite(huge.rate).all()
    assert float(huge.rate[-1]) == pytest.approx(oracles.entropy_bits(SKEWED), rel=1e-5)
    assert np.isinf(jax.jit(lambda d: ranking_rate(d, 10, precision_at(2)))(0.4))  # below D_min under jit
    assert jax.grad(lambda d: ranking_rate(d, 1000))(0.0) < -1000  # minus infinity in truth, never zero by accident


@pytest.mark.float64_only
def test_a_law_that_is_off_as_far_as_it_may_be_is_normalized():
    off = SKEWED * (1 + 1.9e-6)
    for one in (ranking_rate, ranking_distortion):
        np.testing.assert_allclose(one(0.1, off), one(0.1, SKEWED), rtol=1e-9)
    np.testing.assert_allclose(jax.jit(ranking_rate)(0.1, off), ranking_rate(0.1, SKEWED), rtol=1e-9)
    np.testing.assert_allclose(one_shot_distortion(2, off), one_shot_distortion(2, SKEWED), rtol=1e-9)


@pytest.mark.float64_only
def test_the_best_distortion_and_what_rounding_takes_off_it():
    assert float(ranking_rate(-5e-13, 10)) == pytest.approx(np.log2(10))  # not refused, and so no infinity
    prior, worth = np.full(5, 0.2), np.array([2.0, 1.0, 0.5, 0.2, 0.1])  # what is worth 2 has a distortion of -1
    assert float(ranking_rate(-1.0, prior, worth)) == pytest.approx(np.log2(5))
    with pytest.raises(InputError, match="outside"):
        ranking_rate(-1.1, prior, worth)


@pytest.mark.float64_only
@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: ranking_rate(-0.1, 10), "outside"),
        (lambda: ranking_rate(1.5, 10), "outside"),
        (lambda: ranking_rate(float("nan"), 10), "NaN"),
        (lambda: ranking_rate(0.4, 10, precision_at(2)), "below 0.5"),
        (lambda: ranking_rate(0.4, np.array([0.5, 0.6])), "sums to 1.1"),
        (lambda: ranking_rate(0.4, np.array([1.5, -0.5])), "an entry -0.5 at 1"),
        (lambda: ranking_rate(0.4, 0), "0 documents"),
        (lambda: ranking_rate(0.4, 2.5), "whole number"),
        (lambda: ranking_rate(0.4, np.full(3, 1 / 3), np.array([0.2, 0.3, 0.1])), "rise from rank 1"),
        (lambda: ranking_rate(0.4, np.full(3, 1 / 3), np.ones(2)), "shape"),
        (lambda: ranking_rate(0.4, 10**12, np.ones(5)), "shape \\(5,\\) for 1000000000000"),
        (lambda: ranking_rate(0.4, 10**9, lambda rank: 1 / rank), "breaks"),
        (lambda: ranking_distortion(-1.0, 10), "negative"),
        (lambda: ranking_curve(-1.0, 10), "negative"),
        (lambda: ranking_curve(1e39, np.full(2, 0.5, np.float32)), "infinite"),
    ],
)
def test_mistakes_get_one_sentence(call, words):
    with pytest.raises(InputError, match=words) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_bound_carries_its_evidence():
    bound = ranking_bound(0.41, 1000)
    assert isinstance(bound, Bound)
    assert bound.evidence == "theorem"
    assert "uniform prior over 1,000 documents" in bound.assumes
    assert float(bound.lower) == pytest.approx(4.8465, abs=1e-4)
    assert np.isinf(bound.upper)


def test_weights_made_twice_compile_once():
    ranking_rate(0.4, 1000, recall_at(7))
    from rdjax.limits.ranking import _over

    before = _over._cache_size()
    ranking_rate(0.3, 1000, recall_at(7))
    assert _over._cache_size() == before
