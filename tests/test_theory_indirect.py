"""Theory notes, section 2, line by line: noisy relevance over all N! rankings in NumPy alone.

Elsewhere: the library's interval and its certificate test_relevance.py; data processing from both sides
test_converse.py. The notes' random sources are not given: on sources of our own the claim is held, not digits.
"""

import itertools

import numpy as np
import pytest
from scipy.optimize import brentq, isotonic_regression, linear_sum_assignment

from tests import oracles

pytestmark = pytest.mark.float64_only
RANKS = {n: np.array(list(itertools.permutations(range(n)))) for n in (4, 6)}
WORTH = {n: 1 / np.arange(1.0, n + 1) for n in (4, 6)}


def quality(posteriors, worth):
    """<q_x, u_pi> for every ranking [X, N!]."""
    return posteriors @ worth[RANKS[len(worth)]].T


def entropy(laws):
    return -(laws * np.log2(np.where(laws > 0, laws, 1))).sum(axis=-1)


# sufficiency, and the ends of the curve


def test_copies_of_a_query_change_nothing(rng):
    """Each of five queries in three unequal copies: H(X) rises, rate and distortion at a slope stay to six digits."""
    source, posteriors = rng.dirichlet(np.full(5, 5.0)), rng.dirichlet(np.full(4, 0.5), 5)
    split = rng.dirichlet(np.full(3, 5.0), 5)
    copied = (source[:, None] * split).ravel()
    assert entropy(copied) > entropy(source) + 1
    cost = 1 - quality(posteriors, WORTH[4])
    once = oracles.blahut_point(source, cost, 9.0, tolerance=1e-12)
    thrice = oracles.blahut_point(copied, np.repeat(cost, 3, axis=0), 9.0, tolerance=1e-12)
    np.testing.assert_allclose(thrice[:2], once[:2], atol=1e-6)


def test_ends_of_the_curve(rng):
    """D_min = 1 - E <sort q_X, w> with rate H(best ranking), D_max = 1 - <sort P_Y, w> with rate 0."""
    posteriors = rng.dirichlet(np.full(4, 0.5), 6)
    posteriors[5] = posteriors[0] ** 2 / (posteriors[0] ** 2).sum()  # surer, with the same best ranking
    source, worth = rng.dirichlet(np.ones(6)), WORTH[4]
    falling = lambda law: np.sort(law, axis=-1)[..., ::-1]
    rate, distortion, _ = oracles.blahut_point(source, 1 - quality(posteriors, worth), 400.0)
    assert distortion == pytest.approx(1 - source @ (falling(posteriors) @ worth), abs=1e-3)
    best = quality(posteriors, worth).argmax(axis=1)
    assert rate == pytest.approx(oracles.entropy_bits(np.bincount(best, source)), abs=2e-3)
    value = quality(posteriors, worth)
    prior = (source @ value).argmax()  # one ranking for all, that of the prior
    assert 1 - (source @ value)[prior] == pytest.approx(1 - falling(source @ posteriors) @ worth, abs=1e-12)
    ratio = source @ np.exp(0.01 * (value - value[:, [prior]]))  # Kuhn and Tucker: it is optimal, so R = 0 there
    assert ratio.max() <= 1 + 1e-12


# section 2.1


