"""Neural estimates of mutual information beside benchmark-mi's: error and time, on its own tasks and samples.

    python benchmarks/information_neural.py --peer-python BMI/bin/python [--seeds 0 1] [--samples 5000] [--tasks ID ...]
                                            [--estimators infonce nwj donsker_varadhan mine] [--threads 2] [--keep DIR]

BMI is an environment for benchmark-mi alone, made as information_bmi.py says: it needs an old JAX. Each task is drawn
once there and written to a folder that both read. Both get the same two arrays and return nats. Seconds are of the whole
call, on the wall; ours from nothing every time: critic made, every compiled program dropped before, so that no task
gains from the one before it. Theirs runs first, then ours, nothing else meanwhile; both on as many threads.

Ours is one setting for all tasks, chosen on other tasks and other seeds (`tuning_tasks` in information_bmi.py, seeds
101 to 103), never on these. Theirs is as it comes: it reports the best of its readings on the half that it does not
train on, we the reading of a third part that nothing was chosen on.
"""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import argparse
import json
import math
import pathlib
import platform
import statistics
import subprocess
import tempfile
import time

import jax
import numpy as np
from flax import nnx

from rdjax.nn import fit_critic, small_committee

HERE = pathlib.Path(__file__).parent
ESTIMATORS = ("infonce", "nwj", "donsker_varadhan", "mine")
TASKS = (
    "1v1-normal-0.75",
    "1v1-additive-0.75",
    "1v1-bimodal-0.75",
    "wiggly-1v1-normal-0.75",
    "student-identity-1-1-1",
    "swissroll_x-normal_cdf-1v1-normal-0.75",
    "multinormal-dense-5-5-0.5",
    "multinormal-dense-25-25-0.5",
    "multinormal-sparse-5-5-2-2.0",
    "multinormal-sparse-25-25-2-2.0",
    "student-identity-3-3-2",
    "normal_cdf-multinormal-sparse-5-5-2-2.0",
    "half_cube-multinormal-sparse-5-5-2-2.0",
    "spiral-multinormal-sparse-5-5-2-2.0",
    "spiral-multinormal-sparse-25-25-2-2.0",
    "asinh-student-identity-5-5-2",
)


def ours(folder: pathlib.Path, names: list[str]) -> list[dict]:
    rows = []
    for file in sorted(folder.glob("[0-9]*.npz")):
        sample = np.load(file)
        for name in names:
            jax.clear_caches()
            start = time.perf_counter()
            critic = small_committee(sample["x"].shape[1], sample["y"].shape[1], rngs=nnx.Rngs(0))
            found = fit_critic(critic, sample["x"], sample["y"], bound=name)
            nats, error = float(found.bits) * math.log(2), float(found.standard_error) * math.log(2)
            seconds = time.perf_counter() - start
            rows.append({"file": file.name, "estimator": name, "nats": nats, "seconds": seconds, "error": error})
            print(
                f"  ours    {sample['task']}  {name}: {nats:.4f} +- {error:.4f} nats, {seconds:.1f} s, step {found.step}",
                flush=True,
            )
    return rows


def call(python: pathlib.Path, cores: str, *arguments: object) -> None:
    subprocess.run(["taskset", "-c", cores, python, HERE / "information_bmi.py", *map(str, arguments)], check=True)


def table(folder: pathlib.Path, theirs: list[dict], mine: list[dict], names: list[str]) -> None:
    samples = {file.name: np.load(file) for file in sorted(folder.glob("[0-9]*.npz"))}
    found = {
        (row["file"], row["estimator"], side): row
        for side, rows in (("theirs", theirs), ("ours", mine))
        for row in rows
    }
    tasks = list(dict.fromkeys(str(sample["task"]) for sample in samples.values()))
    for name in names:
        errors: dict[str, list[float]] = {"ours": [], "theirs": []}
        seconds: dict[str, list[float]] = {"ours": [], "theirs": []}
        print(f"\n{name}, nats{'':28} truth     ours   theirs   |error| ours  theirs   seconds ours  theirs")
        for task in tasks:
            files = [file for file, sample in samples.items() if str(sample["task"]) == task]
            truth = float(samples[files[0]]["nats"])
            cells = {}
            for side in ("ours", "theirs"):
                rows = [found[file, name, side] for file in files]
                gaps = [abs(row["nats"] - truth) for row in rows]
                errors[side] += gaps
                seconds[side] += [row["seconds"] for row in rows]
                cells[side] = [
                    statistics.median(v) for v in ([r["nats"] for r in rows], gaps, [r["seconds"] for r in rows])
                ]
            a, b = cells["ours"], cells["theirs"]
            print(
                f"{task:42}{truth:8.4f} {a[0]:8.4f} {b[0]:8.4f}      {a[1]:8.4f}{b[1]:8.4f}        {a[2]:6.1f}  {b[2]:6.1f}"
            )
        medians = {
            side: statistics.median(e if math.isfinite(e) else math.inf for e in errors[side]) for side in errors
        }
        print(
            f"{'median':42}{'':26}      {medians['ours']:8.4f}{medians['theirs']:8.4f}        {statistics.median(seconds['ours']):6.1f}  {statistics.median(seconds['theirs']):6.1f}"
        )
        ratio = sum(seconds["ours"]) / sum(seconds["theirs"])
        verdict = "holds" if medians["ours"] <= medians["theirs"] and ratio <= 0.5 else "does NOT hold"
        print(f"equal or lower median error in at most half the time (of all, {ratio:.2f}): {verdict}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer-python", type=pathlib.Path, required=True)
    parser.add_argument("--tasks", nargs="+", default=list(TASKS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--samples", type=int, default=5000)
    parser.add_argument("--estimators", nargs="+", default=list(ESTIMATORS), choices=ESTIMATORS)
    parser.add_argument("--cores", default="0,1", help="as taskset names them")
    parser.add_argument(
        "--keep", type=pathlib.Path, help="a folder for samples and results, read again if they are there"
    )
    given = parser.parse_args()
    os.sched_setaffinity(0, {int(core) for core in given.cores.split(",")})
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.keep or pathlib.Path(temporary)
        folder.mkdir(exist_ok=True)
        if not list(folder.glob("[0-9]*.npz")):
            call(
                given.peer_python,
                given.cores,
                "draw",
                folder,
                "--samples",
                given.samples,
                "--tasks",
                *given.tasks,
                "--seeds",
                *given.seeds,
            )
        if not (folder / "theirs.json").exists():
            call(given.peer_python, given.cores, "estimate", folder, "--estimators", *given.estimators)
        theirs = json.loads((folder / "theirs.json").read_text())
        mine = ours(folder, given.estimators)
        (folder / "ours.json").write_text(json.dumps(mine))
        print(
            f"theirs: {theirs['versions']}\nours: Python {platform.python_version()}, jax {jax.__version__}; cores {given.cores}"
        )
        table(folder, theirs["rows"], mine, given.estimators)


if __name__ == "__main__":
    main()
