"""Time to a certified gap of 1e-9 bits: rdjax beside Blahut-Arimoto in NumPy and optimistix, constrained BA, clarabel, dit.

    python benchmarks/rate_distortion.py [--sizes 64 256 1024] [--sources ...] [--limit 10] [--full] [--only cases|steps|curve|batches|random|float32]

Every solver gets source, distortion and slope as arrays and is timed warm until it returns its law; one certificate in
NumPy float64, untimed, judges all of them. A peer that is not there after the limit shows the gap it reached. `whole` is
the time of rdjax's whole answer, in which it computes and allows for rounding in a certificate of its own; `called` that
of the same answer from outside `jax.jit`, with every check of what is handed in. rdjax is `interior_point`; `sharp` is
`blahut_arimoto`, the solver that its docstring names for sharp kernels, and `better` the better of these two beside the
best of the five peers. Where that takes less than 20 ms, ours, NumPy's and optimistix' are medians of 300 calls in turn.
`easy` are the cases that some Blahut-Arimoto finishes, `hard` those that none does. `batches` are many sources by
`jax.vmap`, beside a loop over the jitted solver and beside one batch of all, as accelerators get it, in rdjax alone.
Peers: pip install '.[bench]'.
"""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import argparse
import platform
import statistics
import time

import clarabel
import jax
import jax.numpy as jnp
import numpy as np
import optimistix
import scipy.sparse
from rows import record

from rdjax.rate_distortion import blahut_arimoto, curve, implicit, interior_point, rate_at, sources

jax.config.update("jax_enable_x64", True)
GAP = 1e-9
CLOSE = 20e-3  # seconds of the best peer below which all that iterate are timed anew, in turn
SHARP = 100  # steps of blahut_arimoto: where more are needed, the kernel is not sharp
SLOPES = (0.6, 2.0, 8.0, 50.0, 1000.0)
LN2 = np.log(2)


SOURCES = ("gaussian", "laplacian", "random", "zipf")


def cases(size, names=SOURCES):
    for source in (getattr(sources, name)(size) for name in names):
        for slope in SLOPES:
            yield source.name, np.asarray(source.law), np.asarray(source.distortion), slope


def kernel(distortion, slope):
    return np.exp2(-slope * (distortion - distortion.min(axis=1, keepdims=True)))


def gap(source, matrix, law):
    """Blahut's certificate in bits, float64."""
    law = np.maximum(np.asarray(law, np.float64), 0)
    law = law / law.sum()
    mix = matrix @ law
    if (mix[source > 0] <= 0).any():
        return np.inf
    ratio = (source / np.where(source > 0, mix, 1)) @ matrix
    return np.log2(ratio.max()) - (law * ratio) @ np.log2(np.maximum(ratio, 1e-300))


def timed(function, repeats=20, budget=1.0):
    """Least of a few warm runs, and the last answer."""
    jax.block_until_ready(function())
    times = []
    while len(times) < repeats and (not times or sum(times) < budget):
        start = time.perf_counter()
        answer = jax.block_until_ready(function())
        times.append(time.perf_counter() - start)
    return min(times), answer


def least_of(function, repeats=20, budget=1.0):
    """The same for a peer that takes its own time: (seconds, gap) of its best run."""
    runs = [function()]
    while len(runs) < repeats and sum(spent for spent, _ in runs) < budget:
        runs.append(function())
    return min(runs)


def alternating(runs, rounds=300):
    """Medians of seconds, each called in turn: what the machine does to one it does to all."""
    times = [[] for _ in runs]
    for _ in range(rounds):
        for run, taken in zip(runs, times, strict=True):
            start = time.perf_counter()
            jax.block_until_ready(run())
            taken.append(time.perf_counter() - start)
    return [statistics.median(taken) for taken in times]


def by_numpy(source, distortion, slope, limit):
    start = time.perf_counter()
    matrix = kernel(distortion, slope)
    law = np.full(matrix.shape[1], 1 / matrix.shape[1])
    while True:
        ratio = (source / (matrix @ law)) @ matrix
        reached = np.log2(ratio.max()) - (law * ratio) @ np.log2(np.maximum(ratio, 1e-300))
        spent = time.perf_counter() - start
        if reached <= GAP or spent > limit:
            return spent, reached
        law = law * ratio


