"""The training loop of critics: stretches of steps in one compiled program, looks at other pairs between them."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jax import lax
from jax.flatten_util import ravel_pytree
from jax.typing import ArrayLike

from rdjax.checks import require
from rdjax.information.variational import bound_standard_error
from rdjax.nn.committee import Committee
from rdjax.nn.objectives import NO_AVERAGE, Objective

SMOOTHING = 0.99  # a step, of the average of parameters that is read

Pairs = tuple[jax.Array, jax.Array]
Progress = Callable[[int, float], None]


class Plan(NamedTuple):
    """All that is fixed while training; hashable, and equal when made twice of the same things."""

    graph: Any
    objective: Objective
    optimizer: optax.GradientTransformation
    batch: int
    length: int
    """Steps between two looks."""
    members: int
    """Of the committee; 1 if it is none."""


class State(NamedTuple):
    """What goes from stretch to stretch. Read is the average of the parameters over the last steps, kept as one vector:
    an operation for every parameter takes longer to compile than a small critic takes to train.
    """

    parameters: Any
    optimizer: Any
    average: jax.Array
    log_average: jax.Array
    step: jax.Array


class Outcome(NamedTuple):
    """Parameters of the best look, bits at every look (-inf: not finite), and why training ended."""

    best: Any
    history: list[float]
    exhausted: bool
    diverged: bool


def train(
    plan: Plan,
    parameters: Any,
    rest: Any,
    pairs: Pairs,
    choosing: Pairs,
    looks: int,
    patience: int,
    seed: int,
    progress: Progress | None,
) -> Outcome:
    """Descend the loss on `pairs` until the bound on `choosing` [blocks, n, D] has not risen for `patience` looks."""
    pairs, choosing = jax.device_put((pairs, choosing))  # once, not at every look
    state = _begin(plan, parameters)
    generator = np.random.default_rng(seed)
    best, history = state.average, [-np.inf]
    while True:
        state = _stretch(plan, state, rest, pairs, _batches(generator, len(pairs[0]), plan))
        bits, _ = read(plan, as_tree(parameters, state.average), rest, choosing)
        bits = bits if np.isfinite(bits) else -np.inf
        best = state.average if bits > max(history) else best
        history.append(bits)
        if progress is not None:
            progress(plan.length * (len(history) - 1), bits)
        require(
            max(history) > -np.inf,
            "the critic's scores were not finite at the first look; take smaller steps (optimizer=optax.adam(1e-4)).",
        )
        waited = len(history) - 1 - int(np.argmax(history))
        diverged, exhausted = bits == -np.inf, len(history) - 1 == looks
        if diverged or exhausted or waited >= patience:
            return Outcome(as_tree(parameters, best), history[1:], exhausted, diverged)


def read(plan: Plan, parameters: Any, rest: Any, blocks: Pairs) -> tuple[float, float]:
    """Mean of the bound over blocks of pairs [blocks, n, D], bits, and its standard error; a matrix of scores for each.

    Scores and bounds are two programs, which compile in half the time of one.
    """
    each = zip(*blocks, strict=True)
    found = [_bound(plan.objective, _block_scores(plan, parameters, rest, pairs)) for pairs in each]
    bits, errors = np.array(found, np.float64).T
    return float(np.mean(bits)), float(np.sqrt(np.sum(errors**2))) / len(found)


def in_blocks(pairs: Pairs, size: int) -> Pairs:
    """As many blocks of that size as there are pairs for: [blocks, size, D]; the rest is left out."""
    blocks = len(pairs[0]) // size
    return pairs[0][: blocks * size].reshape(blocks, size, -1), pairs[1][: blocks * size].reshape(blocks, size, -1)


def parameters_dtype(parameters: Any) -> Any:
    """Of the first of them."""
    return jax.tree.leaves(parameters)[0].dtype


def as_tree(like: Any, vector: ArrayLike) -> Any:
    """A vector of parameters as the tree that it was made of, on the host."""
    leaves, tree = jax.tree.flatten(like)
    parts = np.split(np.asarray(vector), np.cumsum([leaf.size for leaf in leaves])[:-1])
    shaped = [part.reshape(leaf.shape).astype(leaf.dtype) for part, leaf in zip(parts, leaves, strict=True)]
    return jax.tree.unflatten(tree, [jnp.asarray(leaf) for leaf in shaped])


@partial(jax.jit, static_argnums=0)
def _begin(plan: Plan, parameters: Any) -> State:
    vector = ravel_pytree(parameters)[0]
    return State(
        parameters,
        plan.optimizer.init(parameters),
        average=vector.astype(jnp.promote_types(vector.dtype, jnp.float32)),  # a hundredth of a step is lost in less
        log_average=jnp.full(plan.members, NO_AVERAGE, vector.dtype),
        step=jnp.zeros((), int),
    )


@partial(jax.jit, static_argnums=0)
def _stretch(plan: Plan, state: State, rest: Any, pairs: Pairs, rows: ArrayLike) -> State:
    """A step for each row of `rows`."""
    return lax.scan(lambda state, row: (_step(plan, state, rest, pairs, row), None), state, jnp.asarray(rows))[0]


def _step(plan: Plan, state: State, rest: Any, pairs: Pairs, row: jax.Array) -> State:
    def member_scores(parameters: Any) -> jax.Array:
        critic, batch = nnx.merge(plan.graph, parameters, rest), (pairs[0][row], pairs[1][row])
        return critic.member_scores(*batch) if isinstance(critic, Committee) else critic(*batch)[None]

    def loss(parameters: Any) -> tuple[jax.Array, jax.Array]:
        losses, after = jax.vmap(plan.objective.loss)(member_scores(parameters), state.log_average)
        return jnp.sum(losses), after

    slopes, log_average = jax.grad(loss, has_aux=True)(state.parameters)
    moves, optimizer = plan.optimizer.update(slopes, state.optimizer, state.parameters)
    parameters = optax.apply_updates(state.parameters, moves)
    share = jnp.maximum(1 - SMOOTHING, 9 / (state.step + 10)).astype(state.average.dtype)
    average = state.average + share * (ravel_pytree(parameters)[0] - state.average)
    return State(parameters, optimizer, average, log_average, state.step + 1)


def _batches(generator: np.random.Generator, size: int, plan: Plan) -> np.ndarray:
    """Rows of each step [length, batch]: random passes of as many batches as are full, no pair twice in a pass."""
    each = size // plan.batch
    orders = [generator.permutation(size)[: each * plan.batch] for _ in range(-(-plan.length // each))]
    return np.concatenate(orders).reshape(-1, plan.batch)[: plan.length].astype(np.int32)


@partial(jax.jit, static_argnums=0)
def _block_scores(plan: Plan, parameters: Any, rest: Any, pairs: Pairs) -> jax.Array:
    return nnx.merge(plan.graph, parameters, rest)(*pairs)


@partial(jax.jit, static_argnums=0)
def _bound(objective: Objective, scores: jax.Array) -> tuple[jax.Array, jax.Array]:
    return objective.bound(scores), bound_standard_error(objective.bound, scores)
