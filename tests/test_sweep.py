"""Sweeps: one cell by brute force, the same table however it is computed, interruptions, mistakes."""

import dataclasses
import hashlib
import itertools
import json
import math
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import jax
import numpy as np
import pytest
from jax.experimental.compilation_cache.compilation_cache import reset_cache
from typer.testing import CliRunner

from rdjax.checks import InputError
from rdjax.cli import app, sweeping
from rdjax.data.machine import byte_size
from rdjax.sweep import (
    Host,
    budget,
    hosts,
    join,
    parts,
    plan_sweep,
    read_config,
    read_table,
    run_sweep,
    tables,
)
from rdjax.sweep.fused_threefry import folded_key
from rdjax.sweep.grid import ranges
from rdjax.sweep.mixture_cell import MixtureCells
from rdjax.sweep.mixture_known import entropies, uniform_step
from rdjax.sweep.run import _shares
from rdjax.sweep.tables import from_bytes, to_bytes, write_stream

pytestmark = pytest.mark.float64_only
SMALL = {"documents": 12, "queries": 9, "intent_dim": 3, "dim": 5}
MANY = {
    "cells_per_part": 7,
    "grid": {**SMALL, "noise": [[0.4, 1.1], 0.8], "code": ["none", "scalar"], "rate": 6, "seeds": 6},
}
EVERYTHING = {
    **SMALL,
    "noise": [[0.5, 1.0]],
    "code": ["none", "gaussian", "scalar", "paper"],
    "rate": [4, 9],
    "temperatures": ["uniform", "calibrated", "closed form", "equation 10", "section 6"],
    "scores": ["likelihood", "inner product"],
}


@pytest.fixture(scope="module", autouse=True)
def compiled_once(tmp_path_factory):
    """The same few programs are compiled by most of these tests: later ones read what the first has compiled."""
    before = jax.config.jax_compilation_cache_dir
    jax.config.update("jax_compilation_cache_dir", str(tmp_path_factory.mktemp("programs")))
    reset_cache()
    yield
    jax.config.update("jax_compilation_cache_dir", before)
    reset_cache()


def row(table, number):
    return {name: column[number] for name, column in table.items()}


def equal(table, other):
    assert list(table) == list(other)
    for name, column in table.items():
        np.testing.assert_array_equal(column, other[name], err_msg=name)


# one cell, by brute force


@pytest.fixture(scope="module")
def everything(tmp_path_factory):
    config = {"precision": "float64", "grid": EVERYTHING}
    return read_table(run_sweep(config, tmp_path_factory.mktemp("everything")))


@jax.jit
def standard(words, seed):
    """What is drawn on each half of a key: intents, relevant documents, noises, places in cells."""
    key = jax.random.fold_in(jax.random.wrap_key_data(words, impl="threefry2x32"), seed)
    keys = [jax.random.split(half, 4) for half in jax.random.split(key)]
    return [
        (
            jax.random.normal(one, (12, 3), np.float64),
            jax.random.randint(two, (9,), 0, 12, np.int32),
            jax.random.normal(three, (2, 9, 3), np.float64),
            jax.random.uniform(four, (2, 9, 3), np.float64, -0.5, 0.5),
        )
        for one, two, three, four in keys
    ]


