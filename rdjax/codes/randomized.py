"""Scalar quantizers that draw numbers: subtractive dither, and the paper's codewords drawn uniformly in their cell.

Both are uniform quantizers whose symbols are entropy-coded, one step for every coefficient. What is drawn is a function
of the code's seed, the number of the item and the coefficient, and nothing else, so that encoder and decoder agree on
it on every machine. Items are numbered by their row, from `first`: part of a batch is decoded by `code.at(row)`.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Self

import jax
import jax.numpy as jnp
import numpy as np

from rdjax.checks import require
from rdjax.codes.arrays import device_array, fit_vectors, shared_size
from rdjax.codes.cells import sample_coefficients
from rdjax.codes.entropy_coded import VariableLengthCode
from rdjax.codes.mean_rate import count_symbols, step_for
from rdjax.codes.transform import Transform, fit_transform
from rdjax.codes.transformed import Transformed
from rdjax.trees import register_dataclass


class UniformCells(Transformed, VariableLengthCode):
    """What the two share: symbol l is a whole number, round(c_l / step + a draw or nothing), counted from lowest_l.

    Args:
      transform: gives the k centered coefficients.
      step: width of a cell, a scalar in the units of the vectors.
      lowest: smallest whole number of the fit, int32 [k]; symbols beyond the range of the fit are clipped to it.
      counts: how often each occurred in the fit, int32 [k, most symbols], zeros beyond its own alphabet.
      sizes: size of every alphabet, int32 [k].
      seed: of the draws, int32, a scalar.
      first: number of the item in row 0, int32, a scalar.
      budget: bits that were asked for, for the name.
    """

    step: jax.Array
    lowest: jax.Array
    seed: jax.Array
    first: jax.Array
    budget: float
    kind = ""

    @classmethod
    def fit(
        cls, vectors: Any, bits: float, *, k: int | None = None, transform: str | Transform = "pca", seed: int = 0
    ) -> Self:
        """Fit the transform and the step whose mean ideal length over these same vectors is `bits`, from below.

        Args:
          vectors: [n, D]; of more than 65,536, so many drawn at random set the step and the frequencies.
          bits: mean bits per item over the fit, above 0, met within .2% unless no step comes so near.
          k: coefficients; None for as many as there are. Trailing ones whose symbol is always the same are left out.
          transform: "pca", "coordinates" or "rotation", or one that is already fitted.
          seed: of the draws, and of the rotation.

        Raises:
          InputError: if the budget is not positive, or so large that a cell would be finer than the fit can tell.
        """
        require(
            not isinstance(bits, str) and bits > 0,
            f"the budget is {bits} bits; an entropy-coded quantizer needs more than 0.",
        )
        array = fit_vectors(vectors)
        fitted = fit_transform(transform, array, k, seed=seed)
        coefficients = sample_coefficients(fitted, array)
        shift = cls._shift(len(coefficients), fitted.k, seed)
        quantize: Callable[[np.ndarray, float], np.ndarray] = lambda c, step: np.round(c / step + shift)
        step = step_for(coefficients, float(bits), quantize)
        lowest, counts, sizes = count_symbols(quantize(coefficients, step))
        k = int(np.flatnonzero(sizes > 1)[-1]) + 1 if (sizes > 1).any() else 1
        parts = (lowest[:k], counts[:k, : sizes[:k].max()], sizes[:k])
        tables = [device_array(part, np.int32) for part in parts]
        draws = [device_array(number, np.int32) for number in (seed % 2**31, 0)]
        return cls(fitted.take(k), device_array(step, fitted.mean.dtype), *tables, *draws, float(bits))  # type: ignore[call-arg]

    @classmethod
    def _shift(cls, rows: int, columns: int, seed: int) -> np.ndarray | float:
        """What is added to c / step before rounding, in the fit."""
        return 0.0

    def at(self, row: int) -> Self:
        """The same code for items that begin at number `row`: what was encoded with it decodes with it."""
        return replace(self, first=device_array((int(self.first) + row) % 2**31, np.int32))  # type: ignore[type-var]

    @property
    def name(self) -> str:
        """E.g. "PCA 32 + dithered entropy-coded scalar, fitted to 64 bits"."""
        kind = f"{self.kind} entropy-coded scalar, fitted to {self.budget:g} bits"
        return self._named(kind)

    @property
    def encoder_bytes(self) -> int:
        """Transform, model, step, seed, and where every alphabet starts."""
        return self.transform.encoder_bytes + self.model_bytes + 4 * (2 + self.num_symbols)

    def _shared(self) -> Self:
        transform = self.transform.padded(shared_size(self.transform.k))
        extra = (0, transform.k - self.transform.k)
        lowest = jax.device_put(np.pad(np.asarray(self.lowest), extra))
        sizes = jax.device_put(np.pad(np.asarray(self.sizes), extra))  # no symbols: nothing is drawn there
        counts = jax.device_put(np.zeros((1, 1), np.int32))  # neither encoding nor decoding looks at them
        return replace(self, transform=transform, lowest=lowest, counts=counts, sizes=sizes, budget=0.0)  # type: ignore[type-var]

    def _symbols(self, cells: jax.Array) -> jax.Array:
        top = jnp.maximum(self.sizes - 1, 0)[None, :].astype(self.dtype)
        return jnp.clip(jnp.round(cells) - self.lowest[None, :].astype(self.dtype), 0, top).astype(jnp.int32)

    def _cells(self, symbols: jax.Array) -> jax.Array:
        return (symbols + self.lowest[None, :]).astype(self.dtype)

    def _draws(self, rows: int) -> jax.Array:
        """Uniform on [-1/2, 1/2), [rows, k], in the code's precision; zeros for coefficients that are not coded."""
        draws = uniform_draws(self.seed, self.first, rows, self.transform.k).astype(self.dtype)
        return jnp.where(self.sizes[None, :] > 0, draws, 0)


