"""The accelerated ascent: it rises, keeps every column, ends where plain Blahut-Arimoto does, and sooner."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rdjax.rate_distortion.ascent import ascend, begin, ended, step


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
    k, p = jnp.asarray(kernel, dtype), jnp.asarray(source, dtype)
    advance = jax.jit(step)
    state = begin(k, p, jnp.full(24, 1 / 24, dtype))
    levels = [likelihood(kernel, source, state.law)]
    for taken in range(60):
        state = advance(k, p, state)
        assert int(state.steps) == taken + 1
        assert (np.asarray(state.law) > 0).all()
        np.testing.assert_allclose(np.sum(state.law), 1, rtol=10 * tolerance)
        if int(state.phase) == 0:
            levels.append(likelihood(kernel, source, state.law))
    assert len(levels) == 21
    assert (np.diff(levels) >= -10 * tolerance).all()
    assert levels[-1] > likelihood(kernel, source, plain(kernel, source, 60)) - 10 * tolerance


@pytest.mark.float64_only
def test_a_tenth_of_the_steps_where_plain_ones_crawl(rng, dtype):
    kernel, source = problem("smooth", rng)
    enough = 1e-7
    found = ascend(jnp.asarray(kernel, dtype), jnp.asarray(source, dtype), jnp.full(24, 1 / 24, dtype), enough, 20_000)
    law = plain(kernel, source, 10 * int(found.steps))
    ratio = (source / (kernel @ law)) @ kernel
    assert float(found.gap) <= enough < np.log(ratio.max())


def test_columns_left_out_stay_out(rng, dtype):
    kernel, source = problem("random", rng)
    start = jnp.asarray(np.r_[np.zeros(4), np.full(20, 0.05)], dtype)
    found = ascend(jnp.asarray(kernel, dtype), jnp.asarray(source, dtype), start, 1e-3, 50)
    assert (np.asarray(found.law[:4]) == 0).all()
    assert (np.asarray(found.law[4:]) > 0).all()


@pytest.mark.parametrize("steps", range(7))
def test_it_never_ends_at_an_extrapolation_that_fell(steps, rng, dtype):
    kernel, source = problem("random", rng)
    found = ascend(jnp.asarray(kernel, dtype), jnp.asarray(source, dtype), jnp.full(24, 1 / 24, dtype), 0.0, steps)
    assert steps <= int(found.steps) <= steps + 1
    floor = likelihood(kernel, source, plain(kernel, source, max(0, steps - 1)))
    assert likelihood(kernel, source, found.law) >= floor - 1e-6


def test_an_extrapolation_that_fell_is_undone(dtype):
    """Forced: the level is set above what any law reaches, so the next step must be the two plain ones' law."""
    kernel, source = (jnp.asarray(x, dtype) for x in problem("random", np.random.default_rng(3)))
    state = begin(kernel, source, jnp.full(24, 1 / 24, dtype))
    for _ in range(2):
        state = step(kernel, source, state)
    fallen = state._replace(level=jnp.asarray(np.inf, dtype))
    assert not bool(ended(fallen, 0.0, 2))
    after = step(kernel, source, fallen)
    expected = plain(np.asarray(kernel, np.float64), np.asarray(source, np.float64), 2)
    np.testing.assert_allclose(after.law, expected / expected.sum(), rtol=1e-4)
    assert float(after.reach) <= float(state.reach)
