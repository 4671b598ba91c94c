"""What a code is worth on a corpus and what it costs: ours, chosen on the fit split, and the peers, kept on disk."""

import argparse
import hashlib
import json
import math
import pathlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import code_learned
import code_peers
import code_recipes
import faiss
import numpy as np
from code_corpora import Case, Material
from code_recipes import Recipe

from rdjax.audit.frontier import count_coded
from rdjax.audit.quality import values_of
from rdjax.codes import Code, EntropyCoded
from rdjax.data import Corpus
from rdjax.retrieval import counts_from_scores
from rdjax.retrieval.metrics import parse_metric
from rdjax.retrieval.streaming import count_above

PARTS = 4  # of the fit queries that choices are made on
FIRST = 2  # of these, those that every recipe is judged on; after each further one the better half goes on,
FINALISTS = 3  # at least so many
STARTS = 2  # recipes that are trained, and compared with the best of the others
METRIC = parse_metric("mrr")
TOO_MANY = 20_000  # documents above which only codes whose scores are inner products are ranked
VERSION = "2"  # of the peers: change it where a change of code_peers.py changes their results


@dataclass(frozen=True)
class Outcome:
    """A code's figures on one corpus and side: `values` [Q] is MRR query by query."""

    name: str
    bits: float
    claimed: float
    encoder_bytes: int
    values: np.ndarray = field(repr=False)
    fit: tuple[float, float] = (math.nan, math.nan)
    encode: tuple[float, float] = (math.nan, math.nan)

    @property
    def mean(self) -> float:
        """MRR."""
        return float(self.values.mean())

    def row(self) -> dict:
        """For JSON."""
        return {
            "name": self.name,
            "mrr": self.mean,
            "bits": self.bits,
            "claimed": self.claimed,
            "encoder_bytes": self.encoder_bytes,
            "fit": self.fit,
            "encode": self.encode,
        }


def measured(call: Callable[[], Any]) -> tuple[Any, tuple[float, float]]:
    """The result, seconds, and the peak of resident memory meanwhile above that before, in MB (where Linux says)."""
    before = _resident("VmRSS") if _reset_peak() else math.nan
    start = time.perf_counter()
    result = call()
    seconds = time.perf_counter() - start
    return result, (seconds, max(0.0, _resident("VmHWM") - before))


def _reset_peak() -> bool:
    try:
        pathlib.Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return False
    return True


def _resident(key: str) -> float:
    try:
        lines = pathlib.Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return math.nan
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(key))


def values(counts: tuple[Any, Any], corpus: Any) -> np.ndarray:
    """MRR query by query, ties in expectation."""
    return values_of(METRIC, counts, corpus)


def of_scores(scores: np.ndarray, corpus: Any) -> np.ndarray:
    """The same from scores [Q, N]."""
    return values(counts_from_scores(scores, np.asarray(corpus.relevant)), corpus)


# Ours


def our_outcome(case: Case, name: str, side: str, code: Code, fit: tuple[float, float]) -> Outcome:
    """The test figures of a fitted code, its payload measured and read back bit for bit."""
    coded = case.queries if side == "queries" else case.documents
    np.asarray(code.encode(coded))
    symbols, encode = measured(lambda: np.asarray(code.encode(coded)))
    assert np.array_equal(np.asarray(code.from_bytes(code.to_bytes(symbols))), symbols), (
        f"{name}: bytes read back differ"
    )
    counts = count_coded(code, symbols, side, (case.queries, case.documents), case.view.test)
    return Outcome(
        name,
        payload_bits(code, symbols),
        code.rate(symbols).entropy,
        code.encoder_bytes,
        values(counts, case.view.test),
        fit,
        (1e6 * encode[0] / len(coded), encode[1]),
    )


def payload_bits(code: Code, symbols: np.ndarray) -> float:
    """Bits per item really written for the batch, header and checksum aside."""
    return 8 * len(code.pack(symbols)) / len(symbols)


