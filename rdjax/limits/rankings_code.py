"""Codes whose codewords are rankings, designed for noisy relevance by alternating minimization.

A query x is known by its posterior q_x(y) = P(y | x). A code is L rankings and a law over them; ranking c is worth
<q_x, u_c> to x, u_c(y) = w(rank of y). At slope s the Lagrangian

    sum_x p_x sum_c P(c|x) [ ln(P(c|x) / law_c) + s (1 - <q_x, u_c>) ]

falls with each of three exact steps: P(c|x) proportional to law_c exp(s <q_x, u_c>); law_c = E P(c|X) (repeated: these
two are Blahut-Arimoto); ranking c = the sort of the mean posterior sum_x p_x P(c|x) q_x, the old order kept on ties.
Local minima are real; many codewords (4 N) started from the queries' own rankings make them shallow. Source: theory
notes, section 2.3.
"""

import itertools
import math
from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from rdjax.limits.queries import Queries
from rdjax.numerics import xlogy
from rdjax.rate_distortion.ascent import ascend
from rdjax.rate_distortion.problem import mixture
from rdjax.trees import register_dataclass

Array = jax.Array | np.ndarray
HIGHEST = lax.Precision.HIGHEST
KERNELS = 4  # copies of the kernel [X, L] that a round of the design holds


@register_dataclass
@dataclass(frozen=True)
class RankingsCode:
    """`orders` [L, N]: the documents of each codeword, best first; `law` [L]: how often each is sent."""

    orders: Array
    law: Array

    @property
    def ranks(self) -> jax.Array:
        """[L, N]: the rank, from 1, that each codeword gives each document."""
        return positions(self.orders) + 1


@dataclass(frozen=True)
class Spent:
    """What the channel P(c|x) proportional to law_c exp(s <q_x, u_c>) spends: float64.

    `rate` in nats is I(X; C), with the channel's own output law; `distortion` is 1 - E <q_X, u_C>; `law` [L] is the law
    of the channel, normalized; `prior` [N] that of the relevant document.
    """

    rate: np.ndarray
    distortion: np.ndarray
    law: np.ndarray
    prior: np.ndarray


@jax.jit
def positions(orders: jax.Array) -> jax.Array:
    """The inverse permutations [L, N]: rank, from 0, of each document."""
    rows = jnp.arange(orders.shape[0])[:, None]
    places = jnp.broadcast_to(jnp.arange(orders.shape[1], dtype=orders.dtype)[None, :], orders.shape)
    return jnp.zeros_like(orders).at[rows, orders].set(places, unique_indices=True)


@jax.jit
def worth_of(orders: jax.Array, worth: jax.Array) -> jax.Array:
    """u_c(y) = w(rank of y) [L, N]."""
    rows = jnp.arange(orders.shape[0])[:, None]
    values = jnp.broadcast_to(worth[None, :], orders.shape)
    return jnp.zeros(orders.shape, worth.dtype).at[rows, orders].set(values, unique_indices=True)


@jax.jit
def resort(scores: jax.Array, orders: jax.Array) -> jax.Array:
    """Rankings by falling scores [L, N] >= 0; documents that tie stay as `orders` [L, N] has them."""
    kept = positions(orders)
    if scores.dtype == jnp.float32 and jax.dtypes.canonicalize_dtype(jnp.int64) == jnp.int64:
        # non-negative floats order like their bits, and one integer sorts six times faster than a pair. The halves are
        # joined by a bitcast because LLVM crashes on widening the bits of a float in some shapes (jaxlib 0.10.2, CPU)
        bits = lax.bitcast_convert_type(scores, jnp.int32) & 0x7FFFFFFF
        joined = lax.bitcast_convert_type(jnp.stack([kept, 0x7FFFFFFF - bits], axis=-1), jnp.int64)
        order = lax.bitcast_convert_type(jnp.sort(joined, axis=-1), jnp.int32)[..., 0]
    else:
        order = lax.sort((-scores, kept), dimension=-1, num_keys=2)[1]
    return jnp.take_along_axis(orders, order, axis=-1)


