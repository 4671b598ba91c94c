"""Theory notes, section 3, line by line: several modalities, several targets, dimensions, in NumPy alone.

Elsewhere: (6), (7), (8) as printed and what refutes them test_statements.py; cut-sets test_converse.py; rates of
a Gaussian intent (M4) test_gaussian_intent.py; Cover's count against linear programs test_dimensions.py.
"""

import math

import numpy as np
import pytest

from rdjax.limits import log2_rankings
from tests import oracles

pytestmark = pytest.mark.float64_only
WORTH = 1 / np.arange(1.0, 5)


def h(p):
    return oracles.entropy_bits([p, 1 - p])


def fano(distortion, n):
    """Equation (5) as printed."""
    return np.log2(n) - h(distortion) - (1 - distortion) * np.log2(n - 1)


# section 3.1


@pytest.mark.parametrize("documents", [2, 4, 100, 1000])
def test_every_constant_code_refutes_the_bound(documents):
    """R_rank is 0 at D = 1/N and positive elsewhere, so that "I(X; C) > R_bal + kappa Delta H" forbids I = 0."""
    grid = np.append(np.linspace(1e-6, 1 - 1e-6, 301), 1 / documents)
    printed = np.array([fano(d, documents) for d in grid])
    assert printed[-1] == pytest.approx(0, abs=1e-12)
    assert np.all(printed >= -1e-12)
    assert grid[printed.argmin()] == pytest.approx(1 / documents, abs=4e-3)


def test_with_the_exact_rate_in_place_of_fano_it_is_worse():
    """X_1 = Y one of 4, X_2 constant, D = 0: rho = 0, kappa = 1, Delta H = 2; C = Y has 2 bits, (7) 2.415 or 4."""
    printed = fano(0.0, 4)
    assert printed + 2 == pytest.approx(2.415, abs=5e-4)
    assert oracles.pooled_rate(0.0 + 1e-9, np.full(4, 0.25)) + 2 == pytest.approx(4.0, abs=1e-6)
    assert printed + 18 == pytest.approx(18.415, abs=5e-4)  # X_2 of 20 bits: Delta H = |2 - 11| + |20 - 11| = 18
    assert oracles.pooled_rate(0.2, np.full(4, 0.25)) == pytest.approx(0.585, abs=5e-4)
    assert fano(0.2, 4) + 6 == pytest.approx(6.010, abs=5e-4)  # 8 bits: |2 - 5| + |8 - 5| = 6


def test_random_sources_violate_the_bound(rng):
    """The exact rate by all 24 rankings against (7), 60 sources (X_1, X_2, Y), three slopes.

    The notes: 399 of 579 points (69%) violated, 423 (73%) with Theorem B in place of R_bal; sources unknown.
    """
    cost = oracles.permutation_distortions(4, WORTH)
    wrong = exact = points = 0
    for _ in range(60):
        first, second = rng.integers(2, 5), rng.integers(2, 9)
        joint = rng.dirichlet(np.full(first * second * 4, rng.choice([0.05, 0.3]))).reshape(first, second, 4)
        one, two, both = joint.sum(axis=(1, 2)), joint.sum(axis=(0, 2)), joint.sum(axis=2)
        entropies = np.array([oracles.entropy_bits(one), oracles.entropy_bits(two)])
        shared = entropies.sum() - oracles.entropy_bits(both.ravel())
        penalty = (1 - 2 * shared / entropies.sum()) * np.abs(entropies - entropies.mean()).sum()
        source = both.ravel()
        posteriors = joint.reshape(-1, 4) / np.where(source > 0, source, 1)[:, None]
        for slope in (2.0, 5.0, 10.0):
            rate, distortion, _ = oracles.blahut_point(source, posteriors @ cost, slope, 300, 1e-6)
            wrong += rate <= fano(distortion, 4) + penalty
            exact += rate <= oracles.pooled_rate(distortion, joint.sum(axis=(0, 1))) + penalty
            points += 1
    assert 0.5 < wrong / points < 0.7  # 105 of 180
    assert 0.7 < exact / points < 0.9  # 145


# section 3.3


def test_what_a_code_says_beyond_the_document(rng):
    """(M1): I(X; C) = I(Y; C) + I(X; C | Y) on a Markov chain Y - X - C."""
    joint = rng.dirichlet(np.ones(15)).reshape(3, 5)[:, :, None] * rng.dirichlet(np.ones(4), 5)
    bits = lambda *axes: oracles.entropy_bits(joint.sum(axis=tuple(set(range(3)) - set(axes))).ravel())
    code = bits(1) + bits(2) - bits(1, 2)
    relevant = bits(0) + bits(2) - bits(0, 2)
    beyond = bits(0, 1) + bits(0, 2) - bits(0, 1, 2) - bits(0)
    assert code == pytest.approx(relevant + beyond, abs=1e-12)
    assert beyond > 0.01


