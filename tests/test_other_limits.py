"""Theorems C and D, several relevant documents, and Gaussian closed forms, against enumeration and optimizers."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import minimize

from rdjax.checks import InputError
from rdjax.limits import (
    Bound,
    blind_bound,
    blind_distortion,
    blind_rate,
    fano_bounds,
    first_relevant_bound,
    first_relevant_law,
    first_relevant_rate,
    one_shot_bound,
    one_shot_codewords,
    one_shot_distortion,
    ranking_rate,
    relevance_sum,
    relevance_sum_rate,
    shannon_rate,
)
from rdjax.limits.bound import AVERAGED
from rdjax.rate_distortion import gaussian_bottleneck, gaussian_bottleneck_rate, reverse_water_filling
from rdjax.retrieval import metric_breadth, metric_credits, parse_metric
from rdjax.retrieval.weights import dcg, rank_biased, recall_at, reciprocal_rank
from tests import oracles

MIXTURE = np.full(32, np.sqrt(4 / 9))  # the paper's mixture, both modalities fused: rho^2 = 1 / (1 + 1.25)


@pytest.mark.parametrize("weights", [reciprocal_rank, dcg, recall_at(2)], ids=lambda w: w.name)
def test_theorem_c_against_every_code(weights, rng):
    prior = rng.dirichlet(np.ones(4))
    worth = np.asarray(weights(np.arange(1.0, 5)))
    rankings = [worth[list(order)] for order in itertools.permutations(range(4))]  # worth of each document
    score = lambda size: max(prior @ np.max(code, axis=0) for code in itertools.combinations(rankings, size))
    least = [1 - score(size) for size in (1, 2, 3, 4)]
    np.testing.assert_allclose(one_shot_distortion(np.arange(1, 5), prior, weights), least, rtol=0, atol=1e-6)


@pytest.mark.float64_only  # on the host, whatever the precision
@pytest.mark.parametrize(
    ("score", "codewords"), [(0.1, 23), (0.46, 203), (0.59, 314), (0.68, 416), (0.79, 580), (0.85, 700), (1.0, 1000)]
)
def test_codewords_of_the_theory_for_a_thousand_documents(score, codewords):
    assert one_shot_codewords(1 - score, 1000) == codewords
    assert one_shot_codewords(1 - score, np.full(1000, 1e-3)) == codewords


@pytest.mark.parametrize("n", [10, 1000])
@pytest.mark.parametrize("weights", [reciprocal_rank, dcg, rank_biased(0.8)], ids=lambda w: w.name)
def test_one_shot_uniform_number_and_array_agree(n, weights, tolerance):
    sizes = np.array([1, 2, 3, 7, n // 2, n - 1, n, 2 * n])
    by_number = one_shot_distortion(sizes, n, weights)
    np.testing.assert_allclose(by_number, one_shot_distortion(sizes, np.full(n, 1 / n), weights), atol=20 * tolerance)
    plain = [1 - np.mean(weights(np.ceil(np.arange(1, n + 1) / size))) for size in sizes]
    np.testing.assert_allclose(by_number, plain, atol=20 * tolerance)


@pytest.mark.parametrize("prior", [5, np.array([0.4, 0.3, 0.15, 0.1, 0.05])], ids=["uniform", "listed"])
def test_more_codewords_than_32_bits_count_are_one_for_each_document(prior):
    for weights in (reciprocal_rank, np.array([0.9, 0.5, 0.4, 0.3, 0.2])):
        found = one_shot_distortion(2 ** np.array([3, 31, 32]), prior, weights)
        np.testing.assert_allclose(found, 1 - (weights(1) if callable(weights) else weights[0]), atol=1e-6)
        assert one_shot_distortion(2**70, prior, weights) == found[0]


def test_weights_of_a_uniform_prior_have_a_derivative(tolerance):
    count = np.array([4, 4, 2] + [0] * 7)  # documents at each rank of four codewords' lists
    slope = jax.grad(lambda weights: one_shot_distortion(4, 10, weights))(1 / jnp.arange(1.0, 11.0))
    np.testing.assert_allclose(slope, -count / 10, atol=tolerance)


@pytest.mark.float64_only
def test_one_shot_for_the_internet():
    """A million million documents, 2^20 codewords: N / L documents at each rank, their mean worth H_{N/L} L / N."""
    full = 10**12 // 2**20
    harmonic = np.log(full) + np.euler_gamma + 1 / (2 * full)
    assert float(one_shot_distortion(2**20, 10**12)) == pytest.approx(1 - harmonic * 2**20 / 1e12, abs=1e-11)


@pytest.mark.float64_only
def test_one_shot_is_above_the_rate_distortion_curve(rng):
    for prior in (rng.dirichlet(np.ones(12)), np.full(12, 1 / 12)):
        sizes = np.array([1, 2, 5, 12])
        distortion = one_shot_distortion(sizes, prior)
        assert (np.asarray(ranking_rate(distortion, prior)) <= np.log2(sizes) + 1e-5).all()


@pytest.mark.float64_only
def test_blind_ceilings_of_the_theory():
    bits = np.array([4.0, 8, 16, 32, 64])
    np.testing.assert_allclose(gaussian_bottleneck(MIXTURE, bits), [1.69, 3.22, 5.80, 9.36, 12.44], atol=6e-3)
    np.testing.assert_allclose(
        1 - np.asarray(blind_distortion(bits, 1000, MIXTURE)), [0.259, 0.428, 0.678, 0.963, 1], atol=6e-4
    )


def test_blind_rate_inverts_blind_distortion_for_every_kind_of_bottleneck(precision):
    slack = 1e-7 if precision == "float64" else 2e-3
    by_function = lambda bits: gaussian_bottleneck(MIXTURE, bits)
    bits = np.array([2.0, 9.0])
    for bottleneck in (MIXTURE, by_function, np.linspace(0.2, 0.95, 32)):
        distortion = blind_distortion(bits, 500, bottleneck)
        np.testing.assert_allclose(blind_rate(distortion, 500, bottleneck), bits, rtol=slack)
    some = np.array([0.0, 0.3])
    np.testing.assert_allclose(blind_rate(some, 500), ranking_rate(some, 500))
    one = np.append(0.9, np.zeros(31))
    assert np.isinf(np.asarray(blind_rate(some, 500, one))[0])  # one correlation does not carry nine bits
    rates = lambda d: jnp.stack([blind_rate(d, 500, b) for b in (MIXTURE, by_function)])
    exact, by_inversion = np.asarray(jax.jit(jax.jacrev(rates))(0.5))
    assert exact == pytest.approx(by_inversion, rel=slack)


@pytest.mark.float64_only
def test_theorem_d_for_documents_that_are_sought_unevenly(rng):
    """Every corpus of three documents out of three kinds, and the best rankings from a noisy query's code."""
    worth = 1 / np.arange(1.0, 4)
    for _ in range(12):
        kinds, sought = rng.dirichlet(np.ones(3)), rng.dirichlet(np.full(3, 0.5))
        code = rng.dirichlet(np.full(3, 0.3), 3) @ rng.dirichlet(np.full(2, 0.3), 3)  # P(c | y), by way of a query
        corpora = np.array(list(itertools.product(range(3), repeat=3)))
        joint = sought[None, :, None] * code[corpora]  # of W and C in each corpus
        score = np.prod(kinds[corpora], axis=1) @ (-np.sort(-joint, axis=1).sum(axis=2) @ worth)
        carried = kinds @ np.sum(code * np.log2(code / (kinds @ code)), axis=1)  # I(Y_W; C)
        assert float(blind_rate(1 - score, sought)) <= carried + 1e-9
    skewed = np.array([0.97, 0.01, 0.01, 0.01])
    knows_them = 1 - skewed @ (1 / np.arange(1.0, 5))  # a decoder that does, without a bit: an MRR of .9808
    assert float(blind_bound(knows_them, skewed).lower) == pytest.approx(0, abs=1e-9)
    assert float(blind_rate(knows_them, 4)) > 1.7  # the floor of documents that are sought alike
    bits = blind_rate(0.01, skewed, MIXTURE)
    assert float(blind_distortion(bits, skewed, MIXTURE)) == pytest.approx(0.01)
    assert float(bits) > float(ranking_rate(0.01, skewed)) > 0


