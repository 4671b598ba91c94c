"""Separable upper bounds of exp(s <q_x, u>), loose only in what a query wants third and later.

Given the document j on top, let m be the best document of x other than j, k its rank, and B = sum of q_x(y) u(y) over
the rest. For every ranking B lies in [lo_k, hi_k], two sums of sorted products, so for *any* number b

    exp(s <q_x, u>) <= phi_k + b B,    phi_k = max over B in {lo_k, hi_k} of exp(s (q_j w_1 + q_m w_k + B)) - b B,

because the left side is convex in B. The one term that matters, the rank of the document that x wants, is exact; only
the rest is on a chord, and b is the number that makes the bound smallest on average over the codewords of a good code.
With phi linear in w this would be chord1 of the theory notes, section 2.2.
"""

from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from rdjax.limits.rank_knots import Knots
from rdjax.trees import register_dataclass

HIGHEST = lax.Precision.HIGHEST


@partial(register_dataclass, data_fields=["near", "phi", "chord", "level", "shift"], meta_fields=[])
@dataclass(frozen=True)
class Majorant:
    """The kernels exp(s (<q_x, u> - shift_x)) of a block of queries, bounded for each j on top.

    `near` [X, R] the best documents; `phi` [X, R + 1, K] and `chord` b [X, R + 1] for each of them as j, and in the
    last row for any other j, to be multiplied by exp(s w_1 (q_x(j) - level_x)). phi is given less b q_m w_k, so that b
    multiplies all of <q_x, u> but the part on top. `level`, `shift` [X].
    """

    near: jax.Array
    phi: jax.Array
    chord: jax.Array
    level: jax.Array
    shift: jax.Array

    @property
    def key(self) -> jax.Array:
        """The key document of each near j [X, R]: the best one, the second where j is the best."""
        second = self.near[:, min(1, self.near.shape[1] - 1)]
        return jnp.broadcast_to(self.near[:, :1], self.near.shape).at[:, 0].set(second)


class _Views(NamedTuple):
    """How each query sees each codeword [X, L]: the row of its j; knots of its key document, and how much of it is on
    the left one; <q_x, u> less the part on top, and B; and what the last row is multiplied by."""

    row: jax.Array
    left: jax.Array
    right: jax.Array
    share: jax.Array
    below: jax.Array
    rest: jax.Array
    tilt: jax.Array


def majorize(
    posteriors: jax.Array,
    worth: jax.Array,
    slope: float,
    knots: Knots,
    orders: jax.Array,
    law: jax.Array,
) -> tuple[Majorant, jax.Array]:
    """Majorants of queries [X, N], float64, and their means over the codewords with each document on top [X, N].

    Args:
      posteriors: [X, N] float64.
      worth: [N].
      slope: nats.
      knots: of these weights.
      orders: [L, N], the codewords the bounds are to be tight at.
      law: [L], their weights.
    """
    near = knots.high.shape[0] - 1
    best, index = _largest(posteriors, min(near + 1, posteriors.shape[1]))
    level = best[:, near] if best.shape[1] > near else jnp.zeros(best.shape[0], best.dtype)
    # non-negative floats order like their bits, and integers sort five times faster
    falling = jnp.flip(jnp.sort(lax.bitcast_convert_type(posteriors, jnp.int64), axis=1), axis=1)
    falling = lax.bitcast_convert_type(falling, posteriors.dtype)
    shift = jnp.matmul(falling, worth, precision=HIGHEST)
    high, low = (jnp.einsum("xn,rkn->xrk", falling, m, precision=HIGHEST) for m in (knots.high, knots.low))
    on_top = jnp.concatenate([best[:, :near], level[:, None]], axis=1)
    wanted = jnp.broadcast_to(best[:, :1], on_top.shape).at[:, 0].set(best[:, min(1, best.shape[1] - 1)])
    known = (on_top * worth[0] - shift[:, None])[:, :, None] + wanted[:, :, None] * knots.worth[None, None, :]
    views = _views(posteriors, Majorant(index[:, :near], high, level, level, shift), worth, slope, knots, orders)
    at_low, at_high = jnp.exp(slope * (known + low)), jnp.exp(slope * (known + high))
    chord = _best_chord(views, law, knots, low, high, at_low, at_high)
    phi = jnp.maximum(at_low - chord[:, :, None] * low, at_high - chord[:, :, None] * high)
    phi = phi - chord[:, :, None] * wanted[:, :, None] * knots.worth[None, None, :]
    majorant = Majorant(index[:, :near], phi, chord, level, shift)
    top = orders[:, 0]
    tops = jax.ops.segment_sum(law, top, posteriors.shape[1])
    share = law / jnp.where(tops > 0, tops, 1)[top]
    means = jnp.zeros(posteriors.shape).at[:, top].add(_bounds(views, majorant) * share[None, :])
    return majorant, means


