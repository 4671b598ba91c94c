"""The paper's experiments, small: every column against brute force in NumPy, what resumes, what is written."""

import dataclasses
import json
import math
import signal
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from typer.testing import CliRunner

from rdjax.cli import app
from rdjax.cli import experiments as job
from rdjax.codes import EntropyCodedScalar
from rdjax.limits import blind_distortion, ranking_distortion
from rdjax.paper import cells as cell_files
from rdjax.paper import columns, decoders, imbalance, our_columns, provenance, readings, tables
from rdjax.paper.canonical import fit_canonical
from rdjax.paper.cells import Cell, compute_cells

pytestmark = pytest.mark.float64_only

TINY = readings.Sizes(
    documents=40,
    corpora=2,
    training=1200,
    validation=1,
    rows=800,
    rates=(8, 64),
    clip_steps=20,
    learned_steps=10,
    designed=1,
)
LAW = readings.Law(dims=(12, 12), intent_dim=8)


def trial(reading="intents"):
    return readings.draw_trial(LAW, reading, TINY, 0)


def quality(queries, documents, length=0.0):
    """(MRR, Recall@1) of each corpus, one pair at a time, float64, ties in expectation."""
    found = []
    for start in range(0, len(queries), TINY.documents):
        rows = slice(start, start + TINY.documents)
        q, e = np.asarray(queries[rows], float), np.asarray(documents[rows], float)
        scores = q @ e.T - length * (e**2).sum(axis=1) / 2
        values = []
        for i, row in enumerate(scores):
            above, tied = (row > row[i]).sum(), (row == row[i]).sum()
            ranks = above + 1 + np.arange(tied)
            values.append([np.mean(1 / ranks), (ranks == 1).mean()])
        found.append(np.mean(values, axis=0))
    return np.array(found)


def values_of(found, method, rate=None):
    return np.array((found[method] if rate is None else found[method][str(rate)])["values"])


@pytest.mark.parametrize("reading", readings.READINGS)
def test_the_ceiling_is_that_of_the_exact_posterior(reading):
    """In (u, v), whose law is held against a large draw; of intents also by the likelihood of the queries as drawn."""
    drawn = trial(reading)
    found = our_columns.limit_columns(drawn, TINY, 0)
    rho = readings.correlation(LAW, reading)
    u, v = (side.astype(float) for side in drawn.exact)
    scores = quality(u * rho / (1 - rho**2), v, rho**2 / (1 - rho**2))
    np.testing.assert_allclose(values_of(found, "ceiling"), scores, atol=2e-6)
    if reading in ("intents", "single"):  # ln p(x | z) = -sum_m |x_m - A_m z|^2 / (2 sigma^2) up to what x says
        asked, kept = (np.concatenate(views, axis=1) for views in (drawn.test.queries, drawn.test.documents))
        likelihood = quality(asked / LAW.noise[0] ** 2, kept, LAW.noise[0] ** -2)
        np.testing.assert_allclose(values_of(found, "ceiling"), likelihood, atol=1e-3)
    # what the docstring claims of (u, v): unit variances, and this correlation in every direction
    wide = readings.draw_trial(LAW, reading, readings.Sizes(documents=40, corpora=600, training=100), 1).exact
    np.testing.assert_allclose(np.cov(np.concatenate(wide, axis=1).T)[:8, 8:], rho * np.eye(8), atol=0.04)
    np.testing.assert_allclose([side.var() for side in wide], 1, atol=0.02)
    for rate in TINY.rates:
        blind, every = found["blind"][str(rate)]["bound"], found["any"][str(rate)]["bound"]
        assert blind == pytest.approx(1 - float(blind_distortion(rate, 40, np.full(8, rho))), abs=1e-9)
        assert every == pytest.approx(1 - float(ranking_distortion(float(rate), 40)), abs=1e-9)
        assert values_of(found, "channel", rate)[:, 0].mean() <= blind + 0.05


