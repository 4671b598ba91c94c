"""Rank codes: a codeword is a ranking of the corpus (class A: the encoder searches it).

This file has what they share, and the code that names the top document; below log2 N bits see `rank_designed` (few
documents) and `rank_cells` (many).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.typing import ArrayLike

from rdjax.checks import require, whole
from rdjax.codes.arrays import device_array, fit_vectors, working_dtype
from rdjax.codes.bitstream import pack_digits, unpack_digits
from rdjax.codes.code import Code
from rdjax.numerics import matmul
from rdjax.trees import register_dataclass

_SCORES_AT_ONCE = 1 << 26  # numbers held while the encoder searches
_TOPS = 2  # documents that may come first, tried by the encoder: with four nothing is gained
_VALUED = 32  # documents whose place in a ranking counts: the best of the posterior
_COMPARED = 1024  # documents among which their places are counted: exact for corpora up to this size


class RankingCode(Code):
    """The base of codes that send the number of a ranking: one symbol out of L, log2 L bits in a batch.

    Subclasses have fields `documents` [N, D], which the encoder searches, and `temperature`: the posterior of a query
    is P(y | x) proportional to exp(<x, d_y> / temperature).
    """

    documents: jax.Array
    temperature: jax.Array

    sides: ClassVar[tuple[str, ...]] = ("queries",)
    searches_corpus: ClassVar[bool] = True

    @property
    def num_documents(self) -> int:
        """N."""
        return self.documents.shape[0]

    @property
    def num_codewords(self) -> int:
        """L."""
        raise NotImplementedError

    @property
    def dimension(self) -> int:
        """D."""
        return self.documents.shape[1]

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
        """ceil(log2 L), of one number on its own; a batch packs into log2 L each."""
        return (self.num_codewords - 1).bit_length()

    @property
    def encoder_bytes(self) -> int:
        """The corpus itself."""
        return 4 * self.documents.size

    def scores(self, symbols: ArrayLike, vectors: ArrayLike) -> jax.Array:
        """Scores whose order is the codeword's ranking; they are no inner products.

        Args:
          symbols: int [n, 1].
          vectors: the corpus [N, D] again.

        Returns:
          [n, N].

        Raises:
          InputError: if `vectors` has another shape than the corpus.
        """
        return super().scores(symbols, vectors)

    def require_corpus(self, vectors: Any) -> None:
        """As many vectors as documents.

        Raises:
          InputError: if there are more or fewer.
        """
        require(
            np.shape(vectors)[:1] == (self.num_documents,),
            f"vectors have shape {np.shape(vectors)}, but the code was made for {self.num_documents} documents.",
        )

    def pack(self, symbols: Any) -> bytes:
        """The numbers as digits of big integers, 1,024 at a time; see `Code.pack`."""
        return pack_digits(self._host(symbols)[:, 0], self.num_codewords)

    def unpack(self, payload: bytes, num_items: int) -> jax.Array:
        """The inverse of `pack`; see `Code.unpack`."""
        return device_array(unpack_digits(payload, num_items, self.num_codewords)[:, None], np.int32)

    def _alphabet(self) -> int:
        return self.num_codewords

    def _lengths(self, symbols: np.ndarray) -> tuple[float, float]:
        return math.log2(self.num_codewords), 8.0 * -(-self.bits // 8)

    def _encode(self, vectors: jax.Array) -> jax.Array:
        if vectors.shape[0] == 0:
            return jnp.zeros((0, 1), jnp.int32)
        block = min(max(1, _SCORES_AT_ONCE // self._held()), vectors.shape[0])
        return lax.map(self._encoder(), vectors, batch_size=block).astype(jnp.int32)[:, None]

    def _held(self) -> int:
        """Numbers that one query needs while it is encoded."""
        return self.num_documents

    def _encoder(self) -> Callable[[jax.Array], jax.Array]:
        """From a query [D] to its codeword, with what all queries share prepared."""
        raise NotImplementedError


@partial(
    register_dataclass,
    data_fields=["documents", "temperature"],
    meta_fields=["codewords"],
)
@dataclass(frozen=True)
class RankCode(RankingCode):
    """Send the number of the top document, and with more codewords which one follows it; the rest is similarity.

    Codeword c = f N + t puts document t first. For f = 0 the others follow by <d_t, d_j>, descending; for f >= 1 the
    second place has the document s that is (f + 1)-th most similar to t, and the others follow by <d_t + d_s, d_j>.
    With L = N codewords the encoder sends its top document; with more it sends the codeword of largest expected
    reciprocal rank sum_y P(y | x) / rank_c(y) among those of its two top documents. Such an encoder has already done
    the search: it is a limit to compare with, not a product (theory notes, section 1.7).

    Beyond 1,024 documents places are counted among the query's best 1,024, and at any size for the best 32 alone.

    Args:
      documents: the corpus [N, D].
      temperature: of the posterior, a number > 0.
      codewords: L, N to N (N - 1).
    """

    documents: jax.Array
    temperature: jax.Array
    codewords: int

    @classmethod
    def fit(cls, documents: Any, codewords: int | None = None, *, temperature: float = 1.0) -> "RankCode":
        """Nothing is fitted: the codewords are made of the corpus.

        Args:
          documents: [N, D], scaled as the queries will be.
          codewords: L, from N to N (N - 1), at most about 2^31; None for N.
          temperature: of the posterior exp(<x, d> / temperature), > 0; with N codewords it makes no difference.

        Raises:
          InputError: if L or the temperature is out of range.
        """
        array = fit_vectors(documents)
        size = len(array)
        codewords = size if codewords is None else whole(codewords, "the number of codewords")
        most = min(size * max(size - 1, 1), np.iinfo(np.int32).max // size * size)  # whole rows of numbers below 2^31
        require(
            size <= codewords <= most,
            f"{codewords} codewords were asked for; with {size} documents there are {size} to {most} of this kind.",
        )
        dtype = working_dtype(array)
        return cls(device_array(array, dtype), checked_temperature(temperature, dtype), codewords)

    @property
    def name(self) -> str:
        """For example "number of the top document", or "top document and what follows, 4096 codewords"."""
        if self._followers == 1:
            return "number of the top document"
        return f"top document and what follows, {self.num_codewords} codewords"

    @property
    def num_codewords(self) -> int:
        """L."""
        return self.codewords

    @property
    def _followers(self) -> int:
        return -(-self.num_codewords // self.num_documents)

    def _held(self) -> int:
        if self._followers == 1:
            return self.num_documents
        compared = min(_COMPARED, self.num_documents)
        return compared * self.dimension + _TOPS * (self.num_documents + self._followers * compared)

    def _encoder(self) -> Callable[[jax.Array], jax.Array]:
        return self._top if self._followers == 1 else self._best

    def _top(self, vector: jax.Array) -> jax.Array:
        return jnp.argmax(matmul(self.documents, vector))

    def _best(self, vector: jax.Array) -> jax.Array:
        """The codeword worth most, among those of the documents that are likeliest."""
        size, rows = self.num_documents, self._followers
        best, near = lax.top_k(matmul(self.documents, vector), min(_COMPARED, size))
        law = jax.nn.softmax(best / self.temperature)[: min(_VALUED, size)]
        tops = near[: min(_TOPS, size)]
        seconds = self._nearest(self.documents[tops], tops)
        shown = self.documents[near]
        alone = matmul(shown, self.documents[tops].T)  # [compared, tops]
        both = jnp.einsum("md,trd->mtr", shown, self.documents[seconds], precision=lax.Precision.HIGHEST)
        paired = alone[:, :, None] + both
        similar = jnp.where(jnp.arange(rows)[None, None, :] == 0, alone[:, :, None], paired)
        leads = near[:, None, None] == tops[None, :, None]
        follows = (near[:, None, None] == seconds[None, :, :]) & (jnp.arange(rows)[None, None, :] > 0)
        most = jnp.finfo(
            jax.dtypes.canonicalize_dtype(similar.dtype)
        ).max  # of float64 where x64 is off, it would be inf
        similar = jnp.where(leads, jnp.inf, jnp.where(follows, most, similar))
        count = lambda one: jnp.sum(similar > one[None], axis=0)  # one after the other: all at once fill gigabytes
        above = lax.map(count, similar[: law.shape[0]])
        worth = jnp.sum(law[:, None, None] / (1 + above), axis=0)  # [tops, rows]
        codewords = jnp.arange(rows)[None, :] * size + tops[:, None]
        return codewords.ravel()[jnp.argmax(jnp.where(codewords < self.num_codewords, worth, -1.0))]

    def _nearest(self, vectors: jax.Array, own: jax.Array) -> jax.Array:
        """The documents [n, followers] most similar to vectors [n, D], without their own numbers [n]."""
        similar = matmul(vectors, self.documents.T)
        similar = jnp.where(jnp.arange(self.num_documents)[None, :] == own[:, None], -jnp.inf, similar)
        return lax.top_k(similar, self._followers)[1]

    def _named(self, symbols: jax.Array) -> tuple[jax.Array, jax.Array]:
        """(first, second) documents [n]; they are the same where no second is named."""
        size = self.num_documents
        first, row = symbols[:, 0] % size, symbols[:, 0] // size
        if self._followers == 1:
            return first, first
        nearest = self._nearest(self.documents[first], first)
        second = jnp.take_along_axis(nearest, jnp.clip(row, 0, self._followers - 1)[:, None], axis=1)[:, 0]
        return first, jnp.where(row == 0, first, second)

    def _scores(self, symbols: jax.Array, vectors: jax.Array) -> jax.Array:
        first, second = self._named(symbols)
        similar = matmul(self._mean(first, second), vectors.T)
        numbers = jnp.arange(self.num_documents, dtype=jnp.int32)[None, :]
        bonus = jnp.where(numbers == first[:, None], 2.0, jnp.where(numbers == second[:, None], 1.0, 0.0))
        return raised(similar, bonus)

    def _decode(self, symbols: jax.Array) -> jax.Array:
        return self._mean(*self._named(symbols))

    def _mean(self, first: jax.Array, second: jax.Array) -> jax.Array:
        return (self.documents[first] + self.documents[second]) / 2


def raised(similar: jax.Array, bonus: jax.Array) -> jax.Array:
    """Scores [n, N] with those of positive bonus above all others, in the order of the bonus."""
    highest = jnp.max(similar, axis=1, keepdims=True)
    unit = jnp.maximum(jnp.abs(highest), 1.0)
    return jnp.where(bonus > 0, highest + unit * bonus.astype(similar.dtype), similar)


def checked_temperature(temperature: float, dtype: Any) -> jax.Array:
    """A temperature as a scalar array.

    Raises:
      InputError: if it is not a number above 0.
    """
    number = np.ndim(temperature) == 0 and not isinstance(temperature, str | None)
    good = number and bool(np.isfinite(temperature)) and float(temperature) > 0
    require(good, f"the temperature is {temperature!r}; it must be a number above 0.")
    return device_array(temperature, dtype)
