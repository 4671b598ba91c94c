"""What is shown runs: every notebook and the README's Python; and the audit of emoji that they show has known figures.

They share a file, and so compiled programs. Notebooks are kept as text: jupytext's percent format, without outputs.
"""

import dataclasses
import pathlib
import re

import jax
import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest

from rdjax.audit import audit
from rdjax.audit.families import trials
from rdjax.data import emoji
from rdjax.limits import Bound, blind_rate, ranking_rate
from rdjax.retrieval import fit_reliability
from tests.optimized import long_loops

pytestmark = pytest.mark.float64_only  # once is enough: in float32, see `single_precision`

ROOT = pathlib.Path(__file__).parent.parent
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.py"))


def cells(path):
    """(kind, source) of each cell."""
    parts = re.split(r"^# %%( \[markdown\])?\n", path.read_text(), flags=re.MULTILINE)
    assert parts[0] == ""
    return [("words" if kind else "code", source) for kind, source in zip(parts[1::2], parts[2::2], strict=True)]


@pytest.fixture(scope="module", autouse=True)
def single_precision():
    """As users run it; and notebooks, the README and T1's audit share more programs."""
    with jax.enable_x64(False):
        yield


@pytest.fixture(scope="module", autouse=True)
def doubt_once():
    """The audits shown fit doubt to the same queries, for seconds: an answer is kept for those same arrays."""
    known: dict = {}

    def fitted(scores, relevant, **settings):
        asked = (scores.tobytes(), np.asarray(relevant).tobytes(), *settings.items())
        if asked not in known:
            known[asked] = fit_reliability(scores, relevant, **settings)
        return known[asked]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("rdjax.audit.stress.fit_reliability", fitted)
        yield known


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_runs(path, capsys):
    matplotlib.use("agg")
    names: dict = {"__name__": "__main__"}
    with long_loops():
        for number, (kind, source) in enumerate(cells(path)):
            if kind == "code":
                exec(compile(source, f"{path.name}, cell {number}", "exec"), names)
    plt.close("all")
    assert capsys.readouterr().out


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_is_short_and_says_what_it_does(path):
    found = cells(path)
    assert len(found) <= 16
    assert found[0][0] == "words"
    assert found[0][1].startswith("# # ")
    assert all(line.startswith("#") for kind, source in found if kind == "words" for line in source.strip().split("\n"))


def test_there_are_some_in_order():
    assert [path.stem[:2] for path in NOTEBOOKS] == ["00", "10", "20", "30", "40", "50", "60"]


@pytest.fixture(scope="module")
def readme():
    """What every Python block leaves, run in order in one namespace."""
    blocks = (ROOT / "README.md").read_text().split("```python\n")[1:]
    assert len(blocks) >= 2
    namespace: dict = {}
    with long_loops():
        for block in blocks:
            exec(block.split("```")[0], namespace)
    return namespace


def test_python_in_the_readme_runs(readme):
    assert readme["result"].today.value.lower == pytest.approx(0.710, abs=1e-3)
    assert float(readme["ranking_rate"](1 - 0.59, 1000)) == pytest.approx(4.8465, abs=1e-4)


@pytest.fixture(scope="module")
def t1(readme):
    """Of the family that takes long to fit, class C and two of five budgets: of 1 and 2 bits a dimension.

    What modalities know does not ask for families: the README's audit of the same corpus has told it.
    """
    fit, test = emoji("T1")
    told = {name: getattr(readme["result"], name) for name in ("modalities", "pairs", "measures", "fusion")}
    with long_loops() as patch:
        patch.setattr("rdjax.audit.tried.trials", fewer)
        patch.setattr("rdjax.audit.run._of_modalities", lambda *asked: told)
        return audit(test, fit=fit, families=("rank code", "int8", "entropy-coded scalar"))


def fewer(*asked):
    for trial in trials(*asked):
        if trial.family != "entropy-coded scalar":
            yield trial
        elif trial.code_class == "C":
            yield dataclasses.replace(trial, makers=trial.makers[2::2])


def quality(result, name):
    return next(q for q in result.qualities if q.name == name)


