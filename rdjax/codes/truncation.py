"""Truncation: keep k numbers of every vector and nothing else."""

from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from rdjax.checks import InputError
from rdjax.codes.arrays import fit_vectors
from rdjax.codes.code import FixedLengthCode
from rdjax.codes.transform import Transform, fit_coordinates, fit_pca
from rdjax.codes.transformed import Transformed
from rdjax.trees import register_dataclass

_STORED = {"float16": (jnp.float16, jnp.uint16, 16), "float32": (jnp.float32, jnp.int32, 32)}


@partial(register_dataclass, data_fields=["transform"], meta_fields=["store"])
@dataclass(frozen=True)
class Truncation(Transformed, FixedLengthCode):
    """The first k coordinates (Matryoshka embeddings), or the first k principal components, as floats.

    A symbol is the bit pattern of one stored float. Values beyond the range of float16 are clipped to it.

    Args:
      transform: what gives the k coefficients and takes them back.
      store: "float16" or "float32".
    """

    transform: Transform
    store: str

    @classmethod
    def fit(cls, vectors: Any, k: int, *, transform: str = "coordinates", store: str = "float16") -> "Truncation":
        """Fit the transform; bits = 16 k or 32 k.

        Args:
          vectors: [n, D]; for "coordinates" only D matters.
          k: numbers kept.
          transform: "coordinates" (the first k, the others decode to zero; where modalities are side by side these are
            the first one's, so order the columns first) or "pca" (decode to mean + basis c).
          store: "float16" or "float32".

        Raises:
          InputError: if k is out of range (PCA of n vectors has at most n - 1) or a word is none of these.
        """
        if store not in _STORED:
            raise InputError(f'numbers are to be stored as {store!r}; it must be "float16" or "float32".')
        if transform not in ("coordinates", "pca"):
            raise InputError(f'the transform of a truncation is {transform!r}; it must be "coordinates" or "pca".')
        array = fit_vectors(vectors)
        fitted = fit_pca(array, k) if transform == "pca" else fit_coordinates(array, k, centered=False)
        return cls(fitted, store)

    @property
    def name(self) -> str:
        """E.g. "PCA 32, float16", "first 64, float16"."""
        return f"{self.transform.label or f'all {self.dimension}'}, {self.store}"

    @property
    def widths(self) -> tuple[int, ...]:
        """16 or 32 bits for every number."""
        return (_STORED[self.store][2],) * self.transform.k

    @property
    def encoder_bytes(self) -> int:
        """The transform; nothing for the first coordinates."""
        return self.transform.encoder_bytes

    def _quantize(self, coefficients: jax.Array) -> jax.Array:
        real, whole, _ = _STORED[self.store]
        limit = float(jnp.finfo(real).max)
        stored = jnp.clip(coefficients, -limit, limit).astype(real)
        return jax.lax.bitcast_convert_type(stored, whole).astype(jnp.int32)

    def _dequantize(self, symbols: jax.Array) -> jax.Array:
        real, whole, _ = _STORED[self.store]
        stored = jax.lax.bitcast_convert_type(symbols.astype(whole), real)
        return stored.astype(self.dtype)
