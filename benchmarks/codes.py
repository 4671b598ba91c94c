"""Codes beside their peers at equal true bits: MRR, paired intervals, encoder memory, seconds, megabytes.

    python benchmarks/codes.py [--only T1 T2 T3 T4 mixture skewed large gaussian speed] [--side queries documents]
                               [--classes A B C] [--budgets 16 32 64 128 256] [--quick] [--cache DIR] [--out FILE]

Peers: pip install '.[bench]'. `--quick` leaves out the peers that are slow to fit, `--cache` keeps the peers' results
between runs, which do not change while ours do; `--out` writes every row as JSON, and goes on where a run ended: what is
known so far is in results/codes/rows.json, from runs on one thread. Class A goes by `--searched-budgets`.

Where things are: code_corpora.py the corpora and what may be fitted on; code_recipes.py and code_learned.py ours;
code_peers.py and code_class_a.py theirs; code_measure.py what is measured and how ours are chosen; code_gaussian.py the
mixture beside Theorem D; code_speed.py a million documents.
"""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import argparse
import json
import math
import pathlib
import platform
import statistics
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import code_class_a
import code_gaussian
import code_recipes
import code_speed
import faiss
import jax
import numpy as np
from code_corpora import NAMES, Case
from code_measure import TOO_MANY, Cell, Outcome, learnable, of_recipe, of_scores, ours, peer_outcomes, ranking, values
from rows import as_text, record

from rdjax.limits import one_shot_distortion
from rdjax.retrieval.intervals import paired_bootstrap
from rdjax.retrieval.streaming import count_above

PROTOCOL = """Protocol. Fitted on documents of the searched corpus (class B) or other documents (class C) and fit queries; never on
test queries; behind a supervised map ours and the peers' see the same simulated queries or, for documents of class C,
documents drawn like those they may see. Choices among our recipes: cross-validation on the fit queries. Among the peers the best is taken with
hindsight on the test queries, at every row: it favors the peers. Vectors of ours and theirs are the same: modalities
calibrated on the fit queries. Documents are ranked by inner products with what is decoded: ours get their lengths back first
(they are stretched), peers that are behind no map of ours stand there by distances too, as all documents have one length. MRR with expected ties. Intervals: 95% paired bootstrap of ours - peer over the documents that test queries want, each with
all its queries, which share its luck.
Bits are true: of a fixed-length code what every item takes; of a mean-length code the payload's bytes for all items, with
the step matched to the budget by that size (never by quality); a peer stands there with its code of the budget, as it is and
entropy-coded. No mean-length code is ranked among the fixed ones. A row without a code of ours is counted. "peer" is the best
whose encoder is no larger than ours, "any" the best of any encoder. Seconds on one thread for faiss, as many as it is given for rdjax;
ours with what recipes share (components, maps, simulated queries) and (mean length) matching the step; a map that faiss is put behind is not counted;
encode: microseconds an item, ours compiled; cached peers keep the seconds of the run that made them; MB: peak of the process while it happens, above what it held before."""
BUDGETS = (16, 32, 64, 128, 256)
LIBRARIES = ("faiss", "bitbudget", "remex")  # each by its best of any encoder, in the rows that are handed on
WITHIN = 1.002  # of a budget: what a code of mean length may take on queries that it was not fitted to
SEARCHED_BUDGETS = (4, 5, 6, 7, 8, 9, 10, 11, 12, 13)


@dataclass(frozen=True)
class Row:
    """One comparison."""

    corpus: str
    kind: str
    side: str
    code_class: str
    budget: float
    ours: Outcome | None
    peer: Outcome | None
    any_peer: Outcome | None
    reference: tuple[str, float]
    interval: tuple[float, float]
    libraries: dict[str, float] = field(default_factory=dict)  # MRR of the best of each, whatever its encoder
    untrained: list[str] = field(default_factory=list)  # the best of fixed length, and the best that can be trained

    @property
    def verdict(self) -> str:
        """By the paired interval of ours - peer; "over" where the audited took more bits than the budget."""
        if self.ours is None:
            return "no code"
        if self.peer is None:
            return "no peer"
        if self.ours.bits > self.budget * WITHIN:  # which no peer is allowed
            return "over"
        return "above" if self.interval[0] > 0 else "below" if self.interval[1] < 0 else "not below"

    @property
    def difference(self) -> float:
        """Ours - peer, MRR."""
        return self.ours.mean - self.peer.mean if self.ours and self.peer else math.nan

    def entry(self) -> dict:
        """For JSON."""
        keys = (
            "corpus",
            "kind",
            "side",
            "code_class",
            "budget",
            "difference",
            "interval",
            "verdict",
            "reference",
            "libraries",
            "untrained",
        )
        outcomes = {"ours": self.ours, "peer": self.peer, "any_peer": self.any_peer}
        return {key: getattr(self, key) for key in keys} | {k: o and o.row() for k, o in outcomes.items()}


