"""Capacity against closed forms, its certificate, and its derivatives."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize

from rdjax.checks import InputError
from rdjax.rate_distortion import capacity
from rdjax.rate_distortion.channel import _capacity


def h(p):
    return -p * np.log2(p) - (1 - p) * np.log2(1 - p)


@pytest.mark.parametrize(
    ("channel", "bits"),
    [
        ([[0.9, 0.1], [0.1, 0.9]], 1 - h(0.1)),
        ([[0.7, 0.0, 0.3], [0.0, 0.7, 0.3]], 0.7),
        ([[1.0, 0.0], [0.5, 0.5]], np.log2(1.25)),  # the Z channel at 1/2
        (np.eye(4), 2.0),
        (np.full((3, 5), 0.2), 0.0),
        ([[1.0]], 0.0),
        ([[1.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]], 1.0),  # two inputs alike, an output never seen
    ],
)
def test_closed_forms(channel, bits, precision):
    exact = precision == "float64"
    found = capacity(np.array(channel), tolerance=1e-9 if exact else 1e-4)
    assert found.status == 0, found.message
    assert float(found.rate) <= bits + (1e-12 if exact else 1e-6)
    assert bits <= float(found.rate + found.gap) + (1e-12 if exact else 1e-6)
    assert float(found.input.sum()) == pytest.approx(1)


def test_the_tolerance_is_one_that_the_precision_can_certify(precision):
    channels = jnp.asarray(np.random.default_rng(0).dirichlet(np.ones(6), (3, 5)))
    found = jax.device_get(jax.vmap(capacity)(channels))
    assert (found.status == 0).all(), found.message
    assert (found.gap <= (1e-6 if precision == "float64" else 1e-4)).all()
    found = jax.device_get(jax.vmap(lambda channel: capacity(channel, max_steps=1))(channels.at[1].set(1 / 6)))
    assert found.message.startswith("2 of 3 points, the first of them at [0]: the steps ran out")


@pytest.mark.float64_only
def test_derivatives():
    of = lambda e: capacity(jnp.array([[1 - e, e], [0.2, 0.8]]), tolerance=1e-14)
    found, rate = jax.jit(of), lambda e: of(e).rate
    both = jax.jit(lambda e: (jax.grad(rate)(e), jax.hessian(rate)(e), jax.jacrev(lambda e: of(e).input)(e)))
    slope, curvature, inputs = both(0.1)
    step = 1e-4
    first = (found(0.1 + step).rate - found(0.1 - step).rate) / (2 * step)
    second = (found(0.1 + step).rate - 2 * found(0.1).rate + found(0.1 - step).rate) / step**2
    moved = (found(0.1 + step).input - found(0.1 - step).input) / (2 * step)
    assert float(slope) == pytest.approx(float(first), rel=1e-6)
    assert float(curvature) == pytest.approx(float(second), rel=1e-4)
    np.testing.assert_allclose(inputs, moved, rtol=1e-5)


def test_bad_input_and_steps_that_run_out():
    with pytest.raises(InputError, match="a row of the channel, which has one for each input, sums to"):
        capacity(np.array([[0.5, 0.4], [0.5, 0.5]]))
    with pytest.raises(InputError, match=r"must be \[X, Y\]"):
        capacity(np.array([0.5, 0.5]))
    found = capacity(np.array([[0.9, 0.1], [0.3, 0.7]]), tolerance=1e-6, max_steps=1)
    assert "steps ran out" in found.message
    assert "interior_point" not in found.message  # it takes no channel
    spoiled = jnp.asarray(np.array([[0.9, np.nan], [0.3, 0.7]]), float)
    found = _capacity(spoiled, 1e-6, 1)  # as under jit, where nobody looks at the rows
    assert "the channel holds NaN" in found.message


@pytest.mark.float64_only
def test_the_capacity_is_that_of_the_channel_whose_rows_sum_to_one():
    """Rows are taken that are written with six digits; the certificate is of the laws that they stand for."""
    rough = np.array([[0.7, 0.2, 0.1], [0.1, 0.2, 0.7]]) + 5e-7
    exact = rough / rough.sum(axis=1, keepdims=True)
    found, want = capacity(rough, tolerance=1e-12), capacity(exact, tolerance=1e-12)
    assert found.status == want.status == 0
    assert abs(float(found.rate - want.rate)) <= 1e-12
    rate = (exact[0] * np.log2(exact[0] / exact.mean(axis=0))).sum()  # by symmetry both inputs are as likely
    assert rate - 1e-12 <= float(found.rate + found.gap)
    assert float(found.rate) <= rate + 1e-12


def test_an_unused_input_on_the_edge_takes_a_few_steps(precision):
    """Two inputs are enough; the third would lose nothing at first order, so plain steps are slow to drop it."""
    output = np.array([0.4, 0.2, 0.4])
    divergence = lambda row: (row * np.log2(row / output)).sum()
    row = np.array([0.7, 0.2, 0.1])
    bits = divergence(row)
    third = lambda t: np.array([t, 1 - 2 * t, t])
    edge = scipy.optimize.brentq(lambda t: divergence(third(t)) - bits, 0.01, 0.4, xtol=1e-15)
    channel = np.array([row, row[::-1], third(edge)])
    tolerance = 1e-9 if precision == "float64" else 1e-5
    found = capacity(channel, tolerance=tolerance, max_steps=140)
    assert found.status == 0, found.message
    assert abs(float(found.rate) - bits) <= tolerance + (1e-6 if precision == "float32" else 1e-12)
    assert float(found.input[2]) < (1e-4 if precision == "float64" else 1e-2)
    law = np.full(3, 1 / 3)
    for _ in range(5000):
        terms = np.array([(one * np.log2(one / (law @ channel))).sum() for one in channel])
        law = law * np.exp2(terms) / (law @ np.exp2(terms))
    assert terms.max() - law @ terms > 1e-8  # plain steps: a gap of 1 over the square of their number


@pytest.mark.float64_only
def test_the_slope_at_an_entry_zero_falls_without_end():
    """As differences do, whose limit is minus infinity; elsewhere it is that of differences."""
    binary = lambda e: capacity(jnp.array([[1 - e, e], [e, 1 - e]])).rate
    half = lambda e: capacity(jnp.array([[1 - e, e], [0.5, 0.5]])).rate
    for rate in (binary, half):
        assert float(jax.grad(rate)(0.0)) < float((rate(1e-9) - rate(0.0)) / 1e-9) < -10
        between = float((rate(0.1 + 1e-5) - rate(0.1 - 1e-5)) / 2e-5)
        assert float(jax.grad(rate)(0.1)) == pytest.approx(between, abs=1e-6)
