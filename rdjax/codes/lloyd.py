"""Scalar quantizers of least squared error, with and without a price on bits.

`lloyd_max` is the classical quantizer of a unit Gaussian. `descend` is generalized Lloyd on samples, all coefficients
at once: at a price (slope) of 0 it is Lloyd-Max on samples, above 0 entropy-constrained scalar quantization, where
cells that do not earn their codeword disappear. Source: Lloyd 1982; Max 1960; Chou, Lookabaugh and Gray 1989.
"""

import math
from dataclasses import dataclass
from functools import cache
from statistics import NormalDist
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from rdjax.checks import require
from rdjax.trees import register_dataclass

SMOOTHING = 0.5  # added to every count (Krichevsky and Trofimov 1981), so that a symbol the fit never saw has a length
MAX_STEPS = 300


@cache
def lloyd_max(num_levels: int) -> tuple[np.ndarray, np.ndarray, float]:
    """The quantizer of a unit Gaussian with least squared error: every level the centroid of its cell.

    Solves y = T(y), T one step of Lloyd (borders halfway, then centroids), by Newton from the companded levels: Lloyd's
    own iteration takes some hundred thousand steps at 256 levels, Newton takes about ten.

    Args:
      num_levels: at least 1.

    Returns:
      (levels [num_levels] increasing, borders [num_levels - 1], mean squared error), float64, read-only. The error is
      .3634, .1175, .03454, .009497 for 2, 4, 8, 16 levels (Max 1960, table I).

    Raises:
      InputError: if there are no levels.
    """
    require(num_levels >= 1, f"a quantizer with {num_levels} levels was asked for; it needs at least one.")
    levels = np.array([math.sqrt(3) * NormalDist().inv_cdf((i + 0.5) / num_levels) for i in range(num_levels)])
    for _ in range(50):
        centroids, slopes, _ = lloyd_step(levels)
        step = np.linalg.solve(np.eye(num_levels) - slopes, centroids - levels)
        levels = levels + step
        if np.abs(step).max() < 1e-12:
            break
    levels = (levels - levels[::-1]) / 2  # symmetric to the last bit
    _, _, mass = lloyd_step(levels)
    borders = (levels[1:] + levels[:-1]) / 2
    levels.setflags(write=False)
    borders.setflags(write=False)
    return levels, borders, float(1 - mass @ levels**2)


