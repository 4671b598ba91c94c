"""The codes, fitted at several budgets and measured: what can be had."""

from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock
from typing import Any

import numpy as np

from rdjax.audit.budgets import budget_of
from rdjax.audit.families import Maker, Trial
from rdjax.audit.kept import for_features, notes_of
from rdjax.audit.memory import SCORES, Sizes
from rdjax.audit.quality import in_order, values_of
from rdjax.audit.result import FIXED, STREAM, Bits, Point
from rdjax.audit.training import ROWS, Training, sample_rows
from rdjax.audit.view import View
from rdjax.codes import Code, SignBitsRescored
from rdjax.codes.saved import file_bytes
from rdjax.codes.streams import decode_all, encode_all
from rdjax.data import Corpus
from rdjax.data.splits import query_kinds
from rdjax.limits.bound import Bound
from rdjax.retrieval import counts_from_scores
from rdjax.retrieval.intervals import paired_bootstrap
from rdjax.retrieval.metrics import Metric
from rdjax.retrieval.streaming import count_above

PARTS = 5  # of the fit queries: each is judged by codes fitted on the others
LOOK = 3  # times as long as one budget takes to measure, about
SURE = 0.9  # one-sided confidence, on the fit queries, with which a choice must reach the target


def training(
    view: View, code_class: str, seed: int = 0, held_out: np.ndarray | None = None, *, whole: bool = True
) -> Training:
    """What a class may be fitted on: B sees the searched documents, C only other ones; both the fit queries.

    Of more than `ROWS` vectors so many are drawn at random. With `held_out` fit queries the code is made to be judged
    on them: they and their own relevant documents stay out of class C, and what is searched are the pooled documents.
    Unless `whole`, `documents` are those that were drawn, so that a memory map is not copied.
    """
    fit, own, searched = view.fit, view.own_documents, view.test.num_documents
    kept = np.arange(fit.num_queries)
    if held_out is not None:
        kept = np.setdiff1d(kept, held_out)
        own = np.setdiff1d(own, np.asarray(fit.relevant)[held_out])
        searched = fit.num_documents
    known = np.arange(searched) if code_class == "B" else own
    drawn = sample_rows(len(kept) + len(known), seed)
    asked, seen = kept[drawn[drawn < len(kept)]], known[drawn[drawn >= len(kept)] - len(kept)]
    queries, wanted = pairs(view, asked, own if code_class == "C" else None)
    seen = view.vectors({name: array[seen] for name, array in fit.documents.items()})
    documents = view.pooled_documents[:searched] if whole else seen
    blocks = tuple(array.shape[1] for array in fit.queries.values())
    vectors = np.concatenate([view.fit_queries[asked], seen])
    return Training(vectors, documents, seen, queries, wanted, blocks, code_class == "C", searched)


