"""A floor for metrics that add up over several relevant documents: recall, precision, DCG, nDCG, RBP, and MAP.

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

Average precision is no such sum, but at most one: of J relevant documents min(J, K) at most are at ranks up to K, so it
is at most (1 / J) sum_y 1 / max(1, K(y) / J): credits 1 / J, and ranks over a breadth b = J. Groups are of one b then.
Source: theory notes, section 12.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from rdjax import checks
from rdjax.limits.bound import AVERAGED, Bound
from rdjax.limits.rank_sums import every_worth
from rdjax.limits.relevance_set import POWERS, tilted_floor
from rdjax.numerics import at_ranks, on_device
from rdjax.retrieval.weights import Weights

GROUPS = (1, 4, 16)


def relevance_sum_rate(
    distortion: ArrayLike,
    relevant: ArrayLike,
    credits: ArrayLike,
    num_documents: int,
    weights: Weights | ArrayLike,
    *,
    breadth: ArrayLike | None = None,
) -> jax.Array:
    """Bits per query below which no code has this mean metric, sum_y a_xy w_K(y) of the documents relevant to x.

    Args:
      distortion: D = 1 - E m, any shape.
      relevant: documents relevant to each of Q equiprobable queries, int [Q, J] padded with -1, each once.
      credits: a_xy >= 0 [Q, J], 0 at padding: of a metric `metric_credits` gives them.
      num_documents: N.
      weights: w, a function of the rank, or a non-increasing array [N].
      breadth: b >= 1 [Q] of a metric that is at most sum_y a_xy w(max(1, K(y) / b_x)), w being a function:
        `metric_breadth` has that of MAP. None: 1, and the metric is the sum.

    Returns:
      bits, the shape of `distortion`; 0 where no bits are needed, inf where no ranking has so much. Differentiable in
      the distortion.

    Raises:
      InputError: lists, credits or a breadth that are none, or traced; weights that increase or are not one a document.
    """
    known = checks.is_concrete(relevant, credits, weights, breadth)
    checks.require(known, "relevant, credits, weights and breadth must be known when compiling; they are traced.")
    checks.numbers(distortion, "the distortion")
    listed, credit = np.asarray(relevant), np.asarray(credits, np.float64)
    _check(listed, credit, checks.whole(num_documents, "the number of documents"))
    worth = every_worth(weights, num_documents)
    wide = np.ones(len(listed)) if breadth is None else np.asarray(breadth, np.float64)
    _check_breadth(wide, len(listed), breadth is None or callable(weights))
    given = on_device(distortion, jnp.promote_types(jnp.result_type(distortion, 1.0), jnp.float32))
    floors = []
    ranks = np.arange(1.0, num_documents + 1)
    broad = lambda b: at_ranks(weights, np.maximum(1, ranks / b)) if callable(weights) and b > 1 else worth
    alike = len(np.unique(credit.sum(axis=1))) == 1 and np.ptp(wide) == 0
    for groups in (1,) if alike else GROUPS:
        problem = (on_device(array, given.dtype) for array in _problem(listed, credit, broad, wide, groups))
        floors.append(tilted_floor(given, *problem))
    return jnp.max(jnp.stack(floors), axis=0)


def relevance_sum_bound(
    distortion: ArrayLike,
    relevant: ArrayLike,
    credits: ArrayLike,
    num_documents: int,
    weights: Weights | ArrayLike,
    *,
    breadth: ArrayLike | None = None,
) -> Bound:
    """`relevance_sum_rate` as a floor with its evidence and what it rests on."""
    bits = relevance_sum_rate(distortion, relevant, credits, num_documents, weights, breadth=breadth)
    return Bound.at_least(bits, "theorem", "the given relevance lists", AVERAGED)


def _problem(
    listed: np.ndarray, credit: np.ndarray, worth: Callable[[float], np.ndarray], wide: np.ndarray, groups: int
) -> tuple[np.ndarray, ...]:
    """(p of all groups side by side, and P(nothing) [T, K], t E h [T], A w [K], the largest of them), float64."""
    sums = credit.sum(axis=1)
    some = sums > 0
    level = _rounded_up(sums if np.ptp(wide) == 0 else wide, some, groups)
    masses, constants, worths = [], np.zeros(len(POWERS)), []
    for one in np.unique(level[some]):
        chosen = (level == one) & some
        share, (law, rarity) = chosen.mean(), _group(listed[chosen], credit[chosen] / sums[chosen, None])
        masses.append([share * _capped(law ** (1 - t), np.exp(t * rarity).mean()) for t in POWERS])
        constants += np.array(POWERS) * share * rarity.mean()
        worths.append(sums[chosen].max() * worth(wide[chosen].max())[: len(law)])
    nothing = np.full((len(POWERS), 1), 1 - some.mean())
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


def _check_breadth(wide: np.ndarray, queries: int, stretches: bool) -> None:
    checks.require(wide.shape == (queries,), f"the breadth has shape {wide.shape} for {queries} queries.")
    checks.numbers(wide, "the breadth", 1)
    checks.require(stretches, "weights that are an array have no breadth; give a function of the rank.")


def _rounded_up(values: np.ndarray, some: np.ndarray, groups: int) -> np.ndarray:
    """Each of some to the next of at most so many values, the largest among them."""
    if not some.any():
        return values
    ends = np.unique(np.quantile(values[some], np.arange(1, groups + 1) / groups, method="higher"))
    return ends[np.minimum(np.searchsorted(ends, values), len(ends) - 1)]


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
