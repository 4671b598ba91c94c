"""P(y | x) over the corpus: what limits and codes both start from."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rdjax import checks
from rdjax.checks import InputError, is_concrete, require
from rdjax.retrieval.scores import check_temperatures, checked_scores, fused_scores


def log_posterior(scores: Any, temperatures: Any, prior: Any = None) -> jax.Array:
    """ln P(y | x), normalized over the corpus without overflow.

        P(y | x) proportional to prior(y) exp(sum_m s_m(x, y) / tau_m)

    Args:
      scores: [M, ..., N], one matrix per modality.
      temperatures: tau [M] > 0; infinity leaves a modality out.
      prior: probabilities [N]; None or the integer N for the uniform one.

    Returns:
      [..., N], nats; -inf where the prior is 0. Differentiable in all three arguments (not in a prior of 0).

    Raises:
      InputError: shapes that do not belong together, a temperature that is not above 0, a prior that is no law, a score
        that is NaN or +inf, a list of which no document can be (under jit all of it is -inf).

    Source: theory notes, section 4.
    """
    return normalized(log_weights(scores, temperatures, prior))


def log_weights(scores: Any, temperatures: Any, prior: Any = None) -> jax.Array:
    """ln prior(y) + sum_m s_m(x, y) / tau_m [..., N]: `log_posterior` before it is normalized."""
    scores = checked_scores(scores)
    temperatures = jnp.asarray(temperatures, scores.dtype)
    require(
        scores.ndim > 1 and temperatures.shape == scores.shape[:1],
        f"scores have shape {scores.shape} and temperatures {temperatures.shape}; both start with the modalities.",
    )
    check_temperatures(temperatures)
    fused = fused_scores(scores, temperatures)
    weight = log_law(prior_law(prior, scores.shape[-1], scores.dtype))
    return fused + jnp.broadcast_to(weight, fused.shape)


def posterior(scores: Any, temperatures: Any, prior: Any = None) -> jax.Array:
    """P(y | x) [..., N], summing to one over the last axis; arguments and errors as in `log_posterior`."""
    return jnp.exp(log_posterior(scores, temperatures, prior))


def normalized(logits: jax.Array) -> jax.Array:
    """Logits [..., N] less the logarithm of the sum of their exponentials; a list of nothing but -inf is refused."""
    none = _highest(logits) == -jnp.inf
    return jnp.where(none, -jnp.inf, jax.nn.log_softmax(jnp.where(none, 0, logits), axis=-1))


def log_probability(logits: jax.Array, listed: jax.Array) -> jax.Array:
    """`normalized` at the places listed alone, int [..., J], without the matrix of all of them."""
    top = _highest(logits)
    none = top == -jnp.inf
    level = jnp.where(none, 0, top)  # what is subtracted makes no difference, so it needs no gradient
    total = jnp.sum(jnp.exp(jnp.where(none, 0, logits) - level), axis=-1, keepdims=True)
    own = jnp.take_along_axis(logits, listed, axis=-1) - level
    return jnp.where(none, -jnp.inf, own - jnp.log(total))


def _highest(logits: jax.Array) -> jax.Array:
    """The largest of each list, [..., 1]; a list of nothing but -inf is refused."""
    top = jax.lax.stop_gradient(jnp.max(logits, axis=-1, keepdims=True))
    none = top == -jnp.inf
    if is_concrete(none) and np.any(none):
        place = tuple(int(i) for i in np.argwhere(none)[0][:-1])
        where = f" in list {place[0] if len(place) == 1 else place}" if place else ""
        raise InputError(f"no document can be{where}: each has prior 0 or a score of -inf; leave that list out.")
    return top


def prior_law(prior: Any, size: int, dtype: Any) -> jax.Array:
    """Probabilities [size] from what a `prior` argument may be: an array, the integer N, or None."""
    if prior is None or np.ndim(prior) == 0:
        require(prior is None or prior == size, f"the uniform prior is over {prior} documents, but scores list {size}.")
        return jnp.full(size, 1.0 / size, dtype)
    require(np.shape(prior) == (size,), f"the prior has shape {np.shape(prior)}; it must be ({size},), one a document.")
    checks.law(prior)
    return jnp.asarray(prior, dtype)


def log_law(law: jax.Array) -> jax.Array:
    """ln of probabilities, -inf with gradient 0 where they are 0."""
    possible = law > 0
    return jnp.where(possible, jnp.log(jnp.where(possible, law, 1.0)), -jnp.inf)
