"""Searched temperatures, the doubting posterior and the closed forms, on laws whose optimum is known."""

import itertools

import jax
import numpy as np
import optax
import pytest

from rdjax.checks import InputError
from rdjax.retrieval import (
    SigmoidRanks,
    calibrate_temperatures,
    dominant_scores,
    doubting_posterior,
    fit_reliability,
    gaussian_temperatures,
    log_posterior,
    mean_reciprocal_rank,
    parse_metric,
    quantized_temperatures,
    query_temperatures,
    reliability,
    search_temperatures,
    section_six_rule,
    temperature_search,
)

NOISE = (0.4, 1.2)


def intents(seed, queries, documents=60, wrong=0.0, dtype=np.float64):
    """Two noisy views of unit vectors; of a share of the queries the first view is of another document."""
    rng = np.random.default_rng(seed)
    y = rng.standard_normal((documents, 8))
    y /= np.linalg.norm(y, axis=1, keepdims=True)
    relevant = rng.integers(0, documents, queries)
    shown = np.where(rng.random(queries) < wrong, rng.integers(0, documents, queries), relevant)
    views = [y[at] + s * rng.standard_normal((queries, 8)) for s, at in zip(NOISE, (shown, relevant), strict=True)]
    return np.stack([x @ y.T for x in views]).astype(dtype), relevant


def fused_mrr(scores, relevant, tau):
    return float(mean_reciprocal_rank(np.tensordot(1 / np.asarray(tau, scores.dtype), scores, 1), relevant))


# search


@pytest.mark.float64_only
@pytest.mark.parametrize("objective", ["mrr", "ndcg@10", "recall@5"])
def test_reaches_the_best_of_a_fine_grid(objective, dtype):
    scores, relevant = intents(0, 600, dtype=dtype)
    found = search_temperatures(scores, relevant, objective=objective)

    def quality(fused):
        rank = 1 + (fused > fused[np.arange(600), relevant][:, None]).sum(axis=1)
        return {"mrr": 1 / rank, "ndcg@10": (rank <= 10) / np.log2(1 + rank), "recall@5": rank <= 5}[objective].mean()

    grid = [quality(scores[0] + scores[1] / ratio) for ratio in np.exp(np.linspace(-4, 4, 81))]
    assert float(found.value) >= max(grid) - 0.002
    here = np.tensordot(1 / np.asarray(found.temperatures), scores, 1)
    assert quality(here) == pytest.approx(float(found.value), abs=2e-3)
    assert found.ends.shape == (4, 2)
    assert float(found.value) == np.max(found.values)


@pytest.mark.float64_only
def test_cross_entropy_ends_where_calibration_does(dtype):
    scores, relevant = intents(1, 500, 30, dtype=dtype)  # as where doubt is fitted
    exact = calibrate_temperatures(scores, relevant)
    found = search_temperatures(scores, relevant, objective="cross-entropy", starts=2, steps=150)
    assert float(found.value) == pytest.approx(float(exact.cross_entropy), abs=2e-4)
    np.testing.assert_allclose(found.temperatures, exact.temperatures, rtol=0.03)


@pytest.mark.float64_only
def test_the_same_seed_gives_the_same_and_any_optimizer_will_do():
    scores, relevant = intents(2, 100)
    one, other = (search_temperatures(scores, relevant, starts=2, steps=5, seed=3) for _ in range(2))
    np.testing.assert_array_equal(one.ends, other.ends)
    plain = search_temperatures(scores, relevant, optimizer=optax.sgd(0.5), starts=1, steps=30)
    first = fused_mrr(scores, relevant, np.std(scores, axis=-1).mean(axis=-1))
    assert float(plain.value) >= first  # the start is the first point passed


@pytest.mark.float64_only
def test_a_second_search_or_fit_of_the_same_shape_compiles_nothing():
    search_temperatures(*intents(2, 100), starts=2, steps=5)
    fit_reliability(*intents(2, 500, 30))
    before = temperature_search._search._cache_size(), reliability._fit._cache_size()
    search_temperatures(*intents(3, 100), starts=2, steps=5, seed=1)
    fit_reliability(*intents(3, 500, 30), steps=7)
    assert (temperature_search._search._cache_size(), reliability._fit._cache_size()) == before


@pytest.mark.float64_only
def test_the_fit_of_doubt_has_no_gradient():
    scores, relevant = intents(2, 20, 5)
    with pytest.raises(TypeError, match="take that of `doubting_posterior`"):
        jax.grad(lambda s: fit_reliability(s, relevant, steps=2).cross_entropy)(scores)


