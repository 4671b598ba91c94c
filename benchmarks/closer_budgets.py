"""What audits gain by budgets between those that families are tried at: bits of the answer, bytes, seconds.

    python benchmarks/closer_budgets.py [--only clustered emoji]

clustered: 2,000 documents of 128 dimensions in 60 clusters, 500 queries near documents, without judgments.
emoji: T1, which ships with rdjax. Each corpus is audited twice, without and with `audit.closer`; codes are chosen by the fit
queries both times, and what is kept is of the audited ones. The second audit finds programs of the first compiled.
"""

import argparse
import time

import numpy as np

from rdjax.audit import audit, tried
from rdjax.data import Corpus, emoji


def clustered(seed=0):
    """The corpus, and nothing to fit on but itself."""
    rng = np.random.default_rng(seed)
    centers = rng.standard_normal((60, 128))
    documents = centers[rng.integers(0, 60, 2000)] + 0.8 * rng.standard_normal((2000, 128))
    documents /= np.sqrt(1 + np.arange(128) / 8)
    documents /= np.linalg.norm(documents, axis=1, keepdims=True)
    queries = documents[rng.integers(0, 2000, 500)] + 0.05 * rng.standard_normal((500, 128))
    queries /= np.linalg.norm(queries, axis=1, keepdims=True)
    as_corpus = Corpus({"v": documents.astype(np.float32)}, {"v": queries.astype(np.float32)}, None)
    return as_corpus, None


CORPORA = {"clustered": clustered, "emoji": lambda: emoji("T1")[::-1]}


def rows(name, label, found, seconds):
    """A line for each purpose, and one for the fewest bits of stored documents."""
    print(f"{name}, {label}: {len(found.points)} codes, {seconds:.0f} s")
    for choice in found.recommendations:
        point = choice.point
        if point is not None:
            bits, kept = float(point.bits.packed.lower), float(point.kept.lower)
            print(
                f"    {choice.purpose:28} {bits:8.1f} bits, file {point.stored_bytes:9,}, keeps {kept:.1%}  {point.code}"
            )
    enough = [p for p in found.on("documents") if float(p.chosen_by.lower) >= found.setting.target]
    if enough:
        least = min(enough, key=lambda point: float(point.bits.packed.lower))
        print(f"    {'fewest bits of documents':28} {float(least.bits.packed.lower):8.1f} bits  {least.code}")


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--only", nargs="+", choices=CORPORA, default=list(CORPORA))
    between = tried.contests
    for name in options.parse_args().only:
        corpus, fit = CORPORA[name]()
        for label, contests in (("as families are tried", lambda setting: ()), ("and between", between)):
            tried.contests = contests
            start = time.perf_counter()
            found = audit(corpus, fit=fit)
            rows(name, label, found, time.perf_counter() - start)


if __name__ == "__main__":
    main()
