"""Metrics that add up, a dual encoder, checkpoints, Linen and sharded models: the parts around a model."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import orbax.checkpoint as ocp
import pytest
from flax import linen, nnx
from flax.nnx import bridge
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from rdjax.checks import InputError
from rdjax.nn import (
    BilinearCritic,
    DualEncoder,
    EntropyModel,
    Quantizer,
    RankingMetric,
    RateDistortionLoss,
    TemperatureDecoder,
    fit_dual_encoder,
)
from rdjax.retrieval import contrastive_loss, parse_metric


def pairs(count=300, seed=0):
    """Two nonlinear views of three hidden numbers."""
    rng = np.random.default_rng(seed)
    hidden = rng.standard_normal((count, 3))
    x = np.tanh(hidden @ np.random.default_rng(1).standard_normal((3, 8))) + 0.05 * rng.standard_normal((count, 8))
    y = (hidden @ np.random.default_rng(2).standard_normal((3, 6))) ** 3 / 4 + 0.05 * rng.standard_normal((count, 6))
    return x, y


# metrics


@pytest.mark.parametrize("name", ["mrr", "recall@3", "ndcg@10"])
def test_batches_of_a_metric_are_the_whole(name, rng, dtype, tolerance):
    scores, relevant = rng.standard_normal((40, 12)).astype(dtype), rng.integers(0, 12, 40)
    metric = RankingMetric(name)
    add = nnx.jit(lambda metric, s, r: metric.update(scores=s, relevant=r))
    for rows in np.array_split(np.arange(40), 5):
        add(metric, scores[rows], relevant[rows])
    whole = np.mean(jax.jit(parse_metric(name))(scores, relevant))
    np.testing.assert_allclose(metric.compute(), whole, rtol=20 * tolerance)
    metric.reset()
    assert np.isnan(metric.compute())


@pytest.mark.float64_only
def test_graded_queries_and_company(rng):
    scores, relevant = rng.standard_normal((6, 9)), np.tile([[1, 4, -1]], (6, 1))
    grades = np.tile([[3.0, 1.0, 0.0]], (6, 1))
    both = nnx.MultiMetric(ndcg=RankingMetric("ndcg"), loss=nnx.metrics.Average("loss"))
    update = nnx.jit(
        lambda both: both.update(scores=scores, relevant=relevant, grades=grades, loss=np.ones(3, np.float32))
    )
    update(both)
    found = both.compute()
    whole = np.mean(jax.jit(parse_metric("ndcg"))(scores, relevant, grades=grades))
    np.testing.assert_allclose(found["ndcg"], whole, rtol=1e-6)
    assert found["loss"] == 1


@pytest.mark.float64_only  # it sets its own precision
def test_sums_do_not_drift_in_float32():
    with jax.enable_x64(False):
        metric, one = RankingMetric("mrr"), jnp.asarray([[2.0, 3.0, 1.0, 4.0]])  # rank 3
        add = nnx.jit(
            lambda metric: metric.update(scores=jnp.broadcast_to(one, (512, 4)), relevant=jnp.zeros(512, int))
        )
        for _ in range(60):
            add(metric)
        np.testing.assert_allclose(metric.compute(), np.float32(1 / 3), rtol=2e-7)


# dual encoder


def test_trains_to_find_its_pairs(dtype):
    x, y = pairs()
    model = DualEncoder(8, 6, dimension=8, hidden=(32,), rngs=nnx.Rngs(0), dtype=dtype)
    loss = nnx.jit(lambda model, x, y: contrastive_loss(model(x, y)[None], model.temperature[None]))
    first = loss(model, x.astype(dtype), y.astype(dtype))
    settings = {"steps": 200, "batch": 100, "seed": 1, "optimizer": optax.adam(5e-3)}  # one object: compiled once
    trained, losses = fit_dual_encoder(model, x, y, **settings)
    assert losses.shape == (200,)
    assert float(losses[-1]) < 0.6 * float(first)
    again, _ = fit_dual_encoder(model, x, y, **settings)
    jax.tree.map(np.testing.assert_array_equal, nnx.state(trained), nnx.state(again))
    assert float(trained.temperature) != pytest.approx(0.07, abs=1e-3)
    np.testing.assert_allclose(model.temperature, 0.07, rtol=1e-6)  # the one given is left as it was
    embedded = nnx.jit(lambda model: model.embed_queries(x))(trained)
    np.testing.assert_allclose(np.linalg.norm(embedded, axis=1), 1, rtol=1e-5)


@pytest.mark.float64_only
def test_a_fixed_temperature_stays():
    x, y = pairs(60)
    model = DualEncoder(8, 6, dimension=4, hidden=(), learned=False, rngs=nnx.Rngs(0))
    trained, _ = fit_dual_encoder(model, x, y, steps=20, batch=30)
    assert float(trained.temperature) == float(model.temperature)


def test_a_pair_of_nothing_leaves_the_model_whole(dtype):
    x, y = (side.astype(dtype) for side in pairs(8))
    x[3] = 0
    model = DualEncoder(8, 6, dimension=3, hidden=(), rngs=nnx.Rngs(0), dtype=dtype)
    trained, losses = fit_dual_encoder(model, x, y, optimizer=optax.sgd(0.1), steps=3)
    assert np.all(np.isfinite(losses))
    assert np.all(np.isfinite(trained(x, y)))


@pytest.mark.float64_only
@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda x, y: DualEncoder(8, 6, temperature=0, rngs=nnx.Rngs(0)), "above 0"),
        (lambda x, y: fit_dual_encoder(DualEncoder(8, 6, rngs=nnx.Rngs(0)), x, y[:-1]), "row i is a pair"),
        (lambda x, y: fit_dual_encoder(DualEncoder(8, 6, rngs=nnx.Rngs(0)), x[0], y), "the queries"),
        (lambda x, y: fit_dual_encoder(DualEncoder(7, 6, rngs=nnx.Rngs(0)), x, y), "the query tower is for 7 comp"),
        (lambda x, y: DualEncoder(8, 5, rngs=nnx.Rngs(0))(x, y), r"document tower is for 5 .* given shape \(20, 6\)"),
    ],
)
def test_bad_pairs_are_refused(call, words):
    with pytest.raises(InputError, match=words):
        call(*pairs(20))


# checkpoints, Linen, sharding

MODULES = {
    "decoder": (TemperatureDecoder, ([0.1, 0.4],), {"doubt": [0.1, 0.2]}, False),
    "scalar": (Quantizer, (6,), {"step": 0.3}, True),
    "product": (Quantizer, (6,), {"kind": "product", "bits": 2, "parts": 2}, True),
    "residual": (Quantizer, (6,), {"kind": "residual", "bits": 2, "parts": 2}, True),
    "entropy model": (EntropyModel, (6,), {}, True),
    "critic": (BilinearCritic, (6, 6), {}, False),
    "encoder": (DualEncoder, (6, 6), {"dimension": 4, "hidden": (5,)}, True),
}


def inputs(name, rng):
    x = rng.standard_normal((8, 6)).astype(np.float32)
    if name == "decoder":
        return (rng.standard_normal((2, 8, 5)).astype(np.float32),)
    return (x, x[::-1]) if name in ("critic", "encoder") else (x,)


def make(name):
    kind, arguments, options, drawn = MODULES[name]
    return kind(*arguments, **options, **({"rngs": nnx.Rngs(3)} if drawn else {}))


@pytest.mark.float64_only  # what they hold is float32 in either pass
@pytest.mark.parametrize("name", MODULES)
def test_orbax_gives_back_every_bit(name, tmp_path, rng):
    model = make(name)
    _, state = nnx.split(model)
    moved = lambda leaf: jax.device_put(leaf + rng.standard_normal(leaf.shape).astype(leaf.dtype))
    state = jax.tree.map(moved, jax.tree.map(np.asarray, state))
    with ocp.StandardCheckpointer() as checkpointer:
        checkpointer.save(tmp_path / "model", state)
        checkpointer.wait_until_finished()
        like = jax.tree.map(ocp.utils.to_shape_dtype_struct, state)
        restored = checkpointer.restore(tmp_path / "model", like)
    jax.tree.map(np.testing.assert_array_equal, state, restored)
    other = make(name)
    nnx.update(other, restored)
    jax.tree.map(np.testing.assert_array_equal, nnx.state(other), state)


@pytest.mark.float64_only  # what they hold is float32 in either pass
@pytest.mark.parametrize("name", MODULES)
def test_every_module_in_a_linen_model(name, rng):
    kind, arguments, options, drawn = MODULES[name]

    class Model(linen.Module):
        @linen.compact
        def __call__(self, *given):
            return bridge.ToLinen(kind, args=arguments, kwargs=options, skip_rng=not drawn)(*given)

    given = inputs(name, rng)

    def weigh(variables):
        found = Model().apply(variables, *given)
        return sum(jnp.sum(leaf.astype(np.float32)) for leaf in jax.tree.leaves(found)), found

    variables = jax.jit(Model().init)(jax.random.key(0), *given)
    slopes, found = jax.jit(jax.grad(weigh, has_aux=True))(variables)
    expected = jax.eval_shape(lambda *given: make(name)(*given), *given)
    assert jax.tree.structure(found) == jax.tree.structure(expected)
    assert jax.tree.map(jnp.shape, found) == jax.tree.map(jnp.shape, expected)
    assert any((np.asarray(leaf) != 0).any() for leaf in jax.tree.leaves(slopes))


@pytest.mark.float64_only
@pytest.mark.parametrize("name", ["scalar", "product", "residual", "entropy model", "decoder"])
def test_shardings_are_kept(name, rng):
    """Queries over four devices, and words over two: the same values, where they were put."""
    mesh = jax.make_mesh((4, 2), ("data", "words"), axis_types=(AxisType.Auto,) * 2)
    put = lambda array, *axes: jax.device_put(array, NamedSharding(mesh, PartitionSpec(*axes)))
    model, given = make(name), inputs(name, rng)
    forward = nnx.jit(lambda model, rows: model(rows))
    expected = forward(model, *given)
    state = nnx.state(model)
    spread = lambda leaf: put(leaf, None, None, "words") if leaf.ndim == 4 else put(leaf)
    nnx.update(model, jax.tree.map(spread, state))
    rows = put(given[0], None, "data") if name == "decoder" else put(given[0], "data")
    found = forward(model, rows)
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5)
    values = found.values if hasattr(found, "values") else found
    assert values.sharding.is_equivalent_to(NamedSharding(mesh, PartitionSpec("data")), values.ndim)


@pytest.mark.float64_only
def test_the_rate_and_the_ranking_of_a_sharded_batch_have_one_loss(rng):
    mesh = jax.make_mesh((8,), ("data",), axis_types=(AxisType.Auto,))
    scores, relevant = rng.standard_normal((16, 10)).astype(np.float32), rng.integers(0, 10, 16)
    bits = rng.uniform(1, 4, 16).astype(np.float32)
    loss = RateDistortionLoss("mrr", trade=3.0)
    put = lambda array: jax.device_put(array, NamedSharding(mesh, PartitionSpec("data")))
    both = jax.jit(jax.value_and_grad(loss, argnums=(0, 1)))
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6),
        both(put(bits), put(scores), put(relevant)),
        both(bits, scores, relevant),
    )


@pytest.mark.float64_only
def test_words_stay_where_an_annotation_puts_them_while_they_learn(rng):
    """On an axis of a mesh, their moments with them: the same words as on one device, and one trace of the step."""
    mesh = jax.make_mesh((4, 2), ("data", "words"), axis_types=(AxisType.Auto,) * 2)
    x, target = inputs("product", rng)[0], rng.standard_normal((8, 6)).astype(np.float32)

    def learned(annotated):
        chex.clear_trace_counter()
        model, rows = make("product"), x
        if annotated:
            model.words.set_metadata(out_sharding=(None, None, "words", None), mesh=mesh)
            rows = jax.device_put(x, NamedSharding(mesh, PartitionSpec("data")))
        optimizer = nnx.Optimizer(model, optax.adam(0.1), wrt=nnx.Param)
        for part in (model, optimizer) if annotated else ():
            state = nnx.state(part)
            nnx.update(part, jax.device_put(state, nnx.get_named_sharding(state, mesh)))

        @nnx.jit
        @chex.assert_max_traces(1)
        def step(model, optimizer, x):
            slopes = nnx.grad(lambda m: jnp.mean((m(x).values - target) ** 2))(model)
            optimizer.update(model, slopes)

        for _ in range(3):
            step(model, optimizer, rows)
        return model.words[...], optimizer.opt_state[0].mu["words"][...]

    (spread, moments), (whole, _) = learned(True), learned(False)
    for array in (spread, moments):
        assert array.sharding.is_equivalent_to(NamedSharding(mesh, PartitionSpec(None, None, "words")), 4)
    np.testing.assert_allclose(spread, whole, atol=1e-6)
    assert not np.allclose(whole, make("product").words[...], atol=0.01)


@pytest.mark.float64_only
def test_the_loss_in_a_linen_model_has_no_variables(rng):
    given = np.ones(4), rng.standard_normal((4, 5)).astype(np.float32), np.arange(4)
    model = bridge.ToLinen(RateDistortionLoss, kwargs={"trade": 3.0}, skip_rng=True)
    variables = jax.jit(model.init)(jax.random.key(0), *given)
    assert not jax.tree.leaves(variables)
    found, expected = jax.jit(lambda *given: (model.apply(variables, *given), RateDistortionLoss(trade=3.0)(*given)))(
        *given
    )
    np.testing.assert_allclose(found, expected, rtol=1e-6)
