"""What of a retrieval cell is known before anything is drawn: steps, noise of the codes, temperatures, ceilings.

All in float64 on the host, once for all seeds. With R_m = rate / M bits for modality m:

    gaussian   C = A_m' X_m + N(0, q_m),  q_m = (1 + sigma_m^2) / (2^(2 R_m / d) - 1): the forward test channel, which
               is reached only by coding many queries together; its noise and the query's are drawn as one
    scalar     a uniform quantizer of the d coordinates of A_m' X_m, symbols entropy coded at R_m bits by their law
    paper      the same over all D coordinates of X_m, the codeword drawn uniformly within the cell (section 5.1)

Source: paper, sections 5.1 and 6.1, equation (10); theory notes, section 4.
"""

import math
from functools import lru_cache
from typing import Any

import jax
import numpy as np

from rdjax.checks import require
from rdjax.limits import ranking_distortion
from rdjax.rate_distortion import gaussian_bottleneck
from rdjax.retrieval import parse_metric
from rdjax.retrieval.closed_forms import printed_rule, section_six_rule
from rdjax.sweep.grid import Grid

FINEST = 2.0**-20  # of a deviation: the least step
CODES = ("none", "gaussian", "scalar", "paper")
CALIBRATED, BY_ENTROPY = "calibrated", ("equation 10", "section 6")
TEMPERATURES = ("uniform", CALIBRATED, "closed form", *BY_ENTROPY)
WEIGHT_OF_NORM = {"likelihood": 1.0, "inner product": 0.0}


@lru_cache(maxsize=4096)
def known(items: tuple[tuple[str, Any], ...]) -> tuple[dict[str, np.ndarray], dict[str, float]]:
    """(parameters of the cell, columns that no draw changes), from the values of all axes but the seed.

    Returns:
      noise [M, M], from M independent standard normals to the query's noise and the channel's, lower triangular; step
      [M] of a quantizer, 0 without; inverse [M], 1 / tau (0 where it is fitted); fitted and norm, numbers. And bits,
      ceiling, blind_ceiling.
    """
    values = dict(items)
    noise = sigmas(values["noise"], values["modalities"])
    covariance = noise_covariance(noise, values["correlation"])
    step, added = _code(values, noise)
    rule = values["temperatures"]
    inverse = np.zeros_like(noise) if rule == CALIBRATED else 1 / _temperatures(rule, values, noise, added)
    parameters: dict[str, np.ndarray] = {
        "noise": np.linalg.cholesky(covariance + np.diag(np.where(step > 0, 0, added))),
        "step": step,
        "inverse": inverse,
        "fitted": np.array(rule == CALIBRATED, np.int32),
        "norm": np.array(WEIGHT_OF_NORM[values["scores"]]),
    }
    bits = math.inf if values["code"] == "none" else values["rate"]
    information = _information(bits, values["intent_dim"], float(np.sum(np.linalg.inv(covariance))))
    return parameters, {
        "bits": bits,
        "ceiling": _ceiling(bits, values["documents"], values["metric"]),
        "blind_ceiling": _ceiling(information, values["documents"], values["metric"]),
    }


def sigmas(noise: float | tuple[float, ...], modalities: int) -> np.ndarray:
    """sigma [M] from one number for all modalities, or one for each."""
    return np.full(modalities, noise) if np.ndim(noise) == 0 else np.array(noise, np.float64)


def noise_covariance(noise: np.ndarray, correlation: float) -> np.ndarray:
    """E[eta_m eta_l] [M, M] of one coordinate: sigma_m^2, and c sigma_m sigma_l off the diagonal."""
    return np.outer(noise, noise) * (correlation + (1 - correlation) * np.eye(len(noise)))


def refuse_impossible_correlations(grid: Grid) -> None:
    """M noises can be correlated by c > -1 / (M - 1) alone."""
    for modalities in grid.values["modalities"]:
        for correlation in grid.values["correlation"]:
            require(
                1 + (modalities - 1) * correlation > 0,
                f"correlation is {correlation} and modalities {modalities}; no {modalities} noises are so correlated, "
                f"they can be above {-1 / max(modalities - 1, 1):.3g} only.",
            )


def entropies(noise: np.ndarray, dim: int, intent_dim: int) -> np.ndarray:
    """h(X_m) [M] in bits: d / 2 log2(2 pi e (1 + sigma^2)) + (D - d) / 2 log2(2 pi e sigma^2)."""
    unit = 2 * math.pi * math.e
    return (intent_dim * np.log2(unit * (1 + noise**2)) + (dim - intent_dim) * np.log2(unit * noise**2)) / 2