def by_constrained(source, distortion, slope, target, limit):
    """Chen et al., arXiv 2305.02650: the slope is solved for at every step, so the distortion is met throughout."""
    start = time.perf_counter()
    excess = distortion - distortion.min(axis=1, keepdims=True)
    law = np.full(excess.shape[1], 1 / excess.shape[1])
    nats = slope * LN2
    while True:
        for _ in range(20):
            matrix = np.exp(-nats * excess)
            channel = matrix * law
            channel /= channel.sum(axis=1, keepdims=True)
            first = (channel * excess).sum(axis=1)
            off = source @ first - target
            fall = source @ ((channel * excess**2).sum(axis=1) - first**2)
            if abs(off) <= 1e-13 * max(target, 1e-300) or fall <= 0:
                break
            nats = max(nats + off / fall, nats / 4)
        law = source @ channel
        reached = gap(source, matrix, law)
        spent = time.perf_counter() - start
        if reached <= GAP or spent > limit:
            return spent, reached


def by_optimistix(source, distortion, slope, limit):
    """Its fixed point iteration on the Blahut-Arimoto map; the loosest of its tolerances that certifies counts.

    (seconds, gap), and that call.
    """
    p, d = jnp.asarray(source), jnp.asarray(distortion)
    matrix = kernel(distortion, slope)

    def called(tolerance, steps):
        def solve(p, d, s):
            k = jnp.exp2(-s * (d - jnp.min(d, axis=1, keepdims=True)))
            step = lambda law, _: law * ((p / (k @ law)) @ k)
            start = jnp.full(d.shape[1], 1 / d.shape[1])
            solver = optimistix.FixedPointIteration(rtol=tolerance, atol=tolerance)
            return optimistix.fixed_point(step, solver, start, max_steps=steps, throw=False).value

        solve = jax.jit(solve)
        return lambda: solve(p, d, slope)

    pace = timed(called(0.0, 200), budget=0.3)[0] / 200
    best, call = (limit, np.inf), None
    for tolerance in (1e-9, 1e-11, 1e-13, 1e-15):
        run = called(tolerance, max(1, int(limit / pace)))
        spent, law = timed(run, budget=0.3)
        reached = gap(source, matrix, law)
        rank = lambda pair: (pair[1] > GAP, pair[1] if pair[1] > GAP else pair[0])
        if call is None or rank((spent, reached)) < rank(best):
            best, call = (spent, reached), run
        if reached <= GAP or spent > 0.8 * limit:
            break
    return best, call


def by_clarabel(source, distortion, slope, limit):
    """The dual in exponential cones: maximize sum p ln v subject to K'v <= 1; its multipliers are the law."""
    start = time.perf_counter()
    matrix = kernel(distortion, slope)
    rows, columns = matrix.shape
    cone = scipy.sparse.lil_matrix((3 * rows, 2 * rows))
    for x in range(rows):  # (t, 1, v) with exp(t) <= v
        cone[3 * x, x] = -1
        cone[3 * x + 2, rows + x] = -1
    limits = scipy.sparse.hstack([scipy.sparse.csc_matrix((columns, rows)), scipy.sparse.csc_matrix(matrix.T)])
    offset = np.zeros(3 * rows)
    offset[1::3] = 1
    settings = clarabel.DefaultSettings()
    settings.verbose = False
    settings.time_limit = limit
    settings.tol_gap_abs = settings.tol_gap_rel = settings.tol_feas = 1e-11
    solver = clarabel.DefaultSolver(
        scipy.sparse.csc_matrix((2 * rows, 2 * rows)),
        np.concatenate([-source, np.zeros(rows)]),
        scipy.sparse.vstack([cone, limits]).tocsc(),
        np.concatenate([offset, np.ones(columns)]),
        [clarabel.ExponentialConeT()] * rows + [clarabel.NonnegativeConeT(columns)],
        settings,
    )
    found = solver.solve()
    return time.perf_counter() - start, gap(source, matrix, np.asarray(found.z)[3 * rows :])


def by_dit(source, distortion, slope, limit):
    """dit stops on np.isclose of the distortion; square problems only; slopes in bits."""
    from dit.rate_distortion.blahut_arimoto import _blahut_arimoto

    start = time.perf_counter()
    size = len(source)
    _, joint = _blahut_arimoto(
        p_x=source,
        beta=slope,
        q_y_x=np.full((size, size), 1 / size),
        distortion=lambda p, q: distortion,
        max_iters=10_000,
    )
    spent = time.perf_counter() - start
    return spent, gap(source, kernel(distortion, slope), np.asarray(joint).sum(axis=0))


@jax.jit
def ours(source, distortion, slope):
    """The whole answer: law, rate, distortion and the certificate, which no peer computes."""
    return interior_point(source, distortion, slope, tolerance=GAP)


@jax.jit
def our_law(source, distortion, slope):
    """The law and no more, as the peers' calls."""
    return interior_point(source, distortion, slope, tolerance=GAP).output


