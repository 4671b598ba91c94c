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
from itertools import product
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
COARSEST = 80.0  # of a deviation: above any step, for symbols of steps above 78 have no entropy in float64
NORMAL = 9.0  # above any standard normal number that is drawn
MOST_ENTRIES = 2**40  # of an array of a cell
CODES = ("none", "gaussian", "scalar", "paper")
CALIBRATED, BY_ENTROPY = "calibrated", ("equation 10", "section 6")
TEMPERATURES = ("uniform", CALIBRATED, "closed form", *BY_ENTROPY)
WEIGHT_OF_NORM = {"likelihood": 1.0, "inner product": 0.0}


@lru_cache(maxsize=4096)
def known(items: tuple[tuple[str, Any], ...]) -> tuple[dict[str, np.ndarray], dict[str, float]]:
    """(parameters of the cell, columns that no draw changes), from the values of all axes but the seed.

    Returns:
      noise [M, M], from M independent standard normals to the query's noise and the channel's, lower triangular; step
      [M] of a quantizer, 0 without; inverse [M], 1 / tau (0 where it is fitted) times the power of two that brings the
      largest into (1/2, 1]: rankings stay, to the last bit, and any precision holds it; fitted and norm, numbers. And
      bits, ceiling, blind_ceiling and the temperatures, NaN where they are fitted.
    """
    values = dict(items)
    noise = sigmas(values["noise"], values["modalities"])
    covariance = noise_covariance(noise, values["correlation"])
    step, added = _code(values, noise)
    rule = values["temperatures"]
    fitted = rule == CALIBRATED
    tau = np.full_like(noise, math.nan) if fitted else _temperatures(rule, values, noise, added)
    parameters: dict[str, np.ndarray] = {
        "noise": np.linalg.cholesky(covariance + np.diag(np.where(step > 0, 0, added))),
        "step": step,
        "inverse": np.zeros_like(noise) if fitted else np.ldexp(1 / tau, np.frexp(np.min(tau))[1] - 1),
        "fitted": np.array(fitted, np.int32),
        "norm": np.array(WEIGHT_OF_NORM[values["scores"]]),
    }
    bits = math.inf if values["code"] == "none" else values["rate"]
    information = _information(bits, values["intent_dim"], _signal(noise, values["correlation"]))
    return parameters, {
        "bits": bits,
        "ceiling": _ceiling(bits, values["documents"], values["metric"]),
        "blind_ceiling": _ceiling(information, values["documents"], values["metric"]),
        **{f"temperature_{m + 1}": float(one) for m, one in enumerate(tau)},
    }


def sigmas(noise: float | tuple[float, ...], modalities: int) -> np.ndarray:
    """sigma [M] from one number for all modalities, or one for each."""
    return np.full(modalities, noise) if np.ndim(noise) == 0 else np.array(noise, np.float64)


def noise_covariance(noise: np.ndarray, correlation: float) -> np.ndarray:
    """E[eta_m eta_l] [M, M] of one coordinate: sigma_m^2, and c sigma_m sigma_l off the diagonal."""
    return np.outer(noise, noise) * (correlation + (1 - correlation) * np.eye(len(noise)))


def _signal(noise: np.ndarray, correlation: float) -> float:
    """1' Sigma^-1 1: correlations have eigenvalues 1 + (M - 1) c, of equal entries, and 1 - c, of what sums to 0."""
    inverse, count = 1 / noise, len(noise)
    mean = np.mean(inverse)
    apart = np.sum((inverse - mean) ** 2) / (1 - correlation)
    return float(apart + count * mean**2 / (1 + (count - 1) * correlation))


def refuse_large_arrays(grid: Grid) -> None:
    """Scores and queries that no device could hold."""
    names = ("documents", "queries", "modalities", "intent_dim")
    documents, queries, modalities, inner = most = [max(grid.values[name]) for name in names]
    passes = modalities if CALIBRATED in grid.values["temperatures"] else 1
    entries = max(passes * queries * documents, modalities * queries * inner, documents * inner)
    shape = ", ".join(f"{name} {value}" for name, value in zip(names, most, strict=True))
    require(
        entries <= MOST_ENTRIES,
        f"{shape} make an array of {entries:,} numbers in a cell, and {MOST_ENTRIES:,} is the most; give fewer.",
    )


