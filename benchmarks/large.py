"""A corpus of 200,000 documents and 10,000 queries through `rdjax audit`: seconds, memory, progress, interruptions.

    python benchmarks/large.py [--documents 200000] [--queries 10000] [--modalities 2] [--interrupt 10] [--memory SIZE]

Embeddings, of 64 dimensions in all, are written as .npy files to a temporary folder, which the audit maps into memory.
What is asked: both sides in under 10 minutes of two cores and under 4 GB; progress with time left, on a terminal and in
a pipe; an interruption at any time leaves with code 130, one line at most and no file. With --memory, the audit is given
that budget, and must keep it. How fast ranks are counted is in `benchmarks/scale.py`.
"""

import argparse
import json
import os
import pty
import re
import resource
import select
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from rdjax.data.machine import byte_size

DIMENSION, TOPICS = 64, 500
NOISE = 1.6  # of a query's error, relative to its document
LIMITS = {"wall seconds": 600, "resident MB": 4000}


def write_corpus(folder, documents, queries, modalities, seed=0):
    """Topics with a falling spectrum, of unit norm, split into modalities; one relevant document for each query."""
    rng = np.random.default_rng(seed)
    width = DIMENSION // modalities
    spread = ((np.arange(width) + 1.0) ** -0.5).astype(np.float32)
    topic, relevant = rng.integers(TOPICS, size=documents), rng.integers(documents, size=queries)
    unit = lambda rows: rows / np.linalg.norm(rows, axis=1, keepdims=True)
    for m in range(modalities):
        basis = np.linalg.qr(rng.standard_normal((width, width)))[0].astype(np.float32)
        own = rng.standard_normal((TOPICS, width), np.float32)[topic]
        own += rng.standard_normal((documents, width), np.float32)
        rows = unit((own * spread) @ basis.T)
        error = unit((rng.standard_normal((queries, width), np.float32) * spread) @ basis.T)
        np.save(folder / f"documents.view{m}.npy", rows)
        np.save(folder / f"queries.view{m}.npy", unit(rows[relevant] + np.float32(NOISE) * error))
    np.save(folder / "relevant.npy", relevant)


def command(corpus, out, memory=None):
    budget = [] if memory is None else ["--memory", memory]
    return [sys.executable, "-m", "rdjax", "audit", str(corpus), "--out", str(out), *budget]


def measured(corpus, out, memory):
    """The audit in a pipe: wall and processor seconds, peak resident memory, what it said while it ran."""
    start, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command(corpus, out, memory), capture_output=True, text=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.returncode == 0, done.stderr
    found = {
        "wall seconds": time.monotonic() - start,
        "processor seconds": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
        "resident MB": after.ru_maxrss / 1024,
    }
    for name, value in found.items():
        limit = f"  (at most {LIMITS[name]})" if name in LIMITS else ""
        print(f"{name:<20}{value:>8.0f}{limit}", flush=True)
    if memory is not None:
        allowed = byte_size(memory, "--memory") / 2**20
        print(f"{'of the budget':<20}{found['resident MB'] / allowed:>8.0%}  (at most 100%)", flush=True)
        assert found["resident MB"] <= allowed
    print("what a pipe shows:")
    print("\n".join(f"    {line}" for line in done.stderr.splitlines()), flush=True)
    report = json.loads((out / "report.json").read_text())
    for sentence in report["answer"]:
        print(f"  {sentence}")
    return found["wall seconds"]


def interrupted(corpus, out, seconds):
    """The audit on a pseudo-terminal, interrupted after so many seconds; True if nothing of it is left."""
    main, other = pty.openpty()
    temporary = out.parent / "temporary"
    temporary.mkdir(exist_ok=True)
    process = subprocess.Popen(
        command(corpus, out), stdout=other, stderr=other, stdin=other, env={**os.environ, "TMPDIR": str(temporary)}
    )
    os.close(other)
    shown, sent, stop = b"", None, time.monotonic() + seconds
    while True:
        if sent is None and time.monotonic() >= stop:
            process.send_signal(signal.SIGINT)
            sent = time.monotonic()
        if select.select([main], [], [], 0.05)[0]:
            try:
                shown += os.read(main, 2**16)
            except OSError:  # closed by the process
                break
        elif process.poll() is not None:
            break
    code, waited = process.wait(), time.monotonic() - (sent or stop)
    os.close(main)
    said = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown.decode(errors="replace")).replace("\r", "\n")
    last = [line for line in said.split("\n") if line.strip()][-1:]
    left = [path.name for path in (*out.parent.iterdir(), *temporary.iterdir()) if path != temporary]
    good = code == 130 and not left and "Traceback" not in said
    print(
        f"{'' if good else 'WRONG: '}after {seconds:6.1f} s: code {code}, {waited:.1f} s later, left {left}, last {last}"
    )
    return good


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--documents", type=int, default=200_000)
    parser.add_argument("--queries", type=int, default=10_000)
    parser.add_argument("--modalities", type=int, default=2)
    parser.add_argument("--interrupt", type=int, default=10, help="how many times, at times drawn at random")
    parser.add_argument("--memory", help="a budget for the audit, e.g. 3GB")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        corpus, out = Path(place, "corpus"), Path(place, "out", "report")
        corpus.mkdir()
        out.parent.mkdir()
        write_corpus(corpus, options.documents, options.queries, options.modalities)
        took = measured(corpus, Path(place, "report"), options.memory)
        rng = np.random.default_rng(0)
        for seconds in rng.uniform(0.2, took, options.interrupt):
            assert interrupted(corpus, out, seconds)


if __name__ == "__main__":
    main()
