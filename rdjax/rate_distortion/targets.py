"""A target distortion: checked, in units of the problem with all its digits, and what rounding it may cost."""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from rdjax import checks
from rdjax.numerics import on_device
from rdjax.rate_distortion.problem import HIGHEST, Problem, least_size
from rdjax.shards import on_host

ROOM = 64  # ulps of D_min, or of 1, that a target may be below it
NOTHING = 1e-10  # of the largest distortion: a goal that is off by less is off by nothing


def check_numbers(target: Any) -> None:
    """Refuse a target that holds no numbers."""
    try:
        held = target.dtype if isinstance(target, jax.Array) else np.asarray(target).dtype
    except ValueError:  # lists of several lengths
        held = np.dtype(object)
    real = held.kind in "fiub" or jnp.issubdtype(held, jnp.floating)
    checks.require(real, f"the target distortion holds {held} values; it must hold numbers.")


def check_target(target: np.ndarray, problem: Problem) -> None:
    """Refuse a target that is NaN or below the least distortion there is."""
    best = float(on_host(problem.source) @ on_host(problem.least))
    slack = ROOM * float(jnp.finfo(problem.source.dtype).eps) * max(1.0, float(least_size(problem)))
    checks.require(not np.isnan(target).any(), "a target distortion is NaN; give a number.")
    low = float(np.min(target, initial=np.inf))
    words = f"a distortion of {low!r} is below the least any code can have; ask for at least {best!r}."
    checks.require(low >= best - slack, words)


def exact_excess(source: Any, distortion: Any, target: Any, problem: Problem) -> jax.Array:
    """(D - D_min) / unit with all digits of what is at hand: in float32 a difference of large numbers has none left.

    The problem may be of a trace that closed over the rest.
    """
    p, dtype = on_host(source).astype(np.float64), problem.source.dtype
    posed = isinstance(distortion, jax.Array) and checks.is_concrete(problem.least)  # then nothing large is copied
    d = on_host(problem.least) if posed else np.min(on_host(distortion).astype(np.float64), axis=1)
    least = np.where(p > 0, np.where(np.isfinite(d), d, 0), 0).astype(np.float64)
    wide = np.asarray(target, np.float64) - p @ least / p.sum()
    known = checks.is_concrete(problem.unit)
    return on_device(wide / float(problem.unit), dtype) if known else on_device(wide, dtype) / problem.unit


def doubt_of(problem: Problem, goal: jax.Array, slope: jax.Array, off: jax.Array) -> jax.Array:
    """Nats that R may be more than it says, as rounding may have moved the goal by `off` to where R is less.

    R is convex and at most ln X, so at goal - off it is more by ln X off / goal at most. Where that moves little the
    slope says it better, and the certificate has it.
    """
    most = math.log(max(problem.source.shape[0], 2)) * jnp.minimum(1, off / jnp.maximum(goal, off))
    costs = jnp.matmul(problem.source, problem.excess, precision=HIGHEST)
    end = (slope <= 0) & ~(goal > jnp.min(costs, where=~jnp.isnan(costs), initial=jnp.inf) + off)
    counts = (off > NOTHING) & (end | (off > 1e-3 * goal))
    return lax.stop_gradient(jnp.where(counts, most, 0))
