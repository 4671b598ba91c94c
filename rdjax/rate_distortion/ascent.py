"""Blahut-Arimoto's ascent, accelerated: cycles of two plain steps, a squared extrapolation of them, and one plain step.

The plain step is q <- q c(q) (see `problem`). With c the ratios at q, and c' those at q' = q c, a cycle goes on from

    ln q_a = ln q' + (2 a - 1) r + a^2 v,    r = ln c,    v = ln c' - ln c,    a = |r| / |v| >= 1,

which for a = 1 is the second plain step, and otherwise cancels the slowest mode of a linear convergence; one plain step
from q_a ends it. In logarithms laws stay positive. An extrapolation that lowers the likelihood sum p ln(K q) is undone,
so the likelihood only rises, as in the plain ascent; what stops it is the gap of the law at hand. Up to two plain steps
come before the first cycle: they are enough for sharp kernels. Source: Varadhan and Roland 2008 (SQUAREM, scheme S3),
on the map of Blahut 1972. Saved: `benchmarks/rate_distortion.py --only steps`.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import ArrayLike

from rdjax.rate_distortion.problem import HIGHEST, mixture, plain_gap
from rdjax.rate_distortion.reductions import inner, largest, total

REACH = 4.0  # of the first extrapolations; it grows and falls by itself
FARTHEST = 30.0  # the factor that one extrapolation may change a probability by, in nats


class Ascent(NamedTuple):
    """A law [M], (K q)_x [X], its ratios c [M], its plain gap in nats, and the steps that led there."""

    law: jax.Array
    mix: jax.Array
    ratio: jax.Array
    gap: jax.Array
    steps: jax.Array
    reach: jax.Array  # the longest extrapolation


def begin(kernel: jax.Array, source: jax.Array, law: jax.Array) -> Ascent:
    """Step 0 of an ascent from a law [M]; columns where it is 0 stay out."""
    mix = mixture(kernel, law)
    ratio = jnp.matmul(source / mix, kernel, precision=HIGHEST)
    gap = plain_gap(law, ratio)
    return Ascent(law, mix, ratio, gap, jnp.zeros((), jnp.int32), jnp.full_like(gap, REACH))


def plain_step(kernel: jax.Array, source: jax.Array, state: Ascent) -> Ascent:
    """One step of Blahut-Arimoto: two matrix-vector products."""
    return _step_to(kernel, source, state, state.law * state.ratio)


def _step_to(kernel: jax.Array, source: jax.Array, state: Ascent, law: jax.Array) -> Ascent:
    return begin(kernel, source, law)._replace(steps=state.steps + 1, reach=state.reach)


def cycle(kernel: jax.Array, source: jax.Array, state: Ascent) -> Ascent:
    """Three steps: a plain one, an extrapolation, and a plain one from there or, where it fell, from the first."""
    first = plain_step(kernel, source, state)
    ahead, stretch = _extrapolated(state, first)
    jump = _step_to(kernel, source, first, ahead)
    raised = inner(jnp.log(jump.mix) - jnp.log(first.mix), source) >= 0
    best = jump._replace(law=jnp.where(raised, jump.law, first.law), ratio=jnp.where(raised, jump.ratio, first.ratio))
    grown = jnp.where(raised, 4 * state.reach, jnp.maximum(state.reach / 4, 1))
    reach = jnp.where(stretch >= state.reach, grown, state.reach)
    return plain_step(kernel, source, best._replace(reach=reach))


def ascend(kernel: jax.Array, source: jax.Array, law: jax.Array, enough: ArrayLike, max_steps: int) -> Ascent:
    """From a law [M], on a row-shifted kernel [X, M], until the plain gap is at most `enough` nats.

    A cycle that has begun is ended, so there may be two steps more than `max_steps`.
    """
    until = lambda most: lambda state: ~ended(state, enough, most)
    step = partial(plain_step, kernel, source)
    first = lax.while_loop(until(jnp.minimum(2, max_steps)), step, begin(kernel, source, law))
    return lax.while_loop(until(max_steps), partial(cycle, kernel, source), first)


def ended(state: Ascent, enough: ArrayLike, max_steps: int | jax.Array) -> jax.Array:
    """Whether the gap is small enough or the steps are spent."""
    return (state.gap <= enough) | (state.steps >= max_steps)


def _extrapolated(start: Ascent, state: Ascent) -> tuple[jax.Array, jax.Array]:
    """The law that is extrapolated to from a cycle's start and the state a plain step later, and how far: a."""
    before, now = _log(start.ratio), _log(state.ratio)
    follow, bend = state.law * state.ratio, now - before
    # the slowest mode, measured where there is mass
    speed, turn = jnp.matmul(jnp.stack([before, bend]) ** 2, follow, precision=HIGHEST)
    size = speed / jnp.maximum(turn, jnp.finfo(follow.dtype).tiny)
    stretch = jnp.clip(jnp.sqrt(size), 1, start.reach)
    change = (2 * stretch - 1) * before + stretch**2 * bend
    change = jnp.clip(change - largest(jnp.where(state.law > 0, change, -jnp.inf)), -FARTHEST, 0)
    floor = jnp.where(follow > 0, 1e4 * jnp.finfo(follow.dtype).tiny, 0)  # or a column could be lost for good
    law = jnp.maximum(state.law * jnp.exp(change), floor)
    return law / total(law), stretch


def _log(ratio: jax.Array) -> jax.Array:
    return jnp.log(jnp.where(ratio > 0, ratio, 1))
