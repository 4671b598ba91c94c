"""Neural estimates of mutual information beside benchmark-mi's: error and time, on its own tasks and samples.

    python benchmarks/information_neural.py --peer-python BMI/bin/python [--seeds 0 1] [--samples 5000] [--tasks ID ...]
                                            [--estimators infonce nwj donsker_varadhan mine] [--cores 0,1] [--keep DIR]

BMI is an environment for benchmark-mi alone, made as information_bmi.py says: it needs an old JAX. Each task is drawn
once there and written to a folder that both read. Both get the same two arrays and return nats. Seconds are of the whole
call, on the wall, compiling and making the critic included; each side is one process that goes through the tasks in
order, and keeps of one what serves the next. `from nothing`: ours again, with every compiled program dropped before each
call, so that no task gains from the one before it. Theirs runs first, then ours, nothing else meanwhile; both on as many
threads.

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


def ours(folder: pathlib.Path, names: list[str], from_nothing: bool) -> list[dict]:
    rows = []
    for file in sorted(folder.glob("[0-9]*.npz")):
        sample = np.load(file)
        for name in names:
            if from_nothing:
                jax.clear_caches()
            start = time.perf_counter()
            critic = small_committee(sample["x"].shape[1], sample["y"].shape[1], rngs=nnx.Rngs(0))
            found = fit_critic(critic, sample["x"], sample["y"], bound=name)
            nats, error = float(found.bits) * math.log(2), float(found.standard_error) * math.log(2)
            seconds = time.perf_counter() - start
            rows.append({"file": file.name, "estimator": name, "nats": nats, "seconds": seconds, "error": error})
            print(
                f"  ours    {sample['task']}  {name}: {nats:.4f} +- {error:.4f} nats, {seconds:.1f} s, step {found.step}"
                + (" (from nothing)" if from_nothing else ""),
                flush=True,
            )
    return rows


def call(python: pathlib.Path, cores: str, *arguments: object) -> None:
    subprocess.run(["taskset", "-c", cores, python, HERE / "information_bmi.py", *map(str, arguments)], check=True)


SIDES = ("ours", "theirs", "from nothing")


def table(folder: pathlib.Path, runs: dict[str, list[dict]], names: list[str]) -> None:
    """One table for each estimator; the verdict is on ours and theirs as they come."""
    samples = {file.name: np.load(file) for file in sorted(folder.glob("[0-9]*.npz"))}
    found = {(row["file"], row["estimator"], side): row for side in SIDES for row in runs[side]}
    tasks = list(dict.fromkeys(str(sample["task"]) for sample in samples.values()))
    for name in names:
        errors: dict[str, list[float]] = {side: [] for side in SIDES}
        seconds: dict[str, list[float]] = {side: [] for side in SIDES}
        heads = "truth     ours   theirs   |error| ours  theirs   seconds ours  theirs  from nothing"
        print(f"\n{name + ', nats':42}   {heads}")
        for task in tasks:
            files = [file for file, sample in samples.items() if str(sample["task"]) == task]
            truth = float(samples[files[0]]["nats"])
            cells = {}
            for side in SIDES:
                rows = [found[file, name, side] for file in files]
                gaps, times = [abs(row["nats"] - truth) for row in rows], [row["seconds"] for row in rows]
                errors[side] += gaps
                seconds[side] += times
                cells[side] = [statistics.median(values) for values in ([row["nats"] for row in rows], gaps, times)]
            a, b, cold = (cells[side] for side in SIDES)
            print(
                f"{task:42}{truth:8.4f} {a[0]:8.4f} {b[0]:8.4f}      {a[1]:8.4f}{b[1]:8.4f}"
                f"        {a[2]:6.1f}  {b[2]:6.1f}  {cold[2]:12.1f}"
            )
        verdict(errors, seconds)


def verdict(errors: dict[str, list[float]], seconds: dict[str, list[float]]) -> None:
    error = {side: statistics.median(e if math.isfinite(e) else math.inf for e in errors[side]) for side in SIDES}
    time = {side: statistics.median(seconds[side]) for side in SIDES}
    print(
        f"{'median':42}{'':26}      {error['ours']:8.4f}{error['theirs']:8.4f}"
        f"        {time['ours']:6.1f}  {time['theirs']:6.1f}  {time['from nothing']:12.1f}"
    )
    ratio, cold = (sum(seconds[side]) / sum(seconds["theirs"]) for side in ("ours", "from nothing"))
    held = "holds" if error["ours"] <= error["theirs"] and ratio <= 0.5 else "does NOT hold"
    print(f"equal or lower median error in at most half the time ({ratio:.2f} of it; from nothing {cold:.2f}): {held}")


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
        runs = {"theirs": theirs["rows"]}
        for side in ("ours", "from nothing"):
            jax.clear_caches()
            runs[side] = ours(folder, given.estimators, side == "from nothing")
        (folder / "ours.json").write_text(json.dumps(runs))
        print(
            f"theirs: {theirs['versions']}\nours: Python {platform.python_version()}, jax {jax.__version__}; cores {given.cores}"
        )
        table(folder, runs, given.estimators)


if __name__ == "__main__":
    main()
