"""Encoders that do not know the corpus, and stored documents: Theorem D.

Documents Y_1..Y_N are drawn independently from P_Y, W in 1..N is drawn from a law P whatever they hold, the query X
depends on Y_W alone, and the code C of the query is made without the corpus. Then

    R(D) <= I(W; C | Y^N) <= I(W, Y^N; C) = I(Y_W; C) <= IB(bits),

with R that of Theorem B for the prior P (log2 N - phi(1 - D) of Theorem A where it is uniform), D averaged over
corpora, and IB(b) = max{ I(Y; C) : I(X; C) <= b } the information-bottleneck curve of (X, Y). Left: given Y^N the law
of W is still P, so Theorem B's converse holds for each corpus, and R is convex. In the middle: C depends on (W, Y^N)
through Y_W alone, whose law is P_Y. So bits >= IB^{-1}(R(D)). For documents stored one by one in b bits and queries
seen whole, the roles of X and Y are exchanged. IB(b) <= b needs no model. It binds codes of class C only: a codebook
fitted on the searched documents knows the corpus. Source: theory notes, section 1.6, there for a uniform P.
"""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from rdjax.checks import is_concrete, require
from rdjax.limits.bound import AVERAGED, Bound
from rdjax.limits.rank_sums import Prior, describe_prior
from rdjax.limits.ranking import ranking_distortion, ranking_rate
from rdjax.rate_distortion.water_filling import gaussian_bottleneck, gaussian_bottleneck_rate
from rdjax.retrieval.weights import Weights, reciprocal_rank

Bottleneck = Callable[[jax.Array], jax.Array]
UNKNOWING = (
    "documents drawn independently, sought as often whatever they hold",
    "the query depends on its relevant document alone",
    "average over corpora",
    AVERAGED,
)


def data_processing(bits: ArrayLike) -> jax.Array:
    """IB(b) <= b, `bits` of any shape: the bottleneck when nothing is assumed of query and document.

    Raises:
      InputError: a NaN.
    """
    if is_concrete(bits):
        good = np.isrealobj(np.asarray(bits)) and not np.isnan(np.asarray(bits)).any()
        require(good, "the bits have an entry that is NaN or complex; they must be real numbers.")
    return jnp.asarray(bits)


def blind_rate(
    distortion: ArrayLike,
    num_documents: Prior,
    bottleneck: Bottleneck | ArrayLike = data_processing,
    weights: Weights | ArrayLike = reciprocal_rank,
) -> jax.Array:
    """Fewest bits of a code made without the corpus that ranks at this distortion: IB^{-1}(R(D)), R of Theorem B.

    Args:
      distortion: D = 1 - E w(rank), averaged over corpora; any shape.
      num_documents: N, each sought as often; or the law [N] of which one is, whatever they hold.
      bottleneck: an increasing function from bits to IB(bits) in bits with IB(b) <= b, or the canonical correlations
        [d] of a Gaussian (query, document), for which IB is `gaussian_bottleneck`. A function is compiled for, and
        again for each that is made anew, however alike: make it once, outside loops.
      weights: as in `ranking_rate`.

    Returns:
      bits, the shape of `distortion`; inf where even the whole query does not carry enough information.

    Raises:
      InputError: a distortion below 1 - w_1; a prior that is no law; correlations outside [-1, 1].
    """
    information = ranking_rate(distortion, num_documents, weights)
    if not callable(bottleneck):
        return gaussian_bottleneck_rate(bottleneck, information)
    if bottleneck is data_processing:
        return information
    return _invert(bottleneck, information)


def blind_distortion(
    rate: ArrayLike,
    num_documents: Prior,
    bottleneck: Bottleneck | ArrayLike = data_processing,
    weights: Weights | ArrayLike = reciprocal_rank,
) -> jax.Array:
    """Least distortion of a code made without the corpus at this rate: D(IB(bits)), D of Theorem B.

    Args and errors as in `blind_rate`; `rate` in bits, any shape. 1 - this is the ceiling of the metric.
    """
    carried = bottleneck(jnp.asarray(rate)) if callable(bottleneck) else gaussian_bottleneck(bottleneck, rate)
    return ranking_distortion(carried, num_documents, weights)


def blind_bound(
    distortion: ArrayLike,
    num_documents: Prior,
    bottleneck: Bottleneck | ArrayLike = data_processing,
    weights: Weights | ArrayLike = reciprocal_rank,
) -> Bound:
    """`blind_rate` as a floor: a theorem if nothing is assumed of the bottleneck, else exact for the fitted model."""
    evidence = "theorem" if bottleneck is data_processing else "model"
    fitted = () if evidence == "theorem" else ("the given bottleneck" if callable(bottleneck) else "Gaussian fit",)
    rests = (describe_prior(num_documents), *UNKNOWING, *fitted)
    return Bound.at_least(blind_rate(distortion, num_documents, bottleneck, weights), evidence, *rests)


@partial(jax.jit, static_argnums=0)
def _invert(bottleneck: Bottleneck, information: jax.Array) -> jax.Array:
    """Least b with IB(b) >= information, by bisection; the derivative is that of the inverse function."""
    goal = jax.lax.stop_gradient(information)
    double = lambda _, high: jnp.where(bottleneck(high) < goal, 2 * high, high)
    low, high = goal, jax.lax.fori_loop(0, 40, double, jnp.maximum(2 * goal, 1.0))  # IB(b) <= b
    reachable = bottleneck(high) >= goal

    def halve(_, span):
        low, high = span
        middle = (low + high) / 2
        short = bottleneck(middle) < goal
        return jnp.where(short, middle, low), jnp.where(short, high, middle)

    _, bits = jax.lax.fori_loop(0, 100, halve, (low, high))
    value, slope = jax.jvp(bottleneck, (bits,), (jnp.ones_like(bits),))
    slope = jax.lax.stop_gradient(slope)
    step = (value - information) / jnp.where(slope > 0, slope, jnp.inf)
    bits = bits - step + jax.lax.stop_gradient(step)  # the value is the bisection's; the derivative 1 / IB'
    return jnp.where(reachable, bits, jnp.inf)
