"""The floors that bind each class of code at the target quality. Never one class against another's floor unlabeled."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from rdjax.audit.result import EVERY_CLASS, FIXED, OWN, STREAM, Floor, Setting
from rdjax.checks import law, require
from rdjax.data import Corpus
from rdjax.limits import (
    blind_bound,
    blind_distortion,
    first_relevant_bound,
    first_relevant_rate,
    one_shot_bound,
    one_shot_distortion,
    ranking_bound,
    ranking_distortion,
    relevance_sum_bound,
    relevance_sum_rate,
)
from rdjax.limits.bound import AVERAGED, Bound
from rdjax.numerics import at_ranks
from rdjax.retrieval.credits import metric_breadth, metric_credits
from rdjax.retrieval.metrics import Metric, gains

STORED = "bits averaged over stored documents, uniquely decodable"
GRID = np.exp2(np.linspace(0, 13, 53))  # bits of the curves


def relevance_law(corpus: Corpus, choice: Any) -> tuple[Any, str]:
    """The prior of every document [N], or N where it is assumed uniform, and what it is called."""
    documents = corpus.num_documents
    own = isinstance(choice, str) and choice == "queries"
    several = corpus.relevant is not None and corpus.relevant.ndim == 2
    words = "several relevant documents a query have one law, the audited queries' own; leave the prior out."
    require(own or not several, words)
    if isinstance(choice, str) and choice == "uniform":
        return documents, f"assumed uniform over {documents:,} documents"
    if isinstance(choice, str) and choice == "corpus":
        require(corpus.prior is not None, "the corpus holds no prior; add one, or choose queries, uniform or a file.")
        return np.asarray(corpus.prior, np.float64), "the corpus's own prior, an assumption"
    require(own or not isinstance(choice, str), f"the prior {choice!r} is not known.")
    if not isinstance(choice, str):
        given = np.asarray(choice, np.float64)
        require(given.shape == (documents,), f"the prior has shape {given.shape} for {documents} documents.")
        law(given)
        return given, "the given prior, an assumption"
    relevant = np.asarray(corpus.relevant).reshape(-1)
    counts = np.bincount(relevant[relevant >= 0], minlength=documents)
    return counts / counts.sum(), f"the law of the {corpus.num_queries:,} audited queries themselves"


def sought(prior: Any) -> Any:
    """The same law of the documents that are ever sought: an array, or their number where it is uniform.

    No floor changes, since a law that majorizes the prior has no mass beyond as many ranks as there are such documents.
    """
    if np.ndim(prior) == 0:
        return prior
    some = prior[prior > 0]
    return len(some) if some.min() == some.max() else some


def fitted_here(floors: Iterable[Floor]) -> Iterator[Floor]:
    """The floors where codes of class C are fitted on queries of the audited corpus, which tell something of it."""
    words = "codes fitted on other queries of this corpus count as made without it"
    for floor in floors:
        known = floor.bits if floor.classes == "C" else None
        yield floor if known is None else replace(floor, bits=known.assuming(words))


def relevance_frequencies(corpus: Corpus) -> np.ndarray:
    """f_y: the share of audited queries for which document y is relevant, [N]."""
    pairs = [np.unique(row[row >= 0]) for row in np.asarray(corpus.relevant).reshape(corpus.num_queries, -1)]
    return np.bincount(np.concatenate(pairs), minlength=corpus.num_documents) / corpus.num_queries


def floors_for(
    side: str, setting: Setting, metric: Metric, corpus: Corpus, prior: Any, aim: float, correlations: np.ndarray | None
) -> list[Floor]:
    """Every floor of one side, those that could not be proved among them with the reason.

    Args:
      corpus: with the judgments of all audited queries.
      prior: as `sought` gives it.
      aim: the quality to be reached, in the units of the metric.
      correlations: of the Gaussian fit, or None where there is none.
    """
    blind = _blind(side, setting, metric, prior, aim, correlations)
    if side == "documents":
        why = "a codebook fitted on the searched documents knows them, so Theorem D does not bind it"
        return [*blind, Floor("class B codebooks", side, "B", STREAM, None, why)]
    if setting.judgements == "several":
        return [_several(metric, corpus, aim), *blind]
    distortion, rests = 1 - aim, setting.prior
    stream = ranking_bound(distortion, prior, metric.weights)
    fixed = one_shot_bound(distortion, prior, metric.weights)
    sizes = np.unique(np.round(GRID[GRID <= 40]))
    return [
        Floor(
            name="any code, rate-distortion (Theorem B)",
            side=side,
            classes=EVERY_CLASS,
            kind=STREAM,
            bits=_as_float(stream, rests),
            why="",
            curve=_curve(lambda bits: 1 - ranking_distortion(bits, prior, metric.weights)),
        ),
        Floor(
            name="any code, one query at a time (Theorem C)",
            side=side,
            classes=EVERY_CLASS,
            kind=FIXED,
            bits=_as_float(fixed, rests),
            why="",
            curve=_curve(partial(_one_shot_quality, prior=prior, metric=metric), sizes),
        ),
        *blind,
    ]


def _one_shot_quality(bits: np.ndarray, prior: Any, metric: Metric) -> np.ndarray:
    documents = prior if np.ndim(prior) == 0 else len(prior)
    codewords = np.minimum(2.0**bits, documents).astype(int)
    return 1 - np.asarray(one_shot_distortion(codewords, prior, metric.weights))


def _several(metric: Metric, corpus: Corpus, aim: float) -> Floor:
    name, side = "any code, several relevant documents", "queries"
    lists, quality = np.asarray(corpus.relevant).reshape(corpus.num_queries, -1), np.linspace(0.02, 0.999, 50)
    earned = gains(lists, corpus.grades)
    credits = metric_credits(metric, earned)
    if credits is None:
        shares = relevance_frequencies(corpus)
        rates = first_relevant_rate(1 - quality, shares, metric.weights, relevant=lists)
        bound = first_relevant_bound(1 - aim, shares, metric.weights, relevant=lists)
    else:
        given, breadth = (lists, credits, corpus.num_documents, metric.weights), metric_breadth(metric, earned)
        quality = quality * (_ideal(credits, metric) if breadth is None else 1)
        rates = relevance_sum_rate(1 - quality, *given, breadth=breadth)
        bound = relevance_sum_bound(1 - aim, *given, breadth=breadth)
    points = zip(np.asarray(rates), quality, strict=True)
    curve = tuple((float(b), float(q)) for b, q in points if GRID[0] <= b <= GRID[-1])
    return Floor(name, side, EVERY_CLASS, STREAM, _as_float(bound, OWN), "", curve)


def _ideal(credits: np.ndarray, metric: Metric) -> float:
    """The mean metric if every query's relevant documents came first, the dearest before."""
    worth = at_ranks(metric.weights, np.arange(1.0, credits.shape[1] + 1))
    return float(np.mean(np.sort(credits, axis=1)[:, ::-1] @ worth))


