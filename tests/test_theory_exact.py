"""Theory notes, sections 0 and 1, line by line: what the other tests do not recompute, in NumPy alone.

Elsewhere: Theorems A and B test_ranking_limits.py; Shannon's bound, D_c, s_c, the excesses of 1.3 test_converse.py;
codewords of 1.4 and ceilings of 1.6 test_other_limits.py; what the paper prints beside them test_statements.py.
"""

import itertools

import numpy as np
import pytest
from scipy.optimize import brentq

from rdjax.limits import first_relevant_rate, one_shot_distortion
from rdjax.paper import instances
from tests import oracles

pytestmark = pytest.mark.float64_only
WORTH = 1 / np.arange(1.0, 1001)


def gibbs(slope, worth):
    """The law p_k proportional to exp(slope w_k)."""
    law = np.exp(slope * (worth - worth[0]))
    return law / law.sum()


def at_quality(quality, worth):
    """phi: most entropy in bits of a rank whose mean worth is `quality`, between its mean and w_1."""
    return oracles.entropy_bits(gibbs(brentq(lambda s: gibbs(s, worth) @ worth - quality, 0, 1e4), worth))


# section 0


def test_deterministic_rate_of_two_documents():
    """(2) by every encoder and every decoder: 1 bit on [0, 1/4), 0 at 1/4, and .5 on the chord at 1/8."""
    found = []
    for code in itertools.product(range(2), repeat=2):
        for top in itertools.product(range(2), repeat=2):  # the document that each codeword puts first
            distortion = np.mean([0.0 if top[c] == y else 0.5 for y, c in enumerate(code)])
            found.append((distortion, oracles.entropy_bits(np.bincount(code, minlength=2) / 2)))
    least = lambda target: min(bits for distortion, bits in found if distortion <= target)
    assert [least(d) for d in (0.0, 0.1, 1 / 8, 0.2499, 1 / 4)] == [1, 1, 1, 1, 0]
    assert (least(0) + least(1 / 4)) / 2 == 0.5 < least(1 / 8)


# section 1.1


def test_cyclic_shifts_reach_the_exact_rate():
    """c = y - K mod N with K from the Gibbs law: N codewords, I = log2 N - H(g), E d = 1 - <g, w>."""
    n, worth = 7, WORTH[:7]
    law = gibbs(4.0, worth)
    joint = np.zeros((n, n))
    for y, k in itertools.product(range(n), range(1, n + 1)):
        joint[y, (y - k) % n] += law[k - 1] / n
    distortion = sum(joint[y, c] * (1 - worth[(y - c) % n - 1]) for y in range(n) for c in range(n))
    rate = 2 * np.log2(n) - oracles.entropy_bits(joint.ravel())
    assert rate == pytest.approx(np.log2(n) - oracles.entropy_bits(law), abs=1e-12)
    assert distortion == pytest.approx(1 - law @ worth, abs=1e-12)
    assert rate == pytest.approx(oracles.pooled_rate(distortion, np.full(n, 1 / n)), abs=1e-9)


def test_several_metrics_take_one_slope_each():
    """MRR and recall@2 of a rank at once: of all laws that meet both, the Gibbs law of two slopes has most entropy."""
    metrics = np.stack([WORTH[:6], np.arange(6) < 2])
    law = np.exp(np.array([1.5, 0.8]) @ metrics)
    law /= law.sum()
    rng = np.random.default_rng(0)
    free = np.linalg.svd(np.vstack([metrics, np.ones(6)]))[2][3:]  # directions that keep both metrics and the sum
    for step in rng.standard_normal((200, 3)) @ free * 0.02:
        assert np.all(law + step > 0)
        assert oracles.entropy_bits(law + step) < oracles.entropy_bits(law)


# section 1.2


