"""What every estimator from continuous data asks of x and y: [n, columns] each, row i one observation, numbers all."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rdjax import checks
from rdjax.numerics import floating

_LARGEST = float(np.finfo(np.float32).max)


def observations(arrays: Mapping[str, Any], least: int = 1, *, moved: bool = False) -> tuple[jax.Array, ...]:
    """The arrays as JAX arrays of one precision.

    Args:
      arrays: name (for the messages) -> [n, columns].
      least: how many rows there must be.
      moved: as for `narrowed`.

    Returns:
      the arrays, in the highest precision among them and at least float32.

    Raises:
      InputError: another number of axes, no columns, rows that differ or are too few, a NaN or infinity, an entry
        beyond float32 where x64 is off.
    """
    check_observations(arrays, least)
    spaces = [narrowed(array, name, moved=moved) for name, array in arrays.items()]
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
            with checks.looking():
                row = _first_not_finite(array)
            checks.require(row is None, f"{name} has a NaN or infinity in row {row}; leave it out.")


def _first_not_finite(array: Any) -> int | None:
    """Index of the first row [columns] with a NaN or infinity, or None; an accelerator's array is looked at there."""
    xp = checks.arrays_of(array)
    values = xp.asarray(array)
    if xp is np and values.dtype.kind not in "fiu":
        values = values.astype(np.float64)
    bad = ~xp.isfinite(values).all(axis=1)
    return int(bad.argmax()) if bad.any() else None


def narrowed(array: Any, name: str, *, moved: bool = True) -> jax.Array:
    """`floating`, without what float64 on the host would lose where x64 is off and float32 is all there is.

    A column far from 0 has its first entry taken off, in float64, which no distance and no covariance notices: seconds
    since 1970 are 128 apart in float32. A column whose range is more than half its size stays as it is.

    Args:
      array: [n, columns], finite.
      name: for the message.
      moved: False leaves columns where they are that float32 holds exactly.

    Returns:
      [n, columns].

    Raises:
      InputError: an entry that float32 cannot hold.
    """
    wide = jax.dtypes.canonicalize_dtype(np.float64) == np.float64
    if wide or isinstance(array, jax.Array) or np.asarray(array).dtype.itemsize < 4:
        return floating(array)
    values = np.asarray(array)
    if values.dtype == np.float32:
        return floating(values)
    values = values.astype(np.float64)
    low, high = values.min(axis=0), values.max(axis=0)
    with np.errstate(over="ignore"):
        far = np.maximum(-low, high) > 2 * (high - low)
        if not moved:
            far &= (values.astype(np.float32) != values).any(axis=0)
    if far.any():
        start = np.where(far, values[0], 0)
        values, low, high = values - start, low - start, high - start
    most = float(np.maximum(-low, high).max())
    checks.require(
        most <= _LARGEST,
        f"an entry of {name} is {most:.3g} in size, which float32 cannot hold; rescale it, or compute in float64 "
        "(jax.enable_x64).",
    )
    return floating(values)


def power_of_two(size: jax.Array) -> jax.Array:
    """The least power of two above each size, and 1 for 0: dividing by it rounds nothing, and has no slope."""
    _, exponent = jnp.frexp(jax.lax.stop_gradient(size))
    most = jnp.finfo(size.dtype).maxexp - 2
    return jnp.ldexp(jnp.ones_like(size), jnp.clip(exponent, -most, most))