def pairs(view: View, kept: np.ndarray, known: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """Those of the `kept` fit queries that have a relevant document, among the `known` if given, and that document."""
    relevant = np.asarray(view.fit.relevant)[kept]
    relevant = relevant[:, None] if relevant.ndim == 1 else relevant
    usable = relevant >= 0 if known is None else np.isin(relevant, known) & (relevant >= 0)
    found = usable.any(axis=1)
    first = np.take_along_axis(relevant, usable.argmax(axis=1)[:, None], axis=1)[found, 0]
    documents = {name: np.asarray(array[first]) for name, array in view.fit.documents.items()}
    return view.fit_queries[kept[found]], view.vectors(documents)


def fitted_on(view: View, code_class: str) -> str:
    """The same in words."""
    queries, own = view.fit.num_queries, len(view.own_documents)
    if code_class == "A":
        return "nothing; the encoder holds and searches the corpus"
    known = view.test.num_documents if code_class == "B" else own
    documents = {"B": f"the {known:,} searched documents and ", "C": f"{known:,} other documents and " if own else ""}
    sample = f"; a sample of {ROWS:,}" if queries + known > ROWS else ""
    return f"{documents[code_class]}{queries} fit queries{sample}"


def sampled(view: View) -> str:
    """What the protocol says of samples, after what it says of queries; nothing where there are none."""
    most = view.fit.num_queries + max(view.test.num_documents, len(view.own_documents))
    return f"; codes are fitted on at most {ROWS:,} vectors, drawn at random" if most > ROWS else ""


def count_coded(
    code: Code,
    symbols: Any,
    side: str,
    vectors: tuple[np.ndarray, np.ndarray],
    corpus: Corpus,
    scores_at_once: int = SCORES,
) -> Any:
    """Counts above and tied when one side is decoded from symbols; vectors are (queries, documents)."""
    queries, documents = vectors
    if code.inner_products:  # so they stream
        decoded = np.asarray(decode_all(code, symbols))
        pair = (decoded, documents) if side == "queries" else (queries, decoded)
        return count_above(*pair, corpus.relevant)
    relevant, parts = np.asarray(corpus.relevant), []
    block = max(1, scores_at_once // len(documents))
    for start in range(0, len(queries), block):
        rows = slice(start, start + block)
        scores = code.scores(symbols[rows], documents) if side == "queries" else code.scores(symbols, queries[rows]).T
        parts.append(counts_from_scores(scores, relevant[rows]))
    above, tied = zip(*parts, strict=True)
    return np.concatenate(above), np.concatenate(tied)


@dataclass(frozen=True)
class Outcome:
    """One code of one view: bits of the audited items [4] and values at the audited queries."""

    code: Code
    bits: np.ndarray
    values: np.ndarray


@dataclass(frozen=True)
class Look:
    """What choices are made by: the share of today's quality kept on the fit queries, at least, and their bits."""

    kept: float
    bits: float


NOTHING = Look(-np.inf, np.inf)


def cost(trial: Trial) -> int:
    """About how long `Bench.run` takes, in measured budgets: one look of its bisection takes as long as three."""
    return len(trial.makers) + LOOK * len(trial.makers).bit_length()


class Bench:
    """The views, and what codes are fitted on and compared with; training material is made once for each class."""

    def __init__(
        self,
        views: list[View],
        metric: Metric,
        today: tuple[np.ndarray, list[np.ndarray]],
        target: float,
        seed: int,
        sizes: Sizes,
    ):
        self.views, self.metric, self.today, self.target, self.seed = views, metric, today, target, seed
        self.sizes = sizes
        rng = np.random.default_rng(seed)
        self._parts = [_parts(_drawn(query_kinds(view.fit.queries), rng)) for view in views]
        self._material: dict[Any, Training] = {}
        self._lock = Lock()

    def material(self, number: int, code_class: str, part: int | None = None) -> Training:
        """The training of a view and class; with a part, the one that leaves this part of the fit queries out."""
        key = (number, code_class, part)
        with self._lock:  # two families are measured at a time, and each would copy all documents
            if key not in self._material:
                held_out = None if part is None else self._parts[number][part][1]
                self._material[key] = training(self.views[number], code_class, self.seed, held_out)
            return self._material[key]

    def run(self, trial: Trial, advance: Callable[[int], None] = lambda share: None) -> list[Point]:
        """Points of a family, budget by budget, up to the first that cannot be fitted; the choice among them marked.

        `advance` is told what share of `cost` each step was, all of it in the end.
        """
        left = cost(trial)

        def step(share: int) -> None:
            nonlocal left
            left -= share
            advance(share)

        outcomes: list[list[Outcome]] = []
        for make in trial.makers:
            found = self.measure(trial, make)
            if not found:
                break
            outcomes.append(found)
            step(1)
        looked = self._search(trial, len(outcomes), step)
        step(left)
        return [self.point(trial, each, looked.get(i)) for i, each in enumerate(outcomes)]

    def measure(self, trial: Trial, make: Maker) -> list[Outcome]:
        """The code in every view; empty where it cannot be fitted in one."""
        found: list[Outcome] = []
        for number in range(len(self.views)):
            outcome = self._outcome(number, trial, make)
            if outcome is None:
                return []
            found.append(outcome)
        return found

    def _search(self, trial: Trial, count: int, step: Callable[[int], None]) -> dict[int, Look]:
        """What a bisection for the smallest sufficient budget found on the fit queries, by the budgets it looked at."""
        looked: dict[int, Look] = {}
        low, high = 0, count
        while low < high:
            middle = (low + high) // 2
            looked[middle] = self.look(trial, trial.makers[middle])
            step(LOOK)
            low, high = (low, middle) if looked[middle].kept >= self.target else (middle + 1, high)
        return looked

    def _outcome(self, number: int, trial: Trial, make: Maker) -> Outcome | None:
        view, stuff = self.views[number], self.material(number, trial.code_class)
        code = make(stuff)
        if code is None:
            return None
        coded = view.test_queries if trial.side == "queries" else stuff.documents
        symbols = encode_all(code, coded)
        counts = count_coded(
            code, symbols, trial.side, (view.test_queries, stuff.documents), view.test, self.sizes.scores
        )
        rate = code.rate(symbols)
        share = len(coded) / len(self.today[0]) if trial.side == "queries" else 1.0
        packed = rate.payload + rate.header * share  # queries are sent in one batch, also where folds code them
        touched = code.bits_touched(len(coded)) if isinstance(code, SignBitsRescored) else packed
        bits = np.array([rate.entropy, packed, rate.single, touched])
        return Outcome(code, bits, values_of(self.metric, counts, view.test))

    def look(self, trial: Trial, make: Maker) -> Look:
        """Share of today's quality that is kept on fit queries, at least, each part coded by what the others fitted."""
        floors, bits = [], []
        for number, view in enumerate(self.views):
            values, spent = np.empty(view.fit.num_queries), 0.0
            for part, (held_out, _) in enumerate(self._parts[number]):
                stuff = self.material(number, trial.code_class, part)
                code = make(stuff) if len(stuff.vectors) > 1 else None
                if code is None:
                    return NOTHING
                corpus, queries = view.fit.take_queries(held_out), view.fit_queries[held_out]
                symbols = encode_all(code, queries if trial.side == "queries" else stuff.documents)
                counts = count_coded(code, symbols, trial.side, (queries, stuff.documents), corpus, self.sizes.scores)
                values[held_out] = values_of(self.metric, counts, corpus)
                spent += code.rate(symbols).payload * len(held_out)  # a batch of so few is mostly header
            if self.today[1][number].mean() <= 0:
                return NOTHING  # nothing on these queries that could be kept
            interval = paired_bootstrap(values, self.today[1][number], seed=self.seed, level=SURE)
            floors.append(float(interval.ratio_floor))
            bits.append(spent / view.fit.num_queries)
        return Look(float(np.mean(floors)), float(np.mean(bits)))

    def point(self, trial: Trial, outcomes: list[Outcome], look: Look | None) -> Point:
        """What an audit says of a code, None where the fit queries were not asked."""
        baseline, code = self.today[0], outcomes[0].code
        values = in_order(self.views, [outcome.values for outcome in outcomes])
        on_test = paired_bootstrap(values, baseline, seed=self.seed)
        entropy, packed, single, touched = np.average([outcome.bits for outcome in outcomes], axis=0)
        measured = lambda x: Bound.value(float(x), "measured")
        view, fitted = self.views[0], fitted_on(self.views[0], trial.code_class)
        features = view.test.documents if trial.side == "documents" else view.test.queries
        notes = notes_of(trial.side, trial.family, trial.code_class, fitted, features)
        written = for_features(code, view.scale, features)
        sure = f"{SURE:.0%} one-sided bootstrap over fit queries that the code was not fitted on"
        sure += f"; the mean of {len(self.views)} such floors, one for each fold" if len(self.views) > 1 else ""
        unseen = "not looked at: the search for the smallest sufficient budget went elsewhere"
        words, look = (sure, look) if look else (unseen, NOTHING)
        of_fit = measured(look.bits) if look.bits < np.inf else Bound.at_least(-np.inf, "measured", unseen)
        return Point(
            code=code.name,
            family=trial.family,
            kind=STREAM if code.bits is None else FIXED,
            budget=budget_of(code),
            side=trial.side,
            code_class=trial.code_class,
            fitted_on=fitted,
            bits=Bits(measured(entropy), measured(packed), measured(single), measured(touched)),
            encoder_bytes=written.encoder_bytes,
            stored_bytes=file_bytes(written, notes),
            chosen_by=Bound.at_least(look.kept, "estimate", words),
            chosen_bits=measured(packed) if trial.side == "documents" else of_fit,
            value=measured(values.mean()),
            interval=_interval(on_test.mean),
            kept=measured(values.mean() / baseline.mean()),
            kept_interval=_interval(on_test.ratio),
        )


def _drawn(kinds: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The queries [Q] in a random order, those of one kind one after the other."""
    place = np.argsort(rng.permutation(kinds.max() + 1))
    return np.argsort(place[kinds], kind="stable")


def _parts(order: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """For each part of the queries (those judged, those left out: as many in every part, to share programs)."""
    parts = np.array_split(order, min(PARTS, len(order)))
    starts = np.cumsum([0, *map(len, parts)])
    return [(part, np.roll(order, -start)[: len(parts[0])]) for part, start in zip(parts, starts, strict=False)]


def _interval(ends: np.ndarray) -> Bound:
    return Bound(float(ends[0]), float(ends[1]), "estimate", ("95% paired bootstrap over queries",))
