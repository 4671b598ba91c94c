"""The built wheel in empty environments: the oldest versions that pyproject.toml allows, and the newest pip finds.

    python benchmarks/wheel.py [--pythons python3.11 python3.13 ...] [--versions oldest newest]

For each interpreter and each set of versions a fresh virtual environment gets the wheel and nothing else; then, far from
the checkout, `rdjax doctor`, a limit, an audit of two small arrays with real codes, a coded file there and back, and a
gradient through R(D), a code and a Flax module. Prints the versions, seconds, and what went wrong; exits 1 if anything did.
"""

import argparse
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib

ROOT = pathlib.Path(__file__).resolve().parent.parent
PYTHONS = ["python3.11", "python3.12", "python3.13", "python3.14"]
USE = """
import jax, jax.numpy as jnp, numpy as np, optax
from flax import nnx
from rdjax.nn import EntropyModel, Quantizer
from rdjax.rate_distortion import interior_point
from rdjax.retrieval import calibrate_temperatures
rng = np.random.default_rng(0)
x = rng.standard_normal((40, 8))
with jax.enable_x64(True):
    slope = jax.grad(lambda d: interior_point(np.full(4, 0.25), d, 3.0).lagrangian)(1 - np.eye(4))
    assert np.isfinite(slope).all() and slope.shape == (4, 4)
found = calibrate_temperatures((x[:30] @ x.T)[None], np.arange(30))
assert found.temperatures[0] > 0
class Sender(nnx.Module):
    def __init__(self, rngs):
        self.quantizer, self.bits = Quantizer(8, step=0.5, rngs=rngs), EntropyModel(8, rngs=rngs)
    def __call__(self, x):
        return self.bits(self.quantizer(x).symbols).mean()
model = Sender(nnx.Rngs(0))
optimizer = nnx.Optimizer(model, optax.adam(0.01), wrt=nnx.Param)
loss, gradient = nnx.value_and_grad(lambda m: m(x.astype(np.float32)))(model)
optimizer.update(model, gradient)
assert np.isfinite(float(loss))
np.save("corpus/documents.npy", x)
np.save("corpus/queries.npy", x[:30] + 0.3 * rng.standard_normal((30, 8)))
"""
STEPS = (
    "rdjax doctor",
    "rdjax rate --documents 1e9 --value 0.8",
    "python use.py",
    "rdjax audit corpus --family 'PCA + scalar' --family int8 --out report",
    "rdjax encode corpus --side documents --family int8 --bits 64 --out codes",
    "rdjax decode codes/documents.rdx --code codes/code.safetensors --out vectors.npy",
)


def oldest():
    """name==version of the least version of everything that rdjax needs."""
    needs = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    return [re.sub(r">=([\d.]+).*", r"==\1", need) for need in needs]


def run(line, **options):
    return subprocess.run(line, capture_output=True, text=True, **options)


def tried(python, versions, wheel, place):
    """What went wrong, or None."""
    environment, start = place / "environment", time.perf_counter()
    made = run([python, "-m", "venv", str(environment)])
    if made.returncode:
        return f"no environment: {made.stderr or made.stdout}"
    bin_, extra = environment / "bin", oldest() if versions == "oldest" else []
    installed = run([bin_ / "python", "-m", "pip", "install", "-q", str(wheel), *extra])
    if installed.returncode:
        return f"pip: {installed.stderr.strip().splitlines()[-1]}"
    work = place / "work"
    (work / "corpus").mkdir(parents=True)
    (work / "use.py").write_text(USE)
    clean = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    for step in STEPS:
        name, *rest = shlex.split(step)
        done = run([bin_ / name, *rest], cwd=work, env=clean)
        if done.returncode:
            return f"{step}: exit code {done.returncode}\n{done.stdout}{done.stderr}"
        if rest == ["doctor"]:
            print("\n".join(f"    {line}" for line in done.stdout.splitlines()[:9]), flush=True)
    print(f"  all right, {time.perf_counter() - start:.0f} s")
    return None


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pythons", nargs="+", default=PYTHONS)
    parser.add_argument("--versions", nargs="+", default=["oldest", "newest"], choices=["oldest", "newest"])
    asked, wrong = parser.parse_args(), 0
    with tempfile.TemporaryDirectory() as folder:
        built = run([sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", folder, str(ROOT)])
        if built.returncode:
            sys.exit(built.stderr)
        (wheel,) = pathlib.Path(folder).glob("*.whl")
        print(f"{wheel.name}: {wheel.stat().st_size / 2**20:.1f} MB")
        if not any(shutil.which(python) for python in asked.pythons):
            sys.exit(f"none of {', '.join(asked.pythons)} is on this machine, so nothing was tried")
        for python in asked.pythons:
            if shutil.which(python) is None:
                print(f"{python}: not on this machine")
                continue
            for versions in asked.versions:
                print(f"{python}, {versions} versions", flush=True)
                with tempfile.TemporaryDirectory() as place:
                    trouble = tried(python, versions, wheel, pathlib.Path(place))
                if trouble:
                    wrong += 1
                    print(f"  wrong: {trouble}", flush=True)
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
