"""What every estimator from continuous data asks of x and y: [n, columns] each, row i one observation, numbers all."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rdjax import checks
from rdjax.numerics import floating


def observations(arrays: Mapping[str, Any], least: int = 1) -> tuple[jax.Array, ...]:
    """The arrays as JAX arrays of one precision.

    Args:
      arrays: name (for the messages) -> [n, columns].
      least: how many rows there must be.

    Returns:
      the arrays, in the highest precision among them and at least float32.

    Raises:
      InputError: another number of axes, no columns, rows that differ or are too few, a NaN or infinity.
    """
    check_observations(arrays, least)
    spaces = [floating(array) for array in arrays.values()]
    dtype = jnp.result_type(*spaces)
    return tuple(space.astype(dtype) for space in spaces)


def check_observations(arrays: Mapping[str, Any], least: int = 1) -> None:
    """The tests of `observations` alone; traced values pass unseen."""
    for name, array in arrays.items():
        shape = np.shape(array)
        checks.require(
            len(shape) == 2 and shape[1] > 0,
            f"{name} has shape {shape}; it must be [n, columns], so one column is {name}[:, None].",
        )
    rows = {name: np.shape(array)[0] for name, array in arrays.items()}
    checks.require(
        len(set(rows.values())) == 1,
        f"{' and '.join(f'{name} has {n} rows' for name, n in rows.items())}; row i must be one observation in all.",
    )
    n = next(iter(rows.values()))
    checks.require(n >= least, f"there are {n} rows; at least {least} are needed.")
    for name, array in arrays.items():
        if checks.is_concrete(array):
            bad = ~np.isfinite(np.asarray(array, np.float64)).all(axis=1)
            checks.require(not bad.any(), f"{name} has a NaN or infinity in row {int(np.argmax(bad))}; leave it out.")
