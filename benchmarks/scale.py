"""Ranks from a laptop to a pod: the rate of counting, more devices and processes, ten million documents.

    python benchmarks/scale.py [--only ranks law strong weak processes sweep] [--quick]

ranks      10,000 queries x 200,000 documents x 64, x 100,000 x 64 and x 100,000 x 512, float32: `count_above` beside
           XLA's matrix product (all that XLA can do here) and NumPy's (what the machine can), NumPy counting, and faiss'
           flat top 100, which says nothing of ranks beyond. Ways take turns in one process; asked of `count_above`: 60%,
           75% and 95% of a product, faster than the last two, under 1 GB beside its arguments.
law        seconds and memory over three decades of documents, 1,000 queries x 64 in float16 on disk; 8 GB at most.
strong     the same corpus over 1, 2, 4 and 8 devices; weak: as many documents again for each device. These are fake
           devices of one machine, which has no more cores for more of them: an ideal is a constant rate, and what is
           lost is what sharing costs.
processes  one process of one core against two of one core each, joined by jax.distributed.
sweep      `benchmarks/sweep.py`, which says what it measures.

Counts of a corpus are compared over all devices and processes that ranked it: they are the same.
"""

import argparse
import hashlib
import json
import os
import resource
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
from rows import record

ROOT = Path(__file__).resolve().parent.parent
RUNS = 3  # of each way to count ranks
ASKED = ((200_000, 64, 0.60), (100_000, 64, 0.75), (100_000, 512, 0.95))  # documents, dimension, share
MEMORY = {"rates": 1.0, "law": 8.0}  # GB
LARGEST, DIMENSION, QUERIES = 10_000_000, 64, 1000
DEVICES = (1, 2, 4, 8)
LIMIT = f"limit: {os.cpu_count()} cores, whatever the devices; below 1 is what their chunks and dispatches cost"


# how much of a product the counting of ranks reaches


def resident():
    """Bytes of this process in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def extra_memory(work):
    """The most bytes beyond those held before, while it works."""
    before, most, done = resident(), [0], threading.Event()

    def watch():
        while not done.wait(0.002):
            most[0] = max(most[0], resident())

    watcher = threading.Thread(target=watch)
    watcher.start()
    work()
    done.set()
    watcher.join()
    return max(most[0] - before, 0)


def counting(asked, rows, relevant):
    """Ranks by NumPy: a block of scores, and two comparisons of it."""
    for start in range(0, len(asked), 512):
        scores = asked[start : start + 512] @ rows.T
        own = np.take_along_axis(scores, relevant[start : start + 512, None], axis=1)
        np.count_nonzero(scores > own, axis=1), np.count_nonzero(scores == own, axis=1)


def rates(documents, queries, dimension, asked_for):
    import faiss
    import jax

    from rdjax.retrieval import count_above

    rng = np.random.default_rng(0)
    square = rng.standard_normal((4096, 4096), np.float32)
    rows, asked = (rng.standard_normal((n, dimension), np.float32) for n in (documents, queries))
    relevant = rng.integers(documents, size=queries)
    on_device, product = jax.numpy.asarray(square), jax.jit(lambda a: a @ a)
    index = faiss.IndexFlatIP(dimension)
    index.add(rows)
    product(on_device).block_until_ready()
    extra = extra_memory(lambda: count_above(asked, rows, relevant))
    whole, pairs = 2 * 4096**3, 2 * documents * queries * dimension
    ways = {
        "matrix product, XLA": (whole, lambda: product(on_device).block_until_ready()),
        "matrix product, NumPy": (whole, lambda: square @ square),
        "count_above": (pairs, lambda: count_above(asked, rows, relevant)),
        "NumPy, ranks by counting": (pairs, lambda: counting(asked, rows, relevant)),
        "faiss flat, the first 100": (pairs, lambda: index.search(asked, 100)),
    }
    seconds = {name: [] for name in ways}
    for _ in range(RUNS):
        for name, (_, work) in ways.items():
            start = time.perf_counter()
            work()
            seconds[name].append(time.perf_counter() - start)
    rate = {name: work / min(seconds[name]) / 1e9 for name, (work, _) in ways.items()}
    print(f"{queries:,} queries x {documents:,} documents x {dimension}, float32; asked: {asked_for:.0%}")
    for name, each in rate.items():
        shares = [f"{each / rate[f'matrix product, {whose}']:>6.0%} of {whose}'s" for whose in ("XLA", "NumPy")]
        print(f"  {name:<28}{min(seconds[name]):>8.2f} s{each:>7.0f} GF/s{''.join(shares)}", flush=True)
    for name in ("NumPy, ranks by counting", "faiss flat, the first 100"):
        print(f"  count_above against {name}: {rate['count_above'] / rate[name]:.2f} times as fast")
        row = f"ranks of {queries:,} queries among {documents:,} documents x {dimension}"
        record(row, min(seconds["count_above"]), min(seconds[name]), name, "s")
    print(
        f"  beside its arguments it held {extra / 2**30:.2f} GB at most, compiling included (at most {MEMORY['rates']})"
    )


# ranks in processes of their own


def write_corpus(place, documents):
    """Documents in float16 and queries in float32, a block at a time; one relevant document for each query."""
    rng = np.random.default_rng(0)
    out = np.lib.format.open_memmap(place / "documents.npy", "w+", np.float16, (documents, DIMENSION))
    for start in range(0, documents, 2**18):
        out[start : start + 2**18] = rng.standard_normal(out[start : start + 2**18].shape, np.float32)
    out.flush()
    np.save(place / "queries.npy", rng.standard_normal((QUERIES, DIMENSION), np.float32))
    np.save(place / "places.npy", rng.random(QUERIES))


def work(place, out, documents, devices, cores, processes, process, port):
    """One process: counts, how long they took once compiled, and the most memory it ever had."""
    if cores:
        os.sched_setaffinity(0, {sorted(os.sched_getaffinity(0))[process]})
    os.environ["XLA_FLAGS"] = f"--xla_force_host_platform_device_count={devices}"
    import jax
    from jax.sharding import Mesh

    from rdjax.retrieval import count_above

    if processes > 1:
        jax.distributed.initialize(f"127.0.0.1:{port}", processes, process)
    mesh = Mesh(np.array(jax.devices()), ("documents",))
    rows = np.load(place / "documents.npy", mmap_mode="r")[:documents]
    queries, relevant = np.load(place / "queries.npy"), (np.load(place / "places.npy") * documents).astype(int)
    few = rows[: min(documents, 16384 * mesh.size)]
    count_above(queries, few, relevant % len(few), mesh=mesh)  # compiles
    start, spent = time.perf_counter(), time.process_time()
    counts = count_above(queries, rows, relevant, mesh=mesh)
    found = {
        "seconds": time.perf_counter() - start,
        "cores": (time.process_time() - spent) / (time.perf_counter() - start),
        "bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "counts": hashlib.sha256(np.stack(counts).tobytes()).hexdigest()[:12],
    }
    Path(out).write_text(json.dumps(found))


def measured(place, documents, devices=1, processes=1, cores=False):
    """What `work` found, in as many processes; of several the slowest and the largest."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    started, outs = [], [place / f"found-{process}.json" for process in range(processes)]
    for process, out in enumerate(outs):
        arguments = (str(place), str(out), documents, devices, cores, processes, process, port)
        command = [sys.executable, __file__, "--work", json.dumps(arguments)]
        path = {**os.environ, "PYTHONPATH": f"{ROOT}:{os.environ.get('PYTHONPATH', '')}"}
        started.append(subprocess.Popen(command, env=path, stdout=subprocess.DEVNULL))  # Gloo prints on stdout
    assert [child.wait() for child in started] == [0] * processes
    found = [json.loads(out.read_text()) for out in outs]
    assert len({each["counts"] for each in found}) == 1
    return {**found[0], **{key: max(each[key] for each in found) for key in ("seconds", "bytes")}}


