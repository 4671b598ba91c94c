"""Temperatures that follow a stream: one block of queries at a time, with a proved bound on the regret.

    f_t(beta) = mean over block t of -log2 q_beta(Y | X),   beta = 1 / tau in a box 0 <= beta_m <= B_m

Before each block the temperatures are chosen from the blocks before it, and the block then costs f_t of them. In units
b = beta / B, with g_t and H_t the gradient and Hessian of f_t in nats,

    b_(t+1) = argmin over the box of <g_t, b> + |b - b_t|^2_{A_t} / 2,   A_t = sum_{s<=t} c_s H_s + Lambda_t I,

    c = 2 (e^-S + S - 1) / S^2 <= 1,   S the largest range of <d, scores> over one list, d from b_t to within the box.

The log-partition is self-concordant, so f_t(u) >= f_t(b_t) + <g_t, u - b_t> + c_t |u - b_t|^2_{H_t} / 2: as much
curvature may be counted. Lambda grows by the lambda_t with M lambda_t = g_t' A_t^-1 g_t, which balances what it costs
to be held back with what it saves. Then, for every sequence of blocks, even an adversary's, and every fixed u in the
box,

    sum_t f_t(b_t) - f_t(u) <= M Lambda_T <= min{ sqrt(2 M sum_t |g_t|^2), sum_t g_t' (sum_{s<=t} c_s H_s)^-1 g_t },

since the steps add up to sum_t (lambda_t |b_t - u|^2 + g_t' A_t^-1 g_t) / 2, and |b_t - u|^2 <= M. The first term is
the root of T; with D = sqrt(M) it is D G sqrt(2 T). The second is of order log T where the curvature adds up, as it
does when what comes stays what it was. Of temperatures this is what section 9 of the paper conjectures of R(D); it is
about cross-entropy, and against one fixed choice: where the stream drifts, it says nothing of the best of each block.

Source: Zinkevich, Online convex programming, 2003; Bartlett, Hazan and Rakhlin, Adaptive online gradient descent, 2007
(the choice of lambda); Bach, Self-concordant analysis for logistic regression, 2010, proposition 1 (the curvature).
"""

from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from rdjax.checks import is_concrete, require
from rdjax.numerics import floating, matmul, to_bits
from rdjax.retrieval.cross_entropy import Moments, Problem, make_problem, moments
from rdjax.retrieval.scores import working
from rdjax.retrieval.temperature import judged_by, largest
from rdjax.trees import register_dataclass

_SWEEPS = 1000  # of coordinate descent over M coordinates; a handful is the rule


@register_dataclass
@dataclass(frozen=True)
class OnlineTemperatures:
    """Where a stream stands.

    Args:
      limit: B [M], the largest beta.
      position: b [M] in [0, 1].
      curvature: sum of c_s H_s [M, M], nats.
      ridge: Lambda, nats, a scalar.
    """

    limit: jax.Array
    position: jax.Array
    curvature: jax.Array
    ridge: jax.Array

    @property
    def temperatures(self) -> jax.Array:
        """Tau [M] > 0 for the next block; infinity leaves a modality out."""
        beta = self.position * self.limit
        return jnp.where(beta > 0, 1 / jnp.where(beta > 0, beta, 1.0), jnp.inf)

    @property
    def regret_bound(self) -> jax.Array:
        """Bits by which the blocks so far can have cost more, together, than under any fixed temperatures."""
        return to_bits(self.position.shape[0] * self.ridge)


@register_dataclass
@dataclass(frozen=True)
class FollowedStream:
    """What T blocks cost.

    Args:
      losses: f_t at the temperatures chosen before block t, bits a query [T].
      temperatures: those temperatures [T, M].
      regret_bound: on the regret of blocks 1..t, bits [T].
      state: after the last block.
    """

    losses: jax.Array
    temperatures: jax.Array
    regret_bound: jax.Array
    state: OnlineTemperatures


