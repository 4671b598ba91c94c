"""Codes as functions of parameters that have gradients, and back: what `LearnedCode` trains.

A form says how coefficients [n, K] in the coordinates of a wide relevance map become decoded ones, how many bits that
takes, and which code the parameters are in the end. All forms learn the maps into the quantizer and out of it (into,
out [K, k]), which begin as the first k directions.
"""

from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from rdjax.codes.arrays import device_array
from rdjax.codes.blocks import Bits, Blocks, from_blocks, to_blocks
from rdjax.codes.cells import Table
from rdjax.codes.code import Code
from rdjax.codes.entropy_coded import EntropyCodedScalar
from rdjax.codes.nearest_words import comparable
from rdjax.codes.product import ProductQuantizer
from rdjax.codes.relaxed import cell_bits, nearest_word, noisy, rounded
from rdjax.codes.relevance_map import RelevanceMap
from rdjax.codes.residual import search, words_of
from rdjax.codes.trellis import CLOSING, CLOSING_IN_FIT, TrellisCode, searched, windows
from rdjax.numerics import matmul

LAWS = 3  # logistic laws in the mixture of a coefficient
TAUGHT_BEAM = 2
SOFTNESS = 0.3, 0.01  # of words, first and last, in units of their mean square
MAPS = 0.05  # how much slower than words maps learn: K^2 numbers that all items share

Parameters = dict[str, jax.Array]
Revived = tuple[Parameters, int]


class Relaxed(NamedTuple):
    """How a step of training relaxes a code; without one, codes are hard.

    Args:
      key: of the noise that stands for rounding.
      share: of training that is done, 0 to 1; what is soft hardens with it.
    """

    key: jax.Array
    share: jax.Array


class Coded(NamedTuple):
    """Decoded coefficients [n, K], bits of each item [n], symbols int [n, L], before the map out words [n, k]."""

    values: jax.Array
    bits: jax.Array
    symbols: jax.Array
    words: jax.Array


def first_maps(wide: int, k: int, dtype: Any) -> Parameters:
    """The first k of K directions, in and out; what is learned is the difference, scaled down."""
    return {"into": jnp.zeros((wide, k), dtype), "out": jnp.zeros((wide, k), dtype)}


def mapped(parameters: Parameters) -> tuple[jax.Array, jax.Array]:
    """The maps in and out [K, k]."""
    wide, k = parameters["into"].shape
    begin = jnp.eye(wide, k, dtype=parameters["into"].dtype)
    return begin + MAPS * parameters["into"], begin + MAPS * parameters["out"]


def learned_map(chart: RelevanceMap, parameters: Parameters, coded: jax.Array) -> RelevanceMap:
    """The chart with the learned maps in it."""
    into, out = (np.asarray(part, np.float64) for part in mapped(parameters))
    put = lambda values: device_array(values, chart.mean.dtype)
    variances = np.var(np.asarray(coded, np.float64) @ into, axis=0)
    basis, back = (np.asarray(part, np.float64) for part in (chart.basis, chart.back))
    return replace(chart, basis=put(basis @ into), back=put(back @ out), variances=put(variances))


