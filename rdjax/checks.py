"""Every test of what a user hands in. An error says what is wrong, where, and what to do, in one sentence.

`InputError` is the user's mistake: the command line prints its sentence and exits with code 2. Anything else that
escapes is a bug of ours and keeps its traceback. These run outside jit, on concrete arrays; `assert_fixed_point` is a
chex assertion and also runs under jit through `chex.chexify`. JAX is imported only by what needs it, so that reading
and checking a corpus does not wait for it.
"""

import math
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import jax

_MOST = 1000  # characters of a sentence: what it quotes may be a whole file


class InputError(ValueError):
    """What was handed in cannot be used; the message is one sentence for the person who handed it in.

    It is one line whatever it quotes: what cannot be printed is escaped, and the middle of what is too long left out.
    """

    def __init__(self, message: str) -> None:
        line = printable(message)
        super().__init__(line if len(line) <= _MOST else f"{line[: _MOST // 2]} ... {line[-_MOST // 4 :]}")


def printable(text: str) -> str:
    """The text with line breaks, control characters and halves of characters escaped as in Python."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def require(condition: bool, message: str) -> None:
    """Raise `InputError(message)` unless the condition holds."""
    if not condition:
        raise InputError(message)


def is_concrete(*values: Any) -> bool:
    """Whether no value is a tracer, so that a test of values is possible here."""
    jax = sys.modules.get("jax")  # before JAX is imported nothing can be a tracer
    return jax is None or not any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves(values))


def arrays_of(values: Any) -> Any:
    """What looks at values where they are: `jax.numpy` on an accelerator, so that nothing large is copied, or NumPy."""
    jax = sys.modules.get("jax")
    if jax is None or not isinstance(values, jax.Array) or all(d.platform == "cpu" for d in values.devices()):
        return np
    return jax.numpy


def looking() -> AbstractContextManager[None]:
    """Where concrete values are tested: JAX computes at once, or a trace that closed over them would stage the test."""
    jax = sys.modules.get("jax")
    return nullcontext() if jax is None else jax.ensure_compile_time_eval()


def whole(value: Any, what: str, least: int = 1) -> int:
    """A whole number that is at least `least`, as an int."""
    good = isinstance(value, int | np.integer) and not isinstance(value, bool) and value >= least
    require(bool(good), f"{what} is {value!r}; it must be a whole number, at least {least}.")
    return int(value)


def whole_tuple(values: Any, what: str, each: str) -> tuple[int, ...]:
    """A tuple, list or array of whole numbers that are at least 1; `each` names one of them."""
    several = isinstance(values, tuple | list | np.ndarray) and np.ndim(values) == 1
    require(several, f"{what} is {values!r}; give a tuple of whole numbers.")
    return tuple(whole(value, each) for value in values)


def numbers(values: Any, what: str, least: float = -math.inf, most: float = math.inf, *, ends: bool = True) -> None:
    """Finite real numbers in [least, most], or strictly between. Traced values pass unseen."""
    if not is_concrete(values):
        return
    with looking():
        xp = arrays_of(values)
        try:
            array = xp.asarray(values)
            if array.dtype.kind not in "fiu" and (xp is np or array.dtype.kind == "c"):  # bfloat16 is of another kind
                array = array.astype(np.float64, casting="same_kind" if array.dtype.kind == "c" else "unsafe")
        except (TypeError, ValueError):
            raise InputError(f"{what} holds {held(values)}; it must hold real numbers.") from None
        bad = ~xp.isfinite(array)
        if math.isfinite(least):
            bad |= array < least if ends else array <= least
        if math.isfinite(most):
            bad |= array > most if ends else array >= most
        if bad.any():
            low = f"{'at least' if ends else 'above'} {least:g}" if math.isfinite(least) else ""
            high = f"{'at most' if ends else 'below'} {most:g}" if math.isfinite(most) else ""
            asked = ", ".join(filter(None, ["a finite number", low, high]))
            place = tuple(int(i) for i in xp.argwhere(bad)[0])
            raise InputError(f"{what} has an entry {float(array[place]):g}{at(place)}; it must be {asked}.")


def held(values: Any) -> str:
    """What an array would hold that is made of these values."""
    try:
        return f"{np.asarray(values).dtype} values"
    except ValueError:
        return "lists of different lengths"


def at(place: tuple[int, ...]) -> str:
    """Where an entry of an array is, in words after it; nothing of a number alone."""
    if len(place) == 2:
        return f" in row {place[0]}, column {place[1]}"
    return f" at {place[0] if len(place) == 1 else place}" if place else ""


def along_last(values: Any, what: str) -> None:
    """An array of one axis at least, of which the last is not empty."""
    shape = np.shape(values)
    require(len(shape) > 0 and shape[-1] > 0, f"{what} have shape {shape}; give one or more along the last axis.")


def whole_numbers(values: Any, what: str, least: int = 0) -> None:
    """An array of integers, each at least `least`. Traced values pass unseen."""
    if is_concrete(values) and np.size(values):
        array = np.asarray(values)
        good = array.dtype.kind in "iu"
        require(good, "" if good else f"{what} holds {array.dtype} values; it must hold integers.")
        require(bool(array.min() >= least), f"{what} has an entry below {least}; it must be at least that.")
        require(bool(array.max() < 1 << 62), f"{what} has an entry of 2^62 or more; it can count nothing.")


def numeric_header(array: np.ndarray, where: str) -> None:
    """A two-dimensional array of numbers with at least one row and one column; its entries are not read."""
    usable = array.dtype.kind in "fiu" and array.dtype.itemsize <= 8 and array.dtype.isnative
    require(usable, f"{where} holds {array.dtype} values; export it as float32 numbers.")
    require(array.ndim == 2, f"{where} has shape {array.shape}; it must be two-dimensional, one row per item.")
    require(array.shape[0] > 0, f"{where} has no rows; it must hold at least one vector.")
    require(array.shape[1] > 0, f"{where} has no columns; an empty modality carries nothing, so leave it out.")


def row_blocks(array: np.ndarray, entries: int = 2**22) -> Iterator[tuple[int, np.ndarray]]:
    """(first row, rows) in turn, each of about so many entries, so that a memory map is never copied whole."""
    rows = max(1, entries // array.shape[1])
    for start in range(0, array.shape[0], rows):
        yield start, array[start : start + rows]


def numeric_matrix(array: np.ndarray, where: str) -> None:
    """A two-dimensional array of numbers with at least one row and one column, and no NaN or infinity."""
    numeric_header(array, where)
    row = first_row_not_finite(array)
    require(row is None, f"{where} has a NaN or infinity in row {row}; remove that item or embed it again.")


def first_row_not_finite(array: np.ndarray) -> int | None:
    """Index of the first row with a NaN or infinity, or None; read in blocks."""
    if array.dtype.kind != "f":
        return None
    for start, block in row_blocks(array):
        good = np.isfinite(block).all(axis=1)
        if not good.all():
            return start + int(np.argmin(good))
    return None


def products_stay(largest: float, dtype: np.dtype, where: str) -> None:
    """Products of numbers of this magnitude are so far above 0 that what is lost below the least one is rounding."""
    least = math.sqrt(float(np.finfo(dtype).tiny) / float(np.finfo(dtype).eps))
    words = f"{where} has no number of a magnitude above {largest:.2g}; products underflow {dtype}"
    require(largest >= least, f"{words}, so divide all of it by that.")


def indices(values: np.ndarray, size: int, where: str, what: str = "documents") -> None:
    """Integers in 0 .. size - 1, which number the documents, or whatever else `what` says."""
    require(values.dtype.kind in "iu", f"{where} holds {values.dtype} values; it must number {what} (integers).")
    bad = (values < 0) | (values >= size)
    if bad.any():
        place = tuple(int(i) for i in np.argwhere(bad)[0])
        row = place[0] if len(place) == 1 else place
        raise InputError(
            f"{where} entry {row} is {int(values[place])}, but there are {size} {what}, numbered 0 to {size - 1}."
        )


def covariance(array: np.ndarray) -> None:
    """Refuse matrices [..., d, d] that are not finite, symmetric and positive semidefinite, up to rounding."""
    require(bool(np.isfinite(array).all()), "the covariance has a NaN or infinity.")
    scale, slack = np.abs(array).max(axis=(-1, -2), initial=0.0), _slack(array)
    symmetric = np.abs(array - np.swapaxes(array, -1, -2)) <= slack * scale[..., None, None]
    require(bool(symmetric.all()), "the covariance is not symmetric; give (S + S^T) / 2.")
    least = np.linalg.eigvalsh(array)[..., 0]
    require(
        bool((least >= -slack * scale).all()),
        f"the covariance has a negative eigenvalue ({least.min(initial=0.0):.3g}); no random vector has it.",
    )


def not_singular(array: np.ndarray, what: str) -> None:
    """Refuse a covariance [..., d, d] that is singular at unit variances, so that units do not matter."""
    spread = np.sqrt(np.diagonal(array, axis1=-2, axis2=-1))
    usable = bool((spread > 0).all())
    if usable:
        least = np.linalg.eigvalsh(array / spread[..., :, None] / spread[..., None, :])[..., 0]
        usable = bool((least > _slack(array) / array.shape[-1] ** 0.5).all())  # what rounding each entry makes of 0
    require(usable, f"{what} is singular; leave out what the rest of it determines.")


def _slack(array: np.ndarray) -> float:
    return 64 * array.shape[-1] * float(np.finfo(array.dtype).eps)


def characters(array: np.ndarray, where: str) -> None:
    """Strings of a NumPy array, of numbers that are characters: Python cannot read others."""
    if array.size and array.dtype.itemsize:
        numbers = np.ascontiguousarray(array).view(np.dtype(np.uint32).newbyteorder(array.dtype.byteorder))
        require(int(numbers.max()) <= sys.maxunicode, f"{where} holds what is no text; write it again with numpy.save.")


def distinct(names: Iterable[str], where: str) -> None:
    """Strings, each different from the others."""
    seen: set[str] = set()
    for row, name in enumerate(names):
        require(isinstance(name, str), f"{where} holds {name!r} in row {row}; it must hold strings.")
        require(name not in seen, f"{where} holds {str(name)!r} twice, again in row {row}; each must be different.")
        require(_is_text(name), f"{where} holds {str(name)!r} in row {row}, which no UTF-8 text can hold; rename it.")
        seen.add(name)


def _is_text(name: str) -> bool:
    """Whether it can be written to a file: no half of a pair of surrogates."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def law(values: Any, where: str = "the prior", *, rounded: bool = False) -> None:
    """Non-negative numbers that sum to one (to 1e-6) along the last axis. Traced values pass unseen.

    `rounded` takes half precisions as well, bfloat16 among them, and lets their sum be off by what they round.
    """
    if not is_concrete(values):
        return
    with looking():
        xp = arrays_of(values)
        array, tolerance = xp.asarray(values), 1e-6
        if rounded and array.dtype.itemsize < 4 and _is_float(array.dtype):
            import ml_dtypes

            tolerance = float(ml_dtypes.finfo(array.dtype).eps)
            array = array.astype(np.float32)
        require(array.dtype.kind in "fiu", f"{where} holds {array.dtype} values; give probabilities in float32.")
        require(array.ndim >= 1 and array.shape[-1] > 0, f"{where} is empty; it must hold at least one probability.")
        if not array.size:
            return
        bad = ~(array >= 0) | ~xp.isfinite(array)
        if bad.any():
            place = tuple(int(i) for i in xp.argwhere(bad)[0])
            wrong = f"{where} has an entry {float(array[place]):g}{at(place)}"
            raise InputError(f"{wrong}; probabilities are numbers that are at least 0.")
        total = np.asarray(array.sum(axis=-1, dtype=xp.result_type(float)))
        row = tuple(int(i) for i in np.unravel_index(np.argmax(np.abs(total - 1)), total.shape))
        close = abs(float(total[row]) - 1) <= tolerance * array.shape[-1] ** 0.5
        which = f" in row {row[0] if len(row) == 1 else row}" if row else ""
        require(close, f"{where} sums to {float(total[row]):.8g}{which}, not 1; normalize it.")


