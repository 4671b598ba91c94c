"""A prior and rank weights, checked and laid out rank by rank: what limits of one relevant document start from."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.typing import ArrayLike

from rdjax import checks
from rdjax.limits.rank_sums import Prior, check_listed, check_weights, checked_size, rank_nodes, refuse_names
from rdjax.limits.tilting import Blocks, Ranks, distortion_residual, refine, solve_slope, tilt
from rdjax.numerics import at_ranks, entropy_nats, on_device, to_bits
from rdjax.retrieval.weights import Weights
from rdjax.trees import register_dataclass


@partial(register_dataclass, meta_fields=["uniform"])
@dataclass(frozen=True)
class RankProblem:
    """A prior [N] (or the uniform one), gap and count of each rank (or rank node), w_1, and N."""

    prior: jax.Array
    gap: jax.Array
    count: jax.Array
    first: jax.Array
    documents: jax.Array
    uniform: bool

    @property
    def best(self) -> jax.Array:
        """D_min = 1 - w_1."""
        return 1 - self.first


def above_best(distortion: jax.Array, first: jax.Array) -> jax.Array:
    """D - (1 - w_1) of D >= 1 - w_1 with all its digits: a small w_1 is lost in 1 - w_1, a small D in D - 1."""
    return jnp.where(first > 0.5, distortion - (1 - first), (distortion - 1) + first)


@lru_cache(maxsize=128)
def check_every_rank(weights: Weights, n: int) -> None:
    """Weights as `check_weights` wants them, of a function of the rank."""
    check_weights(at_ranks(weights, np.arange(1.0, n + 1)))


def pose(values: ArrayLike, prior: Prior, weights: Weights | ArrayLike) -> RankProblem:
    """Check prior and weights, and lay the ranks out in the precision of the inputs."""
    refuse_names(weights)
    values, prior, weights = (_listed(x) for x in (values, prior, weights))
    kind = getattr(values, "dtype", np.asarray(values).dtype if checks.is_concrete(values) else np.dtype(float))
    real = any(jnp.issubdtype(kind, one) for one in (np.floating, np.integer, np.bool_))
    checks.require(real, f"there are {kind} values of rates, distortions or slopes; give real numbers.")
    given = [x for x in (values, prior, weights) if not callable(x) and jnp.issubdtype(jnp.result_type(x), jnp.inexact)]
    dtype = jnp.promote_types(jnp.result_type(*given, 1.0), jnp.float32)
    uniform, documents = np.ndim(prior) == 0, checked_size(prior)
    law = on_device(np.ones(1), dtype) if uniform else _normalized(prior, dtype)
    worth, count = _worth(weights, documents, dtype, uniform, np if checks.is_concrete(prior, weights) else jnp)
    array = lambda x: on_device(np.asarray(x) if checks.is_concrete(x) else x, dtype)
    return RankProblem(law, array(worth[0] - worth), array(count), array(worth[0]), array(documents), uniform)


def _listed(given: Any) -> Any:
    """A list as an array; anything else as it is."""
    if not isinstance(given, list | tuple):
        return given
    return np.asarray(given) if checks.is_concrete(given) else jnp.asarray(given)


def _normalized(prior: ArrayLike, dtype: Any) -> jax.Array:
    """The prior over its sum: a law of many documents may be off by more than its rate is good to."""
    if not checks.is_concrete(prior):
        return on_device(prior, dtype) / jnp.sum(on_device(prior, dtype))
    held = np.asarray(prior)
    return on_device(held / held.sum(dtype=np.float64), dtype)


def _worth(weights: Weights | ArrayLike, documents: int, dtype: Any, uniform: bool, xp: Any) -> tuple[Any, Any]:
    """Worth and multiplicity of every rank, or of the rank nodes when a function meets the uniform prior."""
    if callable(weights) and uniform:
        return rank_nodes(weights, documents)
    if callable(weights):
        check_every_rank(weights, documents)
        return weights(xp.arange(1, documents + 1, dtype=dtype)), xp.ones(documents, dtype)
    check_listed(weights, documents)
    return xp.asarray(weights, dtype), xp.ones(documents, dtype)


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
    mass = _attach(problem.prior, mass, position)
    return Ranks(problem.gap, problem.count, mass, entropy_nats(problem.prior), True), position


@jax.custom_jvp
def _attach(prior: jax.Array, mass: jax.Array, position: jax.Array) -> jax.Array:
    """The sorted prior, now carrying the derivative of the prior; equally likely documents share theirs."""
    return mass


@_attach.defjvp
def _sorted(primals: tuple, tangents: tuple) -> tuple[jax.Array, jax.Array]:
    _, mass, position = primals
    size = mass.shape[0]
    at_first = partial(jax.ops.segment_sum, segment_ids=position, num_segments=size)  # of the ranks of equal ones
    mean = at_first(tangents[0]) / jnp.maximum(at_first(jnp.ones_like(mass)), 1)
    starts = jnp.pad(mass[:-1] > mass[1:], (1, 0), constant_values=True)
    first = lax.cummax(jnp.where(starts, jnp.arange(size), 0))
    return _attach(*primals), mean[first]


def room(dtype: Any) -> float:
    """How far below D_min a distortion still counts as D_min, which rounding may have taken off."""
    return max(1e-12, 16 * float(jnp.finfo(dtype).eps))


def tilted_rate(
    distortion: jax.Array,
    first: jax.Array,
    ranks: Ranks,
    enough: jax.Array,
    *,
    least: ArrayLike = 0.0,
    slack: float = 1.0,
    differentiable: Callable[[Blocks, jax.Array], Blocks] = lambda blocks, slope: blocks,
) -> jax.Array:
    """max over s >= 0 of H - psi(s) - s (D - D_min) in bits, H being `ranks.entropy`, whatever stands for it there.

    First and second derivatives are those of the maximum; at D_min the first is a large finite number.

    Args:
      distortion: D, a number; first: w_1 = 1 - D_min.
      ranks: the laws that v is chosen from.
      enough: the D - D_min from which on no bits are needed.
      least: the smallest D - D_min there is; below it, by more than `slack` times `room`, the rate is inf.
      differentiable: from the blocks at the slope and that slope, the same blocks with the gradient of their masses.
    """
    excess = above_best(distortion, first)
    target = jnp.where(excess < least, least, excess)  # `maximum` would halve the derivative at D_min
    slope, blocks = solve_slope(target, ranks, distortion_residual)
    blocks = differentiable(blocks, slope)
    slope = refine(target, ranks, blocks, slope, distortion_residual)
    nats = ranks.entropy - tilt(ranks, blocks, slope).psi - slope * target
    none = (target >= lax.stop_gradient(enough)) | (nats <= 0)  # NaN is no number of bits: every test lets it through
    return jnp.where(excess < least - slack * room(excess.dtype), jnp.inf, jnp.where(none, 0, to_bits(nats)))


def refuse_below_best(distortion: ArrayLike, problem: RankProblem) -> None:
    """Raise `InputError` for a distortion that no ranking has; traced values pass unseen."""
    if not checks.is_concrete(distortion, problem.first):
        return
    given = np.asarray(distortion, np.float64)
    slack, best, low = room(problem.gap.dtype), 1 - float(problem.first), float(np.min(given, initial=np.inf))
    inside = np.all((given >= min(0.0, best) - slack) & (given <= 1 + slack))  # w_1 may be above 1, and D below 0
    checks.require(bool(inside), "a distortion lies outside [0, 1], or is NaN.")
    checks.require(
        low >= best - slack,
        f"a distortion of {low:.6g} is below {best:.6g} = 1 - w_1, which a perfect ranking has; no rate reaches it.",
    )