def online_temperatures(coldest: Any, start: Any = None) -> OnlineTemperatures:
    """The state before the first block.

    Args:
      coldest: the least temperatures that are allowed, 1 / B, [M] > 0; the bound is in proportion to 1 / them.
      start: temperatures of the first block [M], at least `coldest`; None: infinite, the prior alone.

    Raises:
      InputError: temperatures that are not above 0, or colder than the coldest.
    """
    coldest = floating(coldest)
    require(coldest.ndim == 1 and coldest.size > 0, f"coldest has shape {coldest.shape}; give one for each modality.")
    first = jnp.full_like(coldest, jnp.inf) if start is None else jnp.asarray(start, coldest.dtype)
    require(first.shape == coldest.shape, f"start has shape {first.shape}, coldest {coldest.shape}; both need [M].")
    if is_concrete(coldest, first):
        lowest = np.asarray(coldest)
        require(bool((lowest > 0).all() and np.isfinite(lowest).all()), "coldest must be above 0 and finite.")
        require(bool((np.asarray(first) >= lowest).all()), "start is colder than coldest; raise it or lower coldest.")
    nothing = jnp.zeros_like(coldest)
    return OnlineTemperatures(1 / coldest, coldest / first, jnp.diag(nothing), nothing[0])


def update_temperatures(
    state: OnlineTemperatures, scores: Any, relevant: Any, *, prior: Any = None
) -> tuple[OnlineTemperatures, jax.Array]:
    """One block: what it costs at the temperatures of the state, and the state that has learned from it.

    Args:
      state: from `online_temperatures` or the block before.
      scores: [M, Q, N], over whatever documents there are now.
      relevant: int [Q], or int [Q, J] padded with -1, where Y is one of them, evenly.
      prior: [N]; None or the integer N for the uniform one.

    Returns:
      the next state, a constant to differentiation, and f_t in bits a query, which has gradients in the scores and the
      state.

    Raises:
      InputError: shapes that do not belong together, an index out of range, a score that is not finite, a query
        without a relevant document, a relevant document of prior 0.
    """
    scores, relevant = working(scores), jnp.asarray(relevant)
    require(
        scores.ndim == 3 and scores.shape[:1] == state.limit.shape and scores.size > 0,
        f"scores have shape {scores.shape}; {state.limit.size} modalities need [modalities, queries, documents], at "
        f"least one query in a block.",
    )
    listed, law = judged_by(scores, relevant, prior)
    _check_reach(state, scores, axis=0)
    return _update(state, scores, listed, law)


def follow_stream(state: OnlineTemperatures, scores: Any, relevant: Any, *, prior: Any = None) -> FollowedStream:
    """`update_temperatures` over T blocks of one shape, as one scan.

    Args:
      state: as above.
      scores: [T, M, Q, N]; relevant: int [T, Q] or [T, Q, J]; prior: as above, of every block.

    Returns:
      `FollowedStream`.

    Raises:
      InputError: as above.
    """
    scores, relevant = working(scores), jnp.asarray(relevant)
    require(
        scores.ndim == 4 and scores.shape[1:2] == state.limit.shape and 0 not in scores.shape[1:],
        f"scores have shape {scores.shape}; {state.limit.size} modalities need [T, modalities, queries, documents], at "
        f"least one query in a block.",
    )
    listed, law = judged_by(scores, relevant, prior)
    _check_reach(state, scores, axis=1)
    return _follow(state, scores, listed, law)


@jax.jit
def _follow(state: OnlineTemperatures, scores: jax.Array, listed: jax.Array, law: jax.Array) -> FollowedStream:
    def block(now: OnlineTemperatures, seen: tuple[jax.Array, jax.Array]) -> Any:
        then, loss = _update(now, *seen, law)
        return then, (loss, now.temperatures, then.regret_bound)

    final, (losses, temperatures, bound) = lax.scan(block, state, (scores, listed))
    return FollowedStream(losses, temperatures, bound, final)


def _check_reach(state: OnlineTemperatures, scores: jax.Array, axis: int) -> None:
    """Refuse scores so many times the coldest temperature that their squares overflow; NaN is refused elsewhere."""
    if is_concrete(state.limit, scores):
        rest = tuple(a for a in range(scores.ndim) if a != axis)
        reach = float(np.max(largest(scores, rest).astype(np.float64) * np.asarray(state.limit)))
        most = min(float(jnp.finfo(kind).max) for kind in (scores.dtype, state.limit.dtype)) ** 0.5 / 16
        many = (
            f"the scores reach {reach:.1e} times the coldest temperature, and in {scores.dtype} {most:.1e} is the most"
        )
        require(not reach > most, f"{many}; scale them down, or raise `coldest`.")


