"""Every benchmark, one process after the other; what they found as results/NAME.json, and the README's table from those.

    python benchmarks/run.py [--full] [--only NAME ...] [--resume] [--repeats K] [--environments DIR] [--list]
    python benchmarks/run.py --readme                       # only writes the README's table again

Quick, the default, is made for less than ten minutes on two cores; `--full` has the sizes that each benchmark's own head
speaks of, hours in all, and writes results/full/NAME.json, of which the README says nothing. A benchmark is run K times (3)
unless it repeats within. A result holds, for every row, the median, the least and the most of ours, of the peer's and of
their ratio, taken run by run, with versions, threads and machine. What fails is reported at the end, and the others go on;
`--resume` leaves out what is stored of the same mode, command and sources, which are the files that a benchmark imports, so
that a whole run can be made in parts. Peers that need packages of another age get environments of their own in DIR (.bench),
made here with venv and pip; one that cannot be made counts as failed. Run it on a machine that does nothing else.
"""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import argparse
import json
import pathlib
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from importlib import metadata

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from run_sources import sources

HERE = pathlib.Path(__file__).resolve().parent
ROOT, RESULTS = HERE.parent, HERE / "results"
PACKAGES = ["rdjax", "jax", "jaxlib", "numpy", "scipy", "flax", "optax", "faiss-cpu", "ranx", "ir-measures", "mpmath"]
PACKAGES += ["scikit-learn", "optimistix", "clarabel", "dit", "bitbudget", "remex"]

#: name -> what pip is asked for
ENVIRONMENTS = {
    "rax": ["rax==0.4.0", "jax==0.6.2", "jaxlib==0.6.2"],
    "infomeasure": ["infomeasure==0.6.3"],
    "bmi": ["benchmark-mi==0.1.3", "jax==0.4.33", "jaxlib==0.4.33", "scipy<1.14"],
}


@dataclass(frozen=True)
class Benchmark:
    """How to run one.

    Args:
      quick: arguments for the quick run; None: it is not part of it.
      full: arguments for the whole one.
      named: arguments where it is not part of the quick run, but asked for by name.
      peer: (option, environment) of a Python that has the peer.
      repeats: False where it repeats within.
      yardstick: whether NumPy's product, with every core, is what it is held to.
      whole: whether it starts or installs rdjax, of which then every file counts.
    """

    quick: tuple[str, ...] | None
    full: tuple[str, ...] = ()
    named: tuple[str, ...] = ()
    peer: tuple[str, str] | None = None
    repeats: bool = True
    yardstick: bool = False
    whole: bool = False

    def arguments(self, full: bool) -> tuple[str, ...]:
        """Of a whole run, or of a shorter one."""
        if full:
            return self.full
        return self.named if self.quick is None else self.quick


