"""Codebooks of vectors by k-means, in many blocks of coefficients at once.

Points stand in columns [B, d, n], see `nearest_words`. A block's codebook is [K, d]; blocks whose codebooks are smaller
are filled up with words that are never nearest.
"""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rdjax.checks import require, whole
from rdjax.codes.arrays import device_array, fit_vectors, working_dtype
from rdjax.codes.nearest_words import comparable, in_tiles, nearest, padded_points, with_ones

MAX_BITS = 12  # of one codebook
_TRIALS = 4  # candidates of every k-means++ step
_SEEDING = 32  # points per word that k-means++ chooses among
_TRIED = 5  # Lloyd steps before the worse of two starts is given up
_LEVELS, _STEPS_OF_A_LEVEL = 6, 3  # of the start that grows
_NUDGE = 0.1  # of the spread of a cell: how far off a revived word starts

_State = tuple[jax.Array, jax.Array, jax.Array, jax.Array]  # words, error, whether nothing moved, steps


def kmeans(vectors: Any, k: int, *, seed: int = 0, weights: Any = None, steps: int = 25) -> jax.Array:
    """k words with small sum of w |x - nearest word|^2: greedy k-means++, then Lloyd's iteration until nothing moves.

    A word that is nearest to nothing is moved beside the mean of the cell that errs most. Where there are fewer
    distinct vectors than k, words repeat.

    Args:
      vectors: x [n, d].
      k: words, 1 to 4,096.
      seed: of k-means++.
      weights: w [n], at least 0; None for equal ones.
      steps: of Lloyd's iteration at most.

    Returns:
      [k, d], in the precision of the vectors (float32 at least).

    Raises:
      InputError: if k is out of range, or the vectors or weights are not finite numbers of these shapes.

    Source: Arthur and Vassilvitskii 2007 (k-means++), Lloyd 1982.
    """
    array = fit_vectors(vectors)
    k = whole(k, "the number of words")
    require(k <= 1 << MAX_BITS, f"{k} words were asked for; a codebook has at most {1 << MAX_BITS}.")
    columns = np.ascontiguousarray(array.T, working_dtype(array))[None]
    return fit_codebooks(columns, (k,), seed=seed, weights=weights, steps=steps)[0]


def fit_codebooks(
    columns: np.ndarray,
    sizes: Sequence[int],
    *,
    most: int | None = None,
    seed: int = 0,
    weights: Any = None,
    steps: int = 25,
) -> jax.Array:
    """`kmeans` in every block.

    Args:
      columns: points [B, d, n], of one precision.
      sizes: words of every block [B].
      most: K, at least the largest of them; None for that.
      seed, weights, steps: as in `kmeans`.

    Returns:
      words [B, K, d]; zeros beyond a block's size.
    """
    dtype, (blocks, d, n) = columns.dtype, columns.shape
    k = max(sizes) if most is None else most
    rng = np.random.default_rng(seed)
    weights = _checked_weights(weights, n)
    order = rng.permutation(n)[: _SEEDING * max(sizes)]
    draws = device_array(rng.random((blocks, k, _TRIALS, 2)), dtype)
    sample, sample_mass = padded_points(columns[:, :, order], weights[order])
    drawn = np.swapaxes(sample[:, :, np.arange(k) % len(order)], 1, 2)
    padded, padded_mass = padded_points(columns, weights)
    points, mass = device_array(padded, dtype), device_array(padded_mass, dtype)
    size, every = device_array(sizes, np.int32), np.full(_LEVELS * _STEPS_OF_A_LEVEL, d)
    starts = (
        _seeds(device_array(sample, dtype), device_array(sample_mass, dtype), draws),
        _grown(device_array(drawn, dtype), _axes(sample), size, points, mass, d),
    )
    tried = [_lloyd(start, size, points, mass, every, min(steps, _TRIED)) for start in starts]
    return _lloyd(_better(*tried), size, points, mass, every, steps)[0]


def _axes(sample: np.ndarray) -> jax.Array:
    """Principal axes of every block [B, d, d], in columns, the first of largest variance; of points [B, d, n]."""
    points = sample.astype(np.float64)
    points -= points.mean(axis=2, keepdims=True)
    basis = np.linalg.eigh(points @ np.swapaxes(points, 1, 2))[1][:, :, ::-1]
    return device_array(basis, sample.dtype)


def _grown(start: jax.Array, axes: jax.Array, size: jax.Array, points: jax.Array, mass: jax.Array, d: int) -> jax.Array:
    """Words [B, K, d] by k-means along the first few principal axes of every block, then along more and more.

    Where points fill many dimensions evenly, k-means++ starts from outliers and ends with some twentieth more error.
    Source: the clustering by progressive dimensions of faiss.
    """
    levels = np.ceil(d ** (np.arange(1, _LEVELS + 1) / _LEVELS) - 1e-9).astype(int)
    turned = _turned(axes, points)
    dimensions = np.repeat(levels, _STEPS_OF_A_LEVEL)
    words = _lloyd(_along(start, axes), size, turned, mass, dimensions, len(dimensions))[0]
    return _along(words, jnp.swapaxes(axes, 1, 2))


def _checked_weights(weights: Any, n: int) -> np.ndarray:
    if weights is None:
        return np.ones(n)
    weights = np.asarray(weights)
    right = weights.shape == (n,) and weights.dtype.kind in "fiu" and bool(np.isfinite(weights).all())
    require(
        right and bool((weights >= 0).all() and weights.sum() > 0),
        f"weights have shape {weights.shape}; they must be {n} finite numbers, at least 0 and not all 0.",
    )
    return weights / weights.mean()


