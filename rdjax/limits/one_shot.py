"""What a single fixed-length code can do: Theorem C, exact.

With at most L codewords and any decoder, E w(rank) <= sum_j P_(j) w_ceil(j / L), P_(j) the sorted prior: at most L
documents have best rank 1, L more have best rank 2, and so on. Attained when the encoder knows the relevant document,
by the codes c that list P_(c), P_(c+L), P_(c+2L), ... Source: theory notes, section 1.5. It binds every class of
code.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.typing import ArrayLike

from rdjax import checks
from rdjax.host import on_the_host
from rdjax.limits.bound import Bound
from rdjax.limits.rank_sums import Prior, check_listed, check_weights, checked_size, describe_prior, rank_nodes
from rdjax.numerics import at_ranks, floating, on_device
from rdjax.retrieval.weights import Weights, reciprocal_rank

HIGHEST = lax.Precision.HIGHEST


def one_shot_distortion(
    num_codewords: ArrayLike, prior: Prior, weights: Weights | ArrayLike = reciprocal_rank
) -> jax.Array:
    """Least distortion of any ranking from one of L codewords: D = 1 - sum_j P_(j) w_ceil(j / L).

    Args:
      num_codewords: L, whole numbers at least 1, any shape. With an int prior they must be concrete.
      prior: law of the relevant document, [N], or an int N for the uniform one.
      weights: a function of the rank, or a non-increasing array [N].

    Returns:
      distortion, the shape of `num_codewords`; differentiable in the prior and in an array of weights.

    Raises:
      InputError: L below 1 or not whole, a prior that is no law, weights that increase.
    """
    documents = checked_size(prior)
    check_listed(weights, documents)
    sizes = _sizes(num_codewords, documents) if checks.is_concrete(num_codewords) else num_codewords
    if np.ndim(prior) == 0:
        checks.require(
            checks.is_concrete(num_codewords), "the number of codewords is traced; give the prior as an array."
        )
        if not checks.is_concrete(weights):
            return _from_listed(on_device(sizes), floating(np.full(documents, 1 / documents)), weights)
        first, loss = _losses(prior, weights)
        losses = [1 - first + loss(int(size)) for size in np.ravel(sizes)]
        return jnp.asarray(losses, float).reshape(np.shape(sizes))
    return (_from_prior if callable(weights) else _from_listed)(on_device(sizes), floating(prior), weights)


@on_the_host
def one_shot_codewords(distortion: float, prior: Prior, weights: Weights | ArrayLike = reciprocal_rank) -> int:
    """Fewest codewords with which a fixed-length code can reach a distortion; its bits are log2 of this.

    Args:
      distortion: a number; at least 1 - w_1. With x64 off it is taken as rounded to float32, so that what
        `one_shot_distortion` says gives its codewords back; a prior of a million may then need some tenths of a percent
        fewer, which is still a floor.
      prior, weights: as in `one_shot_distortion`; concrete.

    Raises:
      InputError: a distortion below 1 - w_1, which no ranking reaches, or not a number; a prior that is no law;
        weights that increase.
    """
    checks.require(np.ndim(distortion) == 0, f"the distortion has shape {np.shape(distortion)}; give one number.")
    checks.numbers(distortion, "the distortion")
    # a number of Python may come from an array of JAX, which has its usual precision
    made = distortion.dtype if isinstance(distortion, np.floating | np.ndarray) else jnp.result_type(distortion, float)
    eps = float(jnp.finfo(jnp.promote_types(made, np.float32)).eps)
    distortion = float(distortion)
    documents = checked_size(prior)
    check_listed(weights, documents)
    first, loss = _losses(prior, weights)
    excess = distortion - (1 - first) if first > 0.5 else (distortion - 1) + first  # as `above_best`, in float64
    # what rounds the distortion, and the sum that it may come from
    slack = 4 * eps + 8 * eps * abs(excess) * (documents if np.ndim(prior) else 1) ** 0.5
    reached = lambda size: loss(size) <= excess + slack
    checks.require(
        reached(documents),
        f"a distortion of {distortion:.6g} is below 1 - w_1, which a perfect ranking has; no code reaches it.",
    )
    low, high = 1, documents  # the loss falls with the number of codewords
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if reached(middle) else (middle + 1, high)
    return low


@on_the_host
def one_shot_bound(distortion: float, prior: Prior, weights: Weights | ArrayLike = reciprocal_rank) -> Bound:
    """log2 of `one_shot_codewords` as a floor, in bits, on any code of fixed length."""
    bits = float(np.log2(one_shot_codewords(distortion, prior, weights)))
    return Bound.at_least(bits, "theorem", describe_prior(prior), "every query sent with the same number of bits")


def _sizes(num_codewords: ArrayLike, documents: int) -> np.ndarray:
    """Checked, as integers of at most N, beyond which they change nothing: the device may count in 32 bits."""
    given = np.asarray(num_codewords)
    least = np.min(given, initial=1)
    checks.require(not least < 1, f"a code of {least} codewords sends nothing; it needs at least one.")
    capped = np.minimum(given, documents)
    good = bool(np.all(capped == np.floor(capped)) and np.all(given < np.inf))
    checks.require(good, "a number of codewords is no whole number; round it down.")
    return np.asarray(capped).astype(np.int64)


def _losses(prior: Prior, weights: Any) -> tuple[float, Callable[[int], float]]:
    """w_1, and what L codewords lose of it at least, sum_j P_(j) (w_1 - w_ceil(j / L)), whose digits are all its own.

    In float64 on the host: a whole number of codewords leaves no room for float32.
    """
    if np.ndim(prior) == 0:
        documents = int(prior)
        if callable(weights):
            first = float(at_ranks(weights, np.float64(1)))
            return first, lambda size: _loss_of_function(size, documents, weights)
        listed = np.asarray(weights, np.float64)
        return float(listed[0]), lambda size: _uniform_loss(size, documents, listed)
    falling = -np.sort(-np.asarray(prior, np.float64))
    falling /= falling.sum()  # a law may be written with six digits
    ranks = np.arange(1.0, len(falling) + 1)
    worth = at_ranks(weights, ranks) if callable(weights) else np.asarray(weights, np.float64)
    check_weights(worth)
    lost = worth[0] - worth
    return float(worth[0]), lambda size: float(lost[(np.arange(len(falling)) // size)] @ falling)


def _uniform_loss(size: int, documents: int, weights: Any) -> float:
    """Mean of w_1 - w_ceil(j / L) over j = 1..N: L documents at each of the first floor(N / L) ranks, then the rest."""
    full, rest = divmod(documents, min(size, documents))
    if callable(weights):
        worth, count = rank_nodes(weights, full)
        last = float(at_ranks(weights, np.float64(full + 1))) if rest else worth[0]
    else:
        worth, count = weights[:full], np.ones(full)
        last = weights[full] if rest else worth[0]
    lost = min(size, documents) * float((worth[0] - worth) @ count) + rest * float(worth[0] - last)
    return lost / documents


_loss_of_function = lru_cache(maxsize=4096)(_uniform_loss)  # an array would be a key of its length


def _any_prior(sizes: jax.Array, prior: jax.Array, weights: Weights | ArrayLike) -> jax.Array:
    falling = -jnp.sort(-prior) / jnp.sum(prior)  # a law may be written with six digits
    order = jnp.arange(prior.shape[0])

    worth = weights((order + 1).astype(falling.dtype)) if callable(weights) else jnp.asarray(weights)

    def loss(size: jax.Array) -> jax.Array:
        place = order // jnp.maximum(size, 1).astype(order.dtype)
        return jnp.matmul(worth[0] - worth[place], falling, precision=HIGHEST)

    return 1 - worth[0] + jnp.vectorize(loss)(sizes)


_from_prior = jax.jit(_any_prior, static_argnums=2)
_from_listed = jax.jit(_any_prior)