def key_of(cell):
    """The words of the random key by their definition: a sum of hashes of what is drawn."""
    drawn = [(name, int(cell[name])) for name in ("documents", "queries", "intent_dim", "dim")]
    more = [("modalities", 2), ("noise", [0.5, 1.0]), ("correlation", float(cell["correlation"]))]
    hashed = [f"{name}={value}" for name, value in [*drawn, *more]]
    total = sum(int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") for text in hashed) % 2**64
    return np.array([total >> 32, total % 2**32], np.uint32)


def draws(cell, half):
    """Intents, relevant documents and what arrives of the queries, with the code written out in NumPy."""
    intents, relevant, noises, places = map(np.array, standard(key_of(cell), np.uint32(cell["seed"]))[half])
    c = cell["correlation"]
    noises[1] = c * noises[0] + math.sqrt(1 - c**2) * noises[1]
    sent, added = [], []
    for m, sigma in enumerate((0.5, 1.0)):
        bits, wave = cell["rate"] / 2, intents[relevant] + sigma * noises[m]
        if cell["code"] == "gaussian":
            added.append((1 + sigma**2) / (2 ** (2 * bits / 3) - 1))
            sent.append(intents[relevant] + math.sqrt(sigma**2 + added[-1]) * noises[m])
        elif cell["code"] == "none":
            added.append(0.0)
            sent.append(wave)
        else:
            paper = cell["code"] == "paper"
            step = uniform_step(bits, np.array([math.sqrt(1 + sigma**2)] * 3 + [sigma] * (2 if paper else 0)))
            added.append(step**2 / (6 if paper else 12))
            sent.append(step * (np.round(wave / step) + (places[m] if paper else 0.0)))
    return intents, relevant, np.stack(sent), np.array([0.25, 1.0]) + added


def scores_of(cell, intents, sent):
    norm = (intents**2).sum(axis=1) / 2 if cell["scores"] == "likelihood" else 0.0
    return np.stack([queries @ intents.T - norm for queries in sent])


def tied_reciprocal_ranks(scores, relevant):
    own = scores[np.arange(len(relevant)), relevant][:, None]
    above, tied = (scores > own + 1e-12).sum(1), (abs(scores - own) <= 1e-12).sum(1)
    return np.array([np.mean(1 / np.arange(a + 1, a + t + 1)) for a, t in zip(above, tied, strict=True)])


def test_cells_by_brute_force(everything):
    """Quality, its error and every temperature but the calibrated ones, of all 80 cells."""
    assert len(everything["cell"]) == 80
    h = [(3 * math.log2(17.0794684 * (1 + s)) + 2 * math.log2(17.0794684 * s)) / 2 for s in (0.25, 1.0)]
    for number in range(80):
        cell = row(everything, number)
        intents, relevant, sent, variance = draws(cell, 1)
        tau = np.array([cell["temperature_1"], cell["temperature_2"]])
        expected = {
            "uniform": [1, 1],
            "closed form": variance,
            "equation 10": np.sqrt(np.mean(h) / np.array(h)),
            "section 6": 2**-0.5 * np.sqrt(abs(np.array(h) - np.mean(h)) + 1e-3),
        }
        if cell["temperatures"] != "calibrated":
            np.testing.assert_allclose(tau, expected[cell["temperatures"]], rtol=1e-6)
        fused = np.tensordot(1 / tau, scores_of(cell, intents, sent), 1)
        ranks = tied_reciprocal_ranks(fused, relevant)
        np.testing.assert_allclose(cell["quality"], ranks.mean(), rtol=1e-9)
        np.testing.assert_allclose(cell["standard_error"], ranks.std(ddof=1) / 3, rtol=1e-6, atol=1e-12)
        assert cell["bits"] == (math.inf if cell["code"] == "none" else cell["rate"])


def test_correlated_noise(tmp_path):
    """Quality by brute force; the blind ceiling is that of one modality with the noise of the best estimate."""
    grid = {**SMALL, "noise": [[0.5, 1.0]], "correlation": 0.6, "code": ["none", "scalar", "paper"], "rate": 4}
    table = read_table(run_sweep({"precision": "float64", "grid": grid}, tmp_path))
    for number in range(3):
        cell = row(table, number)
        intents, relevant, sent, _ = draws(cell, 1)
        ranks = tied_reciprocal_ranks(scores_of(cell, intents, sent).sum(0), relevant)
        np.testing.assert_allclose(cell["quality"], ranks.mean(), rtol=1e-9)
    signal = (1 / 0.25 + 1 / 1.0 - 2 * 0.6 / 0.5) / (1 - 0.6**2)
    one = read_config(
        {"grid": {**SMALL, "modalities": 1, "noise": signal**-0.5, "code": ["none", "scalar"], "rate": 4}}
    )
    alone = [one.kind.known(one.grid.at(cell))[1]["blind_ceiling"] for cell in range(2)]
    np.testing.assert_allclose(table["blind_ceiling"][:2], alone, rtol=1e-9)


def test_calibrated_temperatures_minimize_the_cross_entropy_of_other_draws(everything):
    """No nearby temperatures have a lower one, in NumPy, on the draws of the first half of the key."""
    chosen = np.flatnonzero((everything["temperatures"] == "calibrated") & (everything["scores"] == "likelihood"))
    checked = 0
    for number in chosen:
        cell = row(everything, number)
        intents, relevant, sent, _ = draws(cell, 0)
        scores = scores_of(cell, intents, sent)

        def loss(beta, scores=scores, relevant=relevant):
            logits = np.tensordot(beta, scores, 1)
            top = logits.max(axis=1)
            total = top + np.log(np.exp(logits - top[:, None]).sum(axis=1))
            return np.mean(total - logits[np.arange(9), relevant])

        beta = 1 / np.array([cell["temperature_1"], cell["temperature_2"]])
        assert (beta >= 0).all()
        if beta.max() < 50:  # else the draw is separable, and the least is at infinity
            for change in ((1e-3, 0), (-1e-3, 0), (0, 1e-3), (0, -1e-3)):
                assert loss(np.maximum(beta + change, 0)) >= loss(beta) - 1e-9
            checked += 1
    assert checked >= 4


@pytest.mark.parametrize("wide", [False, True])
def test_the_random_numbers_are_those_of_jax(wide):
    """To the last bit, of keys, normals, uniforms and indices."""

    def numbers(key):
        one, two, three, four = jax.random.split(key, 4)
        normal, uniform = jax.random.normal(one, (7, 5)), jax.random.uniform(two, (3, 2, 2), minval=-0.5, maxval=0.5)
        return jax.random.key_data(four), normal, uniform, jax.random.randint(three, (9,), 0, 1000, np.int32)

    def folded(words, seed):
        return jax.random.fold_in(jax.random.wrap_key_data(words, impl="threefry2x32"), seed)

    ours_and_theirs = jax.jit(lambda *given: (numbers(folded_key(*given)), numbers(folded(*given))))
    words = np.array([3, 2**32 - 5], np.uint32)
    with jax.enable_x64(wide):
        for seed in (0, 2**32 - 1):
            for ours, expected in zip(*ours_and_theirs(words, np.uint32(seed)), strict=True):
                assert ours.dtype == expected.dtype
                np.testing.assert_array_equal(ours, expected)


def test_the_step_spends_its_bits():
    """The entropy of the symbols by a plain sum over them, for coarse and fine steps and mixed variances."""
    for rate, deviations in ((0.3, [1.0]), (2.0, [1.5]), (9.0, [1.2, 1.2]), (40.0, [1.1] * 4 + [0.3] * 4)):
        step, bits = uniform_step(rate, np.array(deviations)), 0.0
        for s in deviations:
            for k in range(-6000, 6001):
                low, high = ((k - 0.5) * step / s / 2**0.5, (k + 0.5) * step / s / 2**0.5)
                mass = (
                    abs(math.erfc(low) - math.erfc(high)) / 2 if k > 0 else abs(math.erfc(-high) - math.erfc(-low)) / 2
                )
                bits -= mass * math.log2(mass) if mass > 0 else 0
        assert bits == pytest.approx(rate, abs=1e-9)


def test_entropy_of_the_papers_mixture():
    """Theory notes, section 1.8: 181.08 bits."""
    np.testing.assert_allclose(entropies(np.full(2, 2.5**0.5), 64, 32), 181.08, atol=5e-3)


def test_the_papers_mixture(tmp_path):
    """Theory notes, sections 1.6 and 7: ceilings, what the Gaussian channel reaches, and .918 without a code."""
    grid = {"queries": 500, "modalities": 1, "noise": 1.25**0.5, "code": ["gaussian", "none"], "seeds": 4}
    table = read_table(run_sweep({"grid": {**grid, "rate": [8, 16, 32]}}, tmp_path))
    gaussian = table["code"] == "gaussian"
    mean = lambda name: table[name][gaussian].reshape(4, 3).mean(axis=0)
    np.testing.assert_allclose(mean("quality"), (0.218, 0.453, 0.730), atol=0.03)
    np.testing.assert_allclose(mean("blind_ceiling"), (0.428, 0.678, 0.963), atol=1e-3)
    np.testing.assert_allclose(mean("ceiling"), (0.864, 1, 1), atol=1e-3)
    np.testing.assert_allclose(table["quality"][~gaussian].mean(), 0.918, atol=0.02)
    assert (table["blind_ceiling"][~gaussian] == 1).all()


def test_points_of_known_sources(tmp_path):
    config = {"kind": "rate distortion", "grid": {"source": ["zipf", "uniform"], "size": 5, "slope": [1, 3.5]}}
    table = read_table(run_sweep(config, tmp_path))
    value = table["rate"] + table["slope"] * table["distortion"]
    assert (table["gap"] <= 1e-8).all()
    assert (value - table["known"] <= table["gap"] + 1e-12).all()
    np.testing.assert_allclose(value, table["known"], atol=1e-8)


# however it is computed


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The 24 cells of `MANY` in one go on one device: the bytes of the table, and the table."""
    path = run_sweep(MANY, tmp_path_factory.mktemp("whole"), devices=jax.devices()[:1])
    return path.read_bytes(), read_table(path)


@pytest.mark.parametrize(("devices", "cells_per_part", "count"), [(8, 24, 1), (1, 1, 24), (3, 5, 6)])
def test_devices_and_parts_change_nothing(whole, tmp_path, devices, cells_per_part, count):
    """Not even parts of one cell, which tear apart the two that share a draw."""
    config = {**MANY, "cells_per_part": cells_per_part}
    path = run_sweep(config, tmp_path, devices=jax.devices()[:devices])
    assert path.read_bytes() == whole[0]
    assert len(parts.finished_parts(tmp_path)) == count


def test_a_solver_on_several_devices_changes_nothing(everything, tmp_path):
    """Its loops take different numbers of steps on different devices."""
    config = {"precision": "float64", "cells_per_part": 33, "grid": EVERYTHING}
    equal(read_table(run_sweep(config, tmp_path, devices=jax.devices()[:2])), everything)


def test_the_grid_around_a_cell_changes_nothing(whole, tmp_path):
    """A cell has the same draws alone; and cells that differ in the code alone share them."""
    grid = {**MANY["grid"], "noise": [0.8], "code": "none", "seeds": 2}
    alone = read_table(run_sweep({"grid": grid}, tmp_path))
    there = (whole[1]["code"] == "none") & (whole[1]["noise_1"] == 0.8) & (whole[1]["seed"] < 2)
    np.testing.assert_allclose(alone["quality"], whole[1]["quality"][there], rtol=1e-6)
    sweep = read_config(MANY)
    keys = np.stack([sweep.grid.key(cell) for cell in range(24)]).reshape(2, 12, 2)  # noise; seed and code
    assert (keys == keys[:, :1]).all()
    assert (keys[0, 0] != keys[1, 0]).any()


CHILD = """
import os, signal, sys
from rdjax.sweep import join, run, run_sweep
config, out, die, *address = sys.argv[1:]
host = join(address[0], int(address[1]), int(address[2])) if address else join(cluster="SLURM_JOB_ID" in os.environ)
kill = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
if die == "writing":
    os.fsync = lambda file: setattr(os, "fsync", kill)  # the first part is written and has no name
if die == "working":
    run._Meter.add = lambda self, cells, shape: kill() if self._done else setattr(self, "_done", cells)
if die == "merging":
    run.merge = kill
run_sweep(config, out, resume=die != "writing", host=host)
"""


def child(tmp_path, die, *address, **cluster):
    config = tmp_path / "many.py"
    config.write_text(f"config = {MANY!r}\n")
    command = [sys.executable, "-c", CHILD, str(config), str(tmp_path / "out"), die, *map(str, address)]
    programs = str(jax.config.jax_compilation_cache_dir)
    folder = {"JAX_COMPILATION_CACHE_DIR": programs, "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"}
    cache = {} if address or cluster else folder
    environment = {
        **os.environ,
        **cluster,
        **cache,  # one at a time, or one would read what another has half written
        "PYTHONPATH": str(Path(__file__).parent.parent) + ":" + os.environ.get("PYTHONPATH", ""),
    }
    return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def test_killed_three_times_and_resumed(whole, tmp_path):
    """In the middle of a write, between two parts, and before the table: nothing lost, nothing doubled."""
    found = []
    for die in ("writing", "working", "merging"):
        process = child(tmp_path, die)
        errors = process.communicate(timeout=120)[1]
        assert process.returncode == -signal.SIGKILL, errors
        found.append(len(parts.finished_parts(tmp_path / "out")))
        if die == "writing":
            assert len(list((tmp_path / "out" / parts.PARTS).glob(".rdjax-*/*"))) == 1
    assert found == [0, 2, 4]
    assert run_sweep(MANY, tmp_path / "out", resume=True).read_bytes() == whole[0]
    assert not list((tmp_path / "out" / parts.PARTS).glob(".rdjax-*"))


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def test_processes_on_loopback(whole, tmp_path):
    """The first and the second join by a cluster's environment, the third by flags."""
    port = free_port()
    slurm = {"SLURM_JOB_ID": "7", "SLURM_STEP_NODELIST": "localhost", "SLURM_NTASKS": "3", "SLURM_LOCALID": "0"}
    slurm |= {"JAX_COORDINATOR_PORT": str(port)}
    started = [child(tmp_path, "", SLURM_PROCID=str(index), **slurm) for index in range(2)]
    started.append(child(tmp_path, "", f"127.0.0.1:{port}", 3, 2))
    errors = [process.communicate(timeout=120)[1] for process in started]
    assert [process.returncode for process in started] == [0] * len(started), errors
    (table,) = (tmp_path / "out").glob("table.*")
    assert table.read_bytes() == whole[0]


def test_each_process_takes_its_share(whole, tmp_path, monkeypatch):
    """Three processes one after the other, without a runtime: what one leaves, the leader misses."""
    monkeypatch.setattr(Host, "_gather", lambda self, failed: np.array([failed]))
    with pytest.raises(InputError, match="is not seen by every process"):
        run_sweep(MANY, tmp_path, host=Host(2, 3))
    (tmp_path / parts.MANIFEST).write_text(json.dumps(parts.manifest_of(read_config(MANY), *_place())))
    run_sweep(MANY, tmp_path, host=Host(2, 3))
    run_sweep(MANY, tmp_path, host=Host(1, 3))
    assert [part.first for part in parts.finished_parts(tmp_path)] == [6, 12]
    (tmp_path / parts.MANIFEST).unlink()
    with pytest.raises(InputError, match="holds parts of a sweep without manifest"):
        run_sweep(MANY, tmp_path, host=Host(0, 3))
    (tmp_path / parts.MANIFEST).write_text(json.dumps(parts.manifest_of(read_config(MANY), *_place())))
    run_sweep(MANY, tmp_path, host=Host(0, 3), resume=True)
    assert next(tmp_path.glob("table.*")).read_bytes() == whole[0]


@pytest.mark.parametrize("processes", [3, 4])
def test_shapes_of_one_part_are_shared_too(processes):
    sources = {"kind": "rate distortion", "grid": {"size": [4, 8], "source": ["zipf", "gaussian"], "slope": [1, 2]}}
    several = {"cells_per_part": 5, "grid": {**SMALL, "documents": [12, 13, 14], "noise": 0.8, "seeds": 7}}
    for config in (sources, several):
        sweep = read_config(config)
        each = (_shares(sweep, [], Host(number, processes)) for number in range(processes))
        shares = [[batch for batches in share for batch in batches] for share in each]
        assert max(map(len, shares)) - min(map(len, shares)) <= 1
        cells = [cell for share in shares for batch in share for cell in batch]
        assert sorted(cells) == list(range(sweep.grid.size))


def _place():
    from rdjax.sweep.tables import best_format

    return best_format(), jax.devices()[0].device_kind


# what can go wrong


@pytest.fixture
def finished(whole, tmp_path):
    """A finished sweep, and a function that resumes it and returns the sentence it is refused with."""
    folder = tmp_path / "out"
    run_sweep(MANY, folder, devices=jax.devices()[:1])

    def refused(config=MANY, resume=True):
        before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        with pytest.raises(InputError) as caught:
            run_sweep(config, folder, resume=resume, devices=jax.devices()[:1])
        assert before == {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        return str(caught.value)

    return folder, refused


def test_what_is_there_is_not_touched(finished, whole):
    folder, refused = finished
    assert "holds a sweep; go on with it by --resume" in refused(resume=False)
    grid = {**MANY["grid"], "seeds": 7}
    assert "seed is [0, 1, 2, 3, 4, 5] there and [0, 1, 2, 3, 4, 5, 6] here" in refused({**MANY, "grid": grid})
    assert "precision 'float32' and this is 'float64'" in refused({**MANY, "precision": "float64"})
    manifest = folder / parts.MANIFEST
    good = manifest.read_text()
    old = json.loads(good)
    old["versions"]["jax"] = "0.1"
    manifest.write_text(json.dumps(old))
    assert "holds a sweep of jax 0.1 and this is" in refused()
    manifest.write_text(good[:100])
    assert "manifest.json is damaged" in refused()
    manifest.write_text(good)
    some = parts.finished_parts(folder)[1].path
    data = some.read_bytes()
    some.write_bytes(data[:-20] + bytes(20))
    assert f"{some} is damaged; delete it and go on by --resume" in refused()
    some.unlink()
    assert run_sweep(MANY, folder, resume=True, devices=jax.devices()[:1]).read_bytes() == whole[0]


def test_a_full_disk(finished, monkeypatch):
    """Files may have 100 bytes: one sentence, and the parts that were there still are."""
    folder, _ = finished
    before = parts.finished_parts(folder)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))
    try:
        with pytest.raises(InputError, match=r"File too large\. What was finished is still there; make room"):
            parts.write_part(folder, {"cell": np.arange(100, 500)}, ".csv")
        with pytest.raises(InputError, match=r"table.* cannot be written: .*make room"):
            parts.merge(folder, 24, before[0].path.suffix)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert parts.finished_parts(folder) == before
    assert len(list(folder.glob("table.*"))) == 1


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        ({}, "the config has no table `grid`"),
        ({"grids": {}}, "the config has the key 'grids', which is none; the keys are kind, precision"),
        ({"grid": {"noize": 1}}, "the config: grid has the key 'noize', which is none; the keys are documents"),
        ({"grid": {}}, "grid.noise has no value; give at least one"),
        ({"grid": {"noise": []}}, "grid.noise has no value"),
        ({"grid": {"noise": 1, "documents": 1}}, "grid.documents is 1; it must be a whole number, at least 2"),
        ({"grid": {"noise": 1, "documents": [5, 5]}}, "grid.documents has 5 twice"),
        ({"grid": {"noise": 1, "documents": "5"}}, "grid.documents is '5'; it must be a whole number"),
        ({"grid": {"noise": 0}}, "grid.noise is 0; it must be a number above 0"),
        ({"grid": {"noise": [[1, 2, 3]]}}, r"noise \(1.0, 2.0, 3.0\) has 3 entries and modalities is 2"),
        ({"grid": {"noise": [[]]}}, "grid.noise has an empty list"),
        ({"grid": {"noise": 1, "correlation": 1}}, "grid.correlation is 1; it must be a number between -1 and 1"),
        (
            {"grid": {"noise": 1, "correlation": -0.5, "modalities": 3}},
            "no 3 noises are so correlated, they can be above",
        ),
        ({"grid": {"noise": 1, "rho": 0.4}}, "grid has both noise and rho"),
        ({"grid": {"noise": 1, "seed": 1, "seeds": 2}}, "grid has both seed and seeds"),
        ({"grid": {"noise": 1, "rate": [*range(1, 2**10)], "seeds": 2**17, "dim": [*range(32, 2**13)]}}, "is the most"),
        ({"grid": {"noise": 1, "seeds": 10**10}}, "grid.seeds is 10,000,000,000; 1,000,000 is the most"),
        ({"grid": {"noise": 1, "seed": 2**32}}, "grid.seed is 4294967296; it must be below"),
        ({"grid": {"noise": 1, "rate": True}}, "grid.rate is True; it must be a number above 0"),
        ({"grid": {"noise": 1, "code": "huffman"}}, "grid.code is 'huffman'; choose among none, gaussian"),
        ({"grid": {"noise": 1, "metric": "mmr"}}, "grid.metric: metric 'mmr' is not known"),
        ({"grid": {"noise": 1, "dim": 16}}, "intent_dim is 32 and dim 16; the intent must fit"),
        ({"grid": {"noise": 0.1, "dim": 640, "temperatures": "equation 10"}}, "has a differential entropy of -"),
        ({"kind": "both", "grid": {}}, "the config: kind is 'both'; choose among retrieval, rate distortion"),
        ({"kind": "rate distortion", "grid": {"size": 4, "source": "zipf", "seeds": 2}}, "the key 'seeds'"),
        ({"precision": "bfloat16", "grid": {"noise": 1}}, "precision is 'bfloat16'"),
    ],
)
def test_mistakes_in_a_config(config, sentence):
    with pytest.raises(InputError, match=sentence):
        read_config(config)


