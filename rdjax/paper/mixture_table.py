"""Sections 7.1 and 7.2 of the paper: the set-up, and the synthetic mixture in Table 1."""

import math

import jax.numpy as jnp
import numpy as np

from rdjax.limits.ranking import ranking_distortion, ranking_rate
from rdjax.paper import formulas, instances, sample_formulas
from rdjax.paper.instances import TABLE_BITS, TABLE_ONE, TABLE_TWO, TOLD
from rdjax.paper.record import Evidence, Statement

SETUP, SYNTHETIC = "7.1. Experimental Setup", "7.2. Results on Synthetic Mixtures"
CURVE, CALIBRATED, MEASURED = (
    "rdjax.limits.ranking_distortion",
    "rdjax.retrieval.calibrate_temperatures",
    "rdjax.retrieval.paired_bootstrap",
)
BOUND = np.array(TABLE_ONE["bound"])
LAG = (0.04, 0.05)  # of fixed temperatures below the bound, in the text


def _below(method: str) -> tuple[float, ...]:
    """Distance of a row of Table 1 from its row of bounds."""
    return tuple(np.round(BOUND - np.array(TABLE_ONE[method]), 12).tolist())


def _standard_error() -> Evidence:
    """The largest there can be: a quality that is 0 or 1, half the time each; sixty in a hundred of 1000 queries."""
    synthetic = 0.5 / math.sqrt(15_000)
    share = TABLE_TWO["adaptive"][1][1] / 100
    real = math.sqrt(share * (1 - share) / 1000)
    words = "standard errors, at most; largest possible on 15,000 test pairs; of Recall@1 60.0 on 1000 queries"
    return Evidence(words, 0.006, (synthetic, real), max(synthetic, real) <= 0.006)


def _one_curve() -> Evidence:
    """The penalty that R_bal(1 - bound) + penalty = R needs, column by column."""
    needed = np.array(TABLE_BITS) - np.asarray(formulas.fano_rate(1 - BOUND, 1000))
    penalty = formulas.skew_penalty(instances.mixture_modalities())
    words = "Table 1's bounds: kappa Delta H of the mixture, one number, and what each column needs it to be, bits"
    return Evidence(words, float(penalty), tuple(map(float, needed)), float(np.ptp(needed)) < 1)


def _equal_views() -> Evidence:
    first, second, _ = instances.mixture()
    tau = formulas.adaptive_temperatures(jnp.array([first, second]))
    gain = tuple(np.round(np.array(TABLE_ONE["adaptive"]) - np.array(TABLE_ONE["fixed"]), 12).tolist())
    difference = float(jnp.abs(tau[0] - tau[1]))
    words = (
        f"H = ({first:.2f}, {second:.2f}) bits: gain of adaptive over fixed temperatures, and |tau_1 - tau_2| by (10)"
    )
    return Evidence(words, gain, difference, difference > 0)


def _within_points() -> Evidence:
    said = 2.1, 1.5
    told = tuple(round(100 * distance, 9) for distance in TOLD)
    words = "points below the bound at R = 64 and 512: range said here, and the text's own figures two lines on"
    return Evidence(words, said, told, min(said) <= min(told) and max(told) <= max(said))


def _lags() -> Evidence:
    lag = _below("fixed")
    words = "fixed temperatures below the bound: range said, and Table 1"
    return Evidence(words, LAG, lag, min(lag) >= LAG[0] - 0.005 and max(lag) <= LAG[1] + 0.005)


def _double() -> Evidence:
    """Against the 4 to 5 points that the sentence itself doubles, and against the table's."""
    clip = np.array(_below("clip"))
    ratios = np.stack([clip / np.mean(LAG), clip / np.array(_below("fixed"))])
    words = "CLIP below the bound in Table 1, over the 4.5 points of the sentence"
    found = tuple(np.round(ratios[0], 2).tolist())
    return Evidence(words, 2.0, found, bool(np.all((ratios >= 1.5) & (ratios <= 2.5))))


def _shrinks() -> Evidence:
    """Theorem 5.1's remainder at both rates: n as in section 7.1, the constant from the first distance."""
    samples, least = 85_000, 1 - BOUND[[0, -1]]
    away = np.asarray(sample_formulas.achieved_distortion(least, samples, TOLD[0] * samples)) - least
    words = "distance to the bound at R = 64 and 512: in the text, and by Theorem 5.1 with c / n from the first"
    return Evidence(words, TOLD, tuple(away.tolist()), bool(np.allclose(away, TOLD, atol=1e-3)))


