"""How far the distortion of a code trained on n pairs can be from its empirical one: Rademacher complexity.

An encoder with K cells and any decoder from cells to rankings; pair i falls into the cell k_i and has the document
y_i, and its loss is 1 - w(rank of y_i in the ranking of cell k_i). Over random signs,

    R_n = E sup (1/n) sum_i sigma_i loss_i,    E d <= E_n d + 2 R_n + 3 sqrt(ln(2 / delta) / (2 n))

with probability 1 - delta. For decoders of fixed cells R_n depends on ||w - wbar||, at most pi / sqrt(6) for reciprocal
rank whatever the number of documents, and on K / n. In place of Lemma 6.1 and equation (11) of the paper, which are
false: they count values of one loss. Arguments without a shape are numbers, or arrays that broadcast. Source: theory
notes, section 5.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.scipy.special import gammaln
from jax.typing import ArrayLike

from rdjax import checks
from rdjax.limits.rank_sums import check_listed, rank_nodes
from rdjax.numerics import at_ranks, floating, on_device
from rdjax.retrieval.weights import Weights, reciprocal_rank


def generalization_bound(
    empirical: ArrayLike, complexity: ArrayLike, samples: ArrayLike, delta: ArrayLike
) -> jax.Array:
    """E d <= E_n d + 2 R_n + 3 sqrt(ln(2 / delta) / (2 n)) for all codes of a class at once.

    With probability 1 - delta over samples.

    Args:
      empirical: E_n d, the trained code's distortion on its own sample, losses in [0, 1].
      complexity: R_n of the class, or what it is at most: of this sample (`observed_complexity`) or in the mean.
      samples: n; delta: in (0, 1).

    Returns:
      distortion, the shape they broadcast to; above 1 it says nothing.

    Raises:
      InputError: a distortion or complexity below 0, fewer than 1 sample, a delta outside (0, 1).

    Source: Bartlett and Mendelson 2002; theory notes, section 5: (11) of the paper with the complexity that is true.
    """
    checks.numbers(empirical, "the empirical distortion", 0)
    checks.numbers(complexity, "the complexity", 0)
    checks.numbers(samples, "the number of samples", 1)
    checks.numbers(delta, "delta", 0, 1, ends=False)
    radius = 3 * jnp.sqrt(jnp.log(2 / floating(delta)) / (2 * floating(samples)))
    return floating(empirical) + 2 * floating(complexity) + radius


def decoder_complexity(
    cells: ArrayLike, num_documents: int, samples: ArrayLike, weights: Weights | ArrayLike = reciprocal_rank
) -> jax.Array:
    """R_n <= ||w - wbar|| sqrt(K / n) for one encoder of K cells and every decoder, whatever the sample.

    Args:
      cells: K, any shape; num_documents: N; samples: n.
      weights: a function of the rank, or a non-increasing array [N].

    Returns:
      a number for each K and n.

    Raises:
      InputError: another number of weights than documents, less than 1 cell or sample.

    Source: theory notes, section 5.
    """
    checks.numbers(cells, "the number of cells", 1)
    checks.numbers(samples, "the number of samples", 1)
    return _spread(weights, num_documents) * jnp.sqrt(floating(cells) / floating(samples))


def observed_complexity(
    counts: ArrayLike, num_documents: int, weights: Weights | ArrayLike = reciprocal_rank
) -> jax.Array:
    """R_n <= ||w - wbar|| (1/n) sum_k sqrt(n_k) for one encoder, every decoder, and a sample with n_k pairs in cell k.

    Args:
      counts: n_k [..., K]; num_documents: N.
      weights: a function of the rank, or a non-increasing array [N].

    Returns:
      [...], at most `decoder_complexity`, and less where cells are used unevenly.

    Raises:
      InputError: another number of weights than documents, a count below 0, no pairs.

    Source: Cauchy-Schwarz cell by cell; theory notes, section 5.
    """
    checks.numbers(counts, "the counts", 0)
    if checks.is_concrete(counts):
        some = np.ndim(counts) > 0 and bool(np.all(np.sum(np.asarray(counts), axis=-1) > 0))
        checks.require(some, "the counts hold no pairs; give how many fall into each cell, [..., K].")
    n = floating(counts)
    return _spread(weights, num_documents) * jnp.sum(jnp.sqrt(n), axis=-1) / jnp.sum(n, axis=-1)


def massart_complexity(log_losses: ArrayLike, samples: ArrayLike) -> jax.Array:
    """R_n <= sqrt(ln L / (2 n)) for a class that has L vectors of losses in [0, 1] on the sample.

    Also what choosing among encoders adds to `decoder_complexity`: with L the number of partitions of the sample that
    they make (the growth function), R_n <= ||w - wbar|| sqrt(K / n) + sqrt(ln L / (2 n)), as each partition's supremum
    is sub-Gaussian with variance 1 / (4 n) about its mean.

    Args:
      log_losses: ln L, nats, e.g. `interval_growth`; samples: n.

    Returns:
      a number.

    Raises:
      InputError: less than 1 vector of losses (ln L below 0) or sample.

    Source: Massart 2000, McDiarmid 1989; theory notes, section 5.
    """
    checks.numbers(log_losses, "ln L", 0)
    checks.numbers(samples, "the number of samples", 1)
    return jnp.sqrt(floating(log_losses) / (2 * floating(samples)))


def interval_growth(cells: ArrayLike, samples: ArrayLike) -> jax.Array:
    """ln of the partitions that n points see of product quantizers: sum_m ln C(n + K_m - 1, K_m - 1).

    Args:
      cells: K_m [..., M], intervals on the line of each modality; samples: n, a number or [...].

    Returns:
      nats [...], from sums in float64; of traced arguments in their own precision, which float32 is too little for.

    Raises:
      InputError: less than 1 interval or sample.

    Source: theory notes, section 5.
    """
    checks.numbers(cells, "the number of intervals", 1)
    checks.require(np.ndim(cells) > 0, "the intervals are a number; give one for each modality, [M].")
    checks.numbers(samples, "the number of samples", 1)
    if checks.is_concrete(cells, samples):
        from scipy.special import gammaln as exact  # the differences of large numbers want float64 on the host

        return floating(_log_choices(exact, np.asarray(cells, np.float64), np.asarray(samples, np.float64), np))
    return _log_choices(gammaln, floating(cells), floating(samples), jnp)


def _log_choices(log_gamma: Callable[[Any], Any], k: Any, n: Any, xp: Any) -> Any:
    """sum_m ln C(n + K_m - 1, K_m - 1)."""
    n = n[..., None] if n.ndim else n
    return xp.sum(log_gamma(n + k) - log_gamma(k) - log_gamma(n + 1), axis=-1)


def decoder_supremum(
    signs: ArrayLike,
    cells: ArrayLike,
    documents: ArrayLike,
    *,
    sizes: tuple[int, int],
    weights: Weights | ArrayLike = reciprocal_rank,
) -> jax.Array:
    """sup over all decoders of (1/n) sum_i sigma_i loss_i, exactly: in each cell, the documents sorted by their signs.

    Args:
      signs: sigma_i in {-1, 1} [..., n].
      cells: k_i [n]; documents: y_i [n], both numbered from 0.
      sizes: K and N, static.
      weights: a function of the rank, or a non-increasing array [N].

    Returns:
      [...]. Memory for K N numbers, one vector of signs after the other.

    Raises:
      InputError: cells or documents out of range, another number of them than of signs, a sign that is not finite;
        weights that increase.

    Source: theory notes, section 5; the rearrangement inequality.
    """
    checks.numbers(signs, "the signs")
    checks.require(np.ndim(signs) > 0, "the signs are a number; give one for each pair, [n].")
    sigma = floating(signs)
    place = _places(cells, documents, sizes, sigma.shape[-1])
    return _suprema(sigma.reshape(-1, sigma.shape[-1]), place, _worth(weights, sizes[1]), sizes).reshape(
        sigma.shape[:-1]
    )


def rademacher_complexity(
    key: jax.Array,
    cells: ArrayLike,
    documents: ArrayLike,
    *,
    sizes: tuple[int, int],
    weights: Weights | ArrayLike = reciprocal_rank,
    draws: int = 100,
) -> tuple[jax.Array, jax.Array]:
    """R_n of all decoders of fixed cells on this sample, by Monte Carlo over signs with the exact supremum for each.

    Args:
      key: of the signs.
      cells: k_i [n]; documents: y_i [n]; sizes: K and N, static.
      weights: as in `decoder_supremum`.
      draws: vectors of signs, at least 2.

    Returns:
      estimate, and its standard error.

    Raises:
      InputError: as in `decoder_supremum`; fewer than two draws.
    """
    checks.whole(draws, "draws", 2)
    checks.require(np.ndim(cells) == 1, f"the cells have shape {np.shape(cells)}; give one for each pair, [n].")
    n, worth = np.shape(cells)[0], _worth(weights, sizes[1])
    place = _places(cells, documents, sizes, n)
    sigma = jax.random.rademacher(key, (draws, n), worth.dtype)
    # what all rankings of a cell share has mean 0: left out, it does not add to the error
    found = _suprema(sigma, place, worth, sizes) - (1 - jnp.mean(worth)) * jnp.mean(sigma, axis=1)
    return jnp.mean(found), jnp.std(found, ddof=1) / draws**0.5


@partial(jax.jit, static_argnums=3)
def _suprema(signs: jax.Array, place: jax.Array, worth: jax.Array, sizes: tuple[int, int]) -> jax.Array:
    def supremum(sigma: jax.Array) -> jax.Array:
        sums = jax.ops.segment_sum(sigma, place, sizes[0] * sizes[1]).reshape(sizes)
        least = jnp.matmul(jnp.sort(sums, axis=1), worth, precision=lax.Precision.HIGHEST)
        return (jnp.sum(sigma) - jnp.sum(least)) / sigma.shape[0]

    return lax.map(supremum, signs)


def _places(cells: ArrayLike, documents: ArrayLike, sizes: tuple[int, int], n: int) -> jax.Array:
    """Number of each pair's cell and document together [n]."""
    for values, size, what in ((cells, sizes[0], "cells"), (documents, sizes[1], "documents")):
        checks.require(np.shape(values) == (n,), f"the {what} have shape {np.shape(values)} for {n} signs.")
        if checks.is_concrete(values):
            checks.indices(np.asarray(values), size, f"the {what}", what)
    cells, documents = (np.asarray(x, np.int64) if checks.is_concrete(x) else x for x in (cells, documents))
    return on_device(cells * sizes[1] + documents)


def _worth(weights: Weights | ArrayLike, documents: int) -> jax.Array:
    worth = at_ranks(weights, np.arange(1.0, documents + 1)) if callable(weights) else weights
    check_listed(worth, documents)
    return floating(worth)


def _spread(weights: Weights | ArrayLike, documents: int) -> jax.Array:
    """||w - wbar||: sqrt of the sum over ranks of (w_k - wbar)^2."""
    if callable(weights):
        nodes, count = rank_nodes(weights, checks.whole(documents, "the number of documents"))
        return floating(np.sqrt(count @ (nodes - nodes @ count / documents) ** 2))
    worth = _worth(weights, documents)
    return jnp.linalg.norm(worth - jnp.mean(worth))
