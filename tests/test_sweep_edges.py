"""Sweeps of extreme values, files that are damaged or not theirs: a right number or one sentence, and nothing else."""

import json
import math
from fractions import Fraction
from pathlib import Path

import jax
import numpy as np
import pytest
from typer.testing import CliRunner

from rdjax.checks import InputError
from rdjax.cli import app
from rdjax.paper import trained_excesses
from rdjax.sweep import Host, join, parts, read_config, read_table, run_sweep
from rdjax.sweep import grid as grids
from rdjax.sweep.mixture_known import COARSEST, uniform_step
from rdjax.sweep.tables import from_bytes, to_bytes

pytestmark = pytest.mark.float64_only
SMALL = {"documents": 12, "queries": 9, "intent_dim": 3, "dim": 5}
POINTS = {"kind": "rate distortion", "grid": {"source": "uniform", "size": 4, "slope": [1, 2]}}


def refused(call, *given, **named):
    with pytest.raises(InputError) as caught:
        call(*given, **named)
    return str(caught.value)


# what is in the folder


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
def test_a_table_of_no_sweep_is_not_written_over(suffix, count, tmp_path, monkeypatch):
    """Nor is anything computed beside it; the first of several processes says so."""
    monkeypatch.setattr(Host, "_gather", lambda self, failed: np.array([failed]))
    mine = tmp_path / f"table{suffix}"
    mine.write_bytes(b"mine")
    for resume in (False, True):
        sentence = refused(run_sweep, POINTS, tmp_path, resume=resume, host=Host(0, count))
        assert sentence.startswith(f"{mine} is there without a manifest.json, and a sweep would write over it; move it")
    assert list(tmp_path.iterdir()) == [mine]
    assert mine.read_bytes() == b"mine"


def test_a_link_to_nowhere_is_a_table_too(tmp_path):
    (tmp_path / "table.csv").symlink_to(tmp_path / "nowhere")
    assert "would write over it" in refused(parts.open_folder, tmp_path, {}, resume=False)


# numbers near the ends of a precision


@pytest.fixture(scope="module")
def extreme(tmp_path_factory):
    grid = {**SMALL, "modalities": [1, 2], "noise": [1e-20, 1e19, 0.5]}
    grid |= {"temperatures": ["uniform", "closed form", "calibrated"]}
    return read_table(run_sweep({"grid": grid}, tmp_path_factory.mktemp("extreme"), devices=jax.devices()[:1]))


def test_rankings_do_not_depend_on_the_scale_of_the_temperatures(extreme):
    """1 / tau is 1e40 or 1e-38, which float32 does not hold: all scores were infinite, or all zero."""
    assert extreme["quality"].dtype == np.float32
    for noise in (1e-20, 1e19):
        for modalities in (1, 2):
            cells = (extreme["noise"] == noise) & (extreme["modalities"] == modalities)
            uniform, closed, _ = np.flatnonzero(cells)
            for name in ("quality", "standard_error"):
                assert extreme[name][closed] == pytest.approx(extreme[name][uniform], rel=1e-6), (noise, name)
            assert (extreme["quality"][closed] == 1) == (noise == 1e-20)
            assert (extreme["standard_error"][closed] > 1e-3) == (noise == 1e19)


def test_temperatures_are_reported_as_they_are(extreme):
    assert list(extreme)[-4:] == ["quality", "standard_error", "temperature_1", "temperature_2"]
    expected = {"uniform": np.ones(6), "closed form": np.tile(np.float32([1e-40, 1e38, 0.25]), 2)}
    for rule, values in expected.items():
        chosen = extreme["temperatures"] == rule
        assert extreme["temperature_1"].dtype == np.float32
        np.testing.assert_array_equal(extreme["temperature_1"][chosen], values)
        second = np.where(extreme["modalities"][chosen] == 2, values, np.nan)
        np.testing.assert_array_equal(extreme["temperature_2"][chosen], second)
    fitted = extreme["temperatures"] == "calibrated"
    assert (extreme["temperature_1"][fitted] > 0).all()
    np.testing.assert_array_equal(np.isnan(extreme["temperature_2"][fitted]), extreme["modalities"][fitted] == 1)


