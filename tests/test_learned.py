"""Learned codes: that they begin as the fitted code, that their gradients are right, that training pays, and guards."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from rdjax.checks import InputError
from rdjax.codes import (
    Directional,
    EntropyCodedScalar,
    LearnedCode,
    ProductQuantizer,
    QueryModel,
    ScalarQuantizer,
    TrellisCode,
    fit_relevance_map,
    load_code,
    save_code,
)
from rdjax.codes.arrays import padded
from rdjax.codes.forms import form_of
from rdjax.codes.learning import Plan, loss_of, parse_objective, perplexity, sharpness, usage
from rdjax.codes.lesson import Batches, Lesson
from rdjax.codes.relaxed_forms import Relaxed, mapped
from rdjax.retrieval import calibrate_temperatures

pytestmark = pytest.mark.float64_only  # trained in both precisions below; gradients are compared in float64

D, N, DRAWS = 10, 40, 8
SIDES = ("queries", "documents")
SHORT = {"steps": 20, "looks": 1, "optimizer": optax.adam(0.02)}  # one object, so that it is compiled once
hard = jax.jit(lambda form, parameters, coded: form(parameters, coded, None), static_argnums=0)


class World:
    """Documents with a falling spectrum, queries that are noisy copies, a map and codes of one side."""

    def __init__(self, side="queries", seed=0, dtype=np.float64):
        rng = np.random.default_rng(seed)
        spread = np.arange(1, D + 1) ** -0.7
        self.documents = (rng.standard_normal((N, D)) * spread).astype(dtype)
        self.wanted = np.repeat(np.arange(N), DRAWS)
        self.queries = (self.documents[self.wanted] + 0.25 * rng.standard_normal((N * DRAWS, D))).astype(dtype)
        model = QueryModel.fit(self.queries, self.documents[self.wanted], blocks=(D,))
        self.chart = fit_relevance_map(model, self.documents, 8, side=side)
        self.told = self.queries, self.documents, self.wanted
        self.coded = self.queries if side == "queries" else self.documents
        self.lesson = Lesson.of(self.chart, *self.told)

    def product(self, bits=6, **options):
        settings = {"width": 3, "blocks": 1, "transform": self.chart.take(4), **options}
        return ProductQuantizer.fit(self.coded, bits, **settings)

    def trellis(self):
        return TrellisCode.fit(self.coded, 8, transform=self.chart.take(4), memory=2, rounds=1)

    def directed(self):
        return Directional.fit(self.product())

    def scalar(self, bits=6.0):
        return EntropyCodedScalar.fit(self.coded, bits, transform=self.chart.take(4))

    def batch(self, size=64):
        return Batches(np.arange(size), np.arange(N))


def parameters_of(form, code, lesson):
    return {**form.begin(code, lesson.coded), "log_sharpness": np.array(0.3)}


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("kind", ["one block", "blocks", "trellis"])
def test_a_form_begins_and_ends_as_the_code(side, kind):
    world = World(side)
    code = world.trellis() if kind == "trellis" else world.product(blocks=1 if kind == "one block" else None)
    form = form_of(code)
    parameters = form.begin(code, world.lesson.coded)
    coded = hard(form, parameters, world.lesson.coded)
    symbols = code.encode(world.coded)
    np.testing.assert_array_equal(coded.symbols, symbols)
    assert coded.bits[0] == code.bits
    other = world.documents if side == "queries" else world.queries
    np.testing.assert_allclose(
        np.asarray(coded.values) @ np.asarray(world.lesson.keys).T, code.scores(symbols, other), atol=1e-10
    )
    again = form.finish(code, world.chart, parameters, world.lesson.coded)
    np.testing.assert_array_equal(again.encode(world.coded), symbols)
    np.testing.assert_allclose(again.decode(symbols), code.decode(symbols), atol=1e-12)


def test_a_turned_map_stays_turned_when_it_learns():
    world = World()
    code = world.product(blocks=None, turns=3)
    form, lesson = form_of(code), Lesson.of(code.transform, *world.told)
    finished = form.finish(code, code.transform, form.begin(code, lesson.coded), lesson.coded)
    assert finished.name == code.name == "turned relevance 4 + product 2 x 3 bits"


@pytest.mark.parametrize("trades", [[], [np.nan], [-1.0], [[1.0]]])
def test_trades_that_are_none_are_refused(trades):
    world = World()
    with pytest.raises(InputError, match="the trades are"):
        LearnedCode.sweep(world.product(), world.told, trades, **SHORT)


@pytest.mark.parametrize("side", SIDES)
def test_scalar_form_is_the_code_it_finishes_as(side):
    world = World(side)
    code = world.scalar()
    form = form_of(code)
    parameters = form.begin(code, world.lesson.coded)
    made = form.finish(code, world.chart, parameters, world.lesson.coded)
    coded = hard(form, parameters, world.lesson.coded)
    symbols = made.encode(world.coded)
    other = world.documents if side == "queries" else world.queries
    expected = np.asarray(coded.values) @ np.asarray(world.lesson.keys).T
    np.testing.assert_allclose(made.scores(symbols, other), expected, atol=1e-9)
    np.testing.assert_array_equal(made.from_bytes(made.to_bytes(symbols)), symbols)
    assert abs(made.rate(symbols).entropy - np.mean(coded.bits)) < 1.0  # by counts, by mixtures


@pytest.mark.parametrize(
    ("kind", "objective", "side"),
    [
        ("product", "cross-entropy", "queries"),
        ("product", "mrr", "documents"),
        ("trellis", "cross-entropy", "documents"),
        ("scalar", "cross-entropy", "documents"),
        ("scalar", "bits above the floor", "queries"),
    ],
)
def test_gradients_are_differences(kind, objective, side):
    """With respect to temperatures, words and the map out of the quantizer: what is not rounded has true gradients."""
    world = World(side)
    code = getattr(world, kind)()
    form = form_of(code)
    plan = Plan(form, parse_objective(objective), optax.sgd(0.1), fidelity=0.3)
    start = parameters_of(form, code, world.lesson)
    scalar = ["log_sharpness", "out", "logits", "log_scales"]
    names = scalar if kind == "scalar" else ["log_sharpness", "out", "words"]
    rng = np.random.default_rng(1)
    ways = {name: rng.standard_normal(np.shape(start[name])) for name in names}
    batch = world.batch()

    def loss(parameters):
        symbols = form(parameters, world.lesson.coded, None).symbols
        return loss_of(plan, parameters, world.lesson, batch, jnp.asarray(2.0), None), symbols

    both = jax.jit(jax.value_and_grad(loss, has_aux=True))
    (_, symbols), slopes = both(start)
    for name, way in ways.items():
        step = 1e-6
        ends = [both({**start, name: np.asarray(start[name]) + sign * step * way})[0] for sign in (1, -1)]
        if name == "words":  # the search must find the same words
            for _, found in ends:
                np.testing.assert_array_equal(found, symbols)
        measured = (ends[0][0] - ends[1][0]) / (2 * step)
        np.testing.assert_allclose(np.sum(slopes[name] * way), measured, rtol=2e-4, atol=1e-7, err_msg=name)


@pytest.mark.parametrize("side", SIDES)
def test_fidelity_counts_half_the_squared_error_of_what_is_coded(side):
    world = World(side)
    code = world.product()
    form = form_of(code)
    start = parameters_of(form, code, world.lesson)
    plans = [Plan(form, "cross-entropy", optax.sgd(0.1), fidelity) for fidelity in (0.25, 0.0)]
    both = jax.jit(lambda start: [loss_of(plan, start, world.lesson, world.batch(), 2.0, None) for plan in plans])
    rows = world.coded[: 64 if side == "queries" else N]  # of the batch; all documents
    wide = np.asarray(world.chart.apply(rows))
    told = np.zeros_like(wide)
    for stage, symbol in zip(np.asarray(code.codebooks)[0], np.asarray(code.encode(rows)).T, strict=True):
        told[:, list(code.blocks[0])] += stage[symbol][:, : len(code.blocks[0])]
    expected = 0.25 * 0.5 * np.mean(np.sum((told - wide) ** 2, axis=1))
    with_it, without = map(float, both(start))
    assert with_it - without == pytest.approx(expected, rel=1e-10)


def test_noise_makes_the_rate_differentiable_in_the_steps():
    world = World()
    code = world.scalar()
    form = form_of(code)
    start = parameters_of(form, code, world.lesson)
    rate = lambda p: jnp.mean(form(p, world.lesson.coded, Relaxed(jax.random.key(0), jnp.zeros(()))).bits)
    both = jax.jit(jax.value_and_grad(rate))
    ends = [both({**start, "log_step": np.asarray(start["log_step"]) + change})[0] for change in (1e-5, -1e-5)]
    slope = np.sum(both(start)[1]["log_step"])
    np.testing.assert_allclose(slope, (ends[0] - ends[1]) / 2e-5, rtol=1e-5)
    assert slope < 0  # larger steps, fewer bits


@pytest.mark.parametrize(
    ("side", "kind"),
    [("queries", "product"), ("documents", "product"), ("documents", "trellis"), ("queries", "directed")],
)
def test_training_lowers_the_loss_that_is_delivered(side, kind):
    world = World(side)
    code = getattr(world, kind)()
    found = LearnedCode.fit(code, world.told, chart=world.chart, steps=120, looks=6, seed=3)
    history = np.asarray(found.history)
    assert history.min() < history[0] - 0.02
    assert 0 < int(found.step) <= 120
    assert found.bits == code.bits
    # the loss that was kept is the cross-entropy of the finished code's own scores, at its temperature
    fifth = np.sort(np.random.default_rng(3).permutation(len(world.wanted))[: len(world.wanted) // 5])
    symbols = found.encode(world.queries[fifth] if side == "queries" else world.documents)
    scores = found.scores(symbols, world.documents if side == "queries" else world.queries[fifth])
    scores = np.asarray(scores if side == "queries" else scores.T) / float(found.temperature)
    logs = scores - np.log(np.exp(scores).sum(axis=1, keepdims=True))
    loss = -logs[np.arange(len(fifth)), world.wanted[fifth]].mean() / np.log(2)
    assert loss + code.bits == pytest.approx(history.min(), abs=1e-6)
    assert "bits of loss on held-out queries" in found.message


@pytest.mark.parametrize("blocks", [1, None])
def test_soft_words_harden(blocks):
    """Their values are those of the greedy search; their gradient is that of the soft mean, and it narrows."""
    world = World()
    code = world.product(blocks=blocks, beam=1)
    form = form_of(code, soft=True)
    start = form.begin(code, world.lesson.coded)
    how = lambda share: Relaxed(jax.random.key(0), jnp.asarray(share))
    both = jax.jit(lambda p: [form(p, world.lesson.coded, relaxed) for relaxed in (None, how(0.0))])
    greedy, soft = both(start)
    np.testing.assert_array_equal(greedy.symbols, soft.symbols)
    np.testing.assert_allclose(greedy.values, soft.values, atol=1e-9)
    one = world.lesson.coded[:1]
    total = lambda words, share: jnp.sum(form({**start, "words": words}, one, how(share)).values)
    slopes = jax.jit(jax.grad(total))
    early, late = (np.abs(slopes(start["words"], share)).sum(axis=-1) for share in (0.0, 1.0))
    assert (early > 1e-6).sum() > (late > 1e-6).sum() >= 2


def test_training_softly_lowers_the_loss():
    world = World()
    code = world.product(beam=1)
    found = LearnedCode.fit(code, world.told, chart=world.chart, steps=120, looks=6, relaxation="soft")
    history = np.asarray(found.history)
    assert history.min() < history[0] - 0.02


def test_it_is_stored_like_any_code():
    world = World()
    found = LearnedCode.fit(world.product(), world.told, chart=world.chart, **SHORT)
    loaded, _ = load_code(save_code(found), "a file")
    symbols = found.encode(world.queries)
    np.testing.assert_array_equal(loaded.from_bytes(found.to_bytes(symbols)), symbols)
    np.testing.assert_array_equal(loaded.decode(symbols), found.decode(symbols))
    assert loaded.name == found.name == f"{found.code.name}, learned"
    assert found.encoder_bytes == found.code.encoder_bytes


def test_same_seed_same_code_and_one_compilation():
    from rdjax.codes.learning import _stretch

    world, other = World(), World(seed=5)
    learn = lambda world, seed: LearnedCode.fit(world.product(), world.told, chart=world.chart, seed=seed, **SHORT)
    one = learn(world, 1)
    before = _stretch._cache_size()
    again, third = learn(world, 1), learn(world, 2)
    learn(other, 1)
    assert _stretch._cache_size() == before
    np.testing.assert_array_equal(one.code.codebooks, again.code.codebooks)
    assert not np.array_equal(one.code.codebooks, third.code.codebooks)


def test_fresh_queries_for_every_look():
    world, asked = World(), []

    def told(look):
        asked.append(look)
        noise = 0.25 * np.random.default_rng(100 + look).standard_normal((len(wanted), D))
        return world.documents[wanted] + noise, world.documents, wanted

    code, wanted = world.product(), world.wanted[N * DRAWS // 5 :]  # as many as others train with, and hold out
    held_out = world.queries[::5], world.documents, world.wanted[::5]
    found = LearnedCode.fit(code, told, chart=world.chart, held_out=held_out, steps=120, looks=6)
    assert asked == [0, 1, 2, 3, 4, 5][: len(asked)]
    history = np.asarray(found.history)
    assert history.min() < history[0] - 0.02
    asked.clear()
    LearnedCode.fit(code, told, chart=world.chart, **{**SHORT, "steps": 40, "looks": 2})
    assert asked == [2, 0, 1]  # the first of these chooses


def test_what_does_not_improve_is_not_kept():
    world = World()
    code = world.product()
    told = (world.queries[64:], world.documents, world.wanted[64:])
    strangers = (world.queries[::5], world.documents, world.wanted[::5][::-1])  # want what they are not like
    found = LearnedCode.fit(code, told, chart=world.chart, held_out=strangers, **SHORT)
    assert found.history[1] > found.history[0]
    assert int(found.step) == 0
    assert found.code is code
    assert "nothing better" in found.message


def test_sweep_trades_rate_for_ranking():
    world = World()
    trades = [1.0, 4.0, 16.0]
    settings = {"chart": world.chart, "steps": 100, "looks": 2}
    learned = LearnedCode.sweep(world.scalar(), world.told, trades, **settings)
    spent = [code.rate(code.encode(world.queries)).entropy for code in learned]
    assert spent[0] < spent[1] < spent[2]
    single = LearnedCode.fit(world.scalar(), world.told, trade=4.0, **settings)
    np.testing.assert_allclose(single.history, learned[1].history, rtol=1e-6)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_precision_is_that_of_the_code(dtype):
    world = World(dtype=dtype)
    found = LearnedCode.fit(world.product(), world.told, chart=world.chart, **SHORT)
    assert found.code.codebooks.dtype == dtype
    assert found.decode(found.encode(world.queries)).dtype == dtype


def test_unused_words_are_revived():
    world = World()
    code = world.product(bits=3)
    words = np.asarray(code.codebooks).copy()
    words[0, 0, 2:] = 50.0  # where no point is
    code = replace(code, codebooks=jax.device_put(words))
    form = form_of(code)
    start = form.begin(code, world.lesson.coded)
    counts = usage(form, start, world.lesson)
    assert (counts[0] > 0).sum() <= 2
    changed, number = form.revive(start, counts, np.random.default_rng(0))
    assert number == 8 - (counts[0] > 0).sum() - max(0, 8 - 2 * (counts[0] > 1).sum())
    assert perplexity(usage(form, changed, world.lesson))[0] > perplexity(counts)[0]
    found = LearnedCode.fit(code, world.told, chart=world.chart, steps=80, looks=8, patience=8)
    assert int(found.revived) >= 2
    assert float(found.used[0]) > 4


def test_words_are_revived_within_their_block():
    """Blocks of two and of one: beyond the one there are no coefficients, and words stay zero."""
    world = World()
    code = world.product(blocks=2, transform=world.chart.take(3))
    (small,) = [b for b, block in enumerate(code.blocks) if len(block) == 1]
    form = form_of(code)
    counts = np.full((2, 8), 9)
    counts[:, 5:] = 0
    changed, number = form.revive(form.begin(code, world.lesson.coded), counts, np.random.default_rng(0))
    assert number == 6
    before, words = np.asarray(code.codebooks)[:, 0], np.asarray(changed["words"])[:, 0]
    assert (words[1 - small, 5:] != before[1 - small, 5:]).all()
    assert not words[small, :, 1:].any()


def test_many_vectors_are_coded_in_blocks_as_the_fitted_code_does(monkeypatch):
    world = World()
    code = world.product()
    learned = LearnedCode(code, *(np.zeros(n) for n in ((), 1, 2, (), ())))
    expected, rows = code.encode(world.queries), []
    monkeypatch.setattr("rdjax.codes.blockwise.AT_ONCE", 128)
    monkeypatch.setattr("rdjax.codes.blockwise.padded", lambda block, size: rows.append(size) or padded(block, size))
    np.testing.assert_array_equal(learned.encode(world.queries), expected)
    assert rows == [128]  # the last of three blocks


def test_perplexity():
    np.testing.assert_allclose(perplexity(np.array([[5, 5, 0], [9, 0, 0], [2, 2, 2]])), [2, 1, 3])


@pytest.mark.parametrize(("looks", "stretches"), [(6, [3, 3, 3, 3, 1]), (12, [2, 2, 2, 2, 2, 2, 1]), (1, [13])])
def test_no_more_steps_than_were_asked_for(looks, stretches, monkeypatch):
    """Steps that change nothing are enough to count them."""
    world, made, seen = World(), [], []
    monkeypatch.setattr(
        "rdjax.codes.learning._stretch",
        lambda plan, state, lesson, batches, *rest: made.append(len(batches.queries)) or state,
    )
    count = lambda step, bits: seen.append(step)
    options = {"steps": 13, "looks": looks, "patience": 20, "optimizer": SHORT["optimizer"], "progress": count}
    LearnedCode.fit(world.product(), world.told, chart=world.chart, **options)
    assert made == stretches
    assert seen == np.cumsum(stretches).tolist()


def test_sampled_documents_hold_what_is_wanted(monkeypatch):
    monkeypatch.setattr("rdjax.codes.lesson.CANDIDATES", 16)
    world = World()
    drawn = world.lesson.batches(np.random.default_rng(0), 5, 7)
    assert drawn.queries.shape == (7, 5)
    assert drawn.documents.shape == (7, 16)
    for rows, documents in zip(drawn.queries, drawn.documents, strict=True):
        assert set(world.wanted[rows]) <= set(documents)
        assert len(set(documents)) == 16
        assert (np.diff(documents) > 0).all()
    assert world.lesson.batches(np.random.default_rng(0), 100, 2).documents.shape == (2, 16)  # more queries than that
    once = world.lesson.batches(np.random.default_rng(0), 5, N * DRAWS // 5)
    np.testing.assert_array_equal(np.sort(once.queries.ravel()), np.arange(N * DRAWS))


def test_every_document_is_as_likely_to_be_ranked_against(monkeypatch):
    """All are wanted equally often, so each comes in 16 of 40 steps; five standard deviations of 2,000."""
    monkeypatch.setattr("rdjax.codes.lesson.CANDIDATES", 16)
    drawn = World().lesson.batches(np.random.default_rng(0), 5, 2000)
    share = np.bincount(drawn.documents.ravel(), minlength=N) / 2000
    np.testing.assert_allclose(share, 16 / 40, atol=5 * np.sqrt(0.4 * 0.6 / 2000))


def test_the_temperature_to_begin_with_is_of_all_queries(monkeypatch):
    """Queries come document by document: those of the first ten, drowned in noise here, say nothing of the others."""
    monkeypatch.setattr("rdjax.codes.learning.READ_AT_ONCE", 10 * DRAWS)
    world = World()
    noisy = np.arange(10 * DRAWS)
    world.queries[noisy] += np.random.default_rng(1).standard_normal((10 * DRAWS, D))
    lesson = Lesson.of(world.chart, *world.told)
    code = world.product()
    form = form_of(code)
    found = sharpness(form, form.begin(code, lesson.coded), lesson)
    scores = np.asarray(code.scores(code.encode(world.queries), world.documents))[None]
    whole, first = (
        1 / float(calibrate_temperatures(scores[:, rows], world.wanted[rows]).temperatures[0])
        for rows in (np.arange(len(world.wanted)), noisy)
    )
    assert abs(np.log(found / whole)) < 0.25 < abs(np.log(first / whole))


def test_maps_begin_as_the_first_directions():
    world = World()
    form = form_of(world.product())
    into, out = mapped(form.begin(world.product(), world.lesson.coded))
    np.testing.assert_array_equal(into, np.eye(8, 4))
    np.testing.assert_array_equal(out, np.eye(8, 4))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda w: LearnedCode.fit(ScalarQuantizer.fit(w.queries, 8), w.told), "cannot be learned"),
        (lambda w: LearnedCode.fit(ProductQuantizer.fit(w.queries, 6, width=3), w.told), "cannot be learned"),
        (lambda w: LearnedCode.fit(w.product(), w.told, chart=w.chart.take(2)), "first 4 directions"),
        (
            lambda w: LearnedCode.fit(w.product(), (w.queries, w.documents, w.wanted[:-1])),
            "a document's number for each",
        ),
        (lambda w: LearnedCode.fit(w.product(), (w.queries, w.documents, w.wanted + 1)), "names document 40"),
        (lambda w: LearnedCode.fit(w.product(), (w.queries[:, 1:], w.documents, w.wanted)), "dimension"),
        (lambda w: LearnedCode.fit(w.product(), w.told, objective="speed"), "speed"),
        (lambda w: LearnedCode.fit(w.product(), w.told, relaxation="hard"), "straight-through or soft"),
        (
            lambda w: LearnedCode.fit(w.product(), w.told, optimizer=optax.sgd(float("inf")), steps=30, looks=3),
            "diverged",
        ),
    ],
)
def test_bad_lessons_are_refused(change, words):
    with pytest.raises(InputError) as error:
        change(World())
    assert words in str(error.value)
