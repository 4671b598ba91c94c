"""Sections 1 to 3 of the paper: what it sets out to do, its definitions, and the shape of R(D)."""

import math

import jax.numpy as jnp
import numpy as np

from rdjax.limits.one_shot import one_shot_distortion
from rdjax.limits.ranking import ranking_distortion, ranking_range, ranking_rate
from rdjax.paper import formulas, instances
from rdjax.paper.record import Evidence, Statement
from rdjax.rate_distortion.curves import rate_at

INTRODUCTION, BACKGROUND, PROBLEM = "1. Introduction", "2. Background and Notation", "3. Problem Formulation"
CURVE = "rdjax.limits.ranking_rate"


def _classical(target: float) -> tuple[float, float]:
    """Bits by Shannon's problem over all 24 rankings of 4 documents, and by Theorem B."""
    prior = np.array(instances.PRIOR)
    point = rate_at(prior, instances.permutation_distortions(4), target)
    return float(point.rate), float(ranking_rate(target, prior))


def _single_letter() -> Evidence:
    classical, exact = _classical(0.12062)
    words = (
        f"prior {instances.PRIOR}, D = .12062: bits by Shannon's formula over all 24 rankings, said not to apply, and "
        "exactly for ranking codes"
    )
    return Evidence(words, classical, exact, abs(classical - exact) > 1e-5)


def _lower_bounds() -> Evidence:
    code, limit = float(one_shot_distortion(2**8, 1000)), float(ranking_distortion(8.0, 1000))
    words = "N = 1000, 8 bits: distortion D(R), and that of the best code of 256 words, which is above it"
    return Evidence(words, limit, code, code >= limit)


def _penalty_of_noise() -> Evidence:
    noisy = instances.beside_noise(20.0)
    penalty = float(formulas.skew(noisy) * noisy.imbalance)
    excess = float(ranking_rate(0.0, 4)) - instances.FOUR
    words = "X_1 = Y one of 4, X_2 20 bits of noise: kappa Delta H, and the bits beyond H(Y) that perfect ranking needs"
    return Evidence(words, penalty, excess, excess >= penalty)


def _optimal_at_zero() -> Evidence:
    """Two copies of Y: kappa = 0, and a deterministic code of points on a circle is optimal."""
    distortion, bits = instances.circle_code(4)
    limit = float(ranking_rate(distortion, 4))
    law = np.diag(np.full(4, 0.25))
    kappa = float(formulas.skew(instances.modalities_of_law(law)))
    words = (
        "two copies of Y, one of 4, codeword e_Y on a circle, distortion "
        f"{distortion:g} with {bits:g} bits, {bits - limit:g} above R(D): kappa where the bound is hit, said to be 1"
    )
    return Evidence(words, 1.0, kappa, abs(bits - limit) > 1e-9 or abs(kappa - 1) < 1e-9)


def _floor_large() -> Evidence:
    gap = instances.floor_above(1000, 8)
    words = "N = 1000, R = 8, n infinite: c / sqrt(n), and the best one-query code's distortion above D(R)"
    return Evidence(words, 0.0, gap, gap <= 1e-9)


def _range_of_distortion() -> Evidence:
    words = "N = 1000: distortion at ranks 1 and 1000, and 0 and 1 - 1/N"
    found = tuple(float(x) for x in formulas.distortion(jnp.array([1.0, 1000.0])))
    printed = (0.0, 1 - 1 / 1000)
    return Evidence(words, printed, found, bool(np.allclose(printed, found, atol=1e-12)))


def _rank_alone() -> Evidence:
    """All rankings of 5 documents: those that give the relevant one the same rank."""
    distortions = instances.permutation_distortions(5)[0]
    ranks = np.round(1 / (1 - distortions)).astype(int)
    spread = max(float(np.ptp(distortions[ranks == k])) for k in range(1, 6))
    words = "120 rankings of 5 documents: different distortions d takes (120 if it told permutations apart), and found"
    kinds = len(np.unique(np.round(distortions, 12)))
    return Evidence(words, 120.0, float(kinds), spread > 0 or kinds == 120)


def _deterministic_rate(target: float) -> float:
    """Equation (2) for two equally likely documents: a constant code, or one that tells which."""
    return float(formulas.least_rate(jnp.array([0.0, 1.0]), jnp.array([0.25, 0.0]), target))


def _not_convex() -> Evidence:
    value, chord = _deterministic_rate(1 / 8), (_deterministic_rate(0.0) + _deterministic_rate(1 / 4)) / 2
    exact = float(ranking_rate(1 / 8, 2))
    words = (
        "N = 2, D = 1/8: (2) in bits, and its chord from D = 0 to 1/4, which a convex R stays below; (3) "
        f"is {exact:.3f}"
    )
    return Evidence(words, value, chord, value <= chord)


