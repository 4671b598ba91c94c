"""Sections 4.1 and 4.2 of the paper: the Fano bound and the skew coefficient."""

import math

import jax.numpy as jnp

from rdjax.limits.converse import success_range
from rdjax.limits.ranking import ranking_rate
from rdjax.paper import formulas, instances
from rdjax.paper.record import Evidence, Statement

FANO, BALANCE = "4.1. A Fano Inequality for Ranking Distortion", "4.2. Decomposing Rate by Modality Balance"
CURVE, PRICE = "rdjax.limits.ranking_rate", "rdjax.limits.cut_set_rate"


def _identity() -> Evidence:
    """A perfect ranking: p_S = 1 and d = 0."""
    printed, found = 1 - 1.0 / 2, float(formulas.distortion(1.0))
    return Evidence("a perfect ranking, p_S = 1: E d by the formula, and E d", printed, found, printed == found)


def _jensen() -> Evidence:
    """A perfect ranking again, of 1000 documents."""
    success, documents = 1.0, 1000
    least, found = 1 - success / 2 - (1 - success) / (documents - 1), float(formulas.distortion(1.0))
    return Evidence("N = 1000, a perfect ranking, p_S = 1: E d at least, and E d", least, found, found >= least)


def _success() -> Evidence:
    printed = float(formulas.success_bound(0.0, 2))
    found = float(success_range(0.0, 2)[1])
    return Evidence("N = 2, D = 0: p_S at most, and p_S of a perfect ranking", printed, found, printed >= found)


def _conditional() -> Evidence:
    printed, found = float(formulas.top_entropy_bound(1e-3, 1000)), math.log2(1000)
    words = "N = 1000, a constant code, p_S = 1/1000: bits that H(Y | C) is at most, and H(Y | C)"
    return Evidence(words, printed, found, found <= printed)


def _fano() -> Evidence:
    printed, found = float(formulas.fano_rate(1 - 0.1, 1000)), float(ranking_rate(1 - 0.1, 1000))
    words = "N = 1000, MRR .10: bits that every code needs by (5), and bits with which codes reach it"
    return Evidence(words, printed, found, printed <= found)


def _direction() -> Evidence:
    printed, found = float(formulas.fano_rate(0.0, 1000)), float(ranking_rate(0.0, 1000))
    words = "N = 1000, perfect ranking: bits by (5), and bits"
    return Evidence(words, printed, found, math.isclose(printed, found, rel_tol=0.01))


def _balanced_source() -> Evidence:
    balanced, most = (math.log2(2) + math.log2(1024)) / 2, math.log2(2)
    words = "alphabets of 2 and 1024 symbols, uniform: the entropy X_1 is to have, and the most that it can have, bits"
    return Evidence(words, balanced, most, balanced <= most)


def _units() -> Evidence:
    metres, other = (float(instances.mixture_modalities(scale).imbalance) for scale in (1.0, 1000.0))
    words = "the paper's mixture: Delta H in bits with X_1 and X_2 in metres, and with X_2 in millimetres"
    return Evidence(words, metres, other, math.isclose(metres, other, abs_tol=1e-9))


def _negative() -> Evidence:
    found = tuple(float(formulas.skew(instances.copies(count))) for count in (3, 4))
    return Evidence(
        "three and four copies of a fair bit: least kappa, as said, and kappa", (0.0, 0.0), found, min(found) >= 0
    )


def _independent() -> Evidence:
    shared = instances.mixture()[2]
    words = "the paper's mixture, modalities independent given the intent: I(X_1; X_2), bits"
    return Evidence(words, 0.0, shared, abs(shared) < 1e-9)


def _redundant() -> Evidence:
    triple = instances.copies(3)
    printed, found = 1.0, float(triple.redundancy_as_printed)
    words = "three copies of a fair bit, fully redundant: their ratio, said to be 1, which gives kappa = 0"
    return Evidence(words, printed, found, math.isclose(printed, found))


def _theorem() -> Evidence:
    spent = float(ranking_rate(0.0, 4))
    printed = tuple(float(formulas.skew_rate(0.0, 4, instances.beside_noise(b))) for b in (0.0, 20.0))
    words = "X_1 = Y one of 4, X_2 constant, then 20 bits of noise, D = 0: bits that C = Y exceeds by (7), and its bits"
    return Evidence(words, printed, (spent, spent), all(spent > p for p in printed))


def _optimal_code() -> Evidence:
    printed, spent = float(formulas.skew_rate(0.2, 4, instances.beside_noise(8.0))), float(ranking_rate(0.2, 4))
    words = (
        "X_1 = Y one of 4, X_2 8 bits of noise, D = .2: bits that every code exceeds by (7), and those of the best code"
    )
    return Evidence(words, printed, spent, spent > printed)


def _simulated() -> Evidence:
    printed, found = float(formulas.fano_rate(1 - 0.46, 1000)), float(ranking_rate(1 - 0.46, 1000))
    return Evidence("N = 1000, MRR .46: R_bal, and R, bits", printed, found, found >= printed)


def _chain_rule() -> Evidence:
    """C = X: the subtracted entropies are 0."""
    twice = instances.copies(2)
    printed = float(jnp.sum(twice.entropies))
    found = float(jnp.sum(twice.entropies) - twice.information[0, 1])
    words = "two copies of a fair bit, C = X: bits that I(X; C) is at least, and I(X; C) = H(X)"
    return Evidence(words, printed, found, found >= printed)