@jax.jit
def swept_law(source, distortion, slope):
    """The same by the solver that the docstrings name for sharp kernels."""
    return blahut_arimoto(source, distortion, slope, tolerance=GAP, max_steps=SHARP).output


def by_sweeps(p, d, slope):
    """(seconds, gap)."""
    spent, law = timed(lambda: swept_law(p, d, slope), budget=0.5)
    return spent, gap(np.asarray(p), kernel(np.asarray(d), slope), law)


def show(pair):
    spent, reached = pair
    return f"{1e3 * spent:9.2f}" if reached <= GAP else f"gap {reached:7.0e}"


def all_cases(sizes, limit, chosen):
    print(f"milliseconds to a certified gap of {GAP:g} bits, or the gap after {limit:g} s; steps are Newton steps")
    names = ("numpy BA", "optimistix", "constrained BA", "clarabel", "dit")
    table = []
    for size in sizes:
        for name, source, distortion, slope in cases(size, chosen):
            p, d = jnp.asarray(source), jnp.asarray(distortion)
            whole, found = timed(lambda p=p, d=d, slope=slope: ours(p, d, slope))
            called, _ = timed(lambda p=p, d=d, slope=slope: interior_point(p, d, slope, tolerance=GAP))
            spent, law = timed(lambda p=p, d=d, slope=slope: our_law(p, d, slope))
            reached = gap(source, kernel(distortion, slope), law)
            swept = by_sweeps(p, d, slope)
            claimed = gap(source, kernel(distortion, slope), found.output)  # of the very law it was claimed for
            assert claimed <= float(found.gap), "a gap was claimed smaller than it is"
            target = float(found.distortion) - source @ distortion.min(axis=1)
            found_by_optimistix, call = by_optimistix(source, distortion, slope, limit)
            peers = [
                least_of(lambda a=(source, distortion, slope, limit): by_numpy(*a)),
                found_by_optimistix,
                least_of(lambda a=(source, distortion, slope, target, limit): by_constrained(*a))
                if target > 1e-9
                else (limit, np.inf),
                by_clarabel(source, distortion, slope, limit) if size <= 256 else (limit, np.inf),
                by_dit(source, distortion, slope, limit) if size <= 64 else (limit, np.inf),
            ]
            calls = (lambda a=(source, distortion, slope, limit): by_numpy(*a), call)
            close = [i for i in (0, 1) if peers[i][0] < CLOSE and peers[i][1] <= GAP]
            if close:
                mine = [lambda p=p, d=d, s=slope, f=f: f(p, d, s) for f in (our_law, swept_law)]
                spent, by_swept, *theirs = alternating([*mine, *(calls[i] for i in close)])
                swept = (by_swept, swept[1])
                for i, seconds in zip(close, theirs, strict=True):
                    peers[i] = (seconds, peers[i][1])
            for label, (peer_spent, peer_gap) in zip(names, peers, strict=True):
                if peer_gap <= GAP:
                    record(f"{name}, slope {slope:g}", 1e3 * spent, 1e3 * peer_spent, label)
                elif label == "dit" and np.isfinite(peer_gap):  # it stops by itself, wherever it is
                    record(
                        f"{name}, slope {slope:g}, dit to a gap of {peer_gap:.0e}", 1e3 * spent, 1e3 * peer_spent, label
                    )
            table.append((size, name, slope, spent, reached, int(found.steps), whole, called, swept, peers))
            row = "  ".join(f"{label} {show(pair):>11}" for label, pair in zip(names, peers, strict=True))
            print(
                f"{size:5d} {name[:20]:20s} {slope:6g}  rdjax {show((spent, reached)):>9} whole {1e3 * whole:8.2f} called {1e3 * called:8.2f} ({int(found.steps):2d}) sharp {show(swept):>11}  {row}",
                flush=True,
            )
    summary(table, names)


def summary(table, names):
    iterative = lambda peers: [spent for spent, reached in peers[:3] if reached <= GAP]
    easy = [row for row in table if iterative(row[-1])]
    hard = [row for row in table if not iterative(row[-1])]
    for size in sorted({row[0] for row in table}):
        better = lambda row: min(row[3], *(spent for spent, reached in [row[8]] if reached <= GAP), np.inf)
        kinds = {"law": lambda row: row[3], "whole answer": lambda row: row[6], "called": lambda row: row[7]}
        for label, taken in (kinds | {"better of interior point and blahut_arimoto": better}).items():
            ratios = [min(s for s, g in row[-1] if g <= GAP) / taken(row) for row in easy if row[0] == size]
            if ratios:
                slower = sum(ratio < 1 for ratio in ratios)
                print(
                    f"easy, {size}, {label}: {len(ratios)} cases, best peer / rdjax: median {statistics.median(ratios):.1f}, "
                    f"least {min(ratios):.2f}, {slower} slower"
                )
        ours = [row for row in hard if row[0] == size]
        if ours:
            worst, steps = max(row[6] for row in ours), max(row[5] for row in ours)
            sure = sum(row[4] <= GAP for row in ours)
            print(f"hard, {size}: {sure} of {len(ours)} certified, slowest {1e3 * worst:.0f} ms, most steps {steps}")


