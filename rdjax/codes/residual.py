"""Words of residual stages: every stage codes what the ones before it left over; found by beam search, fitted jointly.

One stage is the nearest word, and its joint fit is k-means. Points stand in columns, block by block [B, d, n].
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rdjax.codes.arrays import device_array
from rdjax.codes.codebooks import fit_codebooks
from rdjax.codes.nearest_words import cell_means, comparable, in_tiles, nearest, padded_points, with_ones
from rdjax.numerics import matmul

_TOGETHER = 64  # points of one beam search: their sums with 256 words, 8 beams, fill 512 kB
_NARROW = 4  # sums of every point that the next stage is fitted on
_LEFT_OVER = 128  # of them per word, at most

Sums = tuple[jax.Array, jax.Array]  # what sums of words leave over of points [t, beam, d], and half its squares


def search(codebooks: jax.Array, compared: jax.Array, points: jax.Array, beam: int) -> jax.Array:
    """Words whose sum is near every point: the nearest where there is one stage, else the best that a beam finds.

    Args:
      codebooks: [B, S, K, d].
      compared: the same, `nearest_words.comparable` [B, S, K, d + 1].
      points: [B, d, t]; of several stages some are searched at a time.
      beam: partial sums kept after every stage.

    Returns:
      int32 [B, S, t].
    """
    if codebooks.shape[1] == 1:
        return jax.lax.map(lambda entry: nearest(entry[0][0], with_ones(entry[1]))[0][None], (compared, points))
    num_blocks, d, t = points.shape
    together = min(_TOGETHER, t)
    filled = jnp.pad(points, ((0, 0), (0, 0), (0, -t % together)))
    parts = jnp.swapaxes(filled.reshape(num_blocks, d, -1, together), 1, 2)

    def block(entry: tuple[jax.Array, jax.Array, jax.Array]) -> jax.Array:
        words, against, parts = entry
        found = jax.lax.map(lambda part: _beam_search(words, against, part.T, beam), parts)
        return found.reshape(-1, len(words))[:t].T

    return jax.lax.map(block, (codebooks, compared, parts))


def _beam_search(codebooks: jax.Array, compared: jax.Array, points: jax.Array, beam: int) -> jax.Array:
    """One block, points in rows [t, d] so that `top_k` reads a point's sums in one run: int32 [t, S]."""
    stages, t = len(codebooks), len(points)

    def stage(state: tuple[Sums, jax.Array], entry: Any) -> tuple[tuple[Sums, jax.Array], None]:
        sums, symbols = state
        number, words, against = entry
        sums, parent, word = _extended(sums, words, against)
        symbols = jnp.take_along_axis(symbols, parent[:, :, None], axis=1).at[:, :, number].set(word)
        return (sums, symbols), None

    start = (_no_words(points, beam), jnp.zeros((t, beam, stages), jnp.int32))
    (_, symbols), _ = jax.lax.scan(stage, start, (jnp.arange(stages), codebooks, compared))
    return symbols[:, 0]


def _no_words(points: jax.Array, beam: int) -> Sums:
    """The empty sum of every point [t, d]; the rest of the beam are no sums yet."""
    half = 0.5 * jnp.sum(points * points, axis=1)
    error = jnp.where(jnp.arange(beam)[None, :] == 0, half[:, None], jnp.inf)
    return jnp.broadcast_to(points[:, None, :], (len(points), beam, points.shape[1])), error


def _extended(sums: Sums, words: jax.Array, against: jax.Array) -> tuple[Sums, jax.Array, jax.Array]:
    """Every sum and one more word [K, d], the best of them: (sums, the sum each came from, its last word [t, beam])."""
    rest, error = sums
    (t, beam, d), k = rest.shape, len(words)
    change = against[:, d][None, :] + matmul(rest.reshape(-1, d), against[:, :d].T)
    total = error[:, :, None] + change.reshape(t, beam, k)
    least, place = jax.lax.top_k(-total.reshape(t, -1), beam)
    parent, word = place // k, place % k
    return (jnp.take_along_axis(rest, parent[:, :, None], axis=1) - words[word], -least), parent, word


@partial(jax.jit, static_argnames="beam")
def search_all(codebooks: jax.Array, sizes: jax.Array, points: jax.Array, beam: int) -> jax.Array:
    """`search` tile by tile: sizes [B, S], points [B, d, n] -> int32 [B, S, n]."""
    compared = comparable(codebooks, sizes)
    tiles = jnp.moveaxis(jax.vmap(in_tiles)(points), 1, 0)
    found = jax.lax.map(lambda tile: search(codebooks, compared, tile, beam), tiles)  # [tiles, B, S, t]
    return jnp.moveaxis(found, 0, 2).reshape(*sizes.shape, points.shape[2])


def words_of(codebooks: jax.Array, symbols: jax.Array) -> jax.Array:
    """Sums of words [B, d, n] that symbols [B, S, n] stand for."""
    return jnp.sum(jax.vmap(jax.vmap(_pick))(codebooks, symbols), axis=1)