@pytest.mark.parametrize(
    ("grid", "sentence"),
    [
        ({"noise": 0.5, "code": "gaussian", "rate": 1e-80}, "noise 0.5 at rate 1e-80 by the code 'gaussian' makes"),
        ({"noise": 0.5, "code": "gaussian", "rate": 5e-324}, "makes numbers of up to inf in a cell, and float32"),
        ({"noise": [[0.5, 1e37]]}, "noise (0.5, 1e+37) makes numbers of up to "),
        ({"noise": 1e-35, "code": "paper"}, "noise 1e-35 at rate 64 by the code 'paper' makes numbers"),
        ({"noise": 1e-24, "temperatures": "closed form"}, "noise 1e-24 has a temperature of 1e-48 in closed form"),
        (
            {"noise": 1e20, "temperatures": "closed form"},
            "has a temperature of 1e+40 in closed form, which float32",
        ),
    ],
)
def test_what_float32_cannot_hold_is_refused_before_it_runs(grid, sentence):
    found = refused(read_config, {"grid": {**SMALL, **grid}})
    assert sentence in found
    assert found.endswith('or set precision = "float64".')
    if grid.get("rate") != 5e-324:
        sweep = read_config({"precision": "float64", "grid": {**SMALL, **grid}})
        parameters, _ = sweep.kind.known(sweep.grid.at(0))
        assert all(np.isfinite(array).all() for array in parameters.values())


@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_what_is_read_can_be_computed(precision):
    """Every combination of values at the ends of what is taken, without a warning."""
    far = 1e30 if precision == "float32" else 1e100
    grid = {**SMALL, "noise": [1e-30, 1.0, far] if precision == "float32" else [1e-100, 1.0, far]}
    grid |= {"code": ["none", "gaussian", "scalar"], "rate": [1e-6, 8, 1e4]}
    grid |= {"correlation": [-1 + 1e-14, 0.5, 1 - 1e-14], "temperatures": "uniform"}
    sweep = read_config({"precision": precision, "grid": grid})
    for cell in range(sweep.grid.size):
        parameters, columns = sweep.kind.known(sweep.grid.at(cell))
        assert all(np.isfinite(array.astype(precision)).all() for array in parameters.values())
        assert all(0 <= columns[name] <= 1 for name in ("ceiling", "blind_ceiling"))


def test_no_step_is_above_its_bound():
    assert 70 < uniform_step(5e-324, np.array([1.0])) < COARSEST


@pytest.mark.parametrize(("modalities", "correlation"), [(2, 1 - 1e-12), (5, 1 - 1e-12), (3, -0.5 + 1e-12)])
def test_ceilings_of_noises_nearly_the_same(modalities, correlation):
    """That of one modality as noisy as the mean of all; of c near -1 / (M - 1) the mean has hardly any noise."""
    many = {**SMALL, "modalities": modalities, "noise": 0.7, "correlation": correlation, "code": "scalar", "rate": 3}
    exact = Fraction(0.7) ** 2 * (1 + (modalities - 1) * Fraction(correlation)) / modalities
    one = {**SMALL, "modalities": 1, "noise": math.sqrt(exact), "code": "scalar", "rate": 3}
    ceilings = []
    for grid in (many, one):
        sweep = read_config({"grid": grid})
        ceilings.append(sweep.kind.known(sweep.grid.at(0))[1]["blind_ceiling"])
    assert ceilings[0] == pytest.approx(ceilings[1], rel=1e-9)


