"""From a trained module to what is served: codes in bytes, validation with padding, meshes of Explicit axes."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from rdjax.checks import InputError
from rdjax.codes import load_code, save_code
from rdjax.limits import ranking_rate
from rdjax.nn import EntropyModel, Quantizer, RankingMetric, RateDistortionLoss, TemperatureDecoder
from rdjax.retrieval import (
    PooledRanks,
    calibrate_temperatures,
    fit_reliability,
    mean_reciprocal_rank,
    parse_metric,
    search_temperatures,
    smooth_metric,
)

KINDS = {
    "scalar": {"step": 0.3},
    "product": {"bits": 3, "parts": 2, "scale": 0.5},
    "residual": {"bits": 3, "parts": 3, "scale": 0.5},
}


@pytest.mark.parametrize("kind", KINDS)
def test_the_code_of_a_quantizer_has_its_values_and_symbols(kind, rng, dtype):
    fit, other = rng.standard_normal((200, 6)).astype(dtype), rng.uniform(-1, 1, (50, 6)).astype(dtype)
    quantizer = Quantizer(6, kind=kind, rngs=nnx.Rngs(0), dtype=dtype, **KINDS[kind])
    made = quantizer.to_code(fit)
    code, _ = load_code(save_code(made), "code")
    for vectors in (fit, other):
        told, symbols = quantizer(vectors), np.asarray(code.encode(vectors))
        read = code.from_bytes(code.to_bytes(symbols))
        np.testing.assert_allclose(code.decode(read), told.values, rtol=1e-6)
        if kind == "scalar":
            least = np.asarray(quantizer(fit).symbols).min(axis=0) - 1
            np.testing.assert_array_equal(symbols + least, told.symbols)
        else:
            np.testing.assert_array_equal(symbols.reshape(told.symbols.shape), told.symbols)
    far = 100 * np.ones((1, 6), dtype)  # one step beyond what was met
    if kind == "scalar":
        assert (np.asarray(code.decode(code.encode(far))) < fit.max() + 0.6).all()


@pytest.mark.float64_only
def test_the_bits_of_that_code_are_those_of_its_symbols(rng):
    vectors = rng.standard_normal((3000, 2))
    code = Quantizer(2, step=0.5, rngs=nnx.Rngs(0), dtype=jnp.float64).to_code(vectors)
    expected = 0.0
    for column in np.round(vectors / 0.5).T:
        share = np.unique(column, return_counts=True)[1] / len(vectors)
        expected -= np.sum(share * np.log2(share))
    packed = 8 * len(code.pack(code.encode(vectors))) / len(vectors)
    assert expected <= packed < 1.01 * expected
    assert f"fitted to {expected:.1f} bits" in code.name


@pytest.mark.float64_only
@pytest.mark.parametrize(
    ("call", "words"),
    [
        (
            lambda x: Quantizer(2, step=1e-6, rngs=nnx.Rngs(0)).to_code(x),
            "goes to 1e.06 steps of 1e-06; .* larger steps",
        ),
        (lambda x: jax.jit(lambda x: Quantizer(2, rngs=nnx.Rngs(0)).to_code(x).levels)(x), "outside jit"),
        (lambda x: Quantizer(3, kind="product", rngs=nnx.Rngs(0)).to_code(x), "3"),
        (lambda x: Quantizer(2, kind="product", step=0.1, rngs=nnx.Rngs(0)), "a product quantizer has no step"),
        (lambda x: Quantizer(2, scale=0.1, rngs=nnx.Rngs(0)), "a scalar quantizer has no scale"),
        (lambda x: Quantizer(2, kind="residual", scale=0.0, rngs=nnx.Rngs(0)), "the scale"),
        (lambda x: RateDistortionLoss(trade=-1.0), "the trade"),
        (lambda x: TemperatureDecoder([0.1], doubt=[1.0]), "doubt has an entry 1"),
        (lambda x: RankingMetric().update(scores=x, relevant=np.zeros(9, int), mask=np.ones(3, bool)), "the mask has"),
        (lambda x: RankingMetric().update(scores=x, relevant=np.zeros(9, int), mask=np.ones(9)), "of float"),
    ],
)
def test_what_cannot_be_is_refused(call, words):
    with pytest.raises(InputError, match=words):
        call(np.linspace(-1, 1, 18).reshape(9, 2))


@pytest.mark.float64_only
def test_words_begin_at_the_scale():
    quantizer = Quantizer(64, kind="residual", bits=8, parts=2, scale=0.05, rngs=nnx.Rngs(0))
    spread = np.std(np.asarray(quantizer.words[...])[0], axis=(1, 2))
    np.testing.assert_allclose(spread, [0.05, 0.025], rtol=0.03)


@pytest.mark.float64_only  # it sets its own precision
def test_temperatures_and_steps_learn_in_half_precision():
    """A step of Adam at .001 is below the spacing of bfloat16 there: what is learned is kept in float32."""
    decoder = TemperatureDecoder([0.07], doubt=[0.5], dtype=jnp.bfloat16)
    quantizer = Quantizer(4, step=0.2, rngs=nnx.Rngs(0), dtype=jnp.bfloat16)
    assert {decoder.log_temperatures.dtype, decoder.odds.dtype, quantizer.log_step.dtype} == {jnp.dtype("float32")}
    x = jnp.linspace(-1, 1, 8, dtype=jnp.bfloat16).reshape(2, 4)
    assert quantizer(x).values.dtype == jnp.bfloat16
    optimizer = nnx.Optimizer(quantizer, optax.adam(1e-3), wrt=nnx.Param)
    before = np.asarray(quantizer.log_step[...])
    optimizer.update(quantizer, nnx.grad(lambda q: jnp.sum((q(x).values - x) ** 2).astype(jnp.float32))(quantizer))
    assert np.all(before != np.asarray(quantizer.log_step[...]))


@pytest.mark.float64_only
def test_modules_are_made_in_a_trace():
    many = nnx.vmap(lambda t: TemperatureDecoder(jnp.stack([t, 2 * t])), in_axes=0, out_axes=0)(jnp.array([0.05, 0.1]))
    np.testing.assert_allclose(jnp.exp(many.log_temperatures[...]), [[0.05, 0.1], [0.1, 0.2]], rtol=1e-6)
    doubting = nnx.jit(lambda eps: TemperatureDecoder([0.1, 0.2], doubt=eps))(jnp.array([0.25, 0.5]))
    np.testing.assert_allclose(jax.nn.sigmoid(doubting.odds[...]), [0.25, 0.5], rtol=1e-6)
    sure = TemperatureDecoder([0.1], doubt=[1 - 1e-9])  # 1 in float32
    np.testing.assert_allclose(sure.odds[...], np.log(1e9), rtol=1e-5)
    trade, scores = jnp.asarray(3.0), np.eye(2, 4)
    closed = jax.jit(lambda s: RateDistortionLoss(trade=trade)(np.ones(2), s, np.arange(2)))(scores)
    np.testing.assert_allclose(closed, RateDistortionLoss(trade=3.0)(np.ones(2), scores, np.arange(2)), rtol=1e-6)


def test_padding_is_left_out_whatever_stands_in_it(rng, dtype):
    scores, relevant = rng.standard_normal((12, 7)).astype(dtype), rng.integers(0, 7, 12)
    mask, spoiled = np.arange(12) < 9, scores.copy()
    spoiled[10], relevant[9:] = np.nan, -1
    both = nnx.MultiMetric(mrr=RankingMetric(), bits=nnx.metrics.Average("bits"))
    bits = np.where(mask, 2.0, 9.0).astype(np.float32)
    update = lambda both, s, r, m, b: both.update(scores=s, relevant=r, mask=m, bits=b)
    for how in (update, nnx.jit(update)):
        how(both, spoiled, relevant, mask, bits)
        np.testing.assert_allclose(both.compute()["mrr"], mean_reciprocal_rank(scores[:9], relevant[:9]), rtol=1e-6)
        np.testing.assert_allclose(both.compute()["bits"], 2)
    several, grades = np.stack([relevant, relevant], 1), np.full((12, 2), np.nan)
    several[:9, 1], grades[:9] = -1, (2, 0)
    metric = RankingMetric("ndcg")
    metric.update(scores=spoiled, relevant=several, grades=grades, mask=mask)
    one = parse_metric("ndcg")(scores[:9], several[:9], grades=grades[:9])
    np.testing.assert_allclose(metric.compute(), np.mean(one), rtol=1e-6)


def test_a_floor_counts_the_documents_that_can_be(rng, dtype):
    """-inf beyond the first 6 of 9 is a list of 6; a floor of more is refused, or NaN in a trace."""
    loss, relevant, bits = RateDistortionLoss(), rng.integers(0, 6, 5), np.full(5, 3.0, dtype)
    scores = rng.standard_normal((5, 9)).astype(dtype)
    padded = np.where(np.arange(9) < 6, scores, -np.inf)
    expected = 3 - ranking_rate(1 - np.mean(smooth_metric("mrr", scores[:, :6], relevant)), 6)
    floor = jax.jit(loss.above_floor, static_argnames="documents")
    np.testing.assert_allclose(loss.above_floor(bits, padded, relevant, documents=6), expected, rtol=1e-4)
    np.testing.assert_allclose(floor(bits, padded, relevant, documents=6), expected, rtol=1e-4)
    with pytest.raises(InputError, match="a list has 6 documents above -inf, fewer than the 9 that the floor is of"):
        loss.above_floor(bits, padded, relevant)
    assert np.isnan(floor(bits, padded, relevant))


@pytest.mark.float64_only  # it sets its own precision
def test_strict_promotion(rng):
    with jax.enable_x64(False), jax.numpy_dtype_promotion("strict"):
        scores, relevant = jnp.asarray(rng.standard_normal((3, 5)), jnp.float32), jnp.arange(3)
        metric = RankingMetric()
        metric.update(scores=scores, relevant=relevant)
        RateDistortionLoss().above_floor(jnp.ones(3), scores, relevant)


@pytest.mark.float64_only
@pytest.mark.parametrize("shared", [True, False])
def test_explicit_axes_give_what_one_device_gives(shared, rng):
    """`jax.make_mesh` has them by default: batches shared over a mesh, or arrays that are merely whole on all of it."""
    mesh = jax.make_mesh((4,), ("data",), axis_types=(AxisType.Explicit,))
    scores, relevant = rng.standard_normal((2, 8, 12)), rng.integers(0, 12, 8)
    scores[:, np.arange(8), relevant] += 1
    several, x = np.stack([relevant, np.full(8, -1)], 1), rng.standard_normal((8, 4))
    words = [Quantizer(4, kind=kind, bits=2, parts=2, rngs=nnx.Rngs(0)) for kind in ("product", "residual")]
    law = EntropyModel(4, rngs=nnx.Rngs(1))

    def everything(scores, relevant, several, x):
        one = scores[0]
        return {
            "mrr": mean_reciprocal_rank(one, relevant),
            "ndcg": parse_metric("ndcg@5")(one, several),
            "pooled": smooth_metric("mrr", one, relevant, rank_fn=PooledRanks()),
            "loss": RateDistortionLoss()(law(x), one, relevant),
            "calibrated": calibrate_temperatures(scores, relevant).temperatures,
            "doubt": fit_reliability(scores, relevant, steps=2).doubt,
            "searched": search_temperatures(scores, relevant, steps=2, starts=1).temperatures,
            "words": [quantizer(x).values for quantizer in words],
        }

    def put(array, *spec):
        return jax.device_put(array, NamedSharding(mesh, PartitionSpec(*(spec if shared else ()))))

    given = put(scores, None, "data"), put(relevant, "data"), put(several, "data"), put(x, "data")
    expected, found = jax.jit(everything)(scores, relevant, several, x), jax.jit(everything)(*given)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), found, expected)
    metric = RankingMetric()
    metric.update(scores=given[0][0], relevant=given[1])  # not under jit
    np.testing.assert_allclose(metric.compute(), expected["mrr"], rtol=1e-6)
