"""TrellisCode: coefficients of equal worth in a trellis closed to a ring, near what any code of their length can do.

The bits of an item stand in a ring; every step takes `width` new ones and reads the last `window` of them as the number
of its word. So few words make many sequences that are nearly independent, and dynamic programming finds the best.
"""

import math
from dataclasses import dataclass
from functools import partial, reduce
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from rdjax.checks import require, whole
from rdjax.codes.arrays import device_array, fit_vectors
from rdjax.codes.code import FixedLengthCode
from rdjax.codes.transform import Transform, coefficient_blocks, fit_transform
from rdjax.codes.transformed import Transformed
from rdjax.numerics import matmul
from rdjax.trees import register_dataclass

MOST_WIDTH, MOST_WINDOW = 6, 16  # bits
_AT_ONCE = 1 << 19  # prices of words, or costs of states, held at a time
CLOSING = 1 << 19  # prices that are looked at to close a ring: in short ones all starts are tried
CLOSING_IN_FIT = 1 << 15
_SAMPLES = 128  # steps per word that words are fitted on, at most


@partial(
    register_dataclass,
    data_fields=["transform", "spread", "words"],
    meta_fields=["width", "window"],
)
@dataclass(frozen=True)
class TrellisCode(Transformed, FixedLengthCode):
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
        memory: int = 7,
        rounds: int = 6,
        seed: int = 0,
    ) -> "TrellisCode":
        """Words drawn from a Gaussian, then set to the means of what is coded with them, several times.

        Args:
          vectors: [n, D].
          bits: of an item; with g = gcd(bits, k), a step is bits / g bits for k / g coefficients.
          k: coefficients; None for as many as there are.
          transform: "pca", "coordinates" or "rotation", or one that is already fitted.
          memory: bits before its own that a step depends on; each comes nearer to R(D) and doubles time and words. In
            rings of few steps more than 7 are closed badly.
          rounds: of coding and taking means.
          seed: of the words and of the sample they are fitted on.

        Raises:
          InputError: a budget that needs steps of too many bits.

        Source: Tseng, Sun, Hou, De Sa 2024 (rings of shifted bits); Marcellin and Fischer 1990 (trellis-coded).
        """
        array, bits = fit_vectors(vectors), whole(bits, "the budget")
        fitted = fit_transform(transform, array, k, seed=seed)
        steps = math.gcd(bits, fitted.k)
        width = bits // steps
        window = min(width + whole(memory, "the memory"), bits)
        require(
            width <= MOST_WIDTH and window <= MOST_WINDOW,
            f"{bits} bits for {fitted.k} coefficients are {width} bits a step, {window} with its memory, and at most "
            f"{MOST_WIDTH} and {MOST_WINDOW} are searched; a budget that shares more factors with k takes fewer.",
        )
        rng = np.random.default_rng(seed)
        kept = rng.permutation(len(array))[: max(1, (_SAMPLES << window) // steps)]
        spread = _spread(np.asarray(fitted.variances, np.float64))
        points = np.concatenate([*coefficient_blocks(fitted, array[np.sort(kept)])]) / spread
        whole(rounds, "the number of rounds", least=0)
        size = math.sqrt(1 - 2.0 ** (-2 * bits / fitted.k))
        words = device_array(size * rng.standard_normal((1 << window, fitted.k // steps)), fitted.mean.dtype)
        shown = device_array(points.reshape(len(points), steps, -1), fitted.mean.dtype)
        for _ in range(rounds):
            words = _means(words, shown, width, window)
        return cls(fitted, device_array(spread, fitted.mean.dtype), words, width, window)

    @property
    def name(self) -> str:
        """E.g. "trellis of 12 bits, 16 x 1 bits"."""
        kind = f"trellis of {self.window} bits, {self.num_symbols} x {self.width} bits"
        return self._named(kind)

    @property
    def widths(self) -> tuple[int, ...]:
        """Bits of each step."""
        return (self.width,) * (self.transform.k // self.words.shape[1])

    @property
    def encoder_bytes(self) -> int:
        """Transform, spread and words."""
        return self.transform.encoder_bytes + 4 * (self.spread.size + self.words.size)

    def _quantize(self, coefficients: jax.Array) -> jax.Array:
        if coefficients.shape[0] == 0:
            return jnp.zeros((0, self.num_symbols), jnp.int32)
        points = coefficients / self.spread[None, :]
        points = points.reshape(len(points), self.num_symbols, self.words.shape[1])
        return searched(self.words, points, self.width, self.window, CLOSING)

    def _dequantize(self, symbols: jax.Array) -> jax.Array:
        points = self.words[windows(symbols, self.width, self.window)]
        return points.reshape(len(symbols), self.transform.k) * self.spread[None, :]


def _spread(variances: np.ndarray) -> np.ndarray:
    """Deviations [k], at least 1e-5 of the largest: below it a coefficient may be no more than its rounding."""
    largest = float(variances.max())
    return np.sqrt(np.maximum(variances, 1e-10 * largest)) if largest > 0 else np.ones(len(variances))


def equal_shares(signal: Any, bits: int) -> tuple[int, int]:
    """(k, bits spent) for a trellis of the first k coefficients that leaves the least of a Gaussian signal.

    All k get the same number of bits, so what is left is sum_(l <= k) signal_l 2^(-2 spent / k) + sum_(l > k) signal_l;
    spent is the most, up to `bits`, that steps of at most 4 bits share out.

    Args:
      signal: variances of the coefficients [n], the largest first.
      bits: of an item, at least 1.

    Raises:
      InputError: no coefficient, or no bit.
    """
    values, most = np.asarray(signal, np.float64), whole(bits, "the budget", 1)
    require(values.ndim == 1 and values.size > 0, f"the signal has shape {values.shape}; it must be [n], one at least.")
    told = np.cumsum(values)
    spent = [next((b for b in range(most, 0, -1) if b <= 4 * math.gcd(b, k)), 0) for k in range(1, len(values) + 1)]
    kept = told * (1 - 2.0 ** (-2 * np.array(spent) / np.arange(1, len(values) + 1)))
    best = int(np.argmax(kept))
    return best + 1, spent[best]


def windows(symbols: jax.Array, width: int, window: int) -> jax.Array:
    """The last `window` bits of the ring at every step, int32 of the shape of symbols [n, T]."""
    parts = [jnp.roll(symbols, j, axis=1) << (width * j) for j in range(-(-window // width))]
    return sum(parts[1:], parts[0]) & ((1 << window) - 1)


@partial(jax.jit, static_argnames=("width", "window"))
def _means(words: jax.Array, points: jax.Array, width: int, window: int) -> jax.Array:
    """Words [2^window, V] as the means of the steps of points [n, T, V] that are coded with them; unused ones stay."""
    places = windows(searched(words, points, width, window, CLOSING_IN_FIT), width, window).ravel()
    total = jax.ops.segment_sum(points.reshape(-1, words.shape[1]), places, len(words))
    count = jax.ops.segment_sum(jnp.ones(places.shape, points.dtype), places, len(words))[:, None]
    return jnp.where(count > 0, total / jnp.maximum(count, 1), words)


def searched(words: jax.Array, points: jax.Array, width: int, window: int, closing: int) -> jax.Array:
    """Symbols [n, T] of near points [n, T, V], tile by tile."""
    n, steps, _ = points.shape
    starts = max(1, min(closing // (steps << window), 1 << (window - width)))
    together = max(1, min(n, _AT_ONCE // (max(steps, starts) << window)))
    tiles = jnp.pad(points, ((0, -n % together), (0, 0), (0, 0))).reshape(-1, together, *points.shape[1:])
    half = 0.5 * jnp.sum(words * words, axis=1)

    def search(tile: jax.Array) -> jax.Array:
        prices = half[None, None, :] - matmul(jnp.swapaxes(tile, 0, 1), words.T)  # [T, t, words], half squares
        return _ring(prices, width, starts)

    return lax.map(search, tiles).reshape(-1, steps)[:n]


def _ring(prices: jax.Array, width: int, starts: int) -> jax.Array:
    """Of the best paths from and to each of the likeliest states the best: prices [T, t, words] -> symbols [t, T].

    Likely are the states in which a path ends that has been around twice, from anywhere.
    """
    t, states = prices.shape[1], prices.shape[2] >> width
    around = _costs(prices, _costs(prices, jnp.zeros((t, 1, states), prices.dtype), width), width)
    likely = lax.top_k(-around[:, 0], starts)[1]
    closed = _costs(prices, _only(likely, states, prices.dtype), width)
    cost = jnp.take_along_axis(closed, likely[:, :, None], axis=2)[:, :, 0]
    best = jnp.take_along_axis(likely, jnp.argmin(cost, axis=1)[:, None], axis=1)
    return _path(prices, _only(best, states, prices.dtype), best[:, 0], width)


def _only(state: jax.Array, states: int, dtype: Any) -> jax.Array:
    """Costs [t, m, states] that allow one state [t, m]."""
    return jnp.where(jnp.arange(states)[None, None, :] == state[:, :, None], 0, jnp.inf).astype(dtype)


def _parents(cost: jax.Array, price: jax.Array, width: int) -> list[jax.Array]:
    """Costs [t, m, states] of the path into every state whose window loses these bits, for each of the 2^width.

    A list, since minima of a few arrays run ten times as fast as those along a short axis.
    """
    every = jnp.repeat(cost, 1 << width, axis=2) + price[:, None, :]
    every = every.reshape(*cost.shape[:2], 1 << width, cost.shape[2])
    return [every[:, :, left] for left in range(1 << width)]


def _costs(prices: jax.Array, cost: jax.Array, width: int) -> jax.Array:
    """Least costs [t, m, states] after all steps."""
    step = lambda cost, price: (reduce(jnp.minimum, _parents(cost, price, width)), None)
    return lax.scan(step, cost, prices)[0]


def _path(prices: jax.Array, cost: jax.Array, end: jax.Array, width: int) -> jax.Array:
    """Symbols [t, T] of the best paths that end in state `end` [t], from costs [t, 1, states]."""
    states = cost.shape[2]

    def forward(cost: jax.Array, price: jax.Array) -> tuple[jax.Array, jax.Array]:
        least, *others = _parents(cost, price, width)
        came = jnp.zeros((*end.shape, states), jnp.int32)
        for number, other in enumerate(others, 1):
            came = jnp.where(other[:, 0] < least[:, 0], number, came)
            least = jnp.minimum(least, other)
        return least, came

    def backward(state: jax.Array, left: jax.Array) -> tuple[jax.Array, jax.Array]:
        number = jnp.take_along_axis(left, state[:, None], axis=1)[:, 0] * states + state
        return number >> width, number & ((1 << width) - 1)

    return lax.scan(backward, end, lax.scan(forward, cost, prices)[1], reverse=True)[1].T
