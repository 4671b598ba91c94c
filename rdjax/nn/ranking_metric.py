"""Rank metrics that add up over batches, as Flax metrics."""

import jax
import jax.numpy as jnp
from flax import nnx
from jax.typing import ArrayLike

from rdjax.checks import require
from rdjax.retrieval import parse_metric


class RankingMetric(nnx.Metric):
    """The mean of a rank metric over all queries so far, ties in expectation; add to it under jit as well.

    Sums are compensated (Neumaier), so that float32 does not drift over millions of queries; it counts below 2^31.
    In an `nnx.MultiMetric` it reads its own keywords, like every Flax metric. Padding of a batch is left out by a mask;
    under jit, where values cannot be refused, any other query with a NaN score or an index that is none makes it NaN.

    Args:
      metric: as `rdjax.retrieval.parse_metric` reads it, e.g. "mrr" or "ndcg@10".

    Raises:
      InputError: an unknown metric.
    """

    def __init__(self, metric: str = "mrr"):
        self.metric = parse_metric(metric)
        zero = jnp.zeros((), jnp.result_type(float))
        self.total, self.carried = nnx.metrics.MetricState(zero), nnx.metrics.MetricState(zero)
        self.count = nnx.metrics.MetricState(jnp.zeros((), jnp.int32))

    def reset(self) -> None:
        """Forget all queries so far."""
        for state in (self.total, self.carried, self.count):
            state[...] = jnp.zeros_like(state[...])

    def update(  # type: ignore[override]  # it names what it needs
        self,
        *,
        scores: ArrayLike,
        relevant: ArrayLike,
        grades: ArrayLike | None = None,
        mask: ArrayLike | None = None,
        **_: object,
    ) -> None:
        """Add queries, as the metric takes them: scores [..., N], relevant int [...] or [..., J], grades [..., J].

        `mask` bool [...] says which of them count, whatever stands in the others; None: all.

        Raises:
          InputError: see `counts_from_scores`; a mask that is no bool for each query.
        """
        scores, relevant = jax.lax.stop_gradient(jnp.asarray(scores)), jnp.asarray(relevant)
        counts = jnp.ones(scores.shape[:-1], bool) if mask is None else jnp.asarray(mask)
        words = f"the mask has shape {counts.shape} of {counts.dtype} and the scores {scores.shape}"
        require(counts.dtype == bool and counts.shape == scores.shape[:-1], f"{words}; give a bool for each query.")
        if mask is not None:  # what stands in the others is not looked at
            rows = counts[..., None]
            several = relevant.ndim == scores.ndim
            relevant = jnp.where(rows, relevant, -1) if several else jnp.where(counts, relevant, 0)
            scores, grades = jnp.where(rows, scores, 0), None if grades is None else jnp.where(rows, grades, 0)
        values = jnp.where(counts, self.metric(scores, relevant, grades=grades), 0)
        before, more = self.total[...], jnp.sum(values).astype(self.total[...].dtype)
        after = before + more
        larger = jnp.abs(before) >= jnp.abs(more)
        self.carried[...] += jnp.where(larger, (before - after) + more, (more - after) + before)
        self.total[...] = after
        self.count[...] += jnp.sum(counts, dtype=jnp.int32)

    def compute(self) -> jax.Array:
        """The mean; NaN before the first query."""
        return (self.total[...] + self.carried[...]) / self.count[...]
