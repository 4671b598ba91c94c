"""The paper's formulas of finite samples, sections 5 to 10, as printed, whatever their worth.

Every one traces under jit. The first line of each says if it is false. n is the number of training pairs; logarithms
of section 6 are natural, as the concentration inequalities that they come from have them; entropies are in bits.
Arguments without a shape are numbers, or arrays that broadcast.
"""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from rdjax.checks import numbers
from rdjax.numerics import LN2, floating
from rdjax.retrieval.closed_forms import printed_rule


def achieved_distortion(least: ArrayLike, samples: ArrayLike, constant: ArrayLike = 1.0) -> jax.Array:
    """Theorem 5.1 and Lemma 5.2, false: E d <= D*(R) + c / n. A one-query code has a floor above D* that no n removes.

    Args:
      least: D*(R); samples: n; constant: c, which the paper leaves open.

    Returns:
      distortion.
    """
    return floating(least) + constant / floating(samples)


def information_drift(distance: ArrayLike, codewords: ArrayLike) -> jax.Array:
    """Section 5.3, step 3, false: |I_Q(X; C) - I_P(X; C)| <= 2 delta log2 |C|.

    Args:
      distance: delta, total variation of the two laws; codewords: |C|.

    Returns:
      bits.
    """
    return 2 * floating(distance) * jnp.log2(floating(codewords))


def complexity(log_cells: ArrayLike, largest_corpus: ArrayLike, samples: ArrayLike) -> jax.Array:
    """Lemma 6.1, false: R_n <= sqrt(2 / n) (sqrt(Lambda) + sqrt(ln D_max)). It counts values of a loss, not losses.

    Args:
      log_cells: Lambda = sum_m ln K_m, nats; largest_corpus: D_max; samples: n.

    Returns:
      what the Rademacher complexity is said to be at most.

    Raises:
      InputError: Lambda below 0, D_max below 1, n not above 0.
    """
    numbers(log_cells, "the logarithm of the number of cells", 0)
    numbers(largest_corpus, "the largest corpus", 1)
    numbers(samples, "the number of samples", 0, ends=False)
    root = jnp.sqrt(floating(log_cells)) + jnp.sqrt(jnp.log(floating(largest_corpus)))
    return jnp.sqrt(2 / floating(samples)) * root


def massart(log_cells: ArrayLike, largest_corpus: ArrayLike, samples: ArrayLike) -> jax.Array:
    """Lemma 6.1, step 3, false as an equation: sqrt(2 ln(K D_max) / n), said to be equal to `complexity`; it is less.

    Args:
      log_cells: ln K, nats; largest_corpus: D_max; samples: n.

    Returns:
      a number.

    Raises:
      InputError: ln K below 0, D_max below 1, n not above 0.
    """
    numbers(log_cells, "the logarithm of the number of cells", 0)
    numbers(largest_corpus, "the largest corpus", 1)
    numbers(samples, "the number of samples", 0, ends=False)
    return jnp.sqrt(2 * (floating(log_cells) + jnp.log(floating(largest_corpus))) / floating(samples))


def risk_bound(empirical: ArrayLike, rademacher: ArrayLike, samples: ArrayLike, delta: ArrayLike) -> jax.Array:
    """Theorem 6.2, true: E d <= E_n d + 4 R_n + 3 sqrt(ln(2 / delta) / (2 n)) with probability 1 - delta.

    2 R_n in place of 4 R_n is enough.

    Args:
      empirical: E_n d; rademacher: R_n of the class; samples: n; delta: in (0, 1).

    Returns:
      distortion.

    Raises:
      InputError: delta outside (0, 1), n not above 0.
    """
    numbers(delta, "delta", 0, 1, ends=False)
    numbers(samples, "the number of samples", 0, ends=False)
    return floating(empirical) + 4 * rademacher + 3 * jnp.sqrt(jnp.log(2 / floating(delta)) / (2 * floating(samples)))


def printed_risk(
    empirical: ArrayLike, log_cells: ArrayLike, largest_corpus: ArrayLike, samples: ArrayLike, delta: ArrayLike
) -> jax.Array:
    """Equation (11), false: `risk_bound` with the R_n of Lemma 6.1. Its last term is 3 sqrt(ln(2 / delta) / (2 n)).

    Args:
      empirical: E_n d; log_cells: Lambda, nats; largest_corpus: D_max; samples: n; delta: in (0, 1).

    Returns:
      distortion.

    Raises:
      InputError: as `complexity` and `risk_bound`.
    """
    return risk_bound(empirical, complexity(log_cells, largest_corpus, samples), samples, delta)


def cells_bound(entropies: ArrayLike, gamma: ArrayLike) -> jax.Array:
    """Lemma 6.3, true in part: sum_m log2 K_m <= M Hbar + gamma^2 Delta H.

    Cells of section 6.1 have M Hbar, so that it gains nothing; those of its own proof, `cells_in_proof`, have more.

    Args:
      entropies: H [M], bits; gamma: at most 1 / sqrt(2).

    Returns:
      bits.
    """
    h = floating(entropies)
    return jnp.sum(h) + gamma**2 * jnp.sum(jnp.abs(h - jnp.mean(h)))


