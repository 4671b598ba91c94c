"""What is left of a fusion when one modality of a query is plainly wrong, say, an image of something else.

One modality of every audited query is exchanged for that of another audited query that wants another document. If a
share p of the queries is like that, quality is (1 - p) times that of right queries plus p times what is shown here.
"""

from typing import Any

import numpy as np

from rdjax.audit.quality import in_order, uncompressed, values_of
from rdjax.audit.result import Stress
from rdjax.audit.view import View, calibration_scores
from rdjax.data.corpus import trusted
from rdjax.limits import Bound
from rdjax.retrieval import doubting_posterior, fit_reliability, modality_scores
from rdjax.retrieval.intervals import paired_bootstrap
from rdjax.retrieval.metrics import Metric

ENTRIES = 2_000_000  # scores of one modality that doubt is fitted on, and tried on, at most: a few seconds
LEAST = 200  # fit queries, below which doubt is learned from too few
WRONG = 0.5  # share of the fit queries that doubt is fitted on that is wrong
STEPS = 30  # of the descent: more change nothing that is shown
PREPARED = f"doubt fitted on queries of which {WRONG:.0%} were wrong"


def wrong_queries(views: list[View], metric: Metric, taus: list[np.ndarray], seed: int) -> tuple[Stress, ...]:
    """The metric with each modality wrong in turn, and what doubting it is worth; nothing of one query alone.

    Args:
      views: calibrated where there are judgments.
      metric: what is measured.
      taus: temperatures of the fusion, for each view.
      seed: of the exchange and the bootstrap.
    """
    names = views[0].test.modalities
    order = np.argsort(np.concatenate([view.places for view in views]))  # queries of all views as they were numbered
    together = lambda arrays: np.concatenate([np.asarray(array) for array in arrays])[order]
    if len(order) < 2:
        return ()  # there is no other query
    donor = exchanged(together(view.test.relevant for view in views), seed)
    why = _too_much(views)
    found = []
    for m, name in enumerate(names):
        parts, changed = [], together(view.test.queries[name] for view in views)[donor]
        for view, tau in zip(views, taus, strict=True):
            queries = {**view.test.queries, name: changed[view.places]}
            corpus = trusted(view.test, queries=queries)
            parts.append(values_of(metric, uncompressed(corpus, tau, names), corpus))
        values = in_order(views, parts)
        doubt, right, wrong = (None,) * 3 if why else _doubting(views[0], metric, m, donor, seed)
        low, high = paired_bootstrap(values, np.ones_like(values), seed=seed).mean
        found.append(
            Stress(
                name=name,
                wrong=Bound.value(float(values.mean()), "measured", "ties in expectation"),
                interval=Bound(float(low), float(high), "estimate", ("95% bootstrap over queries",)),
                doubt=doubt,
                doubting_right=right,
                doubting_wrong=wrong,
                why=why,
            )
        )
    return tuple(found)


def exchanged(relevant: Any, seed: int) -> np.ndarray:
    """For each query another one, each once, which wants another document unless most want the same one; int [Q].

    Queries stand in a circle, those of one document side by side and documents in random order; each takes from the one
    that is as many places further as the most sought document has queries.

    Args:
      relevant: int [Q], or [Q, J], padded with -1, of which the largest counts; Q >= 2.
      seed: of the order of documents, and of the queries of one.
    """
    first = np.asarray(relevant)
    first = first.max(axis=1) if first.ndim == 2 else first
    rng = np.random.default_rng(seed)
    _, group, sizes = np.unique(first, return_inverse=True, return_counts=True)
    order = np.lexsort([rng.permutation(len(first)), rng.permutation(len(sizes))[group]])
    shift = int(sizes.max()) if sizes.max() < len(first) else 1
    donor = np.empty(len(first), np.int64)
    donor[order] = np.roll(order, -shift)
    return donor


def _too_much(views: list[View]) -> str:
    """Why no doubt is fitted, or nothing."""
    view = views[0]
    if view.temperatures is None:
        return "doubt starts from calibrated temperatures, and there are none"
    if any(np.asarray(c.relevant).ndim == 2 for c in (view.test, view.fit)):
        return "doubt is fitted where each query has one relevant document"
    if len(views) > 1 or view.fit.num_queries < LEAST:
        return f"doubt takes {LEAST} fit queries at least"
    if max(c.num_queries * c.num_documents for c in (view.test, view.fit)) > ENTRIES:
        return f"doubt is fitted and tried on at most {ENTRIES:,} pairs of query and document"
    return ""


def _doubting(view: View, metric: Metric, m: int, donor: np.ndarray, seed: int) -> tuple[Bound, Bound, Bound]:
    """(doubt, quality where all is right, where modality m is wrong) of a decoder that is prepared for it."""
    scores, relevant = calibration_scores(view, seed)
    half = np.sort(np.random.default_rng(seed).permutation(len(relevant))[: int(WRONG * len(relevant))])
    source = np.arange(len(relevant))
    source[half] = half[exchanged(relevant[half], seed)]
    fitted = fit_reliability(_with_wrong(np.asarray(scores), m, source), relevant, steps=STEPS)
    tried = np.asarray(modality_scores(view.test.queries, view.test.documents))
    measured = lambda x: Bound.value(float(x), "measured", PREPARED)

    def quality(given: np.ndarray) -> Bound:
        logs = doubting_posterior(given, fitted.temperatures, fitted.doubt)
        return measured(np.mean(np.asarray(metric(logs, view.test.relevant))))

    doubt = Bound.value(float(fitted.doubt[m]), "estimate", PREPARED)
    return doubt, quality(tried), quality(_with_wrong(tried, m, donor))


def _with_wrong(scores: np.ndarray, m: int, donor: np.ndarray) -> np.ndarray:
    """Scores [M, Q, N] with those of modality m taken from other queries."""
    changed = scores.copy()
    changed[m] = scores[m][donor]
    return changed
