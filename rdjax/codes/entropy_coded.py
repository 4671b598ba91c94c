"""Entropy-coded scalar quantization: one step for every coefficient, lengths that follow the symbols' frequencies."""

import math
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rdjax.checks import require
from rdjax.codes.arrays import device_array, fit_vectors
from rdjax.codes.bitstream import categorical_models, pack_entropy, unpack_entropy
from rdjax.codes.code import COEFFICIENTS, Code, sample_of_singles
from rdjax.codes.transform import Transform, coefficient_blocks, fit_transform

SMOOTHING = 0.5  # added to every count (Krichevsky and Trofimov 1981), so that a symbol the fit never saw has a length
_MOST_CELLS = 1 << 14  # of one coefficient: beyond, a step is finer than any fit can learn frequencies for


@partial(
    jax.tree_util.register_dataclass,
    data_fields=["transform", "step", "lowest", "counts", "sizes"],
    meta_fields=["budget"],
)
@dataclass(frozen=True)
class EntropyCodedScalar(Code):
    """s_l = round(c_l / step), coded at about -log2 p_l(s_l) bits; p_l from the counts of the fit.

    One step for all coefficients is optimal at high rate, where lengths differ by log2 of the deviations (reverse
    water-filling). Symbols beyond the range of the fit are clipped to it. Symbols are counted from `lowest`.

    Args:
      transform: gives the k centered coefficients.
      step: width of a cell, in the units of the vectors.
      lowest: smallest round(c_l / step) of the fit, int32 [k].
      counts: how often each symbol occurred in the fit, int32 [k, largest alphabet], zeros beyond its own alphabet.
      sizes: size of every alphabet, int32 [k].
      budget: bits that were asked for, for the name.
    """

    transform: Transform
    step: jax.Array
    lowest: jax.Array
    counts: jax.Array
    sizes: jax.Array
    budget: float

    @classmethod
    def fit(
        cls, vectors: Any, bits: float, *, k: int | None = None, transform: str | Transform = "pca", seed: int = 0
    ) -> "EntropyCodedScalar":
        """Fit the transform and the step whose mean ideal length over these same vectors is `bits`, from below.

        Args:
          vectors: [n, D].
          bits: mean bits per item over the fit, above 0; other vectors take what they take (`rate`).
          k: coefficients; None for as many as there are. Trailing ones whose symbol is always 0 are left out.
          transform: "pca", "coordinates" or "rotation", or one that is already fitted.
          seed: of the rotation.

        Raises:
          InputError: if the budget is not positive, or so large that a cell would be finer than the fit can tell.
        """
        require(bits > 0, f"the budget is {bits} bits; an entropy-coded quantizer needs more than 0.")
        array = fit_vectors(vectors)
        fitted = fit_transform(transform, array, k, seed=seed)
        coefficients = np.concatenate(list(coefficient_blocks(fitted, array)))
        step = np.asarray(_step_for(coefficients, float(bits)), coefficients.dtype)
        lowest, sizes, counts = _count(coefficients, step)
        k = int(np.flatnonzero(sizes > 1)[-1]) + 1 if (sizes > 1).any() else 1
        return cls(
            fitted.take(k),
            jnp.asarray(step),
            device_array(lowest[:k], np.int32),
            device_array(counts[:k, : sizes[:k].max()], np.int32),
            device_array(sizes[:k], np.int32),
            float(bits),
        )

    @property
    def name(self) -> str:
        """E.g. "PCA 300 + entropy-coded scalar, fitted to 64 bits"; what other vectors take is in `rate`."""
        kind = f"entropy-coded scalar, fitted to {self.budget:g} bits"
        return f"{self.transform.label} + {kind}" if self.transform.label else kind

    @property
    def dimension(self) -> int:
        """D."""
        return self.transform.mean.shape[0]

    @property
    def num_symbols(self) -> int:
        """One per coefficient kept."""
        return self.transform.k

    @property
    def dtype(self) -> Any:
        """Precision of the fitted arrays."""
        return self.step.dtype

    @property
    def encoder_bytes(self) -> int:
        """Transform, step, and the model: every alphabet's start, size and frequencies."""
        return self.transform.encoder_bytes + 4 * (1 + 2 * self.sizes.size + int(np.asarray(self.sizes).sum()))

    @property
    def laws(self) -> list[np.ndarray]:
        """The model: probabilities of every coefficient's symbols, (count + 1/2) / (n + size / 2), float64."""
        counts = np.asarray(self.counts, np.float64)
        return [_smooth(row[:size]) for row, size in zip(counts, np.asarray(self.sizes), strict=True)]

    def pack(self, symbols: Any) -> bytes:
        """The symbols through a range coder; see `Code.pack`."""
        symbols = self._host(symbols)
        inside = (symbols >= 0) & (symbols < np.asarray(self.sizes)[None, :])
        require(bool(inside.all()), "a symbol is outside its alphabet; pack what this very code encoded.")
        return pack_entropy(symbols, categorical_models(self.laws))

    def unpack(self, payload: bytes, num_items: int) -> jax.Array:
        """The inverse of `pack`; see `Code.unpack`."""
        return jnp.asarray(unpack_entropy(payload, num_items, categorical_models(self.laws)), jnp.int32)

    def _lengths(self, symbols: np.ndarray) -> tuple[float, float]:
        lengths = [-np.log2(law)[column] for law, column in zip(self.laws, symbols.T, strict=True)]
        models = categorical_models(self.laws)
        singles = [8 * len(pack_entropy(item[None, :], models)) for item in sample_of_singles(symbols)]
        return float(np.sum(lengths) / len(symbols)), float(np.mean(singles))

    def _shared(self) -> "EntropyCodedScalar":
        transform = self.transform.padded(COEFFICIENTS)
        extra = (0, transform.k - self.transform.k)
        lowest = jax.device_put(np.pad(np.asarray(self.lowest), extra))
        sizes = jax.device_put(np.pad(np.asarray(self.sizes), extra, constant_values=1))  # always the symbol 0
        counts = jax.device_put(np.zeros((1, 1), np.int32))  # neither encoding nor decoding looks at them
        return EntropyCodedScalar(transform, self.step, lowest, counts, sizes, 0.0)

    def _encode(self, vectors: jax.Array) -> jax.Array:
        cells = jnp.round(self.transform.apply(vectors) / self.step)
        top = self.sizes - 1
        symbols = cells - self.lowest[None, :].astype(self.dtype)
        return jnp.clip(symbols, 0, top[None, :].astype(self.dtype)).astype(jnp.int32)

    def _decode(self, symbols: jax.Array) -> jax.Array:
        return self.transform.invert((symbols + self.lowest[None, :]).astype(self.dtype) * self.step)


