"""Rank metrics beside ranx and ir_measures: values and time, in one run.

    python benchmarks/metrics.py [--queries 1000] [--documents 1000] [--judged 5] [--repeats 5] [--rounds 1]

What is timed, warm, median of the repeats, in each of the rounds, float64, one task without score ties and with graded judgements:
  ranking    rdjax: the counts of documents above and level, from the matrix of scores; done once for all metrics;
  rdjax      from those counts to one value per query;
  ranx       its metric functions on its typed lists, which hold the documents already ranked, numba compiled before;
  ir_measures  `iter_calc` of a prepared evaluator on a dictionary of dictionaries, which it ranks itself.
Building each one's input is not timed. A ratio is the peer's time over ours, with the ranking counted where the peer
ranks too (ir_measures) and left out where it does not (ranx): above 1, we are faster.
"""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import argparse
import statistics
import time
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

#: Ours -> the same in ranx, in ir_measures (None: not offered by the providers that install without a build).
PEER_NAMES = {
    "mrr": ("mrr", "RR"),
    "map": ("map", "AP"),
    "recall@10": ("recall@10", "R@10"),
    "precision@10": ("precision@10", "P@10"),
    "ndcg@10": ("ndcg@10", "nDCG@10"),
    "ndcg": ("ndcg", "nDCG"),
    "dcg@10": ("dcg@10", None),
    "rbp@0.8": ("rbp.8", None),
}
INSTALL = "{} is not installed, so its columns are empty; install it with: pip install 'rdjax[bench]'."


