"""Sections 4.3 and 4.4 of the paper: contrastive objectives, and one modality."""

import math

import jax.numpy as jnp
import numpy as np

from rdjax.information.modalities import unique_relevance
from rdjax.limits.dimensions import log2_rankings
from rdjax.limits.ranking import ranking_rate
from rdjax.paper import formulas, instances
from rdjax.paper.record import Evidence, Statement

CONTRASTIVE, UNIMODAL = "4.3. Implications for Contrastive Objectives", "4.4. Unimodal Corollary"
CURVE, PRICE = "rdjax.limits.ranking_rate", "rdjax.limits.cut_set_rate"


def _volume() -> Evidence:
    distortion, bits = instances.circle_code(9)
    printed = float(formulas.volume_bound(2))
    words = f"nine points of the circle as codewords, distortion {distortion:g}: bits at most, and H(C)"
    return Evidence(words, printed, bits, bits <= printed)


def _contrastive() -> Evidence:
    """A constant code of two dimensions exists; its D is that of a random ranking."""
    worst = instances.random_distortion(1000)
    slack = float(formulas.contrastive_slack(2, worst, 1000, instances.copies(2)))
    words = (
        "N = 1000, d = 2, a constant code, kappa = 0: left side less right side of (8), and log2 of the "
        "rankings of d = 2"
    )
    return Evidence(words, slack, log2_rankings(1000, 2), slack >= 0)


def _strict() -> Evidence:
    distortion, bits = instances.circle_code(4)
    kappa, limit = float(formulas.skew(instances.beside_noise(0.0))), float(ranking_rate(distortion, 4))
    words = f"X_1 = Y one of 4, X_2 constant, kappa = {kappa:g}, codeword e_Y: bits of the code, and the least bits"
    return Evidence(words, bits, limit, kappa > 0 and bits > limit)


def _tight() -> Evidence:
    """Two copies of Y, one of 4: kappa = 0."""
    law = instances.modalities_of_law(np.diag(np.full(4, 0.25)))
    bound, exact = float(formulas.skew_rate(0.0, 4, law)), float(ranking_rate(0.0, 4))
    words = "two copies of Y, one of 4, kappa = 0, perfect ranking: bits by (7), and least bits"
    return Evidence(words, bound, exact, math.isclose(bound, exact))


def _unimodal() -> Evidence:
    worst = instances.random_distortion(1000)
    printed = float(formulas.unimodal_rate(worst, 1000))
    found = float(ranking_rate(jnp.minimum(worst + 1e-12, 1.0), 1000))
    words = "N = 1000, one modality, a random ranking: bits that R(D) is at least, and R(D)"
    return Evidence(words, printed, found, found >= printed)


def _price() -> Evidence:
    """One bit more of noise beside a document that is known anyway."""
    noisy = [instances.beside_noise(bits) for bits in (2.0, 3.0)]
    printed = [float(formulas.skew_penalty(m)) for m in noisy]
    needed = [float(unique_relevance(_known_beside_noise(bits))[1]) for bits in (2, 3)]
    words = "X_1 = Y one of 4, X_2 2 bits of noise, then 3: change of the penalty, and of what X_2 has to send, bits"
    change = printed[1] - printed[0], needed[1] - needed[0]
    return Evidence(words, *change, math.isclose(*change))


def _known_beside_noise(bits: int) -> np.ndarray:
    """The law of (X_1, X_2, Y) with X_1 = Y one of 4."""
    return np.eye(4)[:, None, :] * np.full((1, 2**bits, 1), 1 / (4 * 2**bits))


STATEMENTS = (
    Statement(
        "Section 4.3a",
        CONTRASTIVE,
        "Any such encoder satisfies $H(C) \\leq d\\log(\\sqrt{e\\pi})$ by the volume bound",
        "false",
        "A finite set of unit vectors has any number of elements in two dimensions; what is limited is the number "
        "of rankings.",
        _volume,
        "rdjax.limits.log2_rankings",
    ),
    Statement(
        "(8)",
        CONTRASTIVE,
        "d\\log(\\sqrt{e\\pi}) \\ge R_{\\text{bal}}(D) + \\kappa \\Delta H",
        "false",
        "It combines two false bounds, and a constant code refutes it.",
        _contrastive,
        "rdjax.limits.least_dimension",
    ),
    Statement(
        "Section 4.3b",
        CONTRASTIVE,
        "When $\\kappa=0$ (perfect redundancy or single-modal), the gap can vanish and (8) is tight",
        "false",
        "At kappa = 0 the right side is (5), which is not the least rate; with one modality kappa is 0 / 0.",
        _tight,
        CURVE,
    ),
    Statement(
        "Section 4.3c",
        CONTRASTIVE,
        "For any $\\kappa>0$ the inequality is strict, proving that fixed-temperature InfoNCE cannot reach the "
        "converse bound",
        "false",
        "A deterministic encoder with inner products and one temperature reaches R(0) at kappa = 1.",
        _strict,
        CURVE,
    ),
    Statement(
        "Corollary 4.4",
        UNIMODAL,
        "Theorem 4.1 reduces to $R(D)\\geq R_{\\rm rank}(D)$, i.e. the classical ranking Fano bound (5)",
        "false",
        "kappa is 0 / 0 at M = 1, and what is left is (5), which is false.",
        _unimodal,
        CURVE,
    ),
    Statement(
        "Section 4.4",
        UNIMODAL,
        "every additional bit of entropy disparity costs κ bits of retrieval rate",
        "false",
        "A bit of irrelevant entropy costs nothing; what costs is what only one modality knows of the document.",
        _price,
        PRICE,
    ),
)
