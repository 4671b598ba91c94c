"""What a critic is trained on, and what it is then read by: a loss in nats and a bound in bits.

A loss maps scores [N, N] (nats, pairs on the diagonal) and a running average to a loss in nats and the new average;
only MINE's has use for the average. E_P is the mean over the diagonal, E_Q over the rest.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.typing import ArrayLike

from rdjax.checks import numbers, require
from rdjax.information import variational
from rdjax.information.variational import MatrixBound
from rdjax.numerics import to_nats

#: (scores [N, N], log of a running average) to (loss in nats, log of the new average).
Loss = Callable[[jax.Array, jax.Array], tuple[jax.Array, jax.Array]]

#: The log of the running average before the first step.
NO_AVERAGE = math.inf


@dataclass(frozen=True)
class Objective:
    """A loss to descend and the bound that its critic is read by; hashable, so a static argument under jit.

    donsker_varadhan, which reads mine as well, and smile may exceed I in expectation, the others are lower bounds.

    Args:
      name: as `objective` reads it.
      loss: nats.
      bound: bits; one of `rdjax.information.variational`.
    """

    name: str
    loss: Loss
    bound: MatrixBound


def jensen_shannon_loss(scores: ArrayLike) -> jax.Array:
    """E_P softplus(-f) + E_Q softplus(f), nats: telling pairs from non-pairs by logistic regression.

    It is least, ln 4 - 2 JSD, at f = log p(x, y) / p(x) p(y); its gradients are bounded, unlike NWJ's.

    Args:
      scores: [N, N], N >= 2.

    Raises:
      InputError: scores of another shape, NaN or an infinity.

    Source: Nowozin, Cseke, Tomioka 2016; Hjelm et al. 2019.
    """
    scores = _pairs(scores)
    size = scores.shape[0]
    others = jnp.where(jnp.eye(size, dtype=bool), 0, jax.nn.softplus(scores))
    return jnp.mean(jax.nn.softplus(-jnp.diagonal(scores))) + jnp.sum(others) / (size * (size - 1))


def mine_loss(scores: ArrayLike, log_average: ArrayLike, *, decay: float = 0.9) -> tuple[jax.Array, jax.Array]:
    """MINE's loss: Donsker-Varadhan's gradient with E_Q e^f in its denominator averaged over steps.

    loss = -E_P f + E_Q e^f / a + ln a - 1 with a held fixed, a <- decay a + (1 - decay) E_Q e^f. That keeps a above
    1 - decay of the batch's mean; here it is also kept below 1 / (1 - decay) of it, or one huge batch, as an untrained
    critic makes them, holds nothing back for hundreds of steps and the scores run away. The gradient of
    Donsker-Varadhan's own loss, which is the case decay = 0, divides by the mean of one batch and is biased by that;
    this one is less so. At any fixed a, -loss is itself a lower bound on I, at most Donsker-Varadhan's.

    Args:
      scores: [N, N], N >= 2.
      log_average: a scalar, ln a of the steps before; inf (`NO_AVERAGE`) before the first.
      decay: in [0, 1).

    Returns:
      (loss in nats, ln a).

    Raises:
      InputError: a decay outside [0, 1), scores of another shape, NaN or an infinity.

    Source: Belghazi et al. 2018, section 3.2; as a bound, Poole et al. 2019, equation 8.
    """
    require(0 <= decay < 1, f"decay is {decay!r}; it must be at least 0 and below 1.")
    scores = _pairs(scores)
    joint = jnp.mean(jnp.diagonal(scores))
    log_mean = joint - to_nats(variational.donsker_varadhan(scores))
    after = now = lax.stop_gradient(log_mean)
    if decay > 0:
        before = jnp.asarray(log_average, scores.dtype)
        blend = jnp.logaddexp(before + math.log(decay), now + math.log1p(-decay))
        after = jnp.where(before < jnp.inf, jnp.minimum(blend, now - math.log1p(-decay)), now)
    return jnp.exp(log_mean - after) - joint + after - 1, after


def _pairs(scores: ArrayLike) -> jax.Array:
    shape = np.shape(scores)
    good = len(shape) == 2 and shape[0] == shape[1] >= 2
    require(good, f"scores have shape {shape}; they must be [N, N], N >= 2.")
    numbers(scores, "the scores")
    return jnp.asarray(scores)


def objective(name: str) -> Objective:
    """The objective of a name.

    infonce, nwj, donsker_varadhan: the bound itself is ascended. mine: `mine_loss`, read by Donsker-Varadhan.
    jensen_shannon: `jensen_shannon_loss`, read by NWJ. smile: `jensen_shannon_loss`, read by SMILE (clip 5).

    Args:
      name: one of `KNOWN_OBJECTIVES`.

    Raises:
      InputError: an unknown name.
    """
    require(name in _OBJECTIVES, f"objective {name!r} is not known; the known ones are {', '.join(KNOWN_OBJECTIVES)}.")
    return _OBJECTIVES[name]


def _negated(bound: MatrixBound, scores: jax.Array, log_average: jax.Array) -> tuple[jax.Array, jax.Array]:
    return -to_nats(bound(scores)), log_average


def _discriminator(scores: jax.Array, log_average: jax.Array) -> tuple[jax.Array, jax.Array]:
    return jensen_shannon_loss(scores), log_average


def _ascended(bound: MatrixBound) -> Objective:
    return Objective(bound.__name__, partial(_negated, bound), bound)


_OBJECTIVES = {
    "infonce": _ascended(variational.infonce),
    "nwj": _ascended(variational.nwj),
    "donsker_varadhan": _ascended(variational.donsker_varadhan),
    "mine": Objective("mine", mine_loss, variational.donsker_varadhan),
    "jensen_shannon": Objective("jensen_shannon", _discriminator, variational.jensen_shannon),
    "smile": Objective("smile", _discriminator, variational.smile),
}

#: What `objective` reads.
KNOWN_OBJECTIVES = tuple(_OBJECTIVES)
