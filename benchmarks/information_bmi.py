"""The part of information_neural.py that runs in benchmark-mi's own environment: its samples, its estimators.

    python3.11 -m venv BMI && BMI/bin/pip install benchmark-mi==0.1.3 jax==0.4.33 jaxlib==0.4.33 "scipy<1.14"
    BMI/bin/python information_bmi.py draw FOLDER --tasks ID ... --seeds 0 ... --samples 5000
    BMI/bin/python information_bmi.py estimate FOLDER [--estimators infonce nwj donsker_varadhan mine]

`draw` writes FOLDER/000.npz and so on (x, y, task, seed, nats); `estimate` adds FOLDER/theirs.json: its estimators as
they come (no setting changed but the progress bar), nats and wall seconds of `estimate_with_info`, compiling included.
"""

import argparse
import json
import pathlib
import sys
import time
from importlib.metadata import version

import numpy as np


def versions() -> str:
    names = ("benchmark-mi", "jax", "equinox", "optax", "numpy")
    return f"Python {sys.version.split()[0]}, " + ", ".join(f"{name} {version(name)}" for name in names)


def tuning_tasks() -> dict:
    """Tasks that defaults were chosen on: none of the benchmark's own, no seed below 100."""
    from bmi.benchmark import tasks as t
    from bmi.benchmark.tasks.student import task_student_identity

    chosen = [
        t.task_bivariate_normal(0.6),
        t.task_additive_noise(0.3),
        t.transform_wiggly_task(t.task_bivariate_normal(0.9)),
        task_student_identity(dim_x=1, dim_y=1, df=2),
        t.task_multinormal_dense(4, 4, 0.4),
        t.task_multinormal_dense(20, 20, 0.5),
        t.task_multinormal_sparse(4, 4, 2, 1.5),
        t.task_multinormal_sparse(8, 8, 3, 2.0),
        t.task_multinormal_sparse(15, 15, 2, 3.0),
        task_student_identity(dim_x=4, dim_y=4, df=2),
        t.transform_normal_cdf_task(t.task_multinormal_sparse(4, 4, 2, 2.5)),
        t.transform_half_cube_task(t.task_multinormal_sparse(10, 10, 2, 2.0)),
        t.transform_spiral_task(t.task_multinormal_sparse(4, 4, 2, 2.0)),
        t.transform_spiral_task(t.transform_normal_cdf_task(t.task_multinormal_sparse(8, 8, 2, 2.0))),
        t.task_waves(),
        t.task_multinormal_lvm(6, 6, 3, 0.3, 1.5),
    ]
    return {task.id: task for task in chosen}


def draw(folder: pathlib.Path, tasks: list[str], seeds: list[int], samples: int) -> None:
    from bmi.benchmark import BENCHMARK_TASKS

    known = BENCHMARK_TASKS | tuning_tasks()
    names = list(tuning_tasks()) if tasks == ["tuning"] else tasks
    for number, (name, seed) in enumerate((name, seed) for name in names for seed in seeds):
        x, y = known[name].sample(samples, seed)
        truth = float(known[name].mutual_information)
        np.savez(folder / f"{number:03d}.npz", x=np.asarray(x), y=np.asarray(y), task=name, seed=seed, nats=truth)


def estimate(folder: pathlib.Path, names: list[str]) -> None:
    from bmi import estimators

    made = {
        "infonce": estimators.InfoNCEEstimator,
        "nwj": estimators.NWJEstimator,
        "donsker_varadhan": estimators.DonskerVaradhanEstimator,
        "mine": estimators.MINEEstimator,
    }
    rows = []
    for file in sorted(folder.glob("[0-9]*.npz")):
        sample = np.load(file)
        for name in names:
            start = time.perf_counter()
            found = made[name](verbose=False).estimate_with_info(sample["x"], sample["y"])
            seconds = time.perf_counter() - start
            rows.append({"file": file.name, "estimator": name, "nats": float(found.mi_estimate), "seconds": seconds})
            print(
                f"  theirs  {sample['task']}  {name}: {float(found.mi_estimate):.4f} nats, {seconds:.1f} s", flush=True
            )
    (folder / "theirs.json").write_text(json.dumps({"versions": versions(), "rows": rows}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("job", choices=["draw", "estimate"])
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--tasks", nargs="+", default=["tuning"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--samples", type=int, default=5000)
    parser.add_argument("--estimators", nargs="+", default=["infonce", "nwj", "donsker_varadhan", "mine"])
    given = parser.parse_args()
    if given.job == "draw":
        draw(given.folder, given.tasks, given.seeds, given.samples)
    else:
        estimate(given.folder, given.estimators)


if __name__ == "__main__":
    main()