@pytest.mark.parametrize(
    ("law", "exact", "processing"), [((0.4, 0.3, 0.2, 0.1), 4.585, 0.114), ((0.28, 0.26, 0.24, 0.22), 4.355, 0.005)]
)
def test_data_processing_is_arbitrarily_loose(law, exact, processing):
    """X uniform on S_4, P(y | pi) = v_pi(y): by symmetry the channel is a law of relative rankings, a closed form."""
    cost = 1 - quality(np.array([law]), WORTH[4])[0]

    def point(slope):
        channel = np.exp(-slope * (cost - cost.min()))
        channel /= channel.sum()
        return np.log2(24) - entropy(channel), channel @ cost

    slope = 1e6 if exact == 4.585 else brentq(lambda s: point(s)[0] - exact, 1, 1e5)
    rate, distortion = point(slope)
    assert rate == pytest.approx(exact, abs=5e-4)  # log2 24, where each ranking has a best answer of its own
    assert distortion == pytest.approx(cost.min(), abs=2e-3)
    least = oracles.pooled_rate(cost.min(), np.full(4, 0.25))  # Theorem B of Y, which is uniform
    assert least == pytest.approx(processing, abs=5e-4)
    if exact == 4.585:
        assert 2 - entropy(np.array(law)) == pytest.approx(0.154, abs=5e-4)  # two-sided, at D_min
    every = np.array(law)[RANKS[4]]  # the closed form is what Blahut and Arimoto find over 24 x 24
    found = oracles.blahut_point(np.full(24, 1 / 24), 1 - quality(every, WORTH[4]), 30.0, 3000)
    np.testing.assert_allclose(found[:2], point(30.0), atol=2e-6)


# section 2.2


def test_recall_weights_make_pricing_a_densest_subgraph(rng):
    """q_e even on the ends of an edge, recall@k: F(T) = const + n_2(T) (z - 1)^2, z = e^(s/2), for all sets T of k."""
    outer = [(i, (i + 1) % 5) for i in range(5)]
    inner = [(5 + i, 5 + (i + 2) % 5) for i in range(5)]
    edges = np.array([*outer, *inner, *[(i, i + 5) for i in range(5)]])  # Petersen's graph, regular of degree 3
    posteriors = np.eye(10)[edges].mean(axis=1)
    for k, slope in ((3, 1.0), (5, 2.5)):
        sets = np.array([np.isin(np.arange(10), t) for t in itertools.combinations(range(10), k)], float)
        pricing = np.exp(slope * posteriors @ sets.T).sum(axis=0)
        inside = (sets[:, edges].sum(axis=2) == 2).sum(axis=1)
        z = np.exp(slope / 2)
        constant = 15 + 3 * k * (z - 1)
        np.testing.assert_allclose(pricing, constant + inside * (z - 1) ** 2, rtol=1e-13)
        assert np.ptp(inside) > 1


def kernels(posteriors, worth, slope):
    """The notes' separable majorants of exp(s <q_x, u_pi>) for every ranking, by name, each [X, N!]."""
    value, u = quality(posteriors, worth), worth[RANKS[len(worth)]]
    top = RANKS[len(worth)].argmin(axis=1)  # the document that a ranking puts first

    def chord(low, high):
        share = np.divide(value - low, high - low, out=np.zeros_like(value), where=high > low)
        return (1 - share) * np.exp(slope * low) + share * np.exp(slope * high)

    ends = [[pick(value[:, top == j], axis=1) for j in range(len(worth))] for pick in (np.min, np.max)]
    low, high = (np.stack(end, axis=1)[:, top] for end in ends)
    return {
        "exact": np.exp(slope * value),
        "jensen": posteriors @ np.exp(slope * u).T,
        "chord0": chord(value.min(axis=1, keepdims=True), value.max(axis=1, keepdims=True)),
        "chord1": chord(low, high),
    }