def refuse_negative_entropies(grid: Grid) -> None:
    """Noise of every modality, an intent that fits, and entropies above 0 where rule (10) divides by them."""
    by_entropy = [rule for rule in grid.values["temperatures"] if rule in BY_ENTROPY]
    for noise in grid.values["noise"]:
        for modalities in grid.values["modalities"]:
            require(
                np.ndim(noise) == 0 or len(noise) == modalities,
                f"noise {noise} has {np.size(noise)} entries and modalities is {modalities}; give one for each.",
            )
            for dim in grid.values["dim"]:
                for inner in grid.values["intent_dim"]:
                    require(inner <= dim, f"intent_dim is {inner} and dim {dim}; the intent must fit into a vector.")
                    least = float(np.min(entropies(sigmas(noise, modalities), dim, inner)))
                    require(
                        not by_entropy or least > 0,
                        f"noise {noise} in {dim} dimensions has a differential entropy of {least:.3g} bits, and "
                        f"temperatures {by_entropy[:1]} are defined above 0 only; leave one of the two out.",
                    )


def uniform_step(rate: float, deviations: np.ndarray) -> float:
    """The step at which the symbols round(x_i / step) of independent Gaussians take `rate` bits together, by bisection.

    The entropy of one is sum_k p_k log2 1 / p_k, p_k = Phi((k + 1/2) t) - Phi((k - 1/2) t), t = step / deviation. The
    p_k / t sample the density of a Gaussian plus a uniform variable of width t, so for small t the entropy is
    1/2 log2(2 pi e (1 + t^2 / 12) / t^2), to t^8 / 10^6.
    """
    kinds, counts = np.unique(deviations, return_counts=True)
    low, high = max(-60.0 - rate, -1000.0), 20.0 + np.log2(kinds.max())  # log2 of the step
    for _ in range(200):
        middle = (low + high) / 2
        bits = sum(count * _uniform_entropy(2.0**middle / kind) for kind, count in zip(kinds, counts, strict=True))
        low, high = (middle, high) if bits > rate else (low, middle)
    return float(2.0 ** ((low + high) / 2))


def _uniform_entropy(ratio: float) -> float:
    from scipy.special import ndtr

    if ratio < 0.1:
        return 0.5 * math.log2(2 * math.pi * math.e * (1 + ratio**2 / 12)) - math.log2(ratio)
    edges = (np.arange(120) - 0.5) * ratio  # of the symbols from 0 up; their mirror images count double
    mass = ndtr(-edges[:-1]) - ndtr(-edges[1:])  # tails on the side where they keep their digits
    terms = np.where(mass > 0, -mass * np.log2(np.where(mass > 0, mass, 1)), 0)
    return float(terms[0] + 2 * terms[1:].sum())


def _code(values: dict[str, Any], noise: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(step of the quantizer or 0, variance that the code adds) of every modality."""
    code, inner, rate = values["code"], values["intent_dim"], values["rate"] / len(noise)
    if code == "none":
        return np.zeros_like(noise), np.zeros_like(noise)
    if code == "gaussian":
        added = (1 + noise**2) / np.expm1(2 * math.log(2) * rate / inner)
        return np.zeros_like(noise), added
    idle = values["dim"] - inner if code == "paper" else 0
    spread = [np.concatenate([np.full(inner, math.sqrt(1 + s**2)), np.full(idle, s)]) for s in noise]
    finest = FINEST * np.array([deviations.min() for deviations in spread])  # or float32 knows no multiples of it
    steps = np.maximum([uniform_step(rate, deviations) for deviations in spread], finest)
    return steps, steps**2 / (6 if code == "paper" else 12)


def _temperatures(rule: str, values: dict[str, Any], noise: np.ndarray, added: np.ndarray) -> np.ndarray:
    if rule == "uniform":
        return np.ones_like(noise)
    if rule == "closed form":  # noise over signal; exact for the Gaussian channel and independent noises
        return noise**2 + added
    found = entropies(noise, values["dim"], values["intent_dim"])
    with jax.enable_x64(True):
        return np.asarray(printed_rule(found) if rule == "equation 10" else section_six_rule(found))


@lru_cache(maxsize=4096)
def _information(bits: float, intent_dim: int, signal: float) -> float:
    """IB(bits) of query and intent, d dimensions of squared correlation S / (1 + S), S = 1' Sigma^-1 1 of the noise."""
    whole = intent_dim / 2 * math.log2(1 + signal)
    if math.isinf(bits):
        return whole
    with jax.enable_x64(True):
        found = gaussian_bottleneck(np.full(intent_dim, math.sqrt(signal / (1 + signal))), bits)
    return min(float(found), whole)


@lru_cache(maxsize=4096)
def _ceiling(bits: float, documents: int, metric: str) -> float:
    with jax.enable_x64(True):  # log2 N bits name the document
        return 1 - float(ranking_distortion(min(bits, math.log2(documents)), documents, parse_metric(metric).weights))