def _blind(
    side: str, setting: Setting, metric: Metric, prior: Any, aim: float, correlations: np.ndarray | None
) -> list[Floor]:
    what = "stored without knowledge of the others" if side == "documents" else "made without the corpus"
    name = f"code {what} (Theorem D)"
    if setting.judgements == "fidelity":
        why = "without judgments the relevant document depends on all the others, which Theorem D does not allow"
        return [Floor(name, side, "C", STREAM, None, why)]
    if setting.judgements == "several":
        why = "Theorem D is proved for one relevant document a query"
        return [Floor(name, side, "C", STREAM, None, why)]
    plain = blind_bound(1 - aim, prior, weights=metric.weights)
    at = lambda bits: 1 - blind_distortion(bits, prior, weights=metric.weights)
    found = [Floor(name, side, "C", STREAM, _as_float(plain, setting.prior), "", _curve(at))]
    if correlations is not None:
        model = _as_float(blind_bound(1 - aim, prior, correlations, metric.weights), setting.prior)
        modeled = lambda bits: 1 - blind_distortion(bits, prior, correlations, metric.weights)
        found.append(Floor(f"{name}, Gaussian fit", side, "C", STREAM, model, "", _curve(modeled)))
    return found if side == "queries" else [replace(f, bits=_of_documents(f.bits)) for f in found if f.bits is not None]


def _curve(quality: Callable[[np.ndarray], Any], bits: np.ndarray = GRID) -> tuple[tuple[float, float], ...]:
    return tuple((float(b), float(q)) for b, q in zip(bits, np.asarray(quality(bits)), strict=True))


def _as_float(bound: Bound, *words: str) -> Bound:
    kept = [w for w in bound.assumes if not words or (w != "the given prior" and not w.startswith("uniform prior"))]
    return Bound(float(bound.lower), float(bound.upper), bound.evidence, (*words, *kept))


def _of_documents(bound: Bound) -> Bound:
    """A floor of Theorem D for stored documents, whose bits are not those of queries."""
    said = tuple(STORED if w == AVERAGED else w for w in bound.assumes)
    return Bound(bound.lower, bound.upper, bound.evidence, said)