def test_kernels_lie_above_and_are_priced_by_sorts(rng):
    """Their largest weighted sum over all 24 rankings is found by one sort, N sorts, or an assignment."""
    worth, slope = WORTH[4], 5.0
    posteriors, weight = rng.dirichlet(np.full(4, 0.5), 9), rng.random(9)
    above = kernels(posteriors, worth, slope)
    for name in ("jensen", "chord0", "chord1"):
        assert np.all(above[name] >= above["exact"] * (1 - 1e-12)), name
    assert np.all(above["chord1"] <= above["chord0"] * (1 + 1e-12))
    tilt = rng.standard_normal((9, 4))  # Jensen's inequality around any f
    around = posteriors * np.exp(tilt - (posteriors * tilt).sum(axis=1, keepdims=True))
    assert np.all(around @ np.exp(slope * worth[RANKS[4]]).T >= above["exact"] * (1 - 1e-12))
    sort = lambda gain: np.sort(gain) @ np.sort(worth)
    a = (weight[:, None] * posteriors).sum(axis=0)
    assert (weight @ above["jensen"]).max() == pytest.approx(np.sort(a) @ np.sort(np.exp(slope * worth)), rel=1e-12)
    low, high = quality(posteriors, worth).min(axis=1), quality(posteriors, worth).max(axis=1)
    steep = weight * (np.exp(slope * high) - np.exp(slope * low)) / (high - low)
    flat = weight @ np.exp(slope * low) - steep @ low
    assert (weight @ above["chord0"]).max() == pytest.approx(flat + sort(steep @ posteriors), rel=1e-12)
    half = np.arange(9) < 5  # one kernel for some queries, the other for the rest: no sort, but an assignment
    mixed = (weight[half] @ above["jensen"][half] + weight[~half] @ above["chord0"][~half]).max()
    cost = np.outer((weight[half, None] * posteriors[half]).sum(axis=0), np.exp(slope * worth))
    cost += np.outer(steep[~half] @ posteriors[~half], worth)
    found = cost[linear_sum_assignment(cost, maximize=True)].sum()
    flat = weight[~half] @ np.exp(slope * low[~half]) - steep[~half] @ low[~half]
    assert mixed == pytest.approx(flat + found, rel=1e-12)


# sections 2.2 to 2.4: certified bounds, and codes above them


def solve(source, kernel, sweeps=400):
    """max over Q of E ln (K Q)(X) for a batch [B, X], [B, X, M], from below and from above, nats; and Q."""
    law = np.full((len(kernel), kernel.shape[2], 1), 1 / kernel.shape[2])
    ratio = lambda: np.swapaxes(kernel, 1, 2) @ (source[:, :, None] / (kernel @ law))
    for _ in range(sweeps):
        law = law * ratio()
    value = (source * np.log((kernel @ law)[:, :, 0])).sum(axis=1)
    return value, value + np.log(ratio().max(axis=(1, 2))), law[:, :, 0]


def test_shares_of_the_rate_that_the_kernels_certify(rng):
    """60 sources of eight queries, N = 4: none above R; chord1 keeps most, far ahead of data processing and chord0.

    The notes have mean shares .587 (data processing), .397 (chord0), .938 (chord1), at N = 4 and 5, of sources unknown.
    """
    cases, shares = [], {"chord0": [], "chord1": [], "jensen": [], "processing": []}
    for number in range(60):
        worth = (WORTH[4], 1 / np.log2(np.arange(2.0, 6)), np.array([1.0, 1, 0, 0]))[number % 3]
        posteriors = rng.dirichlet(np.full(4, rng.choice([0.3, 1.0])), 8)
        slope = rng.uniform(3, 15)
        cases.append((rng.dirichlet(np.ones(8)), posteriors, worth, slope, kernels(posteriors, worth, slope)))
    source, slope = np.array([c[0] for c in cases]), np.array([c[3] for c in cases])
    bounds = {}
    for name in ("exact", "chord0", "chord1", "jensen"):
        least, most, law = solve(source, np.array([c[4][name] for c in cases]))
        bounds[name] = -most / np.log(2)
        if name == "exact":  # a channel that exists: its rate and distortion are what the floors must stay below
            joint = np.array([c[4]["exact"] for c in cases]) * law[:, None]
            joint *= source[:, :, None] / joint.sum(axis=2, keepdims=True)
            value = np.array([quality(c[1], c[2]) for c in cases])
            reached = (joint * value).sum(axis=(1, 2))
            rate = entropy(source) + entropy(joint.sum(axis=1)) - entropy(joint.reshape(60, -1))
            assert np.all(-least / np.log(2) >= bounds["exact"])
    line = slope * reached / np.log(2)
    for name in ("chord0", "chord1", "jensen"):
        found = bounds[name] + line
        assert np.all(found <= rate + 1e-9), name
        shares[name] = np.maximum(found, 0) / rate
    known = [rank_rate(c[0] @ c[1], c[2], r) for c, r in zip(cases, reached, strict=True)]
    assert np.all(known <= rate + 1e-9)
    shares["processing"] = np.array(known) / rate
    mean = {name: np.mean(share[rate > 0.05]) for name, share in shares.items()}
    assert mean["chord1"] > 0.85
    assert mean["processing"] < 0.5
    assert mean["chord0"] < mean["processing"]
    assert mean["jensen"] < 0.1  # around f = 0; around the best f it contains data processing


