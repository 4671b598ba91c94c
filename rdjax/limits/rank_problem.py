"""A prior and rank weights, checked and laid out rank by rank: what limits of one relevant document start from."""

from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.typing import ArrayLike

from rdjax import checks
from rdjax.limits.rank_sums import Prior, check_weights, checked_size, rank_nodes
from rdjax.limits.tilting import Ranks
from rdjax.numerics import entropy_nats, on_device
from rdjax.retrieval.weights import Weights
from rdjax.trees import register_dataclass


@partial(register_dataclass, meta_fields=["uniform"])
@dataclass(frozen=True)
class RankProblem:
    """A prior [N] (or the uniform one), gap and count of each rank (or rank node), D_min, and N."""

    prior: jax.Array
    gap: jax.Array
    count: jax.Array
    best: jax.Array
    documents: jax.Array
    uniform: bool


@lru_cache(maxsize=128)
def _check_every_rank(weights: Weights, n: int) -> None:
    check_weights(np.asarray(weights(np.arange(1.0, n + 1)), np.float64))


def pose(values: ArrayLike, prior: Prior, weights: Weights | ArrayLike) -> RankProblem:
    """Check prior and weights, and lay the ranks out in the precision of the inputs."""
    given = [x for x in (values, prior, weights) if not callable(x) and jnp.issubdtype(jnp.result_type(x), jnp.inexact)]
    dtype = jnp.promote_types(jnp.result_type(*given, 1.0), jnp.float32)
    uniform, documents = np.ndim(prior) == 0, checked_size(prior)
    law = on_device(np.ones(1) if uniform else prior, dtype)
    worth, count = _worth(weights, documents, dtype, uniform, np if checks.is_concrete(prior, weights) else jnp)
    array = lambda x: on_device(np.asarray(x) if checks.is_concrete(x) else x, dtype)
    return RankProblem(law, array(worth[0] - worth), array(count), array(1 - worth[0]), array(documents), uniform)


def _worth(weights: Weights | ArrayLike, documents: int, dtype: Any, uniform: bool, xp: Any) -> tuple[Any, Any]:
    """Worth and multiplicity of every rank, or of the rank nodes when a function meets the uniform prior."""
    if callable(weights) and uniform:
        return rank_nodes(weights, documents)
    ones = xp.ones(documents, dtype)
    if callable(weights):
        _check_every_rank(weights, documents)
        return weights(xp.arange(1, documents + 1, dtype=dtype)), ones
    shape = np.shape(weights)
    checks.require(shape == (documents,), f"the weights have shape {shape} for {documents} documents.")
    if checks.is_concrete(weights):
        check_weights(np.asarray(weights, np.float64))
    return xp.asarray(weights, dtype), ones


def lay_out(problem: RankProblem) -> tuple[Ranks, jax.Array]:
    """The ranks with the sorted prior, and the rank position of each document."""
    if problem.uniform:
        mass = problem.count / problem.documents
        return Ranks(problem.gap, problem.count, mass, jnp.log(problem.documents), False), jnp.zeros(0, jnp.int32)
    prior = lax.stop_gradient(problem.prior)
    # non-negative floats order like their bits, and integers sort five times faster
    key = lax.bitcast_convert_type(jnp.abs(prior), jnp.int64 if prior.dtype == jnp.float64 else jnp.int32)
    ascending = jnp.sort(key)
    position = key.shape[0] - jnp.searchsorted(ascending, key, side="right")
    mass = lax.bitcast_convert_type(ascending[::-1], prior.dtype)
    return Ranks(problem.gap, problem.count, mass, entropy_nats(problem.prior), True), position


def refuse_below_best(distortion: ArrayLike, problem: RankProblem) -> None:
    """Raise `InputError` for a distortion that no ranking has; traced values pass unseen."""
    if not checks.is_concrete(distortion, problem.best):
        return
    given = np.asarray(distortion)
    slack = 1e-12 if problem.gap.dtype == jnp.float64 else 1e-6
    inside = np.all((given >= -slack) & (given <= 1 + slack))
    checks.require(bool(inside), "a distortion lies outside [0, 1], or is NaN.")
    best, low = float(problem.best), float(np.min(given, initial=np.inf))
    checks.require(
        low >= best - slack,
        f"a distortion of {low:.6g} is below {best:.6g} = 1 - w_1, which a perfect ranking has; no rate reaches it.",
    )
