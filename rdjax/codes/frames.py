"""The frame around a payload: what it is, whose it is, how much of it there is, and whether it is whole.

A stream is one frame after another, each of at most 65,536 items, so that it is written and read a block at a time. A
file holds a stream and nothing else: bytes on disk are the bytes of `Code.to_bytes`.

    magic "RDX" | version, 1 byte | fingerprint of the code, 4 | items here | items in later frames | bytes of payload
    | CRC-32 of all of this and the payload, 4 | payload            (numbers 7 bits a byte, low first, below 2^42)
"""

import zlib
from collections.abc import Iterator
from typing import IO

from rdjax.checks import InputError, require

MAGIC, VERSION = b"RDX", 1
ITEMS = 1 << 16  # of one frame at most

_FETCH = "fetch it again"
_ALTERED = f"was altered: it does not agree with its checksum; {_FETCH}."


def frame(count: int, payload: bytes, fingerprint: int, following: int = 0) -> bytes:
    """One frame: 15 to 30 bytes of header (17 for 1,000 items of 16 bits), then the payload.

    Args:
      count: items in the payload, 0 to 65,536.
      payload: their bytes.
      fingerprint: of the code that wrote them, below 2^32.
      following: items in later frames of the same stream, below 2^42.
    """
    head = MAGIC + bytes([VERSION]) + fingerprint.to_bytes(4, "big")
    head += _number(count) + _number(following) + _number(len(payload))
    return head + _checksum(head, payload) + payload


def read_owner(file: IO[bytes]) -> int | None:
    """The fingerprint of the code that a stream says it was written by, of any version; None if it is no stream.

    Args:
      file: opened for reading bytes, at the beginning of the stream.
    """
    start = file.read(8)
    return int.from_bytes(start[4:], "big") if len(start) == 8 and start.startswith(MAGIC) else None


def read_frames(
    file: IO[bytes], fingerprint: int, name: str, where: str = "the stream", items: int = ITEMS
) -> Iterator[tuple[int, int, bytes]]:
    """(items, items in later frames, payload) of every frame of a stream, to its end; one frame in memory at a time.

    Args:
      file: opened for reading bytes, at the beginning of the stream.
      fingerprint: of the code that is to decode it.
      name: what a message calls that code.
      where: what a message calls the stream.
      items: that a frame of this code may have.

    Raises:
      InputError: if it is no such stream, of another version, cut short, altered, another code's, or goes on after its
        end; the sentence says which.
    """
    due = None
    while due != 0:
        count, following, payload = _read_frame(file, fingerprint, name, where, items)
        require(due is None or count + following == due, f"{where} was altered: a block is missing; {_FETCH}.")
        require(count > 0 or following == 0, f"{where} {_ALTERED}")
        yield count, following, payload
        due = following
    require(not file.read(1), f"{where} goes on after its end, so something was added to it; {_FETCH}.")


def _read_frame(file: IO[bytes], fingerprint: int, name: str, where: str, items: int) -> tuple[int, int, bytes]:
    start = _take(file, 4, where)
    require(start[:3] == MAGIC, f"{where} does not begin as a stream of rdjax; give what encode wrote.")
    require(
        start[3] == VERSION,
        f"{where} has format version {start[3]} and this rdjax reads version {VERSION}; use one that wrote it.",
    )
    head, numbers = start + _take(file, 4, where), []
    for _ in range(3):
        digits = _take_number(file, where)
        head += digits
        numbers.append(sum((byte & 0x7F) << (7 * i) for i, byte in enumerate(digits)))
    check = _take(file, 4, where)
    count, following, size = numbers
    payload = _take(file, size, where)
    require(check == _checksum(head, payload), f"{where} {_ALTERED}")
    require(
        int.from_bytes(head[4:8], "big") == fingerprint,
        f"{where} was written by another code than this {name}; decode it with the code that encoded it.",
    )
    require(count <= items, f"{where} {_ALTERED}")  # payloads of a few bytes may claim as much as memory holds
    return count, following, payload


def _take(file: IO[bytes], size: int, where: str) -> bytes:
    """So many bytes of the file; read in pieces, so that a size that is a lie allocates nothing."""
    parts, left = [], size
    while left and (part := file.read(min(left, 1 << 24))):
        parts.append(part)
        left -= len(part)
    if left:
        raise InputError(f"{where} was cut short: {size - left} of {size} bytes are there; {_FETCH}.")
    return b"".join(parts)


def _take_number(file: IO[bytes], where: str) -> bytes:
    digits = _take(file, 1, where)
    while digits[-1] >= 0x80:
        require(len(digits) < 6, f"{where} {_ALTERED}")
        digits += _take(file, 1, where)
    return digits


def _number(value: int) -> bytes:
    digits = bytearray()
    while value >= 0x80:
        digits.append(value & 0x7F | 0x80)
        value >>= 7
    digits.append(value)
    if len(digits) > 6:
        raise ValueError("a number of a frame is at most 2^42 - 1")
    return bytes(digits)


def _checksum(head: bytes, payload: bytes) -> bytes:
    return zlib.crc32(payload, zlib.crc32(head)).to_bytes(4, "big")