def _is_float(dtype: Any) -> bool:
    """NumPy's floats and those that it knows only the size of, such as bfloat16."""
    return dtype.kind == "f" or (dtype.kind == "V" and "float" in dtype.name)


def assert_fixed_point(step: Callable[[Any], Any], point: Any, tolerance: float) -> None:
    """Assert |step(point) - point| <= tolerance at every leaf: `point` solves the equations it claims to solve.

    Args:
      step: the map whose fixed point is claimed; takes and returns the tree of `point`.
      point: a tree of arrays, in the units of the problem.
      tolerance: absolute, in the same units.

    Raises:
      AssertionError: with the largest deviation; under jit through `chex.chexify`.
    """
    import chex

    chex.assert_trees_all_close(step(point), point, atol=tolerance, rtol=0.0)


def assert_law(values: "jax.Array", tolerance: float = 1e-6) -> None:
    """Assert that the last axis holds laws: no entry below -tolerance, sums within it of one (chex, jit-able)."""
    import chex
    import jax.numpy as jnp

    total = jnp.sum(values, axis=-1)
    chex.assert_trees_all_close(total, jnp.ones_like(total), atol=tolerance, rtol=0.0)
    chex.assert_trees_all_close(jnp.minimum(values, 0), jnp.zeros_like(values), atol=tolerance, rtol=0.0)
