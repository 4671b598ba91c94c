"""Temperatures side by side: MRR on queries that nothing was fitted on, where the optimum is known and where it is not.

    python benchmarks/temperatures.py [--queries 6000] [--seed 0] [--samples 30] [--only rules|optimum]

Rules: uniform; the paper's (10) and section 6, from empirical entropies; the best of a grid by four-fold cross-validation;
calibrated (convex, by Newton); searched (gradient of smooth MRR, hard MRR decides); doubting (a temperature for every
query). "optimum" is the true one of the mixture, noise over signal. Emoji: fitted on the 228 `rest` queries, which
search all 1,228 documents; reported on the 1,000 test queries. "wrong image" gives a random half of the queries, of both
splits, the image of another concept. Seconds are of one fit, warm. The part "optimum" is temperature_optimum.py's.
"""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import argparse
import time
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from temperature_optimum import optimum

from rdjax.audit.quality import component_entropy
from rdjax.data import emoji, pool_documents
from rdjax.retrieval import (
    calibrate_temperatures,
    counts_from_scores,
    doubting_posterior,
    fit_reliability,
    gaussian_temperatures,
    mean_reciprocal_rank,
    modality_scores,
    parse_metric,
    printed_rule,
    search_temperatures,
    section_six_rule,
)

RULES = ("uniform", "rule (10)", "section 6", "grid, cross-validated", "calibrated", "searched", "doubting", "optimum")
NOISES = ((0.25, 0.25), (0.25, 0.6), (0.2, 1.0), (0.6, 0.25))
GRID = np.exp(np.linspace(-4, 4, 81))
MRR = parse_metric("mrr")
Part = tuple[Any, np.ndarray, list[np.ndarray]]  # scores [2, Q, N], relevant [Q], query vectors by modality


def mixture(
    noise: tuple[float, float], queries: int, seed: int, documents: int = 200, dim: int = 16
) -> tuple[Part, Part]:
    """Queries are documents of unit norm plus isotropic noise, in two modalities: the posterior is known."""
    rng = np.random.default_rng(seed)
    y = [rng.standard_normal((documents, dim)) for _ in noise]
    y = [array / np.linalg.norm(array, axis=1, keepdims=True) for array in y]

    def draw(count: int) -> Part:
        relevant = rng.integers(0, documents, count)
        x = [e[relevant] + s * rng.standard_normal((count, dim)) for e, s in zip(y, noise, strict=True)]
        return np.stack([a @ b.T for a, b in zip(x, y, strict=True)]), relevant, x

    return draw(queries), draw(20_000)


def emoji_parts(task: str, wrong: bool, seed: int) -> tuple[Part, Part]:
    fit, test = emoji(task)
    rng = np.random.default_rng(seed)

    def part(corpus: Any) -> Part:
        queries = {name: np.asarray(array, np.float64) for name, array in corpus.queries.items()}
        if wrong:
            half = rng.permutation(corpus.num_queries)[: corpus.num_queries // 2]
            queries["image"] = queries["image"].copy()
            queries["image"][half] = queries["image"][np.roll(half, 1)]
        documents = {name: np.asarray(array, np.float64) for name, array in corpus.documents.items()}
        return modality_scores(queries, documents), np.asarray(corpus.relevant), list(queries.values())

    return part(pool_documents(test, fit)), part(test)


def reciprocal_ranks(scores: Any, relevant: np.ndarray, tau: Any) -> np.ndarray:
    fused = np.tensordot(1 / np.asarray(tau), np.asarray(scores), 1)
    return np.asarray(MRR.per_query(*counts_from_scores(fused, relevant)))


def cross_validated(scores: Any, relevant: np.ndarray, seed: int) -> np.ndarray:
    """The ratio of a grid that is best on the other three folds, the geometric mean over four."""
    table = np.stack([reciprocal_ranks(scores, relevant, (1.0, ratio)) for ratio in GRID])
    parts = np.array_split(np.random.default_rng(seed).permutation(len(relevant)), 4)
    chosen = [GRID[np.argmax(np.delete(table, part, axis=1).mean(axis=1))] for part in parts]
    return np.array([1.0, np.exp(np.log(chosen).mean())])


def fits(train: Part, seed: int) -> dict[str, Callable[[], Any]]:
    scores, relevant, vectors = train
    entropies = np.array([component_entropy(array) for array in vectors])
    return {
        "uniform": lambda: np.ones(2),
        "rule (10)": lambda: printed_rule(entropies),
        "section 6": lambda: section_six_rule(entropies),
        "grid, cross-validated": lambda: cross_validated(scores, relevant, seed),
        "calibrated": lambda: calibrate_temperatures(scores, relevant).temperatures,
        "searched": lambda: search_temperatures(scores, relevant, seed=seed).temperatures,
        "doubting": lambda: fit_reliability(scores, relevant),
    }


def row(name: str, train: Part, test: Part, optimum: Any, seed: int) -> None:
    cells, notes = {}, []
    for rule, fit in fits(train, seed).items():
        jax.block_until_ready(fit())
        start = time.perf_counter()
        found = jax.block_until_ready(fit())
        seconds = time.perf_counter() - start
        if rule == "doubting":
            logs = doubting_posterior(test[0], found.temperatures, found.doubt)
            cells[rule] = float(mean_reciprocal_rank(logs, test[1]))
            notes.append(f"doubt {np.round(found.doubt, 3).tolist()}")
        else:
            cells[rule] = reciprocal_ranks(test[0], test[1], found).mean()
        if rule in ("calibrated", "searched", "doubting"):
            notes.append(f"{rule} {seconds:.2f} s")
        if rule == "calibrated":
            notes.append(f"tau {np.round(np.asarray(found), 4).tolist()}")
        if rule == "searched":
            best = max(reciprocal_ranks(train[0], train[1], (1.0, ratio)).mean() for ratio in GRID)
            mine = reciprocal_ranks(train[0], train[1], found).mean()
            notes.append(f"on the fit queries: grid of 81 {best:.4f}, searched {mine:.4f}")
    if optimum is not None:
        cells["optimum"] = reciprocal_ranks(test[0], test[1], optimum).mean()
        notes.append(f"optimum tau {np.round(np.asarray(optimum), 4).tolist()}")
    print(f"{name:24s}" + "".join(f"{cells[r]:>11.4f}" if r in cells else f"{'-':>11}" for r in RULES))
    print(" " * 24 + "; ".join(notes), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--queries", type=int, default=6000, help="of the mixtures, to fit on")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=("rules", "optimum"), help="one of the two parts")
    parser.add_argument("--samples", type=int, default=30, help="of 6,000 queries of every mixture; of 200,000 three")
    given = parser.parse_args()
    with jax.enable_x64(True):
        if given.only != "rules":
            optimum({6000: given.samples, 200_000: 3})
            print()
        if given.only == "optimum":
            return
        print(f"{'MRR':24s}" + "".join(f"{rule.split(',')[0]:>11s}" for rule in RULES))
        for noise in NOISES:
            known = gaussian_temperatures(np.ones(2), np.square(noise))
            row(f"mixture, noise {noise}", *mixture(noise, given.queries, given.seed), known, given.seed)
        for wrong in (False, True):
            for task in ("T1", "T2", "T3", "T4"):
                row(task + ", wrong image" * wrong, *emoji_parts(task, wrong, given.seed), None, given.seed)


if __name__ == "__main__":
    main()
