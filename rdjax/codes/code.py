"""Code: what turns vectors into symbols, symbols into bytes, both back again, and what that costs.

Every code works on flat vectors [n, D]: modalities side by side, each scaled so that one inner product is the fused
score. A code is a frozen pytree made by its own `fit`; encode and decode are pure and trace under jit, the rest is host
work. Outside jit values are checked on the host, where arrays of devices come and go up again. To add a code: subclass
`Code` (or `FixedLengthCode`; `Transformed` too, if it codes coefficients), and write `fit`, `name` and the rest of what
is abstract there; checks and counts of bits then come with it, and `_encode` and `_decode` are compiled.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from functools import cached_property
from io import BytesIO
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from rdjax.checks import is_concrete, require
from rdjax.codes.arrays import device_array, host_vectors, padded, require_dimension, require_symbols, to_cut
from rdjax.codes.bitstream import pack_fixed, require_alphabet, unpack_fixed
from rdjax.codes.description import describe, fingerprint
from rdjax.codes.frames import ITEMS, frame, read_frames
from rdjax.codes.rate import Rate
from rdjax.numerics import matmul
from rdjax.shards import automatic

ROWS = 256  # batches are padded to a multiple of this, so that those of nearby sizes share a compiled program
SYMBOLS = 1 << 24  # of one frame of a stream at most


class Code(ABC):
    """The base of every code. `scores`, the checks, the frame and the rate are here; subclasses say the rest."""

    #: Which side it can be used on: what is encoded are the queries, or the documents.
    sides: ClassVar[tuple[str, ...]] = ("queries", "documents")
    #: Class A: the encoder searches the corpus. Otherwise B or C, by what it was fitted on.
    searches_corpus: ClassVar[bool] = False

    @property
    @abstractmethod
    def name(self) -> str:
        """What a table calls it, e.g. "PCA 32 + 4-bit scalar"."""

    @property
    @abstractmethod
    def dimension(self) -> int:
        """D, coordinates of a vector."""

    @property
    @abstractmethod
    def num_symbols(self) -> int:
        """L, symbols of an item."""

    @property
    @abstractmethod
    def dtype(self) -> Any:
        """Precision of the fitted arrays; vectors are converted to it."""

    @property
    @abstractmethod
    def encoder_bytes(self) -> int:
        """Memory the encoder must hold: 4 bytes for every real number, whatever precision it was fitted in."""

    @property
    def bits(self) -> int | None:
        """Bits of every item, or None where the length varies from item to item (see `rate`)."""
        return None

    @abstractmethod
    def _encode(self, vectors: jax.Array) -> jax.Array: ...

    @abstractmethod
    def _decode(self, symbols: jax.Array) -> jax.Array: ...

    def _scores(self, symbols: jax.Array, vectors: jax.Array) -> jax.Array:
        return matmul(self._decode(symbols), vectors.T)

    @abstractmethod
    def pack(self, symbols: Any) -> bytes:
        """The symbols' bytes and nothing else: whoever reads them knows how many items there are (one, in a packet).

        Args:
          symbols: int [n, L], as `encode` made them.

        Raises:
          InputError: if a symbol is outside its alphabet.
        """

    @abstractmethod
    def unpack(self, payload: bytes, num_items: int) -> jax.Array:
        """The inverse of `pack`, the payload it made of `num_items` items: int32 [num_items, L].

        Raises:
          InputError: if these bytes cannot hold that many items.
        """

    @abstractmethod
    def _lengths(self, symbols: np.ndarray) -> tuple[float, float]:
        """(mean ideal length, mean length of a single item in whole bytes), bits."""

    def encode(self, vectors: ArrayLike) -> jax.Array:
        """Symbols of each vector.

        Args:
          vectors: [n, D] real, converted to the code's precision.

        Returns:
          int32 [n, L].

        Raises:
          InputError: if D is not the dimension the code was fitted on, or a number is NaN or infinite.
        """
        if not is_concrete(self, vectors):
            vectors = jnp.asarray(vectors, self.dtype)
            require_dimension(vectors, self.dimension, self.name)
            return self._encode(vectors)
        rows = host_vectors(vectors, self.dtype, self.dimension, self.name)
        symbols = to_cut(_encode(self._shared(), padded(rows, ROWS)))
        return jax.device_put(symbols[: len(rows), : self.num_symbols])

    def decode(self, symbols: ArrayLike) -> jax.Array:
        """The vector that stands for each item and that inner products are taken with.

        Args:
          symbols: int [n, L].

        Returns:
          [n, D], in the code's precision.

        Raises:
          InputError: if L is not this code's, or a symbol is outside its alphabet.
        """
        if not is_concrete(self, symbols):
            symbols = jnp.asarray(symbols, jnp.int32)
            require_symbols(symbols, self.num_symbols, self.name)
            return self._decode(symbols)
        rows = self._host(symbols).astype(np.int32)
        shared = self._shared()
        vectors = to_cut(_decode(shared, padded(rows, ROWS, shared.num_symbols)))
        return jax.device_put(vectors[: len(rows)])

    def _shared(self) -> "Code":
        """A code that encodes and decodes alike, padded so that codes of nearby budgets share a compiled program."""
        return self

    def scores(self, symbols: ArrayLike, vectors: ArrayLike) -> jax.Array:
        """Score of every coded item with every vector of the other side, <decode(symbols), vector>.

        Args:
          symbols: int [n, L] of the coded items.
          vectors: [N, D], uncoded: the documents where queries are coded, the queries where documents are.

        Returns:
          [n, N]; transposed it is the usual score matrix where documents are coded.

        Raises:
          InputError: if D or L is not this code's, a symbol outside its alphabet, or a vector on the host not finite.
        """
        self.require_corpus(vectors)
        if is_concrete(self, symbols):
            symbols = self._host(symbols)
        if not isinstance(vectors, jax.Array):  # what is on the device has come through a check
            vectors = host_vectors(vectors, self.dtype, self.dimension, self.name)
        symbols, vectors = jnp.asarray(symbols, jnp.int32), automatic(jnp.asarray(vectors, self.dtype))
        require_symbols(symbols, self.num_symbols, self.name)
        require_dimension(vectors, self.dimension, self.name)
        return _scores(self, symbols, vectors)

    def require_corpus(self, vectors: Any) -> None:
        """Refuse to score vectors that are not as many as a rank code's documents; other codes take any number."""
        return None

    def rate(self, symbols: Any) -> Rate:
        """Bits per item of this batch; see `Rate`.

        Args:
          symbols: int [n, L], n at least 1.

        Raises:
          InputError: if there are no items.
        """
        symbols = self._host(symbols)
        require(len(symbols) > 0, f"no items were given to {self.name}; a rate needs at least one.")
        entropy, single = self._lengths(symbols)
        total, payload = (8 * sum(map(len, parts)) / len(symbols) for parts in zip(*self._frames(symbols), strict=True))
        return Rate(entropy, total, total - payload, 8.0 * self.model_bytes, single)

    def to_bytes(self, symbols: Any) -> bytes:
        """A stream of n items: a header of at most 30 bytes (see `frames`), then `pack`, every `items_of_a_frame`.

        Args:
          symbols: int [n, L], n at least 0.

        Raises:
          InputError: if a symbol is outside its alphabet.
        """
        return b"".join(framed for framed, _ in self._frames(self._host(symbols)))

    def from_bytes(self, data: bytes) -> jax.Array:
        """The inverse of `to_bytes`, bit for bit, of the data it made: int32 [n, L].

        Raises:
          InputError: if it is no such stream, of another version, cut short, altered, or another code's.
        """
        frames = read_frames(BytesIO(data), self.fingerprint, self.name, items=self.items_of_a_frame)
        return device_array(np.concatenate([np.asarray(self.unpack(payload, n)) for n, _, payload in frames]), np.int32)

    @cached_property
    def fingerprint(self) -> int:
        """32 bits that tell this fitted code from others: of its class, what is static in it, and every array."""
        return fingerprint(*describe(self))

    @property
    def items_of_a_frame(self) -> int:
        """At most: a power of two from 1,024 (where rounding to bytes costs nothing) to 65,536 (of few symbols)."""
        return max(1024, min(ITEMS, 1 << (SYMBOLS // max(self.num_symbols, 1)).bit_length() - 1))

    @property
    def model_bytes(self) -> int:
        """What the model of an entropy coder takes when the code is saved; 0 where lengths are fixed."""
        return 0

    def at(self, row: int) -> "Code":
        """The code for items of a batch from this row on: itself, unless it draws numbers by row."""
        return self

    @property
    def inner_products(self) -> bool:
        """Whether `scores` are the inner products of what `decode` gives, so that they can be streamed."""
        return type(self)._scores is Code._scores

    def _frames(self, symbols: np.ndarray) -> Iterator[tuple[bytes, bytes]]:
        """(frame, its payload), one for every `items_of_a_frame`."""
        for start in range(0, max(len(symbols), 1), self.items_of_a_frame):
            block = symbols[start : start + self.items_of_a_frame]
            payload, following = self.pack(block), len(symbols) - start - len(block)
            yield frame(len(block), payload, self.fingerprint, following), payload

    def _host(self, symbols: Any) -> np.ndarray:
        symbols = np.asarray(symbols)
        require_symbols(symbols, self.num_symbols, self.name)
        whole = symbols.dtype.kind in "iu"
        require(whole, f"symbols are {symbols.dtype} values; they must be integers, as encode makes them.")
        require_alphabet(symbols, self._alphabet())
        return symbols

    def _alphabet(self) -> Any:
        """How many values each symbol has, an array [L] or a number; 2^32 where any int32 is one."""
        return 1 << 32


class FixedLengthCode(Code):
    """A code whose every item takes the same number of bits: `widths` of its symbols, side by side."""

    @property
    @abstractmethod
    def widths(self) -> tuple[int, ...]:
        """Bits of each symbol [L], each 0 to 32."""

    @property
    def bits(self) -> int:
        """Bits of every item."""
        return sum(self.widths)

    @property
    def num_symbols(self) -> int:
        """L, symbols of an item."""
        return len(self.widths)

    def _alphabet(self) -> np.ndarray:
        return np.array([1 << width for width in self.widths], np.int64)

    def pack(self, symbols: Any) -> bytes:
        """The symbols' bits side by side, ceil(n * bits / 8) bytes; see `Code.pack`."""
        return pack_fixed(self._host(symbols), self.widths)

    def unpack(self, payload: bytes, num_items: int) -> jax.Array:
        """The inverse of `pack`; see `Code.unpack`."""
        return device_array(unpack_fixed(payload, num_items, self.widths), np.int32)

    def _lengths(self, symbols: np.ndarray) -> tuple[float, float]:
        return float(self.bits), 8.0 * -(-self.bits // 8)


@jax.jit
def _encode(code: Code, vectors: jax.Array) -> jax.Array:
    return code._encode(vectors)


@jax.jit
def _decode(code: Code, symbols: jax.Array) -> jax.Array:
    return code._decode(symbols)


@jax.jit
def _scores(code: Code, symbols: jax.Array, vectors: jax.Array) -> jax.Array:
    return code._scores(symbols, vectors)