@pytest.mark.float64_only
def test_what_cannot_be_does_not_end_a_search():
    scores, relevant = intents(3, 30, documents=8)

    def slope(scores):
        soft, _ = temperature_search._objective(parse_metric("mrr"), scores, relevant, temperature_search.FAR)
        return jax.jit(jax.grad(soft))(np.zeros(2))

    found = slope(np.insert(scores, 8, -np.inf, axis=-1))
    np.testing.assert_allclose(found, slope(scores), rtol=1e-9)
    assert np.all(np.abs(found) > 1e-6)


@pytest.mark.float64_only
def test_a_start_that_diverges_does_not_win():
    scores, relevant = intents(3, 30, documents=8)
    far = optax.sgd(1e6)  # exp(-ln tau) is infinite after a step
    found = search_temperatures(scores, relevant, objective="cross-entropy", optimizer=far, starts=3, steps=4)
    assert np.all(np.isfinite(found.values))
    assert float(found.value) == float(np.min(found.values))


def test_bad_searches_are_refused():
    scores, relevant = intents(3, 10)
    with pytest.raises(InputError, match="a NaN"):
        search_temperatures(np.stack([scores[0], np.full_like(scores[0], np.nan)]), relevant)
    with pytest.raises(InputError, match="starts"):
        search_temperatures(scores, relevant, starts=0)
    with pytest.raises(InputError, match="the metric is None; give its name"):
        search_temperatures(np.ones((1, 2, 3)), np.zeros(2, int), objective=None)
    with pytest.raises(InputError, match="not known"):
        search_temperatures(scores, relevant, objective="mmr")
    with pytest.raises(InputError, match=r"\[modalities, queries, documents\]"):
        search_temperatures(scores[0], relevant)


# doubt


def brute_posterior(scores, tau, eps):
    likelihood = np.exp(np.asarray(scores, np.float64) / np.asarray(tau)[:, None, None])
    likelihood /= likelihood.mean(axis=-1, keepdims=True)
    eps = np.asarray(eps)[:, None, None]
    law = np.prod(eps + (1 - eps) * likelihood, axis=0)
    return law / law.sum(axis=-1, keepdims=True)


def test_doubt_is_a_mixture_over_what_is_wrong(dtype, tolerance):
    scores, _ = intents(4, 5, dtype=dtype)
    tau, eps = (0.3, 0.8), (0.4, 0.1)
    found = jax.jit(lambda s: doubting_posterior(s, tau, eps))(scores)
    np.testing.assert_allclose(np.exp(found), brute_posterior(scores, tau, eps), rtol=500 * tolerance)


def test_without_doubt_it_is_the_posterior_and_with_nothing_but_doubt_the_prior(dtype, tolerance):
    scores, _ = intents(4, 5, dtype=dtype)
    tau, doubting = (0.3, 0.8), lambda e: doubting_posterior(scores, (0.3, 0.8), e)
    here = np.array([0, 0.5], dtype)
    both = jax.jit(lambda e: (doubting(e), log_posterior(scores, tau), jax.grad(lambda e: doubting(e)[0, 0])(here)))
    found, plain, gradient = both(np.zeros(2, dtype))
    np.testing.assert_allclose(found, plain, atol=500 * tolerance)
    np.testing.assert_allclose(both(np.ones(2, dtype))[0], -np.log(60), rtol=500 * tolerance)
    assert not np.isnan(gradient).any()
    temperatures = jax.jit(lambda e: query_temperatures(scores, tau, e))(np.zeros(2, dtype))
    np.testing.assert_allclose(temperatures[1], 0.8, rtol=500 * tolerance)


@pytest.mark.float64_only
def test_doubt_is_found_and_saves_the_queries_that_need_it(dtype):
    scores, relevant = intents(5, 500, 30, wrong=0.4, dtype=dtype)
    found = fit_reliability(scores, relevant)
    assert float(found.doubt[0]) == pytest.approx(0.4, abs=0.06)
    truth = (gaussian_temperatures(np.ones(2), np.square(NOISE)), np.array([0.4, 0.0]))
    posterior = jax.jit(doubting_posterior)
    logs = np.asarray(posterior(scores, *truth), np.float64)
    at_truth = -np.log2(np.e) * logs[np.arange(500), relevant].mean()
    assert float(found.cross_entropy) < at_truth + 1e-4  # the optimum on these queries is below the truth
    longer = fit_reliability(scores, relevant, steps=200)
    assert float(found.cross_entropy) == pytest.approx(float(longer.cross_entropy), abs=1e-4)
    np.testing.assert_allclose(found.temperatures, gaussian_temperatures(np.ones(2), np.square(NOISE)), rtol=0.2)
    test, truth = intents(6, 500, 30, wrong=0.4, dtype=dtype)
    plain = calibrate_temperatures(scores, relevant).temperatures
    better = float(mean_reciprocal_rank(posterior(test, found.temperatures, found.doubt), truth))
    assert better > fused_mrr(test, truth, plain) + 0.02