def test_the_channel_is_the_forward_test_channel():
    drawn = trial()
    rho, (u, v) = readings.correlation(LAW, "intents"), drawn.exact
    rng = np.random.default_rng(0)
    found = our_columns.limit_columns(drawn, TINY, 0)
    for rate in TINY.rates:
        lost = 2.0 ** (-2 * rate / 8)
        sent = (1 - lost) * u + math.sqrt(lost * (1 - lost)) * rng.standard_normal(u.shape)
        # Z given c is N(rho c, (1 - rho^2 (1 - lost)) I), and the prior is N(0, I)
        left = 1 - rho**2 * (1 - lost)
        expected = quality(rho * sent / left, v, 1 / left - 1)
        np.testing.assert_allclose(values_of(found, "channel", rate), expected, atol=0.003)


def test_printed_columns_against_numpy():
    drawn = trial()
    found = columns.printed_columns(drawn, TINY, 0)
    entropies = np.array(found["entropies"]["bits"])
    for h, x in zip(entropies, drawn.rest.queries, strict=True):
        sign, logarithm = np.linalg.slogdet(2 * np.pi * np.e * np.cov(x.T.astype(float)))
        assert sign == 1
        assert h == pytest.approx(logarithm / 2 / np.log(2), rel=1e-6)
    codes = columns.printed_quantizer(drawn.rest.queries, entropies, 64, TINY.rows, 0)
    sent = [np.asarray(code.decode(code.encode(x))) for code, x in zip(codes, drawn.test.queries, strict=True)]
    unit = [e / np.linalg.norm(e, axis=1, keepdims=True) for e in drawn.test.documents]
    ten = np.sqrt(entropies.mean() / entropies)
    for method, tau in (("fixed", np.ones(2)), ("adaptive (10)", ten), ("adaptive, section 6", np.ones(2))):
        fused = np.concatenate([c / t for c, t in zip(sent, tau, strict=True)], axis=1)
        np.testing.assert_allclose(
            values_of(found, method, 64), quality(fused, np.concatenate(unit, axis=1)), atol=1e-6
        )
    assert found["entropies"]["spread over tau"] < 1e-12  # a ranking does not see a common temperature
    assert found["fixed"]["64"]["bits"] == pytest.approx(65, abs=3)  # what was asked for, and a bit for rounding up


def test_calibration_finds_the_posterior_of_gaussian_pairs():
    rng = np.random.default_rng(5)
    rho = 0.7
    v = rng.standard_normal((2000, 4))
    u = rho * v + math.sqrt(1 - rho**2) * rng.standard_normal(v.shape)
    found, exact = decoders.calibrated_decoder((u,), (v,), 50), decoders.exact_decoder(rho)
    np.testing.assert_allclose(found.weights, exact.weights, rtol=0.08)
    assert found.length == pytest.approx(exact.length, rel=0.15)


@pytest.mark.parametrize("seed", [2, 3, 7])
def test_lengths_that_are_all_one_are_not_fitted(seed):
    """What float32 leaves of a difference between documents of unit norm is noise, and got weights of millions here."""
    drawn = readings.draw_trial(LAW, "intents", TINY, seed).calibration
    found = decoders.calibrated_decoder(drawn.queries, decoders.unit_norm(drawn.documents), TINY.documents)
    assert found.length == 0
    assert len(found.weights) == 2


def test_canonical_coordinates_of_a_given_law():
    rng = np.random.default_rng(3)
    z, rho = rng.standard_normal((20_000, 3)), np.array([0.9, 0.6, 0.3])
    seen = rho * z + np.sqrt(1 - rho**2) * rng.standard_normal(z.shape)
    x = (np.concatenate([seen, rng.standard_normal((20_000, 2))], axis=1) @ rng.standard_normal((5, 5)) + 3,)
    y = (z @ rng.standard_normal((3, 6)),)  # of rank 3
    chart = fit_canonical(x, y)
    np.testing.assert_allclose(chart.correlations, rho, atol=0.02)  # and the two of chance are left out
    u, v = chart.apply(x, y)
    np.testing.assert_allclose(np.cov(np.concatenate([u, v], axis=1).T)[:3, 3:], np.diag(chart.correlations), atol=1e-3)


