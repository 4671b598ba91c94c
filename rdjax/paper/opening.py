"""Sections 1 and 2 of the paper: what it sets out to do, and its definitions."""

from itertools import permutations

import jax.numpy as jnp
import numpy as np

from rdjax.limits.one_shot import one_shot_distortion
from rdjax.limits.ranking import ranking_distortion, ranking_rate
from rdjax.paper import formulas, instances, sample_formulas
from rdjax.paper.record import Evidence, Statement

INTRODUCTION, BACKGROUND = "1. Introduction", "2. Background and Notation"
CURVE = "rdjax.limits.ranking_rate"


def _single_letter() -> Evidence:
    point, exact = instances.classical_rates(0.12062)
    classical = float(point.rate)
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
    penalty = float(formulas.skew_penalty(instances.beside_noise(20.0)))
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
    """c / sqrt(n) is left of the excess."""
    return instances.floor_evidence(1000, 8, float(sample_formulas.drift_sum(jnp.inf, jnp.array([0.0, 1.0, 0.0]))))


def _range_of_distortion() -> Evidence:
    words = "N = 1000: distortion at ranks 1 and 1000, and 0 and 1 - 1/N"
    found = tuple(float(x) for x in formulas.distortion(jnp.array([1.0, 1000.0])))
    printed = (0.0, 1 - 1 / 1000)
    return Evidence(words, printed, found, bool(np.allclose(printed, found, atol=1e-12)))


def _rank_alone() -> Evidence:
    """All rankings of 5 documents: those that give the relevant one the same rank."""
    ranks = np.array([places[0] for places in permutations(range(1, 6))])
    distortions = instances.permutation_distortions(5)[0]
    spread = max(float(np.ptp(distortions[ranks == k])) for k in range(1, 6))
    words = (
        "120 rankings of 5 documents: different distortions d takes (120 if it told permutations apart), and found; "
        f"among those that give the document one rank they differ by {spread:g}"
    )
    kinds = len(np.unique(np.round(distortions, 12)))
    return Evidence(words, 120.0, float(kinds), spread > 1e-12)


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
)