def test_gaussian_bottleneck_against_an_optimizer():
    rho, some = np.array([0.95, 0.8, 0.5, 0.1, 0.0]), np.array([0.3, 2.0, 7.0])
    best = []
    for bits in some:
        carried = lambda r: -np.sum(-0.5 * np.log2(1 - rho**2 * (1 - 4.0**-r)))
        sums = {"type": "eq", "fun": lambda r, bits=bits: r.sum() - bits}
        found = minimize(
            carried, np.full(5, bits / 5), bounds=[(0, None)] * 5, constraints=[sums], method="SLSQP", tol=1e-12
        )
        best.append(-found.fun)
    np.testing.assert_allclose(gaussian_bottleneck(rho, some), best, rtol=0, atol=2e-5)
    total = -0.5 * np.log2(1 - rho**2).sum()
    none, many, _ = np.asarray(gaussian_bottleneck(rho, np.array([0.0, 200.0, 1.0])))
    assert none == 0
    assert many == pytest.approx(total, rel=1e-5)
    few = np.array([0.3, 2.0, 3.0])
    np.testing.assert_allclose(gaussian_bottleneck(np.array([1.0, 0.5, 0, 0, 0]), few), few, rtol=1e-5)  # IB(b) = b
    np.testing.assert_array_equal(gaussian_bottleneck_rate(rho, np.array([0.0, total + 0.1])), [0, np.inf])


