"""Vectors to a file of codes and back, a block at a time: what does not fit in memory need not."""

from collections.abc import Callable, Iterable, Iterator
from typing import IO, Any

import numpy as np

from rdjax.checks import require
from rdjax.codes.arrays import host_vectors
from rdjax.codes.code import ROWS, Code
from rdjax.codes.frames import frame, read_frames

_ENTRIES = 1 << 23  # numbers of the vectors that are encoded or decoded at a time


def write_stream(code: Code, blocks: Iterable[np.ndarray], count: int, file: IO[bytes]) -> int:
    """Encode vectors into the very bytes of `Code.to_bytes`.

    Args:
      code: the encoder.
      blocks: vectors [n_i, D], in turn, of any sizes.
      count: how many there are in all, sum n_i.
      file: opened for writing bytes.

    Returns:
      bytes written.

    Raises:
      InputError: a NaN or infinity (the row is named), D not the code's, or another number of vectors than `count`.
    """
    written = done = 0
    for symbols in _frames_of(code, blocks, count):
        done += len(symbols)
        written += file.write(frame(len(symbols), code.pack(symbols), code.fingerprint, count - done))
    return written


def read_stream(code: Code, file: IO[bytes], where: str) -> Iterator[tuple[int, np.ndarray]]:
    """(items of the stream still to come, decoded vectors [n_i, D]), block by block.

    Args:
      code: the one that wrote the stream.
      file: opened for reading bytes.
      where: what a message calls it.

    Raises:
      InputError: if it is no such stream, of another version, cut short, altered, or another code's.
    """
    rows, seen = rows_at_once(code), 0
    for count, following, payload in read_frames(file, code.fingerprint, code.name, where, code.items_of_a_frame):
        symbols = np.asarray(code.unpack(payload, count))
        for start in range(0, max(count, 1), rows):
            part = symbols[start : start + rows]
            yield following + count - start - len(part), np.asarray(code.at(seen).decode(part))
            seen += len(part)


def read_symbols(code: Code, file: IO[bytes], where: str) -> np.ndarray:
    """The symbols of a whole stream [n, L], in the narrowest integers; arguments and errors as `read_stream`."""
    frames = read_frames(file, code.fingerprint, code.name, where, code.items_of_a_frame)
    return np.concatenate([narrowest(np.asarray(code.unpack(payload, count))) for count, _, payload in frames])


def narrowest(symbols: np.ndarray) -> np.ndarray:
    """The same numbers in the unsigned integers of the fewest bytes; int32 where one is negative."""
    signed = symbols.min(initial=0) < 0
    return symbols.astype(np.int32 if signed else np.min_scalar_type(int(symbols.max(initial=0))), copy=False)


def encode_all(code: Code, vectors: np.ndarray) -> Any:
    """What `code.encode` gives of finite vectors [n, D], int32 [n, L]; a block at a time."""
    return _in_blocks(code, vectors, lambda part, rows: part.encode(rows))


def decode_all(code: Code, symbols: Any) -> Any:
    """What `code.decode` gives of symbols [n, L] that it made, [n, D]; a block at a time."""
    return _in_blocks(code, symbols, lambda part, rows: part.decode(rows))


def _in_blocks(code: Code, items: Any, step: Callable[[Code, np.ndarray], Any]) -> Any:
    """All in one call if they are few; else in blocks alike, the last filled up with zeros: they share a program."""
    count = len(items)
    blocks = -(-count // rows_at_once(code))
    if blocks <= 1:
        return step(code, items)
    rows = -(-count // (blocks * ROWS)) * ROWS
    whole: np.ndarray | None = None
    for start in range(0, count, rows):
        part = np.asarray(items[start : start + rows])
        filled = np.pad(part, ((0, rows - len(part)), (0, 0)))
        made = np.asarray(step(code.at(start), filled))[: len(part)]
        whole = np.empty((count, made.shape[1]), made.dtype) if whole is None else whole
        whole[start : start + len(part)] = made
    return whole


def rows_at_once(code: Code) -> int:
    """Vectors that are encoded or decoded in one call: a divisor of every frame but the last."""
    return min(code.items_of_a_frame, 1 << max(ROWS, _ENTRIES // code.dimension).bit_length() - 1)


def _frames_of(code: Code, blocks: Iterable[np.ndarray], count: int) -> Iterator[np.ndarray]:
    """Symbols of one frame after the other: full frames, then the rest (which is empty where there are no items)."""
    parts: list[np.ndarray] = []
    seen = held = 0
    for block in _cut(blocks, rows_at_once(code)):
        rows = host_vectors(block, code.dtype, code.dimension, code.name, seen)
        parts.append(np.asarray(code.at(seen).encode(rows)))
        seen, held = seen + len(block), held + len(block)
        if held == code.items_of_a_frame and seen < count:
            yield np.concatenate(parts)
            parts, held = [], 0
    require(seen == count, f"{count} vectors were announced and {seen} came.")
    yield np.concatenate([np.zeros((0, code.num_symbols), np.int32), *parts])


def _cut(blocks: Iterable[np.ndarray], rows: int) -> Iterator[np.ndarray]:
    """The same vectors in blocks of exactly so many rows, but for the last."""
    rest: np.ndarray | None = None
    for block in blocks:
        joined = block if rest is None or not len(rest) else np.concatenate([rest, block])
        full = len(joined) - len(joined) % rows
        for start in range(0, full, rows):
            yield joined[start : start + rows]
        rest = joined[full:]
    if rest is not None and len(rest):
        yield rest