_register = partial(
    register_dataclass,
    data_fields=["transform", "step", "lowest", "counts", "sizes", "seed", "first"],
    meta_fields=["budget"],
)


@_register
@dataclass(frozen=True)
class DitheredScalar(UniformCells):
    """Subtractive dither: symbol round(c / step + u), decoded to (symbol - u) step, both sides drawing the same u.

    u is uniform on [-1/2, 1/2), so whatever the source the error is uniform on half a step either way, independent of
    the source and white, for what lies in the range that the fit's vectors had symbols in; beyond it (of new Gaussian
    ones .1% at 16 bits, .6% at 32, some by several steps) the last symbol stands. Inside, the quantizer is a noise of
    known law, which is what posteriors and proofs ask for. Lengths
    follow the symbols' frequencies averaged over u, above the entropy given u. On a Gaussian it takes .29 bit more than
    the Shannon bound at 3 bits a coefficient, .39 at 2; under about 1 bit its error, step^2 / 12 in every coefficient,
    is above the variance, so ask for few coefficients (`k`) at low rates.
    Source: Roberts 1962; Schuchman 1964; Ziv 1985; Zamir and Feder 1992.
    """

    transform: Transform
    step: jax.Array
    lowest: jax.Array
    counts: jax.Array
    sizes: jax.Array
    seed: jax.Array
    first: jax.Array
    budget: float
    kind = "dithered"

    @classmethod
    def _shift(cls, rows: int, columns: int, seed: int) -> np.ndarray | float:
        return np.asarray(uniform_draws(np.int32(seed % 2**31), np.int32(0), rows, columns))

    def _quantize(self, coefficients: jax.Array) -> jax.Array:
        return self._symbols(coefficients / self.step + self._draws(len(coefficients)))

    def _dequantize(self, symbols: jax.Array) -> jax.Array:
        return (self._cells(symbols) - self._draws(len(symbols))) * self.step


@_register
@dataclass(frozen=True)
class UniformInCell(UniformCells):
    """The paper's codewords, drawn uniformly in the cell: symbol round(c / step), decoded to (symbol + u) step.

    They double the squared error and buy nothing: where the source is uniform in a cell of width w the error is w^2 / 6
    against the w^2 / 12 of its middle, for the same bits. Kept because the paper has them. Source: theory notes,
    section 4.
    """

    transform: Transform
    step: jax.Array
    lowest: jax.Array
    counts: jax.Array
    sizes: jax.Array
    seed: jax.Array
    first: jax.Array
    budget: float
    kind = "uniform-in-cell"

    def _quantize(self, coefficients: jax.Array) -> jax.Array:
        return self._symbols(coefficients / self.step)

    def _dequantize(self, symbols: jax.Array) -> jax.Array:
        return (self._cells(symbols) + self._draws(len(symbols))) * self.step


@partial(jax.jit, static_argnums=(2, 3))
def uniform_draws(seed: jax.Array, first: jax.Array, rows: int, columns: int) -> jax.Array:
    """Draws on [-1/2, 1/2) that depend on seed, item and coefficient alone, float32 [rows, columns].

    Each is 24 bits of a hash of the three (rounds of the 32-bit finalizer of MurmurHash3, Appleby 2011), written out
    here because a saved code must draw the same numbers under every version of JAX.
    """
    numbers = first.astype(jnp.uint32) + jnp.arange(rows, dtype=jnp.uint32)
    items = _mixed(_mixed(seed.astype(jnp.uint32)) ^ numbers)
    places = _mixed(jnp.arange(columns, dtype=jnp.uint32) + jnp.uint32(0x9E3779B9))
    bits = _mixed(_mixed(items[:, None] ^ places[None, :]) + places[None, :])
    return (bits >> 8).astype(jnp.float32) * jnp.float32(2**-24) - jnp.float32(0.5)


def _mixed(word: jax.Array) -> jax.Array:
    word = (word ^ (word >> 16)) * jnp.uint32(0x85EBCA6B)
    word = (word ^ (word >> 13)) * jnp.uint32(0xC2B2AE35)
    return word ^ (word >> 16)
