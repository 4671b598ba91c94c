"""Numbers as files store them, as what `Corpus` takes: bfloat16 and scaled int8 become float32, in blocks.

All else is left alone, so that a memory map stays one.
"""

import shutil
import tempfile
from collections.abc import Callable
from typing import Any

import numpy as np

from rdjax.checks import InputError, numeric_header, require, row_blocks
from rdjax.data.keys import BF16, SCALE
from rdjax.data.reading import SMALL

Found = dict[str, tuple[str, Any]]
DOCUMENTS = "documents."


def plain(found: Found) -> Found:
    """The arrays without the ends .bf16 and .scale.

    Args:
      found: canonical key -> (what an error calls it, array or anything else).

    Returns:
      the same, but that KEY.bf16 is KEY as float32, and KEY beside KEY.scale is their product as float32.

    Raises:
      InputError: numbers that are not stored as their name says, a scale of no array, or one that does not fit it.
    """
    whole = dict(_widened(key, *item) for key, item in found.items())
    scales = {key.removesuffix(SCALE): whole.pop(key) for key in list(whole) if key.endswith(SCALE)}
    for key, (name, scale) in scales.items():
        require(key in whole, f"{name} scales nothing; put the int8 numbers beside it, or take it away.")
        where, array = whole[key]
        whole[key] = where, _scaled(array, where, scale, name)
    return whole


def narrow(found: Found) -> dict[str, int]:
    """Bits a stored number takes, of the modalities whose documents `plain` makes wider."""
    known: dict[str, int] = {}
    for key in found:
        name = key.removeprefix(DOCUMENTS)
        scaled = name.removesuffix(BF16).endswith(SCALE)  # the scale may be bfloat16 itself
        if key != name and (scaled or name.endswith(BF16)):
            known[name.removesuffix(BF16).removesuffix(SCALE)] = 8 if scaled else 16
    return known


def from_bfloat16(array: np.ndarray, where: str) -> np.ndarray:
    """The float32 numbers whose upper halves are these: uint16, or two raw bytes as numpy.save writes bfloat16."""
    raw = array.dtype in (np.dtype("<u2"), np.dtype("V2"))
    require(raw, f"{where} holds {array.dtype} values; as bfloat16 they must be stored in uint16.")

    def widen(block: np.ndarray) -> np.ndarray:
        return (block.view("<u2").astype("<u4") << 16).view("<f4")

    if array.ndim < 2:
        return widen(np.ascontiguousarray(array)).reshape(array.shape)  # which makes one axis of none
    return _in_blocks(np.asarray(array).view("<u2"), widen, where)


def scratch_map(shape: tuple[int, int], dtype: np.dtype, doing: str) -> np.memmap:
    """A writable memory map in a file that is already deleted: its room is freed with the array.

    Args:
      shape: of the array, no entry 0.
      dtype: of the array.
      doing: what takes the room, to begin the sentence if there is none.

    Raises:
      InputError: no room on the disk for temporary files.
    """
    folder = tempfile.gettempdir()
    size, free = shape[0] * shape[1] * dtype.itemsize, shutil.disk_usage(folder).free
    if size >= free:
        raise InputError(
            f"{doing} takes {size / 1e9:.1f} GB and {folder} has {free / 1e9:.1f} GB free; "
            f"set TMPDIR to a larger folder."
        )
    with tempfile.TemporaryFile() as file:
        return np.memmap(file, dtype, mode="w+", shape=shape)


def _widened(key: str, where: str, values: Any) -> tuple[str, tuple[str, Any]]:
    base = key.removesuffix(BF16)
    if base != key:
        return base, (where, from_bfloat16(values, where))
    if isinstance(values, np.ndarray) and values.dtype == np.dtype("V2"):
        raise InputError(f"{where} holds two bytes for each number; if they are bfloat16, name it {base}{BF16}.")
    return key, (where, values)


def _scaled(array: np.ndarray, where: str, scale: np.ndarray, name: str) -> np.ndarray:
    """int8 [N, D] times a number or [D]."""
    require(array.dtype == np.int8, f"{where} holds {array.dtype} values beside {name}; a scale is for int8.")
    numeric_header(array, where)
    columns = array.shape[1]
    require(scale.dtype.kind == "f", f"{name} holds {scale.dtype} values; a scale is a floating-point number.")
    require(
        scale.shape in ((), (1,), (columns,)),
        f"{name} has shape {scale.shape}; it must be one number, or one for each of the {columns} columns.",
    )
    with np.errstate(over="ignore"):  # what overflows is infinite, and refused as that
        factors = np.ravel(scale).astype(np.float32)
    bad = ~(np.isfinite(factors) & (factors > 0))
    if bad.any():
        column = int(np.argmax(bad))
        raise InputError(f"{name} has {np.ravel(scale)[column]:g} in column {column}; a scale is a number above 0.")
    with np.errstate(over="ignore"):
        return _in_blocks(array, lambda block: block * factors, where)


def _in_blocks(array: np.ndarray, change: Callable[[np.ndarray], np.ndarray], where: str) -> np.ndarray:
    """float32 of the same shape: in memory if that is little, else in a temporary file."""
    numeric_header(array, where)
    shape, dtype = (array.shape[0], array.shape[1]), np.dtype(np.float32)
    little = array.size * dtype.itemsize <= SMALL
    done = np.empty(shape, dtype) if little else scratch_map(shape, dtype, f"{where} as float32")
    for start, block in row_blocks(array):
        done[start : start + len(block)] = change(np.ascontiguousarray(block))
    return done