def test_files(tmp_path):
    toml, python, other = tmp_path / "a.toml", tmp_path / "a.py", tmp_path / "a.json"
    toml.write_text("[grid]\nrho = [0.4, [0.25, 4.0]]\nrate = [8, 16]\nseeds = 3\n")
    sweep = read_config(str(toml))
    assert sweep.grid.values["noise"] == (0.4**-0.5, (2.0, 0.5))
    assert (sweep.grid.size, sweep.grid.values["rate"], sweep.grid.values["seed"]) == (12, (8.0, 16.0), (0, 1, 2))
    python.write_text("config = {'grid': {'noise': [s / 2 for s in (1, 2)]}}\n")
    assert read_config(python).grid.values["noise"] == (0.5, 1.0)
    listed = read_config({"grid": {"noise": np.array([0.2, 0.5]), "rate": np.arange(1, 3), "seed": range(2)}})
    assert {name: listed.grid.values[name] for name in ("noise", "rate", "seed")} == {
        "noise": (0.2, 0.5),
        "rate": (1.0, 2.0),
        "seed": (0, 1),
    }
    assert read_config({"grid": {"noise": np.float32(0.5)}}).grid.values["noise"] == (0.5,)
    with pytest.raises(InputError, match="the config is None; give the name"):
        read_config(None)
    python.write_text("grid = {}\n")
    other.write_text("{}")
    toml.write_text("grid = \n")
    for path, sentence in (
        (toml, "is no TOML"),
        (python, "sets no mapping"),
        (other, "is no config"),
        (tmp_path / "b.toml", "cannot be read"),
    ):
        with pytest.raises(InputError, match=sentence):
            read_config(str(path))
    for text, sentence in (
        ("x = 1\nraise ValueError('boom')\n", r"a\.py, line 2: ValueError: boom\.$"),
        ("x = (\n", r"a\.py, line 1: SyntaxError: "),
        ("import nowhere_to_be_found\n", r"a\.py, line 1: ModuleNotFoundError: "),
    ):
        python.write_text(text)
        with pytest.raises(InputError, match=sentence):
            read_config(str(python))


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"coordinator": "a:1"}, "go together"),
        ({"coordinator": "a", "processes": 2, "process": 0}, "write HOST:PORT"),
        ({"coordinator": "a:70000", "processes": 2, "process": 0}, "write HOST:PORT"),
        ({"coordinator": "a:1", "processes": 2, "process": 2}, "it must be 0 to 1"),
        ({"coordinator": "no.host.invalid:1", "processes": 2, "process": 1}, "no.host.invalid', which is not found"),
        ({"processes": 2, "cluster": True}, "give one or the other"),
        ({"cluster": True}, r"no cluster can be joined \(coordinator_address should be defined\); start every process"),
    ],
)
def test_mistakes_in_joining(arguments, sentence, monkeypatch):
    def initialize(*_, **__):
        raise ValueError("coordinator_address should be defined.")

    monkeypatch.setattr(jax.distributed, "initialize", initialize)
    with pytest.raises(InputError, match=sentence):
        join(**arguments)


