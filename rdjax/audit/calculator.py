"""The limit as a calculator: every floor at one quality over so many documents, without a corpus."""

from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from rdjax.audit.dimensions import Dimensions, dimensions_for
from rdjax.audit.result import EVERY_CLASS, FIXED, STREAM, Floor
from rdjax.checks import require
from rdjax.limits import blind_bound, one_shot_bound, one_shot_codewords, ranking_bound
from rdjax.retrieval.metrics import parse_metric

BLIND = "code made without the corpus (Theorem D)"


@dataclass(frozen=True)
class Limit:
    """What was asked, and the floors that answer it.

    `value` of `metric` over `documents`, one relevant document a query, sought as `prior` says; `codewords` is the
    least number of them in a code of fixed length. The first floor binds every code on average over a stream, the
    second every code of fixed length, the others codes made without the corpus. `dimensions` is what vectors need that
    rank by inner products, if that was asked.
    """

    documents: int
    metric: str
    value: float
    prior: str
    codewords: int
    floors: tuple[Floor, ...]
    dimensions: Dimensions | None = None


def limit_at(
    value: float,
    documents: int,
    *,
    metric: str = "mrr",
    prior: Any = None,
    correlations: Any = None,
    wanted: Any = None,
) -> Limit:
    """Theorems A (B where a prior is given), C and D at one quality, in float64.

    Args:
      value: of the metric, between 0 and what rank 1 is worth.
      documents: N.
      metric: as `parse_metric` reads it, of one relevant document per query.
      prior: how often each document is sought, [N], or None for equally often.
      correlations: canonical correlations [d] of query and document, for Theorem D under a Gaussian model; or None.
      wanted: how many documents a query wants, or which each of several queries wants, booleans [P, N]: adds the
        dimensions that vectors need for all of them to come first; or None.

    Returns:
      a `Limit`; bits per query.

    Raises:
      InputError: a value that no ranking has, an unknown metric, a prior that is no law over N documents, no such
        patterns.
    """
    asked = parse_metric(metric)
    best = float(asked.weights(1.0))
    good = 0 <= value <= best * (1 + 1e-9)  # the best value as a person writes it: 1 - .8 is not .2 in binary
    require(good, f"the value is {value:g}; {metric} of one relevant document a query is from 0 to {best:g}.")
    require(prior is None or len(prior) == documents, f"the prior does not have {documents:,} probabilities.")
    uniform = prior is None
    law, distortion = documents if uniform else prior, 1 - min(value, best)
    with jax.enable_x64(True):
        stream, fixed = ranking_bound(distortion, law, asked.weights), one_shot_bound(distortion, law, asked.weights)
        floors = [
            Floor(f"any code (Theorem {'A' if uniform else 'B'})", "queries", EVERY_CLASS, STREAM, stream, ""),
            Floor("any code of fixed length (Theorem C)", "queries", EVERY_CLASS, FIXED, fixed, ""),
            *_blind(distortion, law, asked.weights, correlations),
        ]
        codewords = one_shot_codewords(distortion, law, asked.weights)
    known = f"uniform over {documents:,} documents" if uniform else "the given prior"
    needed = None if wanted is None else dimensions_for(documents, float(stream.lower), wanted)
    return Limit(documents, metric, value, known, codewords, tuple(floors), needed)


def _blind(distortion: float, prior: Any, weights: Any, correlations: Any) -> list[Floor]:
    found = [Floor(BLIND, "queries", "C", STREAM, blind_bound(distortion, prior, weights=weights), "")]
    if correlations is not None:
        model = blind_bound(distortion, prior, np.asarray(correlations, np.float64), weights)
        found.append(Floor(f"{BLIND}, Gaussian model", "queries", "C", STREAM, model, ""))
    return found
