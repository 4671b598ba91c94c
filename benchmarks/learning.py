"""What learning adds: codes, temperatures, smooth metrics, a dual encoder, dimensions.

    python benchmarks/learning.py [--only codes encoder dimensions temperatures soft]
                                  [--corpora T1 T2 T3 T4] [--classes B C] [--sides queries documents]
                                  [--budgets 16 32 64] [--seeds 0 1 2 3 4] [--choices FILE ...]
                                  [--peer-python PYTHON] [--out FILE]

codes: `LearnedCode` beside the best untrained code of its class at equal bits, fixed length. The untrained one is chosen
among all recipes of code_recipes.py by cross-validation on the fit queries, as in codes.py (--choices: files that
`codes.py --out` wrote, whose choices are taken over). The learned one is trained from the best of those that can be, on
queries simulated anew at every look, for documents of its class (B: the searched ones; C: those of `rest` alone, and a
thousand drawn like them). Nothing is chosen on test queries. Five seeds: of simulation, batches and revival.
`difference` is that of the mean over seeds, with its interval over queries. `exact` is what the untrained code's
transform alone gives, its coefficients not coded at all: where the code is level with it, its quantization has lost
nothing that training could win back.
encoder: two towers over one modality's vectors, trained on `rest`, temperature fixed at CLIP's .07, learned from there.
dimensions: what gradient descent on the vectors themselves needs, beside the floor and the moment curve.
temperatures, soft: temperatures.py, soft_metrics.py (--peer-python: rax's environment; see there).
"""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import argparse
import json
import pathlib
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

import code_learned
import code_measure
import code_recipes
import numpy as np
from code_corpora import Case
from flax import nnx

from rdjax.audit.dimensions import every_set
from rdjax.audit.frontier import count_coded
from rdjax.codes import Code, Renormalized
from rdjax.codes.directional import quantizer_of
from rdjax.codes.lengths import stretched
from rdjax.data import emoji
from rdjax.limits import achieved_dimension, moment_curve, pattern_dimension
from rdjax.nn import DualEncoder, fit_dual_encoder
from rdjax.retrieval import parse_metric
from rdjax.retrieval.intervals import paired_bootstrap
from rdjax.retrieval.streaming import count_above

HERE = pathlib.Path(__file__).parent
PARTS = ("codes", "encoder", "dimensions", "temperatures", "soft")
MRR = parse_metric("mrr")


def values(case: Case, code: Code, side: str) -> np.ndarray:
    coded = case.queries if side == "queries" else case.documents
    counts = count_coded(code, code.encode(coded), side, (case.queries, case.documents), case.view.test)
    return code_measure.values(counts, case.view.test)


def exact(case: Case, code: Code, side: str) -> float:
    """MRR of the coded side through the code's transform and back, nothing quantized."""
    coded = case.queries if side == "queries" else case.documents
    inner = quantizer_of(code)
    through = np.asarray(inner.transform.invert(inner.transform.apply(coded)), np.float32)
    if isinstance(code, Renormalized):
        through = np.asarray(stretched(through, code.floor, code.gain))
    pair = (through, case.documents) if side == "queries" else (case.queries, through)
    return float(code_measure.values(count_above(*pair, case.view.test.relevant), case.view.test).mean())


def untrained(cell: code_measure.Cell, known: list[dict]) -> list[code_measure.Choice]:
    """[the best untrained code, the best that can be trained] by cross-validation, or as `codes.py` found them."""
    place = {"corpus": cell.case.name, "side": cell.side, "code_class": cell.code_class, "budget": cell.bits}
    for row in known:
        if row["kind"] == "fixed" and place.items() <= row.items():
            best, able = row["untrained"]
            names = best, best if best in code_recipes.LEARNABLE else able
            return [code_measure.Choice(name, code_recipes.FIXED[name], ()) for name in names]
    ranked = code_measure.ranking(cell, code_recipes.FIXED)
    return [ranked[0], code_measure.learnable(ranked)[0]]


