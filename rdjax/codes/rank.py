"""Rank codes: a codeword is a ranking of the corpus (class A: the encoder searches it)."""

import math
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from rdjax.checks import require
from rdjax.codes.arrays import device_array, fit_vectors, working_dtype
from rdjax.codes.bitstream import pack_digits, unpack_digits
from rdjax.codes.code import Code

_SCORES_AT_ONCE = 1 << 24  # scores held while the encoder searches


@partial(jax.tree_util.register_dataclass, data_fields=["documents"], meta_fields=[])
@dataclass(frozen=True)
class RankCode(Code):
    """Send the number of the top document; the decoder puts it first and ranks the rest by similarity to it.

    Codeword c is the ranking (c, then the others by <document c, document j>, descending), so there are N of them. Such
    an encoder has already done the search: it is a limit to compare with, not a product (theory notes, section 1.7).

    Args:
      documents: the corpus [N, D].
    """

    documents: jax.Array

    sides: ClassVar[tuple[str, ...]] = ("queries",)
    searches_corpus: ClassVar[bool] = True

    @classmethod
    def fit(cls, documents: Any) -> "RankCode":
        """Nothing is fitted: the codewords are the corpus.

        Args:
          documents: [N, D], scaled as the queries will be.
        """
        array = fit_vectors(documents)
        return cls(device_array(array, working_dtype(array)))

    @property
    def name(self) -> str:
        """ "number of the top document"."""
        return "number of the top document"

    @property
    def dimension(self) -> int:
        """D."""
        return self.documents.shape[1]

    @property
    def num_codewords(self) -> int:
        """N."""
        return self.documents.shape[0]

    @property
    def num_symbols(self) -> int:
        """One: the number of the codeword."""
        return 1

    @property
    def dtype(self) -> Any:
        """Precision of the documents."""
        return self.documents.dtype

    @property
    def bits(self) -> int:
        """ceil(log2 N), of one number on its own; a batch packs into log2 N each."""
        return (self.num_codewords - 1).bit_length()

    @property
    def encoder_bytes(self) -> int:
        """The corpus itself."""
        return 4 * self.documents.size

    def scores(self, symbols: ArrayLike, vectors: ArrayLike) -> jax.Array:
        """Scores whose order is the codeword's ranking: similarity to the named document, that one above all.

        Args:
          symbols: int [n, 1].
          vectors: the corpus [N, D] again.

        Returns:
          [n, N].

        Raises:
          InputError: if `vectors` has another shape than the corpus.
        """
        require(
            np.shape(vectors)[:1] == (self.num_codewords,),
            f"vectors have shape {np.shape(vectors)}, but the code was made for {self.num_codewords} documents.",
        )
        return super().scores(symbols, vectors)

    def _scores(self, symbols: jax.Array, vectors: jax.Array) -> jax.Array:
        similar = self._decode(symbols) @ vectors.T
        highest = jnp.max(similar, axis=1, keepdims=True)
        named = symbols == jnp.arange(self.num_codewords, dtype=jnp.int32)[None, :]
        return jnp.where(named, highest + jnp.maximum(jnp.abs(highest), 1.0), similar)

    def pack(self, symbols: Any) -> bytes:
        """The numbers as digits of big integers, 1,024 at a time; see `Code.pack`."""
        return pack_digits(self._host(symbols)[:, 0], self.num_codewords)

    def unpack(self, payload: bytes, num_items: int) -> jax.Array:
        """The inverse of `pack`; see `Code.unpack`."""
        return jnp.asarray(unpack_digits(payload, num_items, self.num_codewords)[:, None], jnp.int32)

    def _lengths(self, symbols: np.ndarray) -> tuple[float, float]:
        return math.log2(self.num_codewords), 8.0 * -(-self.bits // 8)

    def _encode(self, vectors: jax.Array) -> jax.Array:
        if vectors.shape[0] == 0:
            return jnp.zeros((0, 1), jnp.int32)
        block = max(1, _SCORES_AT_ONCE // self.num_codewords)
        top = jax.lax.map(lambda v: jnp.argmax(self.documents @ v), vectors, batch_size=min(block, vectors.shape[0]))
        return top.astype(jnp.int32)[:, None]

    def _decode(self, symbols: jax.Array) -> jax.Array:
        return self.documents[symbols[:, 0]]
