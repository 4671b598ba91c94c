"""What `benchmarks/sweep.py` measures, each in a process of its own, which writes its answer to a file."""

import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from unittest import mock

CELLS = 10_000
RATES = (32, 16, 64, 24, 48, 12, 20, 40, 56, 28)
SHARING = (1, 2, 10)  # cells to a draw
CHECKED = 500
STRONG, WEAK = 32_000, 8_000  # cells in all, and to a worker


def config(documents, cells, sharing=2, queries=64):
    grid = {"documents": documents, "queries": queries, "noise": [[0.25, 0.6]], "code": "gaussian"}
    return {"grid": {**grid, "rate": list(RATES[:sharing]), "seeds": cells // sharing}}


def timed_sweep(wanted, devices=None, host=None, out=None):
    """Seconds from the first batch to the table, processor seconds of that, seconds of parts; and the table."""
    import jax
    import numpy as np

    from rdjax.sweep import Host, read_config, run, run_sweep
    from rdjax.sweep.tables import to_bytes

    host, devices = host or Host(), devices or jax.local_devices()
    sweep = read_config(wanted)
    ((first, shape),) = run.queue(sweep)
    begun = time.perf_counter()
    program = run.Program(sweep, first, shape, run.part_size(sweep, shape), devices)
    found = {"compiling": time.perf_counter() - begun, "writing": 0.0, "merging": 0.0}
    to_bytes(program(first + np.arange(16)).table(), run.best_format())  # imports pyarrow

    def timed(name, work):
        def run_it(*arguments):
            begun = time.perf_counter()
            result = work(*arguments)
            found[name] += time.perf_counter() - begun
            return result

        return run_it

    patches = {"write_part": timed("writing", run.write_part), "merge": timed("merging", run.merge)}
    with mock.patch.multiple(run, Program=lambda *_: program, **patches), tempfile.TemporaryDirectory() as own:
        host.together(lambda: None)
        begun, spent = time.perf_counter(), time.process_time()
        table = run_sweep(sweep, out or own, devices=devices, host=host)
        found |= {"seconds": time.perf_counter() - begun, "cpu": time.process_time() - spent}
        return found, table.read_bytes() if host.leads() else b""


def sweeps(documents, repeats):
    import numpy as np

    from rdjax.sweep.tables import best_format, from_bytes

    answer = {}
    for sharing in SHARING:
        runs = [timed_sweep(config(documents, CELLS, sharing)) for _ in range(repeats)]
        quality = from_bytes(runs[0][1], best_format())["quality"]
        answer[sharing] = {**middle([found for found, _ in runs]), "quality": np.asarray(quality[:CHECKED]).tolist()}
    return answer


def loops(documents):
    """{"plain", "lent": seconds, each the better of two settings of XLA: products on one core, as in the sweep, or all}.

    Plain is what one writes: keys of `jax.random`. Lent are the sweep's keys, which make the same numbers sooner. The
    cell does not know what shares its draw, so one grid is timed; of each the first `CHECKED` qualities.
    """
    import jax
    import numpy as np

    from rdjax.sweep import read_config
    from rdjax.sweep.fused_threefry import folded_key
    from rdjax.sweep.program import KEY, OPTIONS, SEED, draws, inputs

    sweep = read_config(config(documents, CELLS))
    shape, kind = next(sweep.grid.shapes())[1], sweep.kind
    plain_key = lambda words, seed: jax.random.fold_in(jax.random.wrap_key_data(words, impl="threefry2x32"), seed)

    def jitted(make_key, options):
        one = lambda words, seed, mine: kind.cell(shape, (), kind.draw(shape, make_key(words, seed)), mine)
        return jax.jit(one, compiler_options=options)

    def arguments(sharing):
        numbers = np.arange(CELLS)
        parameters, _ = inputs(read_config(config(documents, CELLS, sharing)), numbers)
        parameters = {k: v.astype(np.float32) if v.dtype.kind == "f" else v for k, v in parameters.items()}
        drawn = draws(read_config(config(documents, CELLS, sharing)), numbers)
        keys, seeds = (np.repeat(drawn[name], sharing, axis=0) for name in (KEY, SEED))
        return [(keys[i], seeds[i], {k: v[i] for k, v in parameters.items()}) for i in numbers]

    rows, answer = arguments(2), {}
    for name, make_key in (("plain", plain_key), ("lent", folded_key)):
        runs = [timed_loop(jitted(make_key, options), rows) for options in (OPTIONS, {})]
        answer[name] = {what: min(run[what] for run in runs) for what in runs[0]}
    cell = jitted(plain_key, {})
    qualities = {n: [float(cell(*row)["quality"]) for row in arguments(n)[:CHECKED]] for n in SHARING}
    return {**answer, "quality": qualities}


def timed_loop(cell, rows):
    """Seconds of a loop that reads each result before the next call, and of one that reads all at the end."""
    import jax

    begun = time.perf_counter()
    jax.block_until_ready(cell(*rows[0]))
    compiling, begun = time.perf_counter() - begun, time.perf_counter()
    for row in rows:
        float(cell(*row)["quality"])
    blocking, begun, spent = time.perf_counter() - begun, time.perf_counter(), time.process_time()
    found = [cell(*row)["quality"] for row in rows]
    _ = [float(value) for value in found]
    later = {"async": time.perf_counter() - begun, "cpu": time.process_time() - spent}
    return {"compiling": compiling, "blocking": blocking, **later}


def middle(runs):
    return {name: statistics.median(run[name] for run in runs) for name in runs[0]}


def process(place, address, processes, index):
    """Strong scaling twice, then weak."""
    from rdjax.sweep import join

    host, answer = join(address, processes, index), {}
    for name, cells, repeats in (("strong", STRONG, 2), ("weak", WEAK * processes, 1)):
        runs = [timed_sweep(config(1000, cells), None, host, f"{place}/{name}{i}")[0] for i in range(repeats)]
        answer[name] = middle(runs)
    return answer


def devices():
    import jax

    answer = {}
    for count in (1, 2, 4, 8):
        for name, cells in (("strong", STRONG // 2), ("weak", WEAK // 2 * count)):
            answer[f"{name} {count}"] = timed_sweep(config(1000, cells), jax.devices()[:count])[0]
    return answer


def peak(cells):
    import resource

    timed_sweep(config(4, cells, queries=2))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def budgeted(share):
    """A sweep of large cells within what the process holds and `share` devices' arrays: peak, budget, devices."""
    import resource

    import jax

    from rdjax.sweep import budget, read_config, run, run_sweep

    sweep, narrowed, on = read_config(config(200_000, 12, queries=128)), [], budget.Program.on
    ((first, shape),) = run.queue(sweep)
    program = run.Program(sweep, first, shape, run.part_size(sweep, shape), jax.devices())
    limit = budget.resident() + budget.WRITING + share * program.bytes

    def noted(self, some):
        narrowed.append(len(some))
        return on(self, some)

    with mock.patch.object(budget.Program, "on", noted), tempfile.TemporaryDirectory() as out:
        run_sweep(sweep, out, memory=limit)
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"limit": limit / 2**20, "peak": most, "devices": (narrowed or [len(jax.devices())])[0]}


def planned(name):
    from rdjax.sweep import plan_sweep, read_config

    plan = plan_sweep(read_config(PLANS[name]))
    return {"cells": plan.cells, "seconds": plan.seconds, "memory": plan.memory / 1e6}


def taken(name):
    import resource

    from rdjax.sweep import read_config, run_sweep

    sweep, begun = read_config(PLANS[name]), time.perf_counter()
    with tempfile.TemporaryDirectory() as out:
        run_sweep(sweep, out)
    seconds = time.perf_counter() - begun
    return {"seconds": seconds, "memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6}


PLANS = {
    "two shapes, calibrated": {
        "grid": {
            "documents": [100, 1000],
            "noise": [[0.25, 0.6], 1.58],
            "code": ["gaussian", "scalar", "paper"],
            "rate": [16, 64],
            "temperatures": ["uniform", "calibrated", "equation 10"],
            "seeds": 6,
        }
    },
    "many small cells": config(100, 50_000),
    "large cells": config(50_000, 60),
}


WORK = {work.__name__: work for work in (sweeps, loops, process, devices, peak, budgeted, planned, taken)}

if __name__ == "__main__":
    name, *arguments = sys.argv[1:]
    given = [json.loads(a) if a[0].isdecimal() and ":" not in a else a for a in arguments]
    Path(os.environ["SWEEP_ANSWER"]).write_text(json.dumps(WORK[name](*given)))