def test_our_columns_against_numpy():
    drawn = trial()
    parts = our_columns.Canonicals(drawn)
    found = our_columns.fused_columns(drawn, TINY, 0)
    assert found["fused"]["8"]["bits"] == pytest.approx(8, abs=1.5)
    for code in our_columns._codes(parts.rest[0], 64, TINY.rows, 0):
        if code.name == found["fused"]["64"]["code"]:
            decoder = parts.calibrated(code, TINY.documents)
            sent = np.asarray(code.decode(code.encode(parts.test[0])))
            chosen = quality(decoder.weights[0] * sent, parts.test[1], decoder.length)
    np.testing.assert_allclose(values_of(found, "fused", 64), chosen, atol=1e-5)
    rank = our_columns.rank_columns(drawn, TINY, 0)["rank"]["8"]
    rows = slice(0, TINY.documents)
    rho = parts.correlations
    posterior = parts.test[0][rows] * rho / (1 - rho**2) @ parts.test[1][rows].T
    posterior -= (rho**2 / (1 - rho**2) * parts.test[1][rows] ** 2).sum(axis=1) / 2
    first = (posterior.argmax(axis=1) == np.arange(TINY.documents)).mean()
    assert np.array(rank["values"])[0, 1] == pytest.approx(first, abs=0.1)  # it names the top document, or the next
    assert rank["bits"] <= 8


def test_learned_codes_share_the_time(monkeypatch):
    """Between two codes, quality and bits are means with the same weights; beyond them nothing is said."""
    drawn = trial()
    parts = our_columns.Canonicals(drawn)
    fit = lambda bits: EntropyCodedScalar.fit(parts.rest[0], bits, transform="coordinates", cells="dead zone")
    codes = [fit(20.0), fit(6.0)]
    stub = SimpleNamespace(sweep=lambda *args, **options: codes)
    monkeypatch.setattr(our_columns, "LearnedCode", stub)
    found = our_columns.learned_columns(drawn, TINY, 0)["learned"]
    assert set(found) == {"8"}
    high, low = (parts.value(code, parts.calibrated(code, 40), parts.test, 40) for code in codes)
    share = (8 - low.bits) / (high.bits - low.bits)
    assert 0 < share < 1
    np.testing.assert_allclose(found["8"]["values"], share * high.values + (1 - share) * low.values, atol=2e-6)


def test_unequal_noise_is_won_by_calibration_and_lost_by_rule_ten():
    law = readings.Law(noise=imbalance.spread_noise(2, 3.0), dims=(12, 12), intent_dim=8)
    assert np.prod(law.noise) == pytest.approx(imbalance.NOISE**2)
    sizes = readings.Sizes(documents=40, corpora=10, training=1200, validation=1, rows=800, rates=(64,))
    found = imbalance.sweep_point(law, sizes, 0)
    mean = {rule: np.mean(found[rule]) for rule in imbalance.RULES}
    assert found["imbalance"] == pytest.approx(
        12 * math.log2(3), abs=6
    )  # h differs by 12 log2 3, less the signal's part
    assert mean["calibrated"] > mean["uniform"] + 0.02 > mean["adaptive (10)"] + 0.04
    assert mean["adaptive, section 6"] == pytest.approx(
        mean["uniform"], abs=1e-9
    )  # of two, both are as far from the mean


def test_entries_and_their_errors():
    one = tables.entry_of([np.array([0.5, 0.7, 0.6])])
    assert one.error == pytest.approx(np.std([0.5, 0.7, 0.6], ddof=1) / math.sqrt(3))
    several = tables.entry_of([np.array([0.5, 0.7]), np.array([0.8, 0.8])])
    assert (several.mean, several.error) == (pytest.approx(0.7), pytest.approx(0.1))
    assert tables.entry_of([np.array([0.5])]).error is None


def test_bits_of_an_entry_are_those_of_all_trials():
    part = lambda bits: {"8": {"values": [[0.5, 0.5], [0.7, 0.5]], "bits": bits}}
    assert tables._entry([part(7.0), part(9.5)], 8).bits == 8.25
    assert tables._entry([part(None), part(None)], 8).bits is None


def counting(log, name="a", **config):
    def compute():
        log.append(name)
        return {"value": 1 / 3, "of": name}

    return Cell(name, config or {"seed": 0}, ("rdjax.numerics",), compute, 1.0)


