"""The law of the rank that a slope selects, and the slope that a target selects: the engine under Theorems A and B.

At slope s (nats per unit of distortion) the best law v of the rank of the relevant document maximizes H(v) + s <v, w>
among the laws that majorize the sorted prior P (any law, if P is uniform). It is the Gibbs law g_k = exp(s w_k) / Z,
reweighted so that each block of ranks has its prior's mass; the blocks are the straight pieces of the least concave
majorant of the points (G_k, S_k), the running sums of g and P (theory notes, section 1.2). With gap_k = w_1 - w_k, mass
p_B and Z_B = sum_{k in B} exp(-s gap_k), the maximum is

    psi(s) = sum_B p_B ln(Z_B / p_B)    (nats, with -s <v, gap> in place of s <v, w>),

a convex function with psi' = -<v, gap>; the blocks grow with s and never split again.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from rdjax.limits.taut_string import string_knots
from rdjax.majorant import majorant_vertices, pieces
from rdjax.numerics import xlogy
from rdjax.trees import register_dataclass

MAX_STEPS = 200
COARSE_FROM = 8192  # longer lists are first solved on cells of ranks, for a starting slope
EXPONENT_RANGE = 745.0  # exp(-745) is 0 in float64: a larger slope changes nothing
BATCH = 2**21  # ranks in flight when many distortions are asked of one long prior
BATCH_ON_PROCESSORS = 2**11


@partial(register_dataclass, meta_fields=["pooled"])
@dataclass(frozen=True)
class Ranks:
    """The ranks of a problem: gap [K] = w_1 - w_k, count [K] ranks each stands for, mass [K] of the sorted prior.

    `entropy` of the prior in nats. `pooled` is False for the uniform prior, which every law majorizes: then `mass` is
    the uniform one and there is a single block. `most` [K], if it is given, is a law that has to majorize v, as v the
    sorted prior; the blocks are then the pieces of a taut string between the two.
    """

    gap: jax.Array
    count: jax.Array
    mass: jax.Array
    entropy: jax.Array
    pooled: bool
    most: jax.Array | None = None


class Blocks(NamedTuple):
    """Block of each rank [K]; of each block its first rank and its prior mass [number of blocks]."""

    label: jax.Array
    first: jax.Array
    mass: jax.Array


class Tilt(NamedTuple):
    """psi(s) in nats, and mean and variance of the gap under v_s."""

    psi: jax.Array
    mean: jax.Array
    variance: jax.Array


Residual = Callable[[jax.Array, Ranks, Tilt, jax.Array], tuple[jax.Array, jax.Array]]


def pool(ranks: Ranks, slope: jax.Array) -> Blocks:
    """The blocks at a slope: which rank is in which is discrete and has no gradient; masses have that of `mass`."""
    if not ranks.pooled:
        return _no_blocks(ranks)._replace(mass=jnp.ones(1, ranks.gap.dtype))
    floor = 1e-280 if ranks.gap.dtype == jnp.float64 else 1e-30
    fixed = lax.stop_gradient(ranks)
    gibbs = fixed.count * jnp.maximum(jnp.exp(-lax.stop_gradient(slope) * fixed.gap), floor)
    if ranks.most is not None:
        return _strung(ranks, ranks.most, gibbs)
    density = fixed.mass / fixed.count
    falls = jnp.pad(density[:-1] > density[1:], 1, constant_values=True)  # ranks of equal prior are always pooled
    x, y = _running_sums(gibbs, fixed.mass)
    vertices = majorant_vertices(x, y, falls)
    label = pieces(vertices)
    return Blocks(label, vertices[:-1], _sums_of_blocks(ranks.mass, label, ranks.gap.shape[0]))


def _no_blocks(ranks: Ranks) -> Blocks:
    """What every rank has in common with a block of no mass."""
    rank = jnp.zeros(ranks.gap.shape, jnp.int32)
    several = rank if ranks.pooled else rank[:1]
    return Blocks(rank, several, several.astype(ranks.gap.dtype))


def _strung(ranks: Ranks, most: jax.Array, gibbs: jax.Array) -> Blocks:
    """The blocks between two laws; a block's mass is what the curve it starts from has left, less where it ends."""
    size = ranks.gap.shape[0]
    x, lower, upper = _running_sums(gibbs, ranks.mass, most)
    fixed = lax.stop_gradient(lower)
    knot, above = string_knots(x, fixed, jnp.maximum(fixed, lax.stop_gradient(upper)).at[0].set(fixed[0]))
    label = jnp.cumsum(knot[:-1], dtype=jnp.int32) - 1
    rises = jnp.diff(jnp.where(knot, jnp.where(above, upper, lower), 0)[_next_knot(knot)])
    first = jax.ops.segment_min(jnp.arange(size, dtype=jnp.int32), label, size, indices_are_sorted=True)
    return Blocks(label, first, jax.ops.segment_sum(rises, label, size, indices_are_sorted=True))


