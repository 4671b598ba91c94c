"""Differentiable ranks: what a metric takes in the place of hard ones to become smooth.

A rank function maps scores [..., N] and the listed documents int [..., J] (or [J], the same for every list) to their
ranks [..., J], real numbers from 1. `among` bool [..., N] says which documents of a list count; None: all. Each is a
frozen pytree: its temperature may be traced, annealed and differentiated.

Temperatures are relative: 1 is the standard deviation of the scores of the list. So ranks do not change when scores are
shifted or scaled, and cosines that differ by .05 are told apart as well as logits that differ by 5, where a fixed
temperature of 1 takes all documents for tied. The lower it is, the closer to the hard ranks, and the fewer documents
have a gradient. Lists of equal scores get the mean rank, and finite gradients; documents at -inf, which cannot be, come
last.

Source: sigmoids as Qin, Liu and Li 2010; SoftSort, Prillo and Eisenschlos 2020; projection onto the permutahedron,
Blondel, Teboul, Berthet and Djolonga 2020.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.typing import ArrayLike

from rdjax.checks import is_concrete, require
from rdjax.majorant import majorant_vertices, pieces
from rdjax.retrieval.scores import checked_scores
from rdjax.shards import by_compiler
from rdjax.trees import register_dataclass

RankFunction = Callable[..., jax.Array]

BLOCK = 2**18  # differences of scores held at a time, of pairwise losses too; the backward pass computes them again


def is_plain(rank_fn: RankFunction) -> bool:
    """Whether it is a Python function, which has no arrays for JAX to trace: a static argument, compiled for anew."""
    return any(callable(leaf) for leaf in jax.tree.leaves(rank_fn))


@partial(register_dataclass, data_fields=["temperature"], meta_fields=[])
@dataclass(frozen=True)
class SigmoidRanks:
    """r_i = 1 + sum_{j != i} sigmoid((s_j - s_i) / (T sigma)): documents above, each counted by how sure it is.

    The mean rank if independent logistic noise of scale T sigma were added to every difference. At the usual T the MRR
    of 1,000 documents is off by less than 2%, as with the other two (`benchmarks/soft_metrics.py`).

    Args:
      temperature: a number T > 0, in standard deviations of the list.
    """

    temperature: ArrayLike = 0.03

    def __call__(self, scores: ArrayLike, listed: ArrayLike, among: ArrayLike | None = None) -> jax.Array:
        """Ranks [..., J], from 1; arguments as at the top of this file."""
        return _ranks(_sigmoid_ranks, scores, listed, among, self.temperature)


@partial(register_dataclass, data_fields=["temperature"], meta_fields=[])
@dataclass(frozen=True)
class SoftmaxRanks:
    """r_i = sum_k k p_ik,  p_i = softmax_k(-|s_(k) - s_i| / (T sigma)): the mean place in the sorted list (SoftSort).

    Ties are kinks of it: the gradient there is the mean of those of all orders of what ties, wherever it stands.

    Args:
      temperature: a number T > 0, in standard deviations of the list.
    """

    temperature: ArrayLike = 0.003

    def __call__(self, scores: ArrayLike, listed: ArrayLike, among: ArrayLike | None = None) -> jax.Array:
        """Ranks [..., J], from 1; arguments as at the top of this file."""
        return _ranks(_softmax_ranks, scores, listed, among, self.temperature)


@partial(register_dataclass, data_fields=["temperature"], meta_fields=[])
@dataclass(frozen=True)
class PooledRanks:
    """The point nearest to -s / (T sigma) among all averages of rankings: soft sort by pooled adjacent violators.

        r = argmin |r - (-s / (T sigma))|^2  over the convex hull of the orders of (1, ..., N)

    Exact ranks if all neighbors are at least T sigma apart; documents that are closer form a pool, which shares its
    ranks out by score and takes in whoever would end up between them. So T has to fall as lists grow: of N normal
    scores nine in ten keep their ranks at T = 1 / N and the best ones at 3 / N, but at 10 / N all are one pool, and the
    best has a rank in the hundreds. A sort and an isotonic regression; every score of a pool has a gradient, no other.

    Args:
      temperature: a number T > 0, in standard deviations of the list; the usual one is for lists of 1,000 or shorter.
    """

    temperature: ArrayLike = 0.003

    def __call__(self, scores: ArrayLike, listed: ArrayLike, among: ArrayLike | None = None) -> jax.Array:
        """Ranks [..., J], from 1; arguments as at the top of this file."""
        return _ranks(_pooled_ranks, scores, listed, among, self.temperature)


@jax.jit
def _sigmoid_ranks(scores: jax.Array, listed: jax.Array, among: jax.Array, temperature: ArrayLike) -> jax.Array:
    width = _width(scores, among, temperature)
    own = jnp.take_along_axis(scores, listed, axis=-1)
    counted = jnp.take_along_axis(among, listed, axis=-1)

    def above(entry: jax.Array) -> jax.Array:  # own scores [...] to how many documents are above
        odds = _divide(scores - entry[..., None], width)
        return jnp.sum(jnp.where(among, lax.logistic(odds), 0), axis=-1)

    return 1 + in_blocks(above, own, scores.size) - jnp.where(counted, 0.5, 0)  # itself


@jax.jit
def _softmax_ranks(scores: jax.Array, listed: jax.Array, among: jax.Array, temperature: ArrayLike) -> jax.Array:
    width = _width(scores, among, temperature)
    own = jnp.take_along_axis(scores, listed, axis=-1)
    order = jnp.argsort(jnp.where(among, -scores, jnp.inf), axis=-1)
    ordered = jnp.take_along_axis(scores, order, axis=-1)
    present = jnp.take_along_axis(among, order, axis=-1)
    place = _shared_places(ordered, present)

    def mean_place(entry: jax.Array) -> jax.Array:
        gap = ordered - entry[..., None]
        tied = present & (gap == 0)
        far = jnp.where(tied, 0, _divide(jnp.abs(gap), width))
        share = jnp.where(present, jax.nn.softmax(-far, axis=-1, where=present), 0)
        # Of m that tie and share p each, the mean over their orders is d r_i / d s_j = p (m + 1) / (6 T sigma).
        slope = lax.stop_gradient(share * (jnp.sum(tied, axis=-1, keepdims=True) + 1) / 6)
        kink = jnp.sum(jnp.where(tied, slope * _divide(gap, width), 0), axis=-1)  # 0, with that gradient
        return jnp.sum(share * place, axis=-1) + kink

    return in_blocks(mean_place, own, scores.size)


def _shared_places(ordered: jax.Array, present: jax.Array) -> jax.Array:
    """Places 1 to N in a sorted list, of ties the mean of theirs [..., N]."""
    place = jnp.broadcast_to(jnp.arange(1, ordered.shape[-1] + 1, dtype=ordered.dtype), ordered.shape)
    another = (ordered[..., 1:] != ordered[..., :-1]) | (present[..., 1:] != present[..., :-1])
    edge, axis = jnp.ones((*ordered.shape[:-1], 1), bool), ordered.ndim - 1
    begins, ends = (jnp.concatenate(parts, axis=-1) for parts in ((edge, another), (another, edge)))
    first = lax.cummax(jnp.where(begins, place, 0), axis=axis)
    last = lax.cummin(jnp.where(ends, place, jnp.inf), axis=axis, reverse=True)
    return lax.stop_gradient((first + last) / 2)


@jax.jit
def _pooled_ranks(scores: jax.Array, listed: jax.Array, among: jax.Array, temperature: ArrayLike) -> jax.Array:
    far = _divide(scores, _width(scores, among, temperature))
    lists = (far.reshape(-1, far.shape[-1]), among.reshape(-1, far.shape[-1]))
    every = jax.vmap(_pooled)(*lists).reshape(far.shape)
    return jnp.take_along_axis(every, listed, axis=-1)


def _pooled(values: jax.Array, among: jax.Array) -> jax.Array:
    """Soft ranks of one list [N]: negative values, best first, plus the non-increasing regression of what they lack.

    So in every pool of the regression the ranks have the mean of its places, and differ as the values do.
    """
    size = values.shape[0]
    order = jnp.argsort(jnp.where(among, -values, jnp.inf))
    middle = lax.stop_gradient(jnp.sum(jnp.where(among, values, 0)) / jnp.maximum(jnp.sum(among), 1))
    present, rising = among[order], -(values - middle)[order]
    place = jnp.arange(1, size + 1, dtype=values.dtype)
    lack = place - rising
    least = jnp.min(lack, where=present, initial=0)
    held = lax.stop_gradient(jnp.where(present, lack, 2 * least - 1))  # a slope that no pool of the others has
    height = jnp.cumsum(held)
    height = jnp.stack([height, jnp.cumsum(held - jnp.diff(height, prepend=0))])  # and what rounding took from it
    height = jnp.pad(height, ((0, 0), (1, 0)))
    pool = pieces(majorant_vertices(jnp.arange(size + 1, dtype=values.dtype), height, jnp.ones(size + 1, bool)))
    count = jnp.maximum(jax.ops.segment_sum(present.astype(values.dtype), pool, size), 1)
    mean = lambda array: (jax.ops.segment_sum(jnp.where(present, array, 0), pool, size) / count)[pool]
    middle_place = (jax.ops.segment_min(place, pool, size) + (count - 1) / 2)[pool]
    # values less the first of their pool: of one alone the rank is then exact, whatever its size
    first = jax.ops.segment_min(jnp.where(present, lax.stop_gradient(rising), jnp.inf), pool, size)[pool]
    within = jnp.where(present, rising - jnp.where(present, first, 0), 0)
    return jnp.zeros_like(values).at[order].set(middle_place + within - mean(within))


def _ranks(
    of: Callable[..., jax.Array], scores: ArrayLike, listed: ArrayLike, among: ArrayLike | None, temperature: ArrayLike
) -> jax.Array:
    """Ranks by one of the functions above among the documents that can be; the others, at -inf, share the last ones."""
    scores, listed, mask = _checked(scores, listed, among)
    possible = mask & (scores != -jnp.inf)
    given = (jnp.where(possible, scores, 0), listed, possible, _positive(temperature))
    ranks = by_compiler(of, *given, leading=scores.ndim - 1)
    impossible = mask & ~possible
    count = lambda which: jnp.sum(which, axis=-1, keepdims=True, dtype=ranks.dtype)
    last = count(possible) + (count(impossible) + 1) / 2
    return jnp.where(jnp.take_along_axis(impossible, listed, axis=-1), last, ranks)


def _checked(scores: ArrayLike, listed: ArrayLike, among: ArrayLike | None) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Scores, listed documents with the leading axes of the scores, and a mask; scores that do not count are 0."""
    scores, listed = checked_scores(scores), jnp.asarray(listed)
    require(scores.ndim > 0, "the scores are a number; give [..., documents].")
    require(
        listed.ndim == 1 or listed.shape[:-1] == scores.shape[:-1],
        f"scores have shape {scores.shape} and listed documents {listed.shape}; they must be [..., N] and [..., J].",
    )
    listed = jnp.maximum(jnp.broadcast_to(listed, (*scores.shape[:-1], listed.shape[-1])), 0)
    mask = jnp.ones(scores.shape, bool) if among is None else jnp.broadcast_to(jnp.asarray(among, bool), scores.shape)
    return jnp.where(mask, scores, 0), listed, mask


