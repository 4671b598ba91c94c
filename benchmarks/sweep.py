"""Sweeps against a Python loop over jitted single cells; processes, devices, memory and the plan.

    python benchmarks/sweep.py [loop | processes | devices | memory | plan]

Every ratio is within this run. A sweep is timed from its first batch to the merged table, with all parts written; its
loop calls the same cell, jitted once, with parameters laid out before: "blocking" reads each result before the next
call, "async" reads all at the end; "plain" draws with `jax.random`'s keys, as one writes it, "lent" with the sweep's,
which make the same numbers in less time. Compilation is left out on both sides and printed. Processor seconds stand beside
seconds: they say what a busy machine cannot.
"""

import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

from sweep_work import CELLS, PLANS, SHARING, STRONG, WEAK

WORK = Path(__file__).with_name("sweep_work.py")
ROOT = WORK.parent.parent
CORES = "0,1"


def start(name, *arguments, cores=CORES, devices=2):
    """A process that writes its answer to a file, since Gloo writes on stdout."""
    file = tempfile.NamedTemporaryFile(suffix=".json", delete=False)  # noqa: SIM115
    environment = {
        **os.environ,
        "OPENBLAS_NUM_THREADS": "1",
        "PYTHONPATH": f"{ROOT}:{os.environ.get('PYTHONPATH', '')}",
        "JAX_NUM_CPU_DEVICES": str(devices),
        "SWEEP_ANSWER": file.name,
    }
    command = ["taskset", "-c", cores, sys.executable, WORK, name, *map(str, arguments)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL), file.name


def answer(started):
    process, file = started
    assert process.wait() == 0
    return json.loads(Path(file).read_text())


def against_a_loop():
    print(f"\n{CELLS:,} cells, 64 queries, two modalities; cells that share a draw make it once in the sweep,")
    print("each for itself in the loop (timed once: a cell takes the same; with the better of two settings of XLA);")
    print("asked: at least 3 at N = 100, never below 1 at N = 1000")
    for documents, repeats in ((100, 3), (1000, 1)):
        for what, cores, count in (("two devices, two cores", CORES, 2), ("one device, one core", "0", 1)):
            ours = answer(start("sweeps", documents, repeats, cores=cores, devices=count))
            loop = answer(start("loops", documents, cores=cores, devices=1))
            for sharing in map(str, SHARING):
                mine, theirs = ours[sharing], loop["quality"][sharing]
                apart = max(abs(a - b) for a, b in zip(mine["quality"], theirs, strict=True))
                print(
                    f"  N = {documents:>4}, {what}, {sharing:>2} cells to a draw: sweep {mine['seconds']:5.2f} s, "
                    + "; ".join(ratios(loop[name], name, mine) for name in ("plain", "lent"))
                    + f"; qualities apart by {apart:.1g} at most"
                )
            compiled = f"{ours['1']['compiling']:.1f} s for the sweep, {loop['plain']['compiling']:.1f} s for the loop"
            print(f"  N = {documents:>4}, {what}: compiling {compiled}")


def ratios(loop, name, mine):
    return (
        f"{name} loop {loop['blocking']:.2f} s blocking, {loop['async']:.2f} s async, "
        f"ratio {loop['blocking'] / mine['seconds']:.2f} and {loop['async'] / mine['seconds']:.2f}, "
        f"{loop['cpu'] / mine['cpu']:.2f} in processor time"
    )


def on_loopback(count, groups=1):
    """What `groups` sweeps at once found, each of `count` processes; all take cores in turn."""
    with contextlib.ExitStack() as open_now:
        many = []
        for group in range(groups):
            place = open_now.enter_context(tempfile.TemporaryDirectory())
            with socket.socket() as free:
                free.bind(("127.0.0.1", 0))
                address = f"127.0.0.1:{free.getsockname()[1]}"
            for i in range(count):
                core = str((group * count + i) % os.cpu_count())
                many.append(start("process", place, address, count, i, cores=core, devices=1))
        return [answer(one) for one in many]


