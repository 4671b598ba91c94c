"""What training is held to: the fitted code itself, all held-out queries together, draws that no two seeds share."""

from dataclasses import replace

import jax.numpy as jnp
import numpy as np
import optax
import pytest

from rdjax.codes import LearnedCode, QueryModel, learning, simulated_lessons
from rdjax.codes.forms import form_of, given_form
from rdjax.codes.learning import ABOVE_FLOOR, Plan, sharpness
from rdjax.limits import ranking_rate
from rdjax.retrieval import calibrate_temperatures
from tests.test_learned import D, World

pytestmark = pytest.mark.float64_only
NUDGE = optax.sgd(1e-6)


@pytest.mark.parametrize("side", ["queries", "documents"])
def test_the_first_look_is_at_the_given_scalar_code(side):
    """Not at the uniform cells and logistic laws that stand for it in training, a bit worse here."""
    world = World(side)
    code = world.scalar()
    found = LearnedCode.fit(code, world.told, held_out=world.told, steps=2, looks=2, optimizer=NUDGE)
    symbols = np.asarray(code.encode(world.coded))
    bits = -sum(np.log2(law)[column].sum() for law, column in zip(code.laws, symbols.T, strict=True)) / len(symbols)
    scores = np.asarray(code.scores(symbols, world.documents if side == "queries" else world.queries))
    scores = scores if side == "queries" else scores.T
    tau = calibrate_temperatures(scores[None], world.wanted)
    np.testing.assert_allclose(found.history[0], bits + float(tau.cross_entropy), rtol=2e-3)  # 512 set tau
    assert int(found.step) == 0
    assert found.code is code
    np.testing.assert_allclose(found.temperature, tau.temperatures[0], rtol=0.02)


def test_a_scalar_code_that_is_kept_is_better_than_the_given_one():
    world = World("documents")
    found = LearnedCode.fit(world.scalar(), world.told, held_out=world.told, steps=40, looks=4)
    assert int(found.step) > 0
    assert found.history.min() < found.history[0]


def test_the_distance_to_the_floor_is_that_of_all_held_out_queries_together(monkeypatch):
    """R(D) is convex: the mean over blocks of queries of different documents would be too low."""
    world = World()
    form = form_of(world.product())
    begin = {**form.begin(world.product(), world.lesson.coded), "log_sharpness": jnp.log(3.0)}
    every = {name: leaf[None] for name, leaf in begin.items()}
    plan, trades = Plan(form, ABOVE_FLOOR, NUDGE), np.ones(1)
    found = []
    for size in (64, 1000):
        monkeypatch.setattr(learning, "READ_AT_ONCE", size)
        found.append(learning._worth(plan, every, world.lesson, trades)[0])
    np.testing.assert_allclose(found, found[-1], rtol=1e-12)
    ranked, rate = replace(plan, objective=learning.parse_objective("mrr")), 6 * np.log(2)
    distortion = learning._worth(ranked, every, world.lesson, trades)[0] - rate
    floor = float(ranking_rate(distortion, world.lesson.num_documents)) * np.log(2)
    np.testing.assert_allclose(found[0], rate - floor, rtol=1e-9)


def test_training_begins_where_scores_tell_nothing(recwarn):
    """Calibrated to an infinite temperature, all gradients would be 0."""
    world = World()
    scores = world.queries @ world.documents.T
    told = world.queries, world.documents, scores.argmin(axis=1)
    code = world.product()
    found = LearnedCode.fit(code, told, held_out=told, steps=20, looks=2)
    np.testing.assert_allclose(found.history[0], 6 + np.log2(len(world.documents)), rtol=1e-6)  # the bits, and no news
    assert len(np.unique(np.asarray(found.history))) == 3
    form = form_of(code)
    lesson = type(world.lesson).of(world.chart, *told)
    begin = form.begin(code, lesson.coded)
    assert sharpness(given_form(form), begin, lesson) == 0
    assert 0 < sharpness(form, begin, lesson, begins=True) < np.inf


def test_no_two_seeds_share_draws():
    world = World()
    model = QueryModel.fit(world.queries, world.documents[world.wanted], blocks=(D,))
    drawn = [
        simulated_lessons(model, world.documents, 40, seed=seed)(look)[0]
        for seed in (0, 1, 1000, 2000)
        for look in range(3)
    ]
    flat = np.array(drawn)[:, 0, 0]
    assert len(np.unique(flat)) == len(flat)
