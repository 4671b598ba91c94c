"""A whole R(D) curve in one call, and the rate at a given distortion.

R(D) = max_s { L(s) - s D }: the right slope is where D(s) meets the target. D(s) jumps where the curve is straight;
there the optimal laws at the one slope fill the jump, and a mixture of two of them meets the target exactly.
"""

import math
from dataclasses import replace
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.typing import ArrayLike

from rdjax import checks
from rdjax.numerics import on_device
from rdjax.rate_distortion.bordered import attach_slope
from rdjax.rate_distortion.implicit import a_few_at_a_time, attach, each
from rdjax.rate_distortion.newton import MAX_STEPS, USUAL, interior_point, solve_law
from rdjax.rate_distortion.polishing import polish
from rdjax.rate_distortion.problem import (
    HIGHEST,
    Problem,
    least_size,
    pose,
    reachable,
    rounding,
    tolerance_in_nats,
)
from rdjax.rate_distortion.solution import RateDistortion, certify, lagrangian, mean_excess
from rdjax.rate_distortion.targets import ROOM, check_numbers, check_target, doubt_of, exact_excess

MAX_SLOPES = 60
EXPONENT_RANGE = 0.95  # of the largest number's logarithm, nats: a slope beyond it changes nothing
HALVINGS = 60


def curve(
    source: ArrayLike, distortion: ArrayLike, slopes: ArrayLike, *, tolerance: float | None = None
) -> RateDistortion:
    """R(D) at many slopes in one call, each point certified: `interior_point` over an array of slopes.

    Args:
      source, distortion: as in `interior_point`, [X] and [X, M].
      slopes: s = -dR/dD, bits per unit of distortion, [S] or any shape.
      tolerance: bits, of each point; as in `interior_point`.

    Returns:
      `RateDistortion`, fields the shape of `slopes`. Between two points the curve lies below their chord and above
      their tangents (rate - gap - slope * (D - distortion)), so the points are a certified curve.

    Raises:
      InputError: as `interior_point`.

    Every point starts anew: from a neighbor's law Newton takes more steps, not fewer. For problems too large for M x M
    solves call `blahut_arimoto` with an array of slopes.
    """
    return interior_point(source, distortion, slopes, tolerance=tolerance)


def rate_at(
    source: ArrayLike, distortion: ArrayLike, target: ArrayLike, *, tolerance: float | None = None
) -> RateDistortion:
    """R(D) at a given distortion: the slope is found by Newton's method inside a shrinking bracket.

    Args:
      source, distortion: as in `interior_point`, [X] and [X, M].
      target: D, any shape, in units of the distortion; at least D_min = sum_x p_x min_j d_xj.
      tolerance: bits; as in `interior_point`. Static.

    Returns:
      `RateDistortion` whose `distortion` is the target (at and above D_max = min_j sum_x p_x d_xj the point (0, D_max)
      with slope 0; where that is infinite, above the D of the limit of slope 0 that limit's point) and whose `steps`
      counts slopes tried. On a straight piece of the curve `output` is a mixture of optimal laws.

    Raises:
      InputError: a target that is no number, or below D_min (under jit: an infinite rate and a status), and as
        `interior_point`.

    Gradients: dR/dD = -slope; slope and output by implicit differentiation of both equations together, so also on
    straight pieces, where the slope does not move. At D_min, where slopes have no end, they are NaN. In the source they
    are those of the normalized source, as which a trace, where nobody can refuse it, takes any that is not negative.

    In float32 a target keeps the digits that an offset common to the distortions would take; in a trace they are lost,
    and the gap says so.
    """
    problem = pose(source, distortion)
    if checks.is_concrete(target):
        check_numbers(target)
    if checks.is_concrete(target, problem.source, problem.least):
        check_target(np.asarray(target, np.float64), problem)
    goals = on_device(target, problem.source.dtype)
    given = (source, distortion, target)
    narrow = problem.source.dtype != jnp.float64 and checks.is_concrete(given)
    excess = exact_excess(*given, problem) if narrow else None
    return _rates(problem, goals, excess, tolerance_in_nats(tolerance, goals.dtype, USUAL))


