"""Sources of known R(D) against Blahut-Arimoto in NumPy, whose certificate brackets the truth, and closed forms."""

import math

import numpy as np
import pytest

from rdjax.checks import InputError
from rdjax.limits import ranking_rate
from rdjax.rate_distortion import sources
from tests import oracles

KNOWN = [
    sources.binary(0.3),
    sources.binary(0.0),
    sources.uniform(5),
    sources.zipf(7),
    sources.hamming([0.4, 0, 0.35, 0.25, 0]),
    sources.erasure(),
    sources.erasure(3),
    sources.cyclic([0, 1, 4, 9, 4, 1]),
    sources.cyclic([0, 1, np.inf, np.inf, 0.5]),
    sources.ranking(4),
    sources.ranking(3, [1, 1, 0]),
    sources.laplacian(8, 3.0),
    sources.laplacian(9, 3.0),
    sources.product(sources.zipf(3), sources.laplacian(4, 2.0)),
    sources.disguised(sources.zipf(4)),
    sources.disguised(sources.erasure()),
]
SLOPES = [0.05, 0.6, 1.2, 2.0, 5.0, 50.0, 1e4]
pytestmark = pytest.mark.float64_only  # the sources are NumPy
each_known = pytest.mark.parametrize("source", KNOWN, ids=lambda s: s.name)


def bracket(source, slope, sweeps=20000, tolerance=1e-9):
    """Bounds on the least R + s D in bits, and D of the last channel: plain Blahut-Arimoto from an uneven law."""
    held = source.law > 0
    law, distortion = source.law[held], source.distortion[held]
    least = distortion.min(axis=1)
    kernel = np.exp2(-slope * (distortion - least[:, None]))
    output = 1 + 0.1 * np.sin(np.arange(distortion.shape[1]))
    output /= output.sum()
    for _ in range(sweeps):
        match = kernel @ output
        ratio = (law / match) @ kernel
        if math.log2(ratio.max()) < tolerance:
            break
        output = output * ratio
    upper = -law @ np.log2(match) + slope * (law @ least)
    channel = kernel * output / match[:, None]
    return upper - math.log2(ratio.max()), upper, law @ (channel * np.where(channel > 0, distortion, 0)).sum(axis=1)


@pytest.mark.parametrize("slope", SLOPES)
@each_known
def test_the_value_is_inside_the_certificate_of_blahut_arimoto(source, slope):
    lower, upper, distortion = bracket(source, slope)
    assert upper - lower < 1e-5  # a few crawl: a symbol whose output probability vanishes just there
    assert lower - 1e-12 <= source.value(slope) <= upper + 1e-12
    straight = "erasure" in source.name and source.value(slope) == pytest.approx(math.log2(source.law.size))
    if upper - lower < 1e-9 and not straight:
        # R(D) is convex, so distortions of equal value are close
        assert source.point(slope).distortion == pytest.approx(distortion, abs=1e-7)


@each_known
def test_both_ends_of_the_curve(source):
    held = source.law > 0
    rows = source.distortion[held]
    least = source.law[held] @ rows.min(axis=1)
    steep, flat = source.point(1e4), source.point(0)
    assert steep.distortion == pytest.approx(least, abs=1e-12)
    constant = np.where(np.isfinite(rows).all(axis=0), source.law[held] @ np.nan_to_num(rows, posinf=1e9), np.inf)
    if np.isfinite(constant).any():
        assert flat.rate == pytest.approx(0, abs=1e-15)
        assert flat.distortion == pytest.approx(constant.min(), abs=1e-12)
    else:  # no single reproduction serves every symbol: 3 of 5 are allowed to each
        assert flat.rate == pytest.approx(math.log2(5 / 3), abs=1e-12)
    near = source.point(1e-9)
    np.testing.assert_allclose(near, flat, atol=1e-8)
    assert source.rate(flat.distortion) == flat.rate
    assert source.rate(flat.distortion + 1) == flat.rate
    assert source.rate(least) == pytest.approx(steep.rate, abs=1e-12)
    with pytest.raises(InputError, match="the least there is"):
        source.rate(least - 0.01)


@each_known
def test_rate_inverts_the_curve_and_is_convex(source):
    points = [source.point(slope) for slope in (1e-3, 0.3, 0.9, 1.7, 3.3, 8.0, 20.0)]
    for point in points:
        assert source.rate(point.distortion) == pytest.approx(point.rate, abs=1e-12)
    low, high = points[-1].distortion, points[0].distortion
    rates = [source.rate(low + share * (high - low)) for share in np.linspace(0, 1, 9)]
    assert np.diff(rates).max() <= 1e-12
    assert np.diff(rates, 2).min() >= -1e-12


