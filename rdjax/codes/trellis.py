"""TrellisCode: coefficients of equal worth in a trellis closed to a ring, near what any code of their length can do.

The bits of an item stand in a ring; every step takes `width` new ones and reads the last `window` of them as the number
of its word. So few words make many sequences that are nearly independent, and dynamic programming finds the best.
"""

import math
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from rdjax.checks import require, whole
from rdjax.codes.arrays import device_array, fit_vectors
from rdjax.codes.code import FixedLengthCode
from rdjax.codes.transform import Transform, coefficient_blocks, fit_transform
from rdjax.trees import register_dataclass

_TOGETHER = 64  # items whose trellises are searched at a time
_RUNS = 256  # steps that are spent on closing the ring: of short sequences, several starts are tried
_SAMPLES = 128  # steps per word that words are fitted on, at most


@partial(
    register_dataclass,
    data_fields=["transform", "spread", "words"],
    meta_fields=["width", "window"],
)
@dataclass(frozen=True)
class TrellisCode(FixedLengthCode):
    """k coefficients in steps of V: step t decodes to spread * words[the last `window` bits of the ring at step t].

    Fixed length, width / V bits a coefficient, for coefficients worth the same number of bits (whitened ones, or equal
    variances). Many items side by side in one vector are coded jointly: the longer the ring, the nearer to R(D).

    Args:
      transform: gives the k coefficients.
      spread: what they are divided by [k].
      words: [2^window, V].
      width: bits of a step.
      window: bits that a step depends on.
    """

    transform: Transform
    spread: jax.Array
    words: jax.Array
    width: int
    window: int

    @classmethod
    def fit(
        cls,
        vectors: Any,
        bits: int,
        *,
        k: int | None = None,
        transform: str | Transform = "coordinates",
        window: int = 12,
        rounds: int = 6,
        seed: int = 0,
    ) -> "TrellisCode":
        """Words drawn from a Gaussian, then set to the means of what is coded with them, several times.

        Args:
          vectors: [n, D].
          bits: of an item; with g = gcd(bits, k), a step is bits / g bits for k / g coefficients.
          k: coefficients; None for as many as there are.
          transform: "pca", "coordinates" or "rotation", or one that is already fitted.
          window: at most; longer ones come nearer to R(D), each bit doubling the time and the words.
          rounds: of coding and taking means.
          seed: of the words and of the sample they are fitted on.

        Raises:
          InputError: a budget that needs more bits a step than the window has.

        Source: Tseng, Sun, Hou, De Sa 2024 (rings of shifted bits); Marcellin and Fischer 1990 (trellis-coded).
        """
        array, bits = fit_vectors(vectors), whole(bits, "the budget")
        fitted = fit_transform(transform, array, k, seed=seed)
        steps = math.gcd(bits, fitted.k)
        width, window = bits // steps, min(whole(window, "the window"), bits)
        require(
            0 < width < window <= 16 or width == window == bits <= 16,
            f"{bits} bits for {fitted.k} coefficients are {width} bits a step, and a window has {window}; "
            "take a budget that shares more factors with the number of coefficients.",
        )
        rng = np.random.default_rng(seed)
        kept = rng.permutation(len(array))[: max(1, (_SAMPLES << window) // steps)]
        spread = np.sqrt(np.maximum(np.asarray(fitted.variances, np.float64), 1e-30))
        points = np.concatenate([*coefficient_blocks(fitted, array[np.sort(kept)])]) / spread
        size = math.sqrt(1 - 2.0 ** (-2 * bits / fitted.k))
        words = device_array(size * rng.standard_normal((1 << window, fitted.k // steps)), fitted.mean.dtype)
        points = device_array(points.reshape(len(points), steps, -1), fitted.mean.dtype)
        for _ in range(rounds):
            words = _means(words, points, width, window)
        return cls(fitted, device_array(spread, fitted.mean.dtype), words, width, window)

    @property
    def name(self) -> str:
        """E.g. "trellis of 12 bits, 16 x 1 bits"."""
        kind = f"trellis of {self.window} bits, {self.num_symbols} x {self.width} bits"
        return f"{self.transform.label} + {kind}" if self.transform.label else kind

    @property
    def dimension(self) -> int:
        """D."""
        return self.transform.mean.shape[0]

    @property
    def dtype(self) -> Any:
        """Precision of the fitted arrays."""
        return self.words.dtype

    @property
    def widths(self) -> tuple[int, ...]:
        """Bits of each step."""
        return (self.width,) * (self.transform.k // self.words.shape[1])

    @property
    def encoder_bytes(self) -> int:
        """Transform, spread and words."""
        return self.transform.encoder_bytes + 4 * (self.spread.size + self.words.size)

    def _encode(self, vectors: jax.Array) -> jax.Array:
        points = self.transform.apply(vectors) / self.spread[None, :]
        points = points.reshape(len(points), self.num_symbols, -1)
        return _searched(self.words, points, self.width, self.window, max(1, _RUNS // self.num_symbols))

    def _decode(self, symbols: jax.Array) -> jax.Array:
        points = self.words[windows(symbols, self.width, self.window)]
        return self.transform.invert(points.reshape(len(symbols), -1) * self.spread[None, :])


def windows(symbols: jax.Array, width: int, window: int) -> jax.Array:
    """The last `window` bits of the ring at every step, int32 of the shape of symbols [n, T]."""
    parts = [jnp.roll(symbols, j, axis=1) << (width * j) for j in range(-(-window // width))]
    return sum(parts[1:], parts[0]) & ((1 << window) - 1)


@partial(jax.jit, static_argnames=("width", "window"))
def _means(words: jax.Array, points: jax.Array, width: int, window: int) -> jax.Array:
    """Words [2^window, V] as the means of the steps of points [n, T, V] that are coded with them; unused ones stay."""
    places = windows(_searched(words, points, width, window, 1), width, window).ravel()
    total = jax.ops.segment_sum(points.reshape(-1, words.shape[1]), places, len(words))
    count = jax.ops.segment_sum(jnp.ones(places.shape, points.dtype), places, len(words))[:, None]
    return jnp.where(count > 0, total / jnp.maximum(count, 1), words)


def _searched(words: jax.Array, points: jax.Array, width: int, window: int, starts: int) -> jax.Array:
    """Symbols [n, T] of near points [n, T, V], tile by tile."""
    n, together = len(points), min(len(points), _TOGETHER)
    tiles = jnp.pad(points, ((0, -n % max(together, 1)), (0, 0), (0, 0)))
    tiles = jnp.swapaxes(tiles.reshape(-1, max(together, 1), *points.shape[1:]), 1, 2)  # [tiles, T, t, V]
    found = lax.map(lambda tile: _ring(words, tile, width, window, starts), tiles)
    return found.reshape(-1, points.shape[1])[:n]


def _ring(words: jax.Array, points: jax.Array, width: int, window: int, starts: int) -> jax.Array:
    """Of the best paths from and to each of the likeliest states the best: points [T, t, V] -> symbols [t, T].

    Likely are the states in which a path ends that has been around twice, from anywhere.
    """
    states = 1 << (window - width)
    free = jnp.zeros((points.shape[1], states), points.dtype)
    around, _ = _forward(words, points, _forward(words, points, free, width)[0], width)
    likely = lax.top_k(-around, min(starts, states))[1]

    def closed(state: jax.Array) -> tuple[jax.Array, jax.Array]:
        begin = jnp.where(jnp.arange(states)[None, :] == state[:, None], 0, jnp.inf).astype(points.dtype)
        cost, back = _forward(words, points, begin, width)
        return jnp.take_along_axis(cost, state[:, None], axis=1)[:, 0], _backward(back, state, width, states)

    costs, symbols = lax.map(closed, likely.T)
    return jnp.take_along_axis(symbols, jnp.argmin(costs, axis=0)[None, :, None], axis=0)[0]


def _forward(words: jax.Array, points: jax.Array, cost: jax.Array, width: int) -> tuple[jax.Array, jax.Array]:
    """Costs [t, states] after all steps (half squares), and for every step which bits left each state's window."""
    half = 0.5 * jnp.sum(words * words, axis=1)
    states = cost.shape[1]

    def step(cost: jax.Array, x: jax.Array) -> tuple[jax.Array, jax.Array]:
        every = jnp.repeat(cost, 1 << width, axis=1) + half[None, :] - x @ words.T
        parents = every.reshape(len(x), 1 << width, states)
        return jnp.min(parents, axis=1), jnp.argmin(parents, axis=1).astype(jnp.int16)

    return lax.scan(step, cost, points)


def _backward(back: jax.Array, state: jax.Array, width: int, states: int) -> jax.Array:
    """Symbols [t, T] of the paths that end in `state` [t]."""

    def step(state: jax.Array, came: jax.Array) -> tuple[jax.Array, jax.Array]:
        left = jnp.take_along_axis(came, state[:, None], axis=1)[:, 0].astype(jnp.int32)
        number = left * states + state
        return number >> width, number & ((1 << width) - 1)

    return lax.scan(step, state, back, reverse=True)[1].T
