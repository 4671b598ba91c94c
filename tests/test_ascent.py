"""The accelerated ascent: it rises, keeps every column, ends where plain Blahut-Arimoto does, and sooner."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rdjax.rate_distortion import ascent, blahut_arimoto, interior_point
from rdjax.rate_distortion.ascent import ascend, begin, cycle

EVEN = np.full(24, 1 / 24)
start, advance, climb = jax.jit(begin), jax.jit(cycle), jax.jit(ascend)


def problem(name, rng):
    grid = np.linspace(-3, 3, 24)
    if name == "smooth":
        source = np.exp(-(grid**2) / 2)
        distortion = (grid[:, None] - grid[None, :]) ** 2
    else:
        source, distortion = rng.random(24), rng.random((24, 24))
    excess = distortion - distortion.min(axis=1, keepdims=True)
    return np.exp(-3.0 * excess), source / source.sum()


def plain(kernel, source, steps):
    """Float64 NumPy: the law after so many plain steps."""
    law = np.full(kernel.shape[1], 1 / kernel.shape[1])
    for _ in range(steps):
        law = law * ((source / (kernel @ law)) @ kernel)
    return law


def likelihood(kernel, source, law):
    return source @ np.log(kernel @ np.asarray(law, np.float64))


@pytest.mark.parametrize("name", ["smooth", "random"])
def test_cycles_rise_and_end_above_as_many_plain_steps(name, rng, dtype, tolerance):
    kernel, source = problem(name, rng)
    k, p = kernel.astype(dtype), source.astype(dtype)
    state = start(k, p, EVEN.astype(dtype))
    levels = [likelihood(kernel, source, state.law)]
    for turn in range(20):
        state = advance(k, p, state)
        assert int(state.steps) == 3 * (turn + 1)
        assert (np.asarray(state.law) > 0).all()
        np.testing.assert_allclose(np.sum(state.law), 1, rtol=10 * tolerance)
        levels.append(likelihood(kernel, source, state.law))
    assert (np.diff(levels) >= -10 * tolerance).all()
    assert levels[-1] > likelihood(kernel, source, plain(kernel, source, 60)) - 10 * tolerance


@pytest.mark.float64_only
def test_a_tenth_of_the_steps_where_plain_ones_crawl(rng, dtype):
    kernel, source = problem("smooth", rng)
    enough = 1e-7
    found = climb(kernel.astype(dtype), source.astype(dtype), EVEN.astype(dtype), enough, 20_000)
    law = plain(kernel, source, 10 * int(found.steps))
    ratio = (source / (kernel @ law)) @ kernel
    assert float(found.gap) <= enough < np.log(ratio.max())


def test_columns_left_out_stay_out(rng, dtype):
    kernel, source = problem("random", rng)
    some = np.r_[np.zeros(4), np.full(20, 0.05)].astype(dtype)
    law = np.asarray(climb(kernel.astype(dtype), source.astype(dtype), some, 1e-3, 50).law)
    assert (law[:4] == 0).all()
    assert (law[4:] > 0).all()


@pytest.mark.parametrize("steps", range(7))
def test_it_ends_with_its_steps_or_with_the_cycle_they_run_out_in(steps, rng, dtype):
    kernel, source = problem("random", rng)
    found = climb(kernel.astype(dtype), source.astype(dtype), EVEN.astype(dtype), 0.0, steps)
    assert steps <= int(found.steps) <= steps + 2
    floor = likelihood(kernel, source, plain(kernel, source, steps))
    assert likelihood(kernel, source, found.law) >= floor - 1e-6


def test_the_sharpest_kernel_ends_after_a_plain_step(dtype):
    """The identity: the second law is the optimum, and no extrapolation is tried."""
    source = np.random.default_rng(3).dirichlet(np.ones(24)).astype(dtype)
    found = climb(np.eye(24, dtype=dtype), source, EVEN.astype(dtype), 1e-5, 50)
    assert int(found.steps) == 1
    np.testing.assert_allclose(found.law, source, rtol=1e-6)


@pytest.mark.float64_only
def test_where_the_sources_own_law_is_nearly_enough_a_step_from_it_is():
    """Hamming at 20 bits: its own gap is a hundred times too large, that of its step small enough at once."""
    source, slope = np.random.default_rng(3).dirichlet(np.ones(24)), 20.0
    kernel = np.exp2(-slope * (1 - np.eye(24)))
    ratio = (source / (kernel @ source)) @ kernel
    own = np.log2(ratio.max()) - (source * ratio) @ np.log2(ratio)
    found = blahut_arimoto(source, 1 - np.eye(24), slope, tolerance=own / 100)
    assert float(found.gap) <= own / 100
    assert int(found.steps) == 0


def test_an_extrapolation_that_falls_is_undone(monkeypatch, dtype):
    """Forced: it is thrown onto one column, so the cycle must end at two plain steps, with less reach."""
    kernel, source = problem("random", np.random.default_rng(3))
    thrown = jnp.asarray(np.r_[1 - 23e-6, np.full(23, 1e-6)], dtype)
    monkeypatch.setattr(ascent, "_extrapolated", lambda before, state: (thrown, before.reach))
    k, p = kernel.astype(dtype), source.astype(dtype)
    before = start(k, p, EVEN.astype(dtype))
    after = jax.jit(lambda *state: cycle(*state))(k, p, before)  # traced here, with what is patched
    np.testing.assert_allclose(after.law, plain(kernel, source, 2), rtol=1e-4)
    assert int(after.steps) == 3
    assert float(after.reach) == float(before.reach) / 4


@pytest.mark.parametrize("solve", [blahut_arimoto, interior_point])
def test_the_sources_own_law_is_taken_only_where_it_is_the_answer(solve, rng, dtype, tolerance):
    source = rng.dirichlet(np.ones(8)).astype(dtype)
    apart = (1 - np.eye(8)).astype(dtype)
    own = solve(source, apart, 40.0, tolerance=1e-3)
    assert own.steps == 0
    np.testing.assert_allclose(own.output, source / source.sum(), rtol=10 * tolerance)
    shifted = solve(source, np.roll(apart, 3, axis=1), 40.0, tolerance=1e-3)  # each best served by another's symbol
    assert shifted.status == own.status == 0
    np.testing.assert_allclose(shifted.output, np.roll(source, 3), atol=1e-3)
    np.testing.assert_allclose(shifted.rate, own.rate, atol=2e-3)
