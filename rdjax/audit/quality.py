"""What rankings are worth, query by query, with intervals over queries."""

from typing import Any

import numpy as np

from rdjax.audit.result import Quality
from rdjax.audit.view import View
from rdjax.checks import row_blocks
from rdjax.data import Corpus
from rdjax.limits.bound import Bound
from rdjax.retrieval import fuse, printed_rule
from rdjax.retrieval.intervals import paired_bootstrap
from rdjax.retrieval.metrics import Metric, gains
from rdjax.retrieval.streaming import count_above

CALIBRATED = "fused, calibrated tau"
PRINTED = "fused, tau = sqrt(mean H / H), as the paper prints"
UNEVEN = 0.1  # of the middle length: nine in ten documents are within so much of each other, or it is said
CELLS = 256  # into which each component is cut for the empirical entropy of the printed rule


def values_of(metric: Metric, counts: tuple[Any, Any], corpus: Corpus, ties: str = "expected") -> np.ndarray:
    """The metric at each query [Q], from counts above and tied."""
    listed = gains(corpus.relevant, corpus.grades)
    return np.asarray(metric.per_query(*counts, listed, ties=ties, size=corpus.num_documents), np.float64)


def uncompressed(corpus: Corpus, temperatures: np.ndarray | None, modalities: tuple[str, ...]) -> tuple[Any, Any]:
    """Counts of the plain embeddings, some of the modalities, each query modality divided by its temperature."""
    queries = {name: corpus.queries[name] for name in modalities}
    documents = {name: corpus.documents[name] for name in modalities}
    return count_above(np.asarray(fuse(queries, temperatures)), documents, corpus.relevant)


def by_chance(corpus: Corpus, metric: Metric) -> float:
    """The metric of documents in random order, where every one is tied with all."""
    tied = np.where(np.asarray(corpus.relevant) >= 0, corpus.num_documents, 0)
    return float(values_of(metric, (np.zeros_like(tied), tied), corpus).mean())


def component_entropy(features: np.ndarray) -> float:
    """Sum over components of the empirical entropy after cutting the range of each into 256 cells, bits."""
    features = np.asarray(features, np.float64)
    low, high = features.min(axis=0), features.max(axis=0)
    cell = np.minimum((features - low) / np.where(high > low, high - low, 1) * CELLS, CELLS - 1).astype(int)
    total = 0.0
    for column in cell.T:
        share = np.bincount(column, minlength=CELLS) / len(column)
        share = share[share > 0]
        total -= float(share @ np.log2(share))
    return total


def ways_to_rank(views: list[View]) -> list[tuple[str, tuple[str, ...], list[np.ndarray | None]]]:
    """(name, modalities, temperatures for each view) of every uncompressed ranking that is shown."""
    modalities = views[0].test.modalities
    ways: list[tuple[str, tuple[str, ...], list[np.ndarray | None]]] = []
    if len(modalities) == 1:
        return [(todays_name(modalities), modalities, [np.ones(1)] * len(views))]
    ways += [(f"{name} alone", (name,), [np.ones(1)] * len(views)) for name in modalities]
    ways.append((todays_name(modalities), modalities, [np.ones(len(modalities))] * len(views)))
    if views[0].temperatures is not None:
        ways.append((CALIBRATED, modalities, [view.temperatures for view in views]))
    rules = [_rule_ten(view) for view in views]
    if all(rule is not None for rule in rules):
        ways.append((PRINTED, modalities, rules))
    return ways


def _rule_ten(view: View) -> np.ndarray | None:
    entropies = [component_entropy(view.fit.queries[name]) for name in view.test.modalities]
    return np.asarray(printed_rule(np.asarray(entropies))) if min(entropies) > 0 else None


def uncompressed_rankings(
    views: list[View], metric: Metric, seed: int
) -> tuple[list[Quality], tuple[np.ndarray, list[np.ndarray]]]:
    """Every uncompressed ranking, and the values of today's: at the audited queries, and at each view's fit queries."""
    modalities = views[0].test.modalities
    measured = [_measure(views, metric, way, seed) for way in ways_to_rank(views)]
    measured += [_measure_run(views, metric, name, seed) for name in views[0].test.runs]
    values = next(values for quality, values in measured if quality.name == todays_name(modalities))
    plain = np.ones(len(modalities))
    on_fit = [values_of(metric, uncompressed(view.fit, plain, modalities), view.fit) for view in views]
    return [quality for quality, _ in measured], (values, on_fit)


