"""Per-modality temperatures: the right ones, by convex calibration.

The fused score is sum_m s_m / tau_m. The temperatures that minimize the cross-entropy E[-log2 q(Y | X)] of the
posterior they induce are found by Newton's method: it is convex in beta = 1 / tau (theory notes, section 4).
"""

from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from rdjax import checks
from rdjax.checks import arrays_of, is_concrete, require, whole_numbers
from rdjax.numerics import matmul, to_bits
from rdjax.retrieval.cross_entropy import Moments, Problem, certificate, floor, make_problem, moments, value
from rdjax.retrieval.posteriors import prior_law
from rdjax.retrieval.scores import check_relevant, working
from rdjax.shards import by_compiler
from rdjax.trees import register_dataclass

CONVERGED, SEPARABLE, UNINFORMATIVE, FLAT, NOT_CERTIFIED = range(5)

MESSAGES = (
    "Converged: no temperatures have a lower cross-entropy, to within the gap.",
    "The relevant documents already score highest (or level with exact copies), so the cross-entropy keeps falling "
    "toward its limit as the temperatures fall to 0; those returned reach it to within the gap. Give more queries to "
    "fit on, or harder ones, if their posterior matters and not just their ranking.",
    "No modality lowers the cross-entropy of the prior, so all temperatures are infinite: check that relevant "
    "documents match their queries and that scores are similarities, not distances.",
    "Converged, but not unique: some modalities carry the same scores (or none), so other temperatures do as well.",
    "Not certified: the gap is the distance to a lower bound that may not be reached. Modalities that nearly repeat "
    "each other, an optimum at temperature 0 of some of them, too few steps or float32 are the likely causes: leave "
    "one modality out, raise max_steps or compute in float64.",
)


@partial(
    register_dataclass,
    data_fields=["temperatures", "cross_entropy", "gap", "steps", "status"],
    meta_fields=[],
)
@dataclass(frozen=True)
class Calibration:
    """Calibrated temperatures and what is known about them: an array of M, the other fields scalars.

    Args:
      temperatures: tau [M] > 0; infinity where the modality only hurts.
      cross_entropy: E[-log2 q(Y | X)] there, bits.
      gap: 0 <= cross_entropy - its minimum over all temperatures <= gap, bits, certified.
      steps: Newton steps tried.
      status: integer; `message` puts it in words.
    """

    temperatures: jax.Array
    cross_entropy: jax.Array
    gap: jax.Array
    steps: jax.Array
    status: jax.Array

    @property
    def message(self) -> str:
        """Advice in words (of the worst status, under vmap)."""
        return MESSAGES[int(np.max(np.asarray(self.status)))]


def calibrate_temperatures(scores: Any, relevant: Any, *, prior: Any = None, max_steps: int = 100) -> Calibration:
    """Temperatures of the least cross-entropy of the posterior: a convex problem in beta = 1 / tau >= 0.

        min over tau of E[-log2 q_tau(Y | X)],   q_tau(k | x) proportional to prior(k) exp(sum_m s_m(x, k) / tau_m)

    M is small and the Hessian is a covariance of scores, so this is Newton's method, each step to the minimum of the
    quadratic model over beta >= 0, rather than L-BFGS: about ten passes over the scores, quadratic at the end. It runs
    as one while-loop, so it traces under jit and vmap. `gap` is a proved bound (see `cross_entropy.certificate`) that
    includes rounding: float32 states the gap that float32 can honor.

    Gradients: `temperatures` differentiate implicitly, through the stationarity of the returned point (active
    constraints stay active), `cross_entropy` therefore by the envelope theorem, both to any order; they mean something
    where `status` is converged. `gap`, `steps` and `status` are constants to differentiation.

    Args:
      scores: [M, Q, N], additive over modalities (see `modality_scores`).
      relevant: int [Q]; or int [Q, J] padded with -1, where Y is one of them, evenly.
      prior: [N]; None or the integer N for the uniform one.
      max_steps: how many Newton steps to try.

    Returns:
      a `Calibration`: temperatures [M], bits for the rest.

    Raises:
      InputError: shapes that do not belong together, an index out of range, a score that is not finite, a query without
        a relevant document, a relevant document of prior 0.
    """
    scores, relevant = working(scores), jnp.asarray(relevant)
    whole_numbers(max_steps, "max_steps")
    good = scores.ndim == 3 and scores.size > 0
    require(
        good,
        f"scores have shape {scores.shape}; calibration needs [modalities, queries, documents], not empty.",
    )
    listed, law = judged_by(scores, relevant, prior)
    result, beta, projected = by_compiler(_calibrate, scores, listed, law, max_steps)
    if is_concrete(beta) and int(result.status) in (CONVERGED, FLAT):
        checks.assert_fixed_point(lambda _: projected, beta, _half(beta.dtype))
    return result


