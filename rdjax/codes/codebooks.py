"""Codebooks of vectors by k-means, in many blocks of coefficients at once.

Points stand in columns [B, d, n], see `nearest_words`. A block's codebook is [K, d]; blocks whose codebooks are smaller
are filled up with words that are never nearest.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from rdjax.codes.arrays import device_array
from rdjax.codes.nearest_words import cell_sums, comparable, in_tiles, nearest, padded_points, with_ones

MAX_BITS = 12  # of one codebook
_TRIALS = 4  # candidates of every k-means++ step
_SEEDING = 32  # points per word that k-means++ chooses among, and that starts in few of many dimensions are tried on
_LEVELS, _STEPS_OF_A_LEVEL = 6, 3  # of the start that grows
_WIDE = 64  # dimensions above which starts are tried in this many, and one goes on in all, with all points
_LEAST_WORDS, _LEAST_DIMENSIONS = 16, 4  # smaller codebooks are filled up, to share compiled programs
_NUDGE = 0.1  # of the spread of a cell: how far off a revived word starts

_State = tuple[jax.Array, jax.Array, jax.Array, jax.Array]  # words, error, whether nothing moved, steps


def fit_codebooks(
    columns: np.ndarray,
    sizes: Sequence[int],
    *,
    most: int | None = None,
    seed: int = 0,
    steps: int = 25,
) -> np.ndarray:
    """Words with small sum of |x - nearest word|^2: greedy k-means++, then Lloyd's iteration until nothing moves.

    It is done from two starts, of which the better result is kept: k-means++, and one that grows along the principal
    axes (see `_starts`); in more than 64 dimensions along 64 of those axes and on 32 points a word, from where the
    better one goes on in all. A word that is nearest to nothing is moved beside the mean of the cell that errs most.
    Where there are fewer distinct vectors than words, these repeat.

    Args:
      columns: points [B, d, n], of one precision.
      sizes: words of every block [B], 0 to 4,096 (0: none, of a block that gets no bits).
      most: K, at least the largest of them; None for that.
      seed: of k-means++.
      steps: of Lloyd's iteration at most, after the 18 of the start that grows.

    Returns:
      words [B, K, d], in the precision of the points; zeros beyond a block's size.

    Source: Arthur and Vassilvitskii 2007 (k-means++), Lloyd 1982.
    """
    num_blocks, d, n = columns.shape
    k = max(sizes) if most is None else int(most)
    rng = np.random.default_rng(seed)
    order = rng.permutation(n)[: _SEEDING * max(sizes)]
    draws = rng.random((num_blocks, max(k, _LEAST_WORDS), _TRIALS, 2))
    words = np.zeros((num_blocks, k, d), columns.dtype)
    centers = columns @ np.full(n, 1 / n, columns.dtype)
    # Blocks are handed over one after the other, and run as many at a time as there are processors.
    running = [
        (b, _starts(columns[b] - centers[b][:, None], size, order, draws[b], steps))
        for b, size in enumerate(sizes)
        if size
    ]
    for b, starts in running:
        (found, _), axes = min(starts, key=lambda start: float(start[0][1]))
        words[b, : sizes[b]] = (np.asarray(found) @ axes.T)[: sizes[b], :d] + centers[b]
    return words


_Start = tuple[tuple[jax.Array, jax.Array], np.ndarray]  # words and error, still running; the axes they are along


def _starts(points: np.ndarray, size: int, order: np.ndarray, draws: np.ndarray, steps: int) -> list[_Start]:
    """Lloyd's iteration for the centered points [d, n] of a block, from k-means++ and from words that grow.

    Those that grow are found along the first few principal axes, then along more and more (source: the clustering by
    progressive dimensions of faiss). Where points fill many dimensions evenly, k-means++ starts from outliers and ends
    with up to a tenth more error; where they cluster, it finds the clusters that the other misses.
    """
    dtype = points.dtype
    points = np.pad(points, ((0, max(0, _LEAST_DIMENSIONS - len(points))), (0, 0)))
    d, k = len(points), len(draws)
    axes = _principal_axes(points[:, order])
    along = axes.T @ points
    drawn = device_array(along[:, order[np.arange(k) % len(order)]].T, dtype)
    turned, mass = (device_array(array, dtype) for array in padded_points(along, np.ones(points.shape[1])))
    few = min(d, _WIDE)
    sample, sample_mass = (device_array(a, dtype) for a in padded_points(along[:few, order], np.ones(len(order))))
    seeds = _seeds(sample, sample_mass, device_array(draws, dtype))
    growing, all_of_them = _growing(few), np.full(_LEVELS * _STEPS_OF_A_LEVEL, few, np.int32)
    more = steps if few == d else 0  # in many dimensions the better of the two goes on from these few
    seen, weight = (turned, mass) if few == d else (sample, sample_mass)
    one = _lloyd(seeds, size, seen, weight, all_of_them, max(more, len(growing)))
    other = _lloyd(drawn[:, :few], size, seen, weight, growing, len(growing) + more)
    if few == d:
        return [(one, axes), (other, axes)]
    better = jnp.pad(jnp.where(one[1] <= other[1], one[0], other[0]), ((0, 0), (0, d - few)))
    return [(_lloyd(better, size, turned, mass, np.full_like(growing, d), steps), axes)]


def _growing(d: int) -> np.ndarray:
    """How many dimensions words have, step by step, up to d."""
    levels = np.ceil(d ** (np.arange(1, _LEVELS + 1) / _LEVELS) - 1e-9).astype(np.int32)
    return np.repeat(levels, _STEPS_OF_A_LEVEL)


def _principal_axes(points: np.ndarray) -> np.ndarray:
    """[d, d], in columns, the first of largest variance; of points [d, n]."""
    double = points.astype(np.float64)
    double -= double.mean(axis=1, keepdims=True)
    return np.linalg.eigh(double @ double.T)[1][:, ::-1].astype(points.dtype)


@jax.jit
def _seeds(points: jax.Array, mass: jax.Array, draws: jax.Array) -> jax.Array:
    """Greedy k-means++: points [d, n], n a multiple of 256, mass [n], uniform draws [K, trials, 2] -> [K, d]."""

    def choose(weights: jax.Array, draw: jax.Array) -> jax.Array:
        """Points with probability proportional to their weights: first a group of 256, then one of it."""
        groups = weights.reshape(-1, 256)
        among = jnp.cumsum(jnp.sum(groups, axis=1))
        group = _place(among, draw[:, 0])
        within = jnp.cumsum(groups[group], axis=1)
        return group * 256 + jax.vmap(_place)(within, draw[:, 1:])[:, 0]

    def step(closest: jax.Array, draw: jax.Array) -> tuple[jax.Array, jax.Array]:
        candidates = points[:, choose(mass * closest, draw)].T
        squares = jax.lax.map(lambda c: jnp.sum((points - c[:, None]) ** 2, axis=0), candidates)
        closer = jnp.minimum(closest[None, :], squares)
        best = jnp.argmin(jnp.sum(closer * mass[None, :], axis=1))
        return closer[best], candidates[best]

    far = jnp.full(points.shape[1], jnp.sqrt(jnp.finfo(points.dtype).max), points.dtype) / points.shape[1]
    return jax.lax.scan(step, far, draws)[1]


def _place(cumulative: jax.Array, draw: jax.Array) -> jax.Array:
    """Where draws in [0, 1) fall among running sums [m]: the first that exceeds them."""
    reached = cumulative[None, :] <= draw[:, None] * cumulative[-1]
    return jnp.minimum(jnp.sum(reached, axis=1), len(cumulative) - 1)


@jax.jit
def _lloyd(
    start: jax.Array, size: int, points: jax.Array, mass: jax.Array, dimensions: np.ndarray, steps: int
) -> tuple[jax.Array, jax.Array]:
    """Lloyd's iteration from words [K, d], `size` of them in use, for points [d, n] of weights mass [n].

    In step i words are zero beyond their first dimensions[i] (the last entry goes on for all later steps); it ends
    early when nothing moves.

    Returns:
      (words [K, d], weighted squared error before the last step).
    """
    tiles, weights = in_tiles(points), in_tiles(mass[None, :])[:, 0]
    d = len(points)

    def step(state: _State) -> _State:
        words, _, _, count = state
        limit = dimensions[jnp.minimum(count, len(dimensions) - 1)]
        total, error = _cells(words, size, tiles, weights)
        new = jnp.where(jnp.arange(d)[None, :] < limit, _revived(total, error, words, size), 0)
        done = (limit == d) & jnp.all(new == words)
        return new, jnp.sum(error), done, count + 1

    going = lambda state: ~state[2] & (state[3] < steps)
    used = (jnp.arange(len(start))[:, None] < size) & (jnp.arange(d)[None, :] < dimensions[0])
    first = (jnp.where(used, start, 0), jnp.array(jnp.inf, start.dtype), jnp.array(False), jnp.array(0))
    return jax.lax.while_loop(going, step, first)[:2]


def _cells(words: jax.Array, size: jax.Array | int, tiles: jax.Array, mass: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Sums of w (x, 1) over every cell [d + 1, K], and of w |x - word|^2 [K]."""
    compared = comparable(words, size)

    def add(total: jax.Array, entry: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, None]:
        x, weight = entry
        ones = with_ones(x)
        index, score = nearest(compared, ones)
        error = jnp.maximum(jnp.sum(x * x, axis=0) + 2 * score, 0)
        rows = jnp.concatenate([ones, error[None, :]], axis=0) * weight[None, :]
        return total + cell_sums(rows, index, len(words)), None

    zero = jnp.zeros((words.shape[1] + 2, len(words)), words.dtype)
    total, _ = jax.lax.scan(add, zero, (tiles, mass))
    return total[:-1], total[-1]


def _revived(total: jax.Array, error: jax.Array, words: jax.Array, size: jax.Array | int) -> jax.Array:
    """Means of the cells; the j-th word without a cell goes beside the mean of the cell with the j-th largest error."""
    (k, d), mass = words.shape, total[-1]
    means = (total[:-1] / jnp.maximum(mass, jnp.finfo(mass.dtype).tiny)[None, :]).T
    used = jnp.arange(k) < size
    dead = used & (mass <= 0)
    worst = jnp.argsort(-error)[jnp.maximum(jnp.cumsum(dead) - 1, 0)]
    spread = jnp.sqrt(error[worst] / jnp.maximum(mass[worst], 1e-30) / d)
    signs = jnp.where((jnp.arange(k)[:, None] + jnp.arange(d)[None, :]) % 2 == 0, _NUDGE, -_NUDGE)
    beside = means[worst] + signs.astype(words.dtype) * spread[:, None]
    beside = jnp.where(mass[worst][:, None] > 0, beside, words)
    return jnp.where(dead[:, None], beside, jnp.where(used[:, None], means, 0))