_ROWS_OF_CODES = "benchmarks/results/codes/rows.json"  # which a full run goes on from
_ONE_ROW_OF_CODES = ("--only", "T1", "--classes", "B", "--side", "documents", "--budgets", "16")
_ROUNDS = ("--rounds", "3")  # within: compiling takes most of their time
BENCHMARKS = {
    "metrics": Benchmark(("--queries", "300", *_ROUNDS), _ROUNDS, repeats=False),
    "limits": Benchmark((), repeats=False),
    "scalar": Benchmark((), repeats=False),
    "encode_speed": Benchmark(("--rows", "100000"), ("--repeats", "3"), repeats=False),
    "information_discrete": Benchmark(
        ("--histograms", "2000", "--loop", "200", *_ROUNDS),
        _ROUNDS,
        peer=("--peer-python", "infomeasure"),
        repeats=False,
    ),
    "information_neighbors": Benchmark(
        None, named=("--n", "2000", "--limit", "20"), peer=("--infomeasure", "infomeasure")
    ),
    "soft_metrics": Benchmark(("--lists", "128", *_ROUNDS), _ROUNDS, peer=("--peer-python", "rax"), repeats=False),
    "temperatures": Benchmark(None, repeats=False),
    "streaming": Benchmark(None, repeats=False),
    "relevance": Benchmark(None, repeats=False),
    "sharded_rows": Benchmark(None, repeats=False),
    "rate_distortion": Benchmark(("--sizes", "64", "--limit", "1", "--only", "cases"), ("--full",), repeats=False),
    "information_neural": Benchmark(None, peer=("--peer-python", "bmi"), repeats=False),
    "exponents": Benchmark(None, repeats=False),
    "rank_codes": Benchmark(None, repeats=False),
    "codes": Benchmark(None, ("--out", _ROWS_OF_CODES), named=_ONE_ROW_OF_CODES, repeats=False),
    "code_choices": Benchmark(None, repeats=False),
    "closer_budgets": Benchmark(None, repeats=False),
    "learning": Benchmark(None, peer=("--peer-python", "rax"), repeats=False),
    "sweep": Benchmark(None, repeats=False),
    "large": Benchmark(None, repeats=False, whole=True),
    "scale": Benchmark(("--only", "ranks", "--quick"), repeats=False, yardstick=True),
    "robust": Benchmark(None, repeats=False),
    "fused": Benchmark(None, repeats=False),
    "wheel": Benchmark(None, repeats=False, whole=True),
    "hostile": Benchmark(None, repeats=False, whole=True),
    "fuzz_streams": Benchmark(None, repeats=False),
    "kills": Benchmark(None, repeats=False, whole=True),
    "browser": Benchmark(None, repeats=False),
}


def settings(name: str) -> dict[str, str]:
    """The environment that a benchmark runs in."""
    every = dict(os.environ)
    if BENCHMARKS[name].yardstick:
        every.pop("OPENBLAS_NUM_THREADS")
    return every


def machine(environment: dict[str, str]) -> dict:
    """What figures depend on, and nothing that tells whose machine it is."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "not installed"
    model = ""
    if pathlib.Path("/proc/cpuinfo").exists():
        lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
        model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    threads = {name: environment[name] for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS") if name in environment}
    here = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "machine": f"{platform.system()} {platform.machine()}{', ' + model if model else ''}",
        "processors": here,
        "load": round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else None,  # of others, at the start
        "threads": threads,
        "python": platform.python_version(),
        "versions": found,
    }


def python_of(name: str, folder: pathlib.Path) -> tuple[str, dict[str, str]]:
    """The Python of a peer's environment, which is made if it is not there, and the versions in it."""
    home = folder.resolve() / name
    python = home / ("Scripts" if os.name == "nt" else "bin") / "python"
    if not (home / "ready").exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(home)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "-q", *ENVIRONMENTS[name]], check=True)
        (home / "ready").touch()
    ask = "import json, sys; from importlib.metadata import version; print(json.dumps({n: version(n) for n in sys.argv[1:]}))"
    wanted = [one.partition("=")[0].partition("<")[0] for one in ENVIRONMENTS[name]]
    told = subprocess.run([str(python), "-c", ask, *wanted], check=True, capture_output=True, text=True).stdout
    return str(python), json.loads(told)


def once(name: str, arguments: list[str]) -> list[dict]:
    """One run: its rows; what it prints goes through."""
    with tempfile.TemporaryDirectory() as folder:
        rows = pathlib.Path(folder, "rows.jsonl")
        paths = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
        environment = settings(name) | {"RDJAX_ROWS": str(rows), "PYTHONPATH": paths}
        done = subprocess.run([sys.executable, str(HERE / f"{name}.py"), *arguments], env=environment, cwd=folder)
        if done.returncode:
            raise RuntimeError(f"{name} ended with code {done.returncode}")
        return [json.loads(line) for line in rows.read_text().splitlines()] if rows.exists() else []


