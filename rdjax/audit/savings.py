"""Which queries each modality saves: the fusion with it beside the fusion without it, query by query."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from rdjax.audit.quality import in_order, uncompressed, values_of
from rdjax.audit.result import Example, Saving
from rdjax.audit.view import View, calibration_scores
from rdjax.checks import printable
from rdjax.data import Corpus
from rdjax.limits import Bound
from rdjax.retrieval import calibrate_temperatures, gains
from rdjax.retrieval.intervals import paired_bootstrap
from rdjax.retrieval.metrics import Metric

EXAMPLES = 3
ROUNDING = 1e-9  # relative, of a sum of worths


def modality_savings(
    views: list[View], metric: Metric, fused: tuple[np.ndarray, np.ndarray], seed: int
) -> tuple[Saving, ...]:
    """For each modality what the audited queries lose without it.

    Args:
      views: calibrated where there are judgments.
      metric: what is counted.
      fused: what the fusion of all modalities is worth at each audited query, and the most it can be worth there.
      seed: of the bootstrap and the samples that temperatures are calibrated on.
    """
    names, beside = named_queries(views), _left(views)
    return tuple(
        _saving(name, fused, without, names, beside, seed)
        for name, without in zip(views[0].test.modalities, _without_each(views, metric, seed), strict=True)
    )


def full_values(views: list[View], metric: Metric) -> np.ndarray:
    """What the metric is worth at each audited query if its relevant documents come first, the best first."""
    return in_order(views, [_full(view.test, metric) for view in views])


def reaches(values: np.ndarray, full: np.ndarray) -> np.ndarray:
    """Whether a query gets all that it can get; a tie at the top is not enough."""
    return values >= full * (1 - ROUNDING)


def named_queries(views: list[View]) -> list[str]:
    """The ids of the audited queries, which a terminal and a page may show."""
    names = [""] * sum(view.test.num_queries for view in views)
    for view in views:
        ids: Any = view.test.query_ids
        for place, name in zip(view.places, ids, strict=True):
            names[place] = printable(str(name))
    return names


def _full(corpus: Corpus, metric: Metric) -> np.ndarray:
    worth = gains(corpus.relevant, corpus.grades)
    if worth is None:
        above = np.zeros(corpus.num_queries, np.int64)
    else:
        above = np.argsort(np.argsort(-worth, axis=1, kind="stable"), axis=1)
    return values_of(metric, (above, np.ones_like(above)), corpus)


def _left(views: list[View]) -> str:
    """What is without it, in words."""
    if len(views[0].test.modalities) == 2:
        return "the other alone"
    known = any(view.temperatures is not None for view in views)
    return "the others with temperatures calibrated without it" if known else "the plain sum of the others"


def _without_each(views: list[View], metric: Metric, seed: int) -> Iterator[np.ndarray]:
    """Values at each audited query without one modality, in turn."""
    names = views[0].test.modalities
    scores = [calibration_scores(v, seed) if len(names) > 2 and v.temperatures is not None else None for v in views]
    for m in range(len(names)):
        kept, parts = np.delete(np.arange(len(names)), m), []
        for view, known in zip(views, scores, strict=True):
            tau = np.ones(len(kept)) if known is None else _calibrated(known[0][kept], known[1])
            counts = uncompressed(view.test, tau, tuple(names[i] for i in kept))
            parts.append(values_of(metric, counts, view.test))
        yield in_order(views, parts)


def _calibrated(scores: Any, relevant: np.ndarray) -> np.ndarray:
    """Temperatures of these modalities; the plain sum where none of them helps."""
    tau = np.asarray(calibrate_temperatures(scores, relevant).temperatures)
    return tau if np.isfinite(tau).any() else np.ones(len(tau))


def _saving(
    name: str, fused: tuple[np.ndarray, np.ndarray], without: np.ndarray, names: list[str], beside: str, seed: int
) -> Saving:
    values, full = fused
    difference = values - without
    low, high = paired_bootstrap(difference, np.ones_like(difference), seed=seed).mean
    with_it, without_it = reaches(values, full), reaches(without, full)
    saved, cost = with_it & ~without_it, without_it & ~with_it
    measured = lambda x, *words: Bound.value(x, "measured", *words)

    def examples(chosen: np.ndarray, size: np.ndarray) -> tuple[Example, ...]:
        order = [q for q in np.argsort(-size, kind="stable") if chosen[q]][:EXAMPLES]
        return tuple(Example(names[q], measured(float(values[q])), measured(float(without[q]))) for q in order)

    return Saving(
        name=name,
        without=measured(float(without.mean()), beside),
        lost=measured(float(difference.mean()), beside),
        interval=Bound(float(low), float(high), "estimate", ("95% paired bootstrap over queries",)),
        saved=measured(int(saved.sum()), beside),
        saved_share=measured(float(saved.mean()), beside),
        cost=measured(int(cost.sum()), beside),
        cost_share=measured(float(cost.mean()), beside),
        saves=examples(saved, difference),
        costs=examples(cost, -difference),
    )
