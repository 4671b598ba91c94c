"""Real bytes: bits side by side, digits of one big integer, a range coder.

A payload holds the symbols of n items and nothing else; whoever reads it knows n (`frames` tells it). NumPy on the
host; nothing here is traced.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from constriction import stream

from rdjax.checks import InputError, require

_BITS_AT_ONCE = 1 << 22  # the bit-by-bit packer unfolds this many bits at a time
_ITEMS_AT_ONCE = 1024  # digits in one big integer: rounding to a byte then costs under 8 / 1024 bits per item
_WHOLE = {8: ">u1", 16: ">u2", 32: ">i4"}  # widths that NumPy packs by itself, to the same bytes
_SHORT = 4096  # bytes of a range coder that are worth trimming: beyond, 4 bytes are under a thousandth
_SINGLES = 64  # items that are packed one by one to measure the mean length of a single one
_CUT = "the bytes of this code were cut, altered, or written by another code; fetch them again."


def pack_fixed(symbols: Any, widths: Sequence[int]) -> bytes:
    """Symbol l of every item in widths[l] bits, highest bit first, item after item, padded with zeros to a byte.

    Args:
      symbols: int [n, L], 0 <= symbols[:, l] < 2^widths[l]; at 32 bits any int32, as its bit pattern.
      widths: bits of each column [L], each 0 to 32.

    Returns:
      ceil(n * sum(widths) / 8) bytes.

    Raises:
      InputError: if a symbol does not fit its width.
    """
    symbols = np.asarray(symbols)
    require_alphabet(symbols, np.array([1 << width for width in widths], np.int64))
    if _uniform(widths) in _WHOLE:
        return symbols.astype(_WHOLE[widths[0]]).tobytes()
    if _uniform(widths) == 1:
        return np.packbits(symbols.astype(bool)).tobytes()
    column, shift = _bit_plan(widths)
    rows = _rows_at_once(len(column))
    parts = [
        np.packbits((symbols[i : i + rows].astype(np.uint32)[:, column] >> shift) & 1)
        for i in range(0, len(symbols), rows)
    ]
    return b"".join(part.tobytes() for part in parts)


def unpack_fixed(data: bytes, count: int, widths: Sequence[int]) -> np.ndarray:
    """The inverse of `pack_fixed`: int32 [count, L].

    Raises:
      InputError: if the number of bytes is not what `count` items take, or the padding is not zero.
    """
    column, shift = _bit_plan(widths)
    _require_length(data, -(-count * len(column) // 8))
    require(not data or data[-1] & ((1 << (-count * len(column) % 8)) - 1) == 0, _CUT)
    if _uniform(widths) in _WHOLE:
        return np.frombuffer(data, _WHOLE[widths[0]]).astype(np.int32).reshape(count, len(widths))
    raw = np.frombuffer(data, np.uint8)
    if _uniform(widths) == 1:
        return np.unpackbits(raw, count=count * len(widths)).astype(np.int32).reshape(count, len(widths))
    symbols = np.zeros((count, len(widths)), np.int32)
    used, starts = np.unique(column, return_index=True)  # reduceat needs columns of at least one bit
    rows = _rows_at_once(len(column))
    for i in range(0, count if len(used) else 0, rows):
        size = min(rows, count - i)
        bits = np.unpackbits(raw[i * len(column) // 8 :], count=size * len(column)).reshape(size, -1)
        values = np.add.reduceat(bits.astype(np.uint32) << shift, starts, axis=1)
        symbols[i : i + size, used] = values.astype(np.uint32).view(np.int32)
    return symbols


def pack_digits(digits: Any, base: int) -> bytes:
    """Numbers below `base` as the digits of big integers, 1,024 at a time: log2(base) bits each, plus under 8 a block.

    Args:
      digits: int [n], 0 <= digits < base.
      base: at least 1.

    Returns:
      ceil(m log2(base) / 8) bytes for every full block of m = 1,024 items, and so for the rest.

    Raises:
      InputError: if a digit is not below the base.
    """
    digits = np.asarray(digits)
    require_alphabet(digits, base)
    parts = []
    for size, first, count in _blocks(len(digits)):
        values = digits[first : first + size * count].reshape(count, size)
        parts += [value.to_bytes(_digit_bytes(size, base), "big") for value in _join(values, base)]
    return b"".join(parts)


def unpack_digits(data: bytes, count: int, base: int) -> np.ndarray:
    """The inverse of `pack_digits`: int64 [count].

    Raises:
      InputError: if the number of bytes is not what `count` items take, or a block holds no such number.
    """
    _require_length(data, sum(number * _digit_bytes(size, base) for size, _, number in _blocks(count)))
    parts, place = [np.zeros(0, np.int64)], 0
    for size, _, number in _blocks(count):
        length = _digit_bytes(size, base)
        values = [int.from_bytes(data[place + i * length : place + (i + 1) * length], "big") for i in range(number)]
        require(max(values) < base**size, _CUT)
        parts.append(_split(values, size, base).ravel())
        place += number * length
    return np.concatenate(parts)


def categorical_models(laws: Sequence[np.ndarray]) -> list[Any]:
    """One entropy model per column for `pack_entropy`; None where there is one symbol and so nothing to say."""
    return [
        None if len(law) == 1 else stream.model.Categorical(np.asarray(law, np.float64), perfect=False) for law in laws
    ]


def pack_entropy(symbols: Any, models: Sequence[Any]) -> bytes:
    """Range coding (Pasco 1976, Martin 1979; `constriction`), column after column: within about 32 bits of the ideal.

    Up to 4,096 bytes are cut to the fewest that still decode, the length being known to the reader: within a byte.

    Args:
      symbols: int [n, L], each in the alphabet of its column's model.
      models: `categorical_models` of the L columns' laws.
    """
    symbols = np.asarray(symbols, np.int32)
    encoder = stream.queue.RangeEncoder()
    for column, model in zip(symbols.T, models, strict=True):
        if model is not None and len(column):
            encoder.encode(np.ascontiguousarray(column), model)
    data = encoder.get_compressed().astype(">u4").tobytes()
    return _shortest(data, encoder.pos()) if len(data) <= _SHORT else data


def unpack_entropy(data: bytes, count: int, models: Sequence[Any]) -> np.ndarray:
    """The inverse of `pack_entropy`: int32 [count, L]. Missing bytes are read as zeros: a frame tells when some are.

    Raises:
      InputError: if the bytes cannot come from these models.
    """
    words = np.frombuffer(data + bytes(-len(data) % 4 + 8), ">u4").astype(np.uint32)
    decoder = stream.queue.RangeDecoder(words)
    symbols = np.zeros((count, len(models)), np.int32)
    try:
        for column, model in enumerate(models):
            if model is not None and count:
                symbols[:, column] = decoder.decode(model, count)
    except AssertionError:  # what constriction raises when no symbol could have led here
        raise InputError(_CUT) from None
    return symbols


def _shortest(data: bytes, end: tuple[int, tuple[int, int]]) -> bytes:
    """The fewest bytes that decode to the same items, found without decoding any.

    What a range coder has sent is an interval, and every number in it decodes alike. `end` has the words that are
    settled, the last 64 bits of the interval's lower end, and its width; missing bytes are read as zeros.
    """
    settled, (low, width) = end
    size = 4 * settled + 8
    inside = int.from_bytes(data.ljust(size, b"\0"), "big")
    lower = inside - ((inside - low) % (1 << 64))  # a carry may still run through the settled words; `inside` had it
    for spare in reversed(range(size - max(len(data) - 8, 0) + 1)):  # at most 8 of the coder's bytes are left out
        rounded = -(-lower >> 8 * spare)
        if rounded << 8 * spare < lower + width:
            return rounded.to_bytes(size - spare, "big")
    return data


def _require_length(data: bytes, expected: int) -> None:
    require(len(data) == expected, f"there are {len(data)} bytes where {expected} are due: {_CUT}")


def require_alphabet(symbols: np.ndarray, sizes: Any) -> None:
    """Every symbol in 0 .. size - 1 of its column; a column of 2^32 takes any int32."""
    sizes = np.asarray(sizes, np.int64)  # NumPy from 2.5 on takes 2^31 for none of int32's numbers
    whole = sizes >= 1 << 32
    bad = (symbols < np.where(whole, -(1 << 31), 0)) | (symbols >= np.where(whole, 1 << 31, sizes))
    require(not bad.any(), "a symbol is outside its alphabet; give what this very code encoded.")


def _uniform(widths: Sequence[int]) -> int:
    """The width of every column, or 0 where they differ."""
    return widths[0] if len(set(widths)) == 1 else 0


def _bit_plan(widths: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """For each bit of an item, the column it belongs to and its place in the symbol."""
    column = np.repeat(np.arange(len(widths)), widths)
    ends = np.cumsum(widths)
    return column, (ends[column] - 1 - np.arange(len(column))).astype(np.uint32)


def _rows_at_once(bits: int) -> int:
    """A multiple of 8, so that every block of rows ends on a byte."""
    return 8 * max(1, _BITS_AT_ONCE // (8 * max(bits, 1)))


def _blocks(count: int) -> list[tuple[int, int, int]]:
    """(items in a block, first item, number of such blocks): the full blocks, then the rest."""
    full, rest = divmod(count, _ITEMS_AT_ONCE)
    plan = [(_ITEMS_AT_ONCE, 0, full), (rest, full * _ITEMS_AT_ONCE, 1)]
    return [part for part in plan if part[0] and part[2]]


def _digit_bytes(size: int, base: int) -> int:
    return ((base**size - 1).bit_length() + 7) // 8


def _join(digits: np.ndarray, base: int) -> list[int]:
    """The number each row spells, highest digit first; pairs of digits become digits of base^2, and so on."""
    values, power = digits.astype(object), int(base)
    while values.shape[1] > 1:
        if values.shape[1] % 2:
            values = np.concatenate([np.zeros((len(values), 1), object), values], axis=1)
        values, power = values[:, 0::2] * power + values[:, 1::2], power * power
    return [int(value) for value in values[:, 0]]


def _split(values: list[int], size: int, base: int) -> np.ndarray:
    """The inverse of `_join`: [len(values), size]."""
    digits, levels = np.array(values, object).reshape(-1, 1), (size - 1).bit_length()
    for level in reversed(range(levels)):
        power = int(base) ** (1 << level)
        digits = np.stack([digits // power, digits % power], axis=2).reshape(len(values), -1)
    return digits[:, digits.shape[1] - size :].astype(np.int64)


def sample_of_singles(symbols: np.ndarray) -> np.ndarray:
    """Up to 64 items, drawn once and for all with seed 0: enough for the mean length of a single one."""
    few = min(len(symbols), _SINGLES)
    return symbols[np.sort(np.random.default_rng(0).choice(len(symbols), few, replace=False))]
