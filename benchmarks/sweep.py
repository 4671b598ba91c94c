"""Sweeps against a Python loop over jitted single cells; two processes against one; memory against the number of cells.

    python benchmarks/sweep.py

Every ratio is within this run, of medians over interleaved repetitions. A sweep is timed from its first batch to the
merged table, with all parts written; its loop calls the same cell, jitted alone, once for each cell, with parameters
laid out before: "blocking" reads each result before the next call, "async" reads all at the end. Compilation is left
out on both sides and printed. Processor seconds stand beside seconds: they say what a busy machine cannot.
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
REPEATS = 2


def config(documents, cells, queries=64):
    grid = {"documents": documents, "queries": queries, "noise": [[0.25, 0.6]], "code": "gaussian", "rate": [16, 64]}
    return {"grid": {**grid, "seeds": cells // 2}}


# what runs in processes of its own


def timed_sweep(wanted, out, host=None):
    """Seconds from the first batch to the table, processor seconds of that, and seconds of compiling."""
    from rdjax.sweep import run, run_sweep

    compiling, busy, make = [], [], run.Program

    def timed(*arguments):
        begun, spent = time.perf_counter(), time.process_time()
        program = make(*arguments)
        compiling.append(time.perf_counter() - begun)
        busy.append(time.process_time() - spent)
        return program

    run.Program = timed
    begun, spent = time.perf_counter(), time.process_time()
    run_sweep(wanted, out, **({} if host is None else {"host": host}))
    seconds, spent = time.perf_counter() - begun, time.process_time() - spent
    return {"seconds": seconds - sum(compiling), "cpu": spent - sum(busy), "compiling": sum(compiling)}


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
    begun, spent = time.perf_counter(), time.process_time()
    found = [cell(mine)["quality"] for mine in rows]
    [float(value) for value in found]
    later, cpu = time.perf_counter() - begun, time.process_time() - spent
    return {"blocking": blocking, "async": later, "cpu": cpu, "compiling": compiling}


def whole(documents, cells):
    with tempfile.TemporaryDirectory() as out:
        return timed_sweep(config(documents, cells), out)


def shared(documents, cells, out, address, processes, index):
    from rdjax.sweep import join

    return timed_sweep(config(documents, cells), out, join(address, processes, index))


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
    print(f"\n{CELLS:,} cells, 64 queries, two modalities, {devices} devices for the sweep, all cores for the loop")
    for documents in (100, 1000):
        pairs = [
            (answer(start("whole", documents, CELLS, devices=devices)), answer(start("loop", documents, CELLS)))
            for _ in range(REPEATS)
        ]
        sweep, plain = (
            {name: statistics.median(run[i][name] for run in pairs) for name in pairs[0][i]} for i in (0, 1)
        )
        for name, found in (("sweep", sweep), ("loop", plain)):
            print(f"  N = {documents}, {name}: " + ", ".join(f"{key} {value:.2f} s" for key, value in found.items()))
        ratios = {name: plain[name] / sweep["seconds"] for name in ("blocking", "async")}
        ratios["processor time"] = plain["cpu"] / sweep["cpu"]
        print(
            f"  N = {documents}, loop over sweep: " + ", ".join(f"{name} {ratio:.2f}" for name, ratio in ratios.items())
        )


def processes_of_one_core(documents=1000, cells=20_000):
    print(f"\n{cells:,} cells of N = {documents}, processes of one core each, Gloo on loopback")
    runs = {1: [], 2: []}
    for _ in range(REPEATS):
        for count, kept in runs.items():
            with socket.socket() as free:
                free.bind(("127.0.0.1", 0))
                address = f"127.0.0.1:{free.getsockname()[1]}"
            with tempfile.TemporaryDirectory() as out:
                many = [
                    start("shared", documents, cells, out, address, count, i, cores=str(i), devices=1)
                    for i in range(count)
                ]
                found = [answer(one) for one in many]
                kept.append({name: max(one[name] for one in found) for name in ("seconds", "cpu")})
    for name in ("seconds", "cpu"):
        one, two = (statistics.median(run[name] for run in runs[count]) for count in (1, 2))
        print(f"  {name} of the slowest process: one {one:.1f}, two {two:.1f}, ratio {one / two:.2f}")


def memory_by_cells():
    print("\npeak memory of the process by the number of cells (N = 4, two queries)")
    with tempfile.TemporaryDirectory() as place:
        for cells in (1_000, 10_000, 100_000):
            found = answer(start("memory", cells, place, devices=2))
            print(f"  {cells:>7,d}: {found['megabytes']:.0f} MB")


if __name__ == "__main__":
    if len(sys.argv) == 1:
        print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
        memory_by_cells()
        against_a_loop(os.cpu_count())
        processes_of_one_core()
        print(f"\nload {os.getloadavg()[0]:.1f}")
    else:
        name, *arguments = sys.argv[1:]
        given = [int(a) if a.isdecimal() else a for a in arguments]
        found = {"memory": lambda cells, place: memory(cells)}.get(name) or globals()[name]
        Path(os.environ["SWEEP_ANSWER"]).write_text(json.dumps(found(*given)))