def rank_rate(prior, worth, quality):
    """Theorem B at a quality, for any weights: the best dual value over slopes, each by pooling."""
    falling, best = np.sort(prior)[::-1], 0.0
    for slope in np.linspace(0, 30, 301):
        gibbs = np.exp(slope * (worth - worth[0]))
        law = gibbs * isotonic_regression(falling / gibbs, weights=gibbs, increasing=False).x
        best = max(
            best, oracles.entropy_bits(prior) - oracles.entropy_bits(law) + slope * (quality - law @ worth) / np.log(2)
        )
    return best


def test_block_descent_has_local_optima_and_more_codewords_help(rng):
    """N = 6, 40 queries, s = 15: 20 starts at each codebook size, beside the exact Lagrangian over 720 rankings.

    The notes: exact 4.3387 nats; L = 4 from 4.934 to 6.663; best excess 2.2e-2 at L = 8, 6e-5 at 16; source unknown.
    """
    slope, worth = 15.0, WORTH[6]
    posteriors = rng.dirichlet(np.full(6, 0.3), 40)
    value = quality(posteriors, worth)
    source = np.full((1, 40), 1 / 40)
    most, least, _ = solve(source, np.exp(slope * value)[None], 1500)
    exact = slope - most[0]
    assert least[0] - most[0] < 1e-3
    excess = {}
    for size in (4, 8, 16, 40):
        ends = []
        for _ in range(20):
            ranks = np.array([rng.permutation(6) for _ in range(size)])
            law, before = np.full(size, 1 / size), np.inf
            for _ in range(60):
                weight = law * np.exp(slope * (posteriors @ worth[ranks].T))
                now = slope - np.log(weight.sum(axis=1)).mean()
                assert now <= before + 1e-13
                if before - now < 1e-9:
                    break
                before = now
                channel = weight / weight.sum(axis=1, keepdims=True)
                law = channel.mean(axis=0)
                order = np.argsort(-(channel.T @ posteriors), axis=1, kind="stable")
                np.put_along_axis(ranks, order, np.arange(6)[None], axis=1)
            ends.append(now)
        excess[size] = np.sort(ends) - exact
    assert np.all(excess[40] > -1e-9)  # an upper bound always
    best, worst = ([excess[size][end] for size in (4, 8, 16, 40)] for end in (0, -1))
    assert best == sorted(best, reverse=True)
    assert best[0] > 0.1  # four codewords are too few,
    assert best[1] < 0.05  # eight are enough from a lucky start,
    assert worst[1] > 0.3  # and far off from another: these are local optima
    assert worst[3] < 0.05


def test_pricing_by_sorts_climbs_and_is_no_certificate(rng):
    """F(u) = sum_x lam_x e^(s <q_x, u>) is convex, so u <- sort(grad F) never falls, and ends in local maxima."""
    posteriors, slope, worth = rng.dirichlet(np.full(6, 0.3), 40), 15.0, WORTH[6]
    weight = 1 / np.exp(slope * quality(posteriors, worth)).mean(axis=1)
    ranks, value = RANKS[6].copy(), -np.inf
    for _ in range(40):
        share = weight * np.exp(slope * worth[ranks] @ posteriors.T)  # [720, X]
        now = share.sum(axis=1)
        assert np.all(now >= value * (1 - 1e-12))
        value = now
        np.put_along_axis(ranks, np.argsort(-(share @ posteriors), axis=1), np.arange(6)[None], axis=1)
    assert len(np.unique(np.round(value, 9))) > 3
    assert value.max() == pytest.approx((weight @ np.exp(slope * quality(posteriors, worth))).max(), rel=1e-12)
    assert np.mean(value > 0.99 * value.max()) < 0.7  # of all 720 starts
