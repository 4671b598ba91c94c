"""The problem at a slope, its kernel, its certificate: what every solver here starts from and is judged by.

At slope s (nats per unit of distortion inside this folder) the rate-distortion function is the best q of

    L(s) = min_q  -sum_x p_x ln (K q)_x,    K_xj = exp(-s d_xj),

and with c_j = sum_x p_x K_xj / (K q)_x any q proves its own quality: the channel W(j|x) = K_xj q_j / (K q)_x has
I + s D = -sum p ln(K q) - sum_j q_j c_j ln c_j, and no channel does better than -sum p ln(K q) - ln max_j c_j (Blahut
1972, theorem 6; theory notes, section 10). The kernel is row-shifted: least_x = min_j d_xj is taken off each row, so
that every row has a 1 in it whatever the slope.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.typing import ArrayLike

from rdjax import checks
from rdjax.numerics import LN2, floating, on_device
from rdjax.rate_distortion.reductions import inner, largest, total
from rdjax.shards import automatic, on_host
from rdjax.trees import register_dataclass

HIGHEST = lax.Precision.HIGHEST
NARROW = 1e-4  # bits of tolerance that float32 can certify of some thousand symbols


@register_dataclass
@dataclass(frozen=True)
class Problem:
    """source p [X], excess (d_xj - least_x) / unit [X, M] (inf: forbidden), least [X]; feasible: all have a finite d.

    The unit is a power of 2 near the largest finite excess, so nothing depends on what distortions are measured in; and
    slopes inside this folder are nats per unit.
    """

    source: jax.Array
    excess: jax.Array
    least: jax.Array
    feasible: jax.Array
    unit: jax.Array


def pose(source: ArrayLike, distortion: ArrayLike) -> Problem:
    """A problem from a source [X] and a distortion [X, M], checked; the source is normalized.

    Raises:
      InputError: shapes that do not belong together, a source that is no law, NaN or -inf in the distortion, a source
        symbol of positive probability whose every distortion is infinite.
    """
    shape = np.shape(distortion)
    checks.require(
        len(shape) == 2 and min(shape) > 0,
        f"the distortion has shape {shape}; it must be [X, M], source symbols by reproductions (use vmap for many).",
    )
    turned = np.shape(source) == shape[1:]
    what = "its rows are source symbols, so transpose it" if turned else f"the source must be [{shape[0]}]"
    checks.require(
        np.shape(source) == shape[:1], f"the source has shape {np.shape(source)} and the distortion {shape}; {what}."
    )
    if checks.is_concrete(source):
        checks.law(on_host(source), "the source", rounded=True)
    if checks.is_concrete(distortion):
        held = distortion.dtype if isinstance(distortion, jax.Array) else np.asarray(distortion).dtype
        real = held.kind in "fiub" or jnp.issubdtype(held, jnp.floating)
        checks.require(real, f"the distortion holds {held} values; it must hold numbers.")
    shifted, base = _narrowed(distortion)
    problem, usual = _shift(*(automatic(floating(array)) for array in (source, shifted)))
    if base is not None:
        problem = replace(problem, least=problem.least + floating(base).astype(problem.least.dtype))
    if checks.is_concrete(usual, source, distortion) and not usual:
        _check_rows(on_host(distortion), on_host(source))
    return problem


def _narrowed(distortion: Any) -> tuple[Any, np.ndarray | None]:
    """A float64 matrix on the host less the least of each row, and these, where x64 is off and would take their digits.

    Raises:
      InputError: a finite number that float32 takes for infinite.
    """
    if isinstance(distortion, jax.Array) or not checks.is_concrete(distortion):
        return distortion, None
    held = np.asarray(distortion)
    wide = held.astype(np.float64) if held.dtype.kind in "iu" else held
    if jax.dtypes.canonicalize_dtype(wide.dtype) == wide.dtype or wide.dtype.kind != "f":
        return distortion, None
    least = wide.min(axis=1)
    usable = np.isfinite(least)
    moved = np.where(usable[:, None], wide - np.where(usable, least, 0)[:, None], wide)
    finite = np.where(np.isfinite(moved), np.abs(moved), 0)
    largest = max(float(finite.max(initial=0)), float(np.abs(least[usable]).max(initial=0)))
    words = f"the distortion has numbers {largest:.2g} apart or from 0, beyond float32; scale it down"
    checks.require(largest < float(np.finfo(np.float32).max), f"{words}, or turn on JAX's x64.")
    return moved, np.where(usable, least, 0)


def least_size(problem: Problem) -> jax.Array:
    """sum_x p_x |least_x|: what the mean of the least distortions is rounded by, in ulps."""
    return jnp.sum(problem.source * jnp.abs(problem.least))


def _check_rows(d: np.ndarray, p: np.ndarray) -> None:
    least = d.min(axis=1)  # NaN and -inf come through, and inf only if all are
    bad = np.isnan(d) | np.isneginf(d)
    place = tuple(int(i) for i in np.unravel_index(np.argmax(bad), bad.shape))
    checks.require(not bad.any(), f"the distortion is {d[place]} in row {place[0]}, column {place[1]}; use a number.")
    lost = (p > 0) & ~np.isfinite(least)
    row = int(np.argmax(lost))
    checks.require(
        not lost.any(), f"every distortion in row {row} is infinite, so no code can serve symbol {row}; allow one."
    )


@jax.jit
def _shift(p: jax.Array, d: jax.Array) -> tuple[Problem, jax.Array]:
    """The problem, and whether there is no NaN and every row has a least distortion that is a number.

    -inf comes through a minimum, and the largest number, which stands for inf, only where a row holds nothing else. NaN
    does not always: the CPU's minimum of a long row drops it. Under jit nobody asks whether, and it is not computed.
    """
    dtype = jnp.promote_types(p.dtype, d.dtype)
    p, d, most = p.astype(dtype), d.astype(dtype), jnp.finfo(dtype).max
    least = lax.stop_gradient(jnp.min(jnp.minimum(d, most), axis=1))
    known = jnp.isfinite(least) & (least < most)
    feasible = jnp.all(known | (p == 0) & (least == most))
    usual = jnp.all(known) & ~jnp.any(jnp.isnan(d))
    p = jnp.where(jnp.all(p >= 0), p, jnp.nan)  # in a trace nobody has refused it
    excess = d - least[:, None]
    widest = lax.stop_gradient(jnp.max(jnp.where(jnp.isfinite(excess), excess, 0)))
    unit = jnp.where(widest > 0, jnp.ldexp(jnp.ones_like(widest), jnp.frexp(widest)[1] - 1), 1)
    return Problem(p / total(p), excess / unit, jnp.where(known, least, 0), feasible, unit), usual


def slopes_in_nats(slope: ArrayLike, problem: Problem) -> jax.Array:
    """Slopes in bits per unit of distortion, checked, to nats per `Problem.unit`, in the precision of the problem.

    Raises:
      InputError: a slope that is negative or not finite.
    """
    dtype = problem.source.dtype
    if checks.is_concrete(slope):
        try:
            values = np.asarray(slope, np.float64)
        except (TypeError, ValueError):
            raise checks.InputError(
                f"the slope holds {checks.held(slope)}; give bits per unit of distortion."
            ) from None
        good = bool(np.all((values >= 0) & (values < float(jnp.finfo(dtype).max))))
        checks.require(good, "a slope is negative, infinite or NaN; slopes are bits per unit, at least 0.")
        slope = on_device(values, dtype)
    nats = jnp.asarray(slope, dtype) * LN2 * problem.unit
    return jnp.minimum(nats, float(jnp.finfo(dtype).max) / 4)  # beyond, nothing changes; NaN stays


def tolerance_in_nats(tolerance: float | None, dtype: Any, usual: float) -> float:
    """A tolerance in nats, checked; None stands for `usual` bits, or for those that float32 can certify."""
    if tolerance is None:
        tolerance = usual if dtype == jnp.float64 else NARROW
    try:
        bits = float(tolerance)
    except (TypeError, ValueError):  # text, arrays, what is traced
        bits = 0.0
    checks.require(bits > 0, f"the tolerance is {tolerance!r}; it must be a positive number (bits), static under jit.")
    return bits * LN2


def kernel_of(excess: jax.Array, slope: jax.Array) -> jax.Array:
    """exp(-slope * excess), 0 where the excess is infinite, also at slope 0; differentiable everywhere.

    Half the time of an easy problem goes in here. So an infinite excess is made a large one, which takes no comparison,
    and the slope is a little steeper than it is: `steeper` nats per unit.
    """
    return jnp.exp(-(slope + steeper(excess.dtype)) * jnp.minimum(excess, _far(excess.dtype)))


def steeper(dtype: Any) -> float:
    """What `kernel_of` adds to a slope, so that at slope 0 an infinite excess has no weight: 6e-18 in float32.

    No more than that takes: a rate of large distortions has to count it.
    """
    nothing = 120.0 if dtype == jnp.float32 else 800.0  # nats: exp(-nothing) is 0
    return nothing / _far(dtype)


def _far(dtype: Any) -> float:
    return float(jnp.finfo(dtype).max) ** 0.5


def mixture(kernel: jax.Array, law: jax.Array) -> jax.Array:
    """(K q)_x [X], floored where it underflows."""
    return jnp.maximum(jnp.matmul(kernel, law, precision=HIGHEST), jnp.finfo(kernel.dtype).tiny)


def of_mixture(function: Callable[[jax.Array], jax.Array], mix: jax.Array, source: jax.Array) -> jax.Array:
    """A function of each (K q)_x that does not move where that is small and the symbol has no mass.

    Such a symbol has a part in derivatives alone: by its probability, the function; by anything else 0 times powers of
    1 / (K q)_x, which have to be numbers.
    """
    moves = (source > 0) | (mix > float(jnp.finfo(mix.dtype).tiny) ** 0.25)
    return jnp.where(moves, function(jnp.where(moves, mix, 1)), lax.stop_gradient(function(mix)))


def shares(kernel: jax.Array, source: jax.Array, law: jax.Array) -> jax.Array:
    """p_x / (K q)_x [X]."""
    return source * of_mixture(jnp.reciprocal, mixture(kernel, law), source)


def ratios(kernel: jax.Array, source: jax.Array, law: jax.Array) -> jax.Array:
    """c_j = sum_x p_x K_xj / (K q)_x [M]: what a Blahut-Arimoto step multiplies q by, 1 on the support at the end."""
    return jnp.matmul(shares(kernel, source, law), kernel, precision=HIGHEST)


def plain_gap(law: jax.Array, ratio: jax.Array) -> jax.Array:
    """Nats, before rounding is allowed for: the larger of Blahut's gap ln max c - kl and kl = sum q c ln c.

    kl is the divergence of the output that the channel has, q c, from q: that it is small too makes q a fixed point.
    """
    kl = inner(ratio * jnp.log(jnp.where(ratio > 0, ratio, 1)), law)
    return jnp.maximum(jnp.log(largest(ratio)) - kl, kl)


def rounding(dtype: Any, shape: tuple[int, ...]) -> float:
    """Nats that sums of X and M terms may be off by: what no solver can certify below, in this precision.

    Errors of a sum of n positive terms grow like sqrt(n) ulps at most in the blocked sums that XLA makes; the factor is
    generous, and `benchmarks/rate_distortion.py` holds float32 gaps against float64.
    """
    return float(jnp.finfo(dtype).eps) * (16 + 2 * float(sum(shape)) ** 0.5)


def reachable(tolerance: float, problem: Problem) -> float:
    """The plain gap in nats at which a solver may stop: below the tolerance by the rounding, if precision allows."""
    floor = rounding(problem.source.dtype, problem.excess.shape)
    return max(tolerance - 2 * floor, floor)
