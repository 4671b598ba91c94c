"""Train a critic on some pairs, choose the step on others, read mutual information on the rest.

The estimate and the critic that is returned are of the same step. The pairs are split into three parts at random: the
critic is trained on the first, the step is the one at which the bound on the second is best, and the bound is read on
the third, once. So the reading is of a critic that never saw its pairs, and the expectation of a lower bound stays
below I, which it need not where the step is chosen on the same pairs. Differences between steps are far less noisy than
the bound itself, since all are read on the same pairs; a small second part is enough, and costs little.
"""

import math
from dataclasses import dataclass
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jax.typing import ArrayLike

from rdjax.checks import numeric_matrix, require, whole
from rdjax.information.variational import infonce
from rdjax.nn.committee import Committee
from rdjax.nn.normal_scores import NormalScores
from rdjax.nn.objectives import KNOWN_OBJECTIVES, Objective, objective
from rdjax.nn.training import Plan, Progress, in_blocks, parameters_dtype, read, train
from rdjax.trees import register_dataclass

LOOK_EVERY = 100  # steps
LEAST_PAIRS = 40
READ_AT_ONCE = 1024  # pairs in a matrix of scores
READ_AT_LEAST = 256
CHOOSING = 0.2  # of what is held out

STOPPED, STEPS, CEILING, DIVERGED = range(4)
MESSAGES = (
    "the bound on held-out pairs stopped rising; the critic is of its best step.",
    "the steps ran out before the bound on held-out pairs had stopped rising; allow more steps.",
    "the estimate is within a bit of the logarithm of the number of pairs it is read on, which InfoNCE cannot pass: "
    "mutual information may be larger; read another bound, or more pairs.",
    "training diverged; the critic is of the best step before. Take smaller steps (optimizer=optax.adam(1e-4)).",
)


@register_dataclass
@dataclass(frozen=True)
class CriticFit:
    """An estimate of I(X; Y), and the critic that it was read from. Numbers are scalars but for the history.

    Args:
      bits: the bound on the third part of the pairs; whether it can exceed I, `fit_critic` says.
      standard_error: bits, of that reading: which pairs happened to be held out. It does not say how far the bound is
        below I.
      critic: of the step that was chosen; it reads normal scores, so use `scores`.
      x_scale, y_scale: `NormalScores` of the pairs it was trained on.
      step: the step that was chosen.
      history: bits on the second part at each look [looks]; -inf where training had diverged.
      status: an integer; `message` says it in words.
    """

    bits: jax.Array
    standard_error: jax.Array
    critic: nnx.Module
    x_scale: NormalScores
    y_scale: NormalScores
    step: jax.Array
    history: jax.Array
    status: jax.Array

    @property
    def message(self) -> str:
        """The status in words."""
        return MESSAGES[int(self.status)]

    def scores(self, x: ArrayLike, y: ArrayLike) -> jax.Array:
        """f(x_i, y_j) for x [n, D] and y [m, E] as they were handed in: [n, m], nats."""
        return self.critic(self.x_scale(x), self.y_scale(y))


