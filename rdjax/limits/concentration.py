"""How far entropies of n samples are from those of the source, and bits that are allocated by them: in place of (12) to
(14) of the paper, and of step 3 of its Theorem 5.1. Arguments without a shape are numbers, or arrays that broadcast.
Source: theory notes, section 6.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from rdjax import checks
from rdjax.information.discrete import binary_entropy
from rdjax.numerics import floating, safe_log, to_bits


def entropy_continuity(distance: ArrayLike, symbols: ArrayLike) -> jax.Array:
    """|H_P - H_Q| <= delta log2(|C| - 1) + h(delta), for laws at total variation delta; log2 |C| beyond 1 - 1/|C|.

    Args:
      distance: delta in [0, 1]; symbols: |C| >= 2.

    Returns:
      bits; reached by (1, 0, ..., 0) and the law that moves delta of it evenly.

    Raises:
      InputError: a distance outside [0, 1], fewer than 2 symbols.

    Source: Zhang 2007; theory notes, section 6 (v).
    """
    checks.numbers(distance, "the distance", 0, 1)
    checks.numbers(symbols, "the number of symbols", 2)
    size = floating(symbols)
    delta = jnp.minimum(floating(distance), 1 - 1 / size)
    return delta * to_bits(safe_log(size - 1)) + binary_entropy(delta)


def entropy_bias(samples: ArrayLike, symbols: ArrayLike) -> jax.Array:
    """0 <= H - E Hhat <= log2(1 + (|A| - 1) / n) of the plug-in estimate.

    Args:
      samples: n; symbols: |A|.

    Returns:
      bits; reached by one sample of a uniform source.

    Raises:
      InputError: fewer than 1 sample or symbol.

    Source: Paninski 2003; theory notes, section 6.
    """
    checks.numbers(samples, "the number of samples", 1)
    checks.numbers(symbols, "the number of symbols", 1)
    return to_bits(jnp.log1p((floating(symbols) - 1) / floating(samples)))


def entropy_deviation(error: ArrayLike, samples: ArrayLike) -> jax.Array:
    """P(|Hhat - E Hhat| >= t) <= 2 exp(-n t^2 / (2 log2^2 n)) of the plug-in estimate.

    Args:
      error: t, bits; samples: n >= 2.

    Returns:
      a bound on the probability, which above 1 says nothing; about the mean of the estimate, see `entropy_bias` for
      its distance from H.

    Raises:
      InputError: an error below 0, fewer than 2 samples.

    Source: McDiarmid's inequality: one sample moves Hhat by 2 log2(n) / n at most; theory notes, section 6.
    """
    checks.numbers(error, "the error", 0)
    checks.numbers(samples, "the number of samples", 2)
    n = floating(samples)
    return 2 * jnp.exp(-n * floating(error) ** 2 / (2 * jnp.log2(n) ** 2))


def entropy_margin(samples: ArrayLike, symbols: ArrayLike, delta: ArrayLike, modalities: ArrayLike = 1) -> jax.Array:
    """|Hhat_m - H_m| <= log2(1 + (|A| - 1) / n) + log2(n) sqrt(2 ln(2 M / delta) / n), for all M modalities at once.

    With probability 1 - delta. In place of (13) of the paper, which leaves out the bias and the factor log2 n, and by
    its own (12) fails with probability 2 M sqrt(delta / (6 M)) and not delta / 3.

    Args:
      samples: n >= 2; symbols: |A| of the largest alphabet; delta: in (0, 1); modalities: M.

    Returns:
      bits.

    Raises:
      InputError: fewer than 2 samples or 1 symbol or modality, a delta outside (0, 1).

    Source: `entropy_bias`, `entropy_deviation` and the union bound; theory notes, section 6.
    """
    checks.numbers(samples, "the number of samples", 2)
    checks.numbers(delta, "delta", 0, 1, ends=False)
    checks.numbers(modalities, "the number of modalities", 1)
    n = floating(samples)
    tail = jnp.log2(n) * jnp.sqrt(2 * jnp.log(2 * floating(modalities) / floating(delta)) / n)
    return entropy_bias(n, symbols) + tail


def share_margin(estimates: ArrayLike, margin: ArrayLike) -> jax.Array:
    """|alphahat_m - alpha_m| <= (1 + (M - 2) alphahat_m) eps / (sum_j Hhat_j - M eps), alpha_m = H_m / sum_j H_j.

    Args:
      estimates: Hhat_m [..., M], bits; margin: eps, within which each of them is of H_m, bits.

    Returns:
      [..., M], at most 1; 1 where the estimates are all within the margin of 0.

    Raises:
      InputError: a NaN, no modalities, an estimate or a margin below 0.

    Source: alphahat - alpha = (Delta_m - alphahat_m sum_j Delta_j) / sum_j H_j; c_1 of the paper's (14), worked out.
    """
    checks.numbers(estimates, "the estimates", 0)
    checks.numbers(margin, "the margin", 0)
    checks.require(np.ndim(estimates) > 0 and np.shape(estimates)[-1] > 0, "there are no estimates; give [..., M].")
    h, eps = floating(estimates), floating(margin)
    count, total = h.shape[-1], jnp.sum(h, axis=-1, keepdims=True)
    eps = jnp.broadcast_to(eps[..., None], total.shape)
    least = total - count * eps
    share = h / jnp.where(total > 0, total, 1)
    off = (1 + (count - 2) * share) * eps / jnp.where(least > 0, least, 1)
    return jnp.where(least > 0, jnp.minimum(off, 1), 1)


def allocation_margin(rate: ArrayLike, share_error: ArrayLike) -> jax.Array:
    """|R_m - R alpha_m| < 1 + R |alphahat_m - alpha_m| for whole bits R_m allocated by estimated shares, summing to R.

    In place of (14) of the paper, which has 2 on the right whatever the rate.

    Args:
      rate: R, bits; share_error: |alphahat_m - alpha_m|, any shape, e.g. `share_margin`.

    Returns:
      bits.

    Raises:
      InputError: a rate or an error below 0.

    Source: theory notes, section 6; |R_m - R alphahat_m| < 1 of `rdjax.codes.allocation.largest_remainder`.
    """
    checks.numbers(rate, "the rate", 0)
    checks.numbers(share_error, "the error of a share", 0)
    return 1 + floating(rate) * floating(share_error)