def line(name, documents, found, base=None):
    rate = QUERIES * documents / found["seconds"]
    ideal = "" if base is None else f"{rate / base:>8.2f} of the first's rate"
    print(
        f"  {name:<26}{found['seconds']:>8.2f} s{rate / 1e9:>7.2f} billion pairs/s{2 * DIMENSION * rate / 1e9:>6.0f} GF/s"
        f"{found['cores']:>6.2f} cores{found['bytes'] / 2**30:>6.2f} GB, counts {found['counts']}{ideal}",
        flush=True,
    )
    return rate


def law(place, largest):
    print(f"{QUERIES:,} queries x N documents x {DIMENSION}, float16 on disk (mapped pages count as memory)")
    for documents in [largest // 10**k for k in (3, 2, 1, 0)]:
        found = measured(place, documents)
        line(f"N = {documents:,}", documents, found)
    print(f"  a corpus of {largest * DIMENSION * 2 / 2**30:.2f} GB; asked: {MEMORY['law']} GB at most")


def strong(place, largest):
    print(f"the same {largest:,} documents over more devices of {os.cpu_count()} cores")
    base, seen = None, set()
    for devices in DEVICES:
        found = measured(place, largest, devices)
        rate = line(f"{devices} devices", largest, found, base)
        base = rate if base is None else base
        seen.add(found["counts"])
    assert len(seen) == 1, "counts differ between devices"
    print(f"  counts are the same; {LIMIT}")


def weak(place, largest):
    each, base = largest // max(DEVICES), None
    print(f"{each:,} documents for each device, on {os.cpu_count()} cores")
    for devices in DEVICES:
        rate = line(f"{devices} devices", each * devices, measured(place, each * devices, devices), base)
        base = rate if base is None else base
    print(f"  {LIMIT}")


def processes(place, largest):
    print("processes of one core each")
    seen = set()
    for name, sizes in (("strong", (largest, largest)), ("weak", (largest // 2, largest))):
        base = None
        for count, documents in zip((1, 2), sizes, strict=True):
            found = measured(place, documents, processes=count, cores=True)
            rate = line(f"{name}: {count}, {documents:,}", documents, found, base)
            base = rate if base is None else base
            if documents == largest:
                seen.add(found["counts"])
    assert len(seen) == 1, "counts differ between processes"
    print(f"  counts of {largest:,} are the same")
    print("  limit: a core for each; they meet once, when counts are summed, and wait there for the slower one")


def sweep():
    subprocess.run([sys.executable, str(ROOT / "benchmarks" / "sweep.py")], check=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parts = ("ranks", "law", "strong", "weak", "processes", "sweep")
    parser.add_argument("--only", choices=parts, nargs="+", default=parts, help="these parts; without it all")
    parser.add_argument("--quick", action="store_true", help="a tenth of the documents")
    parser.add_argument("--work", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        place, *rest = json.loads(options.work)
        return work(Path(place), *rest)
    scale = 10 if options.quick else 1
    if "ranks" in options.only:
        for documents, dimension, share in ASKED:
            rates(documents // scale, 10_000, dimension, share)
    on_disk = {"law": law, "strong": strong, "weak": weak, "processes": processes}
    if on_disk.keys() & set(options.only):
        with tempfile.TemporaryDirectory() as folder:
            write_corpus(Path(folder), LARGEST // scale)
            for part in on_disk:
                if part in options.only:
                    on_disk[part](Path(folder), LARGEST // scale)
    if "sweep" in options.only:
        sweep()


if __name__ == "__main__":
    main()
