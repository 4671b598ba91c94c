"""The cross-entropy of a posterior, convex in inverse temperatures, and how far a point is from its minimum.

    F(beta) = E[-ln q_beta(Y | X)],   q_beta(k | x) proportional to prior(k) exp(sum_m beta_m s_m(x, k)),   beta >= 0

Everything in this file is in nats and in scaled units: each modality is divided by its largest range over any one list,
so that beta_m is the largest difference of log-odds the modality can make, and one precision suits all modalities.
"""

from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp

from rdjax.numerics import matmul
from rdjax.retrieval.posteriors import log_law
from rdjax.trees import register_dataclass


@partial(
    register_dataclass,
    data_fields=["features", "log_prior", "log_target", "level", "scale", "offset"],
    meta_fields=[],
)
@dataclass(frozen=True)
class Problem:
    """What F is made of.

    Args:
      features: (s_m - s_m at the relevant document) / scale_m, [M, Q, N]; 0 where the prior is 0.
      log_prior: [N], -inf where the prior is 0.
      log_target: mean log prior of the relevant documents of each query, [Q].
      level: ln of their number, [Q].
      scale: largest range of each modality over one list, [M]; 1 where it is 0.
      offset: largest |s_m| / scale_m, [M]: what rounding is relative to.
    """

    features: jax.Array
    log_prior: jax.Array
    log_target: jax.Array
    level: jax.Array
    scale: jax.Array
    offset: jax.Array


class Moments(NamedTuple):
    """F, its gradient [M] and Hessian [M, M] at a point, and the root mean square [M] of the features there."""

    value: jax.Array
    gradient: jax.Array
    hessian: jax.Array
    size: jax.Array


def make_problem(scores: jax.Array, relevant: jax.Array, prior: jax.Array) -> Problem:
    """The problem of scores [M, Q, N], relevant documents int [Q, J] padded with -1, and a prior [N]."""
    judged = relevant >= 0
    count = jnp.maximum(jnp.sum(judged, axis=-1), 1).astype(scores.dtype)

    def over_relevant(values: jax.Array) -> jax.Array:  # [Q, N] to [Q]
        picked = jnp.take_along_axis(values, jnp.maximum(relevant, 0), axis=-1)
        return jnp.sum(jnp.where(judged, picked, 0.0), axis=-1) / count

    weight = log_law(prior)
    centered = jnp.where((prior > 0)[None, None, :], scores - jax.vmap(over_relevant)(scores)[..., None], 0.0)
    fixed = jax.lax.stop_gradient(centered)  # the scale is a choice of units: nothing depends on it
    span = jnp.max(jnp.max(fixed, axis=-1) - jnp.min(fixed, axis=-1), axis=-1)
    scale = jnp.where(span > 0, span, 1.0)
    return Problem(
        features=centered / scale[:, None, None],
        log_prior=weight,
        log_target=over_relevant(jnp.broadcast_to(weight, scores.shape[1:])),
        level=jnp.log(count),
        scale=scale,
        offset=jax.lax.stop_gradient(jnp.max(jnp.abs(scores), axis=(1, 2))) / scale,
    )


def value(problem: Problem, beta: jax.Array) -> jax.Array:
    """F at beta [M], nats."""
    return jnp.mean(jax.nn.logsumexp(_logits(problem, beta), axis=-1) - problem.log_target)


def moments(problem: Problem, beta: jax.Array) -> Moments:
    """F, its gradient E[mean feature] and its Hessian E[covariance of features], means and covariances under q_beta."""
    logits = _logits(problem, beta)
    total = jax.nn.logsumexp(logits, axis=-1)
    law = jnp.exp(logits - total[:, None])
    mean = jnp.sum(law[None] * problem.features, axis=-1)
    spread = (jnp.sqrt(law)[None] * (problem.features - mean[..., None])).reshape(len(beta), -1)
    hessian = jnp.matmul(spread, spread.T, precision=jax.lax.Precision.HIGHEST) / mean.shape[1]
    size = jnp.sqrt(jnp.diag(hessian) + jnp.mean(mean**2, axis=1))
    return Moments(jnp.mean(total - problem.log_target), jnp.mean(mean, axis=1), hessian, size)


def slopes(problem: Problem, beta: jax.Array) -> jax.Array:
    """The gradient of each query's own loss, [M, Q]: its mean feature under q_beta."""
    law = jax.nn.softmax(_logits(problem, beta), axis=-1)
    return jnp.sum(law[None] * problem.features, axis=-1)


def floor(problem: Problem) -> jax.Array:
    """A lower bound of F over all beta >= 0, nats.

    F is the maximum over laws p_x of E[<beta, E_p f> - KL(p_x || prior)], so any p with E_p f = 0 bounds it from below
    for every beta: the prior on the relevant document and its exact duplicates, or the even law on several relevant.
    """
    alike = jnp.all(problem.features == 0, axis=0)
    twins = jax.nn.logsumexp(jnp.where(alike, problem.log_prior[None, :], -jnp.inf), axis=-1) - problem.log_target
    return jnp.mean(jnp.maximum(twins, problem.level))


