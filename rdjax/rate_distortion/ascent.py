"""Blahut-Arimoto's ascent, accelerated: two plain steps, then a squared extrapolation of them.

The plain step is q <- q c(q) (see `problem`). With c the ratios at q, and c' those at q' = q c, a cycle goes on from

    ln q_a = ln q' + (2 a - 1) r + a^2 v,    r = ln c,    v = ln c' - ln c,    a = |r| / |v| >= 1,

which for a = 1 is the second plain step, and otherwise cancels the slowest mode of a linear convergence; one plain step
from q_a ends it. In logarithms laws stay positive. An extrapolation that lowers the likelihood sum p ln(K q) is undone,
so the likelihood only rises, as in the plain ascent; what stops it is the gap of the law at hand. Source: Varadhan and
Roland 2008 (SQUAREM, scheme S3), on the map of Blahut 1972. Saved: `benchmarks/rate_distortion.py --only steps`.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from rdjax.rate_distortion.problem import HIGHEST, mixture, plain_gap

REACH = 4.0  # of the first extrapolations; it grows and falls by itself
FARTHEST = 30.0  # the factor that one extrapolation may change a probability by, in nats


class Ascent(NamedTuple):
    """A law [M], its ratios c [M], its plain gap in nats and the steps that led there; then what a cycle remembers."""

    law: jax.Array
    ratio: jax.Array
    gap: jax.Array
    steps: jax.Array
    likelihood: jax.Array  # sum p ln(K q) at the law
    phase: jax.Array  # 0: start of a cycle, 1: a plain step later, 2: after the extrapolation
    before: jax.Array  # ln c at the start of the cycle [M]
    plain: jax.Array  # the law of two plain steps [M], to fall back to
    level: jax.Array  # the likelihood one plain step into the cycle
    reach: jax.Array  # the longest extrapolation
    stretch: jax.Array  # the last one


def begin(kernel: jax.Array, source: jax.Array, law: jax.Array) -> Ascent:
    """Step 0 of an ascent from a law [M]; columns where it is 0 stay out."""
    ratio, gap, likelihood = _look(kernel, source, law)
    zero = jnp.zeros((), jnp.int32)
    reach = jnp.full_like(gap, REACH)
    return Ascent(law, ratio, gap, zero, likelihood, zero, jnp.zeros_like(law), law, likelihood, reach, reach)


def step(kernel: jax.Array, source: jax.Array, state: Ascent) -> Ascent:
    """One step: two matrix-vector products."""
    first, second, third = (state.phase == k for k in range(3))
    follow = state.law * state.ratio
    ahead, stretch = _extrapolated(state, follow)
    raised = state.likelihood >= state.level
    law = jnp.where(second, ahead, jnp.where(third & ~raised, state.plain, follow))
    law = law / jnp.sum(law)
    ratio, gap, likelihood = _look(kernel, source, law)
    full = third & (state.stretch >= state.reach)
    grown = jnp.where(raised, 4 * state.reach, jnp.maximum(state.reach / 4, 1))
    return Ascent(
        law=law,
        ratio=ratio,
        gap=gap,
        steps=state.steps + 1,
        likelihood=likelihood,
        phase=jnp.where(third, 0, state.phase + 1),
        before=jnp.where(first, _log(state.ratio), state.before),
        plain=jnp.where(second, follow, state.plain),
        level=jnp.where(second, state.likelihood, state.level),
        reach=jnp.where(full, grown, state.reach),
        stretch=jnp.where(second, stretch, state.stretch),
    )


def ascend(kernel: jax.Array, source: jax.Array, law: jax.Array, enough: float, max_steps: int) -> Ascent:
    """From a law [M], on a row-shifted kernel [X, M], until the plain gap is at most `enough` nats."""
    going = lambda state: ~ended(state, enough, max_steps)
    return lax.while_loop(going, partial(step, kernel, source), begin(kernel, source, law))


def ended(state: Ascent, enough: float, max_steps: int) -> jax.Array:
    """Whether the gap is small enough or the steps are spent; never at an extrapolation that has still to be undone."""
    failed = (state.phase == 2) & (state.likelihood < state.level)
    return (state.gap <= enough) | ((state.steps >= max_steps) & ~failed)


def _look(kernel: jax.Array, source: jax.Array, law: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Ratios [M], plain gap and likelihood of a law."""
    mix = mixture(kernel, source, law)
    ratio = jnp.matmul(source / mix, kernel, precision=HIGHEST)
    return ratio, plain_gap(law, ratio), jnp.sum(source * jnp.log(mix))


def _extrapolated(state: Ascent, follow: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The law that a cycle extrapolates to from its second law, and how far: a."""
    now = _log(state.ratio)
    bend = now - state.before
    # the slowest mode, measured where there is mass
    size = jnp.sum(follow * state.before**2) / jnp.maximum(jnp.sum(follow * bend**2), jnp.finfo(follow.dtype).tiny)
    stretch = jnp.clip(jnp.sqrt(size), 1, state.reach)
    change = (2 * stretch - 1) * state.before + stretch**2 * bend
    change = jnp.clip(change - jnp.max(jnp.where(state.law > 0, change, -jnp.inf)), -FARTHEST, 0)
    floor = jnp.where(follow > 0, 1e4 * jnp.finfo(follow.dtype).tiny, 0)  # or a column could be lost for good
    return jnp.maximum(state.law * jnp.exp(change), floor), stretch


def _log(ratio: jax.Array) -> jax.Array:
    return jnp.log(jnp.where(ratio > 0, ratio, 1))
