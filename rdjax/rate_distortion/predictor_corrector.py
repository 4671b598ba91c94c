"""Mehrotra's predictor-corrector for convex functions of q >= 0 whose Hessian is a Gram matrix in the unknown dq / q.

With z = the gradient as slacks, z >= 0 and q_j z_j = 0 at the end, the Newton matrix is

    B'B + diag(q z)

whose first part has eigenvalues at most 1 for the mixture of `newton`, whatever the slope, and e^C for a channel.
That scaling, with the diagonal brought to one, is what makes it work in float32: in the unknown dq the same matrix has
entries from 0 to 1 / q^2. Source: Mehrotra 1992; Koenker and Mizera 2014 for the mixture; theory notes, section 10.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple, Protocol

import jax
import jax.numpy as jnp
from jax import lax
from jax.scipy.linalg import cho_solve
from jax.typing import ArrayLike

from rdjax.rate_distortion.problem import HIGHEST
from rdjax.rate_distortion.reductions import inner, largest, total

SPREAD = 0.01  # of the start is uniform, so that no column starts on the boundary
TO_BOUNDARY = 0.995
PATIENCE = 12  # steps without a better gap before a precision is said to be exhausted
WORTH_SPLITTING = 512  # columns from which half of a symmetric product is left out


class Objective(Protocol):
    """A convex function of q >= 0 [M] whose Hessian in the unknown dq / q is B'B, and whose least q, normalized, is the
    law that is looked for."""

    def look(self, q: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Its falling gradient [M], at most 0 at the end, and B [X, M]."""
        ...

    def gap(self, law: jax.Array) -> jax.Array:
        """How far a law may be from the best, nats."""
        ...


class _State(NamedTuple):
    law: jax.Array  # q, not normalized on the way
    slack: jax.Array  # z
    best: jax.Array  # normalized law of the least gap so far
    gap: jax.Array
    ridge: jax.Array
    steps: jax.Array
    idle: jax.Array  # steps since the gap was last improved


def newton_steps(
    objective: Objective, start: jax.Array, enough: ArrayLike, max_steps: int
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Predictor-corrector steps from q [M] until the law's gap is at most `enough` nats: law, gap, steps."""
    size = total(start)
    q = (1 - SPREAD) * start + SPREAD * size / start.shape[0]
    zero, ridge = jnp.zeros((), jnp.int32), jnp.asarray(32 * jnp.finfo(q.dtype).eps, q.dtype)
    slack = jnp.maximum(-objective.look(q)[0], SPREAD)
    first = _State(q, slack, q / size, jnp.full_like(ridge, jnp.inf), ridge, zero, zero)

    def going(state: _State) -> jax.Array:
        return (state.gap > enough) & (state.steps < max_steps) & (state.idle < PATIENCE)

    last = lax.while_loop(going, partial(_step, objective), first)
    return last.best, last.gap, last.steps


def _step(objective: Objective, state: _State) -> _State:
    """One predictor-corrector step, with one factorization; a step that breaks down is tried again with more ridge."""
    q, z = state.law, state.slack
    pull, channel = objective.look(q)
    product = q * z
    solve = _factor(channel, product, state.ridge)
    mean = inner(q, z) / q.shape[0]

    def direction(center: jax.Array, cross: jax.Array) -> tuple[jax.Array, jax.Array]:
        relative = solve(q * pull + center - cross)
        return relative, (center - cross) / q - z - z * relative

    def moved(relative: jax.Array, change: jax.Array, share: float) -> tuple[jax.Array, jax.Array]:
        room = _room(jnp.stack([relative, change / z]), share)
        return q * (1 + room[0] * relative), z + room[1] * change

    relative, change = direction(jnp.zeros_like(mean), jnp.zeros_like(q))
    law, slack = moved(relative, change, 1.0)
    center = mean * jnp.clip(inner(law, slack) / (mean * law.shape[0]), 0, 1) ** 3
    law, slack = moved(*direction(center, q * relative * change), TO_BOUNDARY)
    size, both = jnp.matmul(jnp.stack([jnp.ones_like(slack), slack]), law, precision=HIGHEST)
    good = jnp.isfinite(both)
    law, slack, unit = jnp.where(good, law, q), jnp.where(good, slack, z), jnp.where(good, law / size, state.best)
    gap = objective.gap(unit)
    better = gap < state.gap
    ridge = jnp.where(good, state.ridge, 30 * state.ridge)
    best, least = jnp.where(better, unit, state.best), jnp.where(better, gap, state.gap)
    return _State(law, slack, best, least, ridge, state.steps + 1, jnp.where(better, 0, state.idle + 1))


def _room(relative: jax.Array, share: float) -> jax.Array:
    """The longest step, at most 1, that goes `share` of the way to the boundary, for each row of changes."""
    fall = largest(-relative)
    return jnp.minimum(1, share / jnp.where(fall > 0, fall, 1e-30))


def _factor(channel: jax.Array, product: jax.Array, ridge: jax.Array) -> Callable[[jax.Array], jax.Array]:
    """Solves (B'B + diag(product)) x = b; by the smaller side of Woodbury's identity where float64 allows it."""
    if channel.dtype == jnp.float64 and 2 * channel.shape[0] < channel.shape[1]:
        inner = jnp.matmul(channel / product[None, :], channel.T, precision=HIGHEST)
        factor = jnp.linalg.cholesky(inner + jnp.eye(channel.shape[0], dtype=channel.dtype))

        def by_rows(b: jax.Array) -> jax.Array:
            inside = cho_solve((factor, True), jnp.matmul(channel, b / product, precision=HIGHEST))
            return (b - jnp.matmul(inside, channel, precision=HIGHEST)) / product

        return by_rows
    diagonal = total(channel * channel) + product
    scale = lax.rsqrt(diagonal)
    scaled = channel * scale[None, :]
    matrix = _lower_half(scaled, product * scale**2 + ridge)
    factor = lax.linalg.cholesky(matrix, symmetrize_input=False)
    return lambda b: scale * cho_solve((factor, True), scale * b)


def _lower_half(matrix: jax.Array, diagonal: jax.Array) -> jax.Array:
    """A'A + diag(d) [M, M] of A [X, M]; of large ones little above the diagonal, so 3/8 of the work is not done.

    By pairs of blocks of columns, which are made once: slices of them for larger products would be copies.
    """
    parts = 4 if matrix.shape[1] >= WORTH_SPLITTING else 1
    blocks, diagonals = jnp.array_split(matrix, parts, axis=1), jnp.array_split(diagonal, parts)

    def product(i: int, j: int) -> jax.Array:
        if j > i:
            return jnp.zeros((blocks[i].shape[1], blocks[j].shape[1]), matrix.dtype)
        both = jnp.matmul(blocks[i].T, blocks[j], precision=HIGHEST)
        return both + jnp.diag(diagonals[i]) if i == j else both

    return jnp.block([[product(i, j) for j in range(parts)] for i in range(parts)])