@dataclass(frozen=True)
class Cell:
    """One place of the table: what is coded, in which class, at how many bits."""

    case: Case
    side: str
    code_class: str
    bits: float

    @property
    def coded(self) -> np.ndarray:
        """Test queries or searched documents."""
        return self.case.queries if self.side == "queries" else self.case.documents

    def fitted(self, name: str, recipe: Recipe, material: Material, coded: np.ndarray) -> Code | None:
        """The recipe's code whose items take the budget: where lengths vary the nominal one is moved until they do.

        It starts where it ended for the last material. None where there is none, or where documents that are searched
        would take less memory than their encoder does.
        """
        bits, best = self.bits, None
        nominal = self.case.nominal.get((name, self.side, self.code_class, bits), float(bits))
        for _ in range(5):
            code = recipe(material, self.side, self.code_class, nominal)
            if code is None or (self._corpus_coded and code.encoder_bytes > 4 * self.case.documents.size):
                return None
            if code.bits is not None:
                return code
            spent = payload_bits(code, np.asarray(code.encode(coded)))
            if spent <= bits * 1.002 and (best is None or spent > best[0]):
                best = (spent, code)
                self.case.nominal[name, self.side, self.code_class, bits] = nominal
            if 0.985 * bits <= spent <= bits * 1.002:
                break
            nominal *= bits * 0.995 / spent
        return best[1] if best else None

    @property
    def _corpus_coded(self) -> bool:
        return (self.side, self.code_class) == ("documents", "B")

    def on_fit_split(self, name: str, recipe: Recipe, part: int) -> np.ndarray:
        """MRR of a part of the fit queries, coded by what was fitted without it; -inf where it cannot be fitted.

        One for each document that is wanted, however often: those that are wanted often on test are others.
        """
        case, held_out = self.case, self.case.parts[part]
        material, queries = case.material(self.code_class, part), case.view.fit_queries[held_out]
        coded = queries if self.side == "queries" else material.searched
        code = self.fitted(name, recipe, material, coded)
        if code is None:
            return np.full(1, -math.inf)
        asked = case.view.fit.take_queries(held_out)
        documents = {name: array[material.places] for name, array in asked.documents.items()}
        corpus = Corpus(documents, asked.queries, np.searchsorted(material.places, asked.relevant))
        counts = count_coded(code, code.encode(coded), self.side, (queries, material.searched), corpus)
        _, place = np.unique(corpus.relevant, return_inverse=True)
        return np.bincount(place, values(counts, corpus)) / np.bincount(place)


@dataclass(frozen=True)
class Choice:
    """A recipe, and what it was worth on the parts of the fit queries it was judged on, document by document."""

    name: str
    recipe: Recipe
    worth: tuple[np.ndarray, ...]

    @property
    def mean(self) -> float:
        """Over all that it was judged on."""
        return float(np.concatenate(self.worth).mean())

    def better(self, other: "Choice", errors: float = 0.0) -> bool:
        """On the parts that both were judged on, by more than so many standard errors of the mean difference."""
        apart = np.concatenate([mine - theirs for mine, theirs in zip(self.worth, other.worth, strict=False)])
        return float(apart.mean()) > errors * float(apart.std(ddof=1)) / math.sqrt(len(apart))


