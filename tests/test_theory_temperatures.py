"""Theory notes, section 4, line by line: bits by entropy, decoder (9), rule (10), and what is right instead, in NumPy.

Elsewhere: the shares of bits test_allocation.py; calibration itself test_temperature.py; (9) and (10) as printed
test_statements.py. The notes do not say on what their temperatures were tried. What fits their digits is two modalities
of 200 documents, unit vectors of 24 dimensions, with noise of standard deviation sigma in each coordinate of a query.
"""

import itertools

import numpy as np
import pytest
from scipy.optimize import minimize

from rdjax.retrieval import gaussian_temperatures, printed_rule, section_six_rule

pytestmark = pytest.mark.float64_only
DOCUMENTS, DIMENSION = 200, 24
RESOLUTION = 40  # (10) takes entropies of coordinates; of values rounded to 1/40 they give what the notes print


def unit(rng, *shape):
    vectors = rng.standard_normal((*shape, DIMENSION))
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def reciprocal_rank(scores, wanted):
    own = np.take_along_axis(scores, wanted[:, None], axis=1)
    return float(np.mean(1 / (1 + (scores > own).sum(axis=1))))


def noisy_scores(rng, noise, gain=(1.0, 1.0), queries=1000):
    """<c_m, e_km> of 1,000 queries C_m = a_m e + sigma_m W for one of the documents: [2, Q, N], and which."""
    wanted, scores = rng.integers(DOCUMENTS, size=queries), []
    for a, sigma in zip(gain, noise, strict=True):
        documents = unit(rng, DOCUMENTS)
        seen = a * documents[wanted] + sigma * rng.standard_normal((queries, DIMENSION))
        scores.append(seen @ documents.T)
    return np.array(scores), wanted


def cross_entropy(beta, scores, wanted):
    """(E[-ln q(Y|C)], its gradient in beta, q of the relevant one)."""
    logits = np.tensordot(beta, scores, 1)
    logits -= logits.max(axis=1, keepdims=True)
    law = np.exp(logits)
    law /= law.sum(axis=1, keepdims=True)
    chosen = np.arange(len(wanted)), wanted
    gradient = [np.mean((law * s).sum(axis=1) - s[chosen]) for s in scores]
    return -np.mean(np.log(law[chosen])), np.array(gradient), law[chosen]


def fitted(rng, noise, gain=(1.0, 1.0), corpora=4):
    """The temperatures of least cross-entropy on 1,000 queries of each of some corpora."""
    parts = [noisy_scores(rng, noise, gain) for _ in range(corpora)]
    scores, wanted = np.concatenate([p[0] for p in parts], axis=1), np.concatenate([p[1] for p in parts])
    loss = lambda beta: cross_entropy(beta, scores, wanted)[:2]
    exact = {"ftol": 1e-14, "gtol": 1e-7}
    return 1 / minimize(loss, np.full(2, 4.0), jac=True, bounds=[(0, None)] * 2, options=exact).x


def entropies(noise):
    """Bits of a query's coordinate, e of variance 1/24 and noise, rounded to 1/40."""
    return 0.5 * np.log2(2 * np.pi * np.e * (1 / DIMENSION + np.square(noise))) + np.log2(RESOLUTION)


# bits


def test_shares_rounded_up_always_overrun(rng):
    """20,000 random entropies and budgets: in every one whose shares are not whole, by M - 1 at most."""
    weights, budget = rng.uniform(0.1, 8, (20_000, 3)), rng.integers(1, 600, (20_000, 1))
    share = budget * weights / weights.sum(axis=1, keepdims=True)
    over = np.ceil(share).sum(axis=1) - budget[:, 0]
    assert np.all(over >= 1)
    assert over.max() == 2
    assert [*np.ceil(64 * np.array([1, 2]) / 3)] == [22, 43]


def test_a_uniform_codeword_of_the_cell_doubles_the_error(rng):
    """Cells of a uniform source: the center against a random point of the same cell, ratio 2.000."""
    points, cells = (np.arange(2**16) + 0.5) / 2**16, 16
    cell = np.floor(points * cells)
    center = np.mean((points - (cell + 0.5) / cells) ** 2)
    drawn = np.mean([np.mean((points - (cell + u) / cells) ** 2) for u in (np.arange(256) + 0.5) / 256])
    assert drawn / center == pytest.approx(2.0, abs=1e-4)
    tighter = np.mean((points - (np.floor(points * 2 * cells) + 0.5) / (2 * cells)) ** 2)
    assert center / tighter == pytest.approx(4.0, abs=1e-6)  # a bit quarters it