@pytest.mark.parametrize(("documents", "excess"), [(3, 1.0), (4, np.log2(3))])
def test_how_loose_shannon_s_bound_can_be(documents, excess):
    """Recall@(N-1), a prior of (1 - e, e/(N-1), ...), D to D_max, where R = 0: H - phi falls short by log2(N - 1).

    The notes saw at most .99 bit at N = 3, which this reaches, and .25 at N = 4, which is not the most there.
    """
    rare = 1e-4
    prior = np.append(1 - rare, np.full(documents - 1, rare / (documents - 1)))
    top = prior[:-1].sum()  # of recall@(N-1); phi spreads it evenly over N - 1 ranks
    most = oracles.entropy_bits(np.append(np.full(documents - 1, top / (documents - 1)), 1 - top))
    assert most - oracles.entropy_bits(prior) == pytest.approx(excess, abs=3e-3)
    assert most - oracles.entropy_bits(prior) > 0.99


# sections 1.3 and 1.4


@pytest.mark.parametrize(
    ("quality", "bits", "printed", "codewords", "spent"),
    [
        (0.10, 0.4735, 8.500, 23, 4.52),
        (0.46, 3.5256, 4.387, 203, 7.67),
        (0.59, 4.8465, 3.110, 314, 8.29),
        (0.68, 5.8220, 2.286, 416, 8.70),
        (0.79, 7.0916, 1.352, 580, 9.18),  # the notes print 1.353; it is 1.35247
        (0.85, 7.8284, 0.886, 700, 9.45),
        (1.00, 9.9658, 0.0014, 1000, 9.97),
    ],
)
def test_the_table_of_a_thousand_documents(quality, bits, printed, codewords, spent):
    """Also what encloses the rate: Fano with 2 D from below, with D from above."""
    distortion = 1 - quality
    rate = np.log2(1000) - (at_quality(quality, WORTH) if quality < 1 else 0.0)
    assert rate == pytest.approx(bits, abs=5e-5)
    h = lambda p: oracles.entropy_bits([p, 1 - p])
    assert np.log2(1000) - h(quality) - quality * np.log2(999) == pytest.approx(printed, abs=5e-4)
    assert rate <= np.log2(1000) - h(distortion) - distortion * np.log2(999) + 1e-12
    if distortion <= (1 - 1 / 1000) / 2:
        assert rate >= np.log2(1000) - h(2 * distortion) - 2 * distortion * np.log2(999) - 1e-12
    score = lambda size: np.mean(1 / np.ceil(np.arange(1, 1001) / size))
    assert min(size for size in range(1, 1001) if score(size) >= quality - 1e-12) == codewords
    assert np.log2(codewords) == pytest.approx(spent, abs=5e-3)


def test_the_dual_is_a_floor_at_every_slope():
    """H - log2 Z(s) + s (1 - D) log2 e, below the curve, and on it where s is the curve's slope."""
    law = gibbs(6.0, WORTH)
    quality, nats = law @ WORTH, np.linspace(0, 20, 81)
    dual = [np.log2(1000) - np.log2(np.exp(s * WORTH).sum()) + s * quality / np.log(2) for s in nats]
    rate = np.log2(1000) - oracles.entropy_bits(law)
    assert max(dual) <= rate + 1e-12
    assert nats[np.argmax(dual)] == 6.0
    assert max(dual) == pytest.approx(rate, abs=1e-12)


# section 1.5


def test_theorem_c_against_every_code_of_five_documents(rng):
    """Every set of L rankings out of 120: the best rank that each document gets in one of them, worth collected."""
    ranks = np.array(list(itertools.permutations(range(5))))
    prior = np.sort(rng.dirichlet(np.ones(5)))[::-1]
    reached = ranks
    for size in range(1, 6):
        for worth in (WORTH[:5], 1 / np.log2(np.arange(2.0, 7)), np.array([1.0, 1, 0, 0, 0])):
            best = (worth[reached] @ prior).max()
            assert best == pytest.approx(prior @ worth[np.ceil(np.arange(1, 6) / size).astype(int) - 1], abs=1e-12)
            assert best == pytest.approx(1 - float(one_shot_distortion(size, prior, worth)), abs=1e-12)
        more = np.minimum(reached[:, None], ranks).reshape(-1, 5)
        reached = more[np.unique(more @ 5 ** np.arange(5), return_index=True)[1]]


