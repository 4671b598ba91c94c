"""Fitted codes as files: safetensors, with the code described in JSON beside its arrays; nothing is ever pickled.

The file's metadata holds, under the key "rdjax.code", JSON with "version", "code" (see `description.describe`), "notes"
(what whoever saved it wished to keep) and "checksum" (CRC-32 of the code's fingerprint and the notes, eight hexadecimal
digits). Only the classes below are ever made, so a stranger's file can run nothing.
"""

import json
import zlib
from collections.abc import Iterator, Mapping
from mmap import mmap
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from safetensors.numpy import save

from rdjax.checks import InputError, require
from rdjax.codes.binary import SignBits, SignBitsRescored
from rdjax.codes.code import Code
from rdjax.codes.description import CLASS, FIELDS, describe, fingerprint, rebuild
from rdjax.codes.directional import Directional
from rdjax.codes.entropy_coded import EntropyCodedScalar
from rdjax.codes.integer import Int8
from rdjax.codes.learned import LearnedCode
from rdjax.codes.lengths import Renormalized
from rdjax.codes.product import ProductQuantizer
from rdjax.codes.randomized import DitheredScalar, UniformInCell
from rdjax.codes.rank import RankCode
from rdjax.codes.rank_cells import CellRankCode
from rdjax.codes.rank_designed import DesignedRankCode
from rdjax.codes.rank_mapped import MappedRankCode
from rdjax.codes.recoded import EntropyCoded
from rdjax.codes.relevance_map import RelevanceMap
from rdjax.codes.scalar import ScalarQuantizer
from rdjax.codes.sound import is_sound
from rdjax.codes.transform import Coordinates, Projection
from rdjax.codes.trellis import TrellisCode
from rdjax.codes.truncation import Truncation
from rdjax.codes.wrapped import Weighted
from rdjax.data.tensors import BEGIN, MALFORMED, declared, header_end, read_header, require_filled

KEY, VERSION = "rdjax.code", 1

#: Every class that a saved code may hold; a new code joins here, or it cannot be saved.
CLASSES: Mapping[str, type] = {
    kind.__name__: kind
    for kind in (
        Coordinates,
        Projection,
        RelevanceMap,
        Truncation,
        ScalarQuantizer,
        EntropyCodedScalar,
        DitheredScalar,
        UniformInCell,
        ProductQuantizer,
        TrellisCode,
        SignBits,
        SignBitsRescored,
        Int8,
        RankCode,
        DesignedRankCode,
        CellRankCode,
        MappedRankCode,
        EntropyCoded,
        Weighted,
        Directional,
        Renormalized,
        LearnedCode,
    )
}

_DTYPES: Mapping[str, Any] = {  # a file has the arrays of the last of these first
    **{"BOOL": np.bool_, "U8": np.uint8, "I8": np.int8, "I16": np.int16, "U16": np.uint16, "F16": np.float16},
    **{"I32": np.int32, "U32": np.uint32, "F32": np.float32, "F64": np.float64, "I64": np.int64, "U64": np.uint64},
}
_NAMES = {np.dtype(dtype): (-order, name) for order, (name, dtype) in enumerate(_DTYPES.items())}
_AGAIN = "fetch it again, or save the code again"


def save_code(code: Code, notes: Mapping[str, str] | None = None) -> bytes:
    """A fitted code as the bytes of a .safetensors file; equal codes give equal bytes.

    Args:
      code: any code of this package.
      notes: strings to keep beside it.

    Raises:
      InputError: if a class in it is none that `load_code` knows.
    """
    record, arrays = _described(code, notes)
    return save(arrays, {KEY: record})  # one key: their order is random


def _described(code: Code, notes: Mapping[str, str] | None) -> tuple[str, dict[str, np.ndarray]]:
    """(the JSON that goes with the arrays, the arrays)."""
    description, arrays = describe(code)
    strange = sorted(set(_classes(description)) - set(CLASSES))
    require(not strange, f"{', '.join(strange)} is no code that a file can hold; save the codes that it is made of.")
    record = {
        "version": VERSION,
        "code": description,
        "notes": dict(notes or {}),
        "checksum": _checksum(code.fingerprint, notes or {}),
    }
    return json.dumps(record, sort_keys=True, allow_nan=False), arrays