def compare(
    where: tuple[str, str, str, str],
    budget: float,
    mine: Outcome | None,
    found: list[Outcome],
    reference: tuple[str, float],
    wanted: np.ndarray,
) -> Iterator[Row]:
    """Ours beside the best peer with no larger an encoder, and the best of all; peers within the budget only."""
    able = [outcome for outcome in found if outcome.bits <= budget * WITHIN]
    best = lambda some: max(some, key=lambda outcome: outcome.mean, default=None)
    if mine is None:
        yield Row(*where, budget, None, best(able), best(able), reference, (math.nan, math.nan))
        return
    small = best([outcome for outcome in able if outcome.encoder_bytes <= mine.encoder_bytes])
    of = {library: best([outcome for outcome in able if library in outcome.name]) for library in LIBRARIES}
    libraries = {library: other.mean for library, other in of.items() if other is not None}
    interval = (math.nan, math.nan) if small is None else apart(mine.values - small.values, wanted)
    yield Row(*where, budget, mine, small, best(able), reference, interval, libraries)


def hand_on(entry: dict) -> None:
    """Ours beside the best of every library; of rows that were stored before they kept those, beside the best of all."""
    mine, other = entry["ours"], entry["any_peer"]
    if mine is None:
        return
    name = ", ".join((*(entry[key] for key in ("corpus", "kind", "side", "code_class")), f"{entry['budget']:g} bits"))
    best = {} if other is None else {other["name"]: other["mrr"]}
    for peer, mean in (entry.get("libraries") or best).items():
        record(name, 1 - mine["mrr"], 1 - mean, peer, "1 - MRR")


def apart(differences: np.ndarray, wanted: np.ndarray) -> tuple[float, float]:
    """95% interval of the mean difference: documents are drawn, each with all queries that want it."""
    _, place = np.unique(wanted, return_inverse=True)
    low, high = paired_bootstrap(np.bincount(place, differences), np.bincount(place)).ratio
    return float(low), float(high)


HEAD = (
    f"{'corpus':8}{'kind':6}{'side':10}{'cl':3}{'bits':>5} | {'ours':34}{'MRR':>6}{'paid':>8}{'said':>8}{'enc kB':>8}{'fit s':>7}{'MB':>6}"
    f"{'us':>7}{'MB':>5} | {'peer':34}{'MRR':>6}{'enc kB':>8}{'fit s':>7}{'MB':>6}{'us':>7}{'MB':>5} | {'ours - peer, 95%':24}{'':10} | any | reference"
)


def show(row: Row) -> None:
    """One line."""
    mine, peer, other = row.ours, row.peer, row.any_peer
    if mine is None:
        known = "no peer either" if peer is None else f"best peer {peer.mean:.3f} {peer.name}"
        place = f"{row.corpus:8}{row.kind:6}{row.side:10}{row.code_class:3}{row.budget:5g}"
        print(f"{place} | no code of ours; {known} | {row.reference[0]} {_decimal(row.reference[1])}", flush=True)
        return
    line = f"{row.corpus:8}{row.kind:6}{row.side:10}{row.code_class:3}{row.budget:5g} | {mine.name[:33]:34}{_decimal(mine.mean)}"
    line += f"{mine.bits:8.2f}{mine.claimed:8.2f}{_costs(mine)} | "
    line += f"{'none' if peer is None else peer.name[:33]:34}" + (
        " " * 39 if peer is None else _decimal(peer.mean) + _costs(peer)
    )
    line += f" | {row.difference:+.3f} [{row.interval[0]:+.3f}, {row.interval[1]:+.3f}]  {row.verdict:10}"
    line += " | -" if other is None else f" | {_decimal(other.mean)} {other.name}"
    print(f"{line} | {row.reference[0]} {_decimal(row.reference[1])}", flush=True)