def test_a_port_that_is_taken():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(InputError, match=f"process 0 cannot listen on port {port}: Address already in use"):
            join(f"127.0.0.1:{port}", 2, 0)


def test_processes_that_do_not_come(monkeypatch, capsys):
    """JAX would abort with a trace of the stack, uncaught; see `hosts.join`."""
    ended, waiting = [], threading.Event()
    monkeypatch.setattr(hosts, "PATIENCE", 0.01)
    monkeypatch.setattr(hosts.os, "_exit", lambda code: (ended.append(code), waiting.set()))
    monkeypatch.setattr(jax.distributed, "initialize", lambda *_, **__: waiting.wait(60))
    join("127.0.0.1:1", 3, 1)
    assert ended == [2]
    assert capsys.readouterr().err.startswith("3 processes at 127.0.0.1:1 did not meet within 0.01 seconds; start all")


def test_a_failing_process_stops_the_others(monkeypatch):
    monkeypatch.setattr(Host, "_gather", lambda self, failed: np.array([failed, True]))
    with pytest.raises(InputError, match="process 1 stopped"):
        Host(0, 2).together(lambda: None)


# memory, the plan, tables, the command line


def test_memory_decides_how_many_devices_compute(whole, tmp_path, monkeypatch):
    """Between what one device takes and what two take, one computes; below, nothing is begun."""
    monkeypatch.setattr(budget, "resident", lambda: 1e6 - budget.WRITING)
    used = []
    monkeypatch.setattr(budget.Program, "on", _noting(used, budget.Program.on))
    least = plan_sweep(read_config(MANY), devices=jax.devices()[:2]).bytes
    path = run_sweep(MANY, tmp_path / "one", memory=1e6 + 1.5 * least, devices=jax.devices()[:2])
    assert path.read_bytes() == whole[0]
    assert used == [1]
    run_sweep(MANY, tmp_path / "two", memory=1e6 + 2.5 * least, devices=jax.devices()[:2])
    assert used == [1]
    with pytest.raises(
        InputError, match=r"documents 12, queries 9.* and the process 1 MB; give a memory of at least 2MB"
    ):
        run_sweep(MANY, tmp_path / "none", memory=1e6 + 0.5 * least, devices=jax.devices()[:2])
    assert not (tmp_path / "none").exists()


