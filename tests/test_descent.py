"""The usual optimizer: one object for a question, Adam's steps at a rate that falls to 0."""

import jax.numpy as jnp
import numpy as np
import optax
import pytest

from rdjax.descent import falling_adam

pytestmark = pytest.mark.float64_only


def moves(optimizer, steps, point=3.0):
    """How far each step goes under a slope of 1, as if it were taken."""
    state, found = optimizer.init(jnp.asarray(point)), []
    for _ in range(steps):
        move, state = optimizer.update(jnp.asarray(1.0), state, jnp.asarray(point))
        found.append(float(move))
    return np.array(found)


def test_who_asks_the_same_is_given_the_same_object():
    assert falling_adam(0.1, 7) is falling_adam(0.1, 7)
    assert len({id(falling_adam(*asked)) for asked in ((0.1, 7), (0.1, 8), (0.2, 7), (0.1, 7, 1e-2))}) == 4


def test_the_rate_falls_as_half_a_cosine_to_nothing():
    """Under a slope that stays, each step of Adam has the length of the rate; decay adds its share of the point."""
    rates = 0.1 * (1 + np.cos(np.pi * np.minimum(np.arange(12), 10) / 10)) / 2
    np.testing.assert_allclose(moves(falling_adam(0.1, 10), 12), -rates, atol=1e-8)
    decayed = moves(falling_adam(0.1, 10, weight_decay=0.01), 12)
    np.testing.assert_allclose(decayed, -rates * (1 + 0.01 * 3.0), atol=1e-8)
    np.testing.assert_allclose(decayed, moves(optax.adamw(optax.cosine_decay_schedule(0.1, 10), weight_decay=0.01), 12))