def _costs(outcome: Outcome) -> str:
    (fit, fit_mb), (encode, encode_mb) = outcome.fit, outcome.encode
    return f"{outcome.encoder_bytes / 1024:8.1f}{fit:7.2f}{fit_mb:6.0f}{encode:7.1f}{encode_mb:5.0f}"


def _decimal(value: float) -> str:
    return f"{value:6.3f}"


Done = set[tuple[str, str, str, float]]  # corpus, side, class, budget


def rows(case: Case, options: argparse.Namespace, done: Done) -> Iterator[Row]:
    """Every row of a corpus that is not done."""
    if "A" in options.classes and "queries" in options.side and len(case.documents) <= TOO_MANY:
        yield from searched_rows(case, options, done)
    for code_class in [c for c in options.classes if c != "A"]:
        for bits in options.budgets:
            sides = [side for side in options.side if (case.name, side, code_class, bits) not in done]
            found = peer_outcomes(case, code_class, bits, options) if sides else {}
            for side in sides:
                channel = code_gaussian.channel(
                    case.material(code_class).vectors, case.queries if side == "queries" else case.documents, bits
                )
                pair = (channel, case.documents) if side == "queries" else (case.queries, channel)
                reference = (
                    "Gaussian channel",
                    values(count_above(*pair, case.view.test.relevant), case.view.test).mean(),
                )
                cell = Cell(case, side, code_class, bits)
                ranked = ranking(cell, code_recipes.FIXED)
                untrained = [each.name for each in (*ranked[:1], *learnable(ranked)[:1])]
                for kind, mine in ours(cell, ranked):
                    others = found[side, "fixed"] + (found[side, "mean"] if kind == "mean" else [])
                    for name, recipe in code_recipes.USUAL_MEAN.items() if kind == "mean" else ():
                        usual = of_recipe(cell, name, recipe)
                        if usual is not None and (mine is None or usual.name != mine.name):
                            others.append(usual)
                    where = (case.name, kind, side, code_class)
                    yield from (
                        replace(row, untrained=untrained)
                        for row in compare(where, bits, mine, others, reference, case.view.test.relevant)
                    )
            case.forget()
            jax.clear_caches()  # a process may map 65,530 pieces of memory, and every compiled program takes some


def searched_rows(case: Case, options: argparse.Namespace, done: Done) -> Iterator[Row]:
    """Class A, beside Theorem C; the recipe is chosen at the largest budget, for all."""
    size = 4 * case.documents.size
    chosen = ranking(Cell(case, "queries", "A", max(options.searched_budgets)), code_recipes.RANK)[0]
    for bits in options.searched_budgets:
        if (case.name, "queries", "A", bits) in done:
            continue
        found = [
            Outcome(name, spent, spent, size, of_scores(scores, case.view.test), (seconds, math.nan))
            for name, spent, scores, seconds in code_class_a.ranked(case, bits, case.seed)
        ]
        ceiling = 1 - float(one_shot_distortion(2**bits, case.material("A").prior))
        mine = of_recipe(Cell(case, "queries", "A", bits), chosen.name, chosen.recipe)
        yield from compare(
            (case.name, "fixed", "queries", "A"), bits, mine, found, ("Theorem C", ceiling), case.view.test.relevant
        )


