"""Functions that work on the host, block by block or until something holds, and so are not part of anybody's trace."""

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

import jax.numpy as jnp

from rdjax.checks import is_concrete, looking, require

P = ParamSpec("P")
R = TypeVar("R")


def on_the_host(function: Callable[P, R]) -> Callable[P, R]:
    """The function, computed at once wherever it is called; traced arguments are refused in a sentence."""

    @wraps(function)
    def at_once(*args: P.args, **kwargs: P.kwargs) -> R:
        require(
            is_concrete(args, kwargs),
            f"{function.__name__} is given traced values; it works on the host, so call it outside jit, grad and vmap.",
        )
        if is_concrete(jnp.zeros(())):  # nobody traces; `looking` would hide the axes of a mesh
            return function(*args, **kwargs)
        with looking():
            return function(*args, **kwargs)

    return at_once
