"""Entropy and mutual information of counts beside infomeasure: values and time, in one run.

    python benchmarks/information_discrete.py [--histograms 10000] [--symbols 20] [--observations 100] [--loop 1000]
                                               [--rounds 1] [--peer-packages DIR]

infomeasure (`pip install infomeasure`; AGPL, so rdjax neither ships nor needs it) is called as its documentation says,
one data set at a time, in float64; where it is not installed its columns are empty. It takes observations, we take
counts: `ms` is our time for all histograms at once from counts, warm, median of 5; `+ counting` has the time of our
`contingency_table` on the observations added. infomeasure's time is that of a loop over --loop of the same data sets,
scaled to all of them. A ratio is its time over ours with counting: above 1, we are faster.

Its methods by our names: plugin "discrete", james_stein "shrink", jeffreys "bayes" with alpha="jeffrey". It differs
in three places, which are shown and not compared: NSB (a closed form and 30 digits say which is right), the mutual
information of "shrink" (it averages under the frequencies; we compare the sum of its three entropies), and "bayes" with
K stated (it leaves the symbols that were not seen out of the sum; there K is unknown to both here).
"""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import argparse
import logging
import math
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from rows import record

from rdjax.information import contingency, counts, discrete

NAMES = {
    "plugin": {"approach": "discrete"},
    "miller_madow": {"approach": "miller_madow"},
    "grassberger": {"approach": "grassberger"},
    "chao_shen": {"approach": "chao_shen"},
    "james_stein": {"approach": "shrink"},
    "jeffreys": {"approach": "bayes", "alpha": "jeffrey"},
    "nsb": {"approach": "nsb"},
}
HISTOGRAMS = {
    "uniform": [5] * 8,
    "skewed": [4, 2, 3, 1],
    "Zipf": [60, 30, 20, 15, 12, 10, 8, 7, 6, 6],
    "all seen once": [1] * 9,
    "one symbol": [7],
    "one observation": [1],
    "pairs": [2] * 12,
    "long tail": [200, 40, 5, 2, 1, 1, 1, 1, 1, 1],
    "large": [30_000, 20_000, 9_000, 1],
    "many symbols": [3, 2, 1, 1] * 100,
}
NSB_CASES = [([1], 10), ([1], 10**6), ([3, 2], 2), ([4, 2, 3, 1], 4), ([4, 2, 3, 1], 10), ([300, 200, 100], 3)]


def peer() -> Any:
    """infomeasure, or None with a sentence."""
    try:
        import infomeasure
    except ImportError:
        print("infomeasure is not installed, so its columns are empty; install it with: pip install infomeasure\n")
        return None
    logging.disable(logging.CRITICAL)  # it warns of each histogram it cannot do
    return infomeasure


def observations(histogram: Any) -> np.ndarray:
    """Symbols, as infomeasure takes them."""
    return np.repeat(np.arange(len(histogram)), histogram)


def their_entropy(infomeasure: Any, histogram: Any, method: str, **known: int) -> float:
    return float(infomeasure.entropy(observations(histogram), base=2, **NAMES[method], **known))


def median_ms(call: Callable[[], Any], repeats: int = 5) -> float:
    call()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        times.append(1e3 * (time.perf_counter() - start))
    return statistics.median(times)