def length_warnings(corpus: Corpus) -> tuple[str, ...]:
    """That lengths of documents count in rankings, where they differ; which of them is meant no data can say."""
    said = []
    for name, array in corpus.documents.items():
        largest = max(
            max(float(rows.max()), -float(rows.min())) for _, rows in row_blocks(array)
        )  # its square may be inf
        relative = (np.asarray(rows, np.float64) / largest for _, rows in row_blocks(array))
        lengths = np.concatenate([np.linalg.norm(rows, axis=1) for rows in relative])
        low, middle, high = largest * np.quantile(lengths, (0.05, 0.5, 0.95))
        if high - low > UNEVEN * middle:
            said.append(f"{name} {low:.3g} to {high:.3g}")
    words = "; a ranking by inner products prefers the long ones, so normalize both sides first if yours is by cosine"
    return (f"Lengths of documents differ (nine in ten: {', '.join(said)}){words}.",) if said else ()


def todays_name(modalities: tuple[str, ...]) -> str:
    """The ranking that targets are relative to: the plain sum of inner products."""
    return "fused, tau = 1" if len(modalities) > 1 else f"{modalities[0]} alone"


def todays(qualities: list[Quality], modalities: tuple[str, ...]) -> Quality:
    """Today's ranking among all."""
    return next(quality for quality in qualities if quality.name == todays_name(modalities))


def _measure(
    views: list[View], metric: Metric, way: tuple[str, tuple[str, ...], list[np.ndarray | None]], seed: int
) -> tuple[Quality, np.ndarray]:
    """One uncompressed ranking on the audited queries, and its value at each of them."""
    name, modalities, temperatures = way
    counts = [uncompressed(view.test, tau, modalities) for view, tau in zip(views, temperatures, strict=True)]
    first = temperatures[0]
    alike = first is not None and all(tau is not None and np.array_equal(tau, first) for tau in temperatures)
    shown = first if alike else None  # folds that are calibrated have each their own
    named = {} if shown is None else dict(zip(modalities, np.asarray(shown).tolist(), strict=True))
    return _quality(views, metric, counts, name, named, seed)


def _measure_run(views: list[View], metric: Metric, name: str, seed: int) -> tuple[Quality, np.ndarray]:
    """What another system ranked; documents that it leaves out come last, in any order."""
    tests = [view.test for view in views]
    counts = [test.runs[name].counts(np.asarray(test.relevant), test.num_documents) for test in tests]
    return _quality(views, metric, counts, f"run {name}", {}, seed)


def _quality(
    views: list[View],
    metric: Metric,
    counts: list[tuple[Any, Any]],
    name: str,
    temperatures: dict[str, float],
    seed: int,
) -> tuple[Quality, np.ndarray]:
    """One ranking from its counts in each view, and its value at each audited query."""
    both = list(zip(counts, [view.test for view in views], strict=True))
    values = in_order(views, [values_of(metric, count, test) for count, test in both])
    pessimistic = [values_of(metric, count, test, "pessimistic") for count, test in both]
    interval = paired_bootstrap(values, np.ones(len(values)), seed=seed).mean  # the ratio is not asked for
    quality = Quality(
        name=name,
        temperatures=temperatures,
        value=Bound.value(float(values.mean()), "measured", "ties in expectation"),
        pessimistic=Bound.value(float(in_order(views, pessimistic).mean()), "measured", "ties counted against us"),
        interval=Bound(float(interval[0]), float(interval[1]), "estimate", ("95% bootstrap over queries",)),
    )
    return quality, values


def in_order(views: list[View], parts: list[np.ndarray]) -> np.ndarray:
    """Values of all audited queries, each view's put at its places."""
    values = np.empty(sum(len(part) for part in parts))
    for view, part in zip(views, parts, strict=True):
        values[view.places] = part
    return values
