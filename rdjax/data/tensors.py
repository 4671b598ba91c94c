"""The arrays of a .safetensors file, in place, with nothing that its header says taken on trust.

A file is eight bytes of length (low first), as many bytes of JSON, and the numbers; the JSON says of each array what
numbers, which shape, and from which byte to which. The arrays must fill the rest of the file, without gap or overlap.
"""

import json
import math
import os
import struct
from dataclasses import dataclass
from typing import Any

import numpy as np

from rdjax.checks import InputError, require
from rdjax.data.keys import BF16
from rdjax.data.reading import mapped, open_file, possible

_DTYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2"}
_DTYPES |= {f"{letter}{8 * n}": f"<{letter.lower()}{n}" for letter in "IU" for n in (1, 2, 4, 8)}
_MOST_HEADER = 10**8  # bytes, as the format has it
BEGIN = 9  # bytes, of the length and the brace that the JSON has to begin with
#: What runs into a header that is none.
MALFORMED = (struct.error, AttributeError, KeyError, TypeError, ValueError, RecursionError)


@dataclass(frozen=True)
class Tensor:
    """One array of a file: what its header says, found to be possible.

    Args:
      path: of the file.
      name: of the array in it.
      kind: of number, as the format names it.
      shape: of the array.
      start, end: the first byte and the one after the last, counted in the file.
    """

    path: str
    name: str
    kind: str
    shape: tuple[int, ...]
    start: int
    end: int

    def read(self) -> np.ndarray:
        """A read-only memory map of this shape; bfloat16 as uint16, which the key says.

        Raises:
          InputError: numbers of an unknown kind.
        """
        where = f"{self.path}: {self.name}"
        require(self.kind in _DTYPES, f"{where} holds {self.kind} values; export it as float32 numbers.")
        dtype = np.dtype(_DTYPES[self.kind])
        size = math.prod(self.shape) * dtype.itemsize
        require(
            size == self.end - self.start,
            f"{where} is damaged: its shape {self.shape} takes {size} bytes and it has {self.end - self.start}.",
        )
        return mapped(self.path, dtype, self.start, self.shape)


def open_tensors(path: str) -> dict[str, Tensor]:
    """The arrays of a .safetensors file by key, which is the name, and NAME.bf16 for bfloat16; none is read.

    Args:
      path: as the user typed it.

    Raises:
      InputError: no such file, another format, a header longer than the file, or arrays that do not fill the file.
    """
    with open_file(path) as file:
        size = os.fstat(file.fileno()).st_size
        try:
            begin = file.read(BEGIN)
            first = header_end(begin)
            if first > size:
                raise ValueError
            found = declared(read_header(begin + file.read(first - len(begin))), first, path)
        except MALFORMED:
            raise InputError(f"{path} is no .safetensors file or is damaged; write it again.") from None
    require_filled(found, first, size, path)
    keyed: dict[str, Tensor] = {}
    for tensor in found:
        marked = tensor.kind == "BF16" and not tensor.name.endswith(BF16)
        key = tensor.name + BF16 if marked else tensor.name
        require(key not in keyed, f"{path} has {key} twice; keep one.")
        keyed[key] = tensor
    return keyed


def header_end(begin: bytes) -> int:
    """The first byte after the header of a file.

    Args:
      begin: its first `BEGIN` bytes, or all of it where it has fewer.

    Raises:
      struct.error, ValueError: it is no such file, whole or cut.
    """
    (length,) = struct.unpack("<Q", begin[:8])
    if not 0 < length <= _MOST_HEADER or begin[8:BEGIN] not in (b"{", b""):
        raise ValueError
    return 8 + length


def read_header(head: bytes) -> dict[str, Any]:
    """What the header says, of each array by name and under "__metadata__".

    Args:
      head: the bytes of the file up to `header_end`.

    Raises:
      one of `MALFORMED`: it is damaged, or says something twice.
    """
    return json.loads(head[8:].decode(), object_pairs_hook=_once)


def declared(header: dict[str, Any], first: int, path: str) -> list[Tensor]:
    """The arrays of a header, in its order, not yet known to fill the file.

    Args:
      header: from `read_header`.
      first: the first byte after it.
      path: what a message calls the file.

    Raises:
      one of `MALFORMED`: it does not say what has to be known of an array.
    """
    return [_tensor(path, name, entry, first) for name, entry in header.items() if name != "__metadata__"]


def require_filled(tensors: list[Tensor], first: int, size: int, path: str) -> None:
    """Refuse arrays that do not fill a file of `size` bytes from `first` on, one after the other, or of no shape."""
    place = first
    for tensor in sorted(tensors, key=lambda tensor: (tensor.start, tensor.end)):
        there = place == tensor.start <= tensor.end <= size
        require(there, f"{path} is cut short or damaged: {tensor.name} is not all there; write it again.")
        shape = f"the impossible shape {tensor.shape}"
        require(possible(tensor.shape, 8), f"{path}: {tensor.name} declares {shape}; write it again.")
        place = tensor.end
    require(place == size, f"{path} is damaged: {size - place} bytes at its end belong to no array; write it again.")


def _tensor(path: str, name: str, entry: Any, first: int) -> Tensor:
    start, end = entry["data_offsets"]
    kind, shape = entry["dtype"], tuple(entry["shape"])
    if not isinstance(kind, str) or any(type(n) is not int or n < 0 for n in (start, end, *shape)):
        raise ValueError
    return Tensor(path, name, kind, shape, first + start, first + end)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) < len(pairs):
        raise ValueError
    return dict(pairs)
