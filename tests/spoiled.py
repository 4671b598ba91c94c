"""Spoiled arguments of a good call, and whether what comes of them is a right answer or a clear error."""

import re
import warnings
from collections.abc import Iterator

import jax
import ml_dtypes
import numpy as np

from rdjax.checks import InputError

BROADCAST = re.compile(r"incompatible shapes for broadcasting|could not be broadcast|Incompatible shapes for broadc")
OF_PRECISION = {"steps", "status", "gap"}  # fields that are another thing in another precision
NAN = ("nan", "all nan")  # of these values there is no answer: no public function drops what is missing
BFLOAT16 = re.compile(r"holds bfloat16 values; .*float32")  # what it is, and what to do
SAID_TO_BE_NAN = {"slopes"}  # of `fit_decay`, where a logarithm has none
PRECISIONS = (np.float32, np.float16, ml_dtypes.bfloat16)


def arrays_of(args, kwargs):
    """(path, array) of every array among the arguments, in tuples and mappings as well."""
    leaves = jax.tree.leaves_with_path((args, kwargs), is_leaf=_fitted)
    return [(path, leaf) for path, leaf in leaves if isinstance(leaf, np.ndarray)]


def _fitted(node):
    """What one of our own functions made is taken as it is."""
    return type(node).__module__.startswith("rdjax")


def replaced(args, kwargs, path, array):
    """The arguments with another array at that path."""
    return jax.tree.map_with_path(lambda at, leaf: array if at == path else leaf, (args, kwargs), is_leaf=_fitted)


def values_of(array) -> Iterator[tuple[str, np.ndarray]]:
    """The array with other values, of the same shape."""
    put = lambda value: np.concatenate([[value], array.ravel()[1:]]).reshape(array.shape)
    if array.dtype.kind == "f":
        yield from {name: put(float(name)) for name in ("nan", "inf", "-inf", "-1", "1e30", "1e-30")}.items()
        yield from {"zeros": 0 * array, "ones": 0 * array + 1, "negative": -array, "all nan": array * np.nan}.items()
        yield from {"huge": array * 1e30, "tiny": array * 1e-30, "all inf": np.full(array.shape, np.inf)}.items()
        yield "equal rows", np.broadcast_to(array[:1], array.shape).copy() if array.ndim else array
    elif array.dtype.kind == "i":
        yield from {"-1": put(-1), "-9": put(-9), "1000": put(1000), "zeros": 0 * array}.items()
        yield from {"halves": array + 0.5, "nan": put(np.nan), "largest": put(np.iinfo(array.dtype).max)}.items()


def kinds_of(array) -> Iterator[tuple[str, np.ndarray]]:
    """What holds no real numbers: any TypeError or ValueError, or a warning, is clear enough for these."""
    yield "text", np.full(array.shape, "text")
    yield "objects", np.full(array.shape, None)
    yield "complex", array + 1j


def shapes_of(array) -> Iterator[tuple[str, np.ndarray]]:
    """The array in another shape."""
    for axis in range(array.ndim):
        yield f"one along {axis}", array.take([0], axis)
        yield f"none along {axis}", array.take([], axis)
        yield f"less along {axis}", array.take(range(array.shape[axis] - 1), axis)
    if array.ndim:
        yield "an axis less", array[0]
    yield "an axis more", array[None]
    yield "a number", array.ravel()[0]


def narrow(args, kwargs, kind):
    """Every float array in a precision, and the same numbers in float64."""
    cast = lambda leaf: leaf.astype(kind) if isinstance(leaf, np.ndarray) and leaf.dtype == np.float64 else leaf
    less = jax.tree.map(cast, (args, kwargs))
    widen = lambda leaf: leaf.astype(np.float64) if isinstance(leaf, np.ndarray) and leaf.dtype == kind else leaf
    return less, jax.tree.map(widen, less)


def outcome(function, args, kwargs):
    """What a call gives: its numbers as float64, or the InputError; anything else is raised."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            found = function(*args, **kwargs)
        except InputError as error:
            return str(error)
    paths = jax.tree.leaves_with_path(_opened(found))
    last = lambda path: getattr(path[-1], "name", getattr(path[-1], "key", "")) if path else ""
    leaves = [leaf for path, leaf in paths if last(path) not in OF_PRECISION | SAID_TO_BE_NAN]
    numbers = [np.asarray(leaf) for leaf in leaves if not isinstance(leaf, str | bytes) and np.ndim(leaf) is not None]
    return [x.astype(np.float64) for x in numbers if x.dtype.kind in "fiub" or x.dtype == ml_dtypes.bfloat16]


def _opened(found):
    """The fields of what is ours and no pytree, such as a corpus or a source, and bytes as numbers."""
    if isinstance(found, bytes):
        return np.frombuffer(found, np.uint8)
    ours = _fitted(found) and not callable(found)
    return vars(found) if ours and jax.tree.all(jax.tree.map(lambda leaf: leaf is found, found)) else found


def complaint(function, args, kwargs, like=None, tolerance=0.0, enough=(), refused=False):
    """What is wrong with the outcome of a call; None if nothing is.

    `like`: the numbers it should be near. `enough`: errors that are as good as an InputError. `refused`: no number is.
    """
    try:
        found = outcome(function, args, kwargs)
    except enough:
        return None
    except (TypeError, ValueError) as error:
        if BROADCAST.search(str(error)):
            return None  # of elementwise formulas; it names both shapes
        return f"{type(error).__name__}: {str(error).splitlines()[0][:150]}"
    except Exception as error:
        return f"{type(error).__name__}: {str(error).splitlines()[0][:150] if str(error) else ''}"
    if isinstance(found, str):
        one = found.endswith(".") and "\n" not in found and len(found.split()) >= 4
        return f"refused: {found}" if like is not None else None if one else f"no sentence: {found!r}"
    if enough:
        return "it takes what is no real number"
    if any(np.isnan(numbers).any() for numbers in found):
        return "NaN"
    if refused:
        return f"it takes NaN, and gives {[numbers.ravel()[:3] for numbers in found][:2]}"
    if like is not None:
        for ours, right in zip(found, like, strict=True):
            with np.errstate(invalid="ignore"):  # infinities are compared below
                off = np.max(np.abs(ours - right) / (1 + np.abs(right)), initial=0.0, where=np.isfinite(right))
            if ours.shape != right.shape or off > tolerance or not np.array_equal(np.isinf(ours), np.isinf(right)):
                return f"off by {off:.2g}: {ours.ravel()[:3]} and not {right.ravel()[:3]}"
    return None
