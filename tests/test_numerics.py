"""Values and gradients at the edges, and the assertions that a solver's result is held to."""

import chex
import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest

from rdjax import checks, numerics
from rdjax.limits import Bound


def test_zero_times_log_of_zero(dtype):
    zero, half = jnp.zeros((), dtype), jnp.asarray(0.5, dtype)
    assert numerics.xlogy(zero, zero) == 0
    assert numerics.xlogy(half, zero) == -jnp.inf
    assert jax.grad(numerics.xlogy, argnums=(0, 1))(zero, zero) == (0, 0)
    assert jax.grad(numerics.xlogy)(half, half) == pytest.approx(np.log(0.5), rel=1e-6)
    assert jax.grad(numerics.safe_log)(zero) == 0
    assert jax.grad(numerics.safe_log)(half) == 2


def test_entropy_of_a_law_with_zeros(tolerance):
    law = jnp.asarray([0.5, 0.25, 0.25, 0.0])
    assert numerics.to_bits(numerics.entropy_nats(law)) == pytest.approx(1.5, rel=tolerance)
    gradient = jax.grad(numerics.entropy_nats)(law)
    np.testing.assert_allclose(gradient[:3], -np.log(law[:3]) - 1, rtol=10 * tolerance)
    assert gradient[3] == 0
    assert numerics.to_nats(numerics.to_bits(2.0)) == pytest.approx(2, rel=tolerance)


def test_floating_follows_the_precision_in_force_even_after_a_closure(precision):
    """JAX remembers a NumPy array that a trace closed over; the other precision must not get that copy."""
    table = np.full(3, 1 / 3)
    other = precision == "float32"
    with jax.enable_x64(other):
        jax.jit(lambda x: x + numerics.floating(table))(jnp.ones(3)).block_until_ready()
    assert numerics.floating(table).dtype == precision
    for half in (np.float16, ml_dtypes.bfloat16):
        assert numerics.floating(np.array([1], half)).dtype == numerics.floating(jnp.ones(1, half)).dtype == jnp.float32
    assert numerics.floating(3).dtype == precision


def test_fixed_points_are_asserted_also_under_jit(dtype):
    halve = lambda x: (x + 2 / x) / 2
    root = jnp.sqrt(jnp.asarray([2.0], dtype))
    checks.assert_fixed_point(halve, root, 1e-6)
    with pytest.raises(AssertionError):
        checks.assert_fixed_point(halve, root + 0.1, 1e-6)
    checked = chex.chexify(jax.jit(lambda x: checks.assert_fixed_point(halve, x, 1e-6)), async_check=False)
    checked(root)
    with pytest.raises(AssertionError):
        checked(root + 0.1)


def test_laws_are_asserted():
    checks.assert_law(jnp.asarray([[0.5, 0.5], [1.0, 0.0]]))
    for bad in ([0.5, 0.6], [1.5, -0.5]):
        with pytest.raises(AssertionError):
            checks.assert_law(jnp.asarray(bad))


@pytest.mark.float64_only
def test_a_bound_says_how_it_is_known():
    floor = Bound.at_least(3.0, "theorem", "uniform prior")
    assert (floor.lower, floor.upper) == (3, np.inf)
    assert not floor.exact
    assert floor.assuming("a stream").assumes == ("uniform prior", "a stream")
    assert Bound.value(2.0, "measured").exact
    assert jax.tree.map(lambda x: 2 * x, floor).lower == 6  # a pytree of its two ends
    with pytest.raises(checks.InputError, match="evidence is 'rumour'"):
        Bound.value(1.0, "rumour")
