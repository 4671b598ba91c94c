"""Mutual information from counts of pairs, in bits, by each method of `entropy_from_counts`, and its standard error."""

import math
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from rdjax import checks
from rdjax.information.counts import (
    as_counts,
    check_method,
    estimate,
    in_enough_digits,
    known_symbols,
    standard_error,
)
from rdjax.numerics import on_device, safe_log, to_bits

Sizes = tuple[int, ...]


def contingency_table(*columns: ArrayLike, sizes: Sizes) -> jax.Array:
    """How often each combination of symbols occurs.

    Args:
      columns: one or more integer arrays [n], symbols numbered from 0; one column gives a plain histogram.
      sizes: the number of symbols of each column. Static.

    Returns:
      counts [*sizes], int32.

    Raises:
      InputError: columns of several lengths, as many sizes as there are not columns, 2^31 combinations or more, a
        symbol out of range (under jit its observation is left out).
    """
    shapes = {np.shape(column) for column in columns}
    sizes = checks.whole_tuple(sizes, "sizes", "a size")
    checks.require(len(columns) == len(sizes) > 0, f"{len(columns)} columns and {len(sizes)} sizes; give one for each.")
    checks.require(
        len(shapes) == 1 and len(next(iter(shapes))) == 1, f"the columns have shapes {sorted(shapes)}; all must be [n]."
    )
    cells = math.prod(sizes)
    checks.require(cells < 2**31, f"the table has {cells:,} cells, too many for int32; number what occurs instead.")
    for m, (column, size) in enumerate(zip(columns, sizes, strict=True)):
        if not checks.is_concrete(column):
            kind = jnp.result_type(column)
            checks.require(kind.kind in "iu", f"column {m} holds {kind} values; it must number symbols (integers).")
        else:
            checks.indices(np.asarray(column), size, f"column {m}", "symbols")
    return _tabulate([on_device(column) for column in columns], sizes)


def mutual_information_from_counts(
    table: ArrayLike, method: str = "miller_madow", *, symbols: Sizes | None = None
) -> jax.Array:
    """Estimate of I(X; Y) = H(X) + H(Y) - H(X, Y), each entropy by the same method.

    The joint entropy is the one with the most symbols and so with the most bias: the plug-in information is too high,
    by about (X - 1)(Y - 1) / (2 n) nats for independent variables, and a corrected one scatters around the truth, so it
    may be below 0. It is not cut off there.

    Args:
      table: counts of pairs [..., X, Y], whole numbers at least 0.
      method: one of `entropy_from_counts`. Static.
      symbols: how many symbols X and Y have, (K_X, K_Y), all K_X K_Y pairs of which may occur; None: unknown, and taken
        to be what was seen (`entropy_from_counts`).

    Returns:
      bits [...]; under jit inf for a table without observations.

    Raises:
      InputError: an unknown method, counts that are not such, no observation, fewer symbols than were seen.
      TypeError: when differentiated.

    Source: Panzeri and Treves, Network 7, 1996, for the bias; `entropy_from_counts` for the methods.
    """
    check_method(method)
    counts = as_counts(table, "the table's counts", 2)
    return _information(counts, _known(symbols, counts), method)


def mutual_information_standard_error(
    table: ArrayLike, method: str = "miller_madow", *, symbols: Sizes | None = None
) -> jax.Array:
    """Standard deviation of `mutual_information_from_counts` over samples, by leaving out one pair at a time.

    As `entropy_standard_error` does it, except that nsb, whose posterior has no closed form for I, is treated alike.

    Args:
      table, method, symbols: as there; two observations at least. The work is that of X Y estimates.

    Returns:
      bits [...]; under jit inf for a table with fewer than two observations.

    Raises:
      InputError: as there, and a single observation.
      TypeError: when differentiated.

    Source: Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 11.
    """
    check_method(method)
    counts = as_counts(table, "the table's counts", 2, least=2)
    return in_enough_digits(_information_error, counts, _known(symbols, counts), method, (-2, -1))


@partial(jax.jit, static_argnums=1)
def _tabulate(columns: list[jax.Array], sizes: Sizes) -> jax.Array:
    inside = jnp.ones(columns[0].shape, bool)
    place = jnp.zeros(columns[0].shape, jnp.int32)
    for column, size in zip(columns, sizes, strict=True):
        symbol = column.astype(jnp.int32) if column.dtype.itemsize < 4 else column  # a uint8 takes a size of 256 for 0
        inside &= (symbol >= 0) & (symbol < size)
        place = place * size + symbol.astype(jnp.int32)
    cells = math.prod(sizes)
    flat = jnp.zeros(cells, jnp.int32).at[jnp.where(inside, place, cells)].add(1, mode="drop")
    return flat.reshape(sizes)


@partial(jax.jit, static_argnums=2)
def _information(table: jax.Array, symbols: jax.Array, method: str) -> jax.Array:
    return to_bits(_nats(table, symbols, method))


@partial(jax.jit, static_argnums=2)
def _information_error(table: jax.Array, symbols: jax.Array, method: str) -> jax.Array:
    cells = lambda flat: flat.reshape(flat.shape[:-1] + table.shape[-2:])

    def influence(share: jax.Array) -> jax.Array:
        p = cells(share)
        marginals = safe_log(jnp.sum(p, axis=-1, keepdims=True)) + safe_log(jnp.sum(p, axis=-2, keepdims=True))
        return (safe_log(p) - marginals).reshape(share.shape)

    flat = table.reshape(*table.shape[:-2], -1)
    return to_bits(standard_error(lambda counts: _nats(cells(counts), symbols, method, True), influence, flat))


def _nats(table: jax.Array, symbols: jax.Array, method: str, smooth: bool = False) -> jax.Array:
    flat = table.reshape(*table.shape[:-2], -1)
    wide = lambda part: jnp.pad(part, [(0, 0)] * (part.ndim - 1) + [(0, flat.shape[-1] - part.shape[-1])])
    parts = jnp.stack([wide(jnp.sum(table, axis=-1)), wide(jnp.sum(table, axis=-2)), flat])  # one batch of histograms
    sizes = jnp.stack([symbols[0], symbols[1], symbols[0] * symbols[1]])
    of_x, of_y, of_both = estimate(parts, sizes.reshape(3, *[1] * (flat.ndim - 1)), method, smooth=smooth)
    return jnp.where(jnp.isfinite(of_both), of_x + of_y - of_both, jnp.inf)


def _known(symbols: Sizes | None, table: jax.Array) -> jax.Array:
    """The numbers of symbols of X and of Y [2], 0 where unknown."""
    if symbols is None:
        return jnp.zeros(2, table.dtype)
    sizes = checks.whole_tuple(symbols, "symbols", "the number of symbols")
    checks.require(len(sizes) == 2, f"symbols is {symbols!r}; give how many X has and how many Y has.")
    parts = jnp.sum(table, axis=-1), jnp.sum(table, axis=-2)
    named = zip(sizes, parts, ("X", "Y"), strict=True)
    return jnp.stack([known_symbols(size, part, f"the number of symbols of {name}") for size, part, name in named])