def test_a_grid_beyond_the_memory_of_the_machine_is_refused_without_a_budget(tmp_path, monkeypatch):
    """By the run before its first cell, and by the plan; where two devices are too many, one computes."""
    monkeypatch.setattr(budget, "resident", lambda: 1e6 - budget.WRITING)
    least = plan_sweep(read_config(MANY), devices=jax.devices()[:2]).bytes
    used = []
    monkeypatch.setattr(budget.Program, "on", _noting(used, budget.Program.on))
    monkeypatch.setattr(budget.machine, "memory", lambda: 1e6 + 0.5 * least)
    says = r"take .* MB on a device and the process 1 MB, and there are 1 MB here; give a memory of at least 2MB, or"
    with pytest.raises(InputError, match=says):
        run_sweep(MANY, tmp_path / "none", devices=jax.devices()[:2])
    assert not (tmp_path / "none").exists()
    with pytest.raises(InputError, match=says):
        plan_sweep(read_config(MANY), devices=jax.devices()[:2])
    assert not used
    monkeypatch.setattr(budget.machine, "memory", lambda: 1e6 + 1.5 * least)
    plan_sweep(read_config(MANY), devices=jax.devices()[:2])
    assert set(used) == {1}


def _noting(used, on):
    def noted(self, devices):
        used.append(len(devices))
        return on(self, devices)

    return noted