def _next_knot(knot: jax.Array) -> jax.Array:
    """Index of the first knot at or after each point: heights read there rise at the start of each block alone."""
    place = jnp.where(knot, jnp.arange(knot.shape[0]), knot.shape[0] - 1)
    return lax.cummin(place, reverse=True)


def _running_sums(*laws: jax.Array) -> jax.Array:
    """Sums of the first 0..K terms up to a constant, added from the small end so that tails keep their digits."""
    return -jnp.pad(lax.cumsum(jnp.stack(laws), axis=1, reverse=True), ((0, 0), (0, 1)))


def tilt(ranks: Ranks, blocks: Blocks, slope: jax.Array) -> Tilt:
    """psi, mean and variance at a slope for given blocks; smooth in slope, gap and block masses."""
    size, used = blocks.mass.shape[0], blocks.mass > 0
    total = partial(_sums_of_blocks, label=blocks.label, size=size)
    if not ranks.pooled:  # a sum needs no labels
        total = partial(jnp.sum, axis=0, keepdims=True)
    best = lax.stop_gradient(ranks.gap).at[blocks.first].get(mode="clip")
    weight = ranks.count * jnp.exp(-slope * (ranks.gap - best[blocks.label]))
    sums = total(jnp.stack([weight, weight * ranks.gap], axis=1))
    partition = jnp.where(used, sums[:, 0], 1)
    mean = jnp.where(used, sums[:, 1], 0) / partition
    variance = jnp.where(used, total(weight * (ranks.gap - mean[blocks.label]) ** 2), 0) / partition
    psi = jnp.sum(blocks.mass * (jnp.log(partition) - slope * best)) - jnp.sum(xlogy(blocks.mass, blocks.mass))
    return Tilt(psi, jnp.sum(blocks.mass * mean), jnp.sum(blocks.mass * variance))


def _sums_of_blocks(values: jax.Array, label: jax.Array, size: int) -> jax.Array:
    """Sums of each block; in float32 of parts of about sqrt(K) terms first, as adding one by one rounds K times."""
    total = partial(jax.ops.segment_sum, num_segments=size, indices_are_sorted=True)
    if values.dtype != jnp.float32:
        return total(values, label)
    inside = jnp.arange(size) % max(1, round(size**0.5)) > 0
    part = jnp.cumsum(~(inside & jnp.pad(label[1:] == label[:-1], (1, 0))), dtype=label.dtype) - 1
    owner = jax.ops.segment_max(label, part, size, indices_are_sorted=True)  # of parts that are not, a number below 0
    return total(total(values, part), jnp.where(owner < 0, size - 1, owner))


def largest_slope(ranks: Ranks) -> jax.Array:
    """A slope beyond which the law no longer moves; 0 if every rank is worth the same."""
    least = jnp.min(jnp.where(ranks.gap > 0, ranks.gap, jnp.inf))
    return jnp.where(jnp.isfinite(least), EXPONENT_RANGE / jnp.where(jnp.isfinite(least), least, 1), 0)


def distortion_residual(target: jax.Array, ranks: Ranks, state: Tilt, slope: jax.Array) -> tuple[jax.Array, jax.Array]:
    """ln(target / mean gap), increasing in the slope, and its derivative."""
    tiny = jnp.finfo(state.mean.dtype).tiny
    mean = jnp.maximum(state.mean, tiny)
    return jnp.log(jnp.maximum(target, tiny)) - jnp.log(mean), state.variance / mean


def rate_residual(target: jax.Array, ranks: Ranks, state: Tilt, slope: jax.Array) -> tuple[jax.Array, jax.Array]:
    """R(s) - target in nats, increasing in the slope, and its derivative."""
    return ranks.entropy - state.psi - slope * state.mean - target, slope * state.variance