def codes(given: argparse.Namespace) -> None:
    print("codes: MRR on 1,000 test queries at equal bits, fixed length; difference to the best untrained code")
    print(
        f"{'':24}{'untrained':>44}{'exact':>7}{'start':>22}{'learned, mean':>15}{'difference [95%]':>26}{'of seeds':>20}"
    )
    known = [row for name in given.choices for row in json.loads(pathlib.Path(name).read_text())]
    rows = []
    for corpus in given.corpora:
        case = Case(corpus)
        for side in given.sides:
            for code_class in given.classes:
                for bits in given.budgets:
                    cell = code_measure.Cell(case, side, code_class, bits)
                    rows.append(row := compare(cell, *untrained(cell, known), given.seeds))
                    show(row)
        if given.out:
            pathlib.Path(given.out).write_text(json.dumps(rows, indent=1))
    summary(rows)


def compare(cell: code_measure.Cell, best: code_measure.Choice, start: code_measure.Choice, seeds: list[int]) -> dict:
    case, side, bits, material = cell.case, cell.side, cell.bits, cell.case.material(cell.code_class)
    code, fit = code_measure.made(cell, best)
    peer = code_measure.our_outcome(case, best.name, side, code, fit)
    begun = code_measure.made(cell, start)[0]
    began, taken, found, last = time.perf_counter(), [], [], None
    for seed in seeds:
        last = code_learned.learned(material, side, begun, seed)
        found.append(values(case, last, side))
        taken.append(int(last.step))
    seconds = (time.perf_counter() - began) / len(seeds)
    assert last is not None
    assert last.bits <= bits
    means = [float(each.mean()) for each in found]
    interval = paired_bootstrap(np.mean(found, axis=0) - peer.values, np.ones(len(peer.values))).mean
    case.forget()
    return {
        "corpus": case.name,
        "side": side,
        "class": cell.code_class,
        "bits": bits,
        "untrained": peer.name,
        "untrained_mrr": peer.mean,
        "untrained_exact": exact(case, code, side),
        "start": start.name,
        "learned": means,
        "difference": float(np.mean(means) - peer.mean),
        "interval": [float(end) for end in interval],
        "steps": taken,
        "seconds": seconds,
        "used": float(np.min(np.asarray(last.used), initial=np.inf)),  # a trellis has no codebook of its own
        "revived": int(last.revived),
    }


def show(row: dict) -> None:
    low, high = row["interval"]
    spread = f"[{min(row['learned']):.3f}, {max(row['learned']):.3f}]"
    print(
        f"{row['corpus']:4}{row['side']:11}{row['class']:3}{row['bits']:5} "
        f"{row['untrained'][:36]:>37}{row['untrained_mrr']:8.3f}{row['untrained_exact']:7.3f}{row['start']:>22}"
        f"{statistics.mean(row['learned']):15.3f}{row['difference']:+9.3f} [{low:+.3f}, {high:+.3f}]{spread:>20}"
        f"  {row['seconds']:.0f} s, words used {row['used']:.0f}, steps {row['steps']}",
        flush=True,
    )


def summary(rows: list[dict]) -> None:
    print(
        "\nmedian over the corpora of (learned - best untrained), by class, side and budget; all: the median of the mean of "
        "both sides, each: of all sides of all corpora"
    )
    sides = {side: (side,) for side in dict.fromkeys(row["side"] for row in rows)}
    for code_class, bits in dict.fromkeys((row["class"], row["bits"]) for row in rows):
        same = [row for row in rows if (row["class"], row["bits"]) == (code_class, bits)]
        several = {"all": tuple(sides), "each": tuple(sides)} if len(sides) > 1 else {}
        for side, members in {**sides, **several}.items():
            own = [row for row in same if row["side"] in members]
            over = over_rows if side == "each" else over_corpora
            middle = over(own, lambda row: row["difference"])
            seeds = range(len(own[0]["learned"]))
            each = [over(own, lambda row, s=s: row["learned"][s] - row["untrained_mrr"]) for s in seeds]
            better = sum(row["difference"] > 0 for row in own)
            ends = f"[{min(each):+.3f}, {max(each):+.3f}]"
            print(
                f"  {code_class} {side:10}{bits:4} bits: {middle:+.4f}, over seeds {ends}; best of {len(own)} in {better}"
            )


def over_rows(rows: list[dict], value: Callable[[dict], float]) -> float:
    """The median over all rows."""
    return statistics.median(map(value, rows))


