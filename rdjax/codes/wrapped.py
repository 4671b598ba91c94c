"""Codes around a code: everything is the inner one's but for what the wrapper changes."""

from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import jax
import numpy as np
from jax.typing import ArrayLike

from rdjax.checks import require
from rdjax.codes.arrays import device_array
from rdjax.codes.blockwise import encoded_in_blocks
from rdjax.codes.code import Code
from rdjax.trees import register_dataclass


class Wrapped(Code):
    """A code that holds another as `code`, and passes everything on to it."""

    code: Code

    @property
    def sides(self) -> tuple[str, ...]:  # type: ignore[override]  # of an object here, of the class elsewhere
        """Those of the inner code."""
        return self.code.sides

    @property
    def searches_corpus(self) -> bool:  # type: ignore[override]
        """As the inner code."""
        return self.code.searches_corpus

    @property
    def name(self) -> str:
        """That of the inner code."""
        return self.code.name

    @property
    def dimension(self) -> int:
        """D."""
        return self.code.dimension

    @property
    def num_symbols(self) -> int:
        """L."""
        return self.code.num_symbols

    @property
    def dtype(self) -> Any:
        """Precision of the fitted arrays."""
        return self.code.dtype

    @property
    def encoder_bytes(self) -> int:
        """Those of the inner code."""
        return self.code.encoder_bytes

    @property
    def bits(self) -> int | None:
        """Those of the inner code."""
        return self.code.bits

    @property
    def model_bytes(self) -> int:
        """Those of the inner code."""
        return self.code.model_bytes

    @property
    def inner_products(self) -> bool:
        """As the inner code."""
        return self.code.inner_products

    def at(self, row: int) -> "Wrapped":
        """Around the inner code at that row."""
        return replace(self, code=self.code.at(row))  # type: ignore[type-var]

    def pack(self, symbols: Any) -> bytes:
        """As the inner code; see `Code.pack`."""
        return self.code.pack(symbols)

    def unpack(self, payload: bytes, num_items: int) -> jax.Array:
        """As the inner code; see `Code.unpack`."""
        return self.code.unpack(payload, num_items)

    def require_corpus(self, vectors: Any) -> None:
        """As the inner code; see `Code.require_corpus`."""
        self.code.require_corpus(vectors)

    def _alphabet(self) -> Any:
        return self.code._alphabet()

    def _lengths(self, symbols: np.ndarray) -> tuple[float, float]:
        return self.code._lengths(symbols)

    def _encode(self, vectors: jax.Array) -> jax.Array:
        return self.code._encode(vectors)

    def _decode(self, symbols: jax.Array) -> jax.Array:
        return self.code._decode(symbols)

    def _scores(self, symbols: jax.Array, vectors: jax.Array) -> jax.Array:
        return self.code._scores(symbols, vectors)


def require_code(code: Any) -> None:
    """What a wrapper is put around is a code."""
    require(isinstance(code, Code), f"{type(code).__name__} is no code; give the fitted code first.")


class Alike(Wrapped):
    """One that encodes, decodes and scores as the inner code does, block by block where that one does so."""

    def encode(self, vectors: ArrayLike) -> jax.Array:
        """As the inner code; see `Code.encode`."""
        return self.code.encode(vectors)

    def decode(self, symbols: ArrayLike) -> jax.Array:
        """As the inner code; see `Code.decode`."""
        return self.code.decode(symbols)

    def scores(self, symbols: ArrayLike, vectors: ArrayLike) -> jax.Array:
        """As the inner code; see `Code.scores`."""
        return self.code.scores(symbols, vectors)


@partial(register_dataclass, data_fields=["code", "weights"], meta_fields=[])
@dataclass(frozen=True)
class Weighted(Wrapped):
    """A code for raw vectors, its inner code being made for vectors times weights.

    With w the square roots of the modalities' inverse temperatures, the calibrated score of x and y is
    <w x, w y> = <x, w (w y)>: so x is encoded as w x, and w times what the inner code decodes is what inner products
    with the other side's raw vectors are taken with.

    Args:
      code: fitted on vectors that are weighted.
      weights: w >= 0 [D]; what has weight 0 is neither coded nor told.
    """

    code: Code
    weights: jax.Array

    @classmethod
    def fit(cls, code: Code, weights: Any) -> "Weighted":
        """Nothing is fitted: the weights are given.

        Args:
          code: as above.
          weights: [D], finite, at least 0 and not all 0.

        Raises:
          InputError: if they are not as many as the code's dimensions, or no such numbers.
        """
        require_code(code)
        require(not isinstance(weights, str), f"the weights are {weights!r}; give a number for each dimension.")
        array = np.asarray(weights, np.float64)
        require(
            array.shape == (code.dimension,) and bool(np.all(np.isfinite(array) & (array >= 0)) and np.any(array > 0)),
            f"weights have shape {array.shape}; they must be {code.dimension} numbers, at least 0 and not all 0.",
        )
        with np.errstate(over="ignore"):
            kept = array.astype(code.dtype)
        require(bool(np.all(np.isfinite(kept))), f"a weight is too large for {kept.dtype}; divide all by the largest.")
        return cls(code, device_array(kept, code.dtype))

    def packed(self, fields: dict[str, Any]) -> dict[str, Any]:
        """The fields as a file keeps them: a weight for every stretch of equal ones, and how long these are."""
        weights = np.asarray(self.weights)
        starts = np.flatnonzero(np.append(True, weights[1:] != weights[:-1]))
        lengths = np.diff(np.append(starts, len(weights))).astype(np.int32)
        return fields | {"weights": weights[starts], "lengths": lengths}

    @classmethod
    def unpacked(cls, fields: dict[str, Any]) -> dict[str, Any]:
        """The inverse of `packed`.

        Raises:
          ValueError: lengths that add up to no code's dimension.
        """
        weights, lengths = np.asarray(fields["weights"]), np.asarray(fields["lengths"], np.int64)
        if lengths.ndim != 1 or int(lengths.min(initial=1)) < 1 or int(lengths.sum()) != fields["code"].dimension:
            raise ValueError("these are not the weights of a code")
        return {"code": fields["code"], "weights": jax.device_put(np.repeat(weights, lengths))}

    @property
    def encoder_bytes(self) -> int:
        """The inner code's, and one weight for every stretch of equal ones."""
        weights = np.asarray(self.weights)
        return self.code.encoder_bytes + 4 * (1 + int((weights[1:] != weights[:-1]).sum()))

    def encode(self, vectors: ArrayLike) -> jax.Array:
        """As `Code.encode`; many vectors block by block."""
        return encoded_in_blocks(self, vectors)

    def _shared(self) -> "Weighted":
        return Weighted(self.code._shared(), self.weights)

    def _encode(self, vectors: jax.Array) -> jax.Array:
        return self.code._encode(vectors * self.weights[None, :])

    def _decode(self, symbols: jax.Array) -> jax.Array:
        return self.code._decode(symbols) * self.weights[None, :]

    def _scores(self, symbols: jax.Array, vectors: jax.Array) -> jax.Array:
        return self.code._scores(symbols, vectors * self.weights[None, :])