class _Point(NamedTuple):
    """A point, F there, and where Newton goes from it."""

    beta: jax.Array
    at: Moments
    direction: jax.Array
    decrement: jax.Array


class _State(NamedTuple):
    point: _Point
    step: jax.Array
    steps: jax.Array
    done: jax.Array


@jax.jit
def _calibrate(scores: jax.Array, relevant: jax.Array, prior: jax.Array, max_steps: Any) -> Any:
    """The calibration, its scaled beta, and max(beta - gradient, 0), which is beta at the optimum."""
    problem = make_problem(scores, relevant, prior)

    def stationary(beta: jax.Array) -> jax.Array:
        return beta - jnp.maximum(beta - jax.grad(value, argnums=1)(problem, beta), 0.0)

    def solve(_: Any, start: jax.Array) -> Any:
        final = _newton(problem, start, max_steps)
        return final.point.beta, (final.point.at, final.steps.astype(start.dtype))  # custom_root wants floats

    start = jnp.zeros(scores.shape[0], scores.dtype)
    beta, (at, steps) = jax.lax.custom_root(stationary, start, solve, _solve_linear, has_aux=True)
    problem_here, beta_here, at, steps = jax.lax.stop_gradient((problem, beta, at, steps))
    gap, flat = certificate(problem_here, beta_here, at)
    positive = beta > 0
    projected = jnp.maximum(beta_here - at.gradient, 0.0)
    result = Calibration(
        temperatures=jnp.where(positive, problem.scale / jnp.where(positive, beta, 1.0), jnp.inf),
        cross_entropy=to_bits(value(problem, beta)),
        gap=to_bits(gap),
        steps=steps.astype(jnp.int32),
        status=_status(at.value - floor(problem_here), gap / (1 + at.value), projected - beta_here, beta_here, flat),
    )
    return result, beta_here, projected


def _newton(problem: Problem, start: jax.Array, max_steps: Any) -> _State:
    """Newton's method over beta >= 0 from `start`; one evaluation per step, accepted or not."""
    eps = float(jnp.finfo(start.dtype).eps)
    lowest = floor(problem)

    def attempt(state: _State) -> _State:
        now = state.point
        then = _point(problem, jnp.maximum(now.beta + state.step * now.direction, 0.0))
        # Where the decrease is too small to be seen in F, the promise of more must fall instead.
        near = now.decrement <= 1e3 * eps * (1 + jnp.abs(now.at.value))
        enough = now.at.value + 1e-4 * jnp.sum(now.at.gradient * (then.beta - now.beta))
        accept = jnp.where(near, then.decrement < 0.25 * now.decrement, then.at.value <= enough)
        stuck = ~accept & (near | (state.step < 1e-8))
        solved = accept & ((then.decrement <= eps**1.4) | (then.at.value - lowest <= 8 * eps))
        point = jax.tree.map(partial(jnp.where, accept), then, now)
        step = jnp.where(accept, jnp.ones_like(state.step), state.step / 4)
        return _State(point, step, state.steps + 1, stuck | solved)

    def more(state: _State) -> jax.Array:
        return ~state.done & (state.steps < max_steps)

    nothing = jnp.zeros_like(start)
    unknown = jnp.asarray(jnp.inf, start.dtype)  # anything is better, so the first turn takes the start itself
    at = Moments(unknown, nothing, jnp.zeros((start.size, start.size), start.dtype), nothing)
    state = _State(_Point(start, at, nothing, unknown), jnp.ones_like(unknown), jnp.asarray(-1), jnp.asarray(False))
    return jax.lax.while_loop(more, attempt, state)