def fit_critic(
    critic: nnx.Module,
    x: ArrayLike,
    y: ArrayLike,
    *,
    bound: str | Objective = "infonce",
    optimizer: optax.GradientTransformation | None = None,
    steps: int = 2000,
    batch: int = 128,
    held_out: float = 0.35,
    patience: int = 5,
    seed: int = 0,
    progress: Progress | None = None,
) -> CriticFit:
    """A lower bound on I(X; Y) from n pairs, by a critic trained to make it large.

    In expectation it is one by infonce, nwj and jensen_shannon; donsker_varadhan, mine and smile read bounds whose
    estimates may exceed I (`rdjax.information.variational`).

    Args:
      critic: a Flax module from x [N, D], y [M, E] to scores [N, M], nats; begin with `small_committee`. It is left as
        it is, and its parameters are where training begins. Their precision is that of the training. Calls may change
        nothing in it: no dropout that draws, no statistics of batches.
      x, y: n pairs [n, D] and [n, E], finite, n at least 40.
      bound: one of `KNOWN_OBJECTIVES`, or an `Objective`.
      optimizer: of Optax; None for Adam. Making it anew compiles anew.
      steps: at most; rounded up to whole stretches of about 100 between looks at the held-out pairs.
      batch: pairs in a step, of which every x is scored with every y.
      held_out: share of the pairs that are not trained on; a fifth of them chooses the step, the rest is read.
      patience: how many looks without a better one end the training.
      seed: of the split and of the batches. The same seed, critic and machine give the same result.
      progress: called after each look with (steps so far, bits on the pairs that choose).

    Returns:
      `CriticFit`.

    Raises:
      InputError: data that is not two finite matrices of as many rows, or not of the critic's sizes, too few pairs, an
        unknown bound; a critic that is no module, has no parameter or changes, or is not finite from the first look
        on.
    """
    _check(critic, bound, optimizer, seed)
    sides = _sides(x, y)
    parts = _parts(len(sides[0]), held_out, seed)
    scales = tuple(NormalScores.fit(side[parts[0]]) for side in sides)
    apart: Any = nnx.split(critic, nnx.Param, ...)
    graph, parameters, rest = apart
    dtype = parameters_dtype(parameters)
    normal = tuple(np.asarray(scale(side).astype(dtype)) for scale, side in zip(scales, sides, strict=True))
    pairs, choosing, reading = ((normal[0][rows], normal[1][rows]) for rows in parts)
    size, read_size = _block_sizes(len(parts[1]), len(parts[2]))
    looks = math.ceil(whole(steps, "steps") / LOOK_EVERY)
    plan = Plan(
        graph,
        objective(bound) if isinstance(bound, str) else bound,
        _default_optimizer() if optimizer is None else optimizer,
        min(whole(batch, "batch", 2), len(pairs[0])),
        math.ceil(steps / looks),
        critic.members if isinstance(critic, Committee) else 1,
    )
    looked_at = in_blocks(choosing, size)
    found = train(plan, parameters, rest, pairs, looked_at, looks, whole(patience, "patience"), seed, progress)
    bits, error = read(plan, found.best, rest, in_blocks(reading, read_size))
    status = DIVERGED if found.diverged else STEPS if found.exhausted else STOPPED
    at_ceiling = not found.diverged and plan.objective.bound is infonce and bits > math.log2(read_size) - 1
    return CriticFit(
        bits=jnp.asarray(bits, dtype),
        standard_error=jnp.asarray(error, dtype),
        critic=nnx.merge(graph, found.best, rest),
        x_scale=scales[0],
        y_scale=scales[1],
        step=jnp.asarray((int(np.argmax(found.history)) + 1) * plan.length),
        history=jnp.asarray(found.history, dtype),
        status=jnp.asarray(CEILING if at_ceiling else status),
    )


def _check(critic: Any, bound: Any, optimizer: Any, seed: Any) -> None:
    """What training takes, before it fails in the middle of Flax or Optax."""
    module = isinstance(critic, nnx.Module)
    made = "" if module else f"the critic is {critic!r}"
    require(module, f"{made}; give a Flax module that is made, such as small_committee(...).")
    require(bool(jax.tree.leaves(nnx.state(critic, nnx.Param))), "the critic has no parameter to train.")
    changes = lambda layer: any(
        getattr(layer, name, True) is False for name in ("deterministic", "use_running_average")
    )
    changing = {type(layer).__name__ for _, layer in nnx.iter_modules(critic) if changes(layer)}
    words = f"the critic has {', '.join(sorted(changing))} in training mode, which a call changes"
    require(not changing, f"{words}; call its .eval(), or take layers without state.")
    require(isinstance(bound, str | Objective), f"the bound is {bound!r}; name one of {', '.join(KNOWN_OBJECTIVES)}.")
    good = optimizer is None or isinstance(optimizer, optax.GradientTransformation)
    require(good, f"the optimizer is {optimizer!r}; give one of Optax, e.g. optax.adam(1e-3), or None.")
    whole(seed, "the seed", 0)


def _sides(x: ArrayLike, y: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Both as matrices of floats on the host, row by row the same pairs."""
    sides = np.asarray(x), np.asarray(y)
    for side, name in zip(sides, ("x", "y"), strict=True):
        numeric_matrix(side, name)
    size = len(sides[0])
    require(size == len(sides[1]), f"x has {size} rows and y {len(sides[1])}; row i of both is one pair.")
    require(size >= LEAST_PAIRS, f"there are {size} pairs; a critic needs at least {LEAST_PAIRS}.")
    return sides


def _parts(size: int, held_out: float, seed: int) -> list[np.ndarray]:
    """Rows to train on, to choose the step on, and to read, drawn at random."""
    share = isinstance(held_out, int | float | np.number)
    require(share and 0 < held_out < 1, f"held_out is {held_out!r}; it is a share, between 0 and 1.")
    chosen, read = (max(10, round(share * held_out * size)) for share in (CHOOSING, 1 - CHOOSING))
    require(size - chosen - read >= 2, f"held_out is {held_out}; of {size} pairs that leaves too few to train on.")
    order = np.random.default_rng(seed).permutation(size)
    return np.split(order, [size - chosen - read, size - read])


def _block_sizes(chosen: int, read: int) -> tuple[int, int]:
    """Pairs in a matrix of scores, of those that choose and of those that are read; the same, and one program, if not
    too few for InfoNCE's ceiling to be out of the way.
    """
    size = chosen // -(-chosen // READ_AT_ONCE)
    return size, size if size >= READ_AT_LEAST else read // -(-read // READ_AT_ONCE)


@cache
def _default_optimizer() -> optax.GradientTransformation:
    """One object, so that the same program is found again."""
    return optax.flatten(optax.adam(1e-2))
