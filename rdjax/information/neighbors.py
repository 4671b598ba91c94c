"""Entropy and mutual information of continuous data from distances to nearest neighbors.

x is [n, d], one row per observation. A neighbor is sought in the joint space, whose distance is the largest of the
distances in x, in y (and in z): whatever the norm inside each, a joint ball is a product of balls of one radius.

norm: "max", the largest difference of a column (Kraskov's); "euclidean", inside x, inside y and inside z, never across:
  the rows counted with row i are those with max(|x_i - x_j|, |y_i - y_j|) below its radius. Euclidean distances of more
  than 16 columns come from matrix products, twice as fast at 25 + 25 columns, six times at 256 + 256. Their squares
  are then off by up to (d + 2) eps (|x_i|^2 + |x_j|^2), x less its mean; a square below that counts as 0, so that it
  shows as a tie, or is refused.
method: "blocks", all distances, one block of rows after the other, on the device, traceable; "tree", a k-d tree on the
  host in float64 (SciPy), never under jit, vmap or grad, whose time grows as n log n, but with every column; "auto",
  the tree where it can be had on a CPU and n > 100 * 2.5^columns of all arrays, which is where it becomes the faster.
memory: bytes that the blocks may take, beside the data; None: 8 MiB on a CPU, whose caches they then stay in, and 256
  MiB elsewhere, or what one row takes where that is more.

Repeated values (see `ties`): variants 1 and 2 refuse rows whose k-th neighbor is at distance 0, and more than 1% of
rows with further neighbors as far away as the k-th. `dither` undoes rounding; variant "mixed" is for laws that are
partly discrete.
"""

import math
from collections.abc import Mapping
from functools import partial
from numbers import Real
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.scipy.special import digamma
from jax.typing import ArrayLike
from scipy import special

from rdjax import checks
from rdjax.information import distances, ties, tree
from rdjax.information.distances import Balls
from rdjax.information.rows import check_observations, observations
from rdjax.numerics import LN2, without_gradient

CACHE, DEVICE = 2**23, 2**28  # bytes; blocks that stay in a CPU's caches are twice as fast, accelerators want more
TREE = 0  # rows of a block, where there are none
_MARGINALS = ((0,), (1,))
_CONDITIONAL = ((0, 2), (1, 2), (2,))


def kozachenko_leonenko(
    x: ArrayLike, neighbors: int = 3, *, norm: str = "max", method: str = "auto", memory: float | None = None
) -> jax.Array:
    """Differential entropy from the distance r_i of each row to its k-th neighbor.

        h = psi(n) - psi(k) + log v_d + (d / n) sum_i log r_i

    with v_d the volume of the unit ball: 2^d under the maximum norm, pi^(d/2) / Gamma(d/2 + 1) under the Euclidean.

    Args:
      x: [n, d]; scaling it by a adds d log2 a bits.
      neighbors: k >= 1, fewer than n. Static, as what follows is.
      norm, method, memory: see the top of this file.

    Returns:
      bits, a scalar, of either sign. Under jit -inf where the k-th neighbor of a row is at distance 0.

    Raises:
      InputError: a k-th neighbor at distance 0 (a law with atoms has no density), or nearer than a matrix product can
        tell, shapes, NaN, an unknown option.

    Gradients: of the estimate itself, with the neighbors held fixed: exact wherever the k-th neighbor is unique. They
    move the rows apart, and are in the units of 1 / x.

    Source: Kozachenko and Leonenko 1987; Kraskov, Stoegbauer and Grassberger 2004, equation (20).
    """
    (points,), rows = _prepare({"x": x}, neighbors, norm, method, memory)
    if rows == TREE:
        number = tree.kth_neighbor(points, neighbors, norm)
        bits, zero = _entropy(points, number, number < 0, neighbors, norm, np)
    else:
        number, lost = _kth_neighbor(lax.stop_gradient(points), neighbors, norm, rows)
        bits, zero = _entropy_traced(points, number, lost, neighbors, norm)
    if checks.is_concrete(zero):
        products = rows != TREE and norm == "euclidean" and points.shape[1] > distances.DIRECT
        near = f", or too near for {points.dtype} to tell (float64 or method='tree' may)" if products else ""
        checks.require(
            int(zero) == 0,
            f"{int(zero):,} of {len(points):,} rows have their k-th neighbor at distance 0{near}, and a law with atoms "
            f"has no differential entropy; count symbols instead (entropy_from_counts), or dither rounded columns.",
        )
    return jnp.asarray(bits)