def _point(problem: Problem, beta: jax.Array) -> _Point:
    """F at a point, the step to the minimum of its model over beta >= 0, and twice the decrease it promises."""
    at = moments(problem, beta)
    limits = jnp.finfo(beta.dtype)
    ridge = 8 * limits.eps * jnp.max(jnp.diag(at.hessian)) + limits.tiny  # keeps flat directions solvable
    model = at.hessian + ridge * jnp.eye(beta.size, dtype=beta.dtype)

    def step(free: jax.Array) -> jax.Array:  # coordinates that are not free go to 0
        system = jnp.where(free[:, None] & free[None, :], model, jnp.diag(jnp.where(free, 0.0, 1.0)))
        pull = at.gradient - matmul(model, jnp.where(free, 0.0, beta))
        return jax.scipy.linalg.cho_solve((jnp.linalg.cholesky(system), True), -jnp.where(free, pull, beta))

    def pivot(_: Any, state: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        direction = step(state[0])
        return jnp.where(state[0], beta + direction > 0, at.gradient + matmul(model, direction) < 0), direction

    free = (beta > 0) | (at.gradient < 0)
    direction = jnp.maximum(jax.lax.fori_loop(0, beta.size + 2, pivot, (free, -beta))[1], -beta)
    return _Point(beta, at, direction, -jnp.sum(direction * (2 * at.gradient + matmul(at.hessian, direction))))


def _solve_linear(apply: Any, target: jax.Array) -> jax.Array:
    """Solve apply(x) = target for a linear map of few dimensions; the least solution where directions are flat."""
    matrix = jax.vmap(apply, out_axes=1)(jnp.eye(target.shape[0], dtype=target.dtype))
    return matmul(jnp.linalg.pinv(matrix), target)


def _status(above_floor: jax.Array, gap: jax.Array, residual: jax.Array, beta: jax.Array, flat: jax.Array) -> jax.Array:
    half = _half(beta.dtype)
    doubtful = ~(gap <= half) | ~jnp.all(jnp.abs(residual) <= half)
    conditions = [above_floor <= half, doubtful, jnp.all(beta == 0), flat > 0]
    codes = [SEPARABLE, NOT_CERTIFIED, UNINFORMATIVE, FLAT]
    return jnp.select(conditions, [jnp.asarray(code, jnp.int32) for code in codes], jnp.asarray(CONVERGED, jnp.int32))


def _half(dtype: Any) -> float:
    """What is left when half of the digits of a precision are lost."""
    return float(jnp.finfo(dtype).eps) ** 0.5


def judged_by(scores: jax.Array, relevant: jax.Array, prior: Any) -> tuple[jax.Array, jax.Array]:
    """Relevant documents [..., Q, J] and the law [N] of scores [..., M, Q, N], after all tests of the three but shapes.

    Refused are what does not belong together, scores that are not finite or whose differences overflow, and queries
    without a relevant document or with one of prior 0. Traced values pass unseen.
    """
    check_relevant(scores[..., 0, :, :], relevant)
    law = prior_law(prior, scores.shape[-1], scores.dtype)
    listed = relevant if relevant.ndim == scores.ndim - 1 else relevant[..., None]
    if is_concrete(scores, listed, law):
        _check_values(scores, np.asarray(listed).reshape(-1, listed.shape[-1]), np.asarray(law))
    return listed, law


def _check_values(scores: jax.Array, listed: np.ndarray, law: np.ndarray) -> None:
    reach = largest(scores)
    require(bool(np.isfinite(reach).all()), "the scores hold a NaN or infinity; calibration needs numbers.")
    most = float(jnp.finfo(scores.dtype).max) / 4
    require(bool((reach <= most).all()), f"a score is above {most:.1e}, so that differences overflow; scale them down.")
    judged = listed >= 0
    none = ~judged.any(axis=1)
    require(not none.any(), f"query {int(np.argmax(none))} has no relevant document; leave it out.")
    absurd = (judged & (law[np.maximum(listed, 0)] <= 0)).any(axis=1)
    require(
        not absurd.any(),
        f"the relevant document of query {int(np.argmax(absurd))} has prior 0, so its cross-entropy is infinite; "
        f"give it some probability.",
    )


def largest(scores: jax.Array, axes: tuple[int, ...] | None = None) -> np.ndarray:
    """Largest magnitude over some axes, all by default, 0 of none; NaN if there is one. Scores stay where they are."""
    xp = arrays_of(scores)
    with jax.ensure_compile_time_eval():  # within a trace too, since they are concrete
        array = xp.asarray(scores)
        ends = xp.max(array, axis=axes, initial=0), xp.min(array, axis=axes, initial=0)
    return np.maximum(np.asarray(ends[0]), -np.asarray(ends[1]))
