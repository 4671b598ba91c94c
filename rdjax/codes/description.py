"""A code as plain data: the names of its classes, what is static in them, and its arrays."""

import dataclasses
import json
import math
import zlib
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

ARRAY, CLASS, FIELDS = "array", "class", "fields"


def describe(value: Any, where: str = "") -> tuple[Any, dict[str, np.ndarray]]:
    """What JSON takes, and the arrays by the path of their fields, e.g. "transform.mean".

    Args:
      value: a dataclass, an array, a tuple, a string, a number, a boolean or None, nested.
      where: path so far.

    Raises:
      TypeError: for anything else, which is a bug of the code that holds it.
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        parts = {name: describe(part, f"{where}.{name}".lstrip(".")) for name, part in _parts(value).items()}
        fields = {name: part for name, (part, _) in parts.items()}
        return {CLASS: type(value).__name__, FIELDS: fields}, _joined(arrays for _, arrays in parts.values())
    if isinstance(value, jax.Array | np.ndarray):
        return {ARRAY: where}, {where: np.asarray(value, order="C")}
    if isinstance(value, tuple):
        items = [describe(item, f"{where}.{i}") for i, item in enumerate(value)]
        return [item for item, _ in items], _joined(arrays for _, arrays in items)
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool | int | str) or (isinstance(value, float) and math.isfinite(value)):
        return value, {}
    raise TypeError(f"{where} is a {type(value).__name__}, which cannot be described as plain data")


def rebuild(description: Any, arrays: Mapping[str, np.ndarray], classes: Mapping[str, type]) -> Any:
    """The inverse of `describe`; only the given classes are ever made, by their `__init__`.

    Raises:
      KeyError: a class or an array that is not there.
      TypeError: fields that are not the class's.
    """
    if isinstance(description, dict):
        if ARRAY in description:
            return jax.device_put(arrays[description[ARRAY]])
        fields = {key: rebuild(part, arrays, classes) for key, part in description[FIELDS].items()}
        kind = classes[description[CLASS]]
        return kind(**(kind.unpacked(fields) if hasattr(kind, "unpacked") else fields))
    if isinstance(description, list):
        return tuple(rebuild(part, arrays, classes) for part in description)
    return description


def fingerprint(description: Any, arrays: Mapping[str, np.ndarray]) -> int:
    """CRC-32 of the description and of every array's name, type, shape and entries: the same code, the same number."""
    value = zlib.crc32(json.dumps(description, sort_keys=True, allow_nan=False).encode())
    for name in sorted(arrays):
        array = arrays[name]
        value = zlib.crc32(f"{name} {array.dtype.str} {array.shape}".encode(), value)
        value = zlib.crc32(array.reshape(-1).view(np.uint8).data, value)
    return value


def _parts(value: Any) -> dict[str, Any]:
    """Its fields; of a class that has `packed` and `unpacked`, as it packs them.

    One at its default is left out, so that a field which joins a class disowns nothing that was written before.
    """
    fields = {
        f.name: getattr(value, f.name) for f in dataclasses.fields(value) if getattr(value, f.name) is not f.default
    }
    return value.packed(fields) if hasattr(value, "packed") else fields


def _joined(parts: Any) -> dict[str, np.ndarray]:
    return {name: array for part in parts for name, array in part.items()}
