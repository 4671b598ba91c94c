"""Noisy relevance: the interval against every ranking, each step of the certificate against brute force, the edges."""

import itertools
import math

import jax
import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from rdjax.checks import InputError
from rdjax.limits import ranking_assignment, relevance
from rdjax.limits.kernel_majorant import majorize
from rdjax.limits.queries import queries_of
from rdjax.limits.rank_knots import lay_knots
from rdjax.limits.ranking import ranking_rate
from rdjax.limits.ranking_assignment import _clearing, _sorted_by, add_costs, assignments
from rdjax.limits.rankings_code import first_orders, positions, resort, spend
from rdjax.limits.relevance import relevance_bound, relevance_bounds
from rdjax.retrieval.weights import dcg, recall_at, reciprocal_rank
from tests.oracles import permutation_distortions

pytestmark = pytest.mark.float64_only  # both sides are float64 whatever the precision in force
LN2 = math.log(2)
majorized = jax.jit(majorize)
METRICS = (reciprocal_rank, dcg, recall_at(2))


def lagrangian_interval(source, posteriors, worth, slope, sweeps=1500):
    """Interval in bits that holds min over all codes of I + slope D: Blahut-Arimoto over all N! rankings."""
    cost = posteriors @ permutation_distortions(posteriors.shape[1], worth)
    least = cost.min(axis=1)
    kernel = np.exp(-slope * LN2 * (cost - least[:, None]))
    law = np.full(kernel.shape[1], 1 / kernel.shape[1])
    for _ in range(sweeps):
        ratio = (source / (kernel @ law)) @ kernel
        if math.log(ratio.max()) < 1e-11:
            break
        law = law * ratio / ratio.dot(law)
    ratio = (source / (kernel @ law)) @ kernel
    value = -(source * (np.log(kernel @ law) - slope * LN2 * least)).sum()
    return (value - math.log(ratio.max())) / LN2, value / LN2


def gaussian_posteriors(rng, queries, documents, dimension=8, noise=0.6):
    intents = rng.standard_normal((documents, dimension))
    seen = intents[rng.integers(documents, size=queries)] + math.sqrt(noise) * rng.standard_normal((queries, dimension))
    score = -((seen[:, None] - intents[None]) ** 2).sum(-1) / (2 * noise)
    law = np.exp(score - score.max(axis=1, keepdims=True))
    return law / law.sum(axis=1, keepdims=True)


