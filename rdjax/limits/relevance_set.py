"""A floor for queries with several relevant documents, when the metric looks at the first of them.

Let f_y = P(y is relevant), h(x) = min over what is relevant to x of -ln f_y (0 where nothing is), and 0 <= t <= 1.
Whatever the ranking, E_X e^{t h(X)} 1{K = k} <= f_y^{1-t} of the document y at rank k, K the first relevant rank, since
h(X) <= -ln f_y there; and these add up to M = E_X e^{t h(X)} over queries with something relevant. So for every fixed
ranking E_X e^{t h(X) + s w_K} <= P(nothing) + sum_k p_k e^{s w_k} with p_k = min(f_(k)^{1-t}, M - sum_{j<k} p_j), and
the Donsker-Varadhan inequality with the test function t h(X) + s w_K gives, for every s >= 0,

    I(X; C) >= s E w_K + t E h(X) - ln(P(nothing) + sum_k p_k e^{s w_k})    (nats).

The floor is the best s and the best t of `POWERS`. At t = 0 frequencies alone are needed; the others need to know which
documents are relevant to the same query, and say more where some are wanted far more often than others: with one
relevant document a query, t = 1 is Shannon's bound (Theorem B without majorization), and t = 0 is weaker.
Source: theory notes, section 1.7; t > 0: section 12.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.typing import ArrayLike

from rdjax import checks
from rdjax.limits.bound import AVERAGED, Bound
from rdjax.limits.rank_problem import check_every_rank, tilted_rate
from rdjax.limits.rank_sums import check_listed
from rdjax.limits.tilting import Ranks, at_each
from rdjax.numerics import floating, on_device
from rdjax.retrieval.weights import Weights, reciprocal_rank

POWERS = tuple(n / 8 for n in range(9))  # the t that are tried; between two of them the floor is hardly higher


def first_relevant_law(frequencies: ArrayLike) -> jax.Array:
    """p_k = min(f_(k), 1 - sum_{j<k} p_j): the best law any ranking can give the first relevant rank.

    Args:
      frequencies: f_y = P(document y is relevant), [N], each in [0, 1]; their sum may exceed one.

    Returns:
      [N], non-increasing, with sum at most one (less where some query has no relevant document).

    Raises:
      InputError: frequencies outside [0, 1], or not one a document.
    """
    checks.numbers(frequencies, "the relevance frequencies", 0, 1)
    shape = np.shape(frequencies)
    good = len(shape) == 1 and shape != (0,)
    checks.require(good, f"the relevance frequencies have shape {shape}; give one a document, [N].")
    values = floating(frequencies)
    return _law(values, jnp.ones((), values.dtype))


@jax.jit
def _law(most: jax.Array, total: jax.Array) -> jax.Array:
    """The falling law with entries at most those of `most` and this sum: as much as early as can be."""
    falling = -jnp.sort(-most)
    before = lax.cummax(jnp.cumsum(falling))[:-1]  # sums of blocks may fall by an ulp from one to the next
    left = jnp.append(total[None], jnp.maximum(total - before, 0))
    return jnp.minimum(falling, left)


def first_relevant_rate(
    distortion: ArrayLike,
    frequencies: ArrayLike,
    weights: Weights | ArrayLike = reciprocal_rank,
    *,
    relevant: ArrayLike | None = None,
) -> jax.Array:
    """Bits per query below which no code's first relevant documents rank this well: the best of the display above.

    Args:
      distortion: D = 1 - E w(first relevant rank), any shape.
      frequencies: f_y = P(document y is relevant), [N].
      weights: a function of the rank, or a non-increasing array [N].
      relevant: the documents relevant to each of Q equiprobable queries, int [Q, J] padded with -1, of which the
        frequencies are (`frequencies` may be above their shares, not below); None: not known, and then t = 0.

    Returns:
      bits, the shape of `distortion`; 0 where no bits are needed, inf below 1 - w_1. Differentiable in the first three
      by the envelope theorem.

    Raises:
      InputError: frequencies outside [0, 1], or below the shares of `relevant`; a distortion below 1 - w_1; weights
        that increase or are not one a document.
    """
    law = first_relevant_law(frequencies)
    xp = np if checks.is_concrete(frequencies) else jnp
    documents = law.shape[0]
    check_listed(weights, documents)
    if callable(weights):
        check_every_rank(weights, documents)
        worth = weights(xp.arange(1, documents + 1, dtype=law.dtype))
    else:
        worth = floating(weights)
    if checks.is_concrete(distortion) and checks.is_concrete(worth):
        checks.numbers(distortion, "the distortion")
        reached = np.min(np.asarray(distortion, np.float64), initial=np.inf) >= 1 - float(np.asarray(worth)[0]) - 1e-6
        checks.require(bool(reached), "a distortion is below 1 - w_1, which a perfect ranking has; no rate reaches it.")
    if relevant is None:
        masses, constants = _by_frequency(law)
    else:
        _check_lists(relevant, frequencies, documents)
        masses, constants = _by_lists(floating(frequencies), on_device(relevant))
    worths = jnp.append(on_device(worth, law.dtype), 0.0)
    return tilted_floor(on_device(distortion, law.dtype), masses, constants, worths, worths[0])


def _check_lists(relevant: ArrayLike, frequencies: ArrayLike, documents: int) -> None:
    """Lists of documents that are, of queries, and that are relevant as often as is said or less."""
    checks.whole_numbers(relevant, "relevant", -1)
    shape = np.shape(relevant)
    checks.require(len(shape) == 2 and 0 not in shape, f"relevant has shape {shape}; it must be [Q, J], not empty.")
    if not checks.is_concrete(relevant, frequencies):
        return
    listed = np.asarray(relevant)
    checks.require(int(listed.max()) < documents, f"relevant has {listed.max()}, but there are {documents} documents.")
    pairs = np.unique(
        np.stack([np.broadcast_to(np.arange(shape[0])[:, None], shape), listed], axis=-1)[listed >= 0], axis=0
    )
    shares, given = np.bincount(pairs[:, 1], minlength=documents) / shape[0], np.asarray(frequencies, np.float64)
    short = shares > given * (1 + 1e-6)
    number = int(np.argmax(short))
    checks.require(
        not short.any(),
        f"document {number} is relevant to {shares[number]:.6g} of the queries, more than its frequency, "
        f"{given[number]:.6g}; give their shares.",
    )


def _by_frequency(law: jax.Array) -> tuple[jax.Array, jax.Array]:
    """(p, P(nothing)) [1, N + 1] and t E h [1] at t = 0."""
    missing = jnp.maximum(1 - jnp.sum(law), 0)  # queries without a relevant document earn nothing
    return jnp.append(law, missing)[None], jnp.zeros(1, law.dtype)


@jax.jit
def _by_lists(frequencies: jax.Array, relevant: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The same [T, N + 1] and [T] at every t, from lists [Q, J]."""
    wanted = frequencies > 0
    logs = jnp.where(wanted, jnp.log(jnp.where(wanted, frequencies, 1)), 0)
    some = jnp.any(relevant >= 0, axis=1)
    most = jnp.max(jnp.where(relevant >= 0, logs[jnp.maximum(relevant, 0)], -jnp.inf), axis=1)
    rarity = jnp.where(some, -jnp.where(some, most, 0), 0)  # h

    def at(power: jax.Array) -> tuple[jax.Array, jax.Array]:
        total = jnp.mean(jnp.where(some, jnp.exp(power * rarity), 0))
        law = _law(jnp.where(wanted, jnp.exp((1 - power) * logs), 0), total)
        return jnp.append(law, jnp.mean(~some, dtype=law.dtype)), power * jnp.mean(rarity)

    return lax.map(at, jnp.asarray(POWERS, frequencies.dtype))