def _pick(words: jax.Array, symbols: jax.Array) -> jax.Array:
    """Words [K, d] of symbols [n] as columns [d, n]."""
    return jnp.take(words, symbols, axis=0, mode="clip").T


def fit_stages(columns: np.ndarray, sizes: np.ndarray, *, beam: int, rounds: int, steps: int, seed: int) -> jax.Array:
    """Codebooks [B, S, K, d] of every block, stage by stage, then refined together.

    A stage is k-means on what the best sums of the stages before it leave over: all that a narrow beam keeps, since
    what is left of the best alone is too few points for words that must serve others too.

    Args:
      columns: points [B, d, n].
      sizes: words of every codebook, int [B, S]; 0 for no stage.
      beam, rounds, steps: of the search, of the refinement (see `refined`), of k-means.
      seed: of k-means.
    """
    dtype, (_, _, n), largest = columns.dtype, columns.shape, int(sizes.max())
    fitted = partial(fit_codebooks, most=largest, steps=steps)
    if sizes.shape[1] == 1:
        return device_array(fitted(columns, [*sizes[:, 0]], seed=seed)[:, None], dtype)
    padded, weights = padded_points(columns, np.ones(n))
    points, mass, size = device_array(padded, dtype), device_array(weights, dtype), device_array(sizes, np.int32)
    narrow = min(beam, _NARROW)
    rest, error = _first_stage(points, narrow)
    books, left = [], columns
    for stage in range(sizes.shape[1]):
        if stage:
            kept = np.random.default_rng(seed + stage).permutation(n * narrow)[: max(n, _LEFT_OVER * largest)]
            left = np.asarray(_left_over(rest, error, device_array(kept, np.int32)))
        words = fitted(left, [*sizes[:, stage]], seed=seed + stage)
        books.append(words[:, None])
        rest, error = _next_stage(rest, error, device_array(words, dtype), device_array(sizes[:, stage], np.int32))
    codebooks = device_array(np.concatenate(books, axis=1), dtype)
    for _ in range(rounds):
        codebooks, _ = refined(codebooks, size, points, mass, beam)
    return codebooks


@partial(jax.jit, static_argnames="beam")
def _first_stage(points: jax.Array, beam: int) -> Sums:
    """Points [B, d, n] as empty sums [B, n, beam, d]."""
    return jax.vmap(partial(_no_words, beam=beam))(jnp.swapaxes(points, 1, 2))


@jax.jit
def _left_over(rest: jax.Array, error: jax.Array, kept: jax.Array) -> jax.Array:
    """Some of what sums [B, n, beam, d] leave over, as points [B, d, m]; the best of a point for what is no sum yet."""
    num_blocks, _, _, d = rest.shape
    sound = jnp.where(jnp.isfinite(error)[..., None], rest, rest[:, :, :1])
    return jnp.swapaxes(sound.reshape(num_blocks, -1, d)[:, kept], 1, 2)


@jax.jit
def _next_stage(rest: jax.Array, error: jax.Array, words: jax.Array, size: jax.Array) -> Sums:
    """`_extended` for all points [B, n, beam, d] with words [B, K, d], part by part."""
    together = lambda array: array.reshape(-1, _TOGETHER, *array.shape[1:])

    def block(entry: tuple[jax.Array, ...]) -> Sums:
        rest, error, words, against = entry
        parts = (together(rest), together(error))
        new = jax.lax.map(lambda sums: _extended(sums, words, against)[0], parts)
        return new[0].reshape(rest.shape), new[1].reshape(error.shape)

    return jax.lax.map(block, (rest, error, words, comparable(words, size)))


@partial(jax.jit, static_argnames="beam")
def refined(
    codebooks: jax.Array, sizes: jax.Array, points: jax.Array, mass: jax.Array, beam: int
) -> tuple[jax.Array, jax.Array]:
    """Code the points anew, then set every codebook in turn to the means of what the others leave over.

    That is one sweep of coordinate descent on the least squares of all words together; for one stage, a Lloyd step.

    Returns:
      (codebooks [B, S, K, d], the symbols they were refined for, int32 [B, S, n]).
    """
    symbols = search_all(codebooks, sizes, points, beam)
    return jax.lax.map(lambda block: _sweep(mass, block), (codebooks, sizes, symbols, points)), symbols


def _sweep(mass: jax.Array, block: tuple[jax.Array, ...]) -> jax.Array:
    """One block: codebooks [S, K, d], sizes [S], symbols [S, n], points [d, n] -> codebooks."""
    codebooks, sizes, symbols, points = block

    def stage(rest: jax.Array, entry: tuple[jax.Array, ...]) -> tuple[jax.Array, jax.Array]:
        words, size, symbol = entry
        target = rest + _pick(words, symbol)
        means = cell_means(target, mass, symbol, words)
        new = jnp.where(jnp.arange(len(words))[:, None] < size, means, 0)
        return target - _pick(new, symbol), new

    rest = points - words_of(codebooks[None], symbols[None])[0]
    return jax.lax.scan(stage, rest, (codebooks, sizes, symbols))[1]
