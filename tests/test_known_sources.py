"""Every solver against every source of known R(D): what it returns is above the truth, and by no more than its gap."""

import numpy as np
import pytest

from rdjax.rate_distortion import blahut_arimoto, interior_point, rate_at, sources
from tests.test_sources import KNOWN

ROWS, COLUMNS = 12, 24  # one shape for all, so that a solver compiles once
SLOPES = np.array([0.0, 0.05, 0.6, 1.2, 2.0, 5.0, 50.0, 1e4])
SOLVERS = {"blahut_arimoto": (blahut_arimoto, 1e-6), "interior_point": (interior_point, 1e-9)}
each_known = pytest.mark.parametrize("source", KNOWN, ids=lambda s: s.name)


def padded(source):
    """The same problem with symbols of probability 0 and forbidden reproductions."""
    rows, columns = source.distortion.shape
    distortion = np.full((ROWS, COLUMNS), np.inf)
    distortion[:rows, :columns] = source.distortion
    distortion[rows:, :columns] = 0
    return np.pad(source.law, (0, ROWS - rows)), distortion


@pytest.mark.parametrize("solver", SOLVERS)
@each_known
def test_points_are_above_the_curve_by_at_most_the_gap(source, solver, dtype, tolerance):
    solve, asked = SOLVERS[solver]
    law, distortion = (part.astype(dtype) for part in padded(source))
    found = solve(law, distortion, SLOPES.astype(dtype), tolerance=asked)
    rate, mean, gap = (np.asarray(x, np.float64) for x in (found.rate, found.distortion, found.gap))
    excess = rate - [source.rate(d) for d in mean]
    # the source is rounded to the precision, D too, and dR/dD = -slope
    rounding = 8 * tolerance * (1 + np.minimum(SLOPES, 50) * mean)
    assert np.all(excess >= -rounding)
    assert np.all(excess <= gap + rounding)
    total = rate + SLOPES * mean
    np.testing.assert_allclose(total, [source.value(s) for s in SLOPES], atol=np.max(gap + rounding))
    assert np.max(gap) <= max(asked, 1e-4 if dtype == np.float32 else 0)
    wasted = np.sum(np.asarray(found.output)[:, source.distortion.shape[1] :], axis=1)
    assert np.all(wasted <= gap + rounding)  # a mass w on forbidden columns costs -log2(1 - w) bits


@each_known
def test_the_rate_at_a_distortion(source, dtype, tolerance):
    law, distortion = (part.astype(dtype) for part in padded(source))
    worst = source.point(0).distortion
    goals = worst * np.array([1.2, 0.9, 0.5, 0.2, 0.05, 0.0])
    found = rate_at(law, distortion, goals.astype(dtype))
    expected = np.array([source.rate(goal) for goal in goals])
    slope = np.minimum(np.asarray(found.slope, np.float64), 50)
    rounding = 8 * tolerance * (1 + slope * goals)
    excess = np.asarray(found.rate, np.float64) - expected
    assert np.all(excess >= -rounding)
    assert np.all(excess <= np.asarray(found.gap) + rounding)
    assert np.max(found.gap) < 1e-3  # infinite distortions too, at goals that every code that avoids them meets


@pytest.mark.float64_only
def test_the_gaussian_is_between_its_bounds():
    source = sources.gaussian(12, 3.0)
    found = interior_point(*padded(source), SLOPES)
    for slope, value, gap in zip(SLOPES, np.asarray(found.lagrangian), np.asarray(found.gap), strict=True):
        bounds = source.bounds(slope)
        assert bounds.lower - 1e-12 <= value <= bounds.upper + gap + 1e-12