STATEMENTS = (
    Statement(
        "Section 4.1a",
        FANO,
        "By construction $d((X,Y),g(C)) = 1 - \\frac{1}{2}p_S - \\sum_{k=2}^N "
        "\\frac{1\\{\\operatorname{rank}=k\\}}{k}$",
        "false",
        "Rank 1 is worth 1 and not 1/2.",
        _identity,
        "rdjax.paper.distortion",
    ),
    Statement(
        "Section 4.1, Jensen",
        FANO,
        "Jensen's inequality yields $\\mathbb{E}[d] \\ge 1 - p_S/2 - (1-p_S)/(N-1)$",
        "false",
        "It inherits the 1/2, and ranks other than 1 are worth up to 1/2, not 1/(N - 1).",
        _jensen,
        "rdjax.limits.success_range",
    ),
    Statement(
        "(4)",
        FANO,
        "p_{S} \\leq \\frac{1-D}{1/2-1/(N-1)} = \\frac{2(1-D)(N-1)}{N-3}",
        "true in part",
        "It holds from N = 4 on, where it is at least twice too large, fails at N = 2 and is undefined at N = 3; a "
        "converse needs the lower bound.",
        _success,
        "rdjax.limits.success_range",
    ),
    Statement(
        "Section 4.1b",
        FANO,
        "yields $H(Y \\mid C) \\leq h(p_{\\mathcal S}) + p_{\\mathcal S} \\log(N-1)$",
        "false",
        "Fano's inequality has the probability of error there, 1 - p_S.",
        _conditional,
        "rdjax.limits.fano_bounds",
    ),
    Statement(
        "(5)",
        FANO,
        "I(X;C) \\ge \\log N - h(D) - (1-D)\\log(N-1) =: R_{\\text{rank}}(D)",
        "false",
        "It rises with D from D = 1/N on: it asks for most bits where none are needed.",
        _fano,
        CURVE,
    ),
    Statement(
        "Section 4.1c",
        FANO,
        "It represents the rate needed if each query-document pair were a single merged random variable with "
        "entropy $\\log N$",
        "false",
        "At D = 0 that rate is log2 N, and (5) has almost nothing.",
        _direction,
        CURVE,
    ),
    Statement(
        "Section 4.2a",
        BALANCE,
        "Define the balanced source \\widetilde{X} that shares the same joint support as X but whose marginal "
        "entropies are equal",
        "not defined",
        "Such a source need not exist, and R_bal does not depend on it: it is (5).",
        _balanced_source,
        CURVE,
    ),
    Statement(
        "Section 4.2b",
        BALANCE,
        "Any encoder operating on the true X can be simulated on \\widetilde{X} ; hence $R(D) \\geq "
        "R_{\\mathrm{bal}}(D)$",
        "false",
        "R_bal is (5), which exceeds R(D) up to about the middle of the scale of MRR.",
        _simulated,
        CURVE,
    ),
    Statement(
        "Section 4.2c",
        BALANCE,
        "$\\Delta H=\\sum_{m=1}^{M}|H_m-\\overline{H}|$",
        "not defined",
        "For continuous modalities it depends on the unit of measurement, and R(D) does not.",
        _units,
        "rdjax.information.Modalities.imbalance",
    ),
    Statement(
        "(6)",
        BALANCE,
        "\\kappa = \\frac{1 - \\varrho}{M - 1}, \\qquad \\kappa \\in [0, 1]",
        "false",
        "The ratio counts every pair twice and reaches M - 1, so kappa falls below 0 from M = 3 on; at M = 1 it "
        "is 0 / 0.",
        _negative,
        "rdjax.information.Modalities.redundancy",
    ),
    Statement(
        "Section 4.2d",
        BALANCE,
        "When modalities are conditionally independent given the query intent ($\\varrho=0$)",
        "false",
        "What is independent given the intent is dependent through it.",
        _independent,
        "rdjax.information.gaussian_mutual_information",
    ),
    Statement(
        "Section 4.2e",
        BALANCE,
        "when they are fully redundant ($\\varrho=1$), $\\kappa=0$",
        "true in part",
        "For two modalities of equal entropy; M copies have the ratio M - 1.",
        _redundant,
        "rdjax.information.Modalities.redundancy",
    ),
    Statement(
        "Theorem 4.1",
        BALANCE,
        "For any encoder–decoder pair achieving expected distortion D, "
        "$$I(X;C) > R_{\\text{bal}}(D) + \\kappa \\Delta H.$$",
        "false",
        "The code C = Y of a query that contains Y spends H(Y), however unequal the modalities are.",
        _theorem,
        PRICE,
    ),
    Statement(
        "(7)",
        BALANCE,
        "I(X;C) > R_{\\text{bal}}(D) + \\kappa \\Delta H",
        "false",
        "No penalty in entropies and mutual information of modalities can be valid: it vanishes wherever the query "
        "determines the document.",
        _optimal_code,
        CURVE,
    ),
    Statement(
        "Theorem 4.1, proof",
        BALANCE,
        "$I(X;C) \\geq \\sum_{m} H_m - \\sum_{m} H(X_m \\mid C,X_{< m})$",
        "false",
        "The chain rule has H(X) for the first sum, which is less unless modalities are independent.",
        _chain_rule,
        "rdjax.information.total_correlation",
    ),
)
