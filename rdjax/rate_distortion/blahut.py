"""Blahut-Arimoto as one `lax.while_loop`, stopped by the certified gap in bits, never by a change between iterates.

The step is q <- q c(q) (see `problem`), with a squared extrapolation every third time (see `ascent`); after every three
it looks how far from the optimum it is. A step costs two matrix-vector products, so this is the solver for very large
or easy problems, and for a modest gap; where it needs thousands of steps, `newton` needs a dozen or two. Source: Blahut
1972.
"""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import ArrayLike

from rdjax import checks
from rdjax.rate_distortion.ascent import Ascent, ascend, begin, cycle, ended
from rdjax.rate_distortion.implicit import Found, points_of
from rdjax.rate_distortion.problem import (
    Problem,
    kernel_of,
    plain_gap,
    pose,
    ratios,
    slopes_in_nats,
    tolerance_in_nats,
)
from rdjax.rate_distortion.reductions import total
from rdjax.rate_distortion.solution import RateDistortion

USUAL = 1e-6  # bits of tolerance, in float64
MAX_STEPS = 10_000
IN_FLIGHT = 2**16  # kernel entries of the slopes that are swept together; one slope at a time above this
NEAR = 1e-3  # nats of the source's own law up to which a step from it is a better start than the uniform law
SPREAD = 1e-6  # of the mass that is spread out there


def blahut_arimoto(
    source: ArrayLike,
    distortion: ArrayLike,
    slope: ArrayLike,
    *,
    tolerance: float | None = None,
    max_steps: int | None = None,
) -> RateDistortion:
    """The point of R(D) at a slope, by Blahut-Arimoto: min over channels of I(X; J) + slope * E d(X, J).

    Args:
      source: law p of the source [X]; zero probabilities are fine.
      distortion: [X, M], any finite numbers or +inf (forbidden); rectangular is fine.
      slope: s = -dR/dD, bits per unit of distortion, at least 0, any shape; neighbors start from each other's law. At
        slope 0 infinite distortions stay forbidden: the limit from above.
      tolerance: bits; it stops when the certified gap is below. None: 1e-6, in float32 1e-4.
      max_steps: 10,000 by default, and up to two more to end a cycle. Static, as the tolerance is.

    Returns:
      `RateDistortion`, fields the shape of `slope` (output [..., M]). In float32 a gap below about 1e-5 bits cannot be
      certified and `status` says so. For batches of sources or distortions use `vmap`: on accelerators many that share
      distortion and slope make one matrix product.

    Raises:
      InputError: a source that is no law, a symbol whose distortions are all infinite (under jit: an infinite rate and
        a status), NaN, a negative slope, shapes that do not belong together.

    Gradients: see `RateDistortion`. Choose this for a modest gap, sharp kernels, or matrices too large for an M x M
    solve; `interior_point` otherwise. Source: Blahut 1972, theory notes, section 10.
    """
    problem = pose(source, distortion)
    steps = checks.whole(MAX_STEPS if max_steps is None else max_steps, "max_steps")
    enough = tolerance_in_nats(tolerance, problem.source.dtype, USUAL)
    return _points(problem, slopes_in_nats(slope, problem), enough, steps)


@partial(jax.jit, static_argnums=(2, 3))
def _points(problem: Problem, slopes: jax.Array, tolerance: float, max_steps: int) -> RateDistortion:
    find = _in_turn if problem.excess.size > IN_FLIGHT or slopes.size <= 1 else _in_lanes
    return points_of(partial(find, max_steps=max_steps), problem, slopes, tolerance)


def uniform(problem: Problem) -> jax.Array:
    """The law every solver starts from."""
    size = problem.excess.shape[1]
    return jnp.full(size, 1 / size, problem.source.dtype)