def lloyd_step(levels: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """One step of Lloyd's iteration for a unit Gaussian: borders halfway, then the centroid of every cell.

    Returns:
      (centroids [K], their derivatives by the levels [K, K], probabilities of the cells [K]).
    """
    borders = (levels[1:] + levels[:-1]) / 2
    density = np.concatenate([[0.0], np.exp(-(borders**2) / 2) / math.sqrt(2 * math.pi), [0.0]])
    upper = np.array([1.0] + [math.erfc(b / math.sqrt(2)) / 2 for b in borders] + [0.0])
    lower = np.array([0.0] + [math.erfc(-b / math.sqrt(2)) / 2 for b in borders] + [1.0])
    # Differences of the smaller tail: in the other one the tail's digits are lost.
    mass = np.where(levels > 0, upper[:-1] - upper[1:], lower[1:] - lower[:-1])
    centroids = (density[:-1] - density[1:]) / mass
    low, high = np.concatenate([[0.0], borders]), np.concatenate([borders, [0.0]])
    by_low = density[:-1] * (centroids - low) / mass / 2
    by_high = density[1:] * (high - centroids) / mass / 2
    slopes = np.diag(by_low + by_high) + np.diag(by_low[1:], -1) + np.diag(by_high[:-1], 1)
    return centroids, slopes, mass


@register_dataclass
@dataclass(frozen=True)
class Samples:
    """What quantizers are fitted on: `values` [k, n'] sorted, infinity beyond the n samples; `sums` [k, n' + 1] of the
    first 0, 1, 2, ... of them; `squares` [k], mean squares; `count`, n.
    """

    values: jax.Array
    sums: jax.Array
    squares: jax.Array
    count: jax.Array


Array = jax.Array | np.ndarray


class Cells(NamedTuple):
    """Quantizers of k coefficients with up to K cells each: cell i is lows_i < x <= lows_(i+1).

    Args:
      levels: reproductions [k, K], increasing over the cells that hold samples.
      lengths: bits of a codeword [k, K]; infinity for a cell without samples.
      lows: lower ends [k, K], increasing; -infinity for the first, infinity beyond the last.
      counts: samples in each cell [k, K].
    """

    levels: Array
    lengths: Array
    lows: Array
    counts: Array


def sorted_samples(columns: np.ndarray) -> Samples:
    """Samples [n, k] on the host, in their precision, n padded to a power of two, 512 or more, to share programs."""
    count = len(columns)
    values = np.sort(columns, axis=0).T
    sums = np.pad(np.cumsum(values, axis=1), ((0, 0), (1, 0)))
    extra = (0, max(512, 1 << (count - 1).bit_length()) - count)
    return Samples(
        jax.device_put(np.pad(values, ((0, 0), extra), constant_values=np.inf)),
        jax.device_put(np.pad(sums, ((0, 0), extra), mode="edge")),
        jax.device_put(np.mean(columns**2, axis=0)),
        jax.device_put(np.asarray(count, columns.dtype)),
    )


@jax.jit
def improve(samples: Samples, slope: jax.Array, cells: Cells) -> Cells:
    """One step of generalized Lloyd: borders for these levels and lengths, then centroids and lengths for the borders.

    Sample x goes to the cell with least (x - y_i)^2 + slope * length_i. Neither half-step raises the Lagrangian
    (`cost`) at these lengths; a cell without samples leaves.

    Args:
      samples: of k coefficients.
      slope: price of a bit, in squared error; 0 for plain Lloyd.
      cells: levels and lengths are read.
    """
    levels, lows = _borders(cells.levels, cells.lengths, slope)
    ends = jax.vmap(lambda values, low: jnp.searchsorted(values, low, side="right"))(samples.values, lows)
    total = samples.count.astype(ends.dtype)
    first = jnp.minimum(ends, total)  # cells that are not in use start, and end, behind the last sample
    last = _following(first, total)
    counts = (last - first).astype(samples.values.dtype)
    mass = jnp.take_along_axis(samples.sums, last, axis=1) - jnp.take_along_axis(samples.sums, first, axis=1)
    levels = jnp.where(counts > 0, mass / jnp.maximum(counts, 1), levels)
    return Cells(levels, _lengths(counts, samples.count), lows, counts)


@jax.jit
def cost(samples: Samples, cells: Cells) -> tuple[jax.Array, jax.Array]:
    """(mean squared error [k], mean length in bits [k]) where levels and lengths are those of the counts."""
    share = cells.counts / samples.count
    error = samples.squares - jnp.sum(share * cells.levels**2, axis=1)
    return error, jnp.sum(share * jnp.where(cells.counts > 0, cells.lengths, 0), axis=1)


@jax.jit
def descend(samples: Samples, slope: jax.Array, levels: jax.Array, used: jax.Array, tolerance: float = 1e-6) -> Cells:
    """Generalized Lloyd from given levels, until a step lowers error + slope * bits by less than a share of it.

    Args:
      samples: of k coefficients.
      slope: price of a bit, in squared error, at least 0.
      levels: where to start [k, K], increasing.
      used: which of them are in use, bool [k, K]; all lengths are equal at first.
      tolerance: the share, of the sum over all coefficients; at most 300 steps are made.

    Returns:
      the cells of the last step: levels are the centroids of the samples between `lows`. A local minimum.
    """
    start = Cells(levels, jnp.where(used, 0.0, jnp.inf).astype(levels.dtype), levels, jnp.zeros_like(levels))

    def value(cells: Cells) -> jax.Array:
        error, bits = cost(samples, cells)
        return jnp.sum(error) + slope * jnp.sum(bits)

    def going(state: tuple[Cells, jax.Array, jax.Array, jax.Array]) -> jax.Array:
        _, before, now, step = state
        return (step < 2) | ((step < MAX_STEPS) & (before - now > tolerance * now))

    def advance(state: tuple[Cells, jax.Array, jax.Array, jax.Array]) -> tuple[Cells, jax.Array, jax.Array, jax.Array]:
        cells, _, now, step = state
        cells = improve(samples, slope, cells)
        return cells, now, value(cells), step + 1

    infinity = jnp.full((), jnp.inf, levels.dtype)
    return lax.while_loop(going, advance, (start, infinity, infinity, jnp.zeros((), jnp.int32)))[0]


def _lengths(counts: jax.Array, total: jax.Array) -> jax.Array:
    """-log2 of the smoothed frequencies over the cells that hold samples; infinity elsewhere."""
    size = jnp.sum(counts > 0, axis=1, keepdims=True)
    law = (counts + SMOOTHING) / (total + SMOOTHING * size)
    return jnp.where(counts > 0, -jnp.log2(law), jnp.inf)


def _borders(levels: Array, lengths: Array, slope: Array) -> tuple[jax.Array, jax.Array]:
    """(levels, lower ends of their cells) [k, K] of those levels that are the best somewhere, moved to the front.

    In x the costs differ by straight lines, so the cells are an upper envelope: a line that is nowhere above its two
    neighbors goes, until all earn their place. Several go at once: what hides one of them is not hidden itself. Where
    there are no more levels, the end is infinity.
    """

    def drop(state: _State) -> _State:
        levels, lengths, _, _ = state
        _, levels, lengths = lax.sort((jnp.isinf(lengths).astype(jnp.int32), levels, lengths), num_keys=1)
        used = jnp.isfinite(lengths[:, 1:])
        gap = jnp.where(used, jnp.diff(levels), 1.0)
        dearer = jnp.where(used, jnp.where(used, lengths[:, 1:], 0.0) - lengths[:, :-1], 0.0)
        middle = (levels[:, 1:] + levels[:, :-1]) / 2 + slope * dearer / (2 * gap)
        lows = jnp.pad(jnp.where(used, middle, jnp.inf), ((0, 0), (1, 0)), constant_values=-jnp.inf)
        hidden = (lows < jnp.inf) & (_following(lows, jnp.inf) <= lows)
        return levels, jnp.where(hidden, jnp.inf, lengths), lows, jnp.any(hidden)

    start = (jnp.asarray(levels), jnp.asarray(lengths), jnp.asarray(levels), jnp.ones((), bool))
    levels, _, lows, _ = lax.while_loop(lambda state: state[3], drop, start)
    return levels, lows


_State = tuple[jax.Array, jax.Array, jax.Array, jax.Array]


def _following(values: jax.Array, beyond: jax.Array | float) -> jax.Array:
    """For every cell the value of the next one [k, K]; `beyond` for the last."""
    return jnp.pad(values[:, 1:], ((0, 0), (0, 1)), constant_values=beyond)