def test_one_query_tells_no_standard_error(tmp_path):
    grid = {**SMALL, "queries": [1, 2], "noise": 0.5}
    table = read_table(run_sweep({"grid": grid}, tmp_path, devices=jax.devices()[:1]))
    np.testing.assert_array_equal(np.isnan(table["standard_error"]), [True, False])
    assert np.isfinite(table["quality"]).all()
    said = json.loads((tmp_path / parts.MANIFEST).read_text())["columns"]["standard_error"]
    assert "nan for one query" in said


def test_minus_zero_is_zero():
    """Also to a process that resumes what another began."""
    keys = []
    for correlation in (0.0, -0.0, 0):
        sweep = read_config({"grid": {"noise": 1, "correlation": correlation}})
        grids._hash.cache_clear()
        keys.append(sweep.grid.key(0))
    assert (np.array(keys) == keys[0]).all()


# what a config says


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        ({"noise": 1e-200}, "grid.noise is 1e-200; it must be a number from 1e-100 to 1e100"),
        ({"noise": [[1, 1e200]]}, "grid.noise is 1e+200; it must be a number from"),
        ({"rho": 1e-320}, "grid.rho is 9.99989e-321; it must be a number from"),
        ({"noise": np.array(0.5)}, "grid.noise is array(0.5); it must be a number above 0"),
        (
            {"noise": 1, "modalities": 10, "correlation": 0.9999999999999999},
            "correlation is 0.9999999999999999 and",
        ),
        ({"noise": 1, "modalities": 3, "correlation": -0.49999999999999994}, "so keep it 1e-14 away from -0.5"),
        ({"noise": 1, "correlation": Fraction(10**400 - 1, 10**400)}, "it must be a number between -1 and 1"),
        ({"noise": 1, "rate": 10**400}, "it must be a number above 0 that float64 can hold"),
        ({"noise": 1, "rate": Fraction(1, 10**400)}, "it must be a number above 0 that float64 can hold"),
        ({"noise": 1, "rate": 10**5000}, "grid.rate is a number of thousands of digits; it must be a number above 0"),
        ({"noise": 1, "code": 10**5000}, "grid.code is a number of thousands of digits; choose among"),
        ({"noise": 1, "metric": 10**5000}, "grid.metric is a number of thousands of digits; it must be a name"),
        ({"noise": 1, "seeds": 10**5000}, "grid.seeds is a number of thousands of digits; 9,007,199"),
        ({"noise": 1, "seed": -(10**5000)}, "grid.seed is a number of thousands of digits; it must be a whole number"),
        ({"noise": 1, "dim": 2**70}, "grid.dim is 1180591620717411303424; 9,007,199,254,740,992 is the most"),
        ({"noise": 1, "modalities": 10**30}, "grid.modalities is 1000000000000000000000000000000; 4,096 is the most"),
        ({"noise": 1, "documents": 2**31}, "grid.documents is 2147483648; 2,147,483,647 is the most"),
        (
            {"noise": 1, "documents": 10**8, "queries": 10**8},
            "documents 100000000, queries 100000000, modalities 2",
        ),
    ],
)
def test_values_that_are_too_large_or_too_small(config, sentence):
    assert sentence in refused(read_config, {"grid": config})


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        ({"grid": {"noise": 1}, "cells_per_part": 10**5000}, "cells_per_part is a number of thousands of digits"),
        ({**POINTS, "grid": {**POINTS["grid"], "size": 10**6}}, "grid.size is 1000000; 65,536 is the most"),
        (
            {**POINTS, "precision": "float32", "grid": {**POINTS["grid"], "slope": [1, 1e40]}},
            "slope is 1e+40; 1.7e+38 is the most in float32",
        ),
    ],
)
def test_other_numbers_of_a_config(config, sentence):
    assert sentence in refused(read_config, config)


@pytest.mark.parametrize("digits", [400, 5000])
@pytest.mark.parametrize("name", ["rate", "modalities"])
def test_whole_numbers_of_a_file(digits, name, tmp_path):
    path = tmp_path / "a.toml"
    path.write_text(f"[grid]\nnoise = 1\n{name} = 1{'0' * digits}\n")
    found = refused(read_config, path)
    assert found.startswith(f"{path}: grid.{name} is 1" if digits == 400 else f"{path} is no TOML: Exceeds the limit")