def refuse_impossible_correlations(grid: Grid) -> None:
    """M noises can be correlated by c > -1 / (M - 1) alone; nearer to it, or to 1, than rounding they are singular."""
    for modalities in grid.values["modalities"]:
        for correlation in grid.values["correlation"]:
            require(
                1 + (modalities - 1) * correlation > 0,
                f"correlation is {correlation} and modalities {modalities}; no {modalities} noises are so correlated, "
                f"they can be above {-1 / max(modalities - 1, 1):.3g} only.",
            )
            # Higham, Accuracy and Stability of Numerical Algorithms, theorem 10.7: above this Cholesky succeeds
            least = 4 * modalities * (modalities + 1) * float(np.finfo(float).eps)
            edge = 1 if correlation > 0 else -1 / max(modalities - 1, 1)
            spare = min(1 - correlation, 1 + (modalities - 1) * correlation)
            require(
                modalities == 1 or spare > least,
                f"correlation is {correlation} and modalities {modalities}; noises so correlated determine each other "
                f"up to rounding, so keep it {least:.1g} away from {edge:.3g}.",
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


def refuse_overflow(grid: Grid, precision: str) -> None:
    """What arrives of a query, its scores and its temperatures are numbers of the precision, in every cell."""
    rate, inner = min(grid.values["rate"]), max(grid.values["intent_dim"])
    tiny, eps, end = (float(getattr(np.finfo(precision), name)) for name in ("tiny", "eps", "max"))
    closed = "closed form" in grid.values["temperatures"]
    wider = "" if precision == "float64" else ', or set precision = "float64"'
    for noise, count, code in product(*(grid.values[name] for name in ("noise", "modalities", "code"))):
        deviation, least, most, finest = _extremes(code, sigmas(noise, count), rate / count, inner)
        where = f"noise {noise}" if code == "none" else f"noise {noise} at rate {rate:g} by the code {code!r}"
        arrives = NORMAL * (1 + math.sqrt(count) * deviation)
        largest = max(4 * inner * NORMAL * count * arrives, arrives / finest)
        require(
            largest < end,
            f"{where} makes numbers of up to {largest:.1g} in a cell, and {precision} ends at {end:.2g}; leave it "
            f"out{wider}.",
        )
        for tau in (least, most) if closed else ():
            require(
                tiny * eps <= tau <= end,
                f"{where} has a temperature of {tau:.1g} in closed form, which {precision} cannot hold; leave one of "
                f"the two out{wider}.",
            )


def _extremes(code: str, noise: np.ndarray, rate: float, intent_dim: int) -> tuple[float, float, float, float]:
    """Bounds at this rate and above: (deviation of what arrives, least and most temperature, least step)."""
    variance = noise**2
    if code in ("none", "gaussian"):
        worst = variance + (_channel_noise(noise, rate, intent_dim) if code == "gaussian" else 0)
        return math.sqrt(worst.max()), float(variance.min()), float(worst.max()), math.inf
    spread = np.sqrt(1 + variance)
    step, finest = COARSEST * spread.max(), FINEST * float((noise if code == "paper" else spread).min())
    return float(noise.max() + step), float(variance.min()), float(variance.max() + step**2 / 6), finest


def uniform_step(rate: float, deviations: np.ndarray) -> float:
    """The step at which the symbols round(x_i / step) of independent Gaussians take `rate` bits together, by bisection.

    The entropy of one is sum_k p_k log2 1 / p_k, p_k = Phi((k + 1/2) t) - Phi((k - 1/2) t), t = step / deviation. The
    p_k / t sample the density of a Gaussian plus a uniform variable of width t, so for small t the entropy is
    1/2 log2(2 pi e (1 + t^2 / 12) / t^2), to t^8 / 10^6.
    """
    kinds, counts = np.unique(deviations, return_counts=True)
    top = np.log2(kinds.max())
    low, high = max(-60.0 - rate, top - 1000.0), 20.0 + top  # log2 of the step
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


def _channel_noise(noise: np.ndarray, rate: float, intent_dim: int) -> np.ndarray:
    """q_m of the Gaussian channel: 0 at rates beyond all float64, infinity at rates below."""
    with np.errstate(over="ignore", divide="ignore"):
        return (1 + noise**2) / np.expm1(2 * math.log(2) * rate / intent_dim)


def _code(values: dict[str, Any], noise: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(step of the quantizer or 0, variance that the code adds) of every modality."""
    code, inner, rate = values["code"], values["intent_dim"], values["rate"] / len(noise)
    if code == "none":
        return np.zeros_like(noise), np.zeros_like(noise)
    if code == "gaussian":
        return np.zeros_like(noise), _channel_noise(noise, rate, inner)
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
