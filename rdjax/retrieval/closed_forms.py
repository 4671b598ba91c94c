"""Temperatures by formula: the paper's two rules, as printed, and the true ones for Gaussian noise."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rdjax.checks import is_concrete, numbers, require, whole_numbers
from rdjax.retrieval.scores import check_temperatures, checked_scores, working


def printed_rule(entropies: Any) -> jax.Array:
    """The paper's rule, tau_m = sqrt(mean entropy / H_m), as printed. It points the wrong way: do not use it to fuse.

        tau_m = sqrt(sum_j H_j / (M H_m))

    A noisier modality has the larger entropy, hence by this rule the smaller temperature and the larger weight, where
    the optimum gives it the smaller weight. Nor can any rule of the entropies alone be right: signal and noise
    variances (.9, .1) and (.1, .9) have equal entropies and optimal temperatures that differ 27-fold (81-fold for
    queries divided by their gains).

    Args:
      entropies: H [M] > 0, in any one unit.

    Returns:
      tau [M].

    Raises:
      InputError: an entropy that is not above 0.

    Source: paper, equation (10); verdict: theory notes, section 4.
    """
    entropies = working(entropies)
    require(entropies.ndim > 0, "the entropies are a number; give one for each modality, [M].")
    numbers(entropies, "the entropy of each modality", 0, ends=False)
    return jnp.sqrt(jnp.mean(entropies, axis=-1, keepdims=True) / entropies)


def section_six_rule(entropies: Any, gamma: float = 2**-0.5, epsilon: float = 1e-3) -> jax.Array:
    """The paper's other rule, tau_m = gamma sqrt(|H_m - mean H| + epsilon), as printed. Do not use it to fuse.

    It contradicts `printed_rule`: with H = (2, 4, 6) the two are (1.41, .03, 1.41) gamma and (1.41, 1, .82). A modality
    of mean entropy gets nearly all the weight, one that is better or worse than the mean gets the same little.

    Args:
      entropies: H [M], in any one unit.
      gamma: the paper's tuning constant, at most 1 / sqrt(2); rankings do not depend on it.
      epsilon: above 0, so that no temperature is 0.

    Returns:
      tau [M].

    Raises:
      InputError: an epsilon that is not above 0, a NaN.

    Source: paper, section 6.1; verdict: theory notes, section 4.
    """
    numbers(entropies, "the entropy of each modality")
    require(epsilon > 0, f"epsilon is {epsilon}; it must be above 0, or a modality gets temperature 0.")
    entropies = working(entropies)
    require(entropies.ndim > 0, "the entropies are a number; give one for each modality, [M].")
    off = entropies - jnp.mean(entropies, axis=-1, keepdims=True)
    return gamma * jnp.sqrt(jnp.sign(off) * off + epsilon)  # of |0| this has the gradient 0, `jnp.abs` has 1


def gaussian_temperatures(signal: Any, noise_variance: Any) -> jax.Array:
    """The optimal temperatures for Gaussian noise: noise over signal, tau_m = sigma_m^2 / a_m.

    For queries x_m = a_m y_m + sigma_m W with W standard normal, inner-product scores and documents of equal norm
    within each modality, the posterior is exactly proportional to prior exp(sum_m <x_m, y_m> / tau_m).

    Args:
      signal: a [M] > 0, gain of the document in the query.
      noise_variance: sigma^2 [M] >= 0, per dimension.

    Returns:
      tau [M].

    Raises:
      InputError: a signal that is not above 0, a variance below 0.

    Source: theory notes, section 4.
    """
    numbers(signal, "the signal", 0, ends=False)
    numbers(noise_variance, "the noise variance", 0)
    return working(noise_variance) / working(signal)


def quantized_temperatures(signal: Any, noise_variance: Any, variance: Any, bits: Any, dimensions: Any) -> jax.Array:
    """The optimal temperatures when queries x_m = a_m y_m + sigma_m W are sent with R_m bits each, Gaussian.

        tau_m = (sigma_m^2 + q_m) / a_m,   q_m = (S_m a_m^2 + sigma_m^2) / (2^(2 R_m / d_m) - 1)

    q_m is the noise of the forward test channel that spends R_m bits on d_m components, each of variance
    S_m a_m^2 + sigma_m^2.

    Args:
      signal: a [M] > 0; noise_variance: sigma^2 [M]; variance: S [M], of a component of the documents.
      bits: R [M] > 0, per query; dimensions: d [M].

    Returns:
      tau [M]; infinity for a modality without bits.

    Raises:
      InputError: a signal or dimension that is not above 0, variances or bits below 0.

    Source: theory notes, section 4.
    """
    numbers(signal, "the signal", 0, ends=False)
    numbers(dimensions, "the dimensions", 0, ends=False)
    for values, what in ((noise_variance, "the noise variance"), (variance, "the variance"), (bits, "the bits")):
        numbers(values, what, 0)
    signal, noise, variance = working(signal), working(noise_variance), working(variance)
    growth = jnp.expm1(2 * jnp.log(2.0) * working(bits) / working(dimensions))
    added = jnp.where(growth > 0, (variance * signal**2 + noise) / jnp.where(growth > 0, growth, 1), jnp.inf)
    return (noise + added) / signal


def dominant_scores(scores: Any, temperatures: Any, dominant: Any) -> jax.Array:
    """Scores by which the paper's decoder sorts: each document's divided by the temperature of its dominant modality.

        s_k = sum_m s_m(k) / tau_{m(k)}

    As printed it has no offset per document, and unless all temperatures are equal it compares scores on different
    scales: with noise (.15, .45) its best temperatures reach MRR .72, those of the additive decoder .75. Fuse with
    `log_posterior` instead. Its best temperatures are what `calibrate_temperatures` or `search_temperatures` find for
    sum_m s_m where m(k) = m, and 0 elsewhere [M, ..., N].

    Args:
      scores: [M, ..., N].
      temperatures: tau [M] > 0.
      dominant: int [N], the modality of each document.

    Returns:
      [..., N].

    Raises:
      InputError: shapes that do not belong together, a modality that is not there, a temperature that is not above 0,
        or a score that is NaN or +inf.

    Source: paper, equation (9); verdict: theory notes, section 4.
    """
    check_temperatures(temperatures)
    whole_numbers(dominant, "the dominant modalities")
    scores, temperatures, dominant = checked_scores(scores), jnp.asarray(temperatures), jnp.asarray(dominant)
    require(
        temperatures.shape == scores.shape[:1] and dominant.shape == scores.shape[-1:],
        f"scores have shape {scores.shape}, temperatures {temperatures.shape}, dominant modalities {dominant.shape}; "
        "they must be [M, ..., N], [M] and [N].",
    )
    if is_concrete(dominant):
        inside = bool(np.all((np.asarray(dominant) >= 0) & (np.asarray(dominant) < scores.shape[0])))
        require(inside, f"a dominant modality is not in 0 to {scores.shape[0] - 1}.")
    fused = jnp.sum(scores, axis=0)
    return fused / jnp.broadcast_to(temperatures[dominant].astype(scores.dtype), fused.shape)