def first_orders(posteriors: np.ndarray, codewords: int, seed: int = 0) -> jax.Array:
    """Rankings [L, N] to start a design from posteriors [X, N], L <= codewords.

    Every ranking where there are no more of them than codewords. Else the sorts of queries' own posteriors, every top
    document once before any comes twice, ties broken in cyclic order from the top document (which is optimal for sharp
    posteriors and a uniform prior); with more codewords than queries, sorts of random mixtures of queries too.
    """
    queries, documents = posteriors.shape
    if documents < 9 and math.factorial(documents) <= codewords:
        return jax.device_put(np.array(list(itertools.permutations(range(documents))), np.int32))
    rng = np.random.default_rng(seed)
    shuffled = rng.permutation(queries)
    top = np.argmax(posteriors, axis=1)[shuffled]
    grouped = np.argsort(top, kind="stable")
    turn = np.empty(queries, np.int64)
    turn[grouped] = np.arange(queries) - np.searchsorted(top[grouped], top[grouped])
    scores = posteriors[shuffled[np.argsort(turn, kind="stable")[:codewords]]]
    if queries < codewords:
        shares = rng.standard_exponential((codewords - queries, queries)) ** 3
        mixtures = (shares / shares.sum(axis=1, keepdims=True)).astype(posteriors.dtype)
        scores = np.concatenate([scores, mixtures @ posteriors])
    cyclic = (np.argmax(scores, axis=1)[:, None] + np.arange(documents)) % documents
    return resort(scores, cyclic.astype(np.int32))


def design(
    posteriors: Array,
    source: Array,
    worth: Array,
    slope: float,
    orders: Array,
    *,
    rounds: int,
    sweeps: int,
) -> RankingsCode:
    """A code by alternating minimization; the Lagrangian never rises.

    Args:
      posteriors: [X, N], rows P(y|x).
      source: law [X].
      worth: weights of the ranks [N], non-increasing, at least 0.
      slope: nats per unit of distortion.
      orders: [L, N], where to start (`first_orders`).
      rounds: re-sorts of the codewords.
      sweeps: Blahut-Arimoto sweeps before each, and after the last.

    Returns:
      the code; L stays, and codewords that nobody uses keep a law near 0. Holds about 4 kernels [X, L].
    """
    law = np.full(orders.shape[0], 1 / orders.shape[0], posteriors.dtype)
    for turn in range(rounds + 1):
        law, following = _round(posteriors, source, worth, slope, orders, law, sweeps)
        orders = following if turn < rounds else orders
    return RankingsCode(orders, law)


@partial(jax.jit, static_argnames="sweeps")
def _round(
    posteriors: jax.Array,
    source: jax.Array,
    worth: jax.Array,
    slope: float,
    orders: jax.Array,
    law: jax.Array,
    sweeps: int,
) -> tuple[jax.Array, jax.Array]:
    """The law that suits these codewords, and then the codewords that suit their queries."""
    value = jnp.matmul(posteriors, worth_of(orders, worth).T, precision=HIGHEST)
    kernel = jnp.exp(slope * (value - jnp.max(value, axis=1, keepdims=True)))
    law = ascend(kernel, source, law, 1e-12, sweeps).law
    joint = kernel * (source / mixture(kernel, law))[:, None]  # p_x P(c|x) / law_c
    return law, resort(jnp.matmul(joint.T, posteriors, precision=HIGHEST), orders)


def spend(queries: Queries, code: RankingsCode, worth: np.ndarray, slope: float) -> Spent:
    """Rate and distortion of a code's channel, block after block; inside `jax.enable_x64`.

    The channel is taken as it is, in float64: the rate is that of its own output law, whatever `code.law` says, so it
    is never below R at this distortion, converged or not.
    """
    law = np.asarray(code.law, np.float64)
    law = law / law.sum()
    total = [np.zeros(()), np.zeros(()), np.zeros(len(law)), np.zeros(len(worth))]
    for posteriors, source in queries.blocks():
        sums = _spend_block(posteriors, source, code.orders, worth, law, slope)
        total = [a + np.asarray(b) for a, b in zip(total, sums, strict=True)]
    negentropy, value, output, prior = total
    entropy = -np.sum(output * np.log(np.where(output > 0, output, 1)))
    return Spent(np.maximum(negentropy + entropy, 0), 1 - value, law, prior / prior.sum())


@jax.jit
def _spend_block(
    posteriors: jax.Array, source: jax.Array, orders: jax.Array, worth: jax.Array, law: jax.Array, slope: float
) -> tuple[jax.Array, jax.Array, jax.Array, jax.Array]:
    """sum p P ln P in nats, E <q_X, u_C>, the output law [L] and sum p P(y|x) [N], over some queries."""
    fine = posteriors.astype(law.dtype)
    fine = fine / jnp.sum(fine, axis=1, keepdims=True)  # a law may be off by its rounding, and an entropy with it
    value = jnp.matmul(fine, worth_of(orders, worth).T, precision=HIGHEST)
    # the largest exponent among codewords that are sent: a better one of law 0 must not make the others underflow
    channel = jax.nn.softmax(slope * value + jnp.log(law)[None, :], axis=1)
    spent = jnp.sum(xlogy(channel, channel), axis=1), jnp.sum(channel * value, axis=1), channel, fine
    return tuple(jnp.matmul(source, part, precision=HIGHEST) for part in spent)  # type: ignore[return-value]