@partial(jax.jit, static_argnums=3)
def _rates(problem: Problem, targets: jax.Array, excess: jax.Array | None, tolerance: float) -> RateDistortion:
    base = jnp.sum(problem.source * problem.least)
    wanted = (targets.ravel() - base) / problem.unit if excess is None else excess.ravel()
    fixed, goals, base = lax.stop_gradient((problem, wanted, base))
    # a symbol that does not occur decides no slope, nor what is worst
    fixed = replace(fixed, excess=jnp.where(fixed.source[:, None] > 0, fixed.excess, 0))
    lowest = base - ROOM * jnp.finfo(base.dtype).eps * jnp.maximum(1, least_size(problem))
    off = 3 * jnp.finfo(base.dtype).eps * least_size(fixed) / fixed.unit if excess is None else jnp.zeros_like(base)
    search = lambda fixed, off, goals: each(partial(_search, fixed, tolerance, off), goals)
    found = a_few_at_a_time(search, problem.excess.size)(fixed, off, goals)

    def point(target: jax.Array, goal: jax.Array, found: _Found) -> RateDistortion:
        slope, law = attach_slope(problem, goal, found.slope, found.law)
        reached = replace(problem, feasible=problem.feasible & ~(target < lowest))
        doubt, exhausted = doubt_of(fixed, goal, slope, off), found.steps >= MAX_SLOPES
        return certify(reached, slope, law, found.steps, exhausted, tolerance, doubt, found.proved)

    result = jax.vmap(point)(targets.ravel(), wanted, found)
    return jax.tree.map(lambda x: x.reshape(targets.shape + x.shape[1:]), result)


class _Found(NamedTuple):
    slope: jax.Array
    law: jax.Array
    steps: jax.Array
    proved: jax.Array  # nats that no code's rate + slope * excess is below, by the points beside; -inf if by none


class _Point(NamedTuple):
    slope: jax.Array
    law: jax.Array
    excess: jax.Array  # mean distortion above D_min
    rate: jax.Array  # nats
    gap: jax.Array  # nats


class _Search(NamedTuple):
    low: _Point  # the smaller slope, the larger distortion
    high: _Point
    last: _Point
    proposal: jax.Array
    done: jax.Array
    steps: jax.Array


def _point(problem: Problem, enough: jax.Array, slope: jax.Array) -> _Point:
    law, gap, *_ = solve_law(problem, slope, enough, MAX_STEPS)
    excess = mean_excess(problem, slope, law)
    return _Point(slope, law, excess, lagrangian(problem, slope, law) - slope * excess, gap)


def _steepness(problem: Problem, point: _Point) -> jax.Array:
    """dD/ds at a point, by the implicit function theorem."""
    along = lambda slope: mean_excess(problem, slope, attach(problem, slope, point.law))
    return jax.jvp(along, (point.slope,), (jnp.ones_like(point.slope),))[1]


def _ends(problem: Problem) -> tuple[_Point, _Point]:
    """The point (0, D_max), and a place to be filled at a slope beyond which nothing changes."""
    excess = jnp.where(jnp.isfinite(problem.excess), problem.excess, jnp.inf)
    costs = jnp.matmul(problem.source, excess, precision=HIGHEST)
    costs = jnp.where(jnp.isnan(costs), jnp.inf, costs)
    law = jnp.zeros_like(costs).at[jnp.argmin(costs)].set(1)
    zero = jnp.zeros_like(costs[0])
    least = jnp.min(jnp.where(problem.excess > 0, problem.excess, jnp.inf))
    reach = EXPONENT_RANGE * math.log(jnp.finfo(zero.dtype).max)
    steep = reach / jnp.where(jnp.isfinite(least), least, 1)
    return _Point(zero, law, jnp.min(costs), zero, zero), _Point(steep, law, zero, zero, zero + jnp.inf)


def _search(problem: Problem, tolerance: float, off: jax.Array, goal: jax.Array) -> _Found:
    """What meets one excess distortion, which rounding has moved by `off` at most; `steps` are slopes tried.

    The first slope tried is the steepest.
    """
    flat, steep = _ends(problem)
    largest = jnp.max(jnp.where(jnp.isfinite(problem.excess), problem.excess, 0))
    scale = jnp.where(jnp.isfinite(flat.excess), flat.excess, largest)
    eps = jnp.finfo(goal.dtype).eps
    room = jnp.where(flat.excess > goal, flat.excess - goal, scale)  # to the end of the curve, which bends as it ends
    close = jnp.maximum(0.1 * eps**0.5 * jnp.minimum(jnp.minimum(scale, goal), room), eps * jnp.minimum(scale, goal))
    most = reachable(tolerance, problem) / 4
    least = min(most, rounding(goal.dtype, problem.excess.shape))
    enough = jnp.maximum(most * jnp.minimum(1, room / scale), least)  # a law near the end has to be told from the end's
    straight = jnp.maximum(1e-3 * enough, 4 * eps)

    def advance(state: _Search) -> _Search:
        point = _point(problem, enough, state.proposal)
        over = point.excess > goal
        pick = lambda new, old, yes: jax.tree.map(lambda a, b: jnp.where(yes, a, b), new, old)
        low, high = pick(point, state.low, over), pick(point, state.high, ~over)
        hopeless = (state.steps == 0) & (point.excess >= goal)  # no slope does better
        spare = (point.slope == 0) & ~over  # nor does any need to
        done = (jnp.abs(point.excess - goal) <= close) | (_bend(low, high) <= straight) | hopeless | spare
        proposal = _propose(problem, low, high, point, goal, close, (state.steps % 3 < 2) & (state.steps > 0))
        return _Search(low, high, point, proposal, done, state.steps + 1)

    start = _Search(flat, steep, steep, steep.slope, _reaches(goal + off, flat), jnp.zeros((), jnp.int32))
    last = lax.while_loop(lambda state: ~state.done & (state.steps < MAX_SLOPES), advance, start)
    return _settle(problem, last, goal, off, close, steep.slope)