def equality(infomeasure: Any) -> None:
    """The largest difference over the table, of entropies and of mutual information; nsb apart."""
    wide = np.zeros((len(HISTOGRAMS), 400), int)
    for row, histogram in zip(wide, HISTOGRAMS.values(), strict=True):
        row[: len(histogram)] = histogram
    tables = np.random.default_rng(1).multinomial(60, np.full(12, 1 / 12), size=10).reshape(10, 3, 4)
    print(f"equality: {len(wide)} histograms ({', '.join(HISTOGRAMS)}) and 10 tables of 3 x 4; bits")
    print(f"{'method':14}{'entropy':>12}{'information':>14}   finite in ours, in theirs")
    for method in NAMES:
        ours = np.asarray(counts.entropy_from_counts(wide, method))
        information = np.asarray(contingency.mutual_information_from_counts(tables, method))
        line = f"{method:14}"
        if infomeasure is not None:
            h = lambda part, method=method: their_entropy(infomeasure, part, method)
            theirs = np.array([h(histogram) for histogram in HISTOGRAMS.values()])
            sums = np.array([h(t.sum(1)) + h(t.sum(0)) - h(t.ravel()) for t in tables])
            # where theirs is NaN there is nothing to compare; a NaN of ours is a difference
            far = lambda a, b: np.where(a == b, 0, np.abs(a - b))[~np.isnan(b)].max(initial=0)
            off = [far(ours, theirs), far(information, sums)]
            assert method == "nsb" or np.less(off, 1e-10).all(), f"{method} differs by {max(off):.1e}"
            line += f"{off[0]:12.1e}{off[1]:14.1e}   {np.isfinite(ours).sum()}, {np.isfinite(theirs).sum()}"
        else:
            line += f"{'-':>12}{'-':>14}   {np.isfinite(ours).sum()}, -"
        print(line)


def given_laws(infomeasure: Any) -> None:
    """Functionals of a law: ours of the frequencies, theirs of the observations."""
    generator = np.random.default_rng(2)
    x, y, z = (generator.integers(0, k, 500) for k in (4, 4, 3))
    y = (x + y) // 2
    law = lambda *columns: np.asarray(contingency.contingency_table(*columns, sizes=(4, 4, 3)[: len(columns)])) / 500
    ours = {
        "cross-entropy": discrete.cross_entropy(law(x), law(y)),
        "Kullback-Leibler": discrete.kl(law(x), law(y)),
        "Jensen-Shannon": discrete.jensen_shannon(law(x), law(y)),
        "joint entropy": discrete.joint_entropy(law(x, y)),
        "mutual": discrete.mutual_information(law(x, y)),
        "conditional mutual": discrete.conditional_mutual_information(law(x, y, z)),
    }
    print("\nof given laws (bits)")
    if infomeasure is None:
        print("   ".join(f"{name} {float(value):.6f}" for name, value in ours.items()))
        return
    how = {"approach": "discrete", "base": 2}
    theirs = {
        "cross-entropy": infomeasure.cross_entropy(x, y, **how),
        "Kullback-Leibler": infomeasure.kld(x, y, **how),
        "Jensen-Shannon": infomeasure.jsd(x, y, **how),
        "joint entropy": infomeasure.entropy((x, y), **how),
        "mutual": infomeasure.mutual_information(x, y, **how),
        "conditional mutual": infomeasure.cmi(x, y, cond=z, **how),
    }
    for name, value in ours.items():
        off = abs(float(value) - float(theirs[name]))
        assert off < 1e-10, f"{name} differs by {off:.1e}"
        print(f"{name:20}{float(value):10.6f}{off:10.1e}")


def nsb_truth(histogram: list[int], size: int) -> float:
    """NSB by 30-digit arithmetic and equal steps in ln beta; nan without mpmath."""
    try:
        import mpmath
    except ImportError:
        return math.nan
    with mpmath.workdps(30):
        n, total, above, below = [mpmath.mpf(c) for c in histogram], sum(histogram), 0, 0
        for step in range(-300, 226):
            b = mpmath.exp(mpmath.mpf(step) / 5)
            mass = total + size * b
            log = mpmath.loggamma(size * b) - mpmath.loggamma(mass)
            log += sum(mpmath.loggamma(c + b) - mpmath.loggamma(b) for c in n)
            weight = mpmath.exp(log) * b
            weight *= size * mpmath.polygamma(1, size * b + 1) - mpmath.polygamma(1, b + 1)
            mean = mpmath.digamma(mass + 1) - sum((c + b) * mpmath.digamma(c + b + 1) for c in n) / mass
            mean -= (size - len(n)) * b * mpmath.digamma(b + 1) / mass
            above, below = above + weight * mean, below + weight
        return float(above / below / mpmath.log(2))


