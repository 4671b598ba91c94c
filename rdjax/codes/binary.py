"""Sign bits: one bit per dimension, alone or as a first stage before int8."""

from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from rdjax.checks import whole
from rdjax.codes.arrays import device_array, fit_vectors
from rdjax.codes.code import FixedLengthCode
from rdjax.codes.integer import Int8
from rdjax.codes.transform import Transform, coefficient_blocks, fit_transform
from rdjax.codes.transformed import Transformed
from rdjax.numerics import matmul
from rdjax.trees import register_dataclass


@partial(register_dataclass, data_fields=["transform", "scale"], meta_fields=[])
@dataclass(frozen=True)
class SignBits(Transformed, FixedLengthCode):
    """c_l ~ +scale_l or -scale_l by the sign of c_l, scale_l = mean |c_l|: the least squared error of one bit.

    Scoring is asymmetric: the other side stays real, so <decode, y> costs one signed sum of y's scaled coefficients.

    Args:
      transform: gives the k centered coefficients.
      scale: [k].
    """

    transform: Transform
    scale: jax.Array

    @classmethod
    def fit(
        cls, vectors: Any, k: int | None = None, *, transform: str | Transform = "coordinates", seed: int = 0
    ) -> "SignBits":
        """Fit the mean, the directions and the scales; bits = k.

        Args:
          vectors: [n, D].
          k: bits per item; None for all coordinates (for PCA min(n - 1, D)).
          transform: "coordinates", "pca" or "rotation" (random, orthonormal), or one that is already fitted.
          seed: of the rotation.

        Raises:
          InputError: if k is out of range or the transform is none of these.
        """
        array = fit_vectors(vectors)
        fitted = fit_transform(transform, array, k, seed=seed)
        total = sum(np.abs(block).sum(axis=0, dtype=np.float64) for block in coefficient_blocks(fitted, array))
        return cls(fitted, device_array(total / len(array), fitted.mean.dtype))

    @property
    def name(self) -> str:
        """E.g. "sign bits", "PCA 64 + sign bits"."""
        return self._named("sign bits")

    @property
    def widths(self) -> tuple[int, ...]:
        """One bit for every coefficient."""
        return (1,) * self.scale.shape[0]

    @property
    def encoder_bytes(self) -> int:
        """The transform; the scales belong to the decoder."""
        return self.transform.encoder_bytes

    def _quantize(self, coefficients: jax.Array) -> jax.Array:
        return (coefficients > 0).astype(jnp.int32)

    def _dequantize(self, symbols: jax.Array) -> jax.Array:
        return (2 * symbols - 1).astype(self.dtype) * self.scale[None, :]


@partial(register_dataclass, data_fields=["signs", "levels"], meta_fields=["candidates"])
@dataclass(frozen=True)
class SignBitsRescored(FixedLengthCode):
    """Stored documents: sign bits find the top R for a query, int8 ranks those, the rest follow by sign score.

    Args:
      signs: of all D coordinates.
      levels: the int8 code of the same vectors.
      candidates: R, documents rescored per query.
    """

    signs: SignBits
    levels: Int8
    candidates: int

    sides: ClassVar[tuple[str, ...]] = ("documents",)

    @classmethod
    def fit(cls, vectors: Any, candidates: int) -> "SignBitsRescored":
        """Fit both stages on the same vectors; bits stored = D + 8 D.

        Args:
          vectors: [n, D].
          candidates: R, at least 1.

        Raises:
          InputError: if R is below 1.
        """
        candidates = whole(candidates, "the number of candidates to rescore")
        return cls(SignBits.fit(vectors), Int8.fit(vectors), candidates)

    @property
    def name(self) -> str:
        """E.g. "sign bits, int8 rescores 100"."""
        return f"sign bits, int8 rescores {self.candidates}"

    @property
    def dimension(self) -> int:
        """D."""
        return self.levels.dimension

    @property
    def dtype(self) -> Any:
        """Precision of the fitted arrays."""
        return self.levels.dtype

    @property
    def widths(self) -> tuple[int, ...]:
        """One bit for every coordinate, then 8 for every one."""
        return self.signs.widths + self.levels.widths

    @property
    def encoder_bytes(self) -> int:
        """Mean and scales."""
        return self.signs.encoder_bytes + self.levels.encoder_bytes

    def bits_touched(self, num_documents: int) -> float:
        """Bits read per stored document and query, D + 8 D min(R, N) / N: what search time and memory traffic follow.

        Args:
          num_documents: N, at least 1.

        Raises:
          InputError: if N is no such number.
        """
        whole(num_documents, "the number of documents")
        return self.signs.bits + self.levels.bits * min(self.candidates, num_documents) / num_documents

    def scores(self, symbols: ArrayLike, vectors: ArrayLike) -> jax.Array:
        """Score of every stored document with every query: candidates keep their int8 score, above all the rest.

        The rest keep their sign scores, shifted down as one. Ties for the last place among the candidates go to the
        first document.

        Args:
          symbols: int [n, 2 D], all the documents that are searched (the candidates are chosen among them).
          vectors: [N, D], queries.

        Returns:
          [n, N], one column per query.

        Raises:
          InputError: if D or the number of symbols is not this code's.
        """
        return super().scores(symbols, vectors)

    def _scores(self, symbols: jax.Array, vectors: jax.Array) -> jax.Array:
        coarse = matmul(vectors, self.signs.decode(symbols[:, : self.dimension]).T)
        fine = matmul(vectors, self._decode(symbols).T)
        return jax.vmap(partial(_candidates_first, count=self.candidates))(coarse, fine).T

    def _encode(self, vectors: jax.Array) -> jax.Array:
        return jnp.concatenate([self.signs.encode(vectors), self.levels.encode(vectors)], axis=1)

    def _decode(self, symbols: jax.Array) -> jax.Array:
        return self.levels.decode(symbols[:, self.dimension :])


def _candidates_first(coarse: jax.Array, fine: jax.Array, count: int) -> jax.Array:
    """One query's scores [n]: `fine` for the top `count` by `coarse`, the others below the last of them."""
    if count >= coarse.shape[0]:
        return fine
    chosen = jnp.zeros(coarse.shape, bool).at[jax.lax.top_k(coarse, count)[1]].set(True)
    last = jnp.min(jnp.where(chosen, fine, jnp.inf))
    first = jnp.max(jnp.where(chosen, -jnp.inf, coarse))
    size = jnp.maximum(jnp.max(jnp.abs(coarse)), jnp.max(jnp.abs(fine)))
    gap = jnp.where(size > 0, size, 1.0)  # of the scores' own size, so that no rounding closes it
    return jnp.where(chosen, fine, coarse - first + last - gap)
