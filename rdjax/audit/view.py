"""What is fitted and what is audited: corpora with their roles, and the vectors that codes see.

A view is one division of the queries. Everything is fitted on `fit`'s queries, searched over the audited documents and
those of `fit`'s own that are not among them; everything is reported on `test`'s queries over the audited documents.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from rdjax.checks import require, row_blocks
from rdjax.data import Corpus, folds, pool_documents, split_queries
from rdjax.data.corpus import trusted
from rdjax.data.splits import queries_in_common, query_kinds
from rdjax.retrieval import calibrate_temperatures, fuse, modality_scores
from rdjax.retrieval.metrics import Metric
from rdjax.retrieval.streaming import top_document
from rdjax.retrieval.temperature import CONVERGED

FEW = 200  # audited queries below which a split would leave too few
FEWEST = 10  # below which a bootstrap over queries knows next to nothing of how they differ
FOLDS = 4
CALIBRATION_QUERIES, CALIBRATION_DOCUMENTS = 1000, 20_000  # enough for a handful of temperatures
FULL = 2  # modalities beyond which there are fewer documents, so that the scores take no more memory


@dataclass(frozen=True)
class View:
    """One division: `test` is audited, `fit` is fitted on; `places` are test's positions among all audited queries.

    `own_documents` are fit's documents that are not searched ones, numbered in `fit`: what class C may see of
    documents. `temperatures` [M] are calibrated on fit; None without judgments, where there is nothing to calibrate
    on; `calibration` says how that went, and `status` is its integer. Views of one corpus share `pooled`, vectors of
    their documents by scale. `repeated` queries of test are among those of fit.
    """

    test: Corpus
    fit: Corpus
    places: np.ndarray
    own_documents: np.ndarray
    temperatures: np.ndarray | None = None
    calibration: str = ""
    status: int = CONVERGED
    pooled: dict[Any, np.ndarray] = field(default_factory=dict, compare=False, repr=False)
    repeated: int = 0

    @property
    def scale(self) -> dict[str, float]:
        """What both sides of each modality are multiplied by, so that one inner product is the calibrated score."""
        if self.temperatures is None:
            return dict.fromkeys(self.test.modalities, 1.0)
        beta = 1 / self.temperatures
        return dict(zip(self.test.modalities, np.sqrt(beta / beta.mean()).tolist(), strict=True))

    @property
    def fitted_here(self) -> bool:
        """Whether a fit query wants a searched document: what is fitted on it knows something of the corpus."""
        relevant = np.asarray(self.fit.relevant)
        return bool(np.any((relevant >= 0) & (relevant < self.test.num_documents)))

    @cached_property
    def test_queries(self) -> np.ndarray:
        """Vectors of the audited queries."""
        return self.vectors(self.test.queries)

    @cached_property
    def fit_queries(self) -> np.ndarray:
        """Vectors of the fit queries."""
        return self.vectors(self.fit.queries)

    @cached_property
    def pooled_documents(self) -> np.ndarray:
        """Vectors of the documents that the fit queries search: the audited ones first."""
        scale = tuple(self.scale.values())
        if scale not in self.pooled:
            self.pooled[scale] = self.vectors(self.fit.documents)
        return self.pooled[scale]

    @property
    def audited_documents(self) -> np.ndarray:
        """Vectors of the audited documents."""
        return self.pooled_documents[: self.test.num_documents]

    def vectors(self, features: Any) -> np.ndarray:
        """Modalities side by side, scaled: [n, sum of D_m], float32 at least."""
        factors = [self.scale[name] for name in features]
        kinds = [np.promote_types(array.dtype, np.float32) for array in features.values()]
        if factors == [1]:
            return np.asarray(next(iter(features.values())), kinds[0])  # itself, where it has that precision
        widths = [array.shape[1] for array in features.values()]
        whole = np.empty((len(next(iter(features.values()))), sum(widths)), np.result_type(*kinds))
        places = np.split(whole, np.cumsum(widths)[:-1], axis=1)
        for array, kind, factor, place in zip(features.values(), kinds, factors, places, strict=True):
            for start, rows in row_blocks(array):
                place[start : start + len(rows)] = rows.astype(kind) * kind.type(factor)
        return whole


def with_judgements(corpus: Corpus) -> Corpus:
    """The corpus itself; without judgments, its uncompressed top document stands for the relevant one."""
    if corpus.relevant is not None:
        return corpus
    return trusted(corpus, relevant=top_document(fuse(corpus.queries), corpus.documents))


def make_views(
    corpus: Corpus, fit: Corpus | None, seed: int, stand_in: Callable[[Corpus], Corpus] = with_judgements
) -> tuple[list[View], str, tuple[str, ...]]:
    """The views, the protocol in words, and warnings; without judgments views of what `stand_in` makes of the corpora.

    With `fit`, one view. Without, half of the queries are fitted on and the other half audited; where that would audit
    fewer than 200, every query is audited by codes fitted on the other folds. The choice of a family and a budget is
    then one for all folds, by floors that are averaged over them, and so has seen the audited queries.
    """
    judged, corpus = corpus.relevant is not None, _numbered(stand_in(corpus))
    everything = np.arange(corpus.num_queries)
    if fit is not None:
        pooled = _judged_alike(pool_documents(corpus, fit), judged, stand_in)
        own, seen = np.arange(corpus.num_documents, pooled.num_documents), queries_in_common(corpus, pooled)
        words = f"fitted on {fit.num_queries} {'' if seen else 'other '}queries, which search among "
        words += f"{pooled.num_documents:,} documents"
        warnings = (*_few(corpus.num_queries, fit.num_queries), *_seen(seen, corpus.num_queries))
        return [View(corpus, pooled, everything, own, repeated=seen)], words, warnings
    require(corpus.num_queries > 1, "the corpus has one query and no corpus to fit on; give --fit, or more queries.")
    none = np.arange(0)
    if corpus.num_queries >= 2 * FEW:
        fitted, audited = split_queries(corpus, seed)
        words = (
            f"a random half of the queries ({fitted.num_queries}, seed {seed}) was fitted on, the other half audited "
            "(both are what rdjax.data.split_queries gives of the corpus and the seed)"
        )
        seen = queries_in_common(audited, fitted)  # none, but where all queries are equal
        view = View(audited, fitted, np.arange(audited.num_queries), none, repeated=seen)
        return [view], words, _seen(seen, audited.num_queries)
    count = min(FOLDS, int(query_kinds(corpus.queries).max()) + 1)
    shared: dict[Any, np.ndarray] = {}
    views = [
        View(corpus.take_queries(inside), corpus.take_queries(outside), inside, none, pooled=shared)
        for outside, inside in folds(corpus, count, seed)
    ]
    words = (
        f"cross-fitted: each of {count} folds of the queries was audited by codes fitted on the others (seed {seed}); "
        "the family and budget are one choice for all folds, which no interval takes into account"
    )
    return views, words, _few(corpus.num_queries, min(view.fit.num_queries for view in views))


def _judged_alike(fit: Corpus, judged: bool, stand_in: Callable[[Corpus], Corpus]) -> Corpus:
    """The corpus to fit on, with judgments of the kind that the audit goes by."""
    if judged:
        words = "the corpus to fit on has no judgments, but the audited one has; give it some, or leave both without."
        require(fit.relevant is not None, words)
        return fit
    return stand_in(trusted(fit, relevant=None, grades=None))


def _seen(count: int, queries: int) -> tuple[str, ...]:
    """A warning where audited queries were fitted on."""
    words = f"{count:,} of the {queries:,} audited queries are among those that codes were fitted on"
    return (f"{words}: what is kept is on the optimistic side.",) if count else ()


def _few(audited: int, fitted: int) -> tuple[str, ...]:
    """Warnings of what so few queries make of intervals, and of choices."""
    are = lambda count: "1 query is" if count == 1 else f"{count} queries are"
    worth = "say nothing" if audited < FEWEST else "are wide"
    wide = f"Only {are(audited)} audited: intervals {worth}."
    missed = f"Only {are(fitted)} fitted on: a budget chosen on so few may miss its target."
    return (*((wide,) if audited < FEW else ()), *((missed,) if fitted < FEW else ()))


def plainly_judged(corpus: Corpus, metric: Metric) -> Corpus:
    """The corpus itself; judgments [Q, J] that name one document a query, whose grade means nothing, become [Q]."""
    relevant = corpus.relevant
    if relevant is None or relevant.ndim == 1 or (relevant >= 0).sum(axis=1).max() > 1:
        return corpus
    if metric.graded and corpus.grades is not None and (corpus.grades[relevant >= 0] != 1).any():
        return corpus
    return trusted(corpus, relevant=relevant.max(axis=1), grades=None)


def _numbered(corpus: Corpus) -> Corpus:
    """The corpus itself; without ids of queries, their rows from 0 stand for them, also in a part of it."""
    if corpus.query_ids is not None:
        return corpus
    return trusted(corpus, query_ids=np.arange(corpus.num_queries).astype(str))


def calibration_scores(view: View, seed: int) -> tuple[Any, np.ndarray]:
    """Scores [M, Q, N] and relevant documents of the fit queries, samples where there are many of either."""
    fit, rng = view.fit, np.random.default_rng(seed)
    chosen = np.sort(rng.permutation(fit.num_queries)[:CALIBRATION_QUERIES])
    wanted = np.asarray(fit.relevant)[chosen]
    needed = np.unique(wanted[wanted >= 0])
    others = np.setdiff1d(np.arange(fit.num_documents), needed)
    most = CALIBRATION_DOCUMENTS * FULL // max(FULL, len(fit.modalities))
    sample = np.sort(np.concatenate([needed, rng.permutation(others)[: max(0, most - len(needed))]]))
    position = np.full(fit.num_documents + 1, -1)
    position[sample] = np.arange(len(sample))  # the last entry serves the padding, -1
    pick = lambda features, rows: {name: np.asarray(array[rows], np.float64) for name, array in features.items()}
    return modality_scores(pick(fit.queries, chosen), pick(fit.documents, sample)), position[wanted]


def calibrated(view: View, seed: int) -> View:
    """The view with temperatures fitted on its fit queries."""
    result = calibrate_temperatures(*calibration_scores(view, seed))
    temperatures = np.asarray(result.temperatures)
    useless = not np.isfinite(temperatures).any()  # no modality helps: rank by the plain sum
    return replace(
        view, temperatures=None if useless else temperatures, calibration=result.message, status=int(result.status)
    )


Progress = Callable[[str, int, int | None], None]
