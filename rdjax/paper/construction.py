"""Sections 5.1 and 5.2 of the paper: the quantizer and its temperatures."""

import jax
import jax.numpy as jnp
import numpy as np

from rdjax.codes.allocation import proportional_ceil
from rdjax.paper import formulas
from rdjax.paper.record import Evidence, Statement
from rdjax.rate_distortion.water_filling import reverse_water_filling
from rdjax.retrieval.closed_forms import gaussian_temperatures

QUANTIZER, DECODER = "5.1. Entropy-Weighted Product Quantiser", "5.2. Blahut–Arimoto Decoder with Adaptive Temperature"
CALIBRATED = "rdjax.retrieval.calibrate_temperatures"


def _budget() -> Evidence:
    spent = proportional_ceil([1.0, 2.0], 64).bits
    words = f"H = (1, 2), R = 64, R_m = {tuple(spent.tolist())}: bits at most, and their sum"
    return Evidence(words, 64.0, float(spent.sum()), int(spent.sum()) <= 64)


def _allocated() -> Evidence:
    """Theory notes, section 4: variances 16 and 1, R = 4; the least noisy gets what lowers the error most."""
    variances = np.array([16.0, 1.0])
    entropies = np.log2(2 * np.pi * np.e * variances) / 2
    shares = 4 * entropies / entropies.sum()
    error = float((variances * 4.0**-shares).sum())
    best = float(jnp.sum(reverse_water_filling(variances, 4.0).distortions))
    words = (
        "Gaussian modalities of variance 16 and 1, 4 bits: squared error of shares in proportion to "
        "entropy, and the least"
    )
    return Evidence(words, error, best, error <= best + 1e-9)


def _own_cell() -> Evidence:
    """E[1 - 1{X in its own cell}] of partitions as different as they get."""
    points = np.random.default_rng(0).uniform(size=1000)
    values = []
    for edges in (np.array([0.5]), np.array([0.01, 0.02, 0.03]), np.sort(np.random.default_rng(1).uniform(size=15))):
        bounds, cell = np.concatenate([[0.0], edges, [1.0]]), np.searchsorted(edges, points, side="right")
        values.append(float(np.mean(~((bounds[cell] <= points) & (points < bounds[cell + 1])))))
    words = (
        "partitions into 2, 4 and 16 cells: how many different values the objective takes, if it told them apart, and "
        "found"
    )
    return Evidence(words, 3.0, float(len(set(values))), len(set(values)) > 1)


def _drawn_codewords() -> Evidence:
    """One of 16 equal cells of the unit interval, 64 points in it, and every codeword that may be drawn for each."""
    inside = (np.arange(64) + 0.5) / 64 / 16
    center = float(np.mean((inside - np.mean(inside)) ** 2))
    drawn = float(np.mean((inside[:, None] - inside) ** 2))
    words = (
        "the unit interval in 16 cells, 4 bits either way: squared error of codewords drawn in their cells over that "
        "of the cells' centers, at most 1 if they were required, and found"
    )
    return Evidence(words, 1.0, drawn / center, drawn <= center)


def _scale() -> Evidence:
    rng = np.random.default_rng(0)
    scores, dominant = jnp.asarray(rng.standard_normal((2, 50, 20))), jnp.asarray(rng.integers(2, size=20))
    tau = jnp.array([0.15, 0.45])
    orders = [formulas.dominant_ranking(scores, scale * tau, dominant) for scale in (1.0, 7.3, 0.01)]
    kinds = len({np.asarray(order).tobytes() for order in orders})
    words = (
        "temperatures times 1, 7.3 and .01: different rankings if scale mattered, and found (50 codes, 20 documents)"
    )
    return Evidence(words, 3.0, float(kinds), kinds > 1)


def _uphill() -> Evidence:
    objective = lambda tau: (jnp.log(tau) - 1) ** 2
    tau = jnp.array(2.0)
    after = formulas.temperature_step(tau, jax.grad(objective)(tau))
    backwards = formulas.temperature_step(tau, -jax.grad(objective)(tau))
    before = float(objective(tau))
    words = (
        f"the smooth objective (ln tau - 1)^2 at tau = 2, {before:.4f}: after one step as printed, and "
        "with a minus sign"
    )
    return Evidence(words, float(objective(after)), float(objective(backwards)), float(objective(after)) <= before)


