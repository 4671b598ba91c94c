"""R(D) of symbols that do not occur, of targets at the ends, of columns nearly equal, of distortions far apart."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rdjax.checks import InputError
from rdjax.rate_distortion import gaussian_bottleneck_rate, interior_point, rate_at, sources
from tests.oracles import blahut_point

FORBIDDEN = np.array([[np.inf] * 3, [0.6, 0.7, 0.5], [0.9, 0.8, 0.0], [0.9, 0.0, 0.7]])
SPARE = np.array([0.0, 0.4, 0.59, 0.01])


@pytest.fixture
def asked(precision):
    """A tolerance that the precision can certify."""
    return {"tolerance": 1e-9 if precision == "float64" else 1e-4}


@pytest.mark.float64_only
def test_a_certified_law_is_not_polished_away():
    """Steps that part columns nearly equal took the gap from 1e-15 to 6e-4."""
    source = sources.gaussian(256)
    found = jax.device_get(rate_at(source.law, source.distortion, np.array([0.0360674, 0.1])))
    assert (found.status == 0).all(), found.message
    rate, mean, gap = blahut_point(source.law, source.distortion, float(found.slope[0]) * np.log(2), sweeps=2000)
    lower = rate - gap + found.slope[0] * (mean - found.distortion[0])  # the tangent
    assert lower - 1e-9 <= found.rate[0] <= lower + gap + 1e-9


def test_a_symbol_that_does_not_occur_decides_nothing(asked):
    targets = np.array([0.2, 0.206, 0.207, 0.21, 0.25])
    with_it, without = (
        jax.device_get(rate_at(*given, targets, **asked)) for given in ((SPARE, FORBIDDEN), (SPARE[1:], FORBIDDEN[1:]))
    )
    assert (with_it.status == 0).all(), with_it.message
    np.testing.assert_allclose(with_it.rate, without.rate, atol=2 * asked["tolerance"])
    np.testing.assert_array_equal(with_it.rate[3:], 0)
    np.testing.assert_allclose(with_it.distortion[2:], 0.207, rtol=1e-6)
    found = rate_at([0, 0.6, 0.4], [[np.inf, 0], [0, 1], [1, 0]], 2.0, **asked)
    assert float(found.distortion) == pytest.approx(0.4)


@pytest.mark.float64_only
def test_the_least_distortion_of_large_ones_has_a_rate():
    rng = np.random.default_rng(49)
    source = rng.dirichlet(np.full(8, 0.3))
    distortion = 1e5 * np.subtract.outer(np.linspace(0, 1, 8), np.linspace(0, 1, 10)) ** 2
    least = float(source @ distortion.min(axis=1))
    found = jax.device_get(rate_at(source, distortion, least))
    assert found.status == 0, found.message
    assert found.slope > 0
    forced = np.zeros((8, 10))  # no two reproductions are equally near, so each symbol has its own
    forced[np.arange(8), distortion.argmin(axis=1)] = 1
    output = source @ forced
    assert float(found.rate) == pytest.approx(-(output * np.log2(np.maximum(output, 1e-300))).sum(), abs=1e-9)


@pytest.mark.parametrize("far", [2.0, 60.0, 300.0, np.inf])
def test_derivatives_beside_a_symbol_that_does_not_occur(far, asked):
    """Its reproduction is not used, and the others are far away: dR/ds is that of h(1/5), s = 2, by differences."""
    source, distortion = jnp.array([0.0, 0.5, 0.5]), jnp.array([[0, far, far], [0.9, 0, 1], [0.9, 1, 0]])
    entropy = lambda wrong: -wrong * np.log2(wrong) - (1 - wrong) * np.log2(1 - wrong)
    rate = lambda slope: 1 - entropy(1 / (1 + 2.0**slope))
    at = lambda slope: interior_point(source, distortion, slope, **asked).rate
    first, bent = jax.jit(lambda s: (jax.grad(at)(s), jax.grad(jax.grad(at))(s)))(2.0)
    assert float(first) == pytest.approx((rate(2 + 1e-4) - rate(2 - 1e-4)) / 2e-4, rel=1e-5)
    second = (rate(2 + 1e-3) - 2 * rate(2) + rate(2 - 1e-3)) / 1e-6
    assert float(bent) == pytest.approx(second, rel=1e-3)
    by_source = jax.grad(lambda p: interior_point(p, distortion, 2.0, **asked).lagrangian)(source)
    # whoever serves it pays 2 far bits, less what the source was normalized by
    price = min(2 * far, 700.0 if source.dtype == jnp.float64 else 120.0)
    assert price - 1 < by_source[0] - by_source[1] < np.inf


@pytest.mark.float64_only
def test_a_source_may_be_traced_where_a_symbol_is_forbidden_everything():
    """R = h(p) - h(1/3) at a slope of one bit."""
    distortion = np.array([[np.inf, np.inf], [0, 1], [1, 0]])
    gradient = jax.grad(lambda p: interior_point(p, distortion, 1.0, tolerance=1e-9).rate)(jnp.array([0, 0.6, 0.4]))
    assert np.isfinite(gradient).all()
    assert float(gradient[1] - gradient[2]) == pytest.approx(np.log2(0.4 / 0.6), rel=1e-6)


@pytest.mark.float64_only  # what is handed in says how precise it is
@pytest.mark.parametrize(
    ("kind", "unit"), [("float32", 1e25), ("float32", 1e-25), ("float64", 1e200), ("float64", 1.0)]
)
def test_nothing_depends_on_what_distortions_are_measured_in(kind, unit):
    """R = 1 - h(D / unit) of a fair bit, at a slope of 1 bit a unit D = unit / 3."""
    source, far = np.full(2, 0.5, kind), np.asarray(unit * (1 - np.eye(2)), kind)
    tolerance = 1e-4 if kind == "float32" else 1e-9
    entropy = lambda x: -x * np.log2(x) - (1 - x) * np.log2(1 - x)
    found = interior_point(source, far, np.array([1 / unit, 0.0, 1e6 / unit]), tolerance=tolerance)
    assert (found.status == 0).all()
    np.testing.assert_allclose(found.rate, [1 - entropy(1 / 3), 0, 1], atol=tolerance)
    np.testing.assert_allclose(found.distortion[0] / unit, 1 / 3, rtol=1e-5)
    np.testing.assert_allclose(found.lagrangian[0], 1 - entropy(1 / 3) + 1 / 3, atol=tolerance)
    at = rate_at(source, far, 0.1 * unit, tolerance=tolerance)
    assert at.status == 0
    np.testing.assert_allclose([at.rate, at.slope * unit], [1 - entropy(0.1), np.log2(9)], rtol=1e-4)
    slope = jax.grad(lambda d: rate_at(source, d, 0.1 * unit, tolerance=tolerance).rate)(jnp.asarray(far))
    each = 0.05 * np.log2(9) / unit  # dR/dd_xj = s P(x, j)
    np.testing.assert_allclose([slope[0, 1], slope[1, 0]], each, rtol=1e-4)


@pytest.mark.float64_only
@pytest.mark.parametrize("distance", [1e-3, 1e-5, 1e-7, 1e-9])
def test_the_end_of_the_curve_is_told_from_the_points_before_it(distance):
    """Of (.4, .6) R = h(.4) - h(D), to first and second order, where D_max - D is a part in a thousand million too."""
    source, hamming, target = np.array([0.4, 0.6]), 1 - np.eye(2), 0.4 * (1 - distance)
    found = rate_at(source, hamming, target)
    entropy = lambda x: -x * np.log2(x) - (1 - x) * np.log2(1 - x)
    assert found.status == 0
    np.testing.assert_allclose(found.rate, entropy(0.4) - entropy(target), rtol=1e-4, atol=1e-15)
    np.testing.assert_allclose(found.slope, np.log2((1 - target) / target), rtol=1e-5)
    if distance > 1e-6:
        second = jax.grad(jax.grad(lambda d: rate_at(source, hamming, d).rate))(target)
        np.testing.assert_allclose(second, 1 / (target * (1 - target) * np.log(2)), rtol=5e-3)  # the root of the gap


@pytest.mark.float64_only
def test_r_falls_and_its_gap_stays_small_up_to_the_end(rng):
    for _ in range(3):
        source = rng.dirichlet(np.full(12, 2.0))
        x, y = rng.standard_normal((12, 2)), rng.standard_normal((20, 2))
        distortion = ((x[:, None] - y) ** 2).sum(-1)
        least, most = source @ distortion.min(axis=1), (source @ distortion).min()
        found = rate_at(source, distortion, least + (most - least) * (1 - 10.0 ** -np.arange(1, 11)))
        assert (np.diff(found.rate) <= 1e-12).all()
        assert (np.asarray(found.gap) < 1e-7).all()


@pytest.mark.float64_only  # it sets its own precision
@pytest.mark.parametrize("offset", [1e3, 3e5, 1e6, 3e6])
def test_a_large_offset_takes_no_digits_of_the_target(offset, rng):
    """In float32, where a million leaves a sixteenth: arrays of the host keep theirs; in a trace the gap says so."""
    source, distortion = rng.dirichlet(np.ones(10)), rng.random((10, 14)) ** 2
    targets = np.linspace(0.05, 0.2, 7)
    true = np.asarray(rate_at(source, distortion, targets).rate)
    assert true[0] > 0.2
    with jax.enable_x64(False):
        found = rate_at(source, distortion + offset, targets + offset, tolerance=1e-4)
        np.testing.assert_allclose(found.rate, true, atol=1e-3)
        narrow = jnp.asarray(distortion + offset, jnp.float32)
        traced = jax.jit(lambda t: rate_at(source, narrow, t, tolerance=1e-4))(jnp.asarray(targets + offset))
    held = np.asarray(narrow, np.float64)
    exact = np.asarray(rate_at(source, held, np.asarray(jnp.asarray(targets + offset, jnp.float32), np.float64)).rate)
    assert (np.abs(np.asarray(traced.rate) - exact) <= np.asarray(traced.gap) + 1e-3).all()


def test_small_information_keeps_its_digits(dtype, tolerance):
    """A bit of the strongest component buys rho^2 of information, to first order; of 64 equal ones too."""
    goals = np.asarray([0.0, 1e-7], dtype)
    np.testing.assert_allclose(gaussian_bottleneck_rate(np.full(64, 0.6, dtype), goals)[1], 1e-7 / 0.36, rtol=1e-5)
    rho = jnp.asarray([0.5, 0.9], dtype)
    slope = jax.grad(lambda goal: gaussian_bottleneck_rate(rho, goal))(dtype.type(0))
    assert float(slope) == pytest.approx(1 / 0.81, rel=10 * tolerance)


@pytest.mark.float64_only
@pytest.mark.parametrize("seed", [58, 105, 189, 226, 325, 329])
def test_a_mixture_of_two_laws_is_certified_by_both(seed):
    """Where the curve is nearly straight the certificate of the mixture itself is 1e-9 to 3e-8 bits."""
    rng = np.random.default_rng(seed)
    source, distortion = rng.dirichlet(np.ones(30)), rng.uniform(size=(30, 50))
    distortion[rng.uniform(size=distortion.shape) < 0.3] = np.inf
    for share in (0.2, 0.3):
        target = source @ distortion.min(axis=1) + share
        found = rate_at(source, distortion, target)
        assert found.status == 0, found.message
        law = interior_point(source, distortion, found.slope, tolerance=1e-12).output
        proved = least_value(source, distortion, float(found.slope), np.asarray(law)) - found.slope * target
        assert found.rate - proved >= -1e-13
        assert found.rate - proved <= found.gap


def least_value(source, distortion, slope, law):
    """Bits of rate + slope * distortion that no code is below, by Blahut's bound at a law."""
    kernel = np.exp2(-slope * (distortion - distortion.min(axis=1, keepdims=True)))
    mix = kernel @ law
    value = slope * (source @ distortion.min(axis=1)) - source @ np.log2(mix)
    return value - np.log2(((source / mix) @ kernel).max())