def ranking(cell: Cell, table: dict[str, Recipe]) -> list[Choice]:
    """Recipes, best first, by cross-validation with successive halving (Jamieson and Talwalkar 2016)."""
    parts = min(PARTS, len(cell.case.parts))
    found = {name: (cell.on_fit_split(name, recipe, 0),) for name, recipe in table.items()}
    names = [name for name in table if found[name][0][0] > -math.inf]
    for name in names if len(names) > 1 else ():
        found[name] += tuple(cell.on_fit_split(name, table[name], part) for part in range(1, min(FIRST, parts)))
    ranked = lambda some: sorted(some, key=lambda name: Choice(name, table[name], found[name]).mean, reverse=True)
    rest: list[str] = []
    for part in range(FIRST, parts) if len(names) > 1 else ():
        names = ranked(names)
        going = max(FINALISTS, -(-len(names) // 2))
        names, rest = names[:going], names[going:] + rest
        for name in names:
            found[name] += (cell.on_fit_split(name, table[name], part),)
    return [Choice(name, table[name], found[name]) for name in ranked(names) + rest]


def choice(cell: Cell, ranked: list[Choice]) -> Choice | None:
    """The best recipe; or one of the best that can be learned, trained, if that is better on all parts.

    By more than one standard error: training has much more freedom than a recipe, and a few hundred queries are all
    that choose (the rule of Breiman et al. 1984, section 3.4.3).
    """
    plain = best = ranked[0] if ranked else None
    for start in learnable(ranked)[:STARTS]:
        name, recipe = f"{start.name}, learned", code_learned.trained(start.recipe)
        parts = range(min(PARTS, len(cell.case.parts)))
        taught = Choice(name, recipe, tuple(cell.on_fit_split(name, recipe, part) for part in parts))
        if plain is None or (taught.better(plain, errors=1.0) and taught.better(best)):
            best = taught
    return best


def learnable(ranked: list[Choice]) -> list[Choice]:
    """Those that training can go on from, best first."""
    return [each for each in ranked if each.name in code_recipes.LEARNABLE]


def made(cell: Cell, chosen: Choice) -> tuple[Code, tuple[float, float]] | None:
    """The code fitted on everything its class may see, and what that took from nothing."""
    material = cell.case.material(cell.code_class)
    before = material.saved
    code, (seconds, memory) = measured(lambda: cell.fitted(chosen.name, chosen.recipe, material, cell.coded))
    return None if code is None else (code, (seconds + material.saved - before, memory))


def ours(cell: Cell, ranked: list[Choice]) -> Iterator[tuple[str, Outcome | None]]:
    """("fixed" or "mean", the recipe that is best on the fit split, on test); `ranked` are those of fixed length.

    Of mean length are the tables' own recipes, and the best of fixed length with its symbols entropy-coded.
    """
    fixed, mean = choice(cell, ranked), choice(cell, ranking(cell, code_recipes.MEAN))
    code = made(cell, fixed) if fixed else None
    yield "fixed", our_outcome(cell.case, fixed.name, cell.side, *code) if fixed and code else None
    if fixed and code and not (mean and mean.better(fixed)):
        seen = np.asarray(code[0].encode(code_recipes.examples(cell.case.material(cell.code_class), cell.side)))
        shorter = EntropyCoded.fit(code[0], seen)
        yield "mean", our_outcome(cell.case, f"{fixed.name}, entropy-coded", cell.side, shorter, code[1])
        return
    code = made(cell, mean) if mean else None
    yield "mean", our_outcome(cell.case, mean.name, cell.side, *code) if mean and code else None


def of_recipe(cell: Cell, name: str, recipe: Recipe) -> Outcome | None:
    """One recipe, whatever it is worth."""
    code = made(cell, Choice(name, recipe, ()))
    return our_outcome(cell.case, name, cell.side, *code) if code else None


# Peers


class Cache:
    """Peers' outcomes on disk, by everything they depend on; without a folder nothing is kept."""

    def __init__(self, folder: str | None):
        self.folder = pathlib.Path(folder) if folder else None
        if self.folder:
            self.folder.mkdir(parents=True, exist_ok=True)

    def get(self, key: str, make: Callable[[], list[Outcome]]) -> list[Outcome]:
        """Outcomes under a key, made if they are not there."""
        if self.folder is None:
            return make()
        path = self.folder / (hashlib.sha256(f"{VERSION} {faiss.__version__} {key}".encode()).hexdigest()[:32] + ".npz")
        if not path.exists():
            made = make()
            notes = json.dumps([outcome.row() for outcome in made])
            beside = path.with_suffix(".tmp.npz")
            np.savez(beside, notes=notes, **{f"values{i}": outcome.values for i, outcome in enumerate(made)})
            beside.replace(path)
        with np.load(path) as stored:
            notes = json.loads(str(stored["notes"]))
            return [
                Outcome(
                    n["name"],
                    n["bits"],
                    n["claimed"],
                    n["encoder_bytes"],
                    stored[f"values{i}"],
                    tuple(n["fit"]),
                    tuple(n["encode"]),
                )
                for i, n in enumerate(notes)
            ]


def peer_outcomes(
    case: Case, code_class: str, bits: int, options: argparse.Namespace
) -> dict[tuple[str, str], list[Outcome]]:
    """{(side, "fixed" or "mean"): outcomes} of every peer at a budget; one fit serves both sides."""
    material, cache = case.material(code_class), Cache(options.cache)
    digest = hashlib.sha256(material.vectors.tobytes()).hexdigest()
    result: dict = {(side, kind): [] for side in ("queries", "documents") for kind in ("fixed", "mean")}
    listed = list(code_peers.peers(bits, material.vectors.shape[1], options.quick))
    for peer in listed:
        if code_class not in peer.classes:
            continue
        found = cache.get(
            f"{case.name} {case.seed} {digest} {peer.name} {bits} by both",
            lambda peer=peer: _evaluate(case, peer, material.vectors, by_distance=True),
        )
        _share(result, found)
    for side in ("queries", "documents"):
        for label, chart, vectors in code_recipes.supervised(material, side):
            of_map = hashlib.sha256(np.asarray(chart.basis).tobytes() + vectors.tobytes()).hexdigest()
            for peer in code_peers.behind_map(label, chart, vectors, bits, side, options.quick):
                key = f"{case.name} {case.seed} {digest} {of_map} {peer.name} {bits} {side} {len(vectors)}"
                _share(result, cache.get(key, lambda peer=peer: _evaluate(case, peer, material.vectors)))
    return result


def _share(result: dict, found: list[Outcome]) -> None:
    for outcome in found:
        side, kind, name = outcome.name.split("|")
        result[side, kind].append(Outcome(name, *list(vars(outcome).values())[1:]))


def _evaluate(case: Case, peer: code_peers.Peer, vectors: np.ndarray, by_distance: bool = False) -> list[Outcome]:
    """Outcomes of one peer, fitted once: both sides, and the mean-length version where there is one.

    Documents of one length rank alike by products and by distances as they are, but not decoded: `by_distance` adds
    the latter, which faiss' indexes do unasked. Behind a map of ours distances mean nothing.
    """
    code, fit = measured(lambda: peer.fit(vectors))
    if code is None or (code.scores is not None and len(case.documents) > TOO_MANY):
        return []
    found = []
    length = np.linalg.norm(case.documents, axis=1)
    by_distance = by_distance and code.scores is None and float(np.ptp(length)) < 1e-3 * float(length.mean())
    for side in peer.sides:
        coded, other = (case.queries, case.documents) if side == "queries" else (case.documents, case.queries)
        codes, encode = measured(lambda coded=coded: code.encode(coded))
        if code.scores is not None:
            scores = code.scores(codes, other)
            merit = of_scores(scores if side == "queries" else scores.T, case.view.test)
        else:
            decoded = np.ascontiguousarray(code.decode(codes), np.float32)
            pair = (decoded, other) if side == "queries" else (other, decoded)
            merit = values(count_above(*pair, case.view.test.relevant), case.view.test)
        merits = {"": merit}
        if by_distance and side == "documents":
            merits[", by distance"] = _by_distance(case, decoded)
        times = (fit, (1e6 * encode[0] / len(coded), encode[1]))
        mean = code_peers.entropy_coded_bits(code, vectors, coded)
        for how, merit in merits.items():
            name, size = f"{peer.name}{how}", code.encoder_bytes
            found.append(Outcome(f"{side}|fixed|{name}", code.bits, 8 * code.stored, size, merit, *times))
            if mean is not None:
                found.append(Outcome(f"{side}|mean|{name}, entropy-coded", mean, mean, size, merit, *times))
    return found


def _by_distance(case: Case, decoded: np.ndarray) -> np.ndarray:
    """MRR query by query, documents nearest first: <q, c> - |c|^2 / 2, as products with one more coordinate."""
    lengths = (np.asarray(decoded, np.float64) ** 2).sum(axis=1, keepdims=True)
    queries = np.concatenate([case.queries, np.ones((len(case.queries), 1), np.float32)], axis=1)
    return values(
        count_above(
            queries, np.concatenate([decoded, -lengths / 2], axis=1).astype(np.float32), case.view.test.relevant
        ),
        case.view.test,
    )
