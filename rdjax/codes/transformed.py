"""What codes share that begin with a transform: what they code is its coefficients."""

from abc import abstractmethod
from typing import Any

import jax
import jax.numpy as jnp

from rdjax.codes.code import Code
from rdjax.codes.nearest_words import TILE
from rdjax.codes.transform import Transform


class Transformed(Code):
    """A code of the coefficients of its `transform`, everything that is fitted being in the transform's precision."""

    transform: Transform

    @property
    def sides(self) -> tuple[str, ...]:  # type: ignore[override]  # of an object here, of the class elsewhere
        """Those of the transform."""
        return self.transform.sides

    @property
    def dimension(self) -> int:
        """D."""
        return self.transform.mean.shape[0]

    @property
    def dtype(self) -> Any:
        """Precision of the fitted arrays."""
        return self.transform.mean.dtype

    @abstractmethod
    def _quantize(self, coefficients: jax.Array) -> jax.Array:
        """Coefficients [n, k] to symbols [n, L]."""

    @abstractmethod
    def _dequantize(self, symbols: jax.Array) -> jax.Array:
        """Symbols [n, L] to coefficients [n, k]."""

    def _encode(self, vectors: jax.Array) -> jax.Array:
        return self._quantize(self._analyzed(vectors))

    def _decode(self, symbols: jax.Array) -> jax.Array:
        return self.transform.invert(self._dequantize(symbols))

    def _analyzed(self, vectors: jax.Array) -> jax.Array:
        """Vectors [n, D] to coefficients [n, k], some at a time: a copy of all, less the mean, is never held."""
        return jax.lax.map(self.transform.apply, tiles(vectors)).reshape(-1, self.transform.k)[: len(vectors)]

    def _named(self, kind: str) -> str:
        """A name that begins with the transform's, if it has one."""
        return f"{self.transform.label} + {kind}" if self.transform.label else kind


def tiles(rows: jax.Array) -> jax.Array:
    """Rows [n, w] with zeros added, as [tiles, t, w]."""
    n = len(rows)
    t = max(1, min(n, TILE))
    return jnp.pad(rows, ((0, -n % t), (0, 0))).reshape(-(-n // t), t, rows.shape[1])