def test_sizes_of_memory():
    sizes = ("8GB", "500 mb", "1.5GiB", "4096")
    assert [byte_size(text, "the memory") for text in sizes] == [8e9, 5e8, 1.5 * 2**30, 4096]
    for text in ("", "GB", "8 apples", "-1GB", "0MB", "1e9"):
        with pytest.raises(InputError, match=r"write a size such as 500MB or 8GB\."):
            byte_size(text, "the memory")


def test_plan(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("many.toml").write_text(
        "cells_per_part = 7\n[grid]\ndocuments = [12, 13]\nqueries = 9\nintent_dim = 3\nnoise = 0.8\nseeds = 10\n"
    )
    plans = []
    monkeypatch.setattr(sweeping, "_tell", lambda plan, tell=sweeping._tell: (plans.append(plan), tell(plan)))
    done = CliRunner().invoke(app, ["sweep", "many.toml", "--plan", "--processes", "2"])
    assert done.exit_code == 0, done.output
    assert "cells:        20" in done.stdout
    assert "compilations: 2" in done.stdout
    first, second = (done.stdout.index(f"documents {n}, queries 9") for n in (13, 12))
    assert first < second  # largest first
    assert "10 cells in 2 parts" in done.stdout
    assert sorted(os.listdir()) == ["many.toml"]
    (plan,) = plans
    assert (plan.cells, plan.devices, plan.processes) == (20, 8, 2)
    assert plan.bytes >= 2 * 12 * 9 * 4  # scores and what is compared with them
    assert plan.seconds > 0


def test_a_plan_counts_what_is_worked_out_on_the_host(monkeypatch):
    worked_out, known = set(), MixtureCells.known

    def slow(kind, values):
        if repr(values) not in worked_out:
            time.sleep(0.01)
        worked_out.add(repr(values))
        return known(kind, values)

    monkeypatch.setattr(MixtureCells, "known", slow)
    sweep = read_config({"cells_per_part": 10, "grid": {**SMALL, "noise": [0.5 + n / 40 for n in range(40)]}})
    plan = plan_sweep(sweep, devices=jax.devices()[:1], processes=2)
    assert plan.shapes[0].computing > 40 * 0.01 / 2


def test_a_device_for_each_processor_also_where_the_system_does_not_say_which(monkeypatch):
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 3)
    assert sweeping._processors() == 3
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert sweeping._processors() == 1


