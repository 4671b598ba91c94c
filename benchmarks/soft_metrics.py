"""Smooth metrics and losses beside rax: values, seconds, memory of gradients; and the bias that a temperature has.

    python benchmarks/soft_metrics.py --peer-python RAX/bin/python [--lists 512] [--length 1000] [--rounds 1]

RAX is an environment for rax alone, since its approximate metrics fail on JAX 0.7 and later:
pip install 'rax==0.4.0' 'jax==0.6.2' 'jaxlib==0.6.2'. Both get the same lists, each with standard deviation 1, so that
our relative temperature is rax's absolute one; one relevant document a list. Compiled, float32; seconds are the median
of as many calls as a second holds, five at least: what takes a millisecond does not repeat within a factor of two by less.
With several rounds each is a row of its own, of ours and theirs after as many, and the last is printed.
"""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile
import time

import numpy as np
from rows import record

TEMPERATURE = 0.1


def lists(count: int, length: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    relevant = rng.integers(0, length, count)
    scores = rng.standard_normal((count, length))
    scores[np.arange(count), relevant] += 2
    scores -= scores.mean(axis=1, keepdims=True)
    return (scores / scores.std(axis=1, keepdims=True)).astype(np.float32), relevant


def timed(function, *arguments) -> float:
    import jax

    jax.block_until_ready(function(*arguments))
    seconds: list[float] = []
    while len(seconds) < 5 or sum(seconds) < 1:
        start = time.perf_counter()
        jax.block_until_ready(function(*arguments))
        seconds.append(time.perf_counter() - start)
    return float(np.median(seconds))


def measure(functions: dict, rounds: int, scores: np.ndarray, target, wide, wide_target) -> dict:
    """name -> value, seconds of value and gradient together in each round, MiB of temporaries of the gradient on `wide`."""
    import jax

    rows = {}
    scores, target = jax.device_put((scores, target))  # handing them over is not what is compared
    for name, function in functions.items():
        both = jax.jit(jax.value_and_grad(function))
        value, gradient = both(scores, target)
        compiled = jax.jit(jax.grad(function)).lower(wide, wide_target).compile()
        rows[name] = {
            "value": float(value),
            "slope": float(np.abs(np.asarray(gradient)).sum()),
            "seconds": [timed(both, scores, target) for _ in range(rounds)],
            "MiB": compiled.memory_analysis().temp_size_in_bytes / 2**20,
        }
    return rows


def theirs(folder: pathlib.Path) -> None:
    """Runs in the peer's environment."""
    import jax
    import rax

    data = np.load(folder / "lists.npz")
    labels = lambda s, r: np.eye(s.shape[1], dtype=np.float32)[r]
    soft = lambda metric: lambda s, y: -rax.approx_t12n(metric, temperature=TEMPERATURE)(s, y, reduce_fn=jax.numpy.mean)
    functions = {
        "MRR": soft(rax.mrr_metric),
        "nDCG": soft(rax.ndcg_metric),
        "listwise": lambda s, y: rax.softmax_loss(s, y, reduce_fn=jax.numpy.mean),
        "pairwise": lambda s, y: rax.pairwise_logistic_loss(s, y),
    }
    arrays = data["scores"], labels(data["scores"], data["relevant"]), data["wide"], labels(data["wide"], data["own"])
    found = measure(functions, int(data["rounds"]), *arrays)
    cosine = labels(data["cosine"], data["sought"])
    found["bias"] = {
        str(t): float(np.mean(rax.approx_t12n(rax.mrr_metric, temperature=t)(data["cosine"], cosine)))
        for t in (1.0, 0.001)
    }
    found["versions"] = f"rax {rax.__version__ if hasattr(rax, '__version__') else '0.4.0'}, jax {jax.__version__}"
    (folder / "theirs.json").write_text(json.dumps(found))


def ours(data: dict) -> dict:
    from rdjax.retrieval import SigmoidRanks, listwise_loss, pairwise_loss, smooth_metric

    ranks = SigmoidRanks(TEMPERATURE)
    soft = lambda name: lambda s, r: -smooth_metric(name, s, r, rank_fn=ranks).mean()
    functions = {
        "MRR": soft("mrr"),
        "nDCG": soft("ndcg"),
        "listwise": lambda s, r: listwise_loss(s[None], r, np.ones(1, np.float32)),
        "pairwise": lambda s, r: pairwise_loss(s[None], r, np.ones(1, np.float32)),
    }
    return measure(functions, data["rounds"], data["scores"], data["relevant"], data["wide"], data["own"])


def biases(data: dict) -> None:
    from rdjax.retrieval import PooledRanks, SigmoidRanks, SoftmaxRanks, mean_reciprocal_rank, smooth_metric

    hard = float(mean_reciprocal_rank(data["cosine"], data["sought"]))
    print(f"\nbias of MRR, 64 x 1000 cosines, hard {hard:.5f}: relative temperature, value, bias")
    for make in (SigmoidRanks, SoftmaxRanks, PooledRanks):
        for temperature in (0.003, 0.01, 0.03, 0.1, 0.3):
            value = float(smooth_metric("mrr", data["cosine"], data["sought"], rank_fn=make(temperature)).mean())
            usual = " (the usual one)" if make().temperature == temperature else ""
            print(f"  {make.__name__:14s} {temperature:6g}  {value:.5f}  {value / hard - 1:+8.2%}{usual}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer-python")
    parser.add_argument("--lists", type=int, default=512)
    parser.add_argument("--length", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--measure", type=pathlib.Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.measure:
        return theirs(given.measure)
    rng = np.random.default_rng(0)
    scores, relevant = lists(given.lists, given.length)
    wide, own = lists(8, 2000, 1)
    cosine, sought = 0.05 * rng.standard_normal((64, 1000)).astype(np.float32), rng.integers(0, 1000, 64)
    data = {"scores": scores, "relevant": relevant, "wide": wide, "own": own, "cosine": cosine, "sought": sought}
    data["rounds"] = given.rounds
    mine, peer = ours(data), {}
    if given.peer_python:
        with tempfile.TemporaryDirectory() as folder:
            np.savez(pathlib.Path(folder, "lists.npz"), **data)
            subprocess.run([given.peer_python, __file__, "--measure", folder], check=True)
            peer = json.loads(pathlib.Path(folder, "theirs.json").read_text())
    import jax

    print(f"ours: Python {sys.version.split()[0]}, jax {jax.__version__}; theirs: {peer.get('versions', 'left out')}")
    print(f"{given.lists} lists of {given.length}; MiB: temporaries of the gradient of 8 lists of 2000")
    print(f"{'':10s}{'value':>12s}{'rax':>12s}{'seconds':>10s}{'rax':>10s}{'ratio':>8s}{'MiB':>8s}{'rax':>8s}")
    for name, one in mine.items():
        other = peer.get(name, dict.fromkeys(one, float("nan")) | {"seconds": [float("nan")]})
        if peer:
            for ours_took, rax_took in zip(one["seconds"], other["seconds"], strict=True):
                record(f"gradient of {name}", 1e3 * ours_took, 1e3 * rax_took, "rax")
            record(f"memory of the gradient of {name}", one["MiB"], other["MiB"], "rax", "MiB")
        print(
            f"{name:10s}{one['value']:12.6f}{other['value']:12.6f}{one['seconds'][-1]:10.4f}{other['seconds'][-1]:10.4f}"
            f"{other['seconds'][-1] / one['seconds'][-1]:8.1f}{one['MiB']:8.2f}{other['MiB']:8.1f}"
        )
    biases(data)
    for temperature, value in peer.get("bias", {}).items():
        print(f"  rax, absolute temperature {temperature}: {value:.5f}")


if __name__ == "__main__":
    main()