@jax.jit
def _turned(axes: jax.Array, points: jax.Array) -> jax.Array:
    """Points [B, d, n] along axes [B, d, d]."""
    return jnp.swapaxes(axes, 1, 2) @ points


@jax.jit
def _along(words: jax.Array, axes: jax.Array) -> jax.Array:
    """Words [B, K, d] along axes [B, d, d]."""
    return words @ axes


@jax.jit
def _better(first: tuple[jax.Array, jax.Array], second: tuple[jax.Array, jax.Array]) -> jax.Array:
    """In every block the words [B, K, d] of smaller error [B]."""
    return jnp.where((first[1] <= second[1])[:, None, None], first[0], second[0])


@jax.jit
def _seeds(points: jax.Array, mass: jax.Array, draws: jax.Array) -> jax.Array:
    """Greedy k-means++: points [B, d, n], mass [n], uniform draws [B, K, trials, 2] -> [B, K, d]."""
    width = 256 if points.shape[2] % 256 == 0 else points.shape[2]

    def choose(weights: jax.Array, draw: jax.Array) -> jax.Array:
        """Points with probability proportional to their weights: first a group, then one of it."""
        groups = weights.reshape(-1, width)
        among = jnp.cumsum(jnp.sum(groups, axis=1))
        group = _place(among, draw[:, 0])
        within = jnp.cumsum(groups[group], axis=1)
        return group * width + jax.vmap(_place)(within, draw[:, 1:])[:, 0]

    def block(entry: tuple[jax.Array, jax.Array]) -> jax.Array:
        x, draw = entry

        def step(closest: jax.Array, draw: jax.Array) -> tuple[jax.Array, jax.Array]:
            candidates = x[:, choose(mass * closest, draw)].T
            squares = jax.lax.map(lambda c: jnp.sum((x - c[:, None]) ** 2, axis=0), candidates)
            closer = jnp.minimum(closest[None, :], squares)
            first = jnp.argmin(jnp.sum(closer * mass[None, :], axis=1))
            return closer[first], candidates[first]

        far = jnp.full(x.shape[1], jnp.sqrt(jnp.finfo(x.dtype).max), x.dtype) / x.shape[1]
        return jax.lax.scan(step, far, draw)[1]

    return jax.lax.map(block, (points, draws))


def _place(cumulative: jax.Array, draw: jax.Array) -> jax.Array:
    """Where draws in [0, 1) fall among running sums [m]: the first that exceeds them."""
    reached = cumulative[None, :] <= draw[:, None] * cumulative[-1]
    return jnp.minimum(jnp.sum(reached, axis=1), len(cumulative) - 1)


@jax.jit
def _lloyd(
    words: jax.Array, size: jax.Array, points: jax.Array, mass: jax.Array, dimensions: np.ndarray, steps: int
) -> tuple[jax.Array, jax.Array]:
    """Lloyd's iteration in every block: words [B, K, d], sizes [B], points [B, d, n], mass [n].

    In step i words are zero beyond their first dimensions[i] (the last entry goes on for all later steps); it ends
    early when nothing moves.

    Returns:
      (words [B, K, d], weighted squared error before the last step [B]).
    """

    def block(entry: tuple[jax.Array, jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        start, size, x = entry
        tiles, weights = in_tiles(x), in_tiles(mass[None, :])[:, 0]

        def step(state: _State) -> _State:
            words, _, _, count = state
            limit = dimensions[jnp.minimum(count, len(dimensions) - 1)]
            total, error = _cells(words, size, tiles, weights)
            new = jnp.where(jnp.arange(len(x))[None, :] < limit, _revived(total, error, words, size), 0)
            done = (limit == len(x)) & jnp.all(new == words)
            return new, jnp.sum(error), done, count + 1

        going = lambda state: ~state[2] & (state[3] < steps)
        used = (jnp.arange(len(start))[:, None] < size) & (jnp.arange(len(x))[None, :] < dimensions[0])
        first = (jnp.where(used, start, 0), jnp.array(jnp.inf, x.dtype), jnp.array(False), jnp.array(0))
        return jax.lax.while_loop(going, step, first)[:2]

    return jax.lax.map(block, (words, size, points))


def _cells(words: jax.Array, size: jax.Array, tiles: jax.Array, mass: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Sums of w (x, 1) over every cell [d + 1, K], and of w |x - word|^2 [K]."""
    compared = comparable(words, size)

    def add(total: jax.Array, entry: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, None]:
        x, weight = entry
        ones = with_ones(x)
        index, score = nearest(compared, ones)
        error = jnp.maximum(jnp.sum(x * x, axis=0) + 2 * score, 0)
        rows = jnp.concatenate([ones, error[None, :]], axis=0) * weight[None, :]
        chosen = (index[:, None] == jnp.arange(len(words))[None, :]).astype(x.dtype)
        return total + rows @ chosen, None

    zero = jnp.zeros((words.shape[1] + 2, len(words)), words.dtype)
    total, _ = jax.lax.scan(add, zero, (tiles, mass))
    return total[:-1], total[-1]


def _revived(total: jax.Array, error: jax.Array, words: jax.Array, size: jax.Array) -> jax.Array:
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