def test_proportional_shares_are_not_the_best():
    """Variances (16, 1), R = 4: (2.66, 1.34) with squared error .558, (3, 1) with .500; noise of 1e6 takes 85%."""
    h = lambda variance: 0.5 * np.log2(2 * np.pi * np.e * np.asarray(variance, float))
    share = 4 * h([16, 1]) / h([16, 1]).sum()
    np.testing.assert_allclose(share, [2.66, 1.34], atol=5e-3)
    assert [16, 1] @ 4.0**-share == pytest.approx(0.558, abs=5e-4)
    assert min([16, 1] @ 4.0 ** -np.array([r, 4 - r]) for r in np.linspace(0, 4, 4001)) == pytest.approx(0.5, abs=1e-9)
    assert h(1e6) / (h(1e6) + h(1)) == pytest.approx(0.85, abs=5e-3)


# decoder (9)


def one_space(rng, noise, queries=1000):
    """Documents of one space with a dominant modality each; a query is one of them, with that modality's noise."""
    documents, dominant = unit(rng, DOCUMENTS), rng.integers(2, size=DOCUMENTS)
    wanted = rng.integers(DOCUMENTS, size=queries)
    sigma = np.asarray(noise)[dominant]
    codes = documents[wanted] + sigma[wanted, None] * rng.standard_normal((queries, DIMENSION))
    return codes, documents, sigma, wanted


def test_scale_and_a_single_temperature_do_nothing(rng):
    """MRR .511665 at scales 1, 7.3 and .01 in the notes: the same to the last digit, whatever the corpus."""
    codes, documents, sigma, wanted = one_space(rng, (0.15, 0.45))
    inner = codes @ documents.T
    found = {reciprocal_rank(inner / (scale * sigma**2), wanted) for scale in (1.0, 7.3, 0.01)}
    assert len(found) == 1
    assert len({reciprocal_rank(inner / tau, wanted) for tau in (0.07, 1.0, 40.0)}) == 1  # M = 1


def test_a_document_s_temperature_is_the_wrong_one(rng):
    """sigma = (.15, .45): (9) at tau = sigma^2 .5108, at its best .7194, with the posterior's offsets .7506.

    Means of six corpora, whose deviations are near .01; the best of (9) is looked for on a grid of its one ratio.
    """
    found = []
    for _ in range(6):
        codes, documents, sigma, wanted = one_space(rng, (0.15, 0.45))
        inner = codes @ documents.T
        ratios = [reciprocal_rank(inner * np.where(sigma < 0.3, r, 1), wanted) for r in np.geomspace(0.4, 3, 13)]
        offset = (np.sum(codes**2, axis=1)[:, None] + 1) / (2 * sigma**2) + DIMENSION * np.log(sigma)
        posterior = inner / sigma**2 - offset
        found.append((reciprocal_rank(inner / sigma**2, wanted), max(ratios), reciprocal_rank(posterior, wanted)))
    np.testing.assert_allclose(np.mean(found, axis=0), (0.5108, 0.7194, 0.7506), atol=0.035)
    assert np.all(np.diff(found, axis=1) > 0)


# temperatures


@pytest.mark.parametrize(
    ("noise", "optimum", "uniform", "printed", "inverse"),
    [((0.25, 0.6), 0.9284, 0.7055, 0.6840, 0.7256), ((0.2, 1.0), 0.9731, 0.3652, 0.3294, 0.4050)],
)
def test_rule_ten_points_the_wrong_way(noise, optimum, uniform, printed, inverse, rng):
    """MRR with additive scores at sigma^2, at (1, 1), by (10), by section 6 and by the inverse of (10)."""
    h = entropies(noise)
    rule = np.asarray(printed_rule(h))
    assert rule[1] < rule[0]  # the noisier modality counts more
    np.testing.assert_allclose(np.ptp(np.asarray(section_six_rule(h))), 0, atol=1e-9)  # of two: always equal
    found = []
    for _ in range(8):
        scores, wanted = noisy_scores(rng, noise)
        at = lambda tau, s=scores, w=wanted: reciprocal_rank(np.tensordot(1 / np.asarray(tau), s, 1), w)
        found.append([at(np.square(noise)), at([1, 1]), at(rule), at(1 / rule)])
    mean = np.mean(found, axis=0)  # deviations near .005
    np.testing.assert_allclose(mean, [optimum, uniform, printed, inverse], atol=0.02)
    np.testing.assert_allclose(mean[2:] - mean[1], np.array([printed, inverse]) - uniform, atol=5e-3)  # paired