def file_bytes(code: Code, notes: Mapping[str, str] | None = None) -> int:
    """How many bytes `save_code` makes of a code, which are not made: 8, the header padded to a multiple of 8, numbers.

    Args:
      code, notes: as there.
    """
    record, arrays = _described(code, notes)
    header: dict[str, Any] = {"__metadata__": {KEY: record}}
    end = 0
    for name in sorted(arrays, key=lambda name: (_NAMES[arrays[name].dtype], name)):
        start, end = end, end + arrays[name].nbytes
        header[name] = {
            "dtype": _NAMES[arrays[name].dtype][1],
            "shape": arrays[name].shape,
            "data_offsets": [start, end],
        }
    length = len(json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode())
    return 8 + -(-length // 8) * 8 + end


def load_code(data: bytes | mmap, where: str) -> tuple[Code, dict[str, str]]:
    """The inverse of `save_code`: the code and the notes.

    Args:
      data: bytes of the file; of one that is mapped only the code's arrays are copied.
      where: what a message calls it.

    Raises:
      InputError: if it is no saved code, of another version, damaged, of a class that is not known, or fitted in
        float64 where JAX has that off; the sentence says which.
    """
    require(not isinstance(data, str), f"load_code was given the name {data!r}; give the bytes of the file.")
    record = _record(data, where)
    version = record.get("version")
    require(
        version == VERSION,
        f"{where} has format version {version} and this rdjax reads version {VERSION}; use one that wrote it.",
    )
    damaged = f"{where} is damaged: it does not agree with its checksum; {_AGAIN}."
    try:
        arrays, description, notes = _arrays(data, where), record["code"], dict(record["notes"])
        found = _checksum(fingerprint(description, arrays), notes)
    except MALFORMED:
        raise InputError(damaged) from None
    require(found == record.get("checksum"), damaged)
    _require_precision(arrays, where)
    return _usable(description, arrays, where), {str(key): str(value) for key, value in notes.items()}


def is_saved_code(data: bytes | mmap) -> bool:
    """Whether a file says that it holds a code of rdjax; it may be damaged."""
    try:
        return bool(_record(data, ""))
    except InputError:
        return False


def _classes(description: Any) -> Iterator[str]:
    """Names of the classes in a description."""
    if isinstance(description, dict) and CLASS in description:
        yield description[CLASS]
        description = list(description[FIELDS].values())
    for part in description if isinstance(description, list) else ():
        yield from _classes(part)


def _checksum(code: int, notes: Mapping[str, str]) -> str:
    return f"{zlib.crc32(json.dumps(dict(notes), sort_keys=True).encode(), code):08x}"


def _record(data: bytes | mmap, where: str) -> dict[str, Any]:
    """What was saved beside the arrays."""
    try:
        metadata = _header(data, where)[0].get("__metadata__", {})
        require(KEY in metadata, f"{where} holds no code of rdjax; give a file that encode wrote.")
        return dict(json.loads(metadata[KEY]))
    except InputError:
        raise
    except MALFORMED:
        raise InputError(f"{where} is no .safetensors file, or its header is damaged; {_AGAIN}.") from None


def _header(data: bytes | mmap, where: str) -> tuple[dict[str, Any], int]:
    """What the header says, and the first byte after it."""
    try:
        end = header_end(data[:BEGIN])
    except ValueError:
        raise InputError(f"{where} is no .safetensors file; give a code that encode saved.") from None
    require(end <= len(data), f"{where} was cut short; {_AGAIN}.")
    return read_header(data[:end]), end


def _arrays(data: bytes | mmap, where: str) -> dict[str, np.ndarray]:
    """The arrays in place; ValueError unless they fill the file, one after the other."""
    header, first = _header(data, where)
    tensors = declared(header, first, where)
    require_filled(tensors, first, len(data), where)
    whole = memoryview(data)
    return {
        tensor.name: np.frombuffer(whole[tensor.start : tensor.end], _DTYPES[tensor.kind]).reshape(tensor.shape)
        for tensor in tensors
    }


def _require_precision(arrays: Mapping[str, np.ndarray], where: str) -> None:
    wide = any(array.dtype == np.float64 for array in arrays.values())
    require(
        not wide or jax.dtypes.canonicalize_dtype(np.float64) == np.float64,
        f"{where} was fitted in float64, which JAX has off; load it inside jax.enable_x64(True).",
    )


def _usable(description: Any, arrays: Mapping[str, np.ndarray], where: str) -> Code:
    """The code, tried on one vector without computing: a file made by hand may agree with itself and still be none."""
    strange = f"{where} describes no code that this rdjax knows; use the rdjax that wrote it."
    try:
        code = rebuild(description, arrays, CLASSES)
        require(is_sound(code), strange)
        vector = jax.ShapeDtypeStruct((1, code.dimension), code.dtype)
        symbols = jax.eval_shape(code._encode, vector)
        item = jax.ShapeDtypeStruct((1, code.num_symbols), jnp.int32)
        decoded = jax.eval_shape(code._decode, item)
        good = isinstance(code, Code) and symbols.shape == item.shape and decoded.shape == vector.shape
    except Exception as error:  # whatever a made-up code runs into
        raise InputError(strange) from error
    require(good, strange)
    return code
