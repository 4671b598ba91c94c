"""What a code is worth on a corpus and what it costs: ours, chosen on the fit split, and the peers, kept on disk."""

import argparse
import hashlib
import json
import math
import pathlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import code_peers
import code_recipes
import faiss
import numpy as np
from code_corpora import Case, Material

from rdjax.audit.frontier import count_coded
from rdjax.audit.quality import values_of
from rdjax.codes import Code
from rdjax.retrieval import counts_from_scores
from rdjax.retrieval.metrics import parse_metric
from rdjax.retrieval.streaming import count_above

METRIC = parse_metric("mrr")
TOO_MANY = 20_000  # documents above which only codes whose scores are inner products are ranked
VERSION = "1"  # of the peers: change it where a change of code_peers.py changes their results


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


def fitted(recipe: code_recipes.Recipe, material: Material, side: str, bits: float, coded: np.ndarray) -> Code | None:
    """The recipe's code whose items take `bits`: where lengths vary the nominal budget is moved until they do."""
    nominal, best = float(bits), None
    for _ in range(5):
        code = recipe(material, side, material.code_class, nominal)
        if code is None or code.bits is not None:
            return code
        spent = payload_bits(code, np.asarray(code.encode(coded)))
        if spent <= bits * 1.002 and (best is None or spent > best[0]):
            best = (spent, code)
        if 0.99 * bits <= spent <= bits * 1.002:
            break
        nominal *= bits * 0.997 / spent
    return best[1] if best else None


def on_fit_split(case: Case, recipe: code_recipes.Recipe, side: str, code_class: str, bits: float, part: int) -> float:
    """Mean MRR of a part of the fit queries, coded by what was fitted without it; -inf where it cannot be fitted."""
    material, held_out = case.material(code_class, part), case.parts[part]
    queries = case.view.fit_queries[held_out]
    coded = queries if side == "queries" else material.searched
    code = fitted(recipe, material, side, bits, coded)
    if code is None:
        return -math.inf
    corpus = case.view.fit.take_queries(held_out)
    counts = count_coded(code, code.encode(coded), side, (queries, material.searched), corpus)
    return float(values(counts, corpus).mean())


def ranking(case: Case, table: dict[str, code_recipes.Recipe], side: str, code_class: str, bits: float) -> list[str]:
    """Recipes, best first, by cross-validation: all on the first part, the best three of those on two others."""
    names, worth = list(table), dict.fromkeys(table, 0.0)
    for part in range(min(3, len(case.parts)) if len(names) > 1 else 0):
        if part == 1:
            names = sorted(names, key=worth.__getitem__, reverse=True)[:3]
        for name in names:
            worth[name] += on_fit_split(case, table[name], side, code_class, bits, part)
    return [name for name in sorted(names, key=worth.__getitem__, reverse=True) if worth[name] > -math.inf]


def ours(case: Case, table: dict[str, code_recipes.Recipe], side: str, code_class: str, bits: float) -> Outcome | None:
    """The recipe that is best on the fit split, on test."""
    coded = case.queries if side == "queries" else case.documents
    for name in ranking(case, table, side, code_class, bits):
        fresh = replace(case.material(code_class))  # nothing fitted yet: the time is that of everything the code needs
        code, fit = measured(lambda name=name, fresh=fresh: fitted(table[name], fresh, side, bits, coded))
        if code is not None:
            return our_outcome(case, name, side, code, fit)
    return None


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
            np.savez(path, notes=notes, **{f"values{i}": outcome.values for i, outcome in enumerate(made)})
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
            f"{case.name} {case.seed} {digest} {peer.name} {bits}",
            lambda peer=peer: _evaluate(case, peer, material.vectors),
        )
        _share(result, found)
    for side in ("queries", "documents"):
        for label, chart, vectors in code_recipes.supervised(material, side):
            of_map = hashlib.sha256(np.asarray(chart.basis).tobytes() + vectors.tobytes()).hexdigest()
            for peer in code_peers.behind_map(label, chart, vectors, bits, side, options.quick):
                key = f"{case.name} {case.seed} {digest} {of_map} {peer.name} {bits} {side}"
                _share(result, cache.get(key, lambda peer=peer: _evaluate(case, peer, material.vectors)))
    return result


def _share(result: dict, found: list[Outcome]) -> None:
    for outcome in found:
        side, kind, name = outcome.name.split("|")
        result[side, kind].append(Outcome(name, *list(vars(outcome).values())[1:]))


def _evaluate(case: Case, peer: code_peers.Peer, vectors: np.ndarray) -> list[Outcome]:
    """Outcomes of one peer, fitted once: both sides, and the mean-length version where there is one."""
    code, fit = measured(lambda: peer.fit(vectors))
    if code is None or (code.scores is not None and len(case.documents) > TOO_MANY):
        return []
    found = []
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
        times = (fit, (1e6 * encode[0] / len(coded), encode[1]))
        found.append(
            Outcome(f"{side}|fixed|{peer.name}", code.bits, 8 * code.stored, code.encoder_bytes, merit, *times)
        )
        mean = code_peers.entropy_coded_bits(code, vectors, coded)
        if mean is not None:
            found.append(
                Outcome(f"{side}|mean|{peer.name}, entropy-coded", mean, mean, code.encoder_bytes, merit, *times)
            )
    return found