def by_processes():
    print(f"\nprocesses on loopback (Gloo), N = 1000, two cells to a draw: strong {STRONG:,} cells, weak {WEAK:,} each")
    base, cores = {}, os.cpu_count()
    for count in (1, 2, 4):
        found = on_loopback(count)
        for name in ("strong", "weak"):
            slowest = {key: max(one[name][key] for one in found) for key in found[0][name]}
            base.setdefault(name, slowest)
            speed = base[name]["seconds"] / slowest["seconds"] * (count if name == "weak" else 1)
            asked = " (asked 1.8)" if (name, count) == ("strong", 2) else ""
            print(
                f"  {name:>6}, {count} of one core each{', oversubscribed' if count > cores else ''}: "
                f"{slowest['seconds']:5.2f} s, {speed:.2f} times one process{asked}; processor {slowest['cpu']:.2f} s, "
                f"writing {slowest['writing']:.2f} s, merging {slowest['merging']:.2f} s (by one alone)"
            )
    apart = max(one["strong"]["seconds"] for one in on_loopback(1, groups=cores))
    most = cores * base["strong"]["seconds"] / apart
    print(
        f"  {cores} whole sweeps at once that know nothing of each other do {most:.2f} times what one alone does in that time:"
    )
    print("  no division of one sweep gains more on this machine, whose busy cores slow each other")
    print("  limits: that; then the last batches, which are not of equal number, and the merge, which one process does")


def by_devices():
    cores = os.cpu_count()
    print(
        f"\nfake devices in one process on {cores} cores, N = 1000: strong {STRONG // 2:,} cells, weak {WEAK // 2:,} each"
    )
    found = answer(start("devices", devices=8))
    for name in ("strong", "weak"):
        for count in (1, 2, 4, 8):
            row = found[f"{name} {count}"]
            speed = found[f"{name} 1"]["seconds"] / row["seconds"] * (count if name == "weak" else 1)
            print(
                f"  {name:>6}, {count}{', oversubscribed' if count > cores else ''}: {row['seconds']:5.2f} s, "
                f"{speed:.2f} times one device; processor {row['cpu']:.2f} s, writing {row['writing']:.2f} s, "
                f"merging {row['merging']:.2f} s"
            )
    print("  limits: cores, of which a device uses one; then the host, which writes parts beside them")


def by_memory():
    print("\npeak memory of the process by the number of cells (N = 4, two queries)")
    for cells in (1_000, 10_000, 100_000):
        print(f"  {cells:>7,d}: {answer(start('peak', cells)):.0f} MiB")
    print("a budget (--memory), N = 200,000 by 128 queries, two devices")
    for share in (1.5, 2.5):
        found = answer(start("budgeted", share))
        print(f"  {found['limit']:,.0f} MiB: peak {found['peak']:,.0f} MiB, on {found['devices']} of 2 devices")


def by_plan():
    print("\nthe plan beside the run, each in a process of its own (asked: within a factor of 2), two devices")
    for name in PLANS:
        plan, run = answer(start("planned", name)), answer(start("taken", name))
        print(
            f"  {name}, {plan['cells']:,} cells: {plan['seconds']:.1f} s planned, {run['seconds']:.1f} s taken, "
            f"ratio {run['seconds'] / plan['seconds']:.2f}; {plan['memory']:,.0f} MB planned, "
            f"{run['memory']:,.0f} MB taken, ratio {run['memory'] / plan['memory']:.2f}"
        )


PARTS = {
    "memory": by_memory,
    "loop": against_a_loop,
    "processes": by_processes,
    "devices": by_devices,
    "plan": by_plan,
}


def main(wanted):
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    for name in wanted or PARTS:
        PARTS[name]()
    print(f"\nload {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main(sys.argv[1:])