def test_the_command(whole, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("many.py").write_text(f"config = {MANY!r}\n")
    done = CliRunner().invoke(app, ["sweep", "many.py"])
    assert done.exit_code == 0, done.output
    (table,) = Path("rdjax-sweep").glob("table.*")
    assert done.stdout == f"24 cells: {table}\n"
    assert table.read_bytes() == whole[0]
    assert json.loads(Path("rdjax-sweep/manifest.json").read_text())["columns"]["quality"].startswith("measured")
    again = CliRunner().invoke(app, ["sweep", "many.py"])
    assert (again.exit_code, again.stdout) == (2, "")
    assert again.stderr.startswith("rdjax-sweep holds a sweep")
    small = CliRunner().invoke(app, ["sweep", "many.py", "--out", "small", "--memory", "1MB"])
    assert (small.exit_code, small.stdout) == (2, "")
    assert "; give a memory of at least " in small.stderr
    assert not Path("small").exists()


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_tables_read_back(suffix, tmp_path, rng, monkeypatch):
    """To the last bit, and to the same bytes however the rows came in."""
    if suffix == ".parquet":
        pytest.importorskip("pyarrow")
    monkeypatch.setattr(tables, "ROWS", 50)
    count = 105
    table = {
        "cell": np.arange(count),
        "word": np.array(["a, b", "c"])[np.arange(count) % 2],
        "narrow": rng.standard_normal(count).astype(np.float32),
        "wide": np.where(np.arange(count) % 3, rng.standard_normal(count), [np.nan, np.inf, 1e-300][count % 3]),
    }
    back = from_bytes(to_bytes(table, suffix), suffix)
    assert list(back) == list(table)
    for name, column in table.items():
        np.testing.assert_array_equal(np.asarray(back[name]).astype(column.dtype), column)
    cuts = [0, 1, 7, count - 2, count]
    pieces = [{k: v[a:b] for k, v in table.items()} for a, b in itertools.pairwise(cuts)]
    for name, stream in (("one", [table]), ("cut", pieces)):
        write_stream(stream, tmp_path / (name + suffix))
    assert (tmp_path / f"one{suffix}").read_bytes() == (tmp_path / f"cut{suffix}").read_bytes()
    equal(read_table(tmp_path / f"cut{suffix}"), back)
    with pytest.raises(InputError, match="is no table"):
        read_table(tmp_path / "table.npz")


def test_what_is_left(rng):
    for _ in range(200):
        spans = [tuple(sorted(rng.integers(0, 30, 2))) for _ in range(rng.integers(0, 5))]
        start, stop = sorted(rng.integers(0, 30, 2))
        covered = {n for first, end in spans for n in range(first, end)}
        left = [n for low, high in ranges(spans, start, stop) for n in range(low, high)]
        assert left == [n for n in range(start, stop) if n not in covered]


def test_a_sweep_is_not_a_list_of_its_cells():
    """A million million cells take no memory to name."""
    sweep = read_config({"grid": {"noise": 1.0, "rate": [1, 2], "seeds": 1000}})
    axes = {**sweep.grid.values, "seed": range(10**12)}
    grid = dataclasses.replace(sweep.grid, values=axes)
    assert grid.size == 2 * 10**12
    assert grid.at(10**12 + 5)["rate"] == 2.0
    assert grid.at(10**12 + 5)["seed"] == (10**12 + 5) // 2