def _positive(temperature: ArrayLike) -> ArrayLike:
    if is_concrete(temperature):
        require(bool(np.all(np.asarray(temperature) > 0)), f"the temperature is {temperature}; it must be above 0.")
    return temperature


def _width(scores: jax.Array, among: jax.Array, temperature: ArrayLike) -> jax.Array:
    """T times the standard deviation of each list [..., 1]; 0, with gradient 0, where all scores are equal."""
    count = jnp.maximum(jnp.sum(among, axis=-1, keepdims=True, dtype=scores.dtype), 1)
    size = _unit(jnp.where(among, scores, 0))
    scores = scores / size
    middle = jnp.sum(scores, axis=-1, keepdims=True) / count
    off = jnp.where(among, scores - middle, 0)
    unit = _unit(off)
    square = jnp.sum((off / unit) ** 2, axis=-1, keepdims=True) / count
    varies = square > (16 * jnp.finfo(scores.dtype).eps * middle / unit) ** 2
    return jnp.where(varies, temperature * (size * (unit * jnp.sqrt(jnp.where(varies, square, 1)))), 0)


def _unit(values: jax.Array) -> jax.Array:
    """A power of 2 near the largest magnitude [..., 1]: by it nothing is rounded, sums and squares do not overflow."""
    farthest = lax.stop_gradient(jnp.max(jnp.abs(values), axis=-1, keepdims=True))
    return jnp.maximum(jnp.ldexp(jnp.ones_like(farthest), jnp.frexp(farthest)[1] - 1), jnp.finfo(values.dtype).tiny)


def _divide(difference: jax.Array, width: jax.Array) -> jax.Array:
    return jnp.where(width > 0, difference / jnp.where(width > 0, width, 1), 0)


def in_blocks(each: Callable[[jax.Array], jax.Array], own: jax.Array, size: int) -> jax.Array:
    """`each` at own[..., j] for every j, some at a time, the lists read again on the way back: [..., J]."""
    if own.shape[-1] == 1:
        return each(own[..., 0])[..., None]
    found = lax.map(jax.checkpoint(each), jnp.moveaxis(own, -1, 0), batch_size=max(1, BLOCK // max(size, 1)))
    return jnp.moveaxis(found, 0, -1)
