"""The decoder of a multimodal query as a Flax module: one temperature a modality, learned; doubt, if wanted."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.typing import ArrayLike, DTypeLike

from rdjax.checks import InputError, require
from rdjax.retrieval import doubting_posterior, log_posterior


class TemperatureDecoder(nnx.Module):
    """ln P(y | x) from scores, proportional to exp(sum_m s_m / tau_m), tau learned; sort by it to rank.

    Of one modality without doubt tau changes no ranking: a likelihood teaches it (`listwise_loss`, or Optax' softmax
    cross-entropy of what this returns), a metric of rankings, smooth or not, does not.

    With `doubt` each modality may be beside the point of a query, see `rdjax.retrieval.doubting_posterior`: that is a
    temperature of its own for every query.

    Args:
      temperatures: tau [M] > 0 to begin with, finite, e.g. from `calibrate_temperatures`; CLIP begins at .07.
      doubt: eps [M] in (0, 1) to begin with; None: no doubt, now or later.
      dtype: of the parameters.

    Raises:
      InputError: a temperature that is infinite or not above 0, a doubt outside (0, 1), one for another number of
        modalities.
    """

    def __init__(
        self, temperatures: Sequence[float], *, doubt: Sequence[float] | None = None, dtype: DTypeLike = jnp.float32
    ):
        try:
            tau = np.asarray(temperatures, np.float64)
        except (TypeError, ValueError):  # text, or lists of unequal length
            raise InputError(f"temperatures are {temperatures!r}; give one number above 0 for each modality.") from None
        require(
            tau.ndim == 1 and tau.size > 0 and bool((tau > 0).all()),
            f"temperatures are {temperatures}; give one above 0 for each.",
        )
        require(
            bool(np.isfinite(tau).all()),
            f"temperatures are {temperatures}; an infinite one cannot learn: leave that modality out of the scores.",
        )
        self.log_temperatures = nnx.Param(jnp.asarray(np.log(tau), dtype))
        kept, range_ = np.exp(np.log(tau).astype(dtype).astype(np.float64)), jnp.finfo(dtype)
        require(
            bool(((kept >= float(range_.tiny)) & (kept <= float(range_.max))).all()),
            f"temperatures are {temperatures}; {jnp.dtype(dtype).name} holds none so small or large: scale the scores.",
        )
        eps = np.full(tau.shape, 0.5) if doubt is None else np.asarray(doubt, np.float64)
        good = eps.shape == tau.shape and bool(((eps > 0) & (eps < 1)).all())
        require(good, f"doubt is {doubt}; give a number between 0 and 1 for each of {len(tau)} modalities.")
        self.odds = None if doubt is None else nnx.Param(jnp.asarray(np.log(eps / (1 - eps)), dtype))

    @property
    def temperatures(self) -> jax.Array:
        """tau [M]."""
        return jnp.exp(self.log_temperatures[...])

    def __call__(self, scores: ArrayLike, prior: ArrayLike | None = None) -> jax.Array:
        """Scores [M, ..., N] to ln P(y | x) [..., N], nats."""
        if self.odds is None:
            return log_posterior(scores, self.temperatures, prior)
        return doubting_posterior(scores, self.temperatures, jax.nn.sigmoid(self.odds[...]), prior)
