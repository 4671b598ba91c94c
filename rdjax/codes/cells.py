"""Cells of scalar quantizers side by side: tables on the host, look-ups on the device, Lloyd-Max on samples."""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rdjax.checks import require
from rdjax.codes.lloyd import Cells, Samples, cost, descend, sorted_samples
from rdjax.codes.transform import Transform, coefficient_blocks

_FEW = 32  # thresholds up to which comparing with all of them is faster than a binary search
SAMPLES = 1 << 16  # rows that cells are fitted to, at most
_MOST_ENTRIES = 1 << 27  # of a table that is read from a file


@dataclass(frozen=True)
class Table:
    """Cells of k coefficients side by side, on the host, K the most that one has.

    Args:
      levels: reproductions [k, K]; beyond a coefficient's own cells the last one repeats.
      thresholds: borders [k, K - 1], increasing; infinity beyond. Cell i holds thresholds i - 1 < c <= thresholds i.
      counts: samples in each cell [k, K].
      sizes: number of cells of each coefficient [k].
    """

    levels: np.ndarray
    thresholds: np.ndarray
    counts: np.ndarray
    sizes: np.ndarray

    @property
    def kept(self) -> np.ndarray:
        """Mean squares of the levels [k]: those of the samples less the squared error, levels being centroids."""
        return (self.counts * self.levels**2).sum(axis=1) / self.counts[0].sum()


def packed_rows(table: jax.Array, sizes: np.ndarray) -> np.ndarray:
    """The first `sizes` entries of every row of [k, K], row after row: what a file keeps of a padded table."""
    array = np.asarray(table)
    return array[np.arange(array.shape[1])[None, :] < sizes[:, None]]


def unpacked_rows(flat: Any, sizes: np.ndarray, fill: float | None = None) -> jax.Array:
    """The inverse, [k, max size], rows filled up with a number; None: with their last entry.

    Raises:
      ValueError: not as many entries as that, a row of none to fill up, or a table that nobody has fitted.
    """
    array, k, width = np.asarray(flat), len(sizes), int(sizes.max(initial=0))
    if array.shape != (int(sizes.sum()),) or sizes.min(initial=1) < (fill is None) or k * width > _MOST_ENTRIES:
        raise ValueError("these are not the rows of a table")
    ends = np.cumsum(sizes)
    places = np.minimum((ends - sizes)[:, None] + np.arange(width)[None, :], (ends - 1)[:, None])
    inside = np.arange(width)[None, :] < sizes[:, None]
    table = array[np.maximum(places, 0)] if array.size else np.zeros((k, width), array.dtype)
    return jax.device_put(table if fill is None else np.where(inside, table, array.dtype.type(fill)))


def sample_coefficients(transform: Transform, vectors: np.ndarray) -> np.ndarray:
    """Coefficients [n, k] of the vectors, or of 65,536 drawn from them with seed 0, in the transform's precision."""
    if len(vectors) > SAMPLES:
        vectors = vectors[np.sort(np.random.default_rng(0).choice(len(vectors), SAMPLES, replace=False))]
    return np.concatenate(list(coefficient_blocks(transform, vectors)))


def cell_of(thresholds: jax.Array, coefficients: jax.Array) -> jax.Array:
    """The cell, int32 [n, k], that each coefficient [n, k] falls in; thresholds [k, K - 1] increase."""
    if thresholds.shape[1] <= _FEW:
        return jnp.sum(coefficients[:, :, None] > thresholds[None, :, :], axis=2, dtype=jnp.int32)
    return jax.vmap(jnp.searchsorted, in_axes=(0, 1), out_axes=1)(thresholds, coefficients).astype(jnp.int32)


def level_of(levels: jax.Array, symbols: jax.Array) -> jax.Array:
    """The level of each symbol [n, k], levels [k, K]."""
    return jnp.take_along_axis(levels, symbols.T, axis=1).T