def test_cross_entropy_is_the_objective(rng):
    """sigma = (.25, .6): gradients, MRR >= E q(Y|C) >= 2^-CE with .9302, .8355, .6861, convexity, and the fit."""
    parts = [noisy_scores(rng, (0.25, 0.6)) for _ in range(4)]
    mean = lambda values: np.mean(np.array(values), axis=0)
    best, rule = 1 / np.square([0.25, 0.6]), 1 / np.asarray(printed_rule(entropies((0.25, 0.6))))
    at_rule = mean([cross_entropy(rule, *part)[1] for part in parts])
    np.testing.assert_allclose(at_rule, (-0.87, -0.56), atol=0.02)
    np.testing.assert_allclose(mean([cross_entropy(best, *part)[1] for part in parts]), 0, atol=0.01)
    quality = mean([reciprocal_rank(np.tensordot(best, part[0], 1), part[1]) for part in parts])
    loss, _, chance = zip(*(cross_entropy(best, *part) for part in parts), strict=True)
    chain = quality, np.mean(chance), np.exp(-np.mean(loss))
    np.testing.assert_allclose(chain, (0.9302, 0.8355, 0.6861), atol=0.02)
    assert chain[0] >= chain[1] >= chain[2]
    scores, wanted = parts[0]
    for _ in range(20):
        one, other = rng.uniform(0, 30, (2, 2))
        middle, ends = (
            cross_entropy((one + other) / 2, *parts[0])[0],
            [cross_entropy(b, *parts[0])[0] for b in (one, other)],
        )
        assert middle <= np.mean(ends) + 1e-12
    assert scores.shape == (2, len(wanted), DOCUMENTS)


@pytest.mark.parametrize(
    ("noise", "gain", "printed", "truth"),
    [
        ((0.25, 0.6), (1.0, 1.0), (0.0632, 0.3636), (0.0625, 0.36)),
        ((0.7, 0.5), (2.0, 0.8), (0.2458, 0.3119), (0.245, 0.3125)),
    ],
)
def test_the_optimum_is_noise_over_signal(noise, gain, printed, truth, rng):
    np.testing.assert_allclose(np.square(noise) / gain, truth, rtol=1e-12)
    np.testing.assert_allclose(gaussian_temperatures(np.array(gain), np.square(noise)), truth, rtol=1e-12)
    found = fitted(rng, noise, gain)
    np.testing.assert_allclose(found, truth, rtol=0.06)
    np.testing.assert_allclose(printed, truth, rtol=0.02)  # the notes' own fit


def test_a_codeword_s_noise_adds_to_the_query_s(rng):
    """48 and 12 bits, sigma = .2: sigma^2 + (S + sigma^2) / (2^(2R/d) - 1) = (.0454, .1217); fitted .0443, .1199."""
    variance = 0.2**2
    added = (1 / DIMENSION + variance) / (2 ** (2 * np.array([48, 12]) / DIMENSION) - 1)
    np.testing.assert_allclose(variance + added, (0.0454, 0.1217), atol=5e-5)
    found = fitted(rng, np.sqrt(variance + added), corpora=12)  # few queries err, so deviations are near 4%
    np.testing.assert_allclose(found, variance + added, rtol=0.12)


def test_rules_ten_and_six_are_not_proportional():
    """H = (2, 4, 6): (1.414, 1, .816) against (1.415, .032, 1.415), ratios (1, 31.6, .577)."""
    h = np.array([2.0, 4.0, 6.0])
    ten, six = np.sqrt(h.mean() / h), np.sqrt(np.abs(h - h.mean()) + 1e-3)
    np.testing.assert_allclose(ten, (1.414, 1, 0.816), atol=5e-4)
    np.testing.assert_allclose(six, (1.415, 0.032, 1.415), atol=5e-4)
    np.testing.assert_allclose(ten / six, (1, 31.6, 0.577), rtol=2e-3)
    np.testing.assert_allclose(printed_rule(h), ten, rtol=1e-12)
    found = np.asarray(section_six_rule(h))
    np.testing.assert_allclose(found / found[0], six / six[0], rtol=1e-9)


def test_equal_entropies_with_optima_81_apart():
    """Signal and noise (.9, .1), (.1, .9): queries over their gain have tau = noise / signal; raw ones are 27 apart."""
    signal, noise = np.array([0.9, 0.1]), np.array([0.1, 0.9])
    np.testing.assert_allclose(printed_rule(np.log2(signal + noise) + 3), [1, 1])
    tau, raw = noise / signal, noise / np.sqrt(signal)
    assert tau[1] / tau[0] == pytest.approx(81)
    assert raw[1] / raw[0] == pytest.approx(27)
    assert list(itertools.chain(signal + noise)) == [1, 1]