@dataclass(frozen=True)
class ProductForm:
    """Words of a `ProductQuantizer`.

    Straight-through: the words that its own search finds (with a beam of 2 at most in training, which is four times as
    fast and finds nearly the same), with the gradient of the point. Soft: stage by stage the nearest word, with the
    gradient of the mean word under a softmax of distances that hardens (soft to hard).

    Args:
      blocks, table, beam: of the code.
      soft: whether training is soft.
    """

    blocks: Blocks
    table: Bits
    beam: int
    soft: bool = False

    def begin(self, code: ProductQuantizer, coded: jax.Array) -> Parameters:
        """The parameters at which it is the fitted code, for coefficients [n, K]."""
        return {**first_maps(coded.shape[1], code.transform.k, coded.dtype), "words": code.codebooks}

    def __call__(self, parameters: Parameters, coded: jax.Array, relaxed: Relaxed | None) -> Coded:
        """Coefficients [n, K] to `Coded`."""
        into, out = mapped(parameters)
        points = to_blocks(matmul(coded, into).T, self.blocks)
        if self.soft and relaxed is not None:
            values, symbols = self._softly(parameters["words"], points, relaxed.share)
        else:
            fixed = lax.stop_gradient((parameters["words"], points))
            compared = comparable(fixed[0], 1 << jnp.array(self.table, jnp.int32))
            beam = self.beam if relaxed is None else min(self.beam, TAUGHT_BEAM)
            symbols = search(fixed[0], compared, fixed[1], beam)
            values = words_of(parameters["words"], symbols) + (points - lax.stop_gradient(points))
        said = from_blocks(values, self.blocks, into.shape[1]).T
        bits = jnp.full(len(coded), float(sum(map(sum, self.table))), coded.dtype)
        return Coded(matmul(said, out.T), bits, jnp.moveaxis(symbols, 2, 0).reshape(len(coded), -1), said)

    def _softly(self, words: jax.Array, points: jax.Array, share: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Points [B, d, n] to sums of words alike and symbols [B, S, n]."""
        first, last = SOFTNESS
        values, symbols = [], []
        for block, books, row in zip(points, words, self.table, strict=True):
            numbers: list[jax.Array] = []
            total = jnp.zeros_like(block.T)
            for book, width in zip(books, row, strict=True):
                own = book[: 1 << width]
                size = lax.stop_gradient(jnp.mean(jnp.sum(own**2, axis=1))) * first * (last / first) ** share
                found = nearest_word(block.T - total, own, jnp.maximum(size, jnp.finfo(own.dtype).tiny))
                total, numbers = total + found.words, [*numbers, found.numbers.astype(jnp.int32)]
            values.append(total.T)
            symbols.append(jnp.stack(numbers))
        return jnp.stack(values), jnp.stack(symbols)

    def finish(self, code: ProductQuantizer, chart: RelevanceMap, parameters: Parameters, coded: jax.Array) -> Code:
        """The code that the parameters are."""
        return replace(code, transform=learned_map(chart, parameters, coded), codebooks=parameters["words"])

    def sizes(self) -> np.ndarray:
        """Words of each codebook [L]; 0 where there is none."""
        return np.array([1 << width if width else 0 for row in self.table for width in row])

    def revive(self, parameters: Parameters, counts: np.ndarray, generator: np.random.Generator) -> Revived:
        """Words that nothing uses next to those that most do: (parameters, how many). Counts are [L, K]."""
        words = np.asarray(parameters["words"]).copy()
        flat = words.reshape(len(counts), *words.shape[2:])
        own = np.repeat([len(block) for block in self.blocks], words.shape[1])
        revived = 0
        for book, count, size, width in zip(flat, counts, self.sizes(), own, strict=True):
            dead = np.flatnonzero(count[:size] == 0)
            busy = np.argsort(-count[:size])[: len(dead)]
            dead = dead[: int((count[busy] > 1).sum())]
            spread = 0.01 * float(np.sqrt(np.mean(book[:size] ** 2))) if size else 0.0
            noise = spread * generator.standard_normal((len(dead), book.shape[1]))
            noise[:, width:] = 0  # the block has no coefficients there
            book[dead] = book[busy[: len(dead)]] + noise
            revived += len(dead)
        return {**parameters, "words": device_array(words, words.dtype)}, revived


@dataclass(frozen=True)
class TrellisForm:
    """Words of a `TrellisCode`, straight-through: those that its own search finds, with the gradient of the point.

    Words, which are near each other and serve every step, and spreads learn as slowly as maps.

    Args:
      width, window: of the code.
    """

    width: int
    window: int

    def begin(self, code: TrellisCode, coded: jax.Array) -> Parameters:
        """The parameters at which it is the fitted code."""
        maps = first_maps(coded.shape[1], code.transform.k, coded.dtype)
        return {**maps, "words": code.words / MAPS, "log_spread": jnp.log(code.spread) / MAPS}

    def __call__(self, parameters: Parameters, coded: jax.Array, relaxed: Relaxed | None) -> Coded:
        """Coefficients [n, K] to `Coded`; relaxed, fewer starts of the ring are tried."""
        into, out = mapped(parameters)
        words, spread = self._learned(parameters)
        points = (matmul(coded, into) / spread[None, :]).reshape(len(coded), -1, words.shape[1])
        fixed = lax.stop_gradient((words, points))
        symbols = searched(*fixed, self.width, self.window, CLOSING if relaxed is None else CLOSING_IN_FIT)
        values = words[windows(symbols, self.width, self.window)] + (points - fixed[1])
        said = values.reshape(len(coded), -1) * spread[None, :]
        bits = jnp.full(len(coded), float(self.width * symbols.shape[1]), coded.dtype)
        return Coded(matmul(said, out.T), bits, symbols, said)

    def _learned(self, parameters: Parameters) -> tuple[jax.Array, jax.Array]:
        return MAPS * parameters["words"], jnp.exp(MAPS * parameters["log_spread"])

    def finish(self, code: TrellisCode, chart: RelevanceMap, parameters: Parameters, coded: jax.Array) -> Code:
        """The code that the parameters are."""
        words, spread = self._learned(parameters)
        return replace(code, transform=learned_map(chart, parameters, coded), spread=spread, words=words)

    def sizes(self) -> np.ndarray:
        """No codebooks: every word is part of many sequences."""
        return np.zeros(0, int)

    def revive(self, parameters: Parameters, counts: np.ndarray, generator: np.random.Generator) -> Revived:
        """Nothing to revive."""
        return parameters, 0


@dataclass(frozen=True)
class ScalarForm:
    """Steps and entropy models of an `EntropyCodedScalar`: additive noise while training, rounding to be told.

    Args:
      k: coefficients.
    """

    k: int

    def begin(self, code: EntropyCodedScalar, coded: jax.Array) -> Parameters:
        """Steps of about the fitted code's cells, and mixtures as wide as the coefficients."""
        points = np.asarray(coded[:, : self.k], np.float64)
        levels, sizes = np.asarray(code.levels, np.float64), np.asarray(code.sizes)
        ends = np.take_along_axis(levels, sizes[:, None] - 1, axis=1)[:, 0] - levels[:, 0]
        shared = float(np.median((ends / np.maximum(sizes - 1, 1))[sizes > 1])) if (sizes > 1).any() else 1.0
        step = np.where(sizes > 1, ends / np.maximum(sizes - 1, 1), shared)
        spread = np.maximum(points.std(axis=0) / step, 0.1)
        offsets = np.linspace(-1, 1, LAWS)[None, :] * spread[:, None]
        put = lambda values: device_array(np.asarray(values), coded.dtype)
        return {
            **first_maps(coded.shape[1], self.k, coded.dtype),
            "log_step": put(np.log(step)),
            "logits": put(np.zeros((self.k, LAWS))),
            "means": put(offsets),
            "log_scales": put(np.log(0.5 * spread)[:, None] + np.zeros((1, LAWS))),
        }

    def __call__(self, parameters: Parameters, coded: jax.Array, relaxed: Relaxed | None) -> Coded:
        """Coefficients [n, K] to `Coded`; relaxed, noise stands for rounding in the bits, not in the values."""
        into, out = mapped(parameters)
        points, step = matmul(coded, into), jnp.exp(parameters["log_step"])
        whole = rounded(points, step)
        law = jax.nn.softmax(parameters["logits"], axis=-1), parameters["means"], jnp.exp(parameters["log_scales"])
        symbols = whole if relaxed is None else noisy(points, step, relaxed.key)
        bits, said = jnp.sum(cell_bits(symbols, *law), axis=-1), whole * step[None, :]
        return Coded(matmul(said, out.T), bits, lax.stop_gradient(whole).astype(jnp.int32), said)

    def finish(self, code: EntropyCodedScalar, chart: RelevanceMap, parameters: Parameters, coded: jax.Array) -> Code:
        """The code that the parameters are: uniform cells over the range of these coefficients, and their counts."""
        transform = learned_map(chart, parameters, coded)
        step = np.exp(np.asarray(parameters["log_step"], np.float64))
        points = np.asarray(coded, np.float64) @ np.asarray(mapped(parameters)[0], np.float64)
        whole = np.round(points / step[None, :]).astype(np.int64)
        lowest, highest = whole.min(axis=0), whole.max(axis=0)
        sizes = highest - lowest + 1
        places = np.minimum(np.arange(sizes.max())[None, :], sizes[:, None] - 1) + lowest[:, None]
        borders = np.where(np.arange(sizes.max() - 1)[None, :] < sizes[:, None] - 1, places[:, :-1] + 0.5, np.inf)
        counts = np.stack([np.bincount(column, minlength=sizes.max()) for column in (whole - lowest[None, :]).T])
        table = Table(places * step[:, None], borders * step[:, None], counts, sizes)
        length = float(np.mean(np.asarray(_hard_bits(self, parameters, coded))))
        return EntropyCodedScalar.of_table(transform, table, "uniform", round(length, 2))

    def sizes(self) -> np.ndarray:
        """No codebooks: nothing can collapse."""
        return np.zeros(0, int)

    def revive(self, parameters: Parameters, counts: np.ndarray, generator: np.random.Generator) -> Revived:
        """Nothing to revive."""
        return parameters, 0


@partial(jax.jit, static_argnums=0)
def _hard_bits(form: ScalarForm, parameters: Parameters, coded: jax.Array) -> jax.Array:
    return form(parameters, coded, None).bits
