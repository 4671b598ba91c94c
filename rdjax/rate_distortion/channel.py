"""The capacity of a channel, by Blahut-Arimoto and, where that crawls, by an interior point.

The step is r_x <- r_x 2^(D_x) / Z with D_x = sum_y W(y|x) log2( W(y|x) / (r W)_y ), and at every input law r

    sum_x r_x D_x  <=  C  <=  max_x D_x.

It crawls where an input is on the edge, unused with D_x = C. The same optimum, times e^C, is the least over all r >= 0
of sum_y q_y ln q_y - q_y - sum_x r_x sum_y W(y|x) ln W(y|x), q = r W, whose falling gradient is D_x at r: what
`predictor_corrector` solves in a dozen steps. Source: Blahut 1972; Arimoto 1972; theory notes, section 10.
"""

from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.typing import ArrayLike

from rdjax import checks
from rdjax.numerics import floating, to_bits, xlogy
from rdjax.rate_distortion.implicit import a_few_at_a_time
from rdjax.rate_distortion.predictor_corrector import newton_steps
from rdjax.rate_distortion.problem import HIGHEST, rounding, tolerance_in_nats
from rdjax.rate_distortion.solution import CONVERGED, INVALID, MESSAGES, PRECISION, STEPS, in_words
from rdjax.shards import automatic
from rdjax.trees import register_dataclass

USUAL = 1e-6  # bits of tolerance, in float64
MAX_STEPS = 100_000
SWEEPS = 100  # of Blahut-Arimoto before the interior point
NEWTON_STEPS = 40
OUT_OF_STEPS = (
    "the steps ran out before the gap was within the tolerance; the gap that is stated holds. Allow more steps, or, "
    "where thousands do not help, ask for less or work in float64 (inside jax.enable_x64)."
)


@register_dataclass
@dataclass(frozen=True)
class Capacity:
    """rate <= C <= rate + gap, of one channel; all but the law of the input are scalars.

    Args:
      rate: bits per use, I(X; Y) under `input`.
      input: the law of the input [X].
      gap: bits, certified at this law, rounding allowed for.
      steps: how many were taken.
      status: an integer; `message` says it in words.
    """

    rate: jax.Array
    input: jax.Array
    gap: jax.Array
    steps: jax.Array
    status: jax.Array

    @property
    def message(self) -> str:
        """The status in words; of a batch, that of its worst members, and which they are."""
        return in_words(self.status, [*MESSAGES[:STEPS], OUT_OF_STEPS, *MESSAGES[STEPS + 1 :]])


class _State(NamedTuple):
    law: jax.Array
    divergence: jax.Array
    gap: jax.Array
    steps: jax.Array


class _Use(NamedTuple):
    """The objective of `predictor_corrector` of a channel [X, Y]."""

    channel: jax.Array

    def look(self, q: jax.Array) -> tuple[jax.Array, jax.Array]:
        output = jnp.maximum(jnp.matmul(q, self.channel, precision=HIGHEST), jnp.finfo(q.dtype).tiny)
        return _divergences(self.channel, q), (self.channel * q[:, None] * lax.rsqrt(output)[None, :]).T

    def gap(self, law: jax.Array) -> jax.Array:
        return _measure(self.channel, law, jnp.zeros((), jnp.int32)).gap


def capacity(channel: ArrayLike, *, tolerance: float | None = None, max_steps: int | None = None) -> Capacity:
    """C = max over input laws of I(X; Y).

    Args:
      channel: W(y|x) [X, Y], rows are laws (zeros are fine); use `vmap` for many.
      tolerance: bits; it stops when the certified gap is below. None: 1e-6, in float32 1e-4; float32 cannot certify
        gaps below 3e-6 bits of a few symbols and 2e-5 of hundreds, and the status says so.
      max_steps: 100,000 by default. Static, as the tolerance is.

    Returns:
      `Capacity`; `steps` counts those of Blahut-Arimoto and, after the first 100, of the interior point.

    Raises:
      InputError: a row that is no law (under jit, if it holds NaN: a status), a shape that is not [X, Y].

    Gradients: `rate` by the envelope theorem, `input` and second derivatives by implicit differentiation; their
    sums are divided out, but not in derivatives, so move the rows along laws. Second ones by reverse mode are silently
    wrong inside `lax.scan` or `lax.map`, where JAX before 0.12 drops custom rules; `jax.vmap` is right.
    """
    shape = np.shape(channel)
    checks.require(len(shape) == 2 and min(shape) > 0, f"the channel has shape {shape}; it must be [X, Y].")
    checks.law(channel, "a row of the channel, which has one for each input,")
    steps = checks.whole(MAX_STEPS if max_steps is None else max_steps, "max_steps")
    rows = automatic(floating(channel))
    return _capacity(rows, tolerance_in_nats(tolerance, rows.dtype, USUAL), steps)


