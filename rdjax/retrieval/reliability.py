"""When a modality of some queries is plainly wrong: a posterior that doubts each modality, query by query.

With probability eps_m what modality m says of a query has nothing to do with its document. Then

    P(y | x) proportional to prior(y) prod_m [eps_m + (1 - eps_m) L_m(y)],
    L_m(y) = exp(s_m(y) / tau_m) / mean_k exp(s_m(k) / tau_m)

where L_m is how much likelier the scores of modality m are if y is meant. A document that all modalities but one favor
is no longer ruled out by that one. With eps = 0 it is the calibrated posterior. What it amounts to is a temperature of
its own for every query: tau_m / P(modality m is right | x), see `query_temperatures`.
"""

import itertools
import math
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.typing import ArrayLike

from rdjax.checks import is_concrete, require, whole
from rdjax.numerics import to_bits, without_gradient
from rdjax.retrieval.posteriors import log_law, normalized, prior_law
from rdjax.retrieval.scores import check_relevant, check_temperatures, checked_scores, finite, working
from rdjax.retrieval.temperature import calibrate_temperatures
from rdjax.shards import by_compiler
from rdjax.trees import register_dataclass

STARTS = (0.002, 0.15, 0.5)  # doubts of a modality that a fit may set out from
DAMPING = (1e-3, 1e6)  # of Newton's steps: the first, and the one at which nothing is left to gain
STRIDE = 2.0  # nats of a temperature or of the odds of doubt in one step


@partial(register_dataclass, data_fields=["temperatures", "doubt", "cross_entropy"], meta_fields=[])
@dataclass(frozen=True)
class Reliability:
    """Fitted temperatures and doubt.

    Args:
      temperatures: tau [M] > 0, of the queries for which a modality is right.
      doubt: eps [M] in (0, 1).
      cross_entropy: E[-log2 q(Y | X)] there, bits.
    """

    temperatures: jax.Array
    doubt: jax.Array
    cross_entropy: jax.Array


def doubting_posterior(scores: ArrayLike, temperatures: ArrayLike, doubt: ArrayLike, prior: Any = None) -> jax.Array:
    """ln P(y | x) [..., N] where modality m is beside the point with probability eps_m; normalized, nats.

    Args:
      scores: [M, ..., N]; -inf for a document that cannot be, whatever the doubt: it is left out of the list.
      temperatures: tau [M] > 0; infinity leaves a modality out.
      doubt: eps [M] in [0, 1].
      prior: [N]; None or the integer N for the uniform one.

    Returns:
      [..., N]; sort by it to rank. Differentiable in all.

    Raises:
      InputError: shapes that do not belong together, a doubt outside [0, 1], a prior that is no law, a list of which
        no document can be.
    """
    return _with_evidence(*_checked(scores, temperatures, doubt), prior)[0]


def query_temperatures(scores: ArrayLike, temperatures: ArrayLike, doubt: ArrayLike, prior: Any = None) -> jax.Array:
    """The temperature of each modality for each query, tau_m / P(modality m is right | x) [M, ...].

        P(modality m is right | x) = 1 - E[eps_m / (eps_m + (1 - eps_m) L_m(Y)) | x]

    Arguments and errors as in `doubting_posterior`; infinity for a modality that is surely wrong.
    """
    scores, tau, eps = _checked(scores, temperatures, doubt)
    logs, evidence = _with_evidence(scores, tau, eps, prior)
    share = jnp.exp(log_law(eps).reshape(-1, *[1] * (scores.ndim - 1)) - evidence)
    right = 1 - jnp.sum(share * jnp.exp(logs)[None], axis=-1)
    column = tau.reshape(-1, *[1] * (scores.ndim - 2))
    return jnp.where(right > 0, column / jnp.where(right > 0, right, 1), jnp.inf)