def ksg(
    x: ArrayLike,
    y: ArrayLike,
    neighbors: int = 3,
    *,
    variant: int | str = 1,
    norm: str = "max",
    method: str = "auto",
    memory: float | None = None,
) -> jax.Array:
    """Mutual information by Kraskov, Stoegbauer and Grassberger.

        1:        psi(k) + psi(n) - < psi(a_i) + psi(b_i) >
        2:        psi(k) - 1/k + psi(n) - < psi(a_i) + psi(b_i) >
        "mixed":  < psi(k_i) + psi(n) - psi(a_i) - psi(b_i) >

    1: a_i rows, i itself among them, are nearer in x than r_i, the joint distance to the k-th neighbor; b_i in y.
    2: a_i other rows are at most as far in x as the farthest of the k joint neighbors is in x; b_i in y.
    "mixed": as 1 where nothing ties. Where more than k rows are within r_i, k_i is how many are, a_i and b_i count the
      rows at r_i too, and where r_i = 0 row i counts in k_i: then the sum is over a table of symbols, with its bias
      taken off to first order. Right for discrete, for continuous, and for x, y that are a mixture of both.

    Args:
      x: [n, d]; y: [n, e]. Columns should be on comparable scales, since neighbors are sought in all of them
        at once, and without heavy tails: asinh or ranks of a column carry the same information, and read better.
      neighbors: k >= 1, fewer than n. Static, as what follows is.
      variant: 1, 2 or "mixed".
      norm, method, memory: see the top of this file; "tree" takes norm="max" only.

    Returns:
      bits, a scalar; it scatters about 0 where x and y are independent, so it can be negative. It saturates: calibrate
      it (`calibrate_estimator`). Under jit, inf where ties would be refused.

    Raises:
      InputError: ties (see the top of this file; "mixed" allows 25% of rows above distance 0), shapes, NaN, an unknown
        option.
      TypeError: when differentiated: counts are piecewise constant, so their gradient says nothing.

    Source: Kraskov, Stoegbauer and Grassberger 2004, equations (8) and (9); "mixed" after Gao, Kannan, Oh and Viswanath
    2017, with digammas in place of logarithms and open balls where nothing ties, so that it is variant 1 there.
    """
    _option(variant, tuple(ties.ROUNDED), "variant")
    spaces, rows = _prepare({"x": x, "y": y}, neighbors, norm, method, memory, joint=True)
    groups = None if variant == 2 else _MARGINALS
    return _information(spaces, groups, (-1, -1), neighbors, variant, norm, rows)


def ksg_conditional(
    x: ArrayLike,
    y: ArrayLike,
    z: ArrayLike,
    neighbors: int = 3,
    *,
    variant: int | str = 1,
    norm: str = "max",
    method: str = "auto",
    memory: float | None = None,
) -> jax.Array:
    """Conditional mutual information I(X; Y | Z) by nearest neighbors.

        < psi(k) - psi(a_i) - psi(b_i) + psi(c_i) >

    with a_i, b_i, c_i the rows nearer than the k-th joint neighbor of row i in (x, z), in (y, z) and in z, i among
    them. "mixed" treats ties as `ksg` does. With few rows or many columns it is pulled to 0.

    Args:
      x: [n, d]; y: [n, e]; z: [n, f].
      neighbors, norm, method, memory: as in `ksg`.
      variant: 1 or "mixed".

    Returns:
      bits, a scalar, of either sign. Under jit, inf where ties would be refused.

    Raises:
      InputError, TypeError: as `ksg`.

    Source: Frenzel and Pompe 2007; for ties Mesner and Shalizi 2021.
    """
    _option(variant, (1, "mixed"), "variant")
    spaces, rows = _prepare({"x": x, "y": y, "z": z}, neighbors, norm, method, memory, joint=True)
    return _information(spaces, _CONDITIONAL, (-1, -1, 1), neighbors, variant, norm, rows)


def _information(
    spaces: tuple,
    groups: tuple | None,
    signs: tuple[int, ...],
    neighbors: int,
    variant: int | str,
    norm: str,
    rows: int,
) -> jax.Array:
    """Bits from the counts in each group of spaces, added up by its sign; without groups, in boxes."""
    if rows == TREE:
        found = tree.balls(spaces, groups, neighbors) if groups else tree.boxes(spaces, neighbors)
        bits, tied = _sum_up(found, signs, neighbors, variant, np)
    else:
        found = _count(tuple(map(_counted, spaces)), groups, neighbors, norm, rows)
        bits, tied = _sum_up_traced(found, signs, neighbors, variant)
    return jnp.asarray(ties.unless_refused(bits, tied, variant))


@partial(jax.jit, static_argnums=(1, 2, 3, 4))
def _count(spaces: tuple, groups: tuple | None, neighbors: int, norm: str, rows: int) -> Balls:
    laid_out = distances.laid_out(spaces, norm)
    if groups is None:
        return distances.boxes(laid_out, neighbors, rows)
    return distances.balls(laid_out, groups, neighbors, rows)


@partial(jax.jit, static_argnums=(1, 2, 3))
def _kth_neighbor(points: jax.Array, neighbors: int, norm: str, rows: int) -> tuple[jax.Array, jax.Array]:
    (one,) = distances.laid_out([points], norm)
    return distances.kth_neighbor(one, neighbors, rows)