def _largest(values: jax.Array, count: int) -> tuple[jax.Array, jax.Array]:
    """`lax.top_k` of finite values [X, N], few of them: one maximum after the other, where a CPU would sort all."""
    names = jnp.arange(values.shape[1])[None, :]

    def step(values: jax.Array, _: None) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
        index = jnp.argmax(values, axis=1).astype(jnp.int32)
        best = jnp.max(values, axis=1)
        return jnp.where(names == index[:, None], -jnp.inf, values), (best, index)

    best, index = lax.scan(step, values, None, length=count)[1]
    return best.T, index.T


def majorant_at(
    posteriors: jax.Array, majorant: Majorant, worth: jax.Array, slope: float, knots: Knots, orders: jax.Array
) -> jax.Array:
    """The bounds [X, L] of queries [X, N] at rankings [L, N]."""
    return _bounds(_views(posteriors, majorant, worth, slope, knots, orders), majorant)


def _bounds(views: _Views, majorant: Majorant) -> jax.Array:
    flat, count = majorant.phi.reshape(majorant.phi.shape[0], -1), majorant.phi.shape[2]
    pick = lambda k: jnp.take_along_axis(flat, views.row * count + k, axis=1)
    phi = views.share * pick(views.left) + (1 - views.share) * pick(views.right)
    return views.tilt * (phi + jnp.take_along_axis(majorant.chord, views.row, axis=1) * views.below)


def _views(
    posteriors: jax.Array, majorant: Majorant, worth: jax.Array, slope: float, knots: Knots, orders: jax.Array
) -> _Views:
    rows, near = jnp.arange(posteriors.shape[0])[:, None], majorant.near.shape[1]
    places, top = _places(orders), orders[:, 0]
    numbers = jnp.broadcast_to(jnp.arange(near, dtype=jnp.int32)[None, :], majorant.near.shape)
    row = jnp.full(posteriors.shape, near, jnp.int32).at[rows, majorant.near].set(numbers)[:, top]
    best, second = majorant.near[:, 0], majorant.key[:, 0]
    own = row == 0
    rank = jnp.where(own, places[second], places[best]) - 1  # at least 0: the key document is not on top
    wanted = jnp.where(own, posteriors[rows, second[:, None]], posteriors[rows, best[:, None]])
    on_top = posteriors[:, top]
    value = jnp.matmul(posteriors, worth[places], precision=HIGHEST)
    below = value - on_top * worth[0]
    rest = below - wanted * worth[1:][rank]
    tilt = jnp.where(row == near, jnp.exp(slope * worth[0] * (on_top - majorant.level[:, None])), 1)
    return _Views(row, knots.left[rank], knots.right[rank], knots.share[rank], below, rest, tilt)


def _places(orders: jax.Array) -> jax.Array:
    """Rank, from 0, of each document in each codeword [N, L]; row by row, as it is read."""
    codewords, documents = orders.shape
    places = jnp.broadcast_to(jnp.arange(documents, dtype=orders.dtype)[None, :], orders.shape)
    return jnp.zeros((documents, codewords), orders.dtype).at[orders, jnp.arange(codewords)[:, None]].set(places)


def _best_chord(
    views: _Views,
    law: jax.Array,
    knots: Knots,
    low: jax.Array,
    high: jax.Array,
    at_low: jax.Array,
    at_high: jax.Array,
) -> jax.Array:
    """The b of each row [X, R + 1] with the smallest mean of phi + b B over the codewords.

    The mean is convex and piecewise linear in b, with its corners where the two values of a phi_k cross: at the slopes
    of the chords of the knots. So the best of these is the best of all.
    """
    size, rows = low.shape, jnp.arange(low.shape[0])[:, None]
    weight = law[None, :] * views.tilt
    often = jnp.zeros((size[0], size[1] * size[2]))
    often = often.at[rows, views.row * size[2] + views.left].add(weight * views.share)
    often = often.at[rows, views.row * size[2] + views.right].add(weight * (1 - views.share)).reshape(size)
    rest = jnp.zeros(size[:2]).at[rows, views.row].add(weight * views.rest)
    unused = jnp.sum(often, axis=2) <= 0
    often = jnp.where(unused[:, :, None], knots.capacity[None, None, :], often)
    rest = jnp.where(unused, jnp.sum(often * (low + high) / 2, axis=2), rest)
    spread = high - low
    slopes = jnp.where(spread > 1e-12, (at_high - at_low) / jnp.where(spread > 1e-12, spread, 1), 0)

    def mean(k: jax.Array) -> jax.Array:
        b = slopes[:, :, k, None]
        return jnp.sum(often * jnp.maximum(at_low - b * low, at_high - b * high), axis=2) + b[:, :, 0] * rest

    means = lax.map(mean, jnp.arange(size[2]))
    best = jnp.argmin(means, axis=0)
    return jnp.take_along_axis(slopes, best[:, :, None], axis=2)[:, :, 0]