def test_thousands_of_brackets(tmp_path):
    path = tmp_path / "a.toml"
    path.write_text("x = " + "[" * 100_000)
    assert refused(read_config, path).startswith(f"{path} is no TOML: ")


@pytest.mark.parametrize("said", ["", '"no"', "0"])
def test_a_config_that_ends_the_program(said, tmp_path, monkeypatch):
    """It ended the command without a word, with code 0 and nothing computed."""
    monkeypatch.chdir(tmp_path)
    Path("c.py").write_text(f"import sys\nsys.exit({said})\n")
    done = CliRunner().invoke(app, ["sweep", "c.py"])
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr == "c.py, line 2: SystemExit: it ends the program, and should set `config` instead.\n"


@pytest.mark.parametrize("processes", [0, -1, "2", None])
def test_how_many_processes_there_are_is_asked_first(processes):
    if processes is None:
        assert "go together" in refused(join, "a:1", None, 0)
    else:
        wanted = f"--processes is {processes!r}; it must be a whole number, at least 1."
        assert refused(join, "a:1", processes, 0) == wanted


# tables


@pytest.mark.parametrize(
    ("name", "data", "sentence"),
    [
        ("a.parquet", b"garbage", "is no parquet, or damaged"),
        ("a.parquet", b"", "is no parquet, or damaged"),
        ("a.csv", b"", "has no columns"),
        ("a.csv", b"\n1\n", "has 1 entries in line 2 and 0 columns"),
        ("a.csv", b"a,b\n1,\xff\xfe\n", "is no text in UTF-8 in line 2"),
        ("a.csv", b"a,b\n1,2\n1\n", "has 1 entries in line 3 and 2 columns"),
        ("a.csv", b"a,b\n1,2,3\n", "has 3 entries in line 2 and 2 columns"),
        ("a.csv", b"a,a\n1,2\n", "has two columns 'a'"),
        ("a.csv", b"a\n" + b"1" * 200_000 + b"\n", "is no CSV in line 2 (field larger than field limit (131072))"),
    ],
)
def test_damaged_tables(name, data, sentence, tmp_path):
    if name.endswith("parquet"):
        pytest.importorskip("pyarrow")
    path = tmp_path / name
    path.write_bytes(data)
    assert refused(read_table, path) == f"{path} {sentence}; name a table as a sweep wrote it."


def test_a_parquet_that_is_damaged_anywhere(tmp_path, rng):
    """Cut, or with a byte changed: it is read, or refused in a sentence."""
    pytest.importorskip("pyarrow")
    table = {"cell": np.arange(50), "word": np.array(["a", "é"])[np.arange(50) % 2], "x": rng.standard_normal(50)}
    good, sentences = to_bytes(table, ".parquet"), set()
    for place in rng.integers(0, len(good), 100):
        bad = bytearray(good)
        bad[place] ^= 1 << int(rng.integers(8))
        for data in (bytes(bad), good[:place]):
            try:
                from_bytes(data, ".parquet")
            except InputError as error:
                sentences.add(str(error))
    assert sentences == {"the table is no parquet, or damaged; name a table as a sweep wrote it."}


def test_whole_numbers_of_more_than_64_bits_are_read(tmp_path):
    (tmp_path / "a.csv").write_text(f"a\n{10**30}\n")
    np.testing.assert_array_equal(read_table(tmp_path / "a.csv")["a"], [1e30])


# and of the trained codes


@pytest.mark.parametrize("seed", [-1, 1.5, 2**63])
def test_a_seed_is_asked_before_anything_is_trained(seed):
    assert refused(trained_excesses, (4,), 2, seed).startswith(f"seed is {seed}; it must be ")
