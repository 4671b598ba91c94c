"""How a metric of several relevant documents adds up over them, which is what its floor is made of."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rdjax.checks import numbers
from rdjax.host import on_the_host
from rdjax.retrieval import aggregates
from rdjax.retrieval.metrics import Metric


@on_the_host
def metric_credits(metric: Metric, gains: Any) -> np.ndarray | None:
    """a with value = sum_y a_y w(rank of y), of a metric that adds up so.

    Of map the value is at most sum_y a_y w(max(1, rank of y / b)), b as `metric_breadth` has it.

    Args:
      metric: as `parse_metric` reads it.
      gains: [..., J], 0 at padding, as `gains` gives them; None, of one relevant document a query, has no credits.

    Returns:
      float [..., J]; None of mrr, which does not add up.

    Raises:
      InputError: gains that are no numbers of at least 0.
    """
    if gains is None or metric.first_relevant:
        return None
    numbers(gains, "the gains", 0)
    aggregate = aggregates.recall if metric.aggregate is aggregates.mean_precision else metric.aggregate
    held = jnp.asarray(gains, jnp.result_type(float))
    nobody = jnp.zeros(held.shape, jnp.int32)
    value = lambda worth: jnp.sum(aggregate(metric.weights, worth, nobody, nobody, held))
    return np.asarray(jax.grad(value)(jnp.zeros_like(held)))  # it is linear in what each is worth


@on_the_host
def metric_breadth(metric: Metric, gains: Any) -> np.ndarray | None:
    """b of `metric_credits` [...]: of map how many documents are relevant, at least 1; None of the others, for 1.

    Args:
      metric, gains: as there.

    Raises:
      InputError: gains that are no numbers of at least 0.
    """
    if gains is None or metric.aggregate is not aggregates.mean_precision:
        return None
    numbers(gains, "the gains", 0)
    return np.maximum(1, np.sum(np.asarray(gains) > 0, axis=-1))