def certificate(problem: Problem, beta: jax.Array, at: Moments) -> tuple[jax.Array, jax.Array]:
    """An upper bound in nats on F(beta) - min F over beta >= 0, and the number of flat directions.

    The third derivative of F along d is at most S(d) times the second, S(d) being the largest range of <d, f> over one
    list, so with n = |d| in the norm of the Hessian H and S(d) <= R n (Bach 2010, proposition 1)

        F(beta + d) >= F + <g, d> + n^2 (e^-Rn + Rn - 1) / (Rn)^2.

    With nu the dual norm of g and a = R nu < 1, minimizing over n gives F - min F <= (a + (1 - a) ln(1 - a)) / R^2,
    at most nu^2 / (2 (1 - a)). Directions in which no list varies beyond rounding change F by nothing and are left out.

    Modalities held at beta_m = 0 by g_m > 0 are kept out of nu and R, which are then those of the free ones. With t
    the sum of their d_m >= 0, S(d) <= R n + k t, k = 1 + R max sqrt(H_mm), and they cost at least l t, l the least of
    g_m - (H x)_m with x the free Newton step. While k t <= c that only inflates nu^2 and R^2 by e^c; and if l c / k
    exceeds the bound so inflated, F is above F(beta) wherever k t = c, hence, being convex, wherever k t > c.

    Where any of this fails (the optimum runs off to infinity), F - `floor` is the bound. All is widened by what
    rounding can do to F, g and H in the precision at hand.

    Source: Bach, Self-concordant analysis for logistic regression, 2010; theory notes, section 4.
    """
    error = _rounding(problem, beta, at)
    held = (beta <= 0) & (at.gradient > 2 * error.gradient)
    free = _free_directions(problem, at.hessian, held, error.relative)
    residual = jnp.where((beta <= 0) & (at.gradient > 0), 0.0, at.gradient)
    along = jnp.abs(matmul(free.axes.T, residual)) + matmul(jnp.abs(free.axes.T), error.gradient)
    step = jnp.where(free.curved, along / free.curvature, 0.0)
    some = jnp.any(held)
    inflation = jnp.where(some, jnp.exp(_REACH), 1.0)
    decrement = jnp.sqrt(jnp.sum(step * along) * inflation)
    room = 1 - free.radius * decrement * jnp.sqrt(inflation)
    bound = decrement**2 / (2 * jnp.where(room > 0, room, 1.0))
    moved = matmul(jnp.abs(matmul(at.hessian, free.axes)), step)
    cost = jnp.min(jnp.where(held, at.gradient - error.gradient - moved, jnp.inf))
    slope = 1 + free.radius * jnp.sqrt(jnp.max(jnp.where(held, jnp.diag(at.hessian), 0.0)))
    sound = free.settled & (room > 0) & (~some | (cost * _REACH > slope * bound)) & (error.relative < 0.05)
    trivial = jnp.maximum(at.value - floor(problem), 0.0)
    return jnp.minimum(jnp.where(sound, bound, jnp.inf), trivial) + error.relative, jnp.sum(free.flat)


_REACH = 0.1  # the c of the certificate


class _Error(NamedTuple):
    """What rounding can do: to q_beta, relatively, which bounds it for F, absolutely; and to the gradient [M]."""

    relative: jax.Array
    gradient: jax.Array


class _Directions(NamedTuple):
    """Eigenvectors of the Hessian of the free modalities, in columns, and what is known along each.

    `curvature` is from below, 1 where a direction is not `curved`; `radius` is R; `settled`: each is curved or flat.
    """

    axes: jax.Array
    curvature: jax.Array
    curved: jax.Array
    flat: jax.Array
    radius: jax.Array
    settled: jax.Array


def _rounding(problem: Problem, beta: jax.Array, at: Moments) -> _Error:
    eps = float(jnp.finfo(beta.dtype).eps)
    digits = 8 + problem.features[0].size.bit_length()  # sums are pairwise
    relative = eps * (digits + 4 * jnp.sum(beta * problem.offset))
    return _Error(relative, relative * jnp.sqrt(jnp.diag(at.hessian)) + eps * digits * at.size)


def _free_directions(problem: Problem, hessian: jax.Array, held: jax.Array, rounding: jax.Array) -> _Directions:
    eps = float(jnp.finfo(hessian.dtype).eps)
    both = ~held[:, None] & ~held[None, :]
    apart = jnp.where(held, 2 * jnp.trace(hessian) + 1, 0.0)  # held modalities become eigenvectors of their own
    curvature, axes = jnp.linalg.eigh(jnp.where(both, hessian, 0.0) + jnp.diag(apart))
    free = jnp.sum(jnp.where(held[:, None], axes**2, 0.0), axis=0) < 0.5
    curved = free & (curvature > 1e3 * eps * jnp.max(jnp.where(free, curvature, 0.0)))
    span = jnp.stack([_span(problem.features, axis) for axis in axes.T])
    flat = free & ~curved & (jnp.max(span, axis=1) <= 64 * eps * (1 + jnp.max(problem.offset)))
    safe = jnp.where(curved, curvature * (0.99 - 4 * rounding), 1.0)
    radius = jnp.sqrt(jnp.max(jnp.sum(jnp.where(curved[:, None], span**2 / safe[:, None], 0.0), axis=0)))
    return _Directions(axes, safe, curved, flat, radius, jnp.all(~free | curved | flat))


def _logits(problem: Problem, beta: jax.Array) -> jax.Array:
    return problem.log_prior[None, :] + jnp.tensordot(beta, problem.features, 1, precision=jax.lax.Precision.HIGHEST)


def _span(features: jax.Array, axis: jax.Array) -> jax.Array:
    """Range of <axis, f> over each list, [Q]. Documents of prior 0 have f = 0, the relevant one's, and add nothing."""
    along = jnp.tensordot(axis, features, 1, precision=jax.lax.Precision.HIGHEST)
    return jnp.max(along, axis=-1) - jnp.min(along, axis=-1)
