"""Encoding a million documents of 256 dimensions on the whole machine, beside faiss."""

import os
import time

import faiss
import numpy as np

from rdjax.codes.product import ProductQuantizer

DOCUMENTS, DIMENSION, COUNT, WIDTH = 1_000_000, 256, 32, 8
TRAINING = 20_000


def report() -> None:
    """Vectors a second, for the codes that there are."""
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((DOCUMENTS, DIMENSION), np.float32)
    faiss.omp_set_num_threads(os.cpu_count() or 1)
    quantizer = faiss.ProductQuantizer(DIMENSION, COUNT, WIDTH)
    start = time.perf_counter()
    quantizer.train(vectors[:TRAINING])
    fit = time.perf_counter() - start
    theirs = _seconds(lambda: quantizer.compute_codes(vectors))
    faiss.omp_set_num_threads(1)
    print(f"\n{DOCUMENTS:,} x {DIMENSION} documents, {COUNT}x{WIDTH}: faiss PQ fit {fit:.1f} s, encode {theirs:.2f} s")
    start = time.perf_counter()
    code = ProductQuantizer.fit(vectors[:TRAINING], COUNT * WIDTH, transform="coordinates")
    fit = time.perf_counter() - start
    np.asarray(code.encode(vectors[:4096]))
    mine = _seconds(lambda: np.asarray(code.encode(vectors)))
    print(
        f"  rdjax {code.name}: fit {fit:.1f} s, encode {mine:.2f} s; faiss' time / ours {theirs / mine:.2f} (asked: .5)"
    )


def _seconds(call) -> float:
    """The better of two."""
    times = []
    for _ in range(2):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return min(times)
