"""What is true in place of the paper's small lemmas, where no other package of rdjax has it. Source: theory notes.

The large corrections are elsewhere: `limits` replaces (5), (7) and (8), `retrieval` replaces (9) and (10).
"""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from rdjax.numerics import floating, to_bits
from rdjax.paper.formulas import binary_entropy
from rdjax.retrieval.weights import reciprocal_rank


def success_range(distortion: ArrayLike, num_documents: ArrayLike) -> tuple[jax.Array, jax.Array]:
    """In place of (4), both ends tight: 1 - 2 D <= p_S <= (N (1 - D) - 1) / (N - 1).

    Args:
      distortion: D of the reciprocal rank, 0 to 1 - 1/N, any shape; num_documents: N >= 2.

    Returns:
      least and greatest P(rank = 1), within [0, 1].

    Source: theory notes, section 8.
    """
    d, n = floating(distortion), floating(num_documents)
    return jnp.clip(1 - 2 * d, 0, 1), jnp.clip((n * (1 - d) - 1) / (n - 1), 0, 1)


def fano_floor(distortion: ArrayLike, num_documents: ArrayLike) -> jax.Array:
    """In place of (5), in its own form: R(D) >= log2 N - h(2 D) - 2 D log2(N - 1) for D <= (1 - 1/N) / 2, else 0.

    Weaker than the exact `rdjax.limits.ranking_rate`. A ranking that is not right at once has d >= 1/2, so its top
    document is wrong with probability at most 2 D, and Fano's inequality does the rest.

    Args:
      distortion: D, any shape; num_documents: N >= 2, all sought equally often.

    Returns:
      bits.

    Source: theory notes, section 1.3.
    """
    d, n = floating(distortion), floating(num_documents)
    wrong = jnp.minimum(2 * d, 1 - 1 / n)
    return jnp.log2(n) - binary_entropy(wrong) - wrong * jnp.log2(n - 1)


def entropy_continuity(distance: ArrayLike, symbols: ArrayLike) -> jax.Array:
    """In place of step 3 of Theorem 5.1: |H_P - H_Q| <= delta log2(|C| - 1) + h(delta), delta <= 1 - 1/|C|.

    Args:
      distance: delta, total variation; symbols: |C| >= 2.

    Returns:
      bits.

    Source: theory notes, section 6 (v).
    """
    delta = floating(distance)
    return delta * jnp.log2(floating(symbols) - 1) + binary_entropy(delta)


def decoder_complexity(cells: ArrayLike, num_documents: int, samples: ArrayLike) -> jax.Array:
    """In place of Lemma 6.1: R_n <= ||w - wbar|| sqrt(K / n) for one encoder of K cells and every decoder.

    Independent of the number of documents, as ||w - wbar||^2 <= pi^2 / 6 for the reciprocal rank. A class of encoders
    adds sqrt(ln Pi_F(n) / (2 n)), Pi_F its growth function.

    Args:
      cells: K; num_documents: N, static; samples: n.

    Returns:
      what the Rademacher complexity of the loss is at most.

    Source: theory notes, section 5.
    """
    w = reciprocal_rank(jnp.arange(1, num_documents + 1, dtype=float))
    return jnp.linalg.norm(w - jnp.mean(w)) * jnp.sqrt(floating(cells) / floating(samples))


def risk(empirical: ArrayLike, rademacher: ArrayLike, samples: ArrayLike, delta: ArrayLike) -> jax.Array:
    """In place of (11): E d <= E_n d + 2 R_n + 3 sqrt(ln(2 / delta) / (2 n)) with probability 1 - delta.

    Args:
      empirical: E_n d; rademacher: R_n, e.g. `decoder_complexity`; samples: n; delta: in (0, 1).

    Returns:
      distortion.

    Source: theory notes, section 5.
    """
    return floating(empirical) + 2 * rademacher + 3 * jnp.sqrt(jnp.log(2 / floating(delta)) / (2 * floating(samples)))


def entropy_bias(samples: ArrayLike, symbols: ArrayLike) -> jax.Array:
    """Beside (12): 0 <= H - E Hhat <= log2(1 + (|A| - 1) / n) of the plug-in estimate.

    Args:
      samples: n; symbols: |A|.

    Returns:
      bits.

    Source: Paninski 2003; theory notes, section 6.
    """
    return to_bits(jnp.log1p((floating(symbols) - 1) / floating(samples)))


def entropy_deviation(error: ArrayLike, samples: ArrayLike) -> jax.Array:
    """In place of (12): P(|Hhat - E Hhat| >= t) <= 2 exp(-n t^2 / (2 log2^2 n)), for the plug-in estimate.

    Args:
      error: t, bits; samples: n >= 2.

    Returns:
      probability; about the mean of the estimate, see `entropy_bias` for its distance from H.

    Source: McDiarmid's inequality; theory notes, section 6.
    """
    n = floating(samples)
    return 2 * jnp.exp(-n * error**2 / (2 * jnp.log2(n) ** 2))


def allocation_radius(rate: ArrayLike, share_error: ArrayLike) -> jax.Array:
    """In place of (14): |R_m - R alpha_m| < 1 + R |alphahat_m - alpha_m|.

    Args:
      rate: R, bits; share_error: |alphahat_m - alpha_m|, any shape.

    Returns:
      bits.

    Source: theory notes, section 6.
    """
    return 1 + floating(rate) * floating(share_error)