@pytest.mark.parametrize("kind", [np.asarray, jnp.asarray])
def test_a_trace_may_close_over_the_problem(kind):
    rng = np.random.default_rng(0)
    source, distortion = kind(rng.dirichlet(np.ones(5))), kind(rng.random((5, 7)) + 30)
    target = float((source @ distortion).min()) - 0.1
    found = rate_at(source, distortion, target)
    traced = jax.jit(lambda by: by * rate_at(source, distortion, target).rate)(1.0)
    np.testing.assert_allclose(traced, found.rate, atol=2 * float(found.gap))


@pytest.mark.float64_only
@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"slope": "a"}, "the slope holds <U1 values; give bits per unit"),
        ({"slope": [[1.0], [1.0, 2.0]]}, "the slope holds lists of different lengths"),
        ({"slope": 1.0, "tolerance": "a"}, "the tolerance is 'a'; it must be a positive number"),
        ({"slope": 1.0, "tolerance": [1e-6, 1e-9]}, r"the tolerance is \[1e-06, 1e-09\]"),
        ({"slope": 1.0, "tolerance": 0}, "the tolerance is 0"),
    ],
)
def test_what_is_no_number_is_refused(given, words):
    with pytest.raises(InputError, match=words):
        interior_point(np.full(2, 0.5), 1 - np.eye(2), **given)
    with pytest.raises(InputError, match="static under jit"):
        jax.jit(lambda t: rate_at(np.full(2, 0.5), 1 - np.eye(2), 0.1, tolerance=t).rate)(1e-6)
