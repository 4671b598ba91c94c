"""What a value of an axis may be: each check returns it as it is kept, or says in one sentence what is wrong."""

import math
from collections.abc import Callable
from numbers import Real
from typing import Any

import numpy as np

from rdjax import checks
from rdjax.checks import InputError, require

Check = Callable[[Any, str], Any]


def whole_from(least: int) -> Check:
    """A whole number, at least `least`."""
    return lambda value, where: checks.whole(value, where, least)


def seed(value: Any, where: str) -> int:
    """A whole number of 32 bits."""
    require(checks.whole(value, where, 0) < 2**32, f"{where} is {value}; it must be below 2^32.")
    return int(value)


def positive(value: Any, where: str) -> float:
    """A finite number above 0."""
    good = _is_number(value) and 0 < value < math.inf
    require(good, f"{where} is {value!r}; it must be a number above 0.")
    return float(value)


def correlation(value: Any, where: str) -> float:
    """A number between -1 and 1, neither of them."""
    good = _is_number(value) and -1 < value < 1
    require(good, f"{where} is {value!r}; it must be a number between -1 and 1, without the two.")
    return float(value)


def _is_number(value: Any) -> bool:
    """One of Python or NumPy, and no truth value."""
    return isinstance(value, Real) and not isinstance(value, bool)


def positive_or_list(value: Any, where: str) -> float | tuple[float, ...]:
    """A number above 0, or a list of them, one for each modality."""
    if not isinstance(value, list | tuple | np.ndarray):
        return positive(value, where)
    require(len(value) > 0, f"{where} has an empty list; give one number for each modality.")
    return tuple(positive(entry, where) for entry in value)


def one_of(*names: str) -> Check:
    """One of some words."""

    def check(value: Any, where: str) -> str:
        require(isinstance(value, str) and value in names, f"{where} is {value!r}; choose among {', '.join(names)}.")
        return value

    return check


def metric(value: Any, where: str) -> str:
    """The name of a rank metric."""
    from rdjax.retrieval import parse_metric

    require(isinstance(value, str), f"{where} is {value!r}; it must be a name, e.g. mrr.")
    try:
        parse_metric(value)
    except InputError as error:
        raise InputError(f"{where}: {error}") from None
    return value
