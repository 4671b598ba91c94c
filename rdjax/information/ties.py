"""Repeated values: when neighbors tie, and how rounded columns become continuous again.

What was derived for densities reads far too much where rows are equal or columns were rounded: two normal columns that
share .83 nats, n = 1000, read 1.04 rounded to two decimals and 3.7 rounded to one. Dithered they read .85 either way.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.typing import ArrayLike

from rdjax import checks
from rdjax.information.rows import observations

#: By variant of KSG, the share of rows that may tie above distance 0; 1% makes an estimate about .004 nats too high.
ROUNDED: dict[Any, float] = {1: 0.01, 2: 0.01, "mixed": 0.25}


def dither(x: ArrayLike, key: jax.Array, step: ArrayLike | None = None) -> jax.Array:
    """Rounded columns made continuous: x_j + step_j u, with u uniform on [-1/2, 1/2) and new for every entry.

    No information is lost or made: x is the nearest multiple again, and u is independent of everything else. A
    continuous column moves by half the smallest gap between its values at most, or, where all of them are numbers of
    float16 or bfloat16, within what is rounded to each. Where x64 is off, a float64 column that is far from 0 and that
    float32 would round has its first entry taken off.

    Args:
      x: [n, d].
      key: of jax.random; never the same one for x and for y.
      step: what the columns were rounded to, one number or [d]; None: the smallest gap between two values of a column
        (0 for a constant one), which is right unless a value is stored in two ways that differ in the last digit; for
        an entry whose neighbors in float16 or bfloat16, if it holds the column, are further apart, that gap.

    Returns:
      [n, d], in the precision of x, float32 at least.

    Raises:
      InputError: a shape that is not [n, d], a NaN, a step of another shape or below 0, an entry beyond float32 where
        x64 is off.
    """
    (points,) = observations({"x": x})
    columns = (points.shape[1],)
    if step is None:
        return _dithered(points, key, None)
    checks.require(np.shape(step) in ((), columns), f"step has shape {np.shape(step)}; give one, or one per column.")
    checks.numbers(step, "step", 0)
    return _dithered(points, key, jnp.broadcast_to(jnp.asarray(step, points.dtype), columns))


@jax.jit
def _dithered(points: jax.Array, key: jax.Array, width: jax.Array | None) -> jax.Array:
    uniform = jax.random.uniform(key, points.shape, points.dtype, -0.5, 0.5)
    if width is not None:
        return points + width[None, :] * uniform
    gaps = jnp.diff(jnp.sort(points, axis=0), axis=0)
    least = jnp.min(gaps, axis=0, where=gaps > 0, initial=jnp.inf, keepdims=True)
    width = jnp.maximum(least, _half_precision_gaps(lax.stop_gradient(points), uniform))
    return points + jnp.where(jnp.isfinite(least), width, 0) * uniform


def _half_precision_gaps(points: jax.Array, side: jax.Array) -> jax.Array:
    """From each entry to the next number, on the given side, of a half precision that holds its column, or 0 [n, d]."""
    mantissa, exponent = jnp.frexp(jnp.where(points == 0, 2.0**-99, points))  # 0 has the nearest
    gaps = jnp.zeros_like(points)
    for digits, smallest in ((11, -24), (8, -100)):  # float16, then bfloat16, which is coarser
        gap = jnp.ldexp(jnp.ones_like(points), jnp.maximum(exponent - digits, smallest))
        held = jnp.all(points / gap == jnp.round(points / gap), axis=0, keepdims=True)
        gaps = jnp.where(held, gap, gaps)
    inward = (jnp.abs(mantissa) == 0.5) & (points * side < 0)  # a power of two has nearer ones toward 0
    return jnp.where(inward, gaps / 2, gaps)


class Tied(NamedTuple):
    """How many of n rows tie at distance 0 and above it, and whether that is too many."""

    zero: Any
    rounded: Any
    n: int
    refused: Any


def count_ties(at_zero: Any, tied: Any, variant: int | str) -> Tied:
    """From bool [n]: the k-th neighbor is at distance 0; more than k are within its distance, or it is 0."""
    zero, rounded = at_zero.sum(), (tied & ~at_zero).sum()
    refused = rounded > ROUNDED[variant] * len(tied)
    return Tied(zero, rounded, len(tied), refused if variant == "mixed" else refused | (zero > 0))


def unless_refused(bits: Any, tied: Tied, variant: int | str) -> Any:
    """The bits; InputError where values can be seen and too many rows tie."""
    if not checks.is_concrete(tied) or not tied.refused:
        return bits
    zero, rounded, n = (int(count) for count in tied[:3])
    if zero > 0 and variant != "mixed":
        raise checks.InputError(
            f"{zero:,} of {n:,} rows have their k-th neighbor at distance 0, so the data are at least partly discrete, "
            f"where this variant reads far too much; use variant='mixed', or dither(x, key) what was rounded, or "
            f"counts where every column is discrete."
        )
    raise checks.InputError(
        f"{rounded:,} of {n:,} rows have further neighbors as far away as the k-th, so columns were rounded or hold "
        f"rare symbols, which makes this estimate too high; give dither(x, key) and dither(y, another_key), which "
        f"keeps the mutual information exactly, or use counts where every column is discrete."
    )
