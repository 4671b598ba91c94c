"""Temperatures, quantizers and the rate in somebody's model: that they do what their functions do, and learn."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from rdjax.checks import InputError
from rdjax.codes.relaxed import nearest_word
from rdjax.limits import ranking_rate
from rdjax.nn import EntropyModel, Quantizer, RateDistortionLoss, TemperatureDecoder
from rdjax.retrieval import (
    SigmoidRanks,
    calibrate_temperatures,
    doubting_posterior,
    listwise_loss,
    log_posterior,
    smooth_metric,
)


def toy(seed=0, queries=200, documents=30, noise=(0.4, 1.0), dtype=np.float32):
    """Two noisy views of unit vectors: scores [2, Q, N], relevant, the queries of both views, the documents."""
    rng = np.random.default_rng(seed)
    y = rng.standard_normal((documents, 6))
    y = (y / np.linalg.norm(y, axis=1, keepdims=True)).astype(dtype)
    relevant = rng.integers(0, documents, queries)
    x = [(y[relevant] + s * rng.standard_normal((queries, 6))).astype(dtype) for s in noise]
    return np.stack([a @ y.T for a in x]), relevant, x, y


def train(model, loss, steps, rate=0.05):
    """Adam on a module, all steps in one program; the losses."""
    optimizer = nnx.Optimizer(model, optax.adam(rate), wrt=nnx.Param)
    graph, state = nnx.split((model, optimizer))

    def step(state, number):
        model, optimizer = nnx.merge(graph, state)
        value, gradient = nnx.value_and_grad(lambda m: loss(m, jax.random.key(number)))(model)
        optimizer.update(model, gradient)
        return nnx.state((model, optimizer)), value

    state, losses = jax.jit(lambda state: jax.lax.scan(step, state, np.arange(steps)))(state)
    nnx.update((model, optimizer), state)
    return np.asarray(losses)


# decoder


def test_decoder_is_the_posterior(dtype, tolerance):
    scores, *_ = toy(dtype=dtype)
    tau, doubt = np.array([[0.2, 0.7], [0.1, 0.3]], dtype)
    decoders = [TemperatureDecoder(tau, dtype=dtype), TemperatureDecoder(tau, doubt=doubt, dtype=dtype)]
    found = jax.jit(lambda s: [decoder(s) for decoder in decoders])(scores)
    expected = jax.jit(lambda s: [log_posterior(s, tau), doubting_posterior(s, tau, doubt)])(scores)
    np.testing.assert_allclose(found, expected, atol=200 * tolerance)


def test_learned_temperatures_are_the_calibrated_ones(dtype):
    scores, relevant, *_ = toy(queries=600, dtype=dtype)
    decoder = TemperatureDecoder([0.3, 0.3], dtype=dtype)
    train(decoder, lambda m, key: listwise_loss(scores, relevant, m.temperatures), 400)
    np.testing.assert_allclose(decoder.temperatures, calibrate_temperatures(scores, relevant).temperatures, rtol=0.02)


@pytest.mark.float64_only
def test_a_shared_temperature_is_taught_by_a_likelihood_and_by_no_ranking(rng):
    scores, relevant = rng.normal(size=(1, 6, 8)), np.arange(6)
    decoder, loss = TemperatureDecoder([0.3], dtype=jnp.float64), RateDistortionLoss("mrr", trade=100.0)

    def slopes(m):
        logs = m(scores)
        likelihood = optax.losses.softmax_cross_entropy_with_integer_labels(logs, relevant).mean()
        return jnp.stack([loss(jnp.zeros(6), logs, relevant), likelihood])

    graph, state = nnx.split(decoder)
    slope = jax.jit(jax.jacobian(lambda s: slopes(nnx.merge(graph, s))))(state)
    ranking, likelihood = slope["log_temperatures"][...].ravel()
    assert abs(ranking) < 1e-9 < 0.1 < abs(likelihood)


def test_bad_decoders_are_refused():
    with pytest.raises(InputError, match="above 0"):
        TemperatureDecoder([0.1, 0.0])
    with pytest.raises(InputError, match="an infinite one cannot learn"):
        TemperatureDecoder([0.1, np.inf])
    with pytest.raises(InputError, match="between 0 and 1"):
        TemperatureDecoder([0.1, 0.2], doubt=[0.1])


# quantizers


def test_a_scalar_quantizer_rounds_or_adds_noise(rng, dtype, tolerance):
    x = rng.standard_normal((5, 4)).astype(dtype)
    quantizer = Quantizer(4, step=0.5, rngs=nnx.Rngs(0), dtype=dtype)
    found, with_noise = jax.jit(lambda x: (quantizer(x), quantizer(x, key=jax.random.key(0))))(x)
    np.testing.assert_allclose(found.values, np.round(x / 0.5) * 0.5, atol=20 * tolerance)
    assert (np.abs(np.asarray(with_noise.values) - x) <= 0.25 + 1e-6).all()
    assert not np.allclose(with_noise.values, found.values)


@pytest.mark.parametrize(("kind", "parts"), [("product", 3), ("residual", 2)])
def test_words_are_the_nearest_and_add_up(kind, parts, rng, dtype, tolerance):
    x = rng.standard_normal((7, 6)).astype(dtype)
    quantizer = Quantizer(6, kind=kind, bits=3, parts=parts, rngs=nnx.Rngs(1), dtype=dtype)
    found, words = jax.jit(lambda x: quantizer(x))(x), np.asarray(quantizer.words[...])
    blocks, stages = words.shape[:2]
    assert found.symbols.shape == (7, blocks, stages)
    expected = np.zeros_like(x)
    for b, block in enumerate(np.split(np.arange(6), blocks)):
        for s in range(stages):
            left = x[:, block] - expected[:, block]
            nearest = ((left[:, None] - words[b, s]) ** 2).sum(axis=-1).argmin(axis=1)
            np.testing.assert_array_equal(found.symbols[:, b, s], nearest)
            expected[:, block] += words[b, s, nearest]
    np.testing.assert_allclose(found.values, expected, atol=200 * tolerance)
    np.testing.assert_allclose(np.asarray(found.shares).sum(axis=-1), 1, rtol=100 * tolerance)


@pytest.mark.float64_only
@pytest.mark.parametrize(("kind", "parts"), [("product", 3), ("residual", 2)])
def test_words_learn_to_lose_less(kind, parts, rng, dtype):
    x = rng.standard_normal((400, 6)).astype(dtype)
    quantizer = Quantizer(6, kind=kind, bits=4, parts=parts, rngs=nnx.Rngs(1), dtype=dtype)
    losses = train(quantizer, lambda m, key: jnp.mean(jnp.sum((m(x).values - x) ** 2, axis=-1)), 300, rate=0.03)
    assert losses[-1] < 0.8 * losses[0]


@pytest.mark.float64_only
def test_an_entropy_model_learns_the_entropy(rng, dtype):
    symbols = np.round(2 * rng.standard_normal((1000, 2))).astype(dtype)
    model = EntropyModel(2, rngs=nnx.Rngs(0), dtype=dtype)
    losses = train(model, lambda m, key: jnp.mean(m(symbols)), 300)
    shares = [np.unique(column, return_counts=True)[1] / 1000 for column in symbols.T]
    entropy = -sum((share * np.log2(share)).sum() for share in shares)
    assert entropy < losses[-1] < entropy + 0.1


def test_bad_quantizers_are_refused():
    for bad, words in (
        ({"kind": "vector"}, "kind"),
        ({"kind": "product", "parts": 4}, "divide"),
        ({"kind": "product", "bits": 13}, "1 to 12"),
        ({"step": 0.0}, "step"),
        ({"step": np.inf}, "the step has an entry inf"),
        ({"kind": "product", "softness": 0.0}, "the softness has an entry 0"),
        ({"kind": "residual", "softness": -1.0}, "the softness has an entry -1"),
    ):
        with pytest.raises(InputError, match=words):
            Quantizer(6, rngs=nnx.Rngs(0), **bad)
    for module, words in (
        (Quantizer(6, rngs=nnx.Rngs(0)), "quantizer is for 6"),
        (EntropyModel(6, rngs=nnx.Rngs(0)), "6 comp"),
    ):
        with pytest.raises(InputError, match=words):
            module(np.ones((3, 5)))
    quantized = Quantizer(6, rngs=nnx.Rngs(0))(np.ones((3, 6)))
    with pytest.raises(InputError, match="give its symbols"):
        EntropyModel(6, rngs=nnx.Rngs(0))(quantized)
    with pytest.raises(InputError, match="temperatures are 'x'; give one number above 0 for each modality"):
        TemperatureDecoder("x")
    with pytest.raises(InputError, match=r"the step has shape \(3,\); give one number, or 4 of them"):
        Quantizer(4, step=np.ones(3), rngs=nnx.Rngs(0))
    np.testing.assert_allclose(np.exp(Quantizer(2, step=[0.1, 0.2], rngs=nnx.Rngs(0)).log_step[...]), [0.1, 0.2])
    for kind in ("scalar", "product", "residual"):  # no vectors are none
        assert Quantizer(4, kind=kind, bits=2, rngs=nnx.Rngs(0))(np.zeros((0, 4))).values.shape == (0, 4)
    with pytest.raises(InputError, match="the metric is 1; give its name"):
        RateDistortionLoss(1)
    with pytest.raises(InputError, match=r"temperatures are \[\]; give one"):
        TemperatureDecoder([])


# loss


@pytest.mark.float64_only
def test_the_loss_and_its_distance_to_the_floor():
    scores, relevant, *_ = toy(dtype=np.float64)
    fused, bits = scores.sum(axis=0), np.full(200, 3.0)
    loss = RateDistortionLoss(trade=10.0)
    values = lambda s: (jnp.mean(smooth_metric("mrr", s, relevant)), loss(bits, s, relevant))
    quality, total = jax.jit(values)(fused)
    assert float(total) == pytest.approx(3 * np.log(2) + 10 * (1 - quality))
    above = jax.jit(lambda s: loss.above_floor(bits, s, relevant))(fused)
    assert float(above) == pytest.approx(3 - float(ranking_rate(1 - quality, 30)))
    with pytest.raises(InputError, match="the floor is of one"):
        loss.above_floor(bits, fused, np.stack([relevant, np.full_like(relevant, -1)], axis=-1))
    for wrong in (bits[:4], bits.mean()):
        with pytest.raises(InputError, match="give one number a query"):
            loss(wrong, fused, relevant)


@pytest.mark.float64_only
@pytest.mark.parametrize("name", ["__call__", "above_floor"])
def test_gradients_of_temperatures_and_words_against_differences(name):
    """Bounds are in the loop: the gradient goes through R(D), the soft ranks, the temperatures and the words."""
    _, relevant, (x, _), y = toy(queries=40, dtype=np.float64)
    loss = RateDistortionLoss(trade=10.0)
    words = np.random.default_rng(1).standard_normal((8, 6))
    model = EntropyModel(6, rngs=nnx.Rngs(0), dtype=np.float64)

    def value(tau, words):
        sent = nearest_word(x, words, 0.5, hard=False).words
        return getattr(loss, name)(model(sent), (sent @ y.T) / tau + 0.1 * (x @ y.T), relevant)

    here, move, step = 0.3, np.random.default_rng(2).standard_normal((8, 6)), 1e-6
    both = jax.jit(jax.value_and_grad(value, argnums=(0, 1)))
    _, (by_tau, by_words) = both(here, words)
    expected = (both(here + step, words)[0] - both(here - step, words)[0]) / (2 * step)
    assert float(by_tau) == pytest.approx(float(expected), rel=1e-5)
    expected = (both(here, words + step * move)[0] - both(here, words - step * move)[0]) / (2 * step)
    assert np.sum(by_words * move) == pytest.approx(float(expected), rel=1e-5)


@pytest.mark.float64_only
def test_ten_lines_put_them_into_a_model_of_ones_own(dtype):
    """What the README shows."""
    _, relevant, x, y = toy(dtype=dtype)

    class Encoder(nnx.Module):
        def __init__(self, rngs):
            self.quantizer = Quantizer(6, step=0.8, rngs=rngs, dtype=dtype)
            self.bits = EntropyModel(6, rngs=rngs, dtype=dtype)
            self.decoder = TemperatureDecoder([0.3], dtype=dtype)

        def __call__(self, queries, key=None):
            sent = self.quantizer(queries, key=key)
            return self.bits(sent.symbols), self.decoder((sent.values @ y.T)[None])

    model, loss = Encoder(nnx.Rngs(0)), RateDistortionLoss(trade=20.0)
    losses = train(model, lambda m, key: loss(*m(x[0], key), relevant), 200)
    assert np.mean(losses[-10:]) < np.mean(losses[:10]) - 0.5
    above = jax.jit(lambda queries: loss.above_floor(*model(queries), relevant))
    assert above(x[0]) > 0  # no code is below the floor


@pytest.mark.float64_only
def test_soft_ranks_of_the_loss_may_be_a_function():
    scores, relevant, *_ = toy(queries=20, documents=8, dtype=np.float64)
    fused, bits = scores.sum(axis=0), np.full(20, 3.0)
    own, by_function = (
        nnx.jit(lambda loss, s: loss(bits, s, relevant))(RateDistortionLoss(rank_fn=ranks), fused)
        for ranks in (SigmoidRanks(0.5), lambda *at: SigmoidRanks(0.5)(*at))
    )
    assert float(own) == pytest.approx(float(by_function), rel=1e-12)


@pytest.mark.parametrize("kind", ["scalar", "product", "residual"])
def test_integers_are_quantized_as_the_same_floats(kind):
    begin = {"step": 0.5} if kind == "scalar" else {"bits": 2}
    quantizer = Quantizer(6, kind=kind, **begin, rngs=nnx.Rngs(0))
    whole_numbers = np.arange(18).reshape(3, 6) % 5
    expected = quantizer(whole_numbers.astype(np.float32))
    for kind_of in (np.int8, np.uint8, np.int32, np.int64):
        np.testing.assert_array_equal(quantizer(whole_numbers.astype(kind_of)).values, expected.values)
    flags = quantizer(whole_numbers > 2)
    np.testing.assert_array_equal(flags.values, quantizer((whole_numbers > 2).astype(np.float32)).values)


def test_what_is_not_finite_is_refused_where_it_comes_in():
    quantizer, model = Quantizer(4, rngs=nnx.Rngs(0)), EntropyModel(4, rngs=nnx.Rngs(0))
    for module, words in (
        (quantizer, "what is quantized has an entry nan"),
        (model, "what the entropy model was given has an entry nan"),
    ):
        with pytest.raises(InputError, match=words):
            module(np.array([[0.0, np.nan, 1.0, 2.0]]))


def test_scores_of_another_shape_are_shown_beside_the_bits():
    with pytest.raises(
        InputError, match=r"the bits have shape \(3,\) and the scores \(5, 3\); give one number a query"
    ):
        RateDistortionLoss()(np.ones(3), np.ones((5, 3)), np.zeros(5, int))
