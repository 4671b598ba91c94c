"""Sweeps killed with -9 at random points and resumed, until they finish: nothing lost, nothing doubled.

    python benchmarks/kills.py [KILLS]

Sweeps of one process and of two on loopback, each killed KILLS times (22), and of four a quarter as often, at times drawn
from the length of an uninterrupted run of as many; of many processes one dies first, and the others are killed one after the other
while they go on. Every finished table is compared with the uninterrupted one byte by byte, and leftovers are counted.
"""

import itertools
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rdjax.sweep import read_table

ROOT = Path(__file__).resolve().parent.parent
CONFIG = """
cells_per_part = 96
[grid]
documents = [1000, 1500]
queries = 128
intent_dim = 16
noise = [[0.4, 1.1], 0.8]
code = ["gaussian", "scalar"]
rate = [8, 16, 32]
temperatures = ["uniform", "closed form"]
seeds = 200
"""


def start(folder, cache, processes):
    flags = [sys.executable, "-m", "rdjax", "sweep", "grid.toml", "--resume", "--out", str(folder)]
    environment = {
        **os.environ,
        "PYTHONPATH": f"{ROOT}:{os.environ.get('PYTHONPATH', '')}",
        "JAX_COMPILATION_CACHE_DIR": str(cache),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
        "JAX_NUM_CPU_DEVICES": "2",
    }
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    many = lambda i: ["--coordinator", f"127.0.0.1:{port}", "--processes", str(processes), "--process", str(i)]
    return [
        subprocess.Popen(
            flags + (many(i) if processes > 1 else []),
            cwd=folder.parent,
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        for i in range(processes)
    ]


def finish(running):
    errors = [process.communicate(timeout=600)[1] for process in running]
    assert all(process.returncode == 0 for process in running), errors


def kill(running, after):
    """Whether any was still running, each killed a moment after the other, in either order."""
    time.sleep(after)
    random.shuffle(running)
    alive = False
    for process in running:
        if process.poll() is None:
            alive = True
            process.send_signal(signal.SIGKILL)
            time.sleep(random.uniform(0, 0.3))
    errors = [process.communicate()[1] for process in running]
    ends = {process.returncode for process in running}
    by_jax = (
        {-signal.SIGABRT} if -signal.SIGKILL in ends else set()
    )  # it aborts those whose neighbor died, if it is first
    assert ends <= {0, -signal.SIGKILL} | by_jax, errors
    return alive


def trial(place, name, processes, kills, length):
    """A sweep that is killed until there were so many kills, then finished; finished early, the next one begins."""
    done = sweeps = 0
    tables, lengths = [], []
    while done < kills:
        sweeps += 1
        folder, found = place / f"{name}{sweeps}", []
        while done < kills and not list(folder.glob("table.*")):
            done += kill(start(folder, place / "cache", processes), random.uniform(0.2, length))
            found.append(len(list(folder.glob("parts/*-*-*.*"))))
        finish(start(folder, place / "cache", processes))
        tables.append(next(folder.glob("table.*")).read_bytes())
        assert not list(folder.rglob(".rdjax-*")), "leftovers"
        assert all(low <= high for low, high in itertools.pairwise(found)), "parts went away"
        lengths.append(found)
    return tables, done, lengths


def main():
    kills = int(sys.argv[1]) if len(sys.argv) > 1 else 22
    random.seed(0)
    with tempfile.TemporaryDirectory() as made:
        place = Path(made)
        (place / "grid.toml").write_text(CONFIG)
        finish(start(place / "first", place / "cache", 1))
        truth = next((place / "first").glob("table.*")).read_bytes()
        print(f"{read_table(next((place / 'first').glob('table.*')))['cell'].size:,} cells")
        for processes, wanted in ((1, kills), (2, kills), (4, -(-kills // 4))):
            if processes > 1:  # their programs are others
                finish(start(place / f"first{processes}", place / "cache", processes))
            begun = time.monotonic()
            finish(start(place / f"whole{processes}", place / "cache", processes))
            length = time.monotonic() - begun
            tables, done, lengths = trial(place, f"p{processes}-", processes, wanted, length)
            assert all(table == truth for table in tables), (
                f"{processes} processes: a table differs from the uninterrupted one"
            )
            print(
                f"{processes} processes, {length:.1f} s uninterrupted: {done} kills, {len(tables)} tables equal byte by byte; parts there after each kill, by sweep: {lengths}"
            )


if __name__ == "__main__":
    main()