def test_reverse_water_filling():
    shared = reverse_water_filling(np.array([16.0, 1.0]), 4.0)
    np.testing.assert_allclose(shared.rates, [3, 1], rtol=1e-6)
    assert np.asarray(shared.distortions).sum() == pytest.approx(0.5, rel=1e-6)
    uneven = reverse_water_filling(np.array([9.0, 4.0, 1e-3, 0.0]), np.array(1.5))
    level = 2.0 ** ((np.log2(9) + np.log2(4) - 2 * 1.5) / 2)  # two active components share the level
    np.testing.assert_allclose(uneven.rates, [0.5 * np.log2(9 / level), 0.5 * np.log2(4 / level), 0, 0], atol=1e-6)
    np.testing.assert_allclose(uneven.distortions, [level, level, 1e-3, 0], rtol=1e-5)
    many = reverse_water_filling(np.tile([9.0, 4.0, 1.0], (2, 1)), np.array([0.0, 40.0]))
    np.testing.assert_allclose(np.asarray(many.rates).sum(axis=-1), [0, 40], rtol=1e-6)


@pytest.mark.float64_only
@pytest.mark.parametrize("empty", [False, True])
def test_several_relevant_documents_never_above_the_exact_curve(empty, rng):
    """Random laws of relevant sets over four documents; the exact curve by Blahut-Arimoto over all rankings.

    With lists, of queries of which some are alike and some may want nothing, and some documents much more often.
    """
    orders, worth = np.array(list(itertools.permutations(range(4)))), np.append(1 / np.arange(1.0, 5), 0)
    slack, gains = [], []
    for _ in range(24):
        sets = rng.random((5, 4)) < rng.dirichlet(np.ones(4)) * 1.8
        if not empty:
            sets[np.arange(5), rng.integers(0, 4, 5)] = True
        counts = 1 + rng.multinomial(15, rng.dirichlet(np.ones(5)))
        law = counts / counts.sum()
        first = np.where(sets[:, None, :], orders[None], 4).min(axis=-1)
        rate, distortion, gap = oracles.blahut_point(law, 1 - worth[first], float(rng.uniform(1, 8)), tolerance=1e-7)
        lists = np.repeat(np.where(sets, np.arange(4), -1), counts, axis=0)
        shares = np.minimum(law @ sets, 1)
        plain = float(first_relevant_rate(distortion, shares))
        floor = float(first_relevant_rate(distortion, shares, relevant=lists))
        assert plain - 1e-9 <= floor <= rate + gap + 1e-7
        slack.append(rate - floor)
        gains.append(floor - plain)
    assert min(slack) < 0.2  # and it is a floor worth having
    assert max(gains) > 0.1


SUMS = ["recall@1", "recall@2", "precision@2", "ndcg", "ndcg@2", "dcg", "rbp@0.6", "map"]


