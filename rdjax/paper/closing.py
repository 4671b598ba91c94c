"""Section 9 of the paper: what it concludes, and what it leaves to others."""

import jax.numpy as jnp
import numpy as np

from rdjax.limits.ranking import ranking_rate
from rdjax.paper import formulas, instances, sample_formulas
from rdjax.paper.instances import TABLE_ONE
from rdjax.paper.record import Evidence, Statement

CONCLUSION = "9. Conclusion and Outlook"


def _sharp() -> Evidence:
    """A sharp bound would be equal to R(0)."""
    printed = float(formulas.skew_rate(0.0, 4, instances.beside_noise(20.0)))
    exact = float(ranking_rate(0.0, 4))
    words = "X_1 = Y one of 4, X_2 20 bits of noise, D = 0: bits by Theorem 4.1, and least bits"
    return Evidence(words, printed, exact, abs(printed - exact) < 1e-9)


def _precisely() -> Evidence:
    """Three laws of modalities for the same document: a copy, a constant, noise."""
    copy = instances.modalities_of_law(np.diag(np.full(4, 0.25)))
    laws = [copy, instances.beside_noise(0.0), instances.beside_noise(8.0)]
    printed = tuple(float(formulas.skew_rate(0.0, 4, law)) for law in laws)
    exact = float(ranking_rate(0.0, 4))
    words = "X_1 = Y one of 4, X_2 a copy, a constant, 8 bits of noise: bits of perfect ranking by (7), and needed"
    return Evidence(words, printed, (exact,) * 3, bool(np.allclose(printed, exact)))


def _finite() -> Evidence:
    return instances.floor_evidence(4, 1, float(sample_formulas.achieved_distortion(0.0, jnp.inf)))


def _samples() -> Evidence:
    """Samples at which a table of K cells is learned to a given accuracy: in proportion to K."""
    words = (
        "one bit a modality, M from 4 to 10: factor in samples at equal accuracy as said, at most 10/4, "
        "and (R_n ratio)^2"
    )
    found = instances.complexity_growth() ** 2
    return Evidence(words, 10 / 4, found, found <= 10 / 4)


def _two_points() -> Evidence:
    below = max(instances.TOLD), float(np.max(np.array(TABLE_ONE["bound"]) - np.array(TABLE_ONE["adaptive"])))
    words = "distance to the frontier: said to be at most, and the largest in section 7.2's text and in Table 1"
    return Evidence(words, 0.02, below, max(below) <= 0.02 + 1e-9)


STATEMENTS = (
    Statement(
        "Section 9, sentence 2",
        CONCLUSION,
        "proved a sharp converse bound (Thm. 4.1) that isolates the modality-skew coefficient κ",
        "false",
        "It is above what codes spend.",
        _sharp,
        "rdjax.limits.ranking_rate",
    ),
    Statement(
        "Section 9, sentence 3",
        CONCLUSION,
        "The bound shows precisely how entropy imbalance and cross-modal redundancy inflate the number of bits",
        "false",
        "Perfect ranking needs H(Y) bits whatever the modalities share.",
        _precisely,
        "rdjax.limits.cut_set_rate",
    ),
    Statement(
        "Section 9, sentence 4",
        CONCLUSION,
        "attains distortion within $O(n^{-1})$ of R(D) in finite samples (Thm. 5.1)",
        "false",
        "One query alone has a floor above R(D) that no n removes.",
        _finite,
        "rdjax.limits.one_shot_distortion",
    ),
    Statement(
        "Section 9, sentence 5",
        CONCLUSION,
        "established sub-linear sample complexity in both the number of modalities M and the imbalance ΔH (Thm. 6.2)",
        "false",
        "Samples are needed in proportion to the number of cells, which is exponential in M (simulated here).",
        _samples,
        "rdjax.limits.decoder_complexity",
    ),
    Statement(
        "Section 9, sentence 6",
        CONCLUSION,
        "our explicit scheme tracks the theoretical frontier to within two percentage points",
        "false",
        "Section 7.2 itself has 2.8 points at 64 bits; and the frontier is none.",
        _two_points,
        "rdjax.limits.ranking_distortion",
    ),
    Statement(
        "Section 9, continual",
        CONCLUSION,
        "the conjecture is a bound of order $R(D) + O(\\sqrt{\\log T/T})$ over T tasks",
        "not tested",
        "A conjecture; the source, its drift and what the bound is of are not specified. For the cross-entropy of "
        "temperatures, against the best fixed ones, order sqrt(1/T) is proved, without a log.",
        None,
        "rdjax.retrieval.follow_stream",
    ),
    Statement(
        "Section 9, generation",
        CONCLUSION,
        "decomposes into a retrieval miss-rate plus an encoder—decoder KL term",
        "not tested",
        "A conjecture; the PAC-Bayes machinery that it refers to is not in section 8. The split itself is the law of "
        "total probability, and bits bound its first part.",
        None,
        "rdjax.limits.least_answer_error",
    ),
    Statement(
        "Section 9, graphs",
        CONCLUSION,
        "transferring the modality-skew coefficient to graph-aware corpora may reveal capacity limits for retrieval on "
        "knowledge graphs or citation networks",
        "not tested",
        "Called speculative by the paper, and the coefficient limits nothing in the first place; limits of retrieval "
        "take any law of relevance, a graph's too.",
        None,
        "rdjax.limits.relevance_bounds",
    ),
    Statement(
        "Section 9, hops",
        CONCLUSION,
        "adding a new source channel whose rate is governed by the same R(D) curve",
        "not tested",
        "Called speculative by the paper.",
        None,
        "rdjax.limits.ranking_curve",
    ),
)