@partial(jax.jit, static_argnums=(1, 2))
def _capacity(channel: jax.Array, tolerance: float, max_steps: int) -> Capacity:
    channel = jnp.where(jnp.all(channel >= 0), channel, jnp.nan)  # in a trace nobody has refused it
    channel = channel / lax.stop_gradient(jnp.sum(channel, axis=1, keepdims=True))  # it may be written with six digits
    floor = rounding(channel.dtype, channel.shape)
    ascend = lambda channel: _ascend(channel, max(tolerance - 2 * floor, floor), max_steps)
    last = a_few_at_a_time(ascend, channel.size)(lax.stop_gradient(channel))
    law = _attach(channel, last.law)
    gap = lax.stop_gradient(_measure(channel, last.law, last.steps).gap + floor)
    status = jnp.where(gap <= tolerance, CONVERGED, jnp.where(last.steps >= max_steps, STEPS, PRECISION))
    status = jnp.where(jnp.isnan(gap), INVALID, status)
    return Capacity(to_bits(_information(channel, law)), law, to_bits(gap), last.steps, status.astype(jnp.int32))


def _ascend(channel: jax.Array, enough: float, max_steps: int) -> _State:
    """Sweeps, then the interior point, then, if precision stopped that, more sweeps."""
    start = jnp.full(channel.shape[0], 1 / channel.shape[0], channel.dtype)
    near = _sweeps(channel, _measure(channel, start, jnp.zeros((), jnp.int32)), enough, min(SWEEPS, max_steps))
    if max_steps <= SWEEPS:
        return near

    def improve(near: _State) -> _State:
        q = near.law * jnp.exp(jnp.max(near.divergence))
        law, gap, steps = newton_steps(_Use(channel), q, enough, min(NEWTON_STEPS, max_steps - SWEEPS))
        return _measure(channel, jnp.where(gap < near.gap, law, near.law), near.steps + steps)

    return _sweeps(channel, lax.cond(near.gap > enough, improve, lambda near: near, near), enough, max_steps)


def _sweeps(channel: jax.Array, state: _State, enough: float, max_steps: int) -> _State:
    def step(state: _State) -> _State:
        # the largest divergence is taken off, so that nothing overflows
        law = state.law * jnp.exp(state.divergence - jnp.max(state.divergence))
        return _measure(channel, law / jnp.sum(law), state.steps + 1)

    return lax.while_loop(lambda state: (state.gap > enough) & (state.steps < max_steps), step, state)


def _measure(channel: jax.Array, law: jax.Array, steps: jax.Array) -> _State:
    divergence = _divergences(channel, law)
    return _State(law, divergence, jnp.max(divergence) - jnp.sum(law * divergence), steps)


def _divergences(channel: jax.Array, law: jax.Array) -> jax.Array:
    """D(W_x || r W) in nats [X]; an output that no input reaches adds nothing."""
    output = jnp.matmul(law, channel, precision=HIGHEST)
    logs = jnp.log(jnp.maximum(output, jnp.finfo(output.dtype).tiny))
    return jnp.sum(xlogy(channel, channel), axis=1) - jnp.matmul(channel, logs, precision=HIGHEST)


@jax.custom_jvp
def _information(channel: jax.Array, law: jax.Array) -> jax.Array:
    """I(X; Y) in nats; differentiated at fixed law, which is right at the optimum.

    The slope in W(y|x) is r_x ln(W(y|x) / q_y), q = r W: minus infinity at an entry 0 of an output that others reach,
    where the logarithm of the least number there is stands for it.
    """
    return jnp.maximum(jnp.sum(law * _divergences(channel, law)), 0)


@_information.defjvp
def _envelope(primals: tuple, tangents: tuple) -> tuple[jax.Array, jax.Array]:
    channel, law = primals
    least = jnp.finfo(channel.dtype).tiny
    log = lambda values: jnp.log(jnp.maximum(values, least))
    slopes = law[:, None] * (log(channel) - log(jnp.matmul(law, channel, precision=HIGHEST))[None, :])
    return _information(channel, law), jnp.sum(slopes * tangents[0])


@jax.custom_jvp
def _attach(channel: jax.Array, law: jax.Array) -> jax.Array:
    """The same law, with its implicit derivative from r_x (D_x - sum r D) = 0, sum r = 1."""
    return law


@_attach.defjvp
def _implicit(primals: tuple, tangents: tuple) -> tuple[jax.Array, jax.Array]:
    channel, _ = primals
    law = _attach(*primals)

    def residual(channel: jax.Array, law: jax.Array) -> jax.Array:
        divergence = _divergences(channel, law)
        level = jnp.sum(law * divergence) / jnp.sum(law)
        return law * (divergence - level - (jnp.sum(law) - 1))

    matrix = -jax.jacfwd(residual, argnums=1)(channel, law)
    change = jax.jvp(lambda channel: residual(channel, law), (channel,), tangents[:1])[1]
    ridge = lax.stop_gradient(jnp.finfo(law.dtype).eps * jnp.trace(jnp.abs(matrix)) / law.shape[0])
    return law, jnp.linalg.solve(matrix + ridge * jnp.eye(law.shape[0], dtype=law.dtype), change)