def _precision(order, relevant):
    """Average precision, by its definition: `order` holds the place of every document, from 0."""
    places = np.sort(order[relevant]) + 1
    return np.mean(np.arange(1, len(places) + 1) / places) if len(places) else 0.0


@pytest.mark.float64_only
@pytest.mark.parametrize("name", SUMS)
def test_metrics_that_add_up_never_above_the_exact_curve(name, rng):
    """Graded, of random sets, some empty; the metric of every ranking by its definition, the curve as above."""
    metric, orders = parse_metric(name), np.array(list(itertools.permutations(range(4))))
    cut = int(name.partition("@")[2]) if "@" in name and name[:3] != "rbp" else 4
    discount = np.where(np.arange(4) < cut, 1 / np.log2(np.arange(2.0, 6.0)), 0)
    slack = []
    for _ in range(10):
        sets = rng.random((5, 4)) < rng.dirichlet(np.ones(4)) * 1.8
        gains = sets * rng.integers(1, 4, (5, 4)).astype(float)
        counts = 1 + rng.multinomial(15, rng.dirichlet(np.ones(5)))
        worth = {
            "recall": (orders < cut) @ (sets / np.maximum(sets.sum(axis=1, keepdims=True), 1)).T,
            "precision": (orders < cut) @ (1.0 * sets).T / cut,
            "dcg": discount[orders] @ gains.T,
            "ndcg": discount[orders] @ gains.T / np.maximum(-np.sort(-gains, axis=1) @ discount, 1e-9),
            "rbp": 0.4 * 0.6**orders @ sets.T,
            "map": np.array([[_precision(order, one) for one in sets] for order in orders]),
        }[name.partition("@")[0]].T
        rate, reached, gap = oracles.blahut_point(
            counts / counts.sum(), 1 - worth, float(rng.uniform(1, 8)), tolerance=1e-7
        )
        lists = np.repeat(np.where(sets, np.arange(4), -1), counts, axis=0)
        credits = metric_credits(metric, np.repeat(gains, counts, axis=0))
        breadth = metric_breadth(metric, np.repeat(gains, counts, axis=0))
        if breadth is None:
            np.testing.assert_allclose(credits[0] @ metric.weights(1.0 + orders.T), worth[0], rtol=1e-6, atol=1e-12)
        floor = float(relevance_sum_rate(reached, lists, credits, 4, metric.weights, breadth=breadth))
        assert floor <= rate + gap + 1e-7
        slack.append(rate - floor)
    assert min(slack) < 0.35


@pytest.mark.float64_only
def test_sums_of_one_relevant_document_are_its_floor(rng):
    lists, distortion = rng.integers(0, 20, (300, 1)), np.linspace(0.02, 0.6, 5)
    shares = np.bincount(lists[:, 0], minlength=20) / 300
    found = relevance_sum_rate(distortion, lists, np.ones(lists.shape), 20, reciprocal_rank)
    np.testing.assert_allclose(found, first_relevant_rate(distortion, shares, relevant=lists), atol=1e-9)


@pytest.mark.float64_only
def test_the_best_of_few_groups_and_many_is_taken(rng, monkeypatch):
    lists = np.sort([rng.permutation(200)[:6] for _ in range(400)])
    credits = rng.uniform(0.2, 1, lists.shape)
    floors = {}
    for groups in (1, 4, 16, 400):
        monkeypatch.setattr(relevance_sum, "GROUPS", (groups,))
        floors[groups] = float(relevance_sum_rate(-0.5, lists, credits, 200, reciprocal_rank))
    monkeypatch.undo()
    best = float(relevance_sum_rate(-0.5, lists, credits, 200, reciprocal_rank))
    assert best == pytest.approx(max(floors[groups] for groups in relevance_sum.GROUPS))
    assert best > floors[400]  # where every query is a group, nothing is left to tell


@pytest.mark.float64_only
def test_credits_are_none_of_metrics_that_do_not_add_up():
    gains = np.array([[1.0, 2, 0]])
    assert metric_credits(parse_metric("mrr"), gains) is None
    np.testing.assert_allclose(metric_credits(parse_metric("map"), gains), [[0.5, 0.5, 0]])
    assert metric_breadth(parse_metric("map"), gains) == 2
    assert metric_breadth(parse_metric("ndcg"), gains) is None
    np.testing.assert_allclose(metric_credits(parse_metric("recall@5"), gains), [[0.5, 0.5, 0]])
    np.testing.assert_allclose(metric_credits(parse_metric("dcg"), gains), gains)
    with pytest.raises(InputError, match="the gains"):
        metric_credits(parse_metric("dcg"), -gains)