def test_cells_are_computed_once_and_again_when_anything_changed(tmp_path, monkeypatch):
    log, quiet = [], lambda *_: None
    first = compute_cells([counting(log), counting(log, "b")], tmp_path, quiet)
    assert compute_cells([counting(log), counting(log, "b")], tmp_path, quiet) == first
    assert log == ["a", "b"]
    compute_cells([counting(log, seed=1)], tmp_path, quiet)
    assert log == ["a", "b", "a"]
    monkeypatch.setattr(cell_files, "versions", lambda: {"rdjax": "another"})
    compute_cells([counting(log, seed=1)], tmp_path, quiet)
    assert log == ["a", "b", "a", "a"]
    (tmp_path / "a.json").write_text('{"stamp"')
    compute_cells([counting(log, seed=1)], tmp_path, quiet)
    assert log[4:] == ["a"]
    assert json.loads((tmp_path / "a.json").read_text())["found"]["value"] == 1 / 3


def test_what_is_interrupted_goes_on(tmp_path):
    log, quiet = [], lambda *_: None

    def stop():
        raise KeyboardInterrupt

    cells = [counting(log), Cell("b", {}, (), stop, 1.0), counting(log, "c")]
    with pytest.raises(KeyboardInterrupt):
        compute_cells(cells, tmp_path, quiet)
    assert {p.name for p in tmp_path.iterdir()} == {"a.json"}  # and nothing half-written
    found = compute_cells([cells[0], counting(log, "b"), cells[2]], tmp_path, quiet)
    assert log == ["a", "b", "c"]
    assert set(found) == {"a", "b", "c"}


KILLED = """
import os, signal, sys
from rdjax.paper.cells import Cell, compute_cells
die = lambda: os.kill(os.getpid(), signal.SIGKILL)
like = {"seed": 0}, ("rdjax.numerics",)
cells = [Cell("a", *like, lambda: {"by": "the first"}, 1.0), Cell("b", *like, die, 1.0)]
compute_cells(cells, sys.argv[1], lambda *_: None)
"""


def test_what_is_killed_goes_on(tmp_path):
    done = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    log = []
    found = compute_cells([counting(log), counting(log, "b")], tmp_path, lambda *_: None)
    assert log == ["b"]
    assert found["a"] == {"by": "the first"}


def test_progress_counts_what_is_left_by_its_weight(tmp_path):
    told = []
    compute_cells([counting([])], tmp_path, lambda *_: None)
    heavy = dataclasses.replace(counting([], "b"), weight=3.0)
    compute_cells([counting([]), heavy, counting([], "c")], tmp_path, lambda *words: told.append(words))
    assert told == [("b", 0, 2, 0.0), ("c", 1, 2, 0.75)]


def test_the_hash_of_the_source_is_of_all_that_is_imported(monkeypatch):
    """columns imports decoders, which takes posteriors from retrieval; nothing imports the tables made of it."""
    source_hash, read = provenance.source_hash, provenance._read
    before = source_hash(["rdjax.paper.columns"])
    assert before == source_hash(["rdjax.paper.columns"]) != source_hash(["rdjax.paper.our_columns"])
    for changed, moves in (("rdjax.paper.decoders", True), ("rdjax.numerics", True), ("rdjax.paper.tables", False)):
        other = lambda name, changed=changed: (read(name)[0] + " " * (name == changed), read(name)[1])
        monkeypatch.setattr(provenance, "_read", other)
        assert (source_hash(["rdjax.paper.columns"]) != before) == moves, changed
    lazy = read("rdjax.cli.experiments")[1]  # imports inside its functions
    assert {"rdjax.paper", "rdjax.paper.cells"} <= set(lazy)