def _propose(
    problem: Problem, low: _Point, high: _Point, point: _Point, goal: jax.Array, close: jax.Array, by_newton: jax.Array
) -> jax.Array:
    """The next slope: Newton's, on ln D over ln s, where it stays inside the bracket; else that of the chord."""
    width = low.excess - high.excess
    chord = (high.rate - low.rate) / jnp.where(width > 0, width, 1)
    middle = jnp.where(jnp.isfinite(low.excess), (low.slope + high.slope) / 2, 0)  # 0: D of the limit from above
    chord = jnp.where((chord > low.slope) & (chord < high.slope), chord, middle)
    fall = _steepness(problem, point)
    ratio = jnp.log(jnp.maximum(point.excess, close) / jnp.maximum(goal, close))
    newton = point.slope * jnp.exp(jnp.clip(ratio * point.excess / jnp.maximum(-fall * point.slope, close), -3, 3))
    inside = by_newton & jnp.isfinite(newton) & (newton > low.slope) & (newton < high.slope)
    return jnp.where(inside, newton, chord)


def _bend(low: _Point, high: _Point) -> jax.Array:
    """How far, in nats, the chord of two points is above both tangents midway: 0 on a straight piece."""
    middle = (low.excess + high.excess) / 2
    tangent = lambda point: point.rate + point.slope * (point.excess - middle)
    bend = (low.rate + high.rate) / 2 - jnp.maximum(tangent(low), tangent(high))
    return jnp.where(jnp.isfinite(low.excess), bend, jnp.inf)


def _reaches(goal: jax.Array, point: _Point) -> jax.Array:
    """Whether a distortion is that of a point or more, but for the rounding of either; a point at inf is none."""
    return jnp.isfinite(point.excess) & (goal >= point.excess * (1 - 4 * jnp.finfo(goal.dtype).eps))


def _settle(
    problem: Problem, last: _Search, goal: jax.Array, off: jax.Array, close: jax.Array, steepest: jax.Array
) -> _Found:
    """The law that meets the goal: the last one, an end of the curve, or the mixture of the bracket's two."""
    low, high = last.low, last.high
    width = low.excess - high.excess
    slope = jnp.where(width > close, (high.rate - low.rate) / jnp.where(width > close, width, 1), high.slope)
    slope = jnp.clip(jnp.where(jnp.isfinite(slope), slope, high.slope), low.slope, high.slope)

    def halve(_: int, ends: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        a, b = ends
        middle = (a + b) / 2
        over = mean_excess(problem, slope, middle * low.law + (1 - middle) * high.law) > goal
        return jnp.where(over, a, middle), jnp.where(over, middle, b)

    share = lax.fori_loop(0, HALVINGS, halve, (jnp.zeros_like(goal), jnp.ones_like(goal)))[0]
    mixed = share * low.law + (1 - share) * high.law
    met = jnp.abs(last.last.excess - goal) <= close
    beyond = _reaches(goal + off, low) & (low.slope < steepest)
    before = (last.steps == 1) & (last.last.excess >= goal)
    spare = (last.last.slope == 0) & (last.last.excess <= goal)
    law = jnp.where(beyond, low.law, jnp.where(before | spare | met, last.last.law, mixed))
    slope = jnp.select([beyond, before, spare | met], [low.slope, steepest, last.last.slope], slope)
    touched, polished = polish(problem, slope, law, goal, (low.slope / 2, 2 * high.slope))
    at_end = beyond | before | spare
    slope, law = jnp.where(at_end, slope, touched), jnp.where(at_end, law, polished)
    return _Found(slope, law, last.steps, _proved(slope, low, high))


def _proved(slope: jax.Array, low: _Point, high: _Point) -> jax.Array:
    """What the least rate + slope * excess is at least (nats): it is concave in the slope, and known at two.

    The law of a mixture is as good as the bend between them is small, but its own certificate only as the root of that.
    """
    share = (slope - low.slope) / jnp.where(high.slope > low.slope, high.slope - low.slope, 1)
    ends = [point.rate + point.slope * point.excess - point.gap for point in (low, high)]
    proved = (1 - share) * ends[0] + share * ends[1]
    return jnp.where((share > 0) & (share < 1) & jnp.isfinite(proved), proved, -jnp.inf)