def _hamming() -> Evidence:
    """An additive distortion needs randomness as much, under a bound on I(X; C)."""
    exact = 1 - float(formulas.binary_entropy(0.25))  # the textbook's R(D) of a fair bit
    tables = np.array([[a, b] for a in (0, 1) for b in (0, 1)])
    wrong = (tables != np.array([0, 1])).mean(axis=1)
    bits = np.array([0.0, 1.0, 1.0, 0.0])
    best = float(formulas.least_rate(jnp.asarray(bits), jnp.asarray(wrong), 0.25))
    words = "a fair bit, Hamming distortion .25, which is additive: bits of the best deterministic map, and of R(D)"
    return Evidence(words, best, exact, best <= exact + 1e-9)


def _definition() -> Evidence:
    classical, exact = _classical(0.17861)
    words = f"prior {instances.PRIOR}, D = .17861: bits of (3) over all rankings, and of Theorem B"
    return Evidence(words, classical, exact, abs(classical - exact) < 1e-5)


def _convex() -> Evidence:
    rates = ranking_rate(jnp.array([0.1, 0.5, 0.3]), 1000)
    chord, value = float(formulas.time_sharing_rate(rates[:2], 0.5)), float(rates[2])
    words = "N = 1000: mean of R(.1) and R(.5) in bits, and R(.3) below it"
    return Evidence(words, chord, value, bool(rates[0] >= rates[2] >= rates[1]) and value <= chord)


def _threshold() -> Evidence:
    random = instances.random_distortion(4)
    worst = float(ranking_range(np.array(instances.PRIOR)).worst)
    words = f"prior {instances.PRIOR}: 1 - MRR of a random ranking, and the least D from which on R(D) = 0"
    return Evidence(words, random, worst, abs(random - worst) < 1e-9)


def _perfect() -> Evidence:
    source, needed = instances.FOUR + 3.0, float(ranking_rate(0.0, 4))
    words = "X = (Y, 3 bits of noise), Y one of 4: H(X), and R(0), bits"
    return Evidence(words, source, needed, math.isclose(source, needed))


STATEMENTS = (
    Statement(
        "Section 1a",
        INTRODUCTION,
        "the celebrated single-letter formulas of Shannon and Berger do not directly apply",
        "false",
        "1 - 1/rank is a bounded distortion between a document and a ranking, averaged over queries; Shannon's "
        "theorem holds as it is.",
        _single_letter,
        CURVE,
    ),
    Statement(
        "Section 1b",
        INTRODUCTION,
        "a single-letter rate-distortion function R(D) that lower-bounds the achievable expected ranking distortion",
        "true",
        "R(D) does so by its definition; its formula, which the paper does not give, is Theorem B.",
        _lower_bounds,
        "rdjax.limits.ranking_distortion",
    ),
    Statement(
        "Section 1c",
        INTRODUCTION,
        "a new modality-skew coefficient that quantifies how entropy imbalance and cross-modal redundancy inflate",
        "false",
        "If the query determines its document R(D) is that of the document alone, for any law of the modalities; "
        "the price of a modality is H(Y | the others).",
        _penalty_of_noise,
        "rdjax.limits.cut_set_rate",
    ),
    Statement(
        "Section 1d",
        INTRODUCTION,
        "hit the bound only when this coefficient equals one; otherwise they are information-theoretically sub-optimal",
        "false",
        "A deterministic code hits the true bound at coefficient 0, where section 4.3 too says that it does.",
        _optimal_at_zero,
        CURVE,
    ),
    Statement(
        "Section 1e",
        INTRODUCTION,
        "attains distortion within $O(n^{-1/2})$ of the bound in finite samples",
        "false",
        "One query alone has a floor above D(R) that no number of samples removes; the abstract has O(1/n).",
        _floor_large,
        "rdjax.limits.one_shot_distortion",
    ),
    Statement(
        "(1)",
        BACKGROUND,
        "d((X,Y),\\pi) = 1 - RR(\\pi;Y)",
        "true",
        "A definition; its values are 0 to 1 - 1/N.",
        _range_of_distortion,
        "rdjax.paper.distortion",
    ),
    Statement(
        "Section 2",
        BACKGROUND,
        "d depends on the entire permutation, not a sum of per-item penalties",
        "false",
        "It depends on one number, the rank of the relevant document (worked out here).",
        _rank_alone,
        "rdjax.retrieval.weights.reciprocal_rank",
    ),
    Statement(
        "(2)",
        BACKGROUND,
        "R(D) = \\min_{f,g: \\mathbb{E}[d] \\le D} I(X; C)",
        "true in part",
        "With the deterministic encoders of section 2 it is another function than (3), and not convex.",
        _not_convex,
        CURVE,
    ),
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
        "Trivially R(D)=0 for $D\\geq 1-{\\rm MRR_{Rand}}$",
        "true in part",
        "It is sufficient, and the threshold for a uniform prior only; otherwise ranking by the prior does better.",
        _threshold,
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
)
