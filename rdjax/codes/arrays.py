"""Arrays on their way into a code: checked, on the host, in its precision."""

import math
from typing import Any

import jax
import numpy as np

from rdjax.checks import (
    InputError,
    first_row_not_finite,
    is_concrete,
    numeric_header,
    numeric_matrix,
    products_stay,
    require,
    row_blocks,
)


def fit_vectors(vectors: Any) -> np.ndarray:
    """What a code is fitted on, checked, as a NumPy array or memory map [n, D] that is not copied.

    Raises:
      InputError: if it is traced or not a matrix of finite numbers, or the sum of their squares may overflow the
        precision that codes are fitted in, or all their products underflow it.
    """
    where = "the array of vectors to fit on"
    outside = "fitting works on the host, so call it outside jit, grad and vmap"
    require(is_concrete(vectors), f"{where} is traced; {outside}.")
    array = vectors if isinstance(vectors, np.ndarray) else np.asarray(vectors)
    numeric_header(array, where)
    dtype = np.dtype(working_dtype(array))
    most, magnitude = math.sqrt(float(np.finfo(dtype).max) / array.size), 0.0
    for start, block in row_blocks(array):
        largest = max(float(block.max()), -float(block.min()))
        if not largest <= most:  # or NaN
            numeric_matrix(array, where)
            row = start + int(np.abs(block.astype(np.float64)).max(axis=1).argmax())
            raise InputError(
                f"{where} has a number of magnitude {largest:.2g} in row {row}; squares overflow {dtype}, so divide "
                f"all vectors by it."
            )
        magnitude = max(magnitude, largest)
    if magnitude:  # zeros alone are as good as any constant
        products_stay(magnitude, dtype, where)
    return array


def padded(array: np.ndarray, rows: int, columns: int | None = None) -> np.ndarray:
    """Zeros added: up to a multiple of `rows` below, and up to `columns` on the right."""
    wide = 0 if columns is None else columns - array.shape[1]
    return np.pad(array, ((0, -len(array) % rows), (0, wide)))


def shared_size(k: int) -> int:
    """The next of 64, 128, 256, ...: few numbers of coefficients, because each is compiled."""
    return max(64, 1 << (k - 1).bit_length())


def device_array(values: Any, dtype: Any) -> jax.Array:
    """An array made on the host and handed over as it is: converting on the device compiles once for each shape."""
    return jax.device_put(np.asarray(values, dtype))


def to_cut(array: jax.Array) -> Any:
    """On the host, where cutting compiles nothing; a trace has taken up what is computed of arrays it closed over."""
    return np.asarray(array) if is_concrete(array) else array


def working_dtype(array: np.ndarray) -> Any:
    """Precision of what is fitted on this array: its own, float32 at least, float64 only where JAX has it on."""
    return jax.dtypes.canonicalize_dtype(np.promote_types(array.dtype, np.float32))


def host_vectors(vectors: Any, dtype: Any, dimension: int, name: str, first: int = 0) -> np.ndarray:
    """Vectors to code, [n, dimension] and finite, on the host and in the code's precision.

    `first` is the number of their first row, for the message.

    Raises:
      InputError: if they are not.
    """
    array = np.asarray(vectors)
    real = any(jax.dtypes.issubdtype(array.dtype, kind) for kind in (np.floating, np.integer))
    require(real, f"vectors are {array.dtype} values; {name} codes real numbers.")
    require_dimension(array, dimension, name)
    with np.errstate(over="ignore", invalid="ignore"):
        array = array.astype(dtype, copy=False)
        suspect = not np.isfinite(array.sum())  # one pass, and no array of its size
    row = first_row_not_finite(array) if suspect and len(array) else None
    if row is not None:
        where = f"in row {first + row}, as {array.dtype}"
        raise InputError(f"vectors have a NaN or infinity {where}; {name} has no code for it.")
    return array


def require_symbols(symbols: Any, count: int, name: str) -> None:
    """Symbols are [n, count]."""
    good = symbols.ndim == 2 and symbols.shape[1] == count
    require(good, f"symbols have shape {symbols.shape}; {name} takes [n, {count}].")


def require_dimension(vectors: Any, dimension: int, name: str) -> None:
    """Vectors are [n, dimension]."""
    require(
        vectors.ndim == 2 and vectors.shape[1] == dimension,
        f"vectors have shape {vectors.shape}; {name} was fitted on {dimension} dimensions, so [n, {dimension}].",
    )
