"""What a value of an axis may be: each check returns it as it is kept, or says in one sentence what is wrong."""

import math
from collections.abc import Callable
from numbers import Real
from typing import Any

import numpy as np

from rdjax.checks import InputError, require

Check = Callable[[Any, str], Any]
EXACT = 2**53  # whole numbers up to here are exact in float64
INDEXED = 2**31 - 1  # as many as int32 numbers


def whole_from(least: int, most: int = EXACT) -> Check:
    """A whole number from `least` to `most`."""

    def check(value: Any, where: str) -> int:
        is_whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
        good = is_whole and value >= least
        require(bool(good), f"{where} is {shown(value)}; it must be a whole number, at least {least}.")
        require(bool(value <= most), f"{where} is {shown(value)}; {most:,} is the most.")
        return int(value)

    return check


def seed(value: Any, where: str) -> int:
    """A whole number of 32 bits."""
    require(whole_from(0)(value, where) < 2**32, f"{where} is {value}; it must be below 2^32.")
    return int(value)


def positive(value: Any, where: str) -> float:
    """A number above 0, also where float64 has rounded it, and finite."""
    number = _number(value)
    require(0 < number < math.inf, f"{where} is {shown(value)}; it must be a number above 0 that float64 can hold.")
    return number


def correlation(value: Any, where: str) -> float:
    """A number between -1 and 1, neither of them."""
    number = _number(value)
    require(-1 < number < 1, f"{where} is {shown(value)}; it must be a number between -1 and 1, without the two.")
    return number + 0.0  # no -0.0: it is the same correlation, and would have another key


def noise(value: Any, where: str) -> float | tuple[float, ...]:
    """A number above 0, or a list of them, one for each modality; not so far from 1 that variances leave float64."""
    if isinstance(value, list | tuple) or (isinstance(value, np.ndarray) and value.ndim > 0):
        require(len(value) > 0, f"{where} has an empty list; give one number for each modality.")
        return tuple(_scale(entry, where) for entry in value)
    return _scale(value, where)


def _scale(value: Any, where: str) -> float:
    number = positive(value, where)
    require(1e-100 <= number <= 1e100, f"{where} is {number:g}; it must be a number from 1e-100 to 1e100.")
    return number


def _number(value: Any) -> float:
    """One of Python or NumPy as a float, NaN for anything else, and a truth value is something else."""
    if not isinstance(value, Real) or isinstance(value, bool):
        return math.nan
    try:
        return float(value)
    except OverflowError:
        return math.inf


def shown(value: Any) -> str:
    """As Python writes it, where it does."""
    try:
        return repr(value)
    except ValueError:  # Python writes out no more than some thousand digits
        return "a number of thousands of digits"


def one_of(*names: str) -> Check:
    """One of some words."""

    def check(value: Any, where: str) -> str:
        require(
            isinstance(value, str) and value in names, f"{where} is {shown(value)}; choose among {', '.join(names)}."
        )
        return value

    return check


def metric(value: Any, where: str) -> str:
    """The name of a rank metric."""
    from rdjax.retrieval import parse_metric

    require(isinstance(value, str), f"{where} is {shown(value)}; it must be a name, e.g. mrr.")
    try:
        parse_metric(value)
    except InputError as error:
        raise InputError(f"{where}: {error}") from None
    return value