def test_closed_forms():
    entropy = lambda p: oracles.entropy_bits([p, 1 - p])
    for d in (0.01, 0.1, 0.29):
        assert sources.binary(0.3).rate(d) == pytest.approx(entropy(0.3) - entropy(d), abs=1e-12)
        assert sources.binary(0.7).rate(d) == pytest.approx(entropy(0.3) - entropy(d), abs=1e-12)
        assert sources.uniform(5).rate(d) == pytest.approx(math.log2(5) - entropy(d) - d * math.log2(4), abs=1e-12)
        assert sources.erasure().rate(d) == pytest.approx(1 - d, abs=1e-12)
        assert sources.erasure(8).rate(d) == pytest.approx(3 * (1 - d), abs=1e-12)
    # two points with the same kernel as Hamming, one step apart
    assert sources.laplacian(2, 1.5).rate(0.6) == pytest.approx(1 - entropy(0.2), abs=1e-12)


def test_ranking_is_theorem_a():
    source, distortions = sources.ranking(5), np.array([0.05, 0.2, 0.4])
    assert source.distortion.shape == (5, 120)
    expected = [source.rate(d) for d in distortions]
    np.testing.assert_allclose(ranking_rate(distortions, 5), expected, atol=1e-12)
    assert sources.ranking(1).rate(0.0) == 0


@pytest.mark.parametrize("slope", [0.3, 0.75, 1.0, 4.0])
def test_gaussian_bounds_hold_and_are_tight(slope):
    """On a small grid Blahut-Arimoto gets close enough to tell whether the bounds are on the right sides."""
    source = sources.gaussian(13, 3.0)
    lower, upper, _ = bracket(source, slope, sweeps=5000)
    bounds = source.bounds(slope)
    assert bounds.lower <= upper + 1e-12
    assert bounds.upper >= lower - 1e-12
    assert -1e-12 <= bounds.upper - bounds.lower < 5e-3


def test_gaussian_on_a_fine_grid_is_the_continuous_one():
    source = sources.gaussian(256)
    for slope in (0.73, 1.0, 8.0, 50.0):
        distortion = 1 / (2 * math.log(2) * slope)
        expected = 0.5 * math.log2(1 / distortion) + slope * distortion
        np.testing.assert_allclose(source.bounds(slope), expected, atol=2e-12)
    for slope in (0.0, 0.3, 200.0, 1000.0, 1e4):
        bounds = source.bounds(slope)
        assert abs(bounds.upper - bounds.lower) < 1e-12
    assert source.bounds(1e4).lower == pytest.approx(oracles.entropy_bits(source.law), abs=1e-9)
    assert source.bounds(0).upper == pytest.approx(0, abs=1e-12)


def test_laplacian_on_a_fine_grid_is_near_the_continuous_one():
    source = sources.laplacian(1024, 12.0)
    step = 24 / 1023
    gaps = [-math.log2(d) - source.rate(d) for d in (0.99, 0.5, 4 * step)]
    np.testing.assert_allclose(gaps, [1.4e-4, 3.4e-4, 7.5e-3], rtol=0.05)


def test_the_random_source_is_the_one_of_the_figure():
    generator = np.random.default_rng(0)
    distortion = generator.random((64, 64))
    np.fill_diagonal(distortion, 0)
    source = sources.random(64)
    np.testing.assert_array_equal(source.distortion, distortion)
    np.testing.assert_array_equal(source.law, generator.dirichlet(np.ones(64)))
    lower, upper, _ = bracket(source, 5.0, tolerance=1e-10)
    assert lower == pytest.approx(1.4792297134, abs=2e-10)
    assert upper == pytest.approx(1.4792297134, abs=2e-10)


def test_shapes_laws_and_grids():
    for source in (*KNOWN, sources.gaussian(6), sources.random(6)):
        assert source.distortion.shape[0] == source.law.size
        assert source.law.sum() == pytest.approx(1, abs=1e-15)
        assert source.law.min() >= 0
        assert source.law.dtype == source.distortion.dtype == np.float64
    assert sources.erasure(3).distortion.shape == (3, 4)
    disguised = sources.disguised(sources.zipf(4))
    assert disguised.distortion.shape == (6, 7)
    assert disguised.law[-1] == 0
    plain = sources.grid([0, 1, 3], [1, 1, 2], 2)
    np.testing.assert_allclose(plain.distortion, [[0, 1, 9], [1, 0, 4], [9, 4, 0]])
    np.testing.assert_allclose(plain.law, [0.25, 0.25, 0.5])


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: sources.ranking(8), "7 is the most"),
        (lambda: sources.ranking(3, [1, 2]), "shape"),
        (lambda: sources.binary(1.5), "an entry -0.5 at "),
        (lambda: sources.zipf(3).point(-1), "slope"),
        (lambda: sources.zipf(3).point(math.inf), "finite"),
        (lambda: sources.gaussian(1), "grid"),
        (lambda: sources.erasure(1), "at least 2"),
        (lambda: sources.cyclic([np.inf, np.inf]), "infinitely"),
        (lambda: sources.cyclic(1.0), r"must be \[m\]"),
    ],
)
def test_mistakes_are_told(call, words):
    with pytest.raises(InputError, match=words):
        call()