def test_t1_uncompressed(t1):
    """The figures of the corpus' own README, ties counted both ways."""
    assert quality(t1, "image alone").value.lower == pytest.approx(0.539, abs=1e-3)
    assert quality(t1, "text alone").value.lower == pytest.approx(0.409, abs=1e-3)
    assert quality(t1, "text alone").pessimistic.lower == pytest.approx(0.387, abs=1e-3)
    assert t1.today.name == "fused, tau = 1"
    assert t1.today.value.lower == pytest.approx(0.710, abs=1e-3)
    calibrated = quality(t1, "fused, calibrated tau")
    assert calibrated.value.lower == pytest.approx(0.712, abs=1e-3)
    assert 1 / calibrated.temperatures["image"] > 1 / calibrated.temperatures["text"] > 5
    assert t1.today.interval.lower < 0.71 < t1.today.interval.upper


def test_t1_rank_code_at_ten_bits(t1):
    (point,) = [p for p in t1.points if p.code_class == "A"]
    assert point.bits.entropy.lower == pytest.approx(np.log2(1000))
    assert point.bits.packed.lower < np.log2(1000) + 8 * (32 + 2) / 1000  # a header, two blocks of digits
    assert point.bits.single.lower == 16
    assert point.value.lower >= 0.67


def test_t1_floors(t1):
    """The law of the queries is uniform over 1,000 documents here, so the floors are those of the theory notes."""
    goal = 1 - 0.95 * t1.today.value.lower
    floors = {(f.side, f.name): f for f in t1.floors}
    stream = floors["queries", "any code, rate-distortion (Theorem B)"]
    assert stream.bits.lower == pytest.approx(float(ranking_rate(goal, 1000)), rel=1e-6)
    blind = floors["documents", "code stored without knowledge of the others (Theorem D)"]
    assert blind.bits.lower == pytest.approx(float(blind_rate(goal, 1000)), rel=1e-6)
    model = floors["queries", "code made without the corpus (Theorem D), Gaussian fit"]
    assert model.bits.evidence == "model"
    assert model.bits.lower > blind.bits.lower
    assert all(f.bits is None and f.why for f in t1.floors if f.classes == "B")


def test_t1_noisy_relevance(t1):
    """If the posterior is true more is needed than Theorem B says; a code is known that needs little more."""
    floors = {f.name: f for f in t1.floors if f.side == "queries"}
    noisy = floors["any code (if the calibrated posterior is true)"].bits
    assert noisy.evidence == "certificate"
    assert "calibrated posterior is true" in noisy.assumes
    assert floors["any code, rate-distortion (Theorem B)"].bits.lower + 1 < noisy.lower < noisy.upper < np.log2(1000)
    assert noisy.upper - noisy.lower < 0.05 * noisy.upper


def test_t1_no_code_beats_a_floor_that_binds_it(t1):
    """Averages over the stream against the curves of Theorems B and D, at every point."""
    for floor in t1.floors:
        if floor.kind != "average over a stream" or not floor.curve or floor.bits.evidence != "theorem":
            continue
        bits, best = np.array(floor.curve).T
        for point in t1.on(floor.side):
            if point.code_class in floor.classes:
                assert point.value.lower <= np.interp(point.bits.entropy.lower, bits, best) + 1e-9, (
                    floor.name,
                    point.code,
                )


def test_t1_answer(t1):
    """Three sentences; what was chosen keeps its promise on the audited queries within its interval."""
    assert len(t1.answer) == 3
    store, blind, searched = t1.recommendations
    assert store.point.code_class in "BC"
    assert blind.point.code_class == "C"
    for choice in (store, blind):
        assert choice.point.chosen_by.lower >= 0.95
        assert choice.point.kept_interval.upper >= 0.95
        assert choice.point.bits.packed.lower < 2000
    assert "bytes) for each stored document" in t1.answer[0]
    assert "no uniquely decodable code averages fewer than 5.77 bits over a stream" in t1.answer[1]
    assert "already done the search" in t1.answer[2]
    assert "no code can" not in " ".join(t1.answer).lower()
    assert searched.purpose == "send a query after searching"


def test_every_number_is_a_bound(t1):
    for record in (*t1.points, *t1.qualities):
        names = {f.name for f in dataclasses.fields(record)} - {"budget"}  # which was asked for and not found
        assert not [name for name in names if isinstance(getattr(record, name), float)], record
    assert isinstance(t1.aim, Bound)
    assert {p.value.evidence for p in t1.points} == {"measured"}
    assert {p.interval.evidence for p in t1.points} == {"estimate"}