def random_task(
    generator: np.random.Generator, queries: int, documents: int, judged: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scores [Q, N] without ties, judged documents [Q, J] padded with -1 (one at least), and their grades 1 to 3."""
    scores = generator.permuted(np.tile(np.arange(documents, dtype=float), (queries, 1)), axis=1)
    relevant = generator.permuted(np.tile(np.arange(documents), (queries, 1)), axis=1)[:, :judged]
    grades = generator.integers(1, 4, relevant.shape).astype(float)
    scores[np.arange(queries)[:, None], relevant] += documents / 3 + 0.5  # better than chance
    relevant[np.arange(judged)[None, :] >= generator.integers(1, judged + 1, (queries, 1))] = -1
    return scores, relevant, np.where(relevant >= 0, grades, 0.0)


def peers(
    scores: np.ndarray, relevant: np.ndarray, grades: np.ndarray, wanted: tuple[str, ...] = ("ranx", "ir_measures")
) -> dict[str, Callable[[Any], Any]]:
    """For each installed peer, a function from metric names to values; names that a peer lacks give None."""
    names = [f"q{i:07d}" for i in range(len(scores))]
    documents = [f"d{i}" for i in range(scores.shape[1])]
    judgements = {
        query: {documents[d]: int(g) for d, g in zip(row, grade, strict=True) if d >= 0}
        for query, row, grade in zip(names, relevant, grades, strict=True)
    }
    run = {query: dict(zip(documents, row.tolist(), strict=True)) for query, row in zip(names, scores, strict=True)}
    found = {}
    for name in wanted:
        try:
            found[name] = {"ranx": _ranx, "ir_measures": _ir_measures}[name](judgements, run)
        except ImportError:
            print(INSTALL.format(name))
    return found


def _ranx(judgements: dict, run: dict) -> Callable[[Any], Any]:
    from ranx import Qrels, Run
    from ranx.meta.evaluate import extract_metric_and_params
    from ranx.metrics import metric_switch

    binary = {query: dict.fromkeys(graded, 1) for query, graded in judgements.items()}
    lists = []
    for table in (Qrels(judgements), Qrels(binary), Run(run)):
        table.sort()
        lists.append(table.to_typed_list())
    graded_list, binary_list, ranked = lists

    def values(names: list[str]) -> list[np.ndarray]:  # its `evaluate` loses the key of a single metric with a depth
        result = []
        for name in names:
            family, argument, level = extract_metric_and_params(PEER_NAMES[name][0])
            # Its RBP multiplies by the grade; ours, like the definition, asks whether a document is relevant.
            judged = binary_list if family == "rbp" else graded_list
            result.append(metric_switch(family)(judged, ranked, argument, level))
        return result

    return values


def _ir_measures(judgements: dict, run: dict) -> Callable[[Any], Any]:
    import ir_measures

    order = {query: place for place, query in enumerate(judgements)}
    prepared = {}

    def values(names: list[str]) -> list[np.ndarray | None]:
        offered = {name: ir_measures.parse_measure(PEER_NAMES[name][1]) for name in names if PEER_NAMES[name][1]}
        if not offered:
            return [None] * len(names)
        if tuple(offered) not in prepared:
            prepared[tuple(offered)] = ir_measures.evaluator(list(offered.values()), judgements)
        table = {measure: np.zeros(len(order)) for measure in offered.values()}
        for result in prepared[tuple(offered)].iter_calc(run):
            table[result.measure][order[result.query_id]] = result.value
        return [table[offered[name]] if name in offered else None for name in names]

    return values


def ours(counts: tuple[Any, Any], grades: np.ndarray, names: list[str]) -> list[np.ndarray]:
    """The same values by rdjax, from its counts."""
    from rdjax.retrieval import parse_metric

    return [np.asarray(parse_metric(name).per_query(*counts, grades)) for name in names]


def warm(call: Callable[[], Any], repeats: int) -> tuple[Any, float]:
    """The result, and the median time in ms of calls after the first."""
    result, times = call(), []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        times.append(1e3 * (time.perf_counter() - start))
    return result, statistics.median(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for flag, default in (("queries", 1000), ("documents", 1000), ("judged", 5), ("repeats", 5), ("rounds", 1)):
        parser.add_argument(f"--{flag}", type=int, default=default)
    options = parser.parse_args()
    warnings.filterwarnings("ignore", message="unsafe cast from uint64")  # numba, on compiling ranx
    import jax
    from rows import record

    from rdjax.retrieval import counts_from_scores

    scores, relevant, grades = random_task(np.random.default_rng(0), options.queries, options.documents, options.judged)
    found = peers(scores, relevant, grades)
    with jax.enable_x64(True):
        counts, ranking = warm(lambda: jax.block_until_ready(counts_from_scores(scores, relevant)), options.repeats)
        print(f"{options.queries} queries x {options.documents} documents, up to {options.judged} relevant, graded.")
        print(f"ranking: {ranking:.2f} ms; the other times are ms per call.\n")
        print(
            f"{'metric':13}{'rdjax':>9}{'ms':>8}"
            + "".join(f"{name:>13}{'ms':>9}{'ratio':>7}{'off':>9}" for name in found)
        )
        for names in options.rounds * [*([name] for name in PEER_NAMES), list(PEER_NAMES)]:
            values, time_ours = warm(partial(ours, counts, grades, names), options.repeats)
            alone = len(names) == 1
            mean = f"{values[0].mean():.5f}" if alone else str(len(names))
            line = f"{names[0] if alone else 'all of them':13}{mean:>9}{time_ours:8.2f}"
            for peer, call in found.items():
                theirs, time_theirs = warm(partial(call, names), options.repeats)
                against = time_ours + (ranking if peer == "ir_measures" else 0.0)
                if any(value is not None for value in theirs):
                    record(names[0] if alone else "all metrics", against, time_theirs, peer)
                line += _columns(values, theirs, time_theirs, time_theirs / against)
            print(line)
    print("\noff: the largest difference at any one query.")


def _columns(values: list, theirs: list, time_theirs: float, ratio: float) -> str:
    """A peer's mean, time, ratio of times, and largest difference at any one query."""
    pairs = [(a, b) for a, b in zip(values, theirs, strict=True) if b is not None]
    if not pairs:
        return f"{'-':>13}{'-':>9}{'-':>7}{'-':>9}"
    worst = max(float(np.max(np.abs(a - b))) for a, b in pairs)
    assert worst < 1e-12, f"the values differ by {worst:.1e}"
    mean = f"{pairs[0][1].mean():.5f}" if len(theirs) == 1 else str(len(pairs))
    return f"{mean:>13}{time_theirs:9.2f}{ratio:7.1f}{worst:9.1e}"


if __name__ == "__main__":
    main()
