"""Reading arrays and text that somebody else wrote, and trusting none of it.

Nothing is unpickled, nothing is inflated before its size is known, and what is damaged is said in one sentence that
names the file as it was typed. Arrays in .npy files are memory-mapped.
"""

import math
import mmap
import os
import stat
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import IO, Literal

import numpy as np
from numpy.lib import format as npy

from rdjax.checks import InputError, require
from rdjax.data.machine import memory as _memory

SMALL = 2**28  # bytes; what inflates to less can do no harm
FOLD = 100  # embeddings do not compress by even a tenth of this

_DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError, ValueError, NotImplementedError, RuntimeError)


def read_npy(path: str) -> np.ndarray:
    """The array of a .npy file as a read-only memory map; never copied, never unpickled.

    Raises:
      InputError: no such file, objects, or fewer bytes than the header declares.
    """
    with open_file(path) as file:
        shape, fortran, dtype = _header(file, path)
        offset, held = file.tell(), os.fstat(file.fileno()).st_size
    size = math.prod(shape) * dtype.itemsize
    require(held - offset >= size, f"{path} is cut short: {size} bytes are declared and {held - offset} are there.")
    return mapped(path, dtype, offset, shape, "F" if fortran else "C")


def mapped(
    path: str, dtype: np.dtype, offset: int, shape: tuple[int, ...], order: Literal["C", "F"] = "C"
) -> np.ndarray:
    """A read-only memory map of part of a file that is long enough.

    Raises:
      InputError: more than this process may map.
    """
    if math.prod(shape) == 0 or dtype.itemsize == 0:
        return np.empty(shape, dtype)
    try:
        return np.memmap(path, dtype, mode="r", offset=offset, shape=shape, order=order)
    except (OSError, ValueError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or "its size is beyond what can be mapped"
        raise InputError(f"{path} cannot be mapped into memory: {reason}.") from None


def read_npz(path: str, check_keys: Callable[[list[str]], None], memory: float | None = None) -> dict[str, np.ndarray]:
    """The arrays of a .npz file; never unpickled.

    Args:
      path: as the user typed it.
      check_keys: raises if the keys are not what is wanted; called before anything is inflated.
      memory: bytes that there are for it; None: the machine's.

    Raises:
      InputError: no such file, no zip archive, damage, objects, or more bytes than this machine or good sense allows.
    """
    with open_file(path) as file:
        try:
            archive = zipfile.ZipFile(file)
        except _DAMAGED:
            raise InputError(
                f"{path} is no complete .npz archive; it may be cut short, so write it again with numpy.savez."
            ) from None
        with archive:
            members = archive.infolist()
            keys = [member.filename.removesuffix(".npy") for member in members]
            check_keys(keys)
            require_bounded(sum(m.file_size for m in members), os.fstat(file.fileno()).st_size, path, memory)
            return {key: _member(archive, member, f"{path}: {key}") for key, member in zip(keys, members, strict=True)}


def read_lines(path: str) -> list[str]:
    """The lines of a UTF-8 text, stripped of space at both ends; empty lines at the end are left out.

    Raises:
      InputError: no such file, or not UTF-8.
    """
    try:
        text = read_whole(path).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InputError(f"{path} is not UTF-8 text.") from None
    return [line.strip() for line in text.rstrip().split("\n")] if text.strip() else []


def read_whole(path: str) -> bytes:
    """All bytes of a file that is small beside this machine's memory.

    Raises:
      InputError: no such file, or one of more than a quarter of the memory.
    """
    with open_file(path) as file:
        size = os.fstat(file.fileno()).st_size
        require(size <= _memory() // 4, f"{path} has {size / 1e9:.3g} GB, which is too much for a file of this kind.")
        return file.read()


def map_whole(path: str) -> bytes | mmap.mmap:
    """All bytes of a file in place, which is not to be changed meanwhile.

    Raises:
      InputError: no such file, or one larger than the memory, which whatever is made of it would not fit.
    """
    with open_file(path) as file:
        size, most = os.fstat(file.fileno()).st_size, _memory()
        require(size <= most, f"{path} has {size / 1e9:.3g} GB, and there are {most / 1e9:.3g} GB of memory.")
        try:
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if size else b""
        except (OSError, ValueError) as error:
            raise InputError(f"{path} cannot be mapped into memory: {getattr(error, 'strerror', error)}.") from None


def open_file(path: str) -> IO[bytes]:
    """The file opened for reading bytes; what prevents it is the user's to know in one sentence.

    Pipes and devices are refused before they are opened: they may never begin, or never end.
    """
    try:
        regular = stat.S_ISREG(os.stat(path).st_mode)
        require(regular or os.path.isdir(path), f"{path} is no file but a pipe or a device; copy it into a file.")
        return Path(path).open("rb")
    except InputError:
        raise
    except FileNotFoundError:
        raise InputError(f"{path} does not exist.") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "its name is no name of a file"
        raise InputError(f"{path} cannot be read: {reason}.") from None


def _header(file: IO[bytes], where: str) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Shape, whether columns come first, and dtype; leaves the file at the first byte of data."""
    readers = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
    try:
        shape, fortran, dtype = readers[npy.read_magic(file)](file)
    except Exception:  # NumPy parses the header as Python source, and bad source fails in many ways
        raise InputError(f"{where} is not a .npy array or is damaged; write it again with numpy.save.") from None
    require(
        not dtype.hasobject,
        f"{where} holds Python objects, which only pickle could read, and a pickle can run any program; "
        f"save numbers as float32 and ids as numpy.array(ids, dtype=str).",
    )
    require(dtype.names is None, f"{where} holds records of several fields; save each field as an array of its own.")
    require(possible(shape, dtype.itemsize), f"{where} declares the impossible shape {shape}; write it again.")
    return shape, fortran, dtype


def possible(shape: tuple[int, ...], itemsize: int) -> bool:
    """Whether NumPy can have an array of this shape, of numbers of so many bytes; beside a 0 the other axes count."""
    return len(shape) <= 32 and all(n >= 0 for n in shape) and math.prod(max(n, 1) for n in shape) * itemsize < 2**60


def require_bounded(size: int, on_disk: int, path: str, memory: float | None) -> None:
    """Refuse an archive that would inflate beyond memory, or so many fold that it must be malice or a mistake."""
    require(
        size <= SMALL or size <= FOLD * on_disk,
        f"{path} would inflate {size / on_disk:.0f} fold, from {on_disk / 1e6:.3g} MB to {size / 1e9:.3g} GB, "
        f"which embeddings never do; if it is what you mean, save a folder of .npy files.",
    )
    most = _memory() if memory is None else min(memory, _memory())
    require(
        size <= most,
        f"{path} would take {size / 1e9:.3g} GB of {most / 1e9:.3g} GB of memory; "
        f"save a folder of .npy files, which are read in place.",
    )


def _member(archive: zipfile.ZipFile, member: zipfile.ZipInfo, where: str) -> np.ndarray:
    """One array, inflated into memory of the size that its header and the zip directory agree on."""
    try:
        with archive.open(member) as file:
            shape, fortran, dtype = _header(file, where)
            size, held = math.prod(shape) * dtype.itemsize, member.file_size - file.tell()
            require(size == held, f"{where} is damaged: its header declares {size} bytes and {held} are there.")
            data, position = bytearray(size), 0
            while chunk := file.read(2**20):
                data[position : position + len(chunk)] = chunk
                position += len(chunk)
    except InputError:
        raise
    except (*_DAMAGED, OSError):
        raise InputError(f"{where} is damaged; write the file again with numpy.savez.") from None
    require(position == size, f"{where} is cut short: {size} bytes are declared and {position} are there.")
    if size == 0:
        return np.empty(shape, dtype)
    return np.frombuffer(data, dtype).reshape(shape, order="F" if fortran else "C")