def fit_reliability(
    scores: ArrayLike,
    relevant: ArrayLike,
    *,
    prior: Any = None,
    steps: int = 60,
) -> Reliability:
    """Temperatures and doubt of the least cross-entropy, by damped Newton steps from the best of a grid.

    The grid is of doubts, and of the calibrated temperatures and half of them: where a modality is often wrong,
    calibration without doubt makes it up by a higher temperature. The result is never worse than the grid.

    The queries have to be like those it is used for: on queries whose modalities are all right it finds no doubt.

    Args:
      scores: [M, Q, N].
      relevant: int [Q].
      prior: [N]; None or the integer N for the uniform one.
      steps: from the best start, fewer where nothing is left to gain.

    Returns:
      a `Reliability`.

    Raises:
      InputError: shapes that do not belong together, an index out of range.
      TypeError: where it is differentiated.
    """
    scores, relevant = _fitted_on(working(scores)), jnp.asarray(relevant)
    require(
        scores.ndim == 3 and scores.size > 0 and relevant.ndim == 1,
        f"scores have shape {scores.shape} and relevant {relevant.shape}; they must be [M, Q, N] and [Q], not empty.",
    )
    whole(steps, "steps", 1)
    check_relevant(scores[0], relevant)
    law = prior_law(prior, scores.shape[-1], scores.dtype)
    tau = calibrate_temperatures(scores, relevant, prior=law).temperatures
    spread = jnp.mean(jnp.std(scores, axis=-1), axis=-1)
    tau = jnp.where(jnp.isfinite(tau), tau, jnp.where(spread > 0, spread, 1))
    end, loss = by_compiler(_fit, scores, relevant, law, tau, steps)
    return Reliability(*_parameters(end), to_bits(loss))


_fitted_on = without_gradient(
    "the fit of doubt has no gradient in the scores: take that of `doubting_posterior` at what was fitted."
)


@jax.jit
def _fit(
    scores: jax.Array, relevant: jax.Array, prior: jax.Array, tau: jax.Array, steps: int
) -> tuple[jax.Array, jax.Array]:
    """(ln tau, logit eps) [2, M] where the descent ends, and the loss there, nats.

    Newton's steps, damped (Levenberg 1944): the loss is not convex. One evaluation a step, taken where the loss falls.
    """

    def loss(point: jax.Array) -> jax.Array:
        logs = doubting_posterior(scores, *_parameters(point), prior)
        return -jnp.mean(jnp.take_along_axis(logs, relevant[:, None], axis=-1))

    def look(flat: jax.Array) -> _Look:
        def slope(x: jax.Array) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
            value, gradient = jax.value_and_grad(lambda x: loss(x.reshape(2, -1)))(x)
            return gradient, (value, gradient)

        hessian, (value, gradient) = jax.jacfwd(slope, has_aux=True)(flat)
        return _Look(flat, value, gradient, hessian)

    def step(state: _Descent) -> _Descent:
        now = state.at
        then = look(now.point + _damped(now, state.damping))
        accept = then.value < now.value
        at = jax.tree.map(partial(jnp.where, accept), then, now)
        return _Descent(at, jnp.where(accept, state.damping / 8, state.damping * 8), state.steps + 1)

    def more(state: _Descent) -> jax.Array:
        unfinished = jnp.max(jnp.abs(state.at.gradient)) > 10 * jnp.finfo(scores.dtype).eps ** 0.75
        return (state.steps < steps) & unfinished & (state.damping < DAMPING[1])

    grid = _grid(tau)
    start = grid[jnp.argmin(lax.map(loss, grid))].ravel()
    unknown = jnp.full_like(start, jnp.inf)  # anything is better, so the first turn takes the start itself
    nothing = _Look(start, unknown[0], unknown, jnp.eye(start.size, dtype=start.dtype))
    damping = jnp.asarray(DAMPING[0], scores.dtype)
    end = lax.while_loop(more, step, _Descent(nothing, damping, jnp.asarray(-1)))
    return end.at.point.reshape(2, -1), end.at.value


class _Look(NamedTuple):
    """(ln tau, logit eps) [2 M], and the loss there with its derivatives."""

    point: jax.Array
    value: jax.Array
    gradient: jax.Array
    hessian: jax.Array


class _Descent(NamedTuple):
    at: _Look
    damping: jax.Array
    steps: jax.Array


