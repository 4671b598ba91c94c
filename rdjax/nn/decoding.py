"""The decoder of a multimodal query as a Flax module: one temperature a modality, learned; doubt, if wanted."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.typing import ArrayLike, DTypeLike

from rdjax.checks import InputError, is_concrete, numbers, require
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
      dtype: of the parameters, which are logarithms: at least float32, as in half precision a step of learning is lost.

    Raises:
      InputError: a temperature that is infinite or not above 0, a doubt outside (0, 1), one for another number of
        modalities.
    """

    def __init__(
        self, temperatures: Sequence[float], *, doubt: Sequence[float] | None = None, dtype: DTypeLike = jnp.float32
    ):
        dtype = jnp.promote_types(dtype, jnp.float32)
        logs = _logs(temperatures, dtype) if is_concrete(temperatures) else jnp.log(jnp.asarray(temperatures, dtype))
        require(logs.ndim == 1, f"temperatures have shape {logs.shape}; give one number above 0 for each modality.")
        self.log_temperatures = nnx.Param(logs)
        numbers(0.5 if doubt is None else doubt, "doubt", 0, 1, ends=False)
        good = doubt is None or np.shape(doubt) == logs.shape
        require(good, f"doubt is {doubt}; give a number between 0 and 1 for each of {len(logs)} modalities.")
        xp = np if is_concrete(doubt) else jnp  # on the host with all digits of what is nearly 1
        eps = None if doubt is None else xp.asarray(doubt, float)
        self.odds = None if eps is None else nnx.Param(jnp.asarray(xp.log(eps / (1 - eps)), dtype))

    @property
    def temperatures(self) -> jax.Array:
        """tau [M]."""
        return jnp.exp(self.log_temperatures[...])

    def __call__(self, scores: ArrayLike, prior: ArrayLike | None = None) -> jax.Array:
        """Scores [M, ..., N] to ln P(y | x) [..., N], nats."""
        if self.odds is None:
            return log_posterior(scores, self.temperatures, prior)
        return doubting_posterior(scores, self.temperatures, jax.nn.sigmoid(self.odds[...]), prior)


def _logs(temperatures: Any, dtype: DTypeLike) -> jax.Array:
    """ln tau [M] of what can be looked at."""
    try:
        tau = np.asarray(temperatures, np.float64)
    except (TypeError, ValueError):  # text, or lists of unequal length
        raise InputError(f"temperatures are {temperatures!r}; give one number above 0 for each modality.") from None
    good = tau.ndim == 1 and tau.size > 0 and bool((tau > 0).all())
    require(good, f"temperatures are {temperatures}; give one above 0 for each.")
    finite = f"temperatures are {temperatures}; an infinite one cannot learn: leave that modality out of the scores."
    require(bool(np.isfinite(tau).all()), finite)
    kept, held = np.exp(np.log(tau).astype(dtype).astype(np.float64)), jnp.finfo(dtype)
    require(
        bool(((kept >= float(held.tiny)) & (kept <= float(held.max))).all()),
        f"temperatures are {temperatures}; {jnp.dtype(dtype).name} holds none so small or large: scale the scores.",
    )
    return jnp.asarray(np.log(tau), dtype)