def random_case(rng, number):
    """Posteriors [12, N] from nearly one-hot to flat, a source that leaves some of them out, a metric, a slope."""
    documents, live = (3, 5)[number % 2], int(rng.integers(2, 13))
    posteriors = rng.dirichlet(np.full(documents, rng.choice([0.1, 0.3, 1, 3])), 12)
    source = np.zeros(12)
    source[:live] = rng.dirichlet(np.ones(live))
    return posteriors, source, METRICS[number // 2 % 3], float(rng.uniform(1, 30))


def test_never_crosses_what_all_rankings_can_do(rng):
    shares = {3: [], 5: []}
    for number in range(30):
        posteriors, source, weights, slope = random_case(rng, number)
        found = relevance_bounds(posteriors, slope, source=source, weights=weights)
        worth = np.asarray(weights(np.arange(1.0, posteriors.shape[1] + 1)))
        least, most = lagrangian_interval(source, posteriors, worth, slope)
        line = slope * found.distortion
        assert found.certificate <= most - line + 1e-9
        assert found.upper >= least - line - 1e-9
        assert found.upper <= most - line + 1e-4  # all rankings are codewords here
        assert found.data_processing <= found.upper + 1e-9
        assert found.lower <= found.upper
        if most - line > 1e-2:
            shares[posteriors.shape[1]].append(found.lower / (most - line))
    assert min(shares[3]) > 0.9999  # nothing is relaxed at N = 3
    assert np.mean(shares[5]) > 0.93


@pytest.mark.parametrize("slope", [2.0, 12.0])
def test_one_hot_posteriors_are_the_exact_case(slope):
    found = relevance_bounds(np.eye(5)[np.arange(12) % 5], slope, source=np.full(12, 1 / 12))
    prior = np.bincount(np.arange(12) % 5) / 12
    truth = float(ranking_rate(found.distortion, prior))
    assert found.lower == pytest.approx(truth, abs=1e-9)
    assert found.upper == pytest.approx(truth, abs=1e-6)
    assert found.certificate == pytest.approx(truth, abs=1e-5)  # without any help from Theorem B


def test_the_code_spends_what_is_said(rng):
    posteriors = rng.dirichlet(np.full(5, 0.3), 12)
    found = relevance_bounds(posteriors, 9.0)
    worth = 1 / np.asarray(found.code.ranks)
    value = posteriors @ worth.T
    channel = np.asarray(found.code.law) * np.exp2(9 * value)
    channel /= channel.sum(axis=1, keepdims=True)
    output = channel.mean(axis=0)
    rate = (channel * np.log2(np.where(channel > 0, channel, 1) / np.where(output > 0, output, 1))).sum() / 12
    assert found.upper == pytest.approx(rate, abs=1e-12)
    assert found.distortion == pytest.approx(1 - (channel * value).sum() / 12, abs=1e-12)
    without = relevance_bounds(posteriors, 9.0, passes=0)
    assert (without.upper, without.distortion) == (found.upper, found.distortion)
    assert without.certificate == -np.inf
    assert without.lower == without.data_processing == found.data_processing <= found.lower
    off = queries_of(posteriors * (1 + 2e-6), None, 2**30, 16)  # as much as laws may be
    with jax.enable_x64(True):
        spent = spend(off, found.code, 1 / np.arange(1.0, 6), 9 * LN2)
    assert spent.rate / LN2 == pytest.approx(rate, abs=1e-12)
    assert spent.distortion == pytest.approx(found.distortion, abs=1e-12)


def test_duplicates_change_nothing(rng):
    half = rng.dirichlet(np.full(5, 0.3), 6)
    twice = np.concatenate([half, half])
    once = relevance_bounds(twice, 9.0, source=np.repeat([1 / 6, 0], 6))
    both = relevance_bounds(twice, 9.0, source=np.full(12, 1 / 12))
    assert both.upper + 9 * both.distortion == pytest.approx(once.upper + 9 * once.distortion, abs=1e-4)
    assert both.lower + 9 * both.distortion == pytest.approx(once.lower + 9 * once.distortion, abs=1e-2)


def test_where_nothing_is_to_be_known_the_answer_is_zero(rng):
    row = rng.dirichlet(np.ones(5))
    same = relevance_bounds(np.tile(row, (12, 1)), 30.0)
    assert same.upper == pytest.approx(0, abs=1e-9)
    assert same.distortion == pytest.approx(1 - np.sort(row)[::-1] @ (1 / np.arange(1, 6)), abs=1e-9)
    flat = relevance_bounds(rng.dirichlet(np.ones(5), 12), 0.0)
    assert flat.upper == pytest.approx(0, abs=1e-12)
    assert flat.lower == pytest.approx(0, abs=1e-12)
    alone = relevance_bounds(np.ones((12, 1)), 5.0)
    assert (alone.lower, alone.upper, alone.distortion) == (0, 0, 0)
    single = relevance_bounds(rng.dirichlet(np.ones(5), 12), 5.0, source=np.eye(12)[3])
    assert single.upper == pytest.approx(0, abs=1e-9)


def test_zeros_large_slopes_and_float32(rng):
    posteriors = rng.dirichlet(np.full(5, 0.2), 12)
    posteriors[posteriors < 0.1] = 0
    posteriors /= posteriors.sum(axis=1, keepdims=True)
    sharp = relevance_bounds(posteriors, 1e4)
    worth = 1 / np.arange(1.0, 6)
    assert np.isfinite([sharp.lower, sharp.upper]).all()
    assert sharp.lower <= sharp.upper
    best = 1 - (np.sort(posteriors, axis=1)[:, ::-1] @ worth).mean()
    assert sharp.distortion == pytest.approx(best, abs=1e-4)
    fine, coarse = (relevance_bounds(posteriors.astype(d), 12.0) for d in (np.float64, np.float32))
    assert coarse.upper + 12 * coarse.distortion == pytest.approx(fine.upper + 12 * fine.distortion, abs=1e-5)
    assert coarse.lower <= coarse.upper
    with jax.enable_x64(False):
        again = relevance_bounds(posteriors.astype(np.float32), 12.0)
    assert again.upper == coarse.upper
    assert again.lower == coarse.lower
    alone = relevance_bounds(posteriors, 1e4, source=np.eye(12)[3])  # what would be best for others is never sent
    assert alone.upper == pytest.approx(0, abs=1e-9)
    assert alone.distortion == pytest.approx(1 - np.sort(posteriors[3])[::-1] @ worth, abs=1e-9)


def test_blocks_and_samples_keep_the_interval(rng, monkeypatch):
    monkeypatch.setattr(relevance, "FEW", 0)  # one fit: half the compiling
    posteriors = gaussian_posteriors(rng, 250, 20).astype(np.float32)
    whole = relevance_bounds(posteriors, 10.0)
    assert whole.upper - whole.lower < 0.02 * whole.upper
    assert whole.certificate > whole.data_processing
    assert "certificate" in whole.message
    blocks = relevance_bounds(posteriors, 10.0, memory=2**18)  # four of queries, five of documents
    assert blocks.upper == pytest.approx(whole.upper, abs=1e-3)
    assert blocks.lower == pytest.approx(whole.lower, abs=1e-3)
    monkeypatch.setattr(relevance, "LEAST_SAMPLE", 100)
    sample = relevance_bounds(posteriors, 10.0, memory=2**18)  # the design leaves queries out
    assert sample.upper + 10 * sample.distortion >= whole.lower + 10 * whole.distortion
    assert sample.lower + 10 * sample.distortion <= whole.upper + 10 * whole.distortion
    assert sample.lower > 0.5 * sample.upper


@pytest.mark.parametrize("weights", METRICS, ids=["mrr", "dcg", "recall"])
def test_majorants_lie_above_every_kernel(rng, weights):
    """phi + b B against exp(s <q, u>) at random rankings, with more ranks than knots."""
    documents, slope = 40, 6.0
    posteriors = rng.dirichlet(np.full(documents, 0.1), 16)
    worth = np.asarray(weights(np.arange(1.0, documents + 1)), np.float64)
    knots, start = jax.device_get((lay_knots(worth, slope), first_orders(posteriors, 64)))
    bound, means = jax.device_get(majorized(posteriors, worth, slope, knots, start, np.full(64, 1 / 64)))
    shift = bound.shift
    exact = np.exp(slope * (posteriors @ worth[np.asarray(positions(start))].T - shift[:, None]))
    tops = start[:, 0]
    for top in set(tops):
        assert (means[:, top] >= exact[:, tops == top].mean(axis=1) * (1 - 1e-12)).all()
    excess = []
    for order in [rng.permutation(documents) for _ in range(200)]:
        rank = np.argsort(order)
        value = posteriors @ worth[rank]
        above = separable(posteriors, bound, worth, slope, knots, order[0], rank)
        excess.append(above / np.exp(slope * (value - shift)))
    assert np.min(excess) >= 1 - 1e-12
    assert np.median(excess) < 1.5


def separable(posteriors, bound, worth, slope, knots, top, rank):
    """The bound at one ranking, written out from the definition of `Majorant`."""
    above = []
    for x, row in enumerate(posteriors):
        near = list(bound.near[x])
        place = near.index(top) if top in near else len(near)
        key = near[1] if place == 0 else near[0]
        spot = rank[key] - 1
        share, left, right = knots.share[spot], knots.left[spot], knots.right[spot]
        phi = bound.phi[x, place]
        total = share * phi[left] + (1 - share) * phi[right]
        total += bound.chord[x, place] * (row @ worth[rank] - row[top] * worth[0])
        far = math.exp(slope * worth[0] * (row[top] - bound.level[x])) if place == len(near) else 1.0
        above.append(total * far)
    return np.array(above)


def test_costs_add_up_and_prices_bound_the_assignment(rng, monkeypatch):
    monkeypatch.setattr(ranking_assignment, "AT_A_TIME", 4 * 800)  # of ten documents on top four together
    documents, slope = 40, 6.0
    posteriors = rng.dirichlet(np.full(documents, 0.1), 16)
    worth = 1 / np.arange(1.0, documents + 1)
    knots, start = jax.device_get((lay_knots(worth, slope), first_orders(posteriors, 64)))
    bound, _ = jax.device_get(majorized(posteriors, worth, slope, knots, start, np.full(64, 1 / 64)))
    dual = rng.uniform(0.5, 1.5, 16)
    table = np.zeros((documents, 10, knots.worth.shape[0]))
    table = add_costs(table, posteriors, bound, dual, worth, slope, knots, 5)
    left, right, share = knots.left, knots.right, knots.share
    scores, rankings = (np.asarray(a) for a in assignments(table, knots, 5))
    table = np.asarray(table)
    for place in range(10):
        full = table[:, place, left] * share + table[:, place, right] * (1 - share)
        others = np.delete(np.arange(documents), 5 + place)
        best = full[others][linear_sum_assignment(-full[others])].sum()
        assert best * (1 - 1e-12) <= scores[place] <= best * 1.02
        rank = np.argsort(rankings[place])
        assert rankings[place, 0] == 5 + place
        reached = full[others, rank[others] - 1].sum()
        assert 0.9 * best <= reached <= best * (1 + 1e-12)
        assert reached == pytest.approx(
            dual @ separable(posteriors, bound, worth, slope, knots, 5 + place, rank), rel=1e-9
        )


def test_prices_are_midway_between_two_places_of_a_falling_sort(rng):
    values = rng.integers(-3, 4, (50, 9)).astype(np.float32)
    values[::2] = rng.standard_normal((25, 9)) * 10.0 ** rng.integers(-30, 30, (25, 1))
    values[::3, 4], values[1] = -np.inf, np.inf
    first = rng.integers(0, 8, 50).astype(np.int32)
    first[::3] %= 7  # none between infinities of both signs
    falling = -np.sort(-values, axis=1)
    expected = (falling[np.arange(50), first] + falling[np.arange(50), first + 1]) / 2
    np.testing.assert_array_equal(jax.jit(_clearing)(values, np.stack([first, first + 1])), expected)


def test_ties_go_by_value_and_then_in_order(rng):
    knot, value = rng.integers(-1, 3, 60), rng.integers(-2, 3, 60) / 4
    expected = np.lexsort((value, knot))
    np.testing.assert_array_equal(jax.jit(_sorted_by)(knot.astype(np.int32), value), expected)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_resort_keeps_the_old_order_on_ties(rng, dtype):
    scores = rng.integers(0, 3, (7, 9)).astype(dtype)
    old = np.array([rng.permutation(9) for _ in range(7)])
    got = np.asarray(resort(scores, old.astype(np.int32)))
    for row in range(7):
        place = np.argsort(old[row])
        assert list(got[row]) == sorted(range(9), key=lambda y: (-scores[row, y], place[y]))


def test_first_orders_are_rankings_and_name_every_top():
    few = np.asarray(first_orders(np.eye(4), 24))
    assert {tuple(r) for r in few} == set(itertools.permutations(range(4)))
    rng = np.random.default_rng(0)
    posteriors = rng.dirichlet(np.full(9, 0.2), 40)
    orders = np.asarray(first_orders(posteriors, 20))
    assert (np.sort(orders, axis=1) == np.arange(9)).all()
    assert set(orders[:, 0]) == set(posteriors.argmax(axis=1))


def test_a_bound_says_what_it_rests_on(rng):
    interval, distortion = relevance_bound(rng.dirichlet(np.full(5, 0.3), 12), 9.0)
    assert interval.evidence == "certificate"
    assert "calibrated posterior is true" in interval.assumes
    assert 0 < interval.lower <= interval.upper
    assert 0 < distortion < 1


def test_mistakes_are_named(rng):
    good = rng.dirichlet(np.ones(5), 12)
    for values, slope, words, settings in [
        (good * 2, 3.0, "sums to", {}),
        (good[0], 3.0, "must be \\[X, N\\]", {}),
        (good, -1.0, "slope", {}),
        (good, [1.0, 2.0], "one number", {}),
        (good, 3.0, "source", {"source": np.ones(3) / 3}),
        (good, 3.0, "weights", {"weights": np.ones(4)}),
        (good, 3.0, "rise", {"weights": np.arange(5.0)}),
        (good, 3.0, "codewords", {"codewords": 0}),
        (good, 3.0, "memory is 2000000.5", {"memory": 2000000.5}),
        (good, 3.0, "memory is -1", {"memory": -1}),
        (good, 3.0, "seed is -1", {"seed": -1}),
    ]:
        with pytest.raises(InputError, match=words):
            relevance_bounds(values, slope, **settings)
    with pytest.raises(InputError, match="outside jit"):
        jax.jit(lambda q: relevance_bounds(q, 3.0).upper)(good)