def unless_its_own(
    kernel: jax.Array, problem: Problem, enough: ArrayLike, solve: Callable[[jax.Array], Found]
) -> Found:
    """The source's own law where its plain gap is at most `enough` nats, its gap, 0 steps; else what `solve` gives.

    It is the output's where the kernel is sharp and symbols are their own best reproductions, and is looked at where
    these are as many. That costs the two products of a step, so `solve` starts from this step where it ends near.
    """
    source, size = problem.source, kernel.shape[1]
    if kernel.shape[0] != size:
        return solve(uniform(problem))
    ratio = ratios(kernel, source, source)
    gap = plain_gap(source, ratio)
    none = jnp.zeros((), jnp.int32)

    def search() -> Found:
        stepped = jnp.maximum(source * ratio, SPREAD / size)  # or a column could be lost for good
        return solve(jnp.where(gap <= NEAR, stepped / total(stepped), uniform(problem)))

    return lax.cond(gap <= enough, lambda: Found(source, gap, none, none > 0), search)


def warm(law: jax.Array) -> jax.Array:
    """A law to start a neighboring slope from: one percent is spread out, so that no column is lost for good."""
    return 0.99 * law + 0.01 / law.shape[-1]


def _in_turn(problem: Problem, slopes: jax.Array, enough: float, max_steps: int) -> Found:
    """One slope after the other, each from the last one's law."""

    def solve(kernel: jax.Array, law: jax.Array) -> Found:
        found = ascend(kernel, problem.source, law, enough, max_steps)
        return Found(found.law, found.gap, found.steps, found.steps >= max_steps)

    def next_one(law: jax.Array, slope: jax.Array) -> tuple[jax.Array, Found]:
        found = solve(kernel_of(problem.excess, slope), law)
        return warm(found.law), found

    if slopes.shape[0] == 1:  # no loop around it, inside which the CPU runs elementwise work on one thread
        kernel = lax.optimization_barrier(kernel_of(problem.excess, slopes[0]))
        found = unless_its_own(kernel, problem, enough, partial(solve, kernel))
        return jax.tree.map(lambda x: x[None], found)
    return lax.scan(next_one, uniform(problem), slopes)[1]


def _in_lanes(problem: Problem, slopes: jax.Array, enough: float, max_steps: int) -> Found:
    """Small problems: several slopes swept together; a lane that is done takes the next slope, so none waits long."""
    count, lanes = slopes.shape[0], min(slopes.shape[0], max(1, IN_FLIGHT // problem.excess.size))
    sweep = jax.vmap(cycle, in_axes=(0, None, 0))

    def finished(state: Ascent, index: jax.Array) -> jax.Array:
        return (index < count) & ended(state, enough, max_steps)

    def advance(carry: tuple) -> tuple:
        found, index, law, taken = carry
        kernels = jax.vmap(kernel_of, in_axes=(None, 0))(problem.excess, slopes[jnp.minimum(index, count - 1)])
        state = jax.vmap(begin, in_axes=(0, None, 0))(kernels, problem.source, law)._replace(steps=taken)
        state = lax.while_loop(
            lambda now: ~jnp.any(finished(now, index)), lambda now: sweep(kernels, problem.source, now), state
        )
        done = finished(state, index)
        place = jnp.where(done, index, count)  # the others are dropped
        found = tuple(
            kept.at[place].set(new, mode="drop")
            for kept, new in zip(found, (state.law, state.gap, state.steps), strict=True)
        )
        ahead = jnp.max(index) + jnp.cumsum(done)
        law = jnp.where(done[:, None], warm(state.law), state.law)
        return found, jnp.where(done, ahead, index), law, jnp.where(done, 0, state.steps)

    empty = (
        jnp.zeros((count, problem.excess.shape[1]), slopes.dtype),
        jnp.zeros(count, slopes.dtype),
        jnp.zeros(count, jnp.int32),
    )
    start = jnp.broadcast_to(uniform(problem), (lanes, problem.excess.shape[1]))
    first = (empty, jnp.arange(lanes), start, jnp.zeros(lanes, jnp.int32))
    law, gap, steps = lax.while_loop(lambda carry: jnp.any(carry[1] < count), advance, first)[0]
    return Found(law, gap, steps, steps >= max_steps)