def _step_for(coefficients: np.ndarray, bits: float) -> float:
    """The finest step whose mean ideal length over these coefficients is at most `bits`, by halving and bisection."""
    coarse = 4 * float(np.abs(coefficients).max()) or 1.0  # all symbols are 0 here: no bits at all
    if not np.ptp(coefficients):
        return coarse
    fine = coarse / 2
    while _mean_length(coefficients, fine) <= bits:
        coarse, fine = fine, fine / 2
    for _ in range(16):
        middle = math.sqrt(coarse * fine)
        coarse, fine = (middle, fine) if _mean_length(coefficients, middle) <= bits else (coarse, middle)
    return coarse


def _mean_length(coefficients: np.ndarray, step: float) -> float:
    """Bits per item of the quantized coefficients under the model that would be fitted to them."""
    _, sizes, counts = _count(coefficients, np.asarray(step, coefficients.dtype))
    total = counts.sum(axis=1, keepdims=True) + SMOOTHING * sizes[:, None]
    lengths = np.log2(total) - np.log2(counts + SMOOTHING)
    return float((counts * lengths).sum() / len(coefficients))


def _count(coefficients: np.ndarray, step: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(lowest cell [k], number of cells [k], counts [k, most cells]) of round(coefficients / step)."""
    cells = np.round(coefficients / step)
    lowest = cells.min(axis=0)
    cells = cells - lowest
    sizes = cells.max(axis=0).astype(np.int64) + 1
    require(
        sizes.max() <= _MOST_CELLS and np.abs(lowest).max() < 1 << 30,
        "the budget is too large for an entropy-coded quantizer fitted on this many vectors; use int8 or truncation.",
    )
    width, k = int(sizes.max()), coefficients.shape[1]
    flat = cells.astype(np.int64) + width * np.arange(k)[None, :]
    return lowest, sizes, np.bincount(flat.ravel(), minlength=k * width).reshape(k, width)


def _smooth(counts: np.ndarray) -> np.ndarray:
    return (counts + SMOOTHING) / (counts.sum() + SMOOTHING * len(counts))
