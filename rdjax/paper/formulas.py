"""The paper's formulas of sections 2 to 5, as printed, whatever their worth; `sample_formulas` has sections 5 to 10.

Every one but `allocation`, which is arithmetic on the host, traces under jit. The first line of each says if it is
false. Rates are in bits, N is the number of documents, D a distortion 1 - RR; arguments without a shape are numbers, or
arrays that broadcast. Where the library has a printed form already, the name here is that very function.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.typing import ArrayLike

from rdjax import checks
from rdjax.codes.allocation import proportional_ceil as allocation
from rdjax.information.discrete import binary_entropy
from rdjax.information.modalities import Modalities
from rdjax.numerics import floating
from rdjax.retrieval.closed_forms import dominant_scores
from rdjax.retrieval.closed_forms import printed_rule as adaptive_temperatures
from rdjax.retrieval.closed_forms import section_six_rule as schedule_temperatures
from rdjax.retrieval.weights import reciprocal_rank

__all__ = [
    "adaptive_temperatures",
    "allocation",
    "balanced_distortions",
    "binary_entropy",
    "contrastive_slack",
    "distortion",
    "dominant_ranking",
    "fano_rate",
    "least_rate",
    "schedule_temperatures",
    "skew",
    "skew_penalty",
    "skew_rate",
    "success_bound",
    "temperature_step",
    "time_sharing_rate",
    "top_entropy_bound",
    "unimodal_rate",
    "volume_bound",
]


def distortion(rank: ArrayLike) -> jax.Array:
    """Equation (1), true: d = 1 - 1 / rank, in [0, 1 - 1/N].

    Args:
      rank: of the relevant document, at least 1, any shape.

    Returns:
      distortion, the shape of `rank`.
    """
    return 1 - reciprocal_rank(floating(rank))


def least_rate(rates: ArrayLike, distortions: ArrayLike, target: ArrayLike) -> jax.Array:
    """Equations (2) and (3), two functions: min of I(X; C) over codes with E d <= D; (2), deterministic, is not convex.

    Args:
      rates: I(X; C) of each code [L], bits; all the deterministic codes for (2).
      distortions: E d of each [L].
      target: D, a number.

    Returns:
      bits; inf where no code listed reaches the target.
    """
    rates, distortions = floating(rates), floating(distortions)
    return jnp.min(jnp.where(distortions <= target, rates, jnp.inf))


def time_sharing_rate(rates: ArrayLike, share: ArrayLike) -> jax.Array:
    """Lemma 3.1, true: R(l D_1 + (1 - l) D_2) <= l R(D_1) + (1 - l) R(D_2), the right side. Its proof is not valid.

    The bit that tells the branch cannot be sent to zero length; it does not have to be sent, as the decoder may share
    the randomness: I(X; C, Q) = l I_1 + (1 - l) I_2 for Q independent of X.

    Args:
      rates: R(D_1) and R(D_2) [2], bits.
      share: l in [0, 1].

    Returns:
      bits.
    """
    first, second = floating(rates)
    return floating(share) * first + (1 - floating(share)) * second


def success_bound(distortion: ArrayLike, num_documents: ArrayLike) -> jax.Array:
    """Equation (4), false at N = 2, undefined at N = 3: p_S <= 2 (1 - D) (N - 1) / (N - 3).

    Args:
      distortion: D in [0, 1], any shape.
      num_documents: N, 2 or at least 4.

    Returns:
      what p_S is said to be at most: 0 or less at N = 2, above 1 for D <= 1/2 from N = 4 on.

    Raises:
      InputError: D outside [0, 1], fewer than two documents, three documents.
    """
    checks.numbers(distortion, "the distortion", 0, 1)
    _several(num_documents)
    if checks.is_concrete(num_documents):
        checks.require(not np.any(np.asarray(num_documents) == 3), "there are three documents, where (4) divides by 0.")
    n = floating(num_documents)
    return 2 * (1 - floating(distortion)) * (n - 1) / (n - 3)


def top_entropy_bound(success: ArrayLike, num_documents: ArrayLike) -> jax.Array:
    """Section 4.1, false: H(Y | C) <= h(p_S) + p_S log2(N - 1). Fano's inequality has 1 - p_S before the logarithm.

    Args:
      success: p_S = P(rank = 1) in [0, 1], any shape.
      num_documents: N >= 2.

    Returns:
      bits.

    Raises:
      InputError: p_S outside [0, 1], fewer than two documents.
    """
    _several(num_documents)
    p = floating(success)
    return binary_entropy(p) + p * jnp.log2(floating(num_documents) - 1)


def fano_rate(distortion: ArrayLike, num_documents: ArrayLike) -> jax.Array:
    """Equation (5), false: R_rank(D) = log2 N - h(D) - (1 - D) log2(N - 1), zero where D = 1/N and rising from there.

    Args:
      distortion: D in [0, 1], any shape.
      num_documents: N >= 2.

    Returns:
      bits.

    Raises:
      InputError: D outside [0, 1], fewer than two documents.
    """
    _several(num_documents)
    d, n = floating(distortion), floating(num_documents)
    return jnp.log2(n) - binary_entropy(d) - (1 - d) * jnp.log2(n - 1)


def _several(num_documents: ArrayLike) -> None:
    """Two documents or more: of one there is nothing to rank, and log2(N - 1) is infinite."""
    checks.numbers(num_documents, "the number of documents", 2)


def skew(modalities: Modalities) -> jax.Array:
    """Equation (6), range false: kappa = (1 - I_cross / sum_m H_m) / (M - 1), below 0 for three copies.

    Args:
      modalities: of at least two.

    Returns:
      kappa, a number.

    Raises:
      InputError: one modality, where it is 0 / 0.
    """
    return modalities.skew_as_printed


def skew_penalty(modalities: Modalities) -> jax.Array:
    """Equation (7), false as a price: its last term kappa Delta H, which no code has to pay.

    Args:
      modalities: of at least two.

    Returns:
      bits, a number; below 0 where kappa is.

    Raises:
      InputError: one modality, as for `skew`.
    """
    return skew(modalities) * modalities.imbalance


def skew_rate(distortion: ArrayLike, num_documents: ArrayLike, modalities: Modalities) -> jax.Array:
    """Equation (7) and Theorem 4.1, false: I(X; C) > R_bal(D) + kappa Delta H. R_bal is (5), whatever the source.

    Args:
      distortion: D in [0, 1], any shape.
      num_documents: N >= 2.
      modalities: of at least two.

    Returns:
      what I(X; C) is said to exceed, bits.

    Raises:
      InputError: as for `fano_rate` and `skew`.
    """
    return fano_rate(distortion, num_documents) + skew_penalty(modalities)


def volume_bound(dimension: ArrayLike) -> jax.Array:
    """Section 4.3, false: H(C) <= d log2 sqrt(e pi) for unit-norm codebooks; nine points of a circle exceed it.

    Args:
      dimension: d.

    Returns:
      bits.
    """
    return floating(dimension) * jnp.log2(jnp.e * jnp.pi) / 2


def contrastive_slack(
    dimension: ArrayLike, distortion: ArrayLike, num_documents: ArrayLike, modalities: Modalities
) -> jax.Array:
    """Equation (8), false: d log2 sqrt(e pi) >= R_bal(D) + kappa Delta H, the left side less the right.

    Args:
      dimension: d; distortion: D in [0, 1]; num_documents: N >= 2; modalities: of at least two.

    Returns:
      bits, said to be at least 0.

    Raises:
      InputError: as for `skew_rate`.
    """
    return volume_bound(dimension) - skew_rate(distortion, num_documents, modalities)


def unimodal_rate(distortion: ArrayLike, num_documents: ArrayLike) -> jax.Array:
    """Corollary 4.4, false: with M = 1, R(D) >= R_rank(D). kappa is 0 / 0 there, and what is left is (5).

    Args:
      distortion: D in [0, 1], any shape.
      num_documents: N >= 2.

    Returns:
      bits.

    Raises:
      InputError: as for `fano_rate`.
    """
    return fano_rate(distortion, num_documents)


def dominant_ranking(scores: ArrayLike, temperatures: ArrayLike, dominant: ArrayLike) -> jax.Array:
    """Equation (9), a decoder: documents by falling <c, e_k> / tau_{m(k)}. The scale of tau does nothing.

    Args:
      scores: [M, ..., N]; temperatures: tau [M] > 0; dominant: int [N], as in `dominant_scores`.

    Returns:
      documents, best first [..., N].
    """
    return jnp.argsort(-dominant_scores(scores, temperatures, dominant), axis=-1)


def temperature_step(temperatures: ArrayLike, gradient: ArrayLike) -> jax.Array:
    """Section 5.2, false as a descent: tau <- tau exp(dR / d tau), said to minimize R. It goes uphill.

    Args:
      temperatures: tau [M] > 0; gradient: dR / d tau [M].

    Returns:
      tau [M].
    """
    return floating(temperatures) * jnp.exp(gradient)


def balanced_distortions(rate: ArrayLike, num_documents: ArrayLike, penalty: ArrayLike = 0.0) -> jax.Array:
    """Theorem 5.1, not defined: D* with R_bal(D*) + penalty = R. Two solutions, one, or none.

    R_bal falls from D = 0 to D = 1/N, where it is 0, and rises from there: one root is looked for on each side.

    Args:
      rate: R, bits; num_documents: N >= 2; penalty: kappa Delta H, bits.

    Returns:
      [..., 2]: the root in [0, 1/N] and the one in [1/N, 1], NaN for one that does not exist.

    Raises:
      InputError: fewer than two documents.
    """
    _several(num_documents)
    goal, n = jnp.broadcast_arrays(floating(rate) - penalty, floating(num_documents))
    n = n.astype(goal.dtype)
    start = jnp.stack([jnp.zeros_like(n), jnp.ones_like(n)], axis=-1)  # where R_bal is high
    goal, n = goal[..., None], n[..., None]  # beside the axis of the two roots
    foot = jnp.broadcast_to(1 / n, start.shape)

    def halve(_: Any, ends: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        high, low = ends
        middle = (high + low) / 2
        above = fano_rate(middle, n) >= goal
        return jnp.where(above, middle, high), jnp.where(above, low, middle)

    high, low = lax.fori_loop(0, 200, halve, (start, foot))
    exists = (goal >= 0) & (fano_rate(start, n) >= goal)
    return jnp.where(exists, (high + low) / 2, jnp.nan)