def over_corpora(rows: list[dict], value: Callable[[dict], float]) -> float:
    """The median over corpora of the mean over the sides of each."""
    names = dict.fromkeys(row["corpus"] for row in rows)
    return statistics.median(statistics.mean(value(row) for row in rows if row["corpus"] == name) for name in names)


def encoder(given: argparse.Namespace) -> None:
    """Two towers on `rest`, from vectors of different encoders: query image to document text."""
    print(
        "\nencoder: towers from a query's image vector to a document's text vector, trained on 228 pairs; MRR on 1,000"
    )
    for corpus in given.corpora:
        fit, test = emoji(corpus)
        pairs = np.asarray(fit.queries["image"], np.float32), np.asarray(fit.documents["text"], np.float32)
        target = np.asarray(test.queries["image"], np.float32), np.asarray(test.documents["text"], np.float32)
        wanted = pairs[1][np.asarray(fit.relevant)]
        for label, learn in (("fixed at .07", False), ("learned from .07", True)):
            found, heat = [], []
            for seed in given.seeds:
                model = DualEncoder(pairs[0].shape[1], pairs[1].shape[1], learned=learn, rngs=nnx.Rngs(seed))
                model, _ = fit_dual_encoder(model, pairs[0], wanted, steps=300, batch=228, seed=seed)
                found.append(float(np.mean(MRR(np.asarray(model(*target)), np.asarray(test.relevant)))))
                heat.append(float(model.temperature))
            ends = f"[{min(found):.3f}, {max(found):.3f}]"
            print(f"  {corpus} tau {label:17} MRR {statistics.mean(found):.3f} {ends}, tau {statistics.mean(heat):.3f}")


def dimensions(_: argparse.Namespace) -> None:
    print("\ndimensions: every pair (K = 2) or triple (3) of N documents is some query's first; unit vectors, float32")
    print(
        f"{'N':>5}{'K':>3}{'sets':>7}{'proved':>9}{'moment curve, its gap':>24}{'found by descent':>18}{'gap':>9}{'s':>6}"
    )
    for n, k in ((5, 2), (6, 2), (8, 2), (10, 2), (12, 2), (16, 2), (24, 2), (8, 3), (12, 3)):
        patterns = every_set(n, k)
        bound, (queries, documents) = pattern_dimension(patterns), moment_curve(patterns)
        scores = queries @ documents.T
        gap = (np.where(patterns, scores, np.inf).min(axis=1) - np.where(patterns, -np.inf, scores).max(axis=1)).min()
        begin = time.perf_counter()
        found, vectors = achieved_dimension(patterns, int(bound.lower), int(bound.upper) + 12)
        seconds, own = time.perf_counter() - begin, float(np.min(np.asarray(vectors.gaps)))
        proved = f"{bound.lower}" if bound.lower == bound.upper else f"{bound.lower}-{bound.upper}"
        print(
            f"{n:5}{k:3}{len(patterns):7}{proved:>9}{2 * k:14} {gap:9.2g}{found!s:>18}{own:9.2g}{seconds:6.1f}",
            flush=True,
        )


def others(part: str, given: argparse.Namespace) -> None:
    script = {"temperatures": "temperatures.py", "soft": "soft_metrics.py"}[part]
    peer = ["--peer-python", given.peer_python] if part == "soft" and given.peer_python else []
    print(f"\n{part}: {script}", flush=True)
    subprocess.run([sys.executable, str(HERE / script), *peer], check=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--corpora", nargs="+", default=["T1", "T2", "T3", "T4"])
    parser.add_argument("--classes", nargs="+", default=["B", "C"])
    parser.add_argument("--sides", nargs="+", default=["queries", "documents"])
    parser.add_argument("--budgets", nargs="+", type=int, default=[16, 32, 64])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2, 3, 4])
    parser.add_argument("--choices", nargs="+", default=[], help="rows of codes.py, for what they found")
    parser.add_argument("--peer-python", help="a Python that has rax")
    parser.add_argument("--out", help="a JSON file for the rows of codes")
    given = parser.parse_args()
    for part in given.only:
        run = {"codes": codes, "encoder": encoder, "dimensions": dimensions}.get(part)
        if run is None:
            others(part, given)
        else:
            run(given)


if __name__ == "__main__":
    main()