@jax.jit
def tilted_floor(
    distortion: jax.Array, masses: jax.Array, constants: jax.Array, worth: jax.Array, first: jax.Array
) -> jax.Array:
    """max over t and s >= 0 of s (1 - D) + constants_t - ln sum_k masses_tk e^{s worth_k}, in bits.

    Args:
      distortion: D, any shape.
      masses: [T, K].
      constants: [T], nats.
      worth: [K].
      first: the largest of them.
    """
    each = lambda given: _rate_of(distortion, given[0], given[1], first - worth, first)
    return jnp.max(lax.map(each, (masses, constants)), axis=0)


def _rate_of(
    distortion: jax.Array, mass: jax.Array, constant: jax.Array, gap: jax.Array, first: jax.Array
) -> jax.Array:
    """The best s at one t, bits."""
    ranks = Ranks(gap, mass, mass, constant, False)
    enough = jnp.sum(mass * gap) / jnp.sum(mass)  # what s = 0 has, where nothing is needed
    return at_each(lambda one: tilted_rate(one, first, ranks, enough), distortion, ranks)


def first_relevant_bound(
    distortion: ArrayLike,
    frequencies: ArrayLike,
    weights: Weights | ArrayLike = reciprocal_rank,
    *,
    relevant: ArrayLike | None = None,
) -> Bound:
    """`first_relevant_rate` as a floor with its evidence and what it rests on."""
    rests = ("the given relevance frequencies" if relevant is None else "the given relevance lists", AVERAGED)
    return Bound.at_least(first_relevant_rate(distortion, frequencies, weights, relevant=relevant), "theorem", *rests)
