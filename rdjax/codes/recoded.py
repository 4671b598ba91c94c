"""Any fixed-length code with its symbols entropy-coded: the same vectors come back from fewer bits on average."""

import math
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import jax
import numpy as np

from rdjax.checks import require
from rdjax.codes.arrays import device_array
from rdjax.codes.bitstream import categorical_models, pack_entropy, sample_of_singles, unpack_entropy
from rdjax.codes.code import Code, FixedLengthCode
from rdjax.codes.wrapped import Alike, Wrapped, require_code
from rdjax.trees import register_dataclass

MOST_WIDTH = 12  # bits of a digit: a wider symbol is coded as several, whose laws fewer items can tell
_EXPONENTS = np.arange(12, -9, -1)  # of the smoothing that is tried; where several do as well, the strongest


@partial(register_dataclass, data_fields=["code", "counts", "smoothing"], meta_fields=[])
@dataclass(frozen=True)
class EntropyCoded(Alike):
    """The symbols of `code`, each at about -log2 p(s) bits, p(s) = (count(s) + a) / (n + a K) over its K values.

    Count and n are of the fit. For every column a is the power of two that gives the fit's own symbols the shortest
    length when each is left out of the counts in turn, so a column too wide for its fit tends to the fixed length.
    Symbols of over 12 bits are coded as several digits, high ones first. Columns are coded as if independent: given
    the one before, symbols were .2% to 3% shorter (scalar and residual codes), for a model K times as large.

    Args:
      code: of fixed length.
      counts: how often each value of each digit occurred in the fit, int32, digit after digit [sum of the digits' K].
      smoothing: log2 a of every digit, int32 [digits].
    """

    code: Code
    counts: jax.Array
    smoothing: jax.Array

    @classmethod
    def fit(cls, code: Code, symbols: Any) -> "EntropyCoded":
        """Count the symbols and choose the smoothing.

        Args:
          code: a code of fixed length.
          symbols: int [n, L], what it encoded of the vectors of the fit, n at least 1.

        Raises:
          InputError: if the code is entropy-coded already, or there are no symbols.
        """
        require_code(code)
        widths = _digit_widths(code)
        symbols = code._host(symbols)
        require(len(symbols) > 0, f"no items were given to fit the frequencies of {code.name}; give at least one.")
        columns = _digits(symbols, widths).T
        counts = [np.bincount(column, minlength=1 << w) for column, w in zip(columns, _flat(widths), strict=True)]
        chosen = [_chosen_smoothing(count) for count in counts]
        flat = np.concatenate([np.zeros(0, np.int32), *counts])
        return cls(code, device_array(flat, np.int32), device_array(chosen, np.int32))

    @property
    def name(self) -> str:
        """E.g. "PCA 64 + sign bits, entropy-coded"."""
        return f"{self.code.name}, entropy-coded"

    @property
    def bits(self) -> None:
        """None: lengths vary from item to item."""
        return None

    @property
    def encoder_bytes(self) -> int:
        """The inner code's, and the model's."""
        return self.code.encoder_bytes + self.model_bytes

    @property
    def model_bytes(self) -> int:
        """Four bytes for every count and for every digit's smoothing."""
        return 4 * (self.counts.size + self.smoothing.size)

    @cached_property
    def laws(self) -> list[np.ndarray]:
        """The model: probabilities of every digit's values, float64."""
        sizes = [1 << width for width in _flat(_digit_widths(self.code))]
        counts = np.split(np.asarray(self.counts, np.float64), np.cumsum(sizes)[:-1])
        strengths = 2.0 ** np.asarray(self.smoothing)
        return [(c + a) / (c.sum() + a * len(c)) for c, a in zip(counts, strengths, strict=True)] if sizes else []

    @cached_property
    def _models(self) -> list[Any]:
        return categorical_models(self.laws)

    def pack(self, symbols: Any) -> bytes:
        """The digits through a range coder; see `Code.pack`."""
        return pack_entropy(_digits(self._host(symbols), _digit_widths(self.code)), self._models)

    def unpack(self, payload: bytes, num_items: int) -> jax.Array:
        """The inverse of `pack`; see `Code.unpack`."""
        digits = unpack_entropy(payload, num_items, self._models)
        return device_array(_joined(digits, _digit_widths(self.code)), np.int32)

    def _lengths(self, symbols: np.ndarray) -> tuple[float, float]:
        digits = _digits(symbols, _digit_widths(self.code))
        lengths = sum(-np.log2(law)[column].sum() for law, column in zip(self.laws, digits.T, strict=True))
        singles = [8 * len(pack_entropy(item[None, :], self._models)) for item in sample_of_singles(digits)]
        return float(lengths / len(symbols)), float(np.mean(singles))


def _digit_widths(code: Code) -> list[tuple[int, ...]]:
    """Bits of the digits of every symbol, none over 12, high digit first; no digits for a symbol of no bits."""
    inner = code
    while isinstance(inner, Wrapped):
        inner = inner.code
    if code.bits is not None and isinstance(inner, FixedLengthCode):
        widths = inner.widths
    else:
        one_number = code.num_symbols == 1 and code.bits is not None
        require(one_number, f"{code.name} is entropy-coded as it is; wrap a code of fixed length.")
        widths = (code.bits or 0,)
    counts = [-(-width // MOST_WIDTH) for width in widths]
    return [
        tuple((width + i) // count for i in reversed(range(count))) for width, count in zip(widths, counts, strict=True)
    ]


def _flat(widths: list[tuple[int, ...]]) -> list[int]:
    return [width for parts in widths for width in parts]


def _digits(symbols: np.ndarray, widths: list[tuple[int, ...]]) -> np.ndarray:
    """Symbols [n, L] to their digits, int32 [n, number of digits]."""
    digits = np.zeros((len(symbols), len(_flat(widths))), np.int32)
    for place, (column, shift, width) in enumerate(_places(widths)):
        digits[:, place] = (symbols[:, column].astype(np.uint32) >> shift) & ((1 << width) - 1)
    return digits


def _joined(digits: np.ndarray, widths: list[tuple[int, ...]]) -> np.ndarray:
    """The inverse of `_digits`: int32 [n, L]."""
    symbols = np.zeros((len(digits), len(widths)), np.uint32)
    for place, (column, shift, _) in enumerate(_places(widths)):
        symbols[:, column] |= digits[:, place].astype(np.uint32) << np.uint32(shift)
    return symbols.view(np.int32)


def _places(widths: list[tuple[int, ...]]) -> list[tuple[int, int, int]]:
    """(symbol, bits below it in that symbol, its own bits) of every digit."""
    return [
        (column, sum(parts[i + 1 :]), width) for column, parts in enumerate(widths) for i, width in enumerate(parts)
    ]


def _chosen_smoothing(counts: np.ndarray) -> int:
    """log2 of the a that makes the symbols shortest, each coded by the counts of the others."""
    seen = counts[counts > 0].astype(np.float64)
    total = seen.sum()
    lengths = [seen @ (math.log2(total - 1 + a * len(counts)) - np.log2(seen - 1 + a)) for a in 2.0**_EXPONENTS]
    return int(_EXPONENTS[int(np.argmin(np.round(lengths, 9)))])