def _damped(at: _Look, damping: jax.Array) -> jax.Array:
    """The step of the model whose curvature is raised by the damping, at most `STRIDE` in each parameter."""
    raised = at.hessian + damping * jnp.eye(at.point.size, dtype=at.point.dtype)
    move = -jnp.linalg.solve(raised, at.gradient)
    downhill = jnp.sum(move * at.gradient) < 0
    move = jnp.where(downhill, move, -at.gradient / damping)
    return jnp.where(jnp.isfinite(at.value), jnp.clip(move, -STRIDE, STRIDE), 0)


def _grid(tau: jax.Array) -> jax.Array:
    """Points [S, 2, M] to set out from."""
    each = STARTS if len(tau) <= 3 else STARTS[1:2]
    doubts = np.array(list(itertools.product(each, repeat=len(tau))))
    odds = jnp.asarray(np.log(doubts / (1 - doubts)), tau.dtype)
    pair = lambda scale: jnp.stack([jnp.broadcast_to(jnp.log(scale * tau), odds.shape), odds], axis=1)
    return jnp.concatenate([pair(1.0), pair(0.5)])


def _parameters(point: jax.Array) -> tuple[jax.Array, jax.Array]:
    """(ln tau, logit eps) [2, M] as tau and eps."""
    return jnp.exp(point[0]), lax.logistic(point[1])


def _with_evidence(scores: jax.Array, tau: jax.Array, eps: jax.Array, prior: Any) -> tuple[jax.Array, jax.Array]:
    """ln P(y | x) [..., N], and the `_log_evidence` [M, ..., N] that it is made of."""
    weight = log_law(prior_law(prior, scores.shape[-1], scores.dtype))
    evidence, possible = _log_evidence(scores, tau, eps)
    fused = jnp.sum(evidence, axis=0)
    return normalized(jnp.where(possible, fused + jnp.broadcast_to(weight, fused.shape), -jnp.inf)), evidence


def _log_evidence(scores: jax.Array, tau: jax.Array, eps: jax.Array) -> tuple[jax.Array, jax.Array]:
    """ln [eps + (1 - eps) L] [M, ..., N], 0 for documents that cannot be; and which can be, bool [..., N]."""
    column = lambda values: values.reshape(-1, *[1] * (scores.ndim - 1))
    weight, certain = column(1 / tau), scores != -jnp.inf
    possible = jnp.all(certain | (weight == 0), axis=0)
    scaled = jnp.where(possible, finite(jnp.where(certain, scores, 0) * weight), -jnp.inf)
    count = jnp.sum(possible, axis=-1, keepdims=True).astype(scores.dtype)
    none = count == 0
    likelihood = jax.nn.log_softmax(jnp.where(none, 0, scaled), axis=-1) + jnp.log(jnp.where(none, 1, count))[None]
    # not of logarithms of eps and 1 - eps, whose derivative is lost where these are 0
    most = lax.stop_gradient(jnp.maximum(likelihood, log_law(column(eps))))  # so neither term of the sum is lost
    doubted = column(eps) * jnp.exp(jnp.minimum(-most, math.log(jnp.finfo(scores.dtype).max) - 1))
    believed = column(1 - eps) * jnp.exp(likelihood - most)
    evidence = most + jnp.log(jnp.where(possible, doubted + believed, 1))
    return jnp.where(possible, evidence, 0), possible


def _checked(scores: ArrayLike, temperatures: ArrayLike, doubt: ArrayLike) -> tuple[jax.Array, jax.Array, jax.Array]:
    scores = checked_scores(scores)
    tau, eps = jnp.asarray(temperatures, scores.dtype), jnp.asarray(doubt, scores.dtype)
    require(
        scores.ndim > 1 and tau.shape == eps.shape == scores.shape[:1],
        f"scores have shape {scores.shape}, temperatures {tau.shape} and doubt {eps.shape}; all start with modalities.",
    )
    check_temperatures(tau)
    if is_concrete(eps):
        require(
            bool(np.all((np.asarray(eps) >= 0) & (np.asarray(eps) <= 1))),
            "a doubt lies outside [0, 1]; it is a probability.",
        )
    return scores, tau, eps