@jax.jit
def _update(
    state: OnlineTemperatures, scores: jax.Array, relevant: jax.Array, law: jax.Array
) -> tuple[OnlineTemperatures, jax.Array]:
    problem = make_problem(scores, relevant, law)
    features = problem.features * (problem.scale * state.limit.astype(scores.dtype))[:, None, None]
    problem = replace(problem, features=features)
    at = moments(problem, state.position.astype(scores.dtype))
    fixed = lax.stop_gradient((state, problem, at))  # what it learns is no function of the scores to differentiation
    return _learned(*fixed), to_bits(at.value)


def _learned(state: OnlineTemperatures, problem: Problem, at: Moments) -> OnlineTemperatures:
    """The next state."""
    curvature = state.curvature + _counted(problem, state.position) * at.hessian.astype(state.curvature.dtype)
    gradient = at.gradient.astype(state.position.dtype)
    more = _balance(curvature, state.ridge, gradient)
    # a larger lambda keeps the bound true; a small one would be lost to rounding after many blocks
    ridge = jnp.where(more > 0, jnp.nextafter(state.ridge + more, jnp.inf), state.ridge)
    metric = curvature + ridge * jnp.eye(gradient.size, dtype=gradient.dtype)
    position = _nearest(metric, gradient, state.position)
    return OnlineTemperatures(state.limit, position, curvature, ridge)


def _counted(problem: Problem, position: jax.Array) -> jax.Array:
    """c: how much of the Hessian is curvature all the way to any point of the box."""
    reach = jnp.maximum(position, 1 - position)
    span = jnp.max(problem.features, axis=-1) - jnp.min(problem.features, axis=-1)
    longest = jnp.max(matmul(reach, span.astype(reach.dtype)))
    near = longest < 0.05  # there 1 - S / 3 is below c, and free of cancellation
    safe = jnp.where(near, 1.0, longest)
    return jnp.where(near, 1 - longest / 3, 2 * (jnp.expm1(-safe) + safe) / safe**2)


def _balance(curvature: jax.Array, ridge: jax.Array, gradient: jax.Array) -> jax.Array:
    """The lambda with M lambda = g' (C + (Lambda + lambda) I)^-1 g, by bisection, from above."""
    values, axes = jnp.linalg.eigh(curvature)
    along = matmul(axes.T, gradient) ** 2

    def halve(_: Any, span: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        middle = (span[0] + span[1]) / 2
        level = jnp.maximum(values, 0.0) + ridge + middle
        short = gradient.size * middle < jnp.sum(along / jnp.where(level > 0, level, 1.0))
        return jnp.where(short, middle, span[0]), jnp.where(short, span[1], middle)

    high = jnp.sqrt(jnp.sum(along) / gradient.size)
    return lax.fori_loop(0, jnp.finfo(high.dtype).nmant + 30, halve, (jnp.zeros_like(high), high))[1]


def _nearest(metric: jax.Array, gradient: jax.Array, position: jax.Array) -> jax.Array:
    """argmin of <g, b> + |b - position|^2_A / 2 over the box [0, 1]^M, by coordinate descent until nothing moves."""
    diagonal = jnp.diag(metric)

    def one(m: Any, b: jax.Array) -> jax.Array:
        slope = gradient[m] + matmul(metric[m], b - position)
        step = jnp.where(diagonal[m] > 0, slope / jnp.where(diagonal[m] > 0, diagonal[m], 1.0), 0.0)
        return b.at[m].set(jnp.clip(b[m] - step, 0.0, 1.0))

    def sweep(state: Any) -> Any:
        b, _, count = state
        then = lax.fori_loop(0, b.size, one, b)
        return then, jnp.max(jnp.abs(then - b)), count + 1

    eps = 4 * float(jnp.finfo(position.dtype).eps)
    more = lambda state: (state[1] > eps) & (state[2] < _SWEEPS)
    return lax.while_loop(more, sweep, (position, jnp.ones_like(position[0]), jnp.asarray(0)))[0]
