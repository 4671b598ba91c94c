"""The limits against brute force and mpmath: values, then times beside the plain way to compute the same number.

    python benchmarks/limits.py

Peers: Blahut-Arimoto over all N! rankings (what Theorem B replaces), mpmath sums (the uniform prior), a NumPy pooling
loop and SciPy's compiled isotonic regression (the prior of a million documents). One run, one machine, float64.
"""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import itertools
import platform
import statistics
import time

import jax
import mpmath
import numpy as np
import scipy
from rows import record
from scipy.optimize import brentq, isotonic_regression

from rdjax.limits import one_shot_distortion, ranking_rate
from rdjax.retrieval.weights import dcg, rank_biased, recall_at, reciprocal_rank

jax.config.update("jax_enable_x64", True)
LN2 = np.log(2)


def median_time(function, repeats=7):
    function()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def blahut(prior, distortion, slope, tolerance=1e-7, sweeps=200_000):
    """Rate and distortion in NumPy over all rankings, stopped on the certified gap in nats."""
    kernel = np.exp(-slope * distortion)
    law = 1 + 0.1 * np.sin(np.arange(kernel.shape[1]))
    law /= law.sum()
    for _ in range(sweeps):
        ratio = (prior / (kernel @ law)) @ kernel
        if np.log(ratio.max()) - (law * ratio) @ np.log(np.maximum(ratio, 1e-300)) < tolerance:
            break
        law = law * ratio
    channel = kernel * law
    channel /= channel.sum(axis=1, keepdims=True)
    output = prior @ channel
    used = (channel > 0) & (output > 1e-300)
    safe = np.where(output > 1e-300, output, 1)
    rate = (prior[:, None] * np.where(used, channel * np.log2(np.where(used, channel, 1) / safe), 0)).sum()
    return rate, (prior[:, None] * channel * distortion).sum()


def against_all_rankings():
    rng = np.random.default_rng(0)
    print("\nTheorem B against Blahut-Arimoto over all N! rankings (random priors, slopes 0.7, 2.5, 9 nats)")
    print(
        f"{'N':>3} {'weights':>10} {'cases':>6} {'largest |difference|, bits':>28} {'theirs, ms':>11} {'ours, ms':>9} {'ratio':>8}"
    )
    for n in (3, 4, 5):
        orders = np.array(list(itertools.permutations(range(n))))
        for weights in (reciprocal_rank, dcg, recall_at(2), rank_biased(0.7)):
            worth = np.asarray(weights(np.arange(1.0, n + 1)))
            distortion, worst, theirs, ours = 1 - worth[orders].T, 0.0, [], []
            for slope in (0.7, 2.5, 9.0):
                prior = rng.dirichlet(np.ones(n))
                start = time.perf_counter()
                rate, mean = blahut(prior, distortion, slope / np.ptp(worth))
                theirs.append(time.perf_counter() - start)
                worst = max(worst, abs(float(ranking_rate(mean, prior, weights)) - rate))
                ours.append(median_time(lambda m=mean, p=prior, w=weights: ranking_rate(m, p, w).block_until_ready()))
            t, o = 1e3 * statistics.median(theirs), 1e3 * statistics.median(ours)
            record(f"R(D), N = {n}, {weights.name}", o, t, "Blahut-Arimoto over all rankings")
            print(f"{n:>3} {weights.name:>10} {3:>6} {worst:>28.1e} {t:>11.1f} {o:>9.2f} {t / o:>8.1f}")


def uniform_mpmath(distortion, n):
    """Theorem A for reciprocal rank with mpmath: Euler-Maclaurin sums, bisection on the slope."""
    with mpmath.workdps(25):
        head = min(n, 2000)

        def sums(slope):
            f = lambda k: mpmath.exp(slope / k - slope)
            total = mpmath.fsum(f(mpmath.mpf(k)) for k in range(1, head + 1))
            moment = mpmath.fsum(f(mpmath.mpf(k)) / k for k in range(1, head + 1))
            if n > head:
                points = [mpmath.mpf(head + 1)]
                while points[-1] * 8 < n:
                    points.append(points[-1] * 8)
                points.append(mpmath.mpf(n))
                for function, which in ((f, 0), (lambda k: f(k) / k, 1)):
                    tail = mpmath.quad(function, points) + (function(points[0]) + function(points[-1])) / 2
                    tail += (mpmath.diff(function, points[-1]) - mpmath.diff(function, points[0])) / 12
                    total, moment = (total + tail, moment) if which == 0 else (total, moment + tail)
            return total, moment

        target = 1 - mpmath.mpf(distortion)
        slope = mpmath.findroot(
            lambda s: sums(s)[1] / sums(s)[0] - target, (mpmath.mpf(1), mpmath.mpf(60)), solver="anderson", tol=1e-18
        )
        total, _ = sums(slope)
        return float((mpmath.log(n) - mpmath.log(total) + slope * (target - 1)) / mpmath.log(2))


def uniform_prior():
    print("\nTheorem A, reciprocal rank, uniform prior, against mpmath")
    print(f"{'N':>14} {'MRR':>5} {'bits':>20} {'|difference|':>13} {'mpmath, ms':>11} {'ours, ms':>9} {'ratio':>9}")
    for n in (1000, 10**6, 10**9, 10**12):
        for score in (0.2, 0.8):
            start = time.perf_counter()
            exact = uniform_mpmath(1 - score, n)
            theirs = 1e3 * (time.perf_counter() - start)
            ours = 1e3 * median_time(lambda n=n, s=score: ranking_rate(1 - s, n).block_until_ready())
            bits = float(ranking_rate(1 - score, n))
            record(f"R(D), N = {n:,}, MRR {score}", ours, theirs, "mpmath")
            print(
                f"{n:>14,} {score:>5} {bits:>20.14f} {abs(bits - exact):>13.1e} {theirs:>11.0f} {ours:>9.2f} {theirs / ours:>9.0f}"
            )