@pytest.mark.float64_only
@pytest.mark.parametrize(
    ("lists", "credits", "words"),
    [
        (np.array([0, 1]), np.ones(2), "both must be"),
        (np.array([[0, 1]]), np.ones((1, 1)), "both must be"),
        (np.array([[0, 9]]), np.ones((1, 2)), "has 9, but there are 5"),
        (np.array([[0, -1]]), np.ones((1, 2)), "at padding"),
        (np.array([[0, 1]]), -np.ones((1, 2)), "the credits"),
        (np.array([[0.5]]), np.ones((1, 1)), "relevant"),
    ],
)
def test_lists_and_credits_that_are_none_are_refused(lists, credits, words):
    with pytest.raises(InputError, match=words):
        relevance_sum_rate(0.1, lists, credits, 5, reciprocal_rank)


@pytest.mark.float64_only
def test_breadths_that_are_none_are_refused_and_nothing_relevant_needs_no_bits():
    lists, credits = np.array([[0, 1]]), np.ones((1, 2))
    with pytest.raises(InputError, match=r"the breadth has an entry 0\.5"):
        relevance_sum_rate(0.1, lists, credits, 5, reciprocal_rank, breadth=[0.5])
    with pytest.raises(InputError, match="for 1 queries"):
        relevance_sum_rate(0.1, lists, credits, 5, reciprocal_rank, breadth=[1, 2])
    with pytest.raises(InputError, match="give a function"):
        relevance_sum_rate(0.1, lists, credits, 2, np.array([1, 0.5]), breadth=[2])
    assert float(relevance_sum_rate(1.0, np.full((2, 1), -1), np.zeros((2, 1)), 5, reciprocal_rank)) == 0


@pytest.mark.float64_only
def test_with_one_relevant_document_lists_give_shannons_bound(rng):
    counts = 1 + rng.multinomial(200, rng.dirichlet(np.full(30, 0.3)))
    prior, distortion = counts / counts.sum(), np.linspace(0.01, 0.5, 7)
    floor = first_relevant_rate(distortion, prior, relevant=np.repeat(np.arange(30), counts)[:, None])
    assert np.all(np.asarray(floor) >= np.asarray(shannon_rate(distortion, prior)) - 1e-9)
    assert np.all(np.asarray(floor) <= np.asarray(ranking_rate(distortion, prior)) + 1e-9)
    assert np.max(np.asarray(floor) - np.asarray(first_relevant_rate(distortion, prior))) > 0.3


@pytest.mark.float64_only
def test_gradients_of_the_floor_with_lists(rng):
    lists = rng.integers(-1, 6, (40, 3))
    lists[:, 0] = rng.integers(0, 6, 40)
    shares = np.array([(lists == y).any(axis=1).mean() for y in range(6)])
    value = jax.jit(lambda d, f: first_relevant_rate(d, f, relevant=lists))
    slopes, step = jax.grad(value, argnums=(0, 1))(0.1, shares), 1e-6
    for argument, found in zip((0.1, shares), slopes, strict=True):
        for moved in np.eye(np.size(argument)) * step:
            ends = [np.reshape(argument + sign * moved, np.shape(argument)) for sign in (1, -1)]
            pair = [value(end, shares) if np.ndim(end) == 0 else value(0.1, end) for end in ends]
            assert float(np.sum(found * (moved / step).reshape(np.shape(argument)))) == pytest.approx(
                (float(pair[0]) - float(pair[1])) / (2 * step), abs=1e-5
            )


def test_first_relevant_law_is_a_law_for_one_relevant_document(rng):
    prior = rng.dirichlet(np.ones(9))
    np.testing.assert_allclose(first_relevant_law(prior), np.sort(prior)[::-1], atol=1e-6)
    crowded = first_relevant_law(np.append([0.7, 0.6, 0.1], np.zeros(6)))
    np.testing.assert_allclose(crowded, np.append([0.7, 0.3], np.zeros(7)), atol=1e-6)
    uniform = first_relevant_rate(0.4, np.full(9, 1 / 9))
    assert float(uniform) == pytest.approx(float(ranking_rate(0.4, 9)), rel=1e-4)