def relevance_gains(variances: np.ndarray, kept: np.ndarray, noise: float | None) -> np.ndarray:
    """What to multiply centroids by so that their inner products rank as the posterior does, [k].

    Say x = y + isotropic noise of variance s^2, so that P(y | x) ranks documents y of equal norm by <x, y>. Quantized
    with squared error D of a variance v, x is known through x^, as if by x^ / (1 - D / v) with a noise of
    s^2 + D v / (v - D): so y ranks by the sum of g x^ y with g = 1 / (1 - D / v + D / s^2). Centroids, which have
    shrunk, are stretched, the less the more of their coefficient was lost. The weights of y^2 that go with this are
    left out: they matter where single coefficients vary far more than the noise, and a larger s^2, as far as infinity
    (scores without bias, g = 1 / (1 - D / v)), is then better.

    Args:
      variances: v of every coefficient [k].
      kept: v - D, variances of the centroids [k].
      noise: s^2 in the units of the vectors squared: 1 where <x, y> is a calibrated score in nats; infinity for scores
        without bias; None for gains of 1, which leave the least squared error.

    Raises:
      InputError: if the noise is not above 0.

    Source: theory notes, section 4 (the temperature of a codeword with test-channel noise).
    """
    if noise is None:
        return np.ones(len(variances))
    require(noise > 0, f"the noise has variance {noise}; it must be above 0, or None for the least squared error.")
    used = kept > 0
    share = np.minimum(np.where(used, kept, 1.0) / np.where(used, variances, 1.0), 1.0)
    return np.where(used, 1 / (share + (1 - share) * variances / noise), 1.0)


def lloyd_cells(coefficients: np.ndarray, sizes: np.ndarray) -> Table:
    """Least squared error for given numbers of levels, by Lloyd's iteration on the samples themselves.

    Of each coefficient, the better of two descents: from levels as dense as the cube root of the samples' density, the
    solution at high rate (Panter and Dite 1951), and from equally likely ones. They stop when a step lowers the error
    by less than a millionth, or after 300. Local minima.

    Args:
      coefficients: samples [n, k].
      sizes: levels of each coefficient [k], at least 1; where fewer samples differ, fewer are used.
    """
    with jax.enable_x64(True):
        samples = sorted_samples(np.asarray(coefficients, np.float64))
        values = np.asarray(samples.values)[:, : len(coefficients)]
        places = np.unique(np.linspace(0, len(coefficients) - 1, 8 * int(sizes.max()) + 1).astype(np.int64))
        knots = values[:, places]
        one, other = (_lloyd(samples, knots, sizes, power) for power in (2 / 3, 0.0))
        return table_of(better_of(one, other))


def _lloyd(samples: Samples, knots: np.ndarray, sizes: np.ndarray, power: float) -> tuple[np.ndarray, Cells]:
    """(squared errors [k], the cells) from levels as dense as the samples' density to the power of 1 - `power`."""
    rising = np.pad(np.cumsum(np.diff(knots) ** power, axis=1), ((0, 0), (1, 0)))  # pieces are equally likely
    width = padded_width(int(sizes.max()))
    levels = np.empty((len(knots), width))
    for row, (knot, share, size) in enumerate(zip(knots, rising, sizes, strict=True)):
        levels[row] = np.interp((np.arange(width) + 0.5) / size * share[-1], share, knot)
    new = np.pad(np.diff(levels) > 0, ((0, 0), (1, 0)), constant_values=True)
    used = new & (np.arange(width)[None, :] < sizes[:, None])
    cells = descend(samples, np.float64(0.0), jax.device_put(levels), jax.device_put(used))
    return np.asarray(cost(samples, cells)[0]), cells


def padded_width(cells: int) -> int:
    """The next of 16, 64, 256, ...: few widths, because each is compiled."""
    return max(16, 1 << 2 * -(-(cells - 1).bit_length() // 2))


def better_of(one: tuple[np.ndarray, Cells], other: tuple[np.ndarray, Cells]) -> Cells:
    """Of each coefficient the cells, on the host, whose value [k] is lower."""
    better = (other[0] < one[0])[:, None]
    return Cells(*(np.where(better, np.asarray(b), np.asarray(a)) for a, b in zip(one[1], other[1], strict=True)))


def table_of(cells: Cells) -> Table:
    """The cells that hold samples, moved to the front."""
    levels, lows, counts = (np.asarray(field) for field in (cells.levels, cells.lows, cells.counts))
    sizes = (counts > 0).sum(axis=1)
    front = np.argsort(counts == 0, axis=1, kind="stable")[:, : sizes.max()]
    levels, lows, counts = (np.take_along_axis(array, front, axis=1) for array in (levels, lows, counts))
    index = np.arange(front.shape[1])[None, :]
    last = np.take_along_axis(levels, sizes[:, None] - 1, axis=1)
    return Table(
        np.where(index < sizes[:, None], levels, last),
        np.where(index < sizes[:, None], lows, np.inf)[:, 1:],
        np.where(index < sizes[:, None], counts, 0).astype(np.int64),
        sizes,
    )