def _needed_bits() -> Evidence:
    """MRR of the bound's first column."""
    found = float(ranking_rate(1 - TABLE_ONE["bound"][0], 1000))
    limit = 1 - float(ranking_distortion(64.0, 1000))
    words = (
        f"MRR .59 over 1000 documents: bits said to be needed, and bits needed; at 64 bits the limit is MRR {limit:g}"
    )
    return Evidence(words, 64.0, found, math.isclose(64, found, rel_tol=0.01))


def _beaten() -> Evidence:
    found = instances.channel_quality(64)
    words = "the mixture, 64 bits: MRR at most, and MRR of a Gaussian test channel that does not know the documents"
    return Evidence(words, TABLE_ONE["bound"][0], found, found <= TABLE_ONE["bound"][0])


def _validated() -> Evidence:
    needed = TABLE_BITS[0] - float(formulas.fano_rate(1 - BOUND[0], 1000))
    found = float(formulas.skew_penalty(instances.mixture_modalities()))
    words = (
        "kappa Delta H of the mixture, bits: by the first column of the bound, and computed; at 0 no constant is seen"
    )
    return Evidence(words, needed, found, math.isclose(needed, found, rel_tol=0.1))


STATEMENTS = (
    Statement(
        "Section 7.1a",
        SETUP,
        "The theoretical curve is $1 - R_{\\text{bal}}^{-1}(R)$",
        "not defined",
        "R_bal is at most 9.97 bits, so R_bal + kappa Delta H = R needs another constant in every column; that of "
        "the mixture is 0.",
        _one_curve,
        CURVE,
    ),
    Statement(
        "Section 7.1b",
        SETUP,
        "standard errors are below 0.6% and omitted for clarity",
        "true in part",
        "On 15,000 test pairs they must be; on 1000 images they are not, if queries are the sample (worked out here).",
        _standard_error,
        MEASURED,
    ),
    Statement(
        "Section 7.2a",
        SYNTHETIC,
        "our adaptive decoder consistently lands within 1.5-2.1 percentage points of the bound",
        "false",
        "The next sentence has 2.8 and 1.1 points (worked out here).",
        _within_points,
        CURVE,
    ),
    Statement(
        "Section 7.2b",
        SYNTHETIC,
        "fixed- τ lags by 4–5 points",
        "false",
        "Table 1 has 8, 7, 7 and 5 below the bound.",
        _lags,
        MEASURED,
    ),
    Statement(
        "Section 7.2c",
        SYNTHETIC,
        "naïve CLIP by roughly double that",
        "true in part",
        "Of the distances in the table 1.6 to 2 times, of those in the text 2.2 to 2.9 times (worked out here).",
        _double,
        MEASURED,
    ),
    Statement(
        "Section 7.2d",
        SYNTHETIC,
        "the *distance to the bound shrinks with R* as predicted by Theorem 5.1: from 0.028 at R=64 to 0.011 at R=512",
        "true in part",
        "It shrinks, in Table 1 from .02 to .01, which rounding can explain; but Theorem 5.1 predicts nothing of R, as "
        "its remainder is in n.",
        _shrinks,
        CURVE,
    ),
    Statement(
        "Table 1, bound",
        SYNTHETIC,
        "Rate-Distortion Bound 0.59 0.68 0.79 0.85",
        "false",
        "Exact: .59 needs 4.85 bits, and at 64 bits no limit is below 1.",
        _needed_bits,
        "rdjax.limits.ranking_rate",
    ),
    Statement(
        "Table 1, bound at 64",
        SYNTHETIC,
        "Rate-Distortion Bound 0.59",
        "false",
        "Even codes made without the documents exceed it.",
        _beaten,
        "rdjax.limits.blind_distortion",
    ),
    Statement(
        "Table 1, adaptive",
        SYNTHETIC,
        "Adaptive τ (ours) 0.57 0.66 0.77 0.84",
        "false",
        "Both modalities have the same entropy, so adaptive and fixed temperatures are the same decoder.",
        _equal_views,
        CALIBRATED,
    ),
    Statement(
        "Figure 1",
        SYNTHETIC,
        "the adaptive curve hugs the theory throughout, validating the constants in (7) and Lemma 6.3",
        "false",
        "Delta H is 0 on the mixture: what multiplies it cannot be seen.",
        _validated,
        "rdjax.data.gaussian_mixture",
    ),
)