def summary(runs: list[list[dict]]) -> list[dict]:
    """Median, least and most of every row over the runs; ratios are taken run by run: theirs over ours."""

    def three(values: list[float]) -> dict[str, float]:
        middle, least, most = statistics.median(values), min(values), max(values)
        return {key: float(f"{x:.4g}") for key, x in (("median", middle), ("least", least), ("most", most))}

    found: dict[tuple, list[dict]] = {}
    for row in (row for run in runs for row in run):
        found.setdefault((row["name"], row.get("peer", "")), []).append(row)
    rows = []
    for (name, peer), same in found.items():
        row = {"name": name, "unit": same[0]["unit"], "ours": three([one["ours"] for one in same])}
        if peer:
            row |= {"peer": peer, "theirs": three([one["theirs"] for one in same])}
            row["ratio"] = three([one["theirs"] / one["ours"] for one in same])
        rows.append(row)
    return rows


def identity(name: str, full: bool) -> dict[str, str]:
    """What a stored result is one of: paths in the command are relative, and a peer's Python has no name."""
    how = BENCHMARKS[name]
    words = [*how.arguments(full), *((how.peer[0], "PYTHON") if how.peer else ())]
    command = " ".join(["python", f"benchmarks/{name}.py", *words])
    return {
        "command": command,
        "mode": "full" if full else "quick",
        "sources": sources(HERE / f"{name}.py", ROOT, how.whole),
    }


def place_of(name: str, full: bool) -> pathlib.Path:
    """The file of its results: the README's table reads those of quick runs alone."""
    return (RESULTS / "full" if full else RESULTS) / f"{name}.json"


def is_stored(name: str, full: bool) -> bool:
    """Whether a run would only measure again what is stored."""
    path = place_of(name, full)
    return path.exists() and identity(name, full).items() <= json.loads(path.read_text()).items()


def run(name: str, given: argparse.Namespace) -> None:
    """Run one benchmark as often as is asked for, and write its results."""
    how, made_of = BENCHMARKS[name], identity(name, given.full)
    # it runs in a folder of its own
    arguments = [str(ROOT / word) if word == _ROWS_OF_CODES else word for word in how.arguments(given.full)]
    versions: dict[str, str] = {}
    if how.peer:
        option, environment = how.peer
        python, versions = python_of(environment, given.environments)
        arguments += [option, python]
    count, before = given.repeats if how.repeats else 1, machine(settings(name))
    start = time.perf_counter()
    runs = [once(name, arguments) for _ in range(count)]
    record = {
        "benchmark": name,
        **made_of,
        "runs": count,
        "seconds": round(time.perf_counter() - start, 1),
        **before,
        "peer_versions": versions,
        "rows": summary(runs),
    }
    path = place_of(name, given.full)
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_suffix(".tmp")
    beside.write_text(json.dumps(record, indent=1) + "\n")
    beside.replace(path)


def run_all(names: list[str], given: argparse.Namespace) -> list[str]:
    """One after the other; those that failed."""
    failed = []
    for name in names:
        if given.resume and is_stored(name, given.full):
            print(f"{name}: left out, it is stored of the same sources", flush=True)
            continue
        print(f"\n===== {name}", flush=True)
        try:
            run(name, given)
        except Exception as error:  # hours of others are still to come
            failed.append(name)
            print(f"{name} failed, {type(error).__name__}: {error}", file=sys.stderr)
    return failed


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--full", action="store_true")
    options.add_argument("--only", nargs="+", choices=BENCHMARKS, metavar="NAME")
    options.add_argument("--resume", action="store_true", help="leave out what is stored of the same sources")
    options.add_argument("--repeats", type=int, default=3)
    options.add_argument("--environments", type=pathlib.Path, default=ROOT / ".bench")
    options.add_argument("--list", action="store_true", help="names, and what they are run with")
    options.add_argument("--readme", action="store_true", help="write the README's table from the results, run nothing")
    given = options.parse_args()
    names = given.only or [name for name, how in BENCHMARKS.items() if given.full or how.quick is not None]
    if given.list:
        for name in names:
            print(f"{name:24}{' '.join(BENCHMARKS[name].arguments(given.full))}")
        return 0
    failed: list[str] = []
    if not given.readme:
        print(json.dumps(machine(dict(os.environ)), indent=1))
        failed = run_all(names, given)
    from readme_table import write

    write(ROOT / "README.md", RESULTS)
    if failed:
        print(f"not done: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
