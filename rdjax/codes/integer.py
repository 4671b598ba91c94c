"""Int8: every coordinate in one byte."""

from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rdjax.codes.arrays import device_array, fit_vectors, working_dtype
from rdjax.codes.code import FixedLengthCode
from rdjax.codes.moments import float64_blocks
from rdjax.trees import register_dataclass

_TOP = 127  # levels run from -127 to 127; the symbol is the level plus 127


@partial(register_dataclass, data_fields=["scale"], meta_fields=[])
@dataclass(frozen=True)
class Int8(FixedLengthCode):
    """x_l ~ scale_l * round(x_l / scale_l), scale_l = max |x_l| / 127 over the fit; beyond it values are clipped.

    Args:
      scale: step of every coordinate [D]; 0 where the fit was all zeros, which decodes to 0.
    """

    scale: jax.Array

    @classmethod
    def fit(cls, vectors: Any) -> "Int8":
        """Measure the largest magnitude of every coordinate.

        Args:
          vectors: [n, D].
        """
        array = fit_vectors(vectors)
        largest = np.max([np.abs(block).max(axis=0) for block in float64_blocks(array)], axis=0)
        return cls(device_array(largest / _TOP, working_dtype(array)))

    @property
    def name(self) -> str:
        """ "int8"."""
        return "int8"

    @property
    def dimension(self) -> int:
        """D."""
        return self.scale.shape[0]

    @property
    def dtype(self) -> Any:
        """Precision of the fitted arrays."""
        return self.scale.dtype

    @property
    def widths(self) -> tuple[int, ...]:
        """8 bits for every coordinate."""
        return (8,) * self.dimension

    @property
    def encoder_bytes(self) -> int:
        """The D scales."""
        return 4 * self.dimension

    def _encode(self, vectors: jax.Array) -> jax.Array:
        used = self.scale > 0
        levels = jnp.round(vectors / jnp.where(used, self.scale, 1.0)[None, :])
        levels = jnp.where(used[None, :], jnp.clip(levels, -_TOP, _TOP), 0.0)
        return levels.astype(jnp.int32) + _TOP

    def _decode(self, symbols: jax.Array) -> jax.Array:
        return (symbols - _TOP).astype(self.dtype) * self.scale[None, :]
