"""One array of vectors from a file of its own: .npy, or .safetensors with one matrix in it."""

import json
import math
import os
import struct
from pathlib import Path
from typing import Any

import numpy as np

from rdjax.checks import InputError, numeric_header, require
from rdjax.data.reading import open_file, read_npy

FILES = (".npy", ".safetensors")
_DTYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "|i1", "U8": "|u1"}
_MOST_HEADER = 10**8  # bytes, as the format has it


def load_vectors(path: str | os.PathLike[str]) -> np.ndarray:
    """The vectors [n, D] of a .npy or .safetensors file as a read-only memory map; entries are not read.

    Args:
      path: of the file; a .safetensors file holds one array of two dimensions and no other of that kind.

    Raises:
      InputError: a missing or damaged file, objects, anything that is not a matrix of numbers, or several matrices.
    """
    where, kind = str(path), Path(path).suffix
    require(kind in FILES, f"{where} is no array file; give .npy or .safetensors.")
    array = read_npy(where) if kind == ".npy" else _read_safetensors(where)
    numeric_header(array, where)
    return array


def _read_safetensors(path: str) -> np.ndarray:
    """The one matrix of the file, in place."""
    with open_file(path) as file:
        size = os.fstat(file.fileno()).st_size
        try:
            (length,) = struct.unpack("<Q", file.read(8))
            if length > min(size - 8, _MOST_HEADER):
                raise ValueError
            header = json.loads(file.read(length))
            tensors = {name: _entry(entry) for name, entry in header.items() if name != "__metadata__"}
        except (struct.error, AttributeError, KeyError, TypeError, ValueError, RecursionError):
            raise InputError(f"{path} is no .safetensors file or is damaged; write it again.") from None
    matrices = [name for name, (_, shape, _, _) in tensors.items() if len(shape) == 2]
    named = ", ".join(matrices[:5]) or "none"
    require(len(matrices) == 1, f"{path} holds {len(matrices)} matrices ({named}); save the one to use alone.")
    kind, shape, start, end = tensors[matrices[0]]
    require(kind in _DTYPES, f"{path}: {matrices[0]} holds {kind} values; export it as float32 numbers.")
    dtype = np.dtype(_DTYPES[kind])
    whole = min(*shape, start) >= 0 and end - start == math.prod(shape) * dtype.itemsize and 8 + length + end <= size
    require(whole, f"{path} is cut short or damaged: {matrices[0]} is not all there; write it again.")
    if end == start:
        return np.empty(shape, dtype)
    return np.memmap(path, dtype, mode="r", offset=8 + length + start, shape=shape)


def _entry(entry: Any) -> tuple[str, tuple[int, ...], int, int]:
    """(kind of number, shape, first byte, byte after the last) of one array in a header."""
    start, end = entry["data_offsets"]
    return str(entry["dtype"]), tuple(int(n) for n in entry["shape"]), int(start), int(end)
