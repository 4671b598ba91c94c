"""Temperatures by gradient: any smooth metric or the cross-entropy, any Optax optimizer, many starts at once.

Calibration (`calibrate_temperatures`) is convex and needs no search; it makes the posterior right. A search makes one
metric best, which a posterior that is wrong does not. Hard metrics are piecewise constant in the temperatures, so the
gradient is of `smooth_metric`; what is returned is the point, of all that were passed, where the hard metric is best.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.typing import ArrayLike

from rdjax.checks import require, whole
from rdjax.descent import falling_adam
from rdjax.retrieval.losses import listwise_loss
from rdjax.retrieval.metrics import Metric, parse_metric
from rdjax.retrieval.scores import check_relevant, checked_scores, fused_scores
from rdjax.retrieval.soft_metrics import smooth_metric
from rdjax.retrieval.soft_ranks import RankFunction, SigmoidRanks, is_plain
from rdjax.shards import by_compiler
from rdjax.trees import register_dataclass

if TYPE_CHECKING:
    import optax  # takes half a second, which a ranking need not wait for

CROSS_ENTROPY = "cross-entropy"
SPREAD = 1.0  # standard deviation of the logarithms of the temperatures of the starts
FAR = SigmoidRanks(0.1)  # sees further than the usual ones; its bias does not matter, as hard metrics decide
BATCH = 2**21  # scores differentiated at a time


@partial(register_dataclass, data_fields=["temperatures", "value", "ends", "values"], meta_fields=["objective"])
@dataclass(frozen=True)
class TemperatureSearch:
    """What a search found.

    Args:
      temperatures: tau [M], the best of all points passed. Rankings depend on their ratios alone; for a metric their
        geometric mean is that of the spreads of the modalities.
      value: there, the hard metric, or the cross-entropy in bits; a scalar.
      ends: tau [S, M], the best point of each start.
      values: [S], the value at each.
      objective: the name of the metric, or "cross-entropy".
    """

    temperatures: jax.Array
    value: jax.Array
    ends: jax.Array
    values: jax.Array
    objective: str


def search_temperatures(
    scores: ArrayLike,
    relevant: ArrayLike,
    *,
    objective: Metric | str = "mrr",
    rank_fn: RankFunction = FAR,
    optimizer: "optax.GradientTransformation | None" = None,
    starts: int = 4,
    steps: int = 40,
    seed: int = 0,
) -> TemperatureSearch:
    """Temperatures of the best metric, or of the least cross-entropy, on the queries given.

    The variables are ln tau [M], from tau equal to the spread of each modality's scores and from points around it.
    Choose on queries that are not reported on: with few of them a metric has a maximum in its noise.

    Args:
      scores: [M, Q, N], additive over modalities (see `modality_scores`); -inf for what cannot be.
      relevant: int [Q], or [Q, J] padded with -1.
      objective: a metric, by name or as a `Metric`, or "cross-entropy".
      rank_fn: ranks for the gradient of a metric; higher temperatures see further.
      optimizer: of Optax; None: Adam, rate 0.2 falling to 0.
      starts: S >= 1.
      steps: of each start.
      seed: of the starts.

    Returns:
      a `TemperatureSearch`.

    Raises:
      InputError: shapes that do not belong together, an unknown metric, no start, an index out of range, a
        score that is NaN or +inf.
    """
    scores, relevant = checked_scores(scores), jnp.asarray(relevant)
    good = scores.ndim == 3 and scores.size > 0
    require(good, f"scores have shape {scores.shape}; a search needs [modalities, queries, documents], not empty.")
    whole(starts, "starts", 1)
    whole(steps, "steps", 1)
    check_relevant(scores[0], relevant)
    metric = parse_metric(objective) if objective != CROSS_ENTROPY and not isinstance(objective, Metric) else objective
    optimizer = falling_adam(0.2, steps) if optimizer is None else optimizer
    moves = np.random.default_rng(seed).standard_normal((starts, scores.shape[0])) * SPREAD
    moves[0] = 0
    possible = scores != -jnp.inf
    size = jnp.max(jnp.abs(jnp.where(possible, scores, 0)), axis=(1, 2))
    size = jnp.where(size > 0, size, 1)  # in this unit squares neither overflow nor vanish
    spread = size * jnp.mean(jnp.std(scores / size[:, None, None], axis=-1, where=possible), axis=-1)
    first = jnp.log(jnp.where(spread > 0, spread, 1))[None, :] + jnp.asarray(moves, scores.dtype)
    soft = jax.tree_util.Partial(rank_fn) if is_plain(rank_fn) else rank_fn
    ends, values = by_compiler(partial(_search, metric, optimizer, steps), scores, relevant, soft, first)
    best = jnp.argmin(values) if metric == CROSS_ENTROPY else jnp.argmax(values)
    name = metric if isinstance(metric, str) else metric.name
    return TemperatureSearch(jnp.exp(ends[best]), values[best], jnp.exp(ends), values, name)


Value = Callable[[jax.Array], jax.Array]


def _objective(metric: Metric | str, scores: jax.Array, relevant: jax.Array, rank_fn: Any) -> tuple[Value, Value]:
    """From ln tau: the loss to descend, and the value to be told, the lower the better."""
    if isinstance(metric, str):
        loss = lambda point: listwise_loss(scores, relevant, jnp.exp(point))
        return loss, lambda point: loss(point) / jnp.log(2)
    fused = lambda point: fused_scores(scores, jnp.exp(point))
    soft = lambda point: -jnp.mean(smooth_metric(metric, fused(point), relevant, rank_fn=rank_fn))
    hard = lambda point: -jnp.mean(metric(lax.stop_gradient(fused(point)), relevant)).astype(point.dtype)
    return soft, hard


@partial(jax.jit, static_argnums=(0, 1, 2))
def _search(
    metric: Any, optimizer: Any, steps: int, scores: jax.Array, relevant: jax.Array, rank_fn: Any, first: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """The best point of each start [S, M], and its value [S]."""
    import optax

    loss, told = _objective(metric, scores, relevant, rank_fn)

    def descend(point: jax.Array) -> tuple[jax.Array, jax.Array]:
        def step(state: Any, _: None) -> tuple[Any, None]:
            point, memory, best, value = state
            now = told(point)
            best, value = jnp.where(now < value, point, best), jnp.where(now < value, now, value)
            update, memory = optimizer.update(jax.grad(loss)(point), memory, point)
            return (optax.apply_updates(point, update), memory, best, value), None

        begin = (point, optimizer.init(point), point, jnp.asarray(jnp.inf, point.dtype))
        (point, _, best, value), _ = lax.scan(step, begin, None, length=steps)
        last = told(point)
        return jnp.where(last < value, point, best), jnp.where(last < value, last, value)  # not of a NaN

    ends, values = lax.map(descend, first, batch_size=max(1, BATCH // scores.size))
    if isinstance(metric, str):
        return ends, values
    return ends + jnp.mean(first[:1] - ends, axis=-1, keepdims=True), -values
