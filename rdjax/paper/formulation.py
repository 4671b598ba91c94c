"""Section 3 of the paper: R(D), its shape and its ends."""

import math

import jax.numpy as jnp
import numpy as np

from rdjax.limits.ranking import ranking_range, ranking_rate
from rdjax.paper import formulas, instances
from rdjax.paper.record import Evidence, Statement

PROBLEM = "3. Problem Formulation"
CURVE = "rdjax.limits.ranking_rate"


def _definition() -> Evidence:
    point, exact = instances.classical_rates(0.17861)
    classical = float(point.rate)
    words = f"prior {instances.PRIOR}, D = .17861: bits of (3) over all rankings, and of Theorem B"
    return Evidence(words, classical, exact, abs(classical - exact) < 1e-5)


def _convex() -> Evidence:
    rates = ranking_rate(jnp.array([0.1, 0.5, 0.3]), 1000)
    chord, value = float(formulas.time_sharing_rate(rates[:2], 0.5)), float(rates[2])
    words = "N = 1000: mean of R(.1) and R(.5) in bits, and R(.3) below it"
    return Evidence(words, chord, value, bool(rates[0] >= rates[2] >= rates[1]) and value <= chord)


def _support() -> Evidence:
    target = 0.12062
    count, bits, reached = instances.smallest_code(target)
    exact = float(ranking_rate(target, np.array(instances.PRIOR)))
    words = (
        f"prior {instances.PRIOR}, D = {target}: |X| + 1, and the codewords of one of the best codes over 24 rankings, "
        f"which has D = {reached:.5f} with {bits:.4f} bits where R(D) = {exact:.4f}"
    )
    best = abs(bits - exact) < 1e-5 and abs(reached - target) < 1e-6
    return Evidence(words, len(instances.PRIOR) + 1.0, float(count), best and count <= len(instances.PRIOR) + 1)


def _hamming() -> Evidence:
    """An additive distortion needs randomness as much, under a bound on I(X; C)."""
    exact = 1 - float(formulas.binary_entropy(0.25))  # the textbook's R(D) of a fair bit
    tables = np.array([[a, b] for a in (0, 1) for b in (0, 1)])
    wrong = (tables != np.array([0, 1])).mean(axis=1)
    bits = np.array([0.0, 1.0, 1.0, 0.0])
    best = float(formulas.least_rate(jnp.asarray(bits), jnp.asarray(wrong), 0.25))
    words = "a fair bit, Hamming distortion .25, which is additive: bits of the best deterministic map, and of R(D)"
    return Evidence(words, best, exact, best <= exact + 1e-9)


def _random_ranking() -> Evidence:
    random = instances.random_distortion(4)
    zero = float(ranking_rate(random, np.array(instances.PRIOR)))
    words = f"prior {instances.PRIOR}, D = {random:.4f}, that of a random ranking: R(D), said to be 0, and found"
    return Evidence(words, 0.0, zero, zero == 0)


def _perfect() -> Evidence:
    source, needed = instances.FOUR + 3.0, float(ranking_rate(0.0, 4))
    words = "X = (Y, 3 bits of noise), Y one of 4: H(X), and R(0), bits"
    return Evidence(words, source, needed, math.isclose(source, needed))


def _threshold() -> Evidence:
    random = instances.random_distortion(4)
    worst = float(ranking_range(np.array(instances.PRIOR)).worst)
    words = f"prior {instances.PRIOR}: 1 - MRR of a random ranking, and the least D from which on R(D) = 0"
    return Evidence(words, random, worst, abs(random - worst) < 1e-9)


def _slope() -> Evidence:
    """X_1 one of 20, X_2 a constant, and two laws of a document that is a function of X_1: the modalities are alike."""
    step, slopes = 1e-7, []
    for law in (np.full(4, 0.25), np.array(instances.PRIOR)):
        slopes.append(float(ranking_rate(float(ranking_range(law).worst) - step, law)) / step)
    words = (
        "X_1 one of 20, X_2 constant, Y a function of X_1, uniform on 4, then with the prior "
        f"{instances.PRIOR}: slope at which R(D) leaves 0, bits, if H_m and I_cross govern it, and found"
    )
    return Evidence(words, (slopes[0],) * 2, tuple(slopes), math.isclose(*slopes, rel_tol=1e-3))


STATEMENTS = (
    Statement(
        "(3)",
        PROBLEM,
        "R(D) = \\inf_{\\substack{f,g \\\\ \\mathbb{E}[d] \\le D}} I(X;C)",
        "true",
        "A definition, and that of the classical theory; Theorem B evaluates it.",
        _definition,
        CURVE,
    ),
    Statement(
        "Lemma 3.1",
        PROBLEM,
        "R(D) is non-increasing and convex in D.",
        "true",
        "The proof sends a bit to zero length, which it cannot; shared randomness needs no such bit.",
        _convex,
        CURVE,
    ),
    Statement(
        "Section 3, support",
        PROBLEM,
        "the infimum is achieved by a distribution $P_{C|X}^{\\star}$ with support size at most $|\\mathcal{X}| + 1$",
        "true",
        "Caratheodory: the channel's denominators and the distortion are |X| + 1 sums, which that many codewords keep.",
        _support,
        "rdjax.rate_distortion.rate_at",
    ),
    Statement(
        "Section 3a",
        PROBLEM,
        "Deterministic encoders suffice only when the distortion measure is additive; here, randomness is "
        "indispensable",
        "false",
        "Additive distortions need randomness as much if I(X; C) is what is bounded, and none needs it if the "
        "number of codewords is.",
        _hamming,
        "rdjax.limits.one_shot_distortion",
    ),
    Statement(
        "Section 3b",
        PROBLEM,
        "Trivially R(D)=0 for $D\\geq 1-{\\rm MRR_{Rand}}$ where the decoder returns a uniform permutation",
        "true",
        "For any prior: a random ranking has that distortion and needs no bits.",
        _random_ranking,
        "rdjax.limits.ranking_range",
    ),
    Statement(
        "Section 3c",
        PROBLEM,
        "$R(D)=R_{\\rm max}$ for D=0 (perfect retrieval demands full information)",
        "false",
        "Perfect ranking needs H(Y), not H(X).",
        _perfect,
        CURVE,
    ),
    Statement(
        "Section 3d",
        PROBLEM,
        "Between these extremes, the slope of R(D) is governed by",
        "false",
        "R(D) leaves 0 where ranking by the prior does, and not at a random ranking's distortion, unless the prior is "
        "uniform; in between its slope is 0.",
        _threshold,
        "rdjax.limits.ranking_range",
    ),
    Statement(
        "Section 3e",
        PROBLEM,
        "the slope of R(D) is governed by cross-modal redundancy and marginal entropies",
        "false",
        "Where the query determines its document, the law of the document alone governs it.",
        _slope,
        CURVE,
    ),
)