def _equal_entropies() -> Evidence:
    """Signal variances .9 and .1, noise .1 and .9: equal entropies."""
    signal, noise = np.array([0.9, 0.1]), np.array([0.1, 0.9])
    entropies = np.log2(2 * np.pi * np.e * (signal + noise)) / 2
    printed = formulas.adaptive_temperatures(entropies)
    # queries as they are, and in the documents' scale: X / a = Y + (sigma / a) W
    best = [gaussian_temperatures(np.sqrt(signal), noise), gaussian_temperatures(np.ones(2), noise / signal)]
    ratio, ratios = float(printed[1] / printed[0]), tuple(float(tau[1] / tau[0]) for tau in best)
    words = (
        "signal and noise variance (.9, .1) and (.1, .9), equal entropies: ratio of the temperatures by (10), and of "
        "the best, for inner products with queries as they are and with queries divided by their gain"
    )
    return Evidence(words, ratio, ratios, bool(np.any(np.isclose(ratio, ratios))))


def _proportional() -> Evidence:
    h = jnp.array([2.0, 4.0, 6.0])
    rule = formulas.adaptive_temperatures(h)
    deviation = jnp.abs(h - jnp.mean(h))
    words = "H = (2, 4, 6): |H_m - mean|, to which tau is said to be proportional, and tau by (10)"
    printed, found = tuple(map(float, deviation)), tuple(map(float, rule))
    return Evidence(words, printed, found, bool(jnp.allclose(deviation / deviation[0], rule / rule[0])))


STATEMENTS = (
    Statement(
        "Section 5.1a",
        QUANTIZER,
        "allocate $R_m = \\lceil (\\widehat{H}_m/\\sum_j \\widehat{H}_j) \\, R \\rceil$ bits to modality m",
        "true in part",
        "A rule that one can follow, and not the best: entropy says nothing of what bits buy.",
        _allocated,
        "rdjax.rate_distortion.reverse_water_filling",
    ),
    Statement(
        "Section 5.1b",
        QUANTIZER,
        "by construction $H(C)=\\sum_m R_m\\leq R$",
        "false",
        "Every share is rounded up, so the sum exceeds R unless all shares are whole; and H(C) is at most the sum, "
        "infinite for codewords drawn uniformly in a cell.",
        _budget,
        "rdjax.codes.allocation.largest_remainder",
    ),
    Statement(
        "Section 5.1c",
        QUANTIZER,
        "minimising the expected local distortion $\\mathbb{E}[1-\\mathbf{1}\\{X_m\\in\\mathcal{Q}_m^{(\\ell^*)}\\}]$",
        "not defined",
        "A point is always in its own cell: the objective is 0 for every partition.",
        _own_cell,
        "rdjax.codes.ScalarQuantizer",
    ),
    Statement(
        "Section 5.1d",
        QUANTIZER,
        "sample $C_m\\sim \\mathrm{Unif}(\\mathcal{Q}_m^{(\\ell)})$ to ensure smoothness required by the BA argument",
        "false",
        "Blahut-Arimoto needs no smoothness, and I(X; C) is the entropy of the cell either way; drawing in the cell "
        "doubles the squared error.",
        _drawn_codewords,
        "rdjax.codes.ScalarQuantizer",
    ),
    Statement(
        "(9)",
        DECODER,
        "g_{\\tau}(C) = \\underset{\\iota}{\\operatorname{arg sort}} \\langle C, E(Y^{(k)}) \\rangle / \\tau_{m(k)}",
        "true in part",
        "A decoder, but only ratios of its temperatures matter, and with one modality none; it divides by the "
        "document's temperature where the posterior has those of the query's modalities.",
        _scale,
        "rdjax.retrieval.log_posterior",
    ),
    Statement(
        "Section 5.2a",
        DECODER,
        "iterates $\\tau_m^{(t+1)}=\\tau_m^{(t)}\\exp(\\partial R/\\partial \\tau_m^{(t)})$ to minimise",
        "false",
        "It steps uphill (worked out on an instance of our own); the objective has no gradient in tau either.",
        _uphill,
        CALIBRATED,
    ),
    Statement(
        "(10)",
        DECODER,
        "\\tau_m^{\\star} = \\sqrt{\\frac{\\sum_j \\widehat{H}_j}{M \\, \\widehat{H}_m}} \\,, \\quad \\forall m",
        "false",
        "No rule of the entropies can be right; the optimum is noise over signal, and this points the other way.",
        _equal_entropies,
        "rdjax.retrieval.gaussian_temperatures",
    ),
    Statement(
        "Section 5.2b",
        DECODER,
        "hence $\\tau_m^\\star \\propto \\Delta \\widehat{H}_m$ as advertised",
        "false",
        "(10) is one over the square root of the entropy.",
        _proportional,
        CALIBRATED,
    ),
)
