"""Noisy relevance: the interval at scale, and both its sides against every ranking in small cases.

    python benchmarks/relevance.py            (about 5 minutes on 2 cores)

Source at scale: 1000 intents Z ~ N(0, I_32) are the documents; y uniform, x = Z_y + sqrt(1.25) noise; the posterior of
that Gaussian model; 10,000 sampled queries, equiprobable. Slopes of 8 and 16 nats. Peak memory is the process' own, with
JAX and the posteriors (40 MB in float32) in it. Then 500 random cases of 3 to 5 documents, where Blahut-Arimoto over all
N! rankings in NumPy knows R to its own certified gap.
"""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import itertools
import math
import platform
import resource
import time

import jax
import numpy as np

from rdjax.limits.relevance import relevance_bounds
from rdjax.retrieval.weights import dcg, recall_at, reciprocal_rank

LN2 = math.log(2)


def gaussian_posteriors(queries, documents, dimension=32, noise=1.25, seed=0):
    """P(y | x) [queries, documents] in float32."""
    rng = np.random.default_rng(seed)
    intents = rng.standard_normal((documents, dimension))
    chosen = rng.integers(documents, size=queries)
    seen = intents[chosen] + math.sqrt(noise) * rng.standard_normal((queries, dimension))
    score = (seen @ intents.T - (intents**2).sum(axis=1) / 2) / noise
    law = np.exp(score - score.max(axis=1, keepdims=True))
    return (law / law.sum(axis=1, keepdims=True)).astype(np.float32)


def show(name, posteriors, nats, **settings):
    start = time.perf_counter()
    found = relevance_bounds(posteriors, nats / LN2, **settings)
    first = time.perf_counter() - start
    start = time.perf_counter()
    found = relevance_bounds(posteriors, nats / LN2, **settings)
    again = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    width = 100 * float(found.upper - found.lower) / float(found.upper)
    print(
        f"{name:24} {nats:3} nats  D {float(found.distortion):.5f}  R in [{float(found.lower):.4f}, "
        f"{float(found.upper):.4f}]  {width:.2f}%  DP {float(found.data_processing):.4f}  {first:5.1f} s first, "
        f"{again:5.1f} s again  peak {peak:.2f} GiB  {found.message}",
        flush=True,
    )


def every_ranking(source, posteriors, worth, nats, sweeps=20_000):
    """Interval of min I + s D in bits over all N! rankings, and v_x = (K q)_x e^s of its law."""
    orders = np.array(list(itertools.permutations(range(posteriors.shape[1]))))
    cost = 1 - posteriors @ worth[orders].T
    least = cost.min(axis=1)
    kernel = np.exp(-nats * (cost - least[:, None]))
    law = np.full(kernel.shape[1], 1 / kernel.shape[1])
    for _ in range(sweeps):
        ratio = (source / (kernel @ law)) @ kernel
        if math.log(ratio.max()) < 1e-10:
            break
        law = law * ratio / law.dot(ratio)
    mix = kernel @ law
    value = -source @ (np.log(mix) - nats * least)
    return (value - math.log(((source / mix) @ kernel).max())) / LN2, value / LN2, np.log(mix) - nats * least + nats


def chord1(source, posteriors, worth, nats, logs):
    """The certificate of the theory notes, section 2.2, with the best v for the unrelaxed problem: min I + s D in bits."""
    scores = []
    for top in range(posteriors.shape[1]):
        others = np.sort(np.delete(posteriors, top, axis=1), axis=1)
        known = posteriors[:, top] * worth[0]
        high, low = known + others[:, ::-1] @ worth[1:], known + others @ worth[1:]
        slope = (np.exp(nats * high) - np.exp(nats * low)) / np.maximum(high - low, 1e-12)
        weight = source * np.exp(-logs)
        linear = (weight * slope) @ posteriors
        best = np.sort(np.delete(linear, top))[::-1] @ worth[1:] + linear[top] * worth[0]
        scores.append(weight @ (np.exp(nats * low) - slope * low) + best)
    return (nats - source @ logs - math.log(max(scores))) / LN2


def random_cases(count=500, seed=0):
    """Shares of R that each lower bound recovers, and how far anything ever crossed."""
    rng = np.random.default_rng(seed)
    shares, crossed, above = [], [], []
    for number in range(count):
        documents, live = 3 + number % 3, int(rng.integers(2, 13))
        posteriors = rng.dirichlet(np.full(documents, rng.choice([0.1, 0.3, 1, 3])), 12)
        source = np.zeros(12)
        source[:live] = rng.dirichlet(np.ones(live))
        weights = (reciprocal_rank, dcg, recall_at(2))[number // 3 % 3]
        bits = float(rng.uniform(1, 30))
        found = relevance_bounds(posteriors, bits, source=source, weights=weights)
        worth = np.asarray(weights(np.arange(1.0, documents + 1)))
        least, most, logs = every_ranking(source, posteriors, worth, bits * LN2)
        line = bits * float(found.distortion)
        crossed.append((float(found.certificate) - (most - line), (least - line) - float(found.upper)))
        above.append(float(found.upper) - (least - line))
        if most - line > 1e-2:
            old = chord1(source, posteriors, worth, bits * LN2, logs) - line
            lows = (found.data_processing, old, found.certificate, found.lower)
            shares.append([max(float(low), 0) / (most - line) for low in lows])
    shares = np.array(shares)
    print(f"\n{count} random cases, N = 3..5, X up to 12, three metrics, slopes 1..30 bits:")
    print(
        f"  certificate - R at most {np.max(crossed, axis=0)[0]:.1e}, R - upper at most {np.max(crossed, axis=0)[1]:.1e}"
    )
    print(f"  upper - R: mean {np.mean(above):.1e}, max {np.max(above):.1e} bits")
    for name, share in zip(("data processing", "chord1", "certificate", "lower"), shares.T, strict=True):
        print(f"  {name:16} share of R: mean {share.mean():.4f}, median {np.median(share):.4f}, min {share.min():.4f}")


def main():
    print(f"{platform.machine()}, {os.cpu_count()} cores, jax {jax.__version__}, numpy {np.__version__}\n")
    for nats in (8, 16):
        show("X = 2,000, N = 200", gaussian_posteriors(2000, 200), nats)
    for nats in (8, 16):
        show("X = 10,000, N = 1,000", gaussian_posteriors(10_000, 1000), nats)
    random_cases()


if __name__ == "__main__":
    main()