def blahut_steps(sizes, most=20_000):
    """What the extrapolation in `rdjax.rate_distortion.ascent` saves: steps of two matrix-vector products each."""
    print(f"\nsteps of Blahut-Arimoto to {GAP:g} bits, plain (NumPy) and ours; > where {most:,} were not enough")
    for size in sizes:
        for name, source, distortion, slope in cases(size):
            matrix, law, plain = kernel(distortion, slope), np.full(size, 1 / size), 0
            while gap(source, matrix, law) > GAP and plain < most:
                law, plain = law * ((source / (matrix @ law)) @ matrix), plain + 1
            found = blahut_arimoto(source, distortion, slope, tolerance=GAP, max_steps=most)
            mark = lambda steps, done: f"{'' if done else '> '}{steps:,}"
            print(
                f"{size:5d} {name[:20]:20s} {slope:6g}  plain {mark(plain, plain < most):>8}  ours {mark(int(found.steps), int(found.status) == 0):>8}",
                flush=True,
            )


def whole_curve():
    size, count = 1024, 64
    source = sources.gaussian(size)
    p, d = jnp.asarray(source.law), jnp.asarray(source.distortion)
    print("\na curve: slopes .5 to 500, Gaussian, interior point to 1e-9, against matrix products at full speed")
    a = jnp.asarray(np.random.default_rng(0).random((size, size)))
    product = jax.jit(jnp.matmul)
    peak = 2 * size**3 / timed(lambda: product(a, a))[0]
    for n, s in ((256, 16), (256, 64), (512, 64), (size, 16), (size, count)):
        source = sources.gaussian(n)
        p, d = jnp.asarray(source.law), jnp.asarray(source.distortion)
        spent, found = timed(lambda p=p, d=d, s=s: curve(p, d, jnp.geomspace(0.5, 500, s)), repeats=1)
        flops = float(jnp.sum(found.steps)) * (2 * n**3 * (5 / 8 if n >= 512 else 1) + n**3 / 3)  # as `newton` does it
        worst = float(jnp.max(found.gap))
        print(
            f"{n:5d} x {n:<5d} {s:3d} slopes  {spent:7.2f} s  worst gap {worst:.1e}  {flops / spent / 1e9:5.1f} GF/s = {flops / spent / peak:.0%} of the peak"
        )


def batches():
    """jax.vmap over sources: as it is on this processor, a loop over the same solver, and one batch of all."""
    usual, rng = implicit.AT_ONCE, np.random.default_rng(0)
    print(
        "\nmany random sources, one random distortion: a loop over the jitted solver, times that of jax.vmap; so one batch"
    )
    for rows, columns, count in ((300, 500, 6), (64, 64, 32), (12, 12, 256)):
        distortion, laws = rng.random((rows, columns)), rng.dirichlet(np.ones(rows), count)
        least, most = laws @ distortion.min(axis=1), (laws @ distortion).min(axis=1)
        for name, solve in (
            ("interior_point", lambda p, at, d=distortion: interior_point(p, d, 8.0)),
            ("blahut_arimoto", lambda p, at, d=distortion: blahut_arimoto(p, d, 8.0)),
            ("rate_at", lambda p, at, d=distortion: rate_at(p, d, at)),
        ):
            given, alone = (laws, least + 0.4 * (most - least)), jax.jit(solve)
            spent = [timed(lambda a=alone, g=given: [a(*one) for one in zip(*g, strict=True)], repeats=5)[0]]
            for implicit.AT_ONCE in (usual, 2**40):
                jax.clear_caches()
                together = jax.jit(jax.vmap(solve))
                spent.append(timed(lambda f=together, g=given: f(*g), repeats=5)[0])
            loop, ours, batch = spent
            print(
                f"{rows:5d} x {columns:<5d} {count:3d} sources  {name:16s} {1e3 * ours:8.1f} ms   loop {loop / ours:5.2f}   one batch {batch / ours:5.2f}"
            )
    implicit.AT_ONCE = usual