def solve_slope(target: jax.Array, ranks: Ranks, residual: Residual) -> tuple[jax.Array, Blocks]:
    """The slope where the residual vanishes, and its blocks: Newton's method inside a shrinking bracket.

    Stops when the dual value, whose error is half the variance times the squared error of the slope, is exact to
    rounding. Should the steps run out, the dual value is still a lower bound of the rate, as it is at every slope. No
    gradient passes; see `refine`.
    """
    target, ranks = lax.stop_gradient((target, ranks))
    span = jnp.max(ranks.gap)
    start = unit = 1 / jnp.where(span > 0, span, 1)  # slopes far below it are 0: a target that asks for nothing ends
    if ranks.pooled and ranks.gap.shape[0] > COARSE_FROM:
        start, _ = solve_slope(target, _coarse(ranks), residual)
    limit = largest_slope(ranks)
    enough = 64 * jnp.finfo(ranks.gap.dtype).eps

    def advance(state):
        slope, low, high, _, _, steps = state
        blocks = pool(ranks, slope)
        moments = tilt(ranks, blocks, slope)
        value, derivative = residual(target, ranks, moments, slope)
        low, high = jnp.where(value <= 0, slope, low), jnp.where(value > 0, slope, high)
        step = value / jnp.where(derivative > 0, derivative, jnp.inf)
        newton = jnp.clip(slope - step, slope / 16, slope * 16)
        inside = (derivative > 0) & (newton > low) & (newton < high)
        lower = jnp.where(low > 0, (low + slope) / 2, slope / 16)
        fallback = jnp.where(value <= 0, jnp.minimum(4 * slope, (slope + high) / 2), lower)
        following = jnp.where(inside, newton, fallback)
        move = jnp.abs(following - slope)
        exact = inside & (move < 1e-3 * slope) & (0.5 * moments.variance * move**2 < enough)
        settled = exact | (high - low <= 4 * jnp.finfo(low.dtype).eps * jnp.maximum(high, unit))
        done = settled | ((value <= 0) & (slope >= limit))
        return jnp.where(done, slope, following), low, high, blocks, done, steps + 1

    start = jnp.clip(jnp.asarray(start, ranks.gap.dtype), 0, limit)
    first = (start, jnp.zeros_like(start), limit, _no_blocks(ranks), jnp.asarray(False), jnp.asarray(0))
    # one batch with the target from the beginning: else batching goes through the loop again for each that becomes one
    first = jax.tree.map(lambda x: jnp.where(target > 0, x, x), first)
    slope, _, _, blocks, *_ = lax.while_loop(lambda state: ~state[-2] & (state[-1] < MAX_STEPS), advance, first)
    return slope, blocks


def refine(target: jax.Array, ranks: Ranks, blocks: Blocks, slope: jax.Array, residual: Residual) -> jax.Array:
    """One more Newton step, differentiable in target, gap and masses: the implicit function theorem, executed.

    The step itself is at rounding level; its derivative is that of the exact slope, so that first and second
    derivatives of what is computed from the slope are right while the blocks stay the same.
    """
    slope = lax.stop_gradient(slope)
    value, derivative = residual(target, ranks, tilt(ranks, blocks, slope), slope)
    derivative = lax.stop_gradient(derivative)
    move = value / jnp.where(derivative > 0, derivative, jnp.inf)
    inside = (derivative > 0) & (jnp.abs(lax.stop_gradient(move)) < 0.5 * slope)
    return slope - jnp.where(inside, move, 0)


def _coarse(ranks: Ranks) -> Ranks:
    """Cells of ranks whose width grows by a half percent: what a starting slope needs, and 300 times shorter."""
    size = ranks.gap.shape[0]
    edges = [*range(1024)]
    while edges[-1] < size:
        edges.append(min(size, edges[-1] + max(1, edges[-1] // 200)))
    cut = jnp.asarray(edges)
    inside = lambda x: jnp.diff(jnp.pad(jnp.cumsum(x), (1, 0))[cut])
    count, mass = inside(ranks.count), inside(ranks.mass)
    return Ranks(inside(ranks.count * ranks.gap) / count, count, mass, ranks.entropy, True)


def at_each(point: Callable[[jax.Array], Any], values: jax.Array, ranks: Ranks) -> Any:
    """`point` at every entry of `values`, of any shape: numbers, made of the ranks each, in batches that fit.

    On processors a batch of pools takes longer than its pools one by one, unless each of them is short.
    """
    if values.ndim == 0:
        return point(values)
    most = partial(_in_batches, point, batch=_batch(values, ranks, BATCH))
    few = partial(_in_batches, point, batch=_batch(values, ranks, BATCH_ON_PROCESSORS))
    if not ranks.pooled or few.keywords == most.keywords:
        return most(values)
    return lax.platform_dependent(values, cpu=few, default=most)


def _batch(values: jax.Array, ranks: Ranks, limit: int) -> int:
    return max(1, min(values.size, limit // ranks.gap.shape[0]))


def _in_batches(point: Callable[[jax.Array], Any], values: jax.Array, batch: int) -> Any:
    """The last value fills the last batch, which needs no program of its own so."""
    filled = jnp.pad(values.ravel(), (0, -values.size % batch), mode="edge")
    found = lax.map(point, filled, batch_size=batch if batch > 1 else None)
    return jax.tree.map(lambda x: x[: values.size].reshape(values.shape), found)
