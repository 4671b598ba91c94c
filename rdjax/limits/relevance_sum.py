"""A floor for metrics that add up over several relevant documents: recall, precision, DCG, nDCG, rank-biased precision.

The metric of query x is m = sum_y a_xy w_K(y), K(y) the rank of y, a_xy its credit; A_x = sum_y a_xy. By Jensen's
inequality e^{s m} <= sum_y (a_xy / A_x) e^{s A_x w_K(y)}, as if one document drawn by its credit were worth A_x w. Let
the queries of one A be a group, P_g its share, q_y the law of what is drawn in it, h(x) = min over relevant y of
-ln q_y. Then, as in `relevance_set`, for every ranking, every s >= 0 and 0 <= t <= 1,

    E e^{t h(X) + s m} <= P(nothing) + sum_g P_g sum_k p_k e^{s A_g w_k},
    p_k = min(q_(k)^{1-t}, E[e^{t h(X)} | g] - sum_{j<k} p_j),
    I(X; C) >= s E m + t E h(X) - ln(this sum)    (nats).

A is rounded up to a few values, which leaves it a floor: few groups lose where A differs, many what queries of
different groups have in common, so the best of `GROUPS` is taken. With one relevant document a query it is the floor
of `relevance_set`. What Jensen loses is largest where A is: nDCG of many relevant documents.
Source: theory notes, section 12.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from rdjax import checks
from rdjax.limits.bound import AVERAGED, Bound
from rdjax.limits.rank_sums import check_weights, refuse_names
from rdjax.limits.relevance_set import POWERS, tilted_floor
from rdjax.numerics import at_ranks, on_device
from rdjax.retrieval.weights import Weights

GROUPS = (1, 4, 16)


def relevance_sum_rate(
    distortion: ArrayLike, relevant: ArrayLike, credits: ArrayLike, num_documents: int, weights: Weights | ArrayLike
) -> jax.Array:
    """Bits per query below which no code has this mean metric, sum_y a_xy w_K(y) of the documents relevant to x.

    Args:
      distortion: D = 1 - E m, any shape.
      relevant: documents relevant to each of Q equiprobable queries, int [Q, J] padded with -1, each once.
      credits: a_xy >= 0 [Q, J], 0 at padding: of a metric `Metric.credits` gives them.
      num_documents: N.
      weights: w, a function of the rank, or a non-increasing array [N].

    Returns:
      bits, the shape of `distortion`; 0 where no bits are needed, inf where no ranking has so much. Differentiable in
      the distortion.

    Raises:
      InputError: lists or credits that are none, or traced; weights that increase or are not one a document.
    """
    known = checks.is_concrete(relevant, credits, weights)
    checks.require(known, "relevant, credits and weights must be known when compiling; they are traced.")
    checks.numbers(distortion, "the distortion")
    listed, credit = np.asarray(relevant), np.asarray(credits, np.float64)
    _check(listed, credit, checks.whole(num_documents, "the number of documents"))
    worth = _worth(weights, num_documents)
    given = on_device(distortion, jnp.promote_types(jnp.result_type(distortion, 1.0), jnp.float32))
    floors = []
    for groups in GROUPS if len(np.unique(credit.sum(axis=1))) > 1 else (1,):
        problem = (on_device(array, given.dtype) for array in _problem(listed, credit, worth, groups))
        floors.append(tilted_floor(given, *problem))
    return jnp.max(jnp.stack(floors), axis=0)


def relevance_sum_bound(
    distortion: ArrayLike, relevant: ArrayLike, credits: ArrayLike, num_documents: int, weights: Weights | ArrayLike
) -> Bound:
    """`relevance_sum_rate` as a floor with its evidence and what it rests on."""
    bits = relevance_sum_rate(distortion, relevant, credits, num_documents, weights)
    return Bound.at_least(bits, "theorem", "the given relevance lists", AVERAGED)


def _problem(listed: np.ndarray, credit: np.ndarray, worth: np.ndarray, groups: int) -> tuple[np.ndarray, ...]:
    """(p of all groups side by side, and P(nothing) [T, K], t E h [T], A w [K], the largest of them), float64."""
    sums = credit.sum(axis=1)
    level = _rounded_up(sums, groups)
    masses, constants, worths = [], np.zeros(len(POWERS)), []
    for one in np.unique(level[sums > 0]):
        chosen = (level == one) & (sums > 0)
        share, (law, rarity) = chosen.mean(), _group(listed[chosen], credit[chosen] / sums[chosen, None])
        masses.append([share * _capped(law ** (1 - t), np.exp(t * rarity).mean()) for t in POWERS])
        constants += np.array(POWERS) * share * rarity.mean()
        worths.append(one * worth[: len(law)])
    nothing = np.full((len(POWERS), 1), (sums == 0).mean())
    values = np.append(np.concatenate([*worths, []]), 0.0)
    return np.hstack([*masses, nothing]), constants, values, values.max()


def _check(listed: np.ndarray, credit: np.ndarray, documents: int) -> None:
    checks.whole_numbers(listed, "relevant", -1)
    good = listed.ndim == 2 and listed.size > 0 and listed.shape == credit.shape
    checks.require(
        good, f"relevant has shape {listed.shape} and credits {credit.shape}; both must be [Q, J], not empty."
    )
    checks.numbers(credit, "the credits", 0)
    checks.require(int(listed.max()) < documents, f"relevant has {listed.max()}, but there are {documents} documents.")
    checks.require(not credit[listed < 0].any(), "a credit stands at padding; it must be 0 there.")


def _worth(weights: Any, documents: int) -> np.ndarray:
    """w_1, ..., w_N, float64."""
    refuse_names(weights)
    worth = at_ranks(weights, np.arange(1.0, documents + 1)) if callable(weights) else np.asarray(weights, np.float64)
    checks.require(worth.shape == (documents,), f"the weights have shape {worth.shape} for {documents} documents.")
    check_weights(worth)
    return worth


def _rounded_up(sums: np.ndarray, groups: int) -> np.ndarray:
    """Each to the next of at most so many values, the largest among them."""
    ends = np.unique(np.quantile(sums[sums > 0], np.arange(1, groups + 1) / groups, method="higher"))
    return ends[np.minimum(np.searchsorted(ends, sums), len(ends) - 1)]


def _group(listed: np.ndarray, shares: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(the law of the drawn document, falling, without zeros; h of each query), from lists and a / A [Q', J]."""
    drawn = shares > 0
    number, place = np.unique(listed[drawn], return_inverse=True)
    law = np.bincount(place, weights=shares[drawn], minlength=len(number)) / len(listed)
    each = np.full(shares.shape, -np.inf)
    each[drawn] = np.log(law)[place]
    return np.sort(law)[::-1], -each.max(axis=1)


def _capped(most: np.ndarray, total: float) -> np.ndarray:
    """Falling entries as they are while their sum is at most `total`, and then nothing."""
    before = np.cumsum(most) - most
    return np.minimum(most, np.maximum(total - before, 0))
