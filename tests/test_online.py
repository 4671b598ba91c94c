"""Temperatures on a stream: regret against the best in hindsight (SciPy), and below its bound, whatever comes."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize
import scipy.special

from rdjax.checks import InputError
from rdjax.retrieval import (
    calibrate_temperatures,
    follow_stream,
    forgetful_mean,
    online,
    online_temperatures,
    temperature,
    temperature_intervals,
)
from rdjax.retrieval.online import update_temperatures
from tests.calibration import truth

BLOCKS, QUERIES, DOCUMENTS = 128, 4, 6
COLDEST = np.array([0.1, 0.2])

follow, update = jax.jit(follow_stream), jax.jit(update_temperatures)


def stream(rng, kind):
    """Scores [T, 2, Q, N] whose best temperatures stay (.25 and 2.25), switch in the middle, or flip every block."""
    relevant = rng.integers(0, DOCUMENTS, (BLOCKS, QUERIES))
    noise = np.ones((BLOCKS, 2)) * (0.5, 1.5)
    if kind == "switching":
        noise[BLOCKS // 2 :] = (1.5, 0.5)
    scores = rng.normal(size=(BLOCKS, 2, QUERIES, DOCUMENTS)) * noise[:, :, None, None]
    sought = np.eye(DOCUMENTS)[relevant][:, None]
    if kind == "adversarial":  # each block says the opposite of the last, for all it is worth
        return 2 * sought * np.where(np.arange(BLOCKS) % 2, 1, -1)[:, None, None, None] * np.ones(
            (1, 2, 1, 1)
        ), relevant
    return scores + sought, relevant


def hindsight(scores, relevant, coldest=COLDEST):
    """Least total bits of fixed temperatures in the box, SciPy."""
    pooled = np.moveaxis(scores, 0, 1).reshape(scores.shape[1], -1, scores.shape[-1])
    loss = lambda b: truth(b / coldest, pooled, relevant.ravel())
    objective = lambda b: (loss(b)[0] * np.log(2), loss(b)[1] / coldest)
    box = [(0, 1)] * len(coldest)
    found = scipy.optimize.minimize(objective, np.full(len(coldest), 0.1), jac=True, method="L-BFGS-B", bounds=box)
    return found.fun / np.log(2) * len(scores), found.x / coldest


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param("stationary", marks=pytest.mark.float64_only),
        "switching",
        pytest.param("adversarial", marks=pytest.mark.float64_only),
    ],
)
def test_regret_is_below_its_bound_and_the_bound_below_the_root(kind, rng, dtype, tolerance):
    scores, relevant = stream(rng, kind)
    found = follow(online_temperatures(COLDEST.astype(dtype)), scores.astype(dtype), relevant)
    played = 1 / np.asarray(found.temperatures, float)
    costs = [truth(beta, *block) for beta, block in zip(played, zip(scores, relevant, strict=True), strict=True)]
    np.testing.assert_allclose(found.losses, [bits for bits, _ in costs], rtol=20 * tolerance, atol=20 * tolerance)
    gradients = np.array([gradient for _, gradient in costs]) / COLDEST
    root = np.sqrt(2 * 2 * np.cumsum(np.sum(gradients**2, axis=1))) / np.log(2)
    assert np.all(found.regret_bound <= root * (1 + 20 * tolerance))
    regret = float(np.sum(np.asarray(found.losses, float))) - hindsight(scores, relevant)[0]
    assert regret <= float(found.regret_bound[-1])
    np.testing.assert_allclose(found.state.regret_bound, found.regret_bound[-1])
    if kind == "stationary":  # the curvature adds up: slower than T^(1/4), where the root of T doubles
        assert found.regret_bound[-1] < 4**0.25 * found.regret_bound[BLOCKS // 4 - 1]


@pytest.mark.float64_only
def test_every_prefix_and_every_fixed_choice_of_random_streams(rng):
    """The theorem at every T and at random points of the box, whatever the blocks are."""
    for trial in range(6):
        scores = rng.normal(size=(BLOCKS, 2, QUERIES, DOCUMENTS)) * np.exp(rng.normal(size=(BLOCKS, 2, 1, 1)))
        relevant = rng.integers(0, DOCUMENTS, (BLOCKS, QUERIES))
        scores += (trial % 3) * np.eye(DOCUMENTS)[relevant][:, None] * rng.normal(size=(BLOCKS, 2, 1, 1))
        found = follow(online_temperatures(COLDEST, start=COLDEST * [1, 4]), scores, relevant)
        total = np.cumsum(found.losses)
        for beta in (hindsight(scores, relevant)[1], rng.random(2) / COLDEST):
            fixed = np.cumsum([truth(beta, s, r)[0] for s, r in zip(scores, relevant, strict=True)])
            assert np.all(total - fixed <= found.regret_bound + 1e-9)


@pytest.mark.float64_only
def test_the_counted_curvature_holds_between_any_two_points(rng):
    """f(u) >= f(b) + <g, u - b> + c |u - b|^2_H / 2 in the box, and with c = 1 it fails somewhere."""
    scores, relevant = (part[0] for part in stream(rng, "stationary"))
    scores = 3 * scores
    unit = online_temperatures(np.ones(2))
    fails = 0
    for _ in range(40):
        b, u = rng.random((2, 2))
        start = online.OnlineTemperatures(unit.limit, b, unit.curvature, unit.ridge)
        then, _ = update(start, scores, relevant)
        nats = [truth(x, scores, relevant)[0] * np.log(2) for x in (b, u)]
        linear = nats[0] + truth(b, scores, relevant)[1] @ (u - b)
        counted = 0.5 * (u - b) @ np.asarray(then.curvature) @ (u - b)
        assert nats[1] >= linear + counted - 1e-12
        law = np.exp(np.tensordot(b, scores, 1))
        law /= law.sum(1, keepdims=True)
        along = np.tensordot(u - b, scores, 1)
        variance = np.mean(np.sum(law * along**2, 1) - np.sum(law * along, 1) ** 2)
        fails += nats[1] < linear + 0.5 * variance
    assert fails > 0


@pytest.mark.float64_only
@pytest.mark.parametrize("span", [0.01, 1.0, 6.0])
def test_no_more_curvature_can_be_counted(span):
    """One document is all but sure, and the other falls behind all the way from b = 0 to u = 1: there c is exact."""
    rare = 1e-6
    prior = np.array([1 - rare, rare])
    then, _ = update(online_temperatures(np.ones(1)), np.array([[[span, 0.0]]]), np.zeros(1, int), prior=prior)
    beyond = np.log1p(rare * np.expm1(-span)) + rare * span  # f(1) - f(0) - f'(0)
    assert 0.999 < 0.5 * float(then.curvature[0, 0]) / beyond < 1 + 1e-6


@pytest.mark.float64_only
def test_a_long_stationary_stream_finds_the_best_and_beats_the_root(rng):
    scores, relevant = stream(rng, "stationary")
    best = calibrate_temperatures(np.moveaxis(scores, 0, 1).reshape(2, -1, DOCUMENTS), relevant.ravel())
    optimum = hindsight(scores, relevant)
    assert float(best.cross_entropy) * BLOCKS == pytest.approx(optimum[0], rel=1e-6)  # it lies inside the box
    found = follow(online_temperatures(COLDEST), *(np.concatenate([part] * 8) for part in (scores, relevant)))
    fixed = np.array([truth(optimum[1], *block)[0] for block in zip(scores, relevant, strict=True)])
    regret = np.cumsum(np.asarray(found.losses) - np.tile(fixed, 8))
    early, late = regret[4 * BLOCKS - 1], regret[-1] - regret[4 * BLOCKS - 1]
    assert 0 < late < early / 4  # the root of T: 0.41 of it
    assert found.regret_bound[-1] < 8**0.25 * found.regret_bound[BLOCKS - 1]
    pooled = np.moveaxis(scores, 0, 1).reshape(2, -1, DOCUMENTS)
    excess = truth(1 / np.asarray(found.state.temperatures), pooled, relevant.ravel())[0] - float(best.cross_entropy)
    assert 0 < excess < 0.01


def test_blocks_one_by_one_are_the_scan(rng, dtype, tolerance):
    scores, relevant = stream(rng, "switching")
    scores, state = scores.astype(dtype), online_temperatures(COLDEST.astype(dtype))
    whole = follow(state, scores[:3], relevant[:3])
    for t in range(3):
        np.testing.assert_allclose(state.temperatures, whole.temperatures[t], rtol=100 * tolerance)
        state, loss = update(state, scores[t], relevant[t])
        np.testing.assert_allclose(loss, whole.losses[t], rtol=100 * tolerance)
    assert state.ridge.dtype == dtype


@pytest.mark.float64_only
def test_what_blocks_cost_is_differentiable_in_their_scores(rng):
    """At the temperatures that were chosen, which are constants: of the cross-entropy by its formula."""
    scores, relevant = stream(rng, "switching")
    state = online_temperatures(COLDEST, 2 * COLDEST)
    total = lambda x: jnp.sum(follow_stream(state, x, relevant[:3]).losses)
    found = jax.grad(total)(scores[:3])
    chosen = follow(state, scores[:3], relevant[:3]).temperatures
    for t in range(3):
        logits = np.einsum("mqn,m->qn", scores[t], 1 / np.asarray(chosen[t]))
        error = scipy.special.softmax(logits, axis=1) - np.eye(DOCUMENTS)[relevant[t]]
        expected = error / np.log(2) / QUERIES / np.asarray(chosen[t])[:, None, None]
        np.testing.assert_allclose(found[t], expected, rtol=1e-9, atol=1e-12)


def test_a_regret_that_is_small_beside_the_bound_still_raises_it(rng, dtype):
    scores, relevant = stream(rng, "switching")
    state = online_temperatures(COLDEST.astype(dtype))
    late = dataclasses.replace(state, ridge=np.asarray(1e20, dtype))
    assert float(update(late, scores[0].astype(dtype), relevant[0])[0].ridge) > float(late.ridge)


def test_scores_without_news_change_nothing(dtype):
    state = online_temperatures(COLDEST.astype(dtype), start=np.array([1.0, np.inf], dtype))
    then, loss = update(state, np.zeros((2, QUERIES, DOCUMENTS), dtype), np.zeros(QUERIES, int))
    np.testing.assert_allclose(loss, np.log2(DOCUMENTS), rtol=1e-6)
    np.testing.assert_allclose(then.temperatures, [1.0, np.inf], rtol=1e-6)
    assert float(then.regret_bound) == 0


@pytest.mark.float64_only
@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: online_temperatures([0.1, 0.0]), "above 0"),
        (lambda: online_temperatures([0.1], start=[0.05]), "colder"),
        (lambda: online_temperatures(0.1), "shape"),
        (lambda: update_temperatures(online_temperatures([0.1]), np.zeros((2, 3, 4)), np.zeros(3, int)), "modalities"),
        (lambda: update_temperatures(online_temperatures([0.1]), np.full((1, 3, 4), np.inf), np.zeros(3, int)), "NaN"),
        (lambda: follow_stream(online_temperatures([0.1]), np.zeros((1, 3, 4)), np.zeros(3, int)), "need .T, mod"),
        (
            lambda: follow_stream(online_temperatures([0.1]), np.zeros((1, 1, 3, 4)), -np.ones((1, 3, 1), int)),
            "no relevant",
        ),
        (lambda: update_temperatures(online_temperatures([0.1]), np.zeros((1, 0, 4)), np.zeros(0, int)), "one query"),
        (lambda: follow_stream(online_temperatures([0.1]), np.zeros((2, 1, 0, 4)), np.zeros((2, 0), int)), "one query"),
        (lambda: forgetful_mean([], 2.0), "no values"),
        (lambda: forgetful_mean([1.0], 0.0), "half-life"),
    ],
)
def test_mistakes_get_one_sentence(call, words):
    with pytest.raises(InputError, match=words):
        call()


def test_the_forgetful_mean_is_its_formula(rng, dtype, tolerance):
    values = rng.random((20, 2))
    smooth = jax.jit(forgetful_mean)
    means, count = smooth(values.astype(dtype), 3.0)
    age = np.arange(20)[:, None] - np.arange(20)
    weight = np.where(age >= 0, 2.0 ** (-age / 3), 0)
    np.testing.assert_allclose(means, weight @ values / weight.sum(1)[:, None], rtol=20 * tolerance)
    np.testing.assert_allclose(count, weight.sum(1) ** 2 / (weight**2).sum(1), rtol=20 * tolerance)
    means, count = smooth(values.astype(dtype), np.inf)
    np.testing.assert_allclose(means[-1], values.mean(0), rtol=20 * tolerance)
    assert float(count[-1]) == pytest.approx(20, rel=1e-5)


def test_a_long_memory_is_as_long_as_it_says(dtype):
    half_life, steps = 202_240.0, 600_000  # 2^(-1 / h) lies between two numbers of float32
    count = jax.jit(forgetful_mean)(np.ones(steps, dtype), half_life)[1][-1]
    keep = 2.0 ** (-1 / half_life)
    exact = (1 - keep**steps) ** 2 / (1 - keep) ** 2 * (1 - keep**2) / (1 - keep ** (2 * steps))
    assert float(count) == pytest.approx(exact, rel=2e-3)


@pytest.mark.float64_only
def test_scores_on_an_accelerator_are_looked_at_where_they_are(monkeypatch, rng):
    """With jax.numpy in NumPy's place, as there: the same is refused, and no scores come down, in traces too."""
    down = []

    class Host:
        def __getattr__(self, name):
            return getattr(np, name)

        def asarray(self, values, *args):
            down.append(np.size(values))
            return np.asarray(values, *args)

    before, (scores, relevant) = online_temperatures(COLDEST), stream(rng, "stationary")
    block, wanted = jnp.asarray(scores[0]), jnp.asarray(relevant[0])
    for module in (temperature, online):
        monkeypatch.setattr(module, "np", Host())
    monkeypatch.setattr(temperature, "arrays_of", lambda values: jnp)
    calls = (
        lambda scores: update_temperatures(before, scores, wanted)[1],
        lambda scores: follow_stream(before, scores[None], wanted[None]).losses,
        lambda scores: calibrate_temperatures(scores, wanted).cross_entropy,
        lambda scores: temperature_intervals(scores, wanted, COLDEST),
    )
    for call in calls:
        within = jax.jit(lambda share, call=call: share * call(block))
        np.testing.assert_allclose(within(1.0), call(block), rtol=1e-9)
        for bad in (jnp.nan, jnp.inf, -jnp.inf):
            with pytest.raises(InputError, match="hold a NaN"):
                call(block.at[0, 1, 2].set(bad))
    for call in calls[:2]:
        for far in (1e170, -1e170):
            with pytest.raises(InputError, match="times the coldest temperature"):
                call(block.at[1, 1, 2].set(far))
    assert 0 < max(down) < block.size / 2  # of two modalities
