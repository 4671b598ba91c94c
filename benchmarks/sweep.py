"""Sweeps against a Python loop over jitted single cells; two processes against one; memory against the number of cells.

    python benchmarks/sweep.py

Every ratio is within this run, of medians over interleaved repetitions. A sweep is timed from its first batch to the
merged table, with all parts written; its loop calls the same cell, jitted alone, once for each cell, with parameters
laid out before: "blocking" reads each result before the next call, "async" reads all at the end. Compilation is left
out on both sides and printed.
"""

import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CELLS = 10_000


def config(documents, cells, queries=64):
    grid = {"documents": documents, "queries": queries, "noise": [[0.25, 0.6]], "code": "gaussian", "rate": [16, 64]}
    return {"grid": {**grid, "seeds": cells // 2}}


# what runs in processes of its own


def timed_sweep(wanted, out, host=None):
    """(seconds from the first batch to the table, seconds of compiling)."""
    from rdjax.sweep import run, run_sweep

    compiling, make = [], run.Program

    def timed(*arguments):
        begun = time.perf_counter()
        program = make(*arguments)
        compiling.append(time.perf_counter() - begun)
        return program

    run.Program = timed
    begun = time.perf_counter()
    run_sweep(wanted, out, **({} if host is None else {"host": host}))
    return time.perf_counter() - begun - sum(compiling), sum(compiling)


def loop(documents, cells):
    import jax
    import numpy as np

    from rdjax.sweep import read_config
    from rdjax.sweep.program import inputs

    sweep = read_config(config(documents, cells))
    shape = next(sweep.grid.shapes())[1]
    numbers = np.arange(cells)
    parameters, _ = inputs(sweep, numbers)
    parameters = {k: v.astype(np.float32) if v.dtype.kind == "f" else v for k, v in parameters.items()}
    rows = [{name: column[i] for name, column in parameters.items()} for i in numbers]

    @jax.jit
    def cell(mine):
        key = jax.random.fold_in(jax.random.wrap_key_data(mine["key"], impl="threefry2x32"), mine["seed"])
        return sweep.kind.cell(shape, (), key, mine)

    begun = time.perf_counter()
    jax.block_until_ready(cell(rows[0]))
    compiling = time.perf_counter() - begun
    begun = time.perf_counter()
    for mine in rows:
        float(cell(mine)["quality"])
    blocking = time.perf_counter() - begun
    begun = time.perf_counter()
    found = [cell(mine)["quality"] for mine in rows]
    [float(value) for value in found]
    return {"blocking": blocking, "async": time.perf_counter() - begun, "compiling": compiling}


def whole(documents, cells):
    with tempfile.TemporaryDirectory() as out:
        seconds, compiling = timed_sweep(config(documents, cells), out)
    return {"seconds": seconds, "compiling": compiling}


def shared(documents, cells, out, address, processes, index):
    from rdjax.sweep import join

    seconds, compiling = timed_sweep(config(documents, cells), out, join(address, processes, index))
    return {"seconds": seconds, "compiling": compiling}


def memory(cells):
    import resource

    timed_sweep(config(4, cells, queries=2), tempfile.mkdtemp(dir=sys.argv[3]))
    return {"megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


# the run


def start(name, *arguments, cores=None, devices=None):
    """A process that writes its answer to a file, since Gloo writes on stdout."""
    file = tempfile.NamedTemporaryFile(suffix=".json", delete=False)  # noqa: SIM115
    pinned = [] if cores is None else ["taskset", "-c", cores]
    environment = {
        **os.environ,
        "OPENBLAS_NUM_THREADS": "1",
        "PYTHONPATH": f"{ROOT}:{os.environ.get('PYTHONPATH', '')}",
    }
    if devices:
        environment["JAX_NUM_CPU_DEVICES"] = str(devices)
    command = [*pinned, sys.executable, __file__, name, *map(str, arguments)]
    environment["SWEEP_ANSWER"] = file.name
    return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL), file.name


def answer(started):
    process, file = started
    assert process.wait() == 0
    return json.loads(Path(file).read_text())


def against_a_loop(devices):
    print(
        f"\n{CELLS:,} cells, 64 queries, two modalities; seconds, {devices} devices for the sweep, all cores for the loop"
    )
    print("  N     sweep  blocking  async   ratio to blocking  to async   compiling: sweep, loop")
    for documents in (100, 1000):
        runs = [
            (answer(start("whole", documents, CELLS, devices=devices)), answer(start("loop", documents, CELLS)))
            for _ in range(3)
        ]
        sweep, blocking, later = (
            statistics.median(values)
            for values in (
                [a["seconds"] for a, _ in runs],
                [b["blocking"] for _, b in runs],
                [b["async"] for _, b in runs],
            )
        )
        to_compile = [statistics.median(r[i]["compiling"] for r in runs) for i in (0, 1)]
        print(
            f"  {documents:<5d} {sweep:5.2f}  {blocking:8.2f}  {later:5.2f}   {blocking / sweep:17.2f}  {later / sweep:8.2f}"
            f"   {to_compile[0]:.1f}, {to_compile[1]:.1f}"
        )


def processes_of_one_core(documents=1000, cells=40_000):
    print(f"\n{cells:,} cells of N = {documents}, processes of one core each, Gloo on loopback; seconds")
    ones, twos = [], []
    for _ in range(2):
        for count, kept in ((1, ones), (2, twos)):
            with socket.socket() as free, tempfile.TemporaryDirectory() as out:
                free.bind(("127.0.0.1", 0))
                address = f"127.0.0.1:{free.getsockname()[1]}"
                free.close()
                running = [
                    start("shared", documents, cells, out, address, count, i, cores=str(i), devices=1)
                    for i in range(count)
                ]
                kept.append(max(answer(one)["seconds"] for one in running))
    one, two = statistics.median(ones), statistics.median(twos)
    print(f"  one {one:.1f}, two {two:.1f}: ratio {one / two:.2f}")


def memory_by_cells():
    print("\npeak memory of the process by the number of cells (N = 4, two queries)")
    with tempfile.TemporaryDirectory() as place:
        for cells in (1_000, 10_000, 100_000, 400_000):
            found = answer(start("memory", cells, place, devices=2))
            print(f"  {cells:>7,d}: {found['megabytes']:.0f} MB")


if __name__ == "__main__":
    if len(sys.argv) == 1:
        print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
        against_a_loop(os.cpu_count())
        processes_of_one_core()
        memory_by_cells()
        print(f"\nload {os.getloadavg()[0]:.1f}")
    else:
        name, *arguments = sys.argv[1:]
        given = [int(a) if a.isdecimal() else a for a in arguments]
        found = {"memory": lambda cells, place: memory(cells)}.get(name) or globals()[name]
        Path(os.environ["SWEEP_ANSWER"]).write_text(json.dumps(found(*given)))