def pooled_scipy(distortion, prior):
    """Theorem B with SciPy's compiled pooling inside a root finder."""
    falling = np.sort(prior)[::-1]
    worth = 1 / np.arange(1.0, len(prior) + 1)
    entropy = -(prior[prior > 0] * np.log2(prior[prior > 0])).sum()

    def law(slope):
        gibbs = np.exp(slope * (worth - 1))
        return gibbs * isotonic_regression(falling / gibbs, weights=gibbs, increasing=False).x

    slope = brentq(lambda s: law(s) @ worth - (1 - distortion), 0, 60, xtol=1e-12)
    v = law(slope)
    return entropy + (v[v > 0] * np.log2(v[v > 0])).sum()


def a_million_documents():
    print("\nTheorem B, a million documents, unsorted prior, value and gradient in prior and distortion, warm")
    print(
        f"{'prior':>12} {'MRR':>5} {'bits':>14} {'|difference|':>13} {'SciPy value, ms':>16} {'ours value+gradient, ms':>24} {'ratio':>7}"
    )
    n, rng = 10**6, np.random.default_rng(0)
    zipf = 1 / np.arange(1, n + 1.0)
    priors = {
        "Dirichlet": rng.dirichlet(np.ones(n)),
        "Zipf": rng.permutation(zipf / zipf.sum()),
        "near uniform": (lambda p: p / p.sum())(1 + 1e-9 * rng.random(n)),
        "counts": (lambda c: c / c.sum())(np.bincount(np.minimum(rng.zipf(1.4, n), n) - 1, minlength=n) + 0.0),
    }
    both = jax.jit(jax.value_and_grad(ranking_rate, argnums=(0, 1)))
    for name, prior in priors.items():
        for score in (0.5, 0.8):
            exact = pooled_scipy(1 - score, prior)
            theirs = 1e3 * median_time(lambda s=score, p=prior: pooled_scipy(1 - s, p), repeats=3)
            ready = jax.device_put(prior)
            ours = 1e3 * median_time(lambda s=score, p=ready: jax.block_until_ready(both(1 - s, p)), repeats=3)
            bits = float(both(1 - score, ready)[0])
            record(f"R(D) and gradients, {name} prior of 1,000,000, MRR {score}", ours, theirs, "SciPy, value alone")
            print(
                f"{name:>12} {score:>5} {bits:>14.9f} {abs(bits - exact):>13.1e} {theirs:>16.0f} {ours:>24.0f} {theirs / ours:>7.2f}"
            )


def a_curve():
    """What an audit draws: many distortions, a prior of a thousand documents."""
    print("\nTheorem B at 53 distortions, a thousand documents, values alone, warm")
    print(f"{'prior':>12} {'|difference|':>13} {'SciPy one by one, ms':>21} {'ours, ms':>9} {'ratio':>7}")
    n, rng = 1000, np.random.default_rng(0)
    zipf = 1 / np.arange(1, n + 1.0)
    counts = np.bincount(rng.integers(0, n, 500), minlength=n)
    worth = 1 / np.arange(1, n + 1.0)
    for name, prior in (
        ("Dirichlet", rng.dirichlet(np.ones(n))),
        ("Zipf", zipf / zipf.sum()),
        ("counts", counts / 500),
    ):
        wanted = np.linspace(0.02, 0.95 * (1 - np.sort(prior)[::-1] @ worth), 53)
        every = lambda p=prior, wanted=wanted: [pooled_scipy(d, p) for d in wanted]
        exact, theirs = np.array(every()), 1e3 * median_time(every, repeats=3)
        ours = 1e3 * median_time(lambda p=prior, d=wanted: ranking_rate(d, p).block_until_ready(), repeats=3)
        found = np.asarray(ranking_rate(wanted, prior))
        record(f"R(D) at 53 distortions, {name} prior of 1,000", ours, theirs, "SciPy, one by one")
        print(f"{name:>12} {np.abs(found - exact).max():>13.1e} {theirs:>21.0f} {ours:>9.0f} {theirs / ours:>7.2f}")


def one_shot():
    print("\nTheorem C against every code of L codewords over four documents")
    rng, worst = np.random.default_rng(1), 0.0
    orders = list(itertools.permutations(range(4)))
    for weights in (reciprocal_rank, dcg, recall_at(2)):
        worth = np.asarray(weights(np.arange(1.0, 5)))
        for size in (1, 2, 3):
            prior = rng.dirichlet(np.ones(4))
            best = max(
                prior @ np.max([worth[list(o)] for o in chosen], axis=0)
                for chosen in itertools.combinations(orders, size)
            )
            worst = max(worst, abs(1 - best - float(one_shot_distortion(size, prior, weights))))
    print(f"largest |difference| in 9 cases: {worst:.1e}")


if __name__ == "__main__":
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, jax {jax.__version__}, "
        f"numpy {np.__version__}, scipy {scipy.__version__}, mpmath {mpmath.__version__}, float64"
    )
    against_all_rankings()
    uniform_prior()
    a_million_documents()
    a_curve()
    one_shot()