def fake(config):
    """Cells of every group, made up: Table 1 for two rates."""
    values = lambda mean: {"values": [[mean, mean], [mean + 0.02, mean]], "bits": 64.0}
    by_rate = lambda mean: {"8": values(mean - 0.2), "64": values(mean)}
    found = {}
    for reading in readings.READINGS:
        for number in range(tables.trials_of(reading, False)):
            parts = {
                "limit": {
                    "ceiling": values(0.9) | {"bits": None},
                    "channel": by_rate(0.88),
                    "blind": {r: {"bound": 0.97, "bits": 1.0} for r in ("8", "64")},
                    "any": {r: {"bound": 1.0, "bits": 1.0} for r in ("8", "64")},
                },
                "printed": {name: by_rate(0.3) for name in ("fixed", "adaptive (10)", "adaptive, section 6")}
                | {"calibrated": by_rate(0.31), "entropies": {"bits": [20.0, 20.1], "spread over tau": 0.0}},
                "clip": {"clip": by_rate(0.5), "clip, uncompressed": values(0.6)},
                "fused": {"fused": by_rate(0.86)},
                "learned": {"learned": {"64": values(0.84)}},
                "rank": {"rank": {"8": values(0.4)}},
            }
            found |= {f"table1-{reading}-{group}-{number}": part for group, part in parts.items()}
    point = {rule: [0.5, 0.6] for rule in imbalance.RULES} | {"calibrated": [0.7, 0.8], "imbalance": 3.0}
    point |= {key: {"values": [0.2, 0.3], "bits": 64.0} for key in ("printed at 64", "ours at 64")}
    for number, sweep in enumerate(imbalance.SWEEPS.values()):
        found |= {f"imbalance-{number}-{place}": point for place in range(len(sweep))}
    return found


def test_tables_stand_beside_the_printed_numbers():
    shown = tables.table_one(fake(None), TINY, False)
    assert [table.name for table in shown] == [f"table1-{reading}" for reading in readings.READINGS]
    rows = {row.label: row for row in shown[0].rows}
    assert rows["Naive CLIP, as printed"].entries[1].mean == 0.46
    assert rows["Naive CLIP, as printed"].entries[0] is None  # the paper has nothing at 8 bits
    assert rows["Naive CLIP, as printed"].evidence == tables.AS_PRINTED
    assert rows["ours: learned code"].entries[0] is None
    level = fake(None)["imbalance-0-0"] | {"uniform": [0.7, 0.8]}
    assert tables._winner(level) == "uniform | calibrated"
    assert any("Above the printed bound: 0.870 at 64, that is at every rate" in note for note in shown[0].notes)
    sweep = tables.sweep_tables(fake(None), TINY)[1]
    assert "2: calibrated;" in sweep.notes[1]
    assert sweep.title == "Temperature rules, sigma_2 / sigma_1: MRR"
    assert [row.label for row in sweep.rows][1:5] == [f"{rule} tau" for rule in imbalance.RULES]
    notes = " ".join(shown[0].notes)
    assert "M - 1 = 1 too many at most; measured on test pairs they take at most R +56.00 bits" in notes


def test_reproduce_all_writes_a_page_and_nothing_else_is_left(tmp_path, monkeypatch):
    """The command with made-up cells: files, JSON, figure, page; then a folder that cannot be written."""
    statement = {"number": "(5)", "quote": "a < b & c", "verdict": "false", "why": "w", "replaced_by": "rdjax.x"}
    statement |= {"evidence": {"words": "x", "printed": [1.0, 2.0], "found": 3.0}}
    made = fake(None) | {"statements": {"statements": [statement], "verdicts": {"false": "refuted"}}}
    monkeypatch.setattr(job, "compute_cells", lambda cells, folder, progress: made)
    monkeypatch.setattr(job, "table_two_cells", lambda path, quick: asked.append(quick) or [])
    monkeypatch.setattr(job, "table_two", lambda found, path: [])
    monkeypatch.setattr(job, "QUICK", TINY)
    asked = []
    out = tmp_path / "out"
    done = CliRunner().invoke(app, ["reproduce", "all", "--quick", "--json", "--out", str(out)])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["schema"] == "rdjax.paper/1"
    assert asked == [True]
    assert {p.name for p in out.iterdir()} == {"paper.html", "paper.json", "figure1.png", "figure1.svg"}
    page = (out / "paper.html").read_text()
    assert page.count("<svg") == 1
    assert "a &lt; b &amp; c" in page
    assert "0.870 ±0.000" in page
    assert not any(words in page for words in ("src=", 'href="http'))  # it needs nothing beside it
    assert json.loads((out / "paper.json").read_text())["statements"][0]["verdict"] == "false"
    (tmp_path / "file").write_text("mine")
    refused = CliRunner().invoke(app, ["reproduce", "all", "--out", str(tmp_path / "file")])
    assert (refused.exit_code, refused.output.strip()) == (2, f"{tmp_path / 'file'} is a file; name a folder.")
    both = CliRunner().invoke(app, ["reproduce", "table1", "--full", "--quick"])
    assert both.exit_code == 2
