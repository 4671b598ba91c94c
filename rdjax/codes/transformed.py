"""What codes share that begin with a transform: what they code is its coefficients."""

from abc import abstractmethod
from typing import Any

import jax

from rdjax.codes.code import Code
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
        return self._quantize(self.transform.apply(vectors))

    def _decode(self, symbols: jax.Array) -> jax.Array:
        return self.transform.invert(self._dequantize(symbols))

    def _named(self, kind: str) -> str:
        """A name that begins with the transform's, if it has one."""
        return f"{self.transform.label} + {kind}" if self.transform.label else kind