def cells_in_proof(entropies: ArrayLike, temperatures: ArrayLike) -> jax.Array:
    """Proof of Lemma 6.3: sum_m log2 K_m of cells of probability 2^(-H_m) exp(-tau_m^2), K_m = 1 / probability.

    The paper's next line has sum_m H_m - sum_m tau_m^2: the wrong sign, and no log2 e.

    Args:
      entropies: H [M], bits; temperatures: tau [M].

    Returns:
      bits.
    """
    return jnp.sum(floating(entropies) + floating(temperatures) ** 2 / LN2)


def gap_order(modalities: ArrayLike, imbalance: ArrayLike, samples: ArrayLike) -> jax.Array:
    """Section 6.3, false: the gap is of order sqrt(M / n) + sqrt(Delta H / n). It is sqrt(K / n), K = 2^(M Hbar).

    Args:
      modalities: M; imbalance: Delta H, bits; samples: n.

    Returns:
      a number, up to a constant that is not given.

    Raises:
      InputError: M or Delta H below 0, n not above 0.
    """
    numbers(modalities, "the number of modalities", 0)
    numbers(imbalance, "the imbalance", 0)
    numbers(samples, "the number of samples", 0, ends=False)
    n = floating(samples)
    return jnp.sqrt(floating(modalities) / n) + jnp.sqrt(floating(imbalance) / n)


def entropy_tail(error: ArrayLike, samples: ArrayLike, symbols: ArrayLike) -> jax.Array:
    """Equation (12), false: P(|Hhat - H| >= t) <= 2 exp(-n t^2 / (2 log2^2 |A|)). The bias is left out.

    Args:
      error: t, bits; samples: n; symbols: |A| >= 2.

    Returns:
      probability.

    Raises:
      InputError: fewer than two symbols, where H is 0 and it divides by 0.
    """
    numbers(symbols, "the number of symbols", 2)
    return 2 * jnp.exp(-floating(samples) * error**2 / (2 * jnp.log2(floating(symbols)) ** 2))


def entropy_radius(samples: ArrayLike, modalities: ArrayLike, delta: ArrayLike, constant: ArrayLike = 1.0) -> jax.Array:
    """Equation (13), false: |Hhat_m - H_m| <= c sqrt(ln(6 M / delta) / n) for all m with probability 1 - delta / 3.

    Args:
      samples: n; modalities: M; delta: in (0, 1); constant: c, said to be universal; it has log |A| in it.

    Returns:
      epsilon_H, bits.

    Raises:
      InputError: M below 1, delta outside (0, 1), n not above 0.
    """
    numbers(modalities, "the number of modalities", 1)
    numbers(delta, "delta", 0, 1, ends=False)
    numbers(samples, "the number of samples", 0, ends=False)
    return floating(constant) * jnp.sqrt(jnp.log(6 * floating(modalities) / delta) / floating(samples))


def allocation_within_two(allocated: ArrayLike, rate: ArrayLike, entropies: ArrayLike) -> jax.Array:
    """Equation (14), false unless R c_1 epsilon_H <= 1: |R_m - R alpha_m| <= 2 with alpha_m = H_m / sum_j H_j.

    Args:
      allocated: R_m [..., M], bits, from estimated entropies; rate: R; entropies: H [M], the true ones.

    Returns:
      whether it holds [..., M].
    """
    h = floating(entropies)
    bits = floating(allocated)
    return jnp.abs(bits - jnp.broadcast_to(rate * h / jnp.sum(h), bits.shape)) <= 2


def displaced(displacement: ArrayLike, radius: ArrayLike, constant: ArrayLike = 1.0) -> jax.Array:
    """Equation (15), false: P(largest displacement of a cell > c_2 epsilon_H) <= delta / 3. The frequency on the left.

    Args:
      displacement: of each trained quantizer from the ideal one [T]; radius: epsilon_H; constant: c_2.

    Returns:
      share of the quantizers that are displaced by more.
    """
    return jnp.mean((floating(displacement) > constant * radius).astype(floating(displacement).dtype))


def temperature_drift(
    entropies: ArrayLike, estimates: ArrayLike, radius: ArrayLike, constant: ArrayLike = 1.0
) -> jax.Array:
    """Equation (16), true only where H_m is bounded away from 0: |tau*_m - tau*(0)_m| <= c_3 epsilon_H; right - left.

    Args:
      entropies: H [M] > 0; estimates: Hhat [M] > 0; radius: epsilon_H; constant: c_3, said to be universal.

    Returns:
      [M], said to be at least 0.
    """
    true, fitted = printed_rule(entropies), printed_rule(estimates)
    return floating(constant) * radius - jnp.abs(fitted - true)


def drift_sum(samples: ArrayLike, constants: ArrayLike) -> jax.Array:
    """Section 10, last display: c_4 / n + c_5 / sqrt(n) + c_6 / n, said to shrink to O(1 / n). The middle term stays.

    Args:
      samples: n; constants: c_4, c_5, c_6 [3].

    Returns:
      distortion.
    """
    c, n = floating(constants), floating(samples)
    return c[0] / n + c[1] / jnp.sqrt(n) + c[2] / n
