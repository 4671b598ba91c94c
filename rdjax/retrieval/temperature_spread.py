"""How far calibrated temperatures could be off by luck: the large-sample interval of a convex calibration.

The calibrated beta = 1 / tau minimizes a mean over queries of convex losses, so over many queries it is normal about
the best one, with the covariance

    H^-1 G H^-1 / Q,   H = E[Cov_q(s)],   G = E[g g^T],   g = E_q[s] - s(relevant)

the Hessian, and the second moment of one query's gradient (the two agree where the posterior is true; this holds where
it is not). Normal on the scale of ln tau, which keeps it above 0.

Source: Huber, The behavior of maximum likelihood estimates under nonstandard conditions, 1967; White 1982.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from rdjax.checks import is_concrete, require
from rdjax.retrieval.cross_entropy import make_problem, moments, slopes
from rdjax.retrieval.scores import check_temperatures, working
from rdjax.retrieval.temperature import judged_by


def temperature_intervals(
    scores: ArrayLike, relevant: ArrayLike, temperatures: ArrayLike, *, prior: Any = None, level: float = 0.95
) -> jax.Array:
    """Intervals for the temperatures that are best on the law that the queries were drawn from.

        tau_m exp(-+ z sd_m / beta_m),   sd^2 = diag(H^-1 G H^-1) / Q over the modalities with beta_m > 0

    The queries count as drawn independently, over these documents. The intervals mean something for hundreds of
    queries and a calibration that converged to one point. On mixtures whose optimum is known, intervals of 95% held it
    in 93% of the samples of 100 queries, and in 94 to 95% of those of 300.

    Args:
      scores: [M, Q, N], what was calibrated on.
      relevant: int [Q]; or int [Q, J] padded with -1.
      temperatures: tau [M] > 0 as `calibrate_temperatures` found them.
      prior: [N]; None or the integer N for the uniform one.
      level: coverage, in (0, 1).

    Returns:
      [M, 2], lower and upper end; 0 and infinity where nothing can be said: at an infinite temperature, or where the
      scores do not determine it.

    Raises:
      InputError: shapes that do not belong together, an index out of range, a temperature that is not above 0, a level
        that is no coverage, a score that is not finite, a query without a relevant document or with one of prior 0.
    """
    scores, relevant = working(scores), jnp.asarray(relevant)
    tau = jnp.asarray(temperatures, scores.dtype)
    check_temperatures(tau)
    require(
        scores.ndim == 3 and tau.shape == scores.shape[:1] and scores.size > 0,
        f"scores have shape {scores.shape} and temperatures {tau.shape}; they must be [M, Q, N] and [M], not empty.",
    )
    require(is_concrete(level), "the level is traced; it must be a number, known when compiling.")
    require(0 < level < 1, f"the level is {level}; a coverage lies between 0 and 1.")
    listed, law = judged_by(scores, relevant, prior)
    return _intervals(scores, listed, law, tau, jnp.asarray(0.5 + level / 2, scores.dtype))


@jax.jit
def _intervals(scores: jax.Array, relevant: jax.Array, prior: jax.Array, tau: jax.Array, quantile: jax.Array) -> Any:
    problem = make_problem(scores, relevant, prior)
    free = jnp.isfinite(tau)
    beta = jnp.where(free, problem.scale / jnp.where(free, tau, 1.0), 0.0)
    both = free[:, None] & free[None, :]
    gradients = jnp.where(free[:, None], slopes(problem, beta), 0.0)
    hessian = jnp.where(both, moments(problem, beta).hessian, jnp.eye(len(beta), dtype=beta.dtype))
    factor = jnp.linalg.cholesky(hessian)
    left = jnp.diag(factor) ** 2 / jnp.diag(hessian)  # of a modality's variance beside the ones before it
    determined = jnp.all(left > 1e3 * jnp.finfo(left.dtype).eps)
    step = jax.scipy.linalg.cho_solve((factor, True), gradients) / gradients.shape[1]  # what each query moves beta by
    relative = jnp.sqrt(jnp.sum(step**2, axis=1)) / jnp.where(free, beta, 1.0)
    reach = jax.scipy.special.ndtri(quantile) * jnp.where(free & determined, relative, jnp.inf)
    base = jnp.where(free, tau, 1.0)
    return jnp.stack([base * jnp.exp(-reach), base * jnp.exp(reach)], axis=1)