def brute_right(scores, tau, eps):
    """P(modality m is right | x), summed over all sets of right modalities and all documents."""
    likelihood = np.exp(np.asarray(scores, np.float64) / np.asarray(tau)[:, None, None])
    likelihood /= likelihood.mean(axis=-1, keepdims=True)
    total, right = 0.0, np.zeros(scores.shape[:2])
    for members in itertools.product([0, 1], repeat=len(tau)):
        odds = np.prod([1 - e if m else e for m, e in zip(members, eps, strict=True)])
        chance = odds * np.prod([x for m, x in zip(members, likelihood, strict=True) if m] or [1.0], axis=0)
        chance = np.broadcast_to(chance, scores.shape[1:]).mean(axis=-1)
        total = total + chance
        right += np.array(members)[:, None] * chance
    return right / total


def test_the_temperature_of_a_query_is_by_the_chance_that_a_modality_is_right(dtype, tolerance):
    scores = np.zeros((2, 2, 20), dtype)
    scores[:, 0, 3] = scores[1, 1, 3] = scores[0, 1, 7] = 1.0  # in the second query they name two documents
    tau, eps = np.array([0.1, 0.05]), np.array([0.2, 0.01])
    of = jax.jit(query_temperatures)
    found = np.asarray(of(scores, tau, eps))
    np.testing.assert_allclose(found, tau[:, None] / brute_right(scores, tau, eps), rtol=5000 * tolerance)
    assert found[0, 1] > 10 * found[0, 0]
    random, eps = intents(4, 2, documents=20, dtype=dtype)[0], np.array([0.4, 0.3])
    expected = tau[:, None] * 10 / brute_right(random, 10 * tau, eps)
    np.testing.assert_allclose(of(random, 10 * tau, eps), expected, rtol=5000 * tolerance)


# closed forms


def test_section_six_contradicts_rule_ten(dtype, tolerance):
    found = jax.jit(lambda h: section_six_rule(h, gamma=1.0))(np.array([2.0, 4.0, 6.0], dtype))
    np.testing.assert_allclose(found, np.sqrt([2.001, 0.001, 2.001]), rtol=20 * tolerance)
    with pytest.raises(InputError, match="epsilon"):
        section_six_rule([1.0, 2.0], epsilon=0.0)


@pytest.mark.float64_only
def test_quantization_adds_its_noise():
    """Theory notes, section 4: R = (48, 12) bits: fitted (.0443, .1199), formula (.0454, .1217)."""
    compiled = jax.jit(quantized_temperatures)
    of = lambda *rows: compiled(*np.array(rows, np.float64))
    plain = gaussian_temperatures([1.0, 2.0], [0.3, 0.5])
    np.testing.assert_allclose(of([1.0, 2.0], [0.3, 0.5], [1.0, 1.0], [1e4, 1e4], [8, 8]), plain)
    np.testing.assert_allclose(of([1, 1], [0.25, 0.25], [1, 1], [8, 0], [8, 8]), [0.25 + 1.25 / 3, np.inf])
    notes = of([1.0, 1.0], [0.04, 0.04], [1 / 24, 1 / 24], [48.0, 12.0], [24, 24])
    np.testing.assert_allclose(notes, [0.0454, 0.1217], atol=5e-5)


def test_the_decoder_as_printed_divides_each_document_by_its_modality(dtype):
    scores = np.arange(12, dtype=dtype).reshape(2, 2, 3)
    found = jax.jit(lambda s: dominant_scores(s, [1.0, 2.0], [0, 1, 0]))(scores)
    np.testing.assert_allclose(found, scores.sum(axis=0) / np.array([1, 2, 1]))
    split = scores.sum(axis=0) * (np.arange(2)[:, None, None] == [0, 1, 0])  # as the docstring has it, for calibration
    np.testing.assert_allclose(found, np.tensordot([1.0, 0.5], split, 1))
    with pytest.raises(InputError, match="dominant modality"):
        dominant_scores(scores, [1.0, 2.0], [0, 1, 2])
    with pytest.raises(InputError, match="must be"):
        dominant_scores(scores, [1.0], [0, 1, 0])


@pytest.mark.float64_only
@pytest.mark.parametrize("objective", ["mrr", "cross-entropy"])
def test_soft_ranks_may_be_a_function(objective):
    scores, relevant = intents(3, 20, 12)
    given = {"objective": objective, "starts": 1, "steps": 3}
    own = search_temperatures(scores, relevant, rank_fn=SigmoidRanks(0.5), **given)
    by_function = search_temperatures(scores, relevant, rank_fn=lambda *at: SigmoidRanks(0.5)(*at), **given)
    np.testing.assert_allclose(by_function.temperatures, own.temperatures, rtol=1e-12)