def test_separate_encoders_of_two_bits_lose_a_little():
    """(M2): each bit through BSC(.11): D = .1233, sum rate 1.0002, jointly .9614; at D = 0 both need 2 bits."""
    posterior = np.outer([0.89, 0.11], [0.89, 0.11]).ravel()
    distortion = 1 - np.sort(posterior)[::-1] @ WORTH
    assert distortion == pytest.approx(0.1233, abs=5e-5)
    separate, joint = 2 * (1 - h(0.11)), oracles.pooled_rate(distortion, np.full(4, 0.25))
    assert separate == pytest.approx(1.0002, abs=5e-5)
    assert joint == pytest.approx(0.9614, abs=5e-5)
    assert separate - joint == pytest.approx(0.0388, abs=5e-5)
    assert oracles.pooled_rate(1e-9, np.full(4, 0.25)) == pytest.approx(2.0, abs=1e-6)


@pytest.mark.parametrize(("correlation", "slacks"), [(0.5, (0.088, 0, 0)), (0.9, (0.524, 0.015, 0))])
def test_several_targets_and_their_total_correlation(correlation, slacks):
    """(M3): two targets of three documents, equal with the correlation; R over S_3 x S_3 less sum R_m - TC."""
    law = (correlation * np.eye(3) / 3 + (1 - correlation) / 9).ravel()
    shared = 2 * np.log2(3) - oracles.entropy_bits(law)
    one = oracles.permutation_distortions(3, WORTH[:3])
    cost = (one[:, None, :, None] + one[None, :, None, :]).reshape(9, 36)
    for slope, slack in zip((2.0, 5.0, 10.0), slacks, strict=True):
        rate, distortion, gap = oracles.blahut_point(law, cost, slope, 4000, 1e-9)
        each = oracles.pooled_rate(distortion / 2, np.full(3, 1 / 3))  # both targets alike
        assert rate - max(2 * each - shared, 0) == pytest.approx(slack, abs=5e-4 + gap)
        if (correlation, slope) == (0.9, 10.0):
            assert rate == pytest.approx(1.861, abs=5e-4)
            assert 2 * each == pytest.approx(3.026, abs=5e-4)  # without the total correlation: above what is spent


# (8): how many rankings inner products in d dimensions have


def test_cover_s_count_against_directions(rng):
    """30,000 directions find nearly all rankings, and never more; the notes found 165 of 172."""
    count = lambda n, d: 2 if 1 in (d, n - 1) else count(n - 1, d) + (n - 1) * count(n - 1, d - 1)
    assert [count(n, 2) for n in (3, 4, 5, 6)] == [6, 12, 20, 30]
    assert [count(n, 3) for n in (4, 5, 6)] == [24, 72, 172]
    assert count(5, 4) == math.factorial(5) == 120
    for n, d, most in ((6, 2, 30), (4, 3, 24), (5, 3, 72), (6, 3, 172)):
        assert 2 ** log2_rankings(n, d) == pytest.approx(most, rel=1e-12)
        documents, directions = rng.standard_normal((n, d)), rng.standard_normal((30_000, d))
        orders = np.argsort(directions @ documents.T, axis=1) @ n ** np.arange(n)
        found = len(np.unique(orders))
        assert 0.9 * most <= found <= most, (n, d)


def test_a_thousand_documents_have_few_rankings_in_few_dimensions():
    for d, bits in ((2, 19.9), (8, 121), (64, 900), (512, 5499)):
        assert log2_rankings(1000, d) == pytest.approx(bits, abs=0.5 if d > 2 else 0.05)
    assert math.lgamma(1001) / math.log(2) == pytest.approx(8529, abs=1)
    printed = math.log2(math.e * math.pi)  # d log2 sqrt(e pi) at d = 2
    assert printed == pytest.approx(3.09, abs=5e-3)
    angles = 2 * np.pi * np.arange(9) / 9  # nine points of the circle, each the nearest of itself
    inner = np.cos(angles[:, None] - angles)
    assert np.all(inner.argmax(axis=1) == np.arange(9))
    assert printed < math.log2(9)
    assert len({tuple(order) for order in np.argsort(-inner, kind="stable").tolist()}) == 9