def _sum_up(found: Balls, signs: tuple, neighbors: int, variant: int | str, xp: Any = jnp) -> tuple[Any, ties.Tied]:
    """The mean of the digammas in bits, inf where ties refuse it, and those ties."""
    n, dtype = found.radius.shape[0], found.radius.dtype
    psi = lambda count: (digamma if xp is jnp else special.digamma)(count.astype(dtype))
    at_zero = found.radius <= 0
    joint = float(special.digamma(neighbors)) - (1 / neighbors if variant == 2 else 0.0)
    if variant == "mixed":
        joint = xp.where(found.tied, psi(found.within + at_zero), joint)
    rows = joint + sum(sign * psi(count) for sign, count in zip(signs, found.counts, strict=True))
    constant = float(special.digamma(n)) if len(signs) == 2 else 0.0  # conditioning takes it off
    tied = ties.count_ties(at_zero, found.tied, variant)
    return xp.where(tied.refused, xp.inf, (rows.mean() + constant) / LN2), tied


def _entropy(points: Any, number: Any, lost: Any, neighbors: int, norm: str, xp: Any = jnp) -> tuple[Any, Any]:
    """Bits from each row's difference to its neighbor, exact whatever found it, and how many are at distance 0.

    `lost` [n]: rows whose neighbor was not found, since distances were 0 to rounding; they count among these.
    """
    n, d = points.shape
    gap = points - points[number]
    size = xp.abs(gap).max(axis=1)
    zero = lost | (size <= 0)
    size = xp.where(zero, 1, size)
    if norm == "max":
        logs, volume = xp.log(size), d * math.log(2)
    else:
        unit = lax.stop_gradient(size) if xp is jnp else size  # squares of the gaps themselves may underflow
        squares = ((gap / unit[:, None]) ** 2).sum(axis=1)
        logs = xp.log(unit) + xp.log(xp.where(zero, 1, squares)) / 2
        volume = d / 2 * math.log(math.pi) - math.lgamma(d / 2 + 1)
    constant = float(special.digamma(n) - special.digamma(neighbors)) + volume
    return xp.where(zero.any(), -xp.inf, (constant + d * logs.mean()) / LN2), zero.sum()


_sum_up_traced = jax.jit(_sum_up, static_argnums=(1, 2, 3))
_entropy_traced = jax.jit(_entropy, static_argnums=(3, 4))


def _prepare(
    arrays: Mapping[str, Any], neighbors: int, norm: str, method: str, memory: float | None, *, joint: bool = False
) -> tuple[tuple, int]:
    """The arrays, laid out for the method, and the rows of a block, or TREE.

    Joint neighbors are products of balls, which a tree has under the maximum norm only.
    """
    _option(norm, ("max", "euclidean"), "norm")
    _option(method, ("auto", "blocks", "tree"), "method")
    k = checks.whole(neighbors, "neighbors")
    checks.require(memory is None or isinstance(memory, Real), f"memory is {memory!r}; it must be a number of bytes.")
    if method == "tree":
        _option(norm if joint else "max", ("max",), "with method='tree', norm")
        checks.require(
            checks.is_concrete(*arrays.values()),
            "method='tree' runs on the host, so it cannot be traced by jit, vmap or grad; use method='blocks'.",
        )
    if method == "tree" or (method == "auto" and (norm == "max" or not joint) and _tree_is_faster(arrays)):
        check_observations(arrays, k + 1)
        return tuple(np.asarray(array, np.float64) for array in arrays.values()), TREE
    spaces = observations(arrays, k + 1, moved=True)
    row = distances.row_memory(spaces, norm)
    if memory is None:
        memory = max(row, CACHE if jax.default_backend() == "cpu" else DEVICE)
    checks.require(memory >= row, f"distances from one row take {row:,} bytes and memory is {memory:,.0f}; give more.")
    n = len(spaces[0])
    return spaces, n if memory >= n * row else int(memory // row)


def _tree_is_faster(arrays: Mapping[str, Any]) -> bool:
    """Where `benchmarks/information_neighbors.py --crossover` has both level, about: see `method` at the top."""
    shapes = [np.shape(array) for array in arrays.values()]
    if not checks.is_concrete(*arrays.values()) or jax.default_backend() != "cpu" or any(len(s) != 2 for s in shapes):
        return False
    return math.log(max(1, shapes[0][0])) > math.log(100) + math.log(2.5) * sum(columns for _, columns in shapes)


def _option(value: Any, known: tuple, what: str) -> None:
    checks.require(value in known, f"{what} is {value!r}; it must be {' or '.join(repr(one) for one in known)}.")


_counted = without_gradient(
    "KSG estimates count neighbors, so they are piecewise constant in the data and their gradient says nothing; "
    "maximize a variational bound instead (infonce, nwj), or wrap the data in jax.lax.stop_gradient."
)