def nsb(infomeasure: Any) -> None:
    """Where the two differ, and who is right; of one observation the answer is half of log2 K by symmetry."""
    print("\nNSB (bits): the integrals of Nemenman, Shafee and Bialek to 30 digits, ours, infomeasure's")
    print(f"{'histogram':18}{'K':>9}{'30 digits':>16}{'rdjax':>16}{'infomeasure':>16}")
    for histogram, size in NSB_CASES:
        padded = np.array(histogram + [0] * (4 - len(histogram)))
        ours = float(counts.entropy_from_counts(padded, "nsb", symbols=size))
        truth = nsb_truth(histogram, size)
        assert not abs(ours - truth) > 1e-10, f"NSB of {histogram} is off by {ours - truth:.1e}"
        theirs = math.nan if infomeasure is None else their_entropy(infomeasure, histogram, "nsb", K=size)
        print(f"{histogram!s:18}{size:9}{truth:16.10f}{ours:16.10f}{theirs:16.10f}")


def speed(infomeasure: Any, options: argparse.Namespace) -> None:
    generator = np.random.default_rng(0)
    laws = generator.dirichlet(np.ones(options.symbols), options.histograms)
    drawn = generator.multinomial(options.observations, laws)
    data = np.stack([observations(row) for row in drawn])
    tabulate = jax.jit(jax.vmap(lambda row: contingency.contingency_table(row, sizes=(options.symbols,))))
    count = median_ms(lambda: jax.block_until_ready(tabulate(data)))
    np.testing.assert_array_equal(tabulate(data), drawn)
    print(
        f"\ntime: {options.histograms} histograms of {options.observations} observations, {options.symbols} symbols; "
        f"counting {count:.1f} ms"
    )
    print(f"{'method':14}{'ms':>9}{'+ counting':>12}{'infomeasure ms':>16}{'ratio':>8}")
    for method in NAMES:
        ours = median_ms(lambda method=method: jax.block_until_ready(counts.entropy_from_counts(drawn, method)))
        line = f"{method:14}{ours:9.1f}{ours + count:12.1f}"
        if infomeasure is not None:
            first = data[: options.loop]
            infomeasure.entropy(first[0], base=2, **NAMES[method])
            start = time.perf_counter()
            for row in first:
                infomeasure.entropy(row, base=2, **NAMES[method])
            theirs = 1e3 * (time.perf_counter() - start) * options.histograms / len(first)
            record(f"entropy of {options.histograms:,} histograms, {method}", ours + count, theirs, "infomeasure")
            line += f"{theirs:16.0f}{theirs / (ours + count):8.0f}"
        print(line)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for flag, default in (
        ("histograms", 10_000),
        ("symbols", 20),
        ("observations", 100),
        ("loop", 1000),
        ("rounds", 1),
    ):
        parser.add_argument(f"--{flag}", type=int, default=default)
    parser.add_argument("--peer-packages", help="a folder of packages that has infomeasure, searched after our own")
    parser.add_argument("--peer-python", help="or a Python that has it")
    options = parser.parse_args()
    if options.peer_python:
        ask = [options.peer_python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]
        options.peer_packages = subprocess.run(ask, check=True, capture_output=True, text=True).stdout.strip()
    sys.path += [options.peer_packages] if options.peer_packages else []
    warnings.simplefilter("ignore", RuntimeWarning)  # infomeasure's overflows
    with jax.enable_x64(True):
        infomeasure = peer()
        equality(infomeasure)
        given_laws(infomeasure)
        nsb(infomeasure)
        for _ in range(options.rounds):
            speed(infomeasure, options)


if __name__ == "__main__":
    main()
