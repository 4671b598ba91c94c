"""A test of independence by permutation, whatever the statistic."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from rdjax import checks
from rdjax.information.ties import ROUNDED
from rdjax.trees import register_dataclass

Statistic = Callable[[jax.Array, jax.Array], jax.Array]


@register_dataclass
@dataclass(frozen=True)
class PermutationTest:
    """How often chance alone reaches the statistic; all scalars.

    Args:
      statistic: on the data as they are, in its own unit.
      p_value: (1 + exceedances) / (1 + permutations), never 0.
      exceedances: permutations whose statistic was at least as large.
      permutations: how many were drawn.
    """

    statistic: jax.Array
    p_value: jax.Array
    exceedances: jax.Array
    permutations: jax.Array


def permutation_test(
    statistic: Statistic,
    x: Any,
    y: Any,
    key: jax.Array,
    *,
    permutations: int = 999,
    batch: int = 1,
    traced: bool = True,
) -> PermutationTest:
    """Test independence of x and y: rows of y are shuffled against those of x.

        p = (1 + #{permuted statistic >= statistic}) / (1 + permutations)

    The data themselves count as one permutation, so under independence P(p <= a) <= a at every n, for every statistic.
    Values within sqrt(n) roundings of the statistic count as equal to it, in whatever unit it is.

    Args:
      statistic: (x, y) -> a scalar, larger for more dependence; a mutual information in bits, say. Compiled once for
        the same function object.
      x, y: [n, ...] each; row i is one observation.
      key: of jax.random.
      permutations: how many; 999 can give p = .001.
      batch: how many at once under `vmap`; the others wait in `lax.map`, so memory is that of one batch.
      traced: False runs the statistic on the host, one permutation after the other, for what cannot be traced
        (`method="tree"`).

    Returns:
      `PermutationTest`, all scalars. Under jit a permuted statistic that is not a number counts as an exceedance.

    Raises:
      InputError: rows that differ, fewer than 2, complex numbers, a statistic that is no finite scalar on the data;
        where x64 is off, integers beyond 32 bits, and a column far from 0 of which float32 makes more than 1% of the
        values equal.

    Source: Phipson and Smyth 2010, on why p is never 0.
    """
    checks.whole(permutations, "permutations")
    checks.whole(batch, "batch")
    rows = np.shape(x)[:1], np.shape(y)[:1]
    checks.require(
        rows[0] == rows[1] != () and rows[0][0] > 1,
        f"x has shape {np.shape(x)} and y {np.shape(y)}; both need the same rows, at least 2.",
    )
    for name, array in (("x", x), ("y", y)):
        kind = array.dtype if hasattr(array, "dtype") else np.asarray(array).dtype
        checks.require(kind.kind != "c", f"{name} holds {kind} values; give real numbers.")
    if traced:
        values = _mapped(statistic, _traceable(x, "x"), _traceable(y, "y"), key, permutations, batch)
    else:
        shuffled = lambda number: np.asarray(y)[np.asarray(_shuffle(key, rows[0][0], number))]
        values = jnp.asarray(np.stack([np.asarray(statistic(x, shuffled(i))) for i in range(permutations + 1)]))
    checks.require(values.ndim == 1, f"the statistic has shape {values.shape[1:]}; it must be a scalar.")
    if checks.is_concrete(values):
        checks.require(
            bool(jnp.isfinite(values[0])),
            f"the statistic is {float(values[0])} on the data as they are; call it on them by itself to see why.",
        )
    return _compare(values, rows[0][0])


def _traceable(array: Any, name: str) -> jax.Array:
    """As a JAX array; refused where that would make other values of them, as it may without x64."""
    if checks.is_concrete(array) and not isinstance(array, jax.Array):
        array = np.asarray(array)
    cast = jnp.asarray(array)
    if not isinstance(array, np.ndarray) or array.dtype == cast.dtype:
        return cast
    if array.dtype.kind in "iu":
        beyond = array[array != np.asarray(cast)]
        if beyond.size:
            raise checks.InputError(
                f"an entry of {name} is {beyond[0]}, which {cast.dtype} cannot hold; give floats (astype(float)), or "
                "compute with integers of 64 bits (jax.enable_x64)."
            )
    else:
        whole, rounded = (np.reshape(values, (len(array), -1)).T for values in (array, cast))
        for column, short in zip(whole, rounded, strict=True):
            with np.errstate(invalid="ignore"):  # of infinities, which the statistic will refuse
                far = np.abs(column).max() > 2 * np.ptp(column)
            before, after = (len(np.unique(values)) if far else 0 for values in (column, short))
            checks.require(
                after >= (1 - ROUNDED[1]) * before,
                f"a column of {name} has {before:,} distinct values and {after:,} as {cast.dtype}; take its first "
                "entry off, or compute in float64 (jax.enable_x64).",
            )
    return cast


@partial(jax.jit, static_argnums=(0, 4, 5))
def _mapped(
    statistic: Statistic, x: jax.Array, y: jax.Array, key: jax.Array, permutations: int, batch: int
) -> jax.Array:
    """The statistic on the data, then on every permutation: one program, so that equal means equal."""
    one = lambda number: statistic(x, y[_shuffle(key, len(y), number)])
    return lax.map(one, jnp.arange(permutations + 1), batch_size=min(batch, permutations + 1))


@partial(jax.jit, static_argnums=1)
def _shuffle(key: jax.Array, n: int, number: jax.Array) -> jax.Array:
    """Permutation number 0 is the identity."""
    shuffled = jax.random.permutation(jax.random.fold_in(key, number), n)
    return jnp.where(number == 0, jnp.arange(n), shuffled)


@partial(jax.jit, static_argnums=1)
def _compare(values: jax.Array, n: int) -> PermutationTest:
    values = values.astype(jnp.promote_types(values.dtype, jnp.float32))
    observed, permuted = values[0], values[1:]
    slack = jnp.finfo(values.dtype).eps * n**0.5 * jnp.abs(observed)  # n terms summed in another order
    exceedances = jnp.sum(~(permuted < observed - slack))
    total = jnp.asarray(len(permuted), exceedances.dtype)
    p_value = ((1 + exceedances) / (1 + total)).astype(values.dtype)
    return PermutationTest(observed, p_value, exceedances, total)