def summary(entries: list[dict]) -> None:
    """What the rows say together, table by table."""
    print("\nSummary: rows not below the best peer with no larger an encoder, and the median of ours - peer")
    groups: dict[tuple[str, str, str], list[dict]] = {}
    for entry in entries:
        groups.setdefault((entry["kind"], entry["code_class"], entry["side"]), []).append(entry)
    for (kind, code_class, side), members in sorted(groups.items()):
        compared = [entry for entry in members if entry["peer"] is not None and entry["ours"] is not None]
        over = [entry for entry in compared if entry["verdict"] == "over"]
        compared = [entry for entry in compared if entry["verdict"] != "over"]
        without = sum(entry["ours"] is None for entry in members)
        alone = len(members) - len(compared) - len(over) - without
        if not compared:
            print(
                f"  {kind:6} {code_class} {side:10} {alone} rows without a peer of so small an encoder, {without} without ours"
            )
            continue
        count = lambda verdict, compared=compared: sum(entry["verdict"] == verdict for entry in compared)
        apart = [entry["difference"] for entry in compared]
        print(
            f"  {kind:6} {code_class} {side:10} {len(compared):3} rows: above {count('above')}, not below {count('not below')}, "
            f"below {count('below')}; median {statistics.median(apart):+.3f}, worst {min(apart):+.3f}; "
            f"{alone} without a peer of so small an encoder, {without} without ours, {len(over)} of ours over the budget"
        )
    place = lambda entry: " ".join(str(entry[key]) for key in ("corpus", "kind", "side", "code_class", "budget"))
    for entry in [entry for entry in entries if entry["verdict"] == "below"]:
        print(f"  below: {place(entry)} bits, {entry['difference']:+.3f} to {entry['peer']['name']}")
    off = lambda mine: mine and abs(mine["bits"] - mine["claimed"]) > max(0.01 * mine["claimed"], 8 / 100)
    wrong = [entry for entry in entries if off(entry["ours"])]
    for entry in wrong:
        mine = entry["ours"]
        print(
            f"  payload: {place(entry)} {mine['name']}: {mine['bits']:.2f} bits written, {mine['claimed']:.2f} reported"
        )
    if entries and not wrong:
        print("  payload: every row within 1% of the bits reported")


def opening(case: Case) -> None:
    """What this corpus is, and its uncompressed search."""
    full, plain = ((case.queries, case.documents), case.plain)
    merit = [values(count_above(*pair, case.view.test.relevant), case.view.test).mean() for pair in (full, plain)]
    sizes = ", ".join(f"{c}: {len(case.material(c).vectors):,}" for c in ("B", "C"))
    print(
        f"\n{case.name}: {len(case.documents):,} documents, {len(case.queries):,} queries, {case.queries.shape[1]} dimensions; "
        f"uncompressed MRR {merit[0]:.3f} calibrated, {merit[1]:.3f} at temperature 1; training vectors {sizes}\n{HEAD}"
    )


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", default=[*NAMES, "gaussian", "speed"])
    parser.add_argument("--side", nargs="+", default=["queries", "documents"], choices=["queries", "documents"])
    parser.add_argument("--classes", nargs="+", default=["A", "B", "C"], choices=["A", "B", "C"])
    parser.add_argument("--budgets", nargs="+", type=int, default=BUDGETS)
    parser.add_argument("--searched-budgets", nargs="+", type=int, default=SEARCHED_BUDGETS)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--cache")
    parser.add_argument("--out")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


def main() -> None:
    options = parse()
    out = pathlib.Path(options.out) if options.out else None
    entries: list[dict] = json.loads(out.read_text()) if out and out.exists() else []
    cell = lambda entry: (entry["corpus"], entry["side"], entry["code_class"], entry["budget"])
    done = {cell(entry) for entry in entries if entry["kind"] == "mean" or entry["code_class"] == "A"}
    entries = [entry for entry in entries if cell(entry) in done]
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, jax {jax.__version__}, faiss {faiss.__version__}, seed {options.seed}\n\n{PROTOCOL}"
    )
    for entry in entries:
        if entry["corpus"] in options.only:
            hand_on(entry)
    for name in options.only:
        if name == "gaussian":
            code_gaussian.report(options.seed)
        elif name == "speed":
            code_speed.report()
        else:
            case = Case(name, options.seed)
            opening(case)
            for row in rows(case, options, done):
                show(row)
                entries.append(row.entry())
                hand_on(entries[-1])
                if out:
                    beside = out.with_suffix(".tmp")
                    beside.write_text(as_text(entries))
                    beside.replace(out)
            jax.clear_caches()
    if entries:
        summary(entries)


if __name__ == "__main__":
    main()