@pytest.mark.parametrize(("bits", "alone", "curve"), [(8, 0.4727, 0.1365), (5, 0.8709, 0.3955)])
def test_one_query_alone_is_far_above_the_curve(bits, alone, curve):
    assert 1 - np.mean(1 / np.ceil(np.arange(1, 1001) / 2**bits)) == pytest.approx(alone, abs=5e-5)
    slope = brentq(lambda s: np.log2(1000) - oracles.entropy_bits(gibbs(s, WORTH)) - bits, 0, 100)
    assert 1 - gibbs(slope, WORTH) @ WORTH == pytest.approx(curve, abs=6e-5)  # .39556 at 5 bits


# section 1.6


@pytest.mark.parametrize(("bits", "quality"), [(8, 0.218), (16, 0.453), (32, 0.730), (64, 0.886), (128, 0.917)])
def test_the_gaussian_channel_on_the_paper_s_mixture(bits, quality):
    """10,000 queries: deviations of .004 at most. An encoder that knows the corpus has .864 at 8 bits."""
    assert instances.channel_quality(float(bits)) == pytest.approx(quality, abs=0.012)


def test_what_the_mixture_s_channel_is():
    """rho^2 of a fused coordinate is .444, and IB(b) of 32 of them in closed form, 3.22 bits at 8; never above b."""
    squared = 1 / (1 + instances.MIXTURE_NOISE / 2)
    assert squared == pytest.approx(0.444, abs=5e-4)
    for bits, carried in ((4, 1.69), (8, 3.22), (16, 5.80), (32, 9.36), (64, 12.44)):
        found = -16 * np.log2(1 - squared * (1 - 2.0 ** (-2 * bits / 32)))
        assert found == pytest.approx(carried, abs=5e-3)
        assert found < bits


# section 1.7


def test_a_packet_s_free_length_carries_bits():
    """1,000 ids as the 1,000 shortest strings, the empty one first: 7.99 bits on average where H is 9.97."""
    lengths = np.floor(np.log2(np.arange(1, 1001)))
    assert lengths.mean() == pytest.approx(7.99, abs=5e-3)
    assert np.log2(1000) == pytest.approx(9.97, abs=5e-3)


def test_the_prior_is_part_of_the_statement():
    assert np.log2(200_000) == pytest.approx(17.6, abs=0.05)
    assert np.log2(10_000) == pytest.approx(13.3, abs=0.05)  # of any law of 10,000 queries, whatever the documents


def test_first_relevant_floor_as_it_is_printed(rng):
    """max_s {s target - ln sum p_k e^(s w_k)} / ln 2, against all 24 rankings in 300 cases: never above, mostly met."""
    ranks, worth = np.array(list(itertools.permutations(range(4)))), WORTH[:4]
    slopes, slack = np.linspace(0, 12, 1201), []
    for case in range(300):
        sets = rng.random((5, 4)) < 0.6
        sets[np.arange(5), rng.integers(0, 4, 5)] = True
        source = rng.dirichlet(np.ones(5))
        distortion = 1 - worth[np.where(sets[:, None], ranks, 9).min(axis=-1)]
        rate, reached, _ = oracles.blahut_point(source, distortion, float(rng.uniform(1, 8)), 200, 1e-7)
        frequency = (source @ sets).clip(0, 1)
        law = np.diff(np.minimum(np.cumsum(np.sort(frequency)[::-1]), 1), prepend=0)
        floor = max(slopes * (1 - reached) - np.log(np.exp(np.outer(slopes, worth)) @ law)) / np.log(2)
        assert floor <= rate + 1e-9
        slack.append(rate - floor)
        if case < 3:
            assert floor == pytest.approx(float(first_relevant_rate(reached, frequency)), abs=2e-5)
    assert np.median(slack) < 1e-3
