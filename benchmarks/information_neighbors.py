"""KSG at n = 20,000: rdjax (k-d tree, blocks) beside scikit-learn and infomeasure, at 1+1, 5+5 and 25+25 columns.

    python benchmarks/information_neighbors.py [--n 20000] [--columns 1 5 25] [--limit 120] [--infomeasure PYTHON]
    python benchmarks/information_neighbors.py --crossover    where the k-d tree becomes faster than blocks

Every estimator reads the same arrays, k = 3, and is timed in a process of its own, warm (a run on 500 rows and one at
full size), the least of up to three runs; no other run starts once 30 s have gone into two. One that is not done with
the first after the limit shows so. What is recorded is what is used unless another is named, in float64 as theirs.
scikit-learn's estimator takes one column on either side; for more, its own parts (NearestNeighbors and KDTree.query_radius
under the Chebyshev metric, as its private function does) do the same sum here. infomeasure is run by the Python that is
named, where it is installed. Values are in bits; data share two pairs of correlation .8 (one at 1+1).
"""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import argparse
import subprocess
import sys
import tempfile
import time

import numpy as np
from rows import record

NEIGHBORS = 3


def data(n, columns, seed=0):
    z = np.random.default_rng(seed).normal(size=(n, 2 * columns))
    x, y = z[:, :columns], z[:, columns:].copy()
    pairs = min(columns, 2)
    y[:, :pairs] = 0.8 * x[:, :pairs] + 0.6 * y[:, :pairs]
    return x, y


def chosen():
    import jax

    from rdjax.information.neighbors import ksg

    jax.config.update("jax_enable_x64", True)
    return lambda x, y: float(ksg(x, y, NEIGHBORS))


def tree():
    from rdjax.information.neighbors import ksg

    return lambda x, y: float(ksg(x, y, NEIGHBORS, method="tree"))


def blocks(norm, x64):
    import jax

    from rdjax.information.neighbors import ksg

    jax.config.update("jax_enable_x64", x64)
    kind = np.float64 if x64 else np.float32
    return lambda x, y: float(ksg(x.astype(kind), y.astype(kind), NEIGHBORS, norm=norm, method="blocks"))


def sklearn():
    from scipy.special import digamma
    from sklearn.feature_selection._mutual_info import _compute_mi_cc
    from sklearn.neighbors import KDTree, NearestNeighbors

    def estimate(x, y):
        if x.shape[1] == 1:
            return _compute_mi_cc(x[:, 0], y[:, 0], NEIGHBORS) / np.log(2)
        nearest = NearestNeighbors(metric="chebyshev", n_neighbors=NEIGHBORS, n_jobs=-1).fit(np.hstack([x, y]))
        radius = np.nextafter(nearest.kneighbors()[0][:, -1], 0)
        counts = [KDTree(part, metric="chebyshev").query_radius(part, radius, count_only=True) for part in (x, y)]
        nats = digamma(len(x)) + digamma(NEIGHBORS) - sum(np.mean(digamma(count)) for count in counts)
        return nats / np.log(2)

    return estimate


def infomeasure():
    import infomeasure as im

    return lambda x, y: float(im.mutual_information(x, y, approach="ksg", k=NEIGHBORS, noise_level=0, base=2))


ESTIMATORS = {
    "rdjax": chosen,
    "rdjax, tree": tree,
    "rdjax, blocks, float64": lambda: blocks("max", True),
    "rdjax, blocks, float32": lambda: blocks("max", False),
    "rdjax, blocks, Euclidean, float64": lambda: blocks("euclidean", True),
    "rdjax, blocks, Euclidean, float32": lambda: blocks("euclidean", False),
    "scikit-learn": sklearn,
    "infomeasure": infomeasure,
}


def measure(name, path):
    """In a process of its own: value and seconds of each run, on standard output."""
    loaded = np.load(path)
    x, y = loaded["x"], loaded["y"]
    estimate = ESTIMATORS[name]()
    estimate(x[:500], y[:500])
    times = []
    for _ in range(4):  # the first compiles, or fills caches
        start = time.perf_counter()
        value = estimate(x, y)
        times.append(time.perf_counter() - start)
        print(value, min(times[1:] or times), flush=True)
        if sum(times) > 30 and len(times) > 1:
            break


def crossover():
    """Milliseconds of both methods, float64; the tree is taken where n > 100 * 2.5^(all columns)."""
    print("rows, columns a side: blocks ms, tree ms, blocks / tree; n / (100 * 2.5^(all columns))")
    for columns in (1, 2, 3):
        for n in (500, 2000, 8000, 32_000):
            x, y = data(n, columns)
            seconds = {name: least(ESTIMATORS[f"rdjax, {name}"](), x, y) for name in ("blocks, float64", "tree")}
            own, other = seconds.values()
            print(
                f"{n:6} {columns}: {1e3 * own:9.1f} {1e3 * other:9.1f} {own / other:6.2f}; {n / (100 * 2.5 ** (2 * columns)):6.2f}"
            )


def least(estimate, x, y):
    """Seconds of the fastest of three, warm."""
    times = []
    for _ in range(4):
        start = time.perf_counter()
        estimate(x, y)
        times.append(time.perf_counter() - start)
    return min(times[1:])


def run(name, python, path, limit):
    command = [python, __file__, "--measure", name, "--data", path]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        out, problem = process.communicate(timeout=limit)
    except subprocess.TimeoutExpired:
        process.kill()
        out, problem = process.communicate()
        if not out:
            return None, f"not done after {limit:.0f} s"
    if not out:
        return None, problem.strip().splitlines()[-1][:80]
    value, seconds = out.strip().splitlines()[-1].split()
    return float(value), float(seconds)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=20_000)
    parser.add_argument("--columns", type=int, nargs="+", default=[1, 5, 25])
    parser.add_argument("--limit", type=float, default=120)
    parser.add_argument("--only", nargs="+", help="names of estimators")
    parser.add_argument("--infomeasure", default=sys.executable, help="a Python that has it")
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    parser.add_argument("--data", help=argparse.SUPPRESS)
    parser.add_argument("--crossover", action="store_true")
    options = parser.parse_args()
    if options.crossover:
        return crossover()
    if options.measure:
        return measure(options.measure, options.data)
    print(f"KSG, k = {NEIGHBORS}, n = {options.n:,}, {os.cpu_count()} cores; bits, seconds\n")
    for columns in options.columns:
        x, y = data(options.n, columns)
        truth = -0.5 * min(columns, 2) * np.log2(1 - 0.8**2)
        print(f"{columns} + {columns} columns, truth {truth:.4f}")
        with tempfile.NamedTemporaryFile(suffix=".npz") as file:
            np.savez(file.name, x=x, y=y)
            seen = {}
            for name in options.only or ESTIMATORS:
                python = options.infomeasure if name == "infomeasure" else sys.executable
                value, seconds = run(name, python, file.name, options.limit)
                seen |= {name: seconds} if value is not None else {}
                shown = f"{value:9.5f} {seconds:9.3f}" if value is not None else f"{'':9} {seconds}"
                print(f"  {name:36s}{shown}", flush=True)
            own = seen.get("rdjax")
            for peer in seen.keys() & {"scikit-learn", "infomeasure"} if own else ():
                record(f"KSG, {options.n:,} rows of {columns} + {columns} columns", own, seen[peer], peer, "s")
    return None


if __name__ == "__main__":
    main()
