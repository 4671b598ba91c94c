"""Modules and relaxations in half precision, at the ends of a range and where something underflows."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from rdjax.checks import InputError
from rdjax.codes.relaxed import cell_bits, straight_through
from rdjax.nn import BilinearCritic, DualEncoder, EntropyModel, Quantizer, TemperatureDecoder, training
from rdjax.nn.objectives import objective

pytestmark = pytest.mark.float64_only  # the precisions are named
HALVES = [jnp.bfloat16, jnp.float16, jnp.float32]


@pytest.mark.parametrize("half", HALVES)
def test_straight_through_is_the_hard_value_to_the_bit(half, rng):
    soft, hard = (jnp.asarray(rng.normal(size=200), half) for _ in range(2))
    np.testing.assert_array_equal(straight_through(soft, hard), hard)
    for x, expected in ((1e38, 3), (2e38, 0)):  # 3 x overflows
        value, slope = jax.value_and_grad(lambda x: straight_through(3 * x, jnp.float32(np.inf)))(jnp.float32(x))
        assert (value, slope) == (np.inf, expected)


@pytest.mark.parametrize("half", HALVES)
def test_words_that_a_decoder_holds_are_what_a_model_sees(half, rng):
    quantizer = Quantizer(8, kind="product", bits=4, parts=2, rngs=nnx.Rngs(0), dtype=half)
    found = quantizer(jnp.asarray(rng.normal(size=(50, 8)), half))
    words = np.asarray(quantizer.words[...])
    held = np.concatenate([words[b, 0][np.asarray(found.symbols)[:, b, 0]] for b in range(2)], axis=1)
    np.testing.assert_array_equal(found.values, held)


def test_steps_in_half_precision_are_counted_in_float32():
    x = jnp.array([[100.0, 0.5], [0.05, 0.5]], jnp.float16)
    for step, most in ((1e-3, 5e-4), (1e-5, 5e-6)):
        values = Quantizer(2, step=step, rngs=nnx.Rngs(0))(x).values
        np.testing.assert_allclose(values, np.asarray(x, np.float64), atol=1.01 * most, rtol=1e-6)


def test_what_is_more_steps_than_can_be_counted_is_refused():
    quantizer = Quantizer(2, step=1e-3, rngs=nnx.Rngs(0))
    x = jnp.array([[1e38, 0.5]], jnp.float32)
    with pytest.raises(InputError, match="what is quantized, in steps"):
        quantizer(x)
    assert not np.isnan(np.asarray(nnx.jit(lambda module, x: module(x).values)(quantizer, x))).any()


@pytest.mark.parametrize(("half", "apart"), [(jnp.float16, 18.0), (jnp.float32, 110.0)])
def test_a_law_that_has_no_weight_has_no_gradient(half, apart):
    model = EntropyModel(1, laws=2, rngs=nnx.Rngs(0), dtype=half)
    model.logits[...] = jnp.array([[0.0, apart]], half)
    slopes = nnx.grad(lambda model: model(jnp.ones((3, 1))).sum())(model)
    np.testing.assert_array_equal(slopes.logits[...], 0)
    assert np.isfinite(np.asarray(slopes.means[...], np.float32)).all()
    only = cell_bits(np.ones(1), np.array([[0.0, 1.0]]), np.zeros((1, 2)), np.ones((1, 2)))
    alone = cell_bits(np.ones(1), np.ones((1, 1)), np.zeros((1, 1)), np.ones((1, 1)))
    np.testing.assert_allclose(only, alone, rtol=1e-6)


def test_words_may_all_be_zero():
    quantizer = Quantizer(2, kind="product", bits=1, rngs=nnx.Rngs(0))
    quantizer.words[...] = jnp.zeros_like(quantizer.words[...])
    found = quantizer(jnp.ones((1, 2)))
    np.testing.assert_array_equal(found.values, 0)
    assert not np.isnan(np.asarray(found.shares)).any()


@pytest.mark.parametrize("temperatures", [[1e300, 0.1], [1e-60, 0.1]])
def test_temperatures_that_the_parameters_cannot_hold_are_refused(temperatures):
    with pytest.raises(InputError, match="float32 holds none so small or large"):
        TemperatureDecoder(temperatures)


@pytest.mark.parametrize(("half", "row"), [(jnp.float16, [400.0, 300, 200]), (jnp.float16, [1e-4, 1e-4, 0])])
def test_embeddings_have_length_one_whatever_their_size(half, row):
    model = DualEncoder(3, 3, dimension=4, hidden=(), rngs=nnx.Rngs(0), dtype=half)
    made = np.asarray(model.embed_queries(jnp.array([row], half)), np.float64)
    np.testing.assert_allclose(np.linalg.norm(made, axis=1), 1, rtol=3e-3)


def test_the_average_of_parameters_in_half_precision_moves():
    """A hundredth of a step rounds to nothing in bfloat16."""
    graph, parameters, rest = nnx.split(BilinearCritic(1, 1, dtype=jnp.bfloat16), nnx.Param, ...)
    at = lambda value: jax.tree.map(lambda leaf: jnp.full_like(leaf, value), parameters)
    plan = training.Plan(graph, objective("infonce"), optax.set_to_zero(), batch=4, length=100, members=1)
    state = training._begin(plan, at(1.0))
    state = state._replace(parameters=at(1.15), step=jnp.full_like(state.step, 1000))
    pairs, rows = (jnp.ones((4, 1), jnp.bfloat16),) * 2, np.tile(np.arange(4, dtype=np.int32), (1000, 1))
    found = training._stretch(plan, state, rest, pairs, rows).average
    np.testing.assert_allclose(found, float(jnp.bfloat16(1.15)), rtol=1e-3)
    assert training.parameters_dtype(training.as_tree(parameters, found)) == jnp.bfloat16
