"""One problem whose rows do not fit one device: time and memory on one device and on two, each of a core and a process.

    python benchmarks/sharded_rows.py [--rows 100000] [--columns 256] [--documents 100] [--fake]

The interior point on a Gaussian source of 100,000 symbols with 256 reproductions, and the interval for noisy relevance
of 100,000 queries over 100 documents (the source of benchmarks/relevance.py in 8 dimensions). Processes are pinned to a
core each and talk over loopback; every one makes its own rows. Memory is the peak of a process, less what it had before
the problem was made. `--fake` also runs one process of two fake devices on both cores. Seconds are of a second run, the
first in brackets. What is printed agrees to the stated gaps, or the run fails.
"""

import argparse
import json
import os
import resource
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
SLOPE = 8.0  # bits
CHUNK = 1000  # rows that are drawn together, so that they do not depend on who draws them


def rows_of(index, size):
    """Row numbers of a shard, given the index JAX asks it by."""
    first, last, _ = index[0].indices(size)
    return first, last


def gaussian_source(rows, columns):
    """Callbacks for source [X] and distortion [X, M]: squared error, from a grid of X on a grid of M points."""
    symbols, points = np.linspace(-4, 4, rows), np.linspace(-4, 4, columns)
    law = np.exp(-(symbols**2) / 2)
    law /= law.sum()
    return lambda i: law[i[0]], lambda i: (symbols[i[0]][:, None] - points[None, :]) ** 2


def posteriors(rows, documents, dimension=8, noise=0.6):
    """A callback for P(y | x) [X, N], float32: Gaussian intents seen with noise."""
    intents = np.random.default_rng(0).standard_normal((documents, dimension))

    def chunk(number):
        rng = np.random.default_rng((1, number))
        seen = intents[rng.integers(documents, size=CHUNK)] + noise**0.5 * rng.standard_normal((CHUNK, dimension))
        score = (seen @ intents.T - (intents**2).sum(axis=1) / 2) / noise
        law = np.exp(score - score.max(axis=1, keepdims=True))
        return (law / law.sum(axis=1, keepdims=True)).astype(np.float32)

    def shard(index):
        first, last = rows_of(index, rows)
        whole = np.concatenate([chunk(number) for number in range(first // CHUNK, -(-last // CHUNK))])
        return whole[first % CHUNK :][: last - first]

    return shard


def megabytes():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10


def twice(solve):
    times = []
    for _ in range(2):
        begun = time.perf_counter()
        found = solve()
        times.append(time.perf_counter() - begun)
    return found, times


def work(job, rows, columns, place, processes, address):
    """What a process does; the first prints."""
    import jax

    jax.config.update("jax_enable_x64", True)
    if processes > 1:
        jax.distributed.initialize(address, num_processes=processes, process_id=place)
    from jax.sharding import Mesh, NamedSharding, PartitionSpec

    from rdjax.limits.relevance import relevance_bounds
    from rdjax.rate_distortion import interior_point

    mesh = Mesh(np.array(jax.devices()), ("rows",))

    def sharded(shape, callback):
        return jax.make_array_from_callback(shape, NamedSharding(mesh, PartitionSpec("rows")), callback)

    before = megabytes()
    if job == "interior_point":
        source, distortion = gaussian_source(rows, columns)
        p, d = sharded((rows,), source), sharded((rows, columns), distortion)
        found, times = twice(lambda: jax.block_until_ready(interior_point(p, d, SLOPE)))
        interval = [float(found.lagrangian - found.gap), float(found.lagrangian)]
    else:
        held = sharded((rows, columns), posteriors(rows, columns))
        found, times = twice(lambda: relevance_bounds(held, SLOPE))
        shift = SLOPE * float(found.distortion)
        interval = [float(found.lower) + shift, float(found.upper) + shift]
    peak = megabytes() - before
    if place == 0:
        print(json.dumps({"times": times, "memory": peak, "interval": interval}), file=sys.stderr)


def run(job, rows, columns, processes, fake):
    """One problem in so many processes, or fake devices: what the first process found."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1"}
    environment["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count={fake}"
    cores = sorted(os.sched_getaffinity(0))

    def start(place):
        mine = cores if fake > 1 else [cores[place % len(cores)]]
        arguments = [job, rows, columns, place, processes, address]
        command = [sys.executable, __file__, "--work", json.dumps(arguments)]
        pin = lambda: os.sched_setaffinity(0, mine)
        return subprocess.Popen(
            command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, preexec_fn=pin
        )

    running = [start(place) for place in range(processes)]
    said = [process.communicate()[1] for process in running]
    if any(process.returncode for process in running):
        raise SystemExit("\n".join(said))
    return json.loads(said[0].strip().splitlines()[-1])


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--rows", type=int, default=100_000)
    options.add_argument("--columns", type=int, default=256)
    options.add_argument("--documents", type=int, default=100)
    options.add_argument("--only", choices=["interior_point", "relevance_bounds"])
    options.add_argument("--fake", action="store_true")
    options.add_argument("--work", help=argparse.SUPPRESS)
    given = options.parse_args()
    if given.work:
        work(*json.loads(given.work))
        return
    jobs = (("interior_point", given.columns), ("relevance_bounds", given.documents))
    for job, columns in jobs:
        if given.only not in (None, job):
            continue
        print(f"{job}, {given.rows:,} x {columns}, slope {SLOPE:g}: rate + slope x distortion in bits", flush=True)
        kinds = [("1 process", 1, 1), ("2 processes", 2, 1)] + [("2 fake devices", 1, 2)] * given.fake
        first = None
        for label, processes, fake in kinds:
            row = run(job, given.rows, columns, processes, fake)
            first = first or row
            low, high = row["interval"]
            apart = max(low - first["interval"][1], first["interval"][0] - high)
            assert apart <= 1e-9, f"the intervals are {apart:g} bits apart"
            print(
                f"  {label:15} {row['times'][1]:7.2f} s ({row['times'][0]:.2f} first), {first['times'][1] / row['times'][1]:.2f} times as fast;"
                f" {row['memory']:6.0f} MB a process, {row['memory'] / first['memory']:.2f} of it; in [{low:.9f}, {high:.9f}]",
                flush=True,
            )


if __name__ == "__main__":
    main()