def random_problems(count):
    """No NaN and no false gap, with the edges: zeros, forbidden pairs, ties, slopes 0 to 1e4, both precisions."""
    rng = np.random.default_rng(1)
    shapes = [(1, 1), (2, 5), (7, 3), (8, 8), (16, 24)]
    wrong = {"NaN": 0, "gap too small": 0, "not certified": 0}
    largest = 0.0
    for precision, tolerance in (("float64", 1e-9), ("float32", 1e-4)):
        solvers = {
            name: jax.jit(jax.vmap(lambda p, d, s, f=f, t=tolerance: f(p, d, s, tolerance=t)))
            for name, f in (("interior_point", interior_point), ("blahut_arimoto", blahut_arimoto))
        }
        for shape in shapes:
            batch = count // len(shapes)
            p = rng.dirichlet(np.full(shape[0], 0.5), size=batch)
            p[rng.random(p.shape) < 0.1] = 0
            p[p.sum(axis=1) == 0] = 1
            p /= p.sum(axis=1, keepdims=True)
            d = rng.random((batch, *shape))
            d[::3] = np.round(4 * d[::3]) / 4
            forbidden = rng.random(d.shape) < 0.2
            forbidden[..., 0] = False
            d[1::4] = np.where(forbidden[1::4], np.inf, d[1::4])
            s = rng.choice([0, 0.1, 0.6, 2, 8, 50, 1000, 1e4], size=batch)
            with jax.enable_x64(precision == "float64"):
                p, d, s = (np.asarray(x, precision) for x in (p, d, s))
                p /= p.sum(axis=1, keepdims=True)
                for name, solve in solvers.items():
                    found = jax.tree.map(np.asarray, solve(p, d, s))
                    finite = [np.isfinite(leaf).reshape(batch, -1).all(axis=1) for leaf in jax.tree.leaves(found)]
                    wrong["NaN"] += int((~np.all(finite, axis=0)).sum())
                    wrong["not certified"] += int((found.status != 0).sum()) if name == "interior_point" else 0
                    for i in range(batch):
                        excess = d[i].astype(np.float64) - d[i].min(axis=1, keepdims=True)
                        matrix = np.where(
                            np.isfinite(excess), np.exp2(-float(s[i]) * np.where(np.isfinite(excess), excess, 0)), 0
                        )
                        law = p[i].astype(np.float64) / p[i].astype(np.float64).sum()
                        true = gap(law, matrix, found.output[i])
                        wrong["gap too small"] += bool(true > found.gap[i])
                        largest = max(largest, true - found.gap[i])
        print(
            f"{precision}: {batch * len(shapes)} random problems, two solvers: {wrong}, largest true - claimed gap {largest:.1e}"
        )


def float32_gaps(sizes):
    print("\nfloat32, asked for 1e-4 bits: claimed gap, true gap in float64, status")
    for size in sizes:
        for name, source, distortion, slope in cases(size):
            with jax.enable_x64(False):
                p, d = jnp.asarray(source, jnp.float32), jnp.asarray(distortion, jnp.float32)
                found = interior_point(p, d, slope, tolerance=1e-4)
            law = np.asarray(p, np.float64)
            true = gap(law / law.sum(), kernel(np.asarray(d, np.float64), slope), found.output)
            mark = "" if found.status == 0 and true <= found.gap else "   <-"
            print(
                f"{size:5d} {name[:20]:20s} {slope:6g}  {float(found.gap):.1e}  {true:.1e}  {int(found.status)}{mark}"
            )


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--sizes", type=int, nargs="+", default=[64, 256, 1024])
    options.add_argument("--sources", choices=SOURCES, nargs="+", default=SOURCES)
    options.add_argument("--limit", type=float, default=10.0, help="seconds that a peer is given")
    options.add_argument("--full", action="store_true", help="60 seconds a peer")
    options.add_argument("--only", choices=["cases", "steps", "curve", "batches", "random", "float32"])
    options.add_argument("--problems", type=int, default=10_000)
    given = options.parse_args()
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, jax {jax.__version__}, optimistix {optimistix.__version__}, numpy {np.__version__}"
    )
    if given.only in (None, "cases"):
        all_cases(given.sizes, 60.0 if given.full else given.limit, given.sources)
    if given.only in (None, "steps"):
        blahut_steps([size for size in given.sizes if size <= 256])
    if given.only in (None, "curve"):
        whole_curve()
    if given.only in (None, "batches"):
        batches()
    if given.only in (None, "float32"):
        float32_gaps(given.sizes)
    if given.only in (None, "random"):
        print()
        random_problems(given.problems)


if __name__ == "__main__":
    main()
