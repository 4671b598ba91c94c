"""Decoded documents that are given back the length which coding took from them."""

from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from rdjax.checks import InputError, is_concrete, require
from rdjax.codes.arrays import device_array, fit_vectors, padded, to_cut
from rdjax.codes.code import ROWS, Code
from rdjax.codes.wrapped import Wrapped, require_code
from rdjax.numerics import matmul, on_device
from rdjax.trees import register_dataclass

SAMPLES = 1 << 14  # rows that the two numbers are fitted on, at most
SAME = 1e-6  # relative difference of squared lengths that is rounding


@partial(register_dataclass, data_fields=["code", "floor", "gain"], meta_fields=[])
@dataclass(frozen=True)
class Renormalized(Wrapped):
    """A code of documents, each decoded as its inner code does, and then stretched:

        decode(s) = c hypot(floor, gain |c|) / |c|,   c = code.decode(s)

    A word is the mean of its cell, and so shorter than what is in it, by what the code does not tell of it:
    E[|x|^2 | s] = |c|^2 + tr Cov(x | s) where c = E[x | s]. That differs from document to document, and a ranking by
    inner products puts what is told well before what is told badly, whatever the query. Where all documents have one
    length (embeddings of unit norm), gain is 0 and floor is that length: inner products become cosines. No bit is
    spent on it, the encoder is the inner one, and of queries it would change no ranking.

    Args:
      code: of documents, ranked by inner products.
      floor, gain: at least 0, scalars: the line that |x|^2 is on, seen from |c|^2.

    Source: gain and shape, Gersho and Gray 1992, section 12.10.
    """

    code: Code
    floor: jax.Array
    gain: jax.Array

    @classmethod
    def fit(cls, code: Code, documents: Any) -> "Renormalized":
        """floor^2 and gain^2: |x|^2 regressed on |c|^2, by least squares, neither below 0.

        Args:
          code: as above.
          documents: [n, D], what it is for or the like; of more than 16,384, as many evenly spread.

        Raises:
          InputError: documents that are no matrix with a row of this dimension, a code that is for queries alone or
            does not rank by inner products, one that is stretched already.
        """
        require_code(code)
        require(
            "documents" in code.sides and code.inner_products,
            f"{code.name} does not rank documents by inner products with what it decodes; lengths tell it nothing.",
        )
        if isinstance(code, Renormalized):
            raise InputError(f"{code.name} gives back lengths already; take the code inside.")
        rows = fit_vectors(documents)
        rows = rows[np.unique(np.linspace(0, len(rows) - 1, min(len(rows), SAMPLES)).astype(int))]
        told = np.linalg.norm(np.asarray(code.decode(code.encode(rows)), np.float64), axis=1)
        floor, gain = _line(told, np.linalg.norm(np.asarray(rows, np.float64), axis=1))
        return cls(code, device_array(floor, code.dtype), device_array(gain, code.dtype))

    @property
    def sides(self) -> tuple[str, ...]:  # type: ignore[override]  # of an object here, of the class elsewhere
        """Documents alone."""
        return ("documents",)

    @property
    def name(self) -> str:
        """E.g. "PCA 64 + product 8 x 8 bits, stretched"."""
        return f"{self.code.name}, stretched"

    def encode(self, vectors: ArrayLike) -> jax.Array:
        """As the inner code; see `Code.encode`."""
        return self.code.encode(vectors)

    def decode(self, symbols: ArrayLike) -> jax.Array:
        """As `Code.decode`: outside jit by the inner code's program, and one more that serves all codes."""
        if not is_concrete(self, symbols, on_device(0)):  # the last is traced where a trace closed over the others
            return super().decode(symbols)
        words = to_cut(self.code.decode(symbols))
        return jax.device_put(to_cut(_stretched(padded(words, ROWS), self.floor, self.gain))[: len(words)])

    def _decode(self, symbols: jax.Array) -> jax.Array:
        return stretched(self.code._decode(symbols), self.floor, self.gain)

    def _scores(self, symbols: jax.Array, vectors: jax.Array) -> jax.Array:
        return matmul(self._decode(symbols), vectors.T)


def stretched(vectors: jax.Array, floor: ArrayLike, gain: ArrayLike) -> jax.Array:
    """Vectors [n, D], each with length hypot(floor, gain times its own); a vector of zeros stays one."""
    largest = jax.lax.stop_gradient(jnp.max(jnp.abs(vectors), axis=1, keepdims=True))
    none = largest == 0
    unit = jnp.where(none, 1, vectors) / jnp.where(none, 1, largest)  # whose squares do not overflow
    own = jnp.sqrt(jnp.sum(unit * unit, axis=1, keepdims=True))
    return jnp.where(none, 0, unit / own * _hypot(floor, gain * (own * largest)))


_stretched = jax.jit(stretched)


@register_dataclass
@dataclass(frozen=True)
class Stretch:
    """The same seen from coefficients c [n, K] of a map whose way back is linear, for codes that are trained.

    Args:
      root: [K, K] with |c root| = |c back'|, the decoded length.
      floor, gain: as in `Renormalized`.
    """

    root: jax.Array
    floor: jax.Array
    gain: jax.Array

    @classmethod
    def of(cls, back: Any, floor: Any, gain: Any) -> "Stretch":
        """From the way back [D, K]."""
        root = np.asarray(np.linalg.qr(np.asarray(back, np.float64), mode="r"))
        return cls(device_array(root.T, np.asarray(back).dtype), floor, gain)

    def __call__(self, coefficients: jax.Array) -> jax.Array:
        """How many times as long each decoded vector becomes, [n]; 1 for one of length 0."""
        own = jnp.sum(matmul(coefficients, self.root) ** 2, axis=-1)
        none = own == 0
        own = jnp.sqrt(jnp.where(none, 1, own))
        return jnp.where(none, 1, _hypot(self.floor, self.gain * own) / own)


def _hypot(floor: ArrayLike, rest: ArrayLike) -> jax.Array:
    """sqrt(floor^2 + rest^2), whose slope too comes without squares that overflow or vanish."""
    unit = jax.lax.stop_gradient(jnp.maximum(floor, rest))
    unit = jnp.where(unit > 0, unit, 1)
    return unit * jnp.sqrt((floor / unit) ** 2 + (rest / unit) ** 2)


def _line(told: np.ndarray, true: np.ndarray) -> tuple[float, float]:
    """(floor, gain) with true^2 ~ floor^2 + gain^2 told^2, lengths [n] in float64."""
    short, long = (max(float(each.max()), np.finfo(float).tiny) for each in (told, true))
    x, y = (told / short) ** 2, (true / long) ** 2
    spread = x - x.mean()
    slope = max(0.0, float(spread @ y) / max(float(spread @ spread), np.finfo(float).tiny))
    if slope * np.ptp(x) < SAME * y.mean():
        slope = 0.0
    level = float(y.mean() - slope * x.mean())
    if level < 0:
        level, slope = 0.0, float(x @ y) / float(x @ x)
    gain = long / short * slope**0.5 if slope else 0.0  # what is told may have no length at all
    return long * level**0.5, gain