def test_the_law_of_the_first_relevant_rank_falls_and_keeps_small_frequencies():
    alike = np.asarray(first_relevant_law(np.full(1000, 1e-3, np.float32)))
    np.testing.assert_array_equal(alike[:-1], np.float32(1e-3))  # the last is what the others leave
    assert alike[-1] <= alike[0]
    rare = np.append(np.float32(0.5), np.full(2000, 1e-8, np.float32))
    np.testing.assert_array_equal(first_relevant_law(rare), rare)


@pytest.mark.float64_only
def test_bounds_say_what_they_rest_on():
    assert blind_bound(0.3, 100).evidence == "theorem"
    assert blind_bound(0.3, 100, MIXTURE).evidence == "model"
    rests = blind_bound(0.3, 100, MIXTURE).assumes
    assert {"Gaussian fit", "the query depends on its relevant document alone", AVERAGED} < set(rests)
    assert "sought as often whatever they hold" in blind_bound(0.3, np.full(4, 0.25)).assumes[1]
    assert AVERAGED in fano_bounds(0.3, 100).assumes
    assert float(one_shot_bound(0.54, 1000).lower) == pytest.approx(np.log2(203))
    assert first_relevant_bound(0.4, np.full(9, 0.2)).evidence == "theorem"


@pytest.mark.float64_only
@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: one_shot_distortion(0, 10), "0 codewords"),
        (lambda: one_shot_distortion(2.0**1.5, 10), "no whole number"),
        (lambda: one_shot_distortion(np.nan, np.full(2, 0.5)), "no whole number"),
        (lambda: one_shot_distortion(np.inf, 10), "no whole number"),
        (lambda: one_shot_codewords(-0.1, 10), "below 1 - w_1"),
        (lambda: one_shot_codewords(np.array([0.3, 0.4]), 10), "shape \\(2,\\); give one number"),
        (lambda: one_shot_codewords(np.nan, 10), "has an entry nan"),
        (lambda: Bound(0, 1, "theorem", "uniform prior"), "a tuple"),
        (lambda: reverse_water_filling(np.array([np.inf, 1.0]), 4.0), "variances has an entry inf at 0; it must be"),
        (lambda: one_shot_distortion(2, np.array([0.5, 0.6])), "sums to"),
        (lambda: gaussian_bottleneck(np.array([1.5]), 1.0), "outside"),
        (lambda: gaussian_bottleneck(np.array([0.5]), -1.0), "negative"),
        (lambda: gaussian_bottleneck_rate(np.array([0.5]), -1.0), "negative"),
        (lambda: reverse_water_filling(np.array([1.0, -1.0]), 1.0), "variances has an entry -1 at 1"),
        (lambda: first_relevant_rate(0.3, np.array([1.5, 0.1])), "at least 0, at most 1"),
        (lambda: first_relevant_rate(-0.3, np.array([0.5, 0.1])), "below 1 - w_1"),
        (lambda: first_relevant_rate(0.3, np.array([0.5, 0.1]), relevant=np.array([0, 1])), "must be \\[Q, J\\]"),
        (lambda: first_relevant_rate(0.3, np.array([0.5, 0.1]), relevant=np.array([[2]])), "there are 2 documents"),
        (
            lambda: first_relevant_rate(0.3, np.array([0.5, 0.1]), relevant=np.array([[1]])),
            "document 1 is relevant to 1 of",
        ),
        (lambda: first_relevant_rate(0.3, np.array([0.5, 0.1]), np.array([0.5, 1.0])), "the weights rise"),
        (lambda: first_relevant_rate(0.3, np.array([0.5, 0.1]), np.ones(3)), "shape \\(3,\\) for 2"),
        (lambda: gaussian_bottleneck(0.5, 3.0), "shape \\(\\)"),
        (lambda: blind_rate(0.3, 100, np.zeros(0)), "shape \\(0,\\)"),
    ],
)
def test_mistakes_get_one_sentence(call, words):
    with pytest.raises(InputError, match=words) as caught:
        call()
    assert "\n" not in str(caught.value)
