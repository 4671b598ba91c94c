"""Rate and ranking in one loss, and the distance of both to what no code can beat."""

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.typing import ArrayLike

from rdjax.checks import is_concrete, numbers, require, whole
from rdjax.limits import ranking_rate
from rdjax.numerics import to_nats
from rdjax.retrieval import SigmoidRanks, parse_metric, smooth_metric
from rdjax.retrieval.soft_ranks import RankFunction, is_plain

USUAL = SigmoidRanks()


class RateDistortionLoss(nnx.Module):
    """rate + trade * (1 - metric), in nats, and how many bits of it are spent above the floor.

    The usual soft ranks do not change when all scores are scaled, so this does not teach a temperature that all of them
    share; add a likelihood for that, see `TemperatureDecoder`. Bits are those of queries. What cannot be a document,
    such as padding, has the score -inf: a large negative number in its place widens the scale of soft ranks, and the
    ranking loses its gradient.

    Args:
      metric: what rankings are worth, as `parse_metric` reads it; smooth (see `smooth_metric`).
      trade: nats that one unit of distortion is worth: the slope of the curve in nats where training ends. A number is
        part of what is compiled; one that changes while training is given as an array.
      rank_fn: the slot of `smooth_metric`.

    Raises:
      InputError: an unknown metric, a trade below 0; no bits, not one for each query, or such as are no finite numbers.
    """

    def __init__(self, metric: str = "mrr", *, trade: float = 1.0, rank_fn: RankFunction = USUAL):
        numbers(trade, "the trade", 0)
        self.metric, self.trade = parse_metric(metric), trade
        self.rank_fn = rank_fn if is_plain(rank_fn) else nnx.data(rank_fn)

    def distortion(self, scores: ArrayLike, relevant: ArrayLike) -> jax.Array:
        """1 - the smooth metric of scores [..., N] and relevant int [...] or [..., J], mean over queries.

        Of tied documents a smooth metric takes the mean rank, not the mean over their orders: of constant scores MRR is
        2 / (N + 1). Of several relevant documents dcg and rbp may be above 1, and this below 0.
        """
        return 1 - jnp.mean(smooth_metric(self.metric, scores, relevant, rank_fn=self.rank_fn))

    def __call__(self, bits: ArrayLike, scores: ArrayLike, relevant: ArrayLike) -> jax.Array:
        """Bits of every query [...], scores [..., N] and relevant int [...] to the loss, nats, a scalar."""
        return to_nats(_mean(bits, scores)) + self.trade * self.distortion(scores, relevant)

    def above_floor(
        self, bits: ArrayLike, scores: ArrayLike, relevant: ArrayLike, *, documents: int | None = None
    ) -> jax.Array:
        """Mean bits less R(D) of the ranking problem at this distortion (Theorem A), bits: what a code wastes.

        Of bits [...], scores [..., N] and relevant int [...]. R(D) is of the uniform prior over N documents, exact in
        the hard metric, taken at the smooth one; its gradient is in here too, so that descending this moves a code
        toward the curve, wherever on it. To report, take `ranking_rate(1 - hard metric, N)` on queries it has not seen.
        Where some are at -inf, `documents` says how many a query may want, in the shortest list: R(D) grows with N, so
        that is the N of a floor. Under jit, where scores cannot be looked at, it is NaN if a list has fewer.

        Raises:
          InputError: no bits, not one for each query, or such as are no finite numbers; several relevant documents a
            query, of which the floor is another; a list with fewer documents that can be.
        """
        scores = jnp.asarray(scores)
        one = jnp.ndim(relevant) < scores.ndim
        require(one, "relevant lists several documents a query; the floor is of one, so give their shape [...].")
        size = scores.shape[-1] if documents is None else whole(documents, "documents")
        shortest = jnp.min(jnp.sum(scores > -jnp.inf, axis=-1, dtype=jnp.int32), initial=scores.shape[-1])
        if is_concrete(shortest):
            words = f"a list has {shortest} documents above -inf, fewer than the {size} that the floor is of"
            require(int(shortest) >= size, f"{words}; give `documents`, how many may be wanted.")
        floor = ranking_rate(self.distortion(scores, relevant), size, self.metric.weights)
        return jnp.where(shortest >= size, _mean(bits, scores) - floor, jnp.nan)


def _mean(bits: ArrayLike, scores: ArrayLike) -> jax.Array:
    numbers(bits, "the bits of the queries")
    require(np.size(bits) > 0, "there are no bits of queries; a mean needs at least one.")
    shape = np.shape(scores)[:-1]
    words = f"the bits have shape {np.shape(bits)} and the scores {np.shape(scores)}"
    require(np.shape(bits) == shape, f"{words}; give one number a query, {shape}, and scores [..., documents].")
    return jnp.mean(jnp.asarray(bits))
