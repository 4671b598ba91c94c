"""Lengths that coding takes and decoding gives back: the line they are on, edges, and what ranking gains by them."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from scipy.optimize import nnls
from scipy.special import logsumexp

from rdjax.checks import InputError
from rdjax.codes import (
    EntropyCoded,
    LearnedCode,
    ProductQuantizer,
    QueryModel,
    RankCode,
    Renormalized,
    ScalarQuantizer,
    SignBitsRescored,
    Truncation,
    fit_relevance_map,
)
from rdjax.codes.lengths import Stretch, _line, stretched
from rdjax.codes.lesson import Lesson
from rdjax.codes.saved import load_code, save_code

D = 10


def lengths(rows):
    return np.linalg.norm(np.asarray(rows, np.float64), axis=1)


def directions(count, seed=0):
    """Unit vectors of a falling spectrum, float32."""
    rows = np.random.default_rng(seed).standard_normal((count, D)) * np.arange(1, D + 1) ** -0.5
    return (rows / lengths(rows)[:, None]).astype(np.float32)


def coarse(rows, bits=5):
    return ScalarQuantizer.fit(rows, bits)


def test_documents_of_one_length_have_it_again(precision):
    documents = 3 * directions(400).astype(precision)
    code = Renormalized.fit(coarse(documents), documents)
    decoded = code.decode(code.encode(documents))
    assert decoded.dtype == precision
    assert float(code.gain) == 0
    np.testing.assert_allclose(lengths(decoded), 3, rtol=1e-6)
    plain = np.asarray(code.code.decode(code.code.encode(documents)), np.float64)
    assert np.ptp(lengths(plain)) > 0.5  # or there was nothing to give back
    np.testing.assert_allclose(np.asarray(decoded) * lengths(plain)[:, None], 3 * plain, rtol=1e-5, atol=1e-6)


@pytest.mark.float64_only
@pytest.mark.parametrize("case", ["one length", "both", "falls", "starts below zero", "all alike", "long"])
def test_the_line_is_the_best_of_those_that_start_and_rise_from_above_zero(case):
    """Against SciPy's least squares with nothing below zero."""
    rng = np.random.default_rng(3)
    own = rng.uniform(0.2, 1, 300)
    true = {
        "one length": np.full(300, 2.0),
        "both": np.sqrt(0.5 + 3 * own**2),
        "falls": np.sqrt(5 - 3 * own**2),  # a floor alone
        "starts below zero": np.sqrt(np.maximum(9 * own**2 - 2, 0.01)),  # a gain alone
        "all alike": rng.uniform(1, 2, 300),
        "long": 1e150 * own,
    }[case] * np.exp(0.01 * rng.standard_normal(300))
    own = np.full(300, 0.5) if case == "all alike" else own
    unit = true.max()
    expected, _ = nnls(np.stack([np.ones(300), own**2], axis=1), (true / unit) ** 2)
    floor, gain = _line(own, true)
    level = (floor / unit) ** 2 + (
        gain / unit * own
    ) ** 2  # of lengths that are all alike, floor and gain are one thing
    np.testing.assert_allclose(level, expected[0] + expected[1] * own**2, rtol=1e-6, atol=1e-9)
    zeros = {"falls": [False, True], "starts below zero": [True, False]}
    assert [floor == 0, gain == 0] == zeros.get(case, [floor == 0, gain == 0])


def test_fit_is_that_line_of_what_is_decoded(precision):
    rng = np.random.default_rng(5)
    documents = (directions(300) * rng.uniform(0.5, 2, (300, 1))).astype(precision)
    code = coarse(documents, 12)
    told = lengths(code.decode(code.encode(documents)))
    fitted = Renormalized.fit(code, documents)
    expected = _line(told, lengths(documents))
    np.testing.assert_allclose([float(fitted.floor), float(fitted.gain)], expected, rtol=1e-6)
    assert min(expected) > 0
    np.testing.assert_allclose(
        lengths(fitted.decode(fitted.encode(documents))), np.hypot(expected[0], expected[1] * told), rtol=1e-5
    )


def test_of_many_documents_as_many_are_read_as_are_needed(monkeypatch):
    """Spread evenly: the first and the last are among them."""
    monkeypatch.setattr("rdjax.codes.lengths.SAMPLES", 3)
    documents = directions(5)
    documents[[1, 3]] *= 100
    np.testing.assert_allclose(float(Renormalized.fit(coarse(directions(50)), documents).floor), 1, rtol=1e-6)


@pytest.mark.parametrize("size", [1e-30, 1.0, 1e30])
def test_edges_are_finite_and_nothing_stays_nothing(size, precision):
    vectors = jnp.asarray(np.array([[0, 0, 0], [3, 4, 0], [0, 0, -1e-3], [1e-6, 1, 1]]) * size, precision)
    floor, gain = (jnp.asarray(n, precision) for n in (2 * size, 0.5))
    found = stretched(vectors, floor, gain)
    own = lengths(np.asarray(vectors, np.float64) / size)
    expected = np.where(own > 0, np.hypot(2, 0.5 * own), 0)
    np.testing.assert_allclose(lengths(np.asarray(found, np.float64) / size), expected, rtol=1e-5)
    slope = jax.grad(lambda v: jnp.sum(stretched(v, floor, gain)))(vectors)
    assert np.isfinite(np.asarray(slope)).all()


@pytest.mark.float64_only
def test_slopes_are_differences():
    rng = np.random.default_rng(0)
    point, way = rng.standard_normal((2, 4, D))
    value = lambda t: jnp.sum(jnp.sin(stretched(point + t * way, jnp.asarray(1.5), jnp.asarray(0.7))))
    np.testing.assert_allclose(jax.grad(value)(0.0), (value(1e-6) - value(-1e-6)) / 2e-6, rtol=1e-6)


@pytest.mark.float64_only
@pytest.mark.parametrize("bits", [8, 16])
def test_ranking_gains_by_it(bits):
    """By brute force: one noisy query for every document of one length; of the loss some is made good."""
    gained = []
    for seed in range(5):
        rng = np.random.default_rng(seed)
        documents = directions(500, seed).astype(np.float64)
        queries = documents + 0.15 * rng.standard_normal((500, D))
        code = ProductQuantizer.fit(documents, bits, transform="coordinates", width=4)
        symbols = code.encode(documents)
        worth = [
            reciprocal_ranks(queries @ np.asarray(vectors).T)
            for vectors in (code.decode(symbols), Renormalized.fit(code, documents).decode(symbols), documents)
        ]
        gained.append((worth[1] - worth[0]) / (worth[2] - worth[0]))
    assert np.mean(gained) > 0.05
    assert min(gained) > 0


def reciprocal_ranks(scores):
    """The mean, each row wanting its own column."""
    return float(np.mean(1 / (1 + (scores > np.diag(scores)[:, None]).sum(axis=1))))


@pytest.mark.float64_only
def test_bits_bytes_and_encoder_are_those_inside():
    documents = directions(300)
    code = coarse(documents, 12)
    whole = Renormalized.fit(code, documents)
    symbols = whole.encode(documents)
    np.testing.assert_array_equal(symbols, code.encode(documents))
    assert (whole.bits, whole.encoder_bytes, whole.pack(symbols)) == (12, code.encoder_bytes, code.pack(symbols))
    assert whole.sides == ("documents",)
    shorter = EntropyCoded.fit(whole, symbols)
    np.testing.assert_array_equal(shorter.decode(symbols), whole.decode(symbols))
    np.testing.assert_array_equal(Renormalized.fit(shorter.code.code, documents).decode(symbols), whole.decode(symbols))


class World:
    """Documents of one length, queries near them, a code along the directions of relevance."""

    def __init__(self, side="documents"):
        rng = np.random.default_rng(1)
        self.documents = directions(60).astype(np.float64)
        self.wanted = np.repeat(np.arange(60), 8)
        self.queries = self.documents[self.wanted] + 0.15 * rng.standard_normal((480, D))
        model = QueryModel.fit(self.queries, self.documents[self.wanted], blocks=(D,))
        self.chart = fit_relevance_map(model, self.documents, 8, side=side)
        rows = self.documents if side == "documents" else self.queries
        self.code = ProductQuantizer.fit(rows, 6, transform=self.chart.take(4), width=3, blocks=1)


@pytest.mark.float64_only
def test_coefficients_know_how_long_the_decoded_vector_becomes():
    world = World()
    whole = Renormalized.fit(world.code, world.documents)
    stretch = Stretch.of(world.chart.back, whole.floor, whole.gain)
    symbols = whole.encode(world.documents)
    coefficients = np.zeros((60, 8))
    back = np.asarray(world.chart.back)
    coefficients = np.linalg.lstsq(back, np.asarray(world.code.decode(symbols)).T, rcond=None)[0].T
    times = lengths(whole.decode(symbols)) / lengths(world.code.decode(symbols))
    np.testing.assert_allclose(stretch(jnp.asarray(coefficients)), times, rtol=1e-8)
    np.testing.assert_array_equal(stretch(jnp.zeros((2, 8))), 1)
    assert np.isfinite(jax.grad(lambda c: jnp.sum(stretch(c)))(jnp.zeros((2, 8)))).all()


@pytest.mark.float64_only
def test_a_stretched_code_is_trained_as_it_ranks():
    """The loss of a look is that of the scores that are delivered, before training and after."""
    world = World()
    whole = Renormalized.fit(world.code, world.documents)
    told = world.queries, world.documents, world.wanted
    learned = LearnedCode.fit(whole, told, chart=world.chart, held_out=told, steps=60, looks=3)
    assert int(learned.step) > 0
    assert isinstance(learned.code, Renormalized)
    assert float(learned.code.floor) == float(whole.floor)
    scores = np.asarray(learned.scores(learned.encode(world.documents), world.queries)).T / float(learned.temperature)
    loss = learned.bits + np.mean(logsumexp(scores, axis=1) - scores[np.arange(480), world.wanted]) / np.log(2)
    np.testing.assert_allclose(loss, np.min(np.asarray(learned.history)), rtol=1e-6)
    assert np.min(np.asarray(learned.history)) < float(learned.history[0]) - 0.05
    without = LearnedCode.fit(world.code, told, chart=world.chart, held_out=told, steps=60, looks=3)
    assert float(learned.history[0]) < float(without.history[0])  # lengths alone tell more


@pytest.mark.float64_only
def test_what_does_not_improve_is_the_code_that_was_given():
    world = World()
    whole = Renormalized.fit(world.code, world.documents)
    told = world.queries, world.documents, world.wanted
    learned = LearnedCode.fit(whole, told, optimizer=optax.sgd(0.0), steps=2, looks=1)
    assert int(learned.step) == 0
    assert learned.code.fingerprint == whole.fingerprint


@pytest.mark.float64_only
def test_lessons_of_queries_have_no_lengths():
    world = World("queries")
    assert Lesson.of(world.chart, world.queries, world.documents, world.wanted).stretch is None


@pytest.mark.float64_only
@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda x: RankCode.fit(x), "does not rank documents by inner products"),
        (lambda x: SignBitsRescored.fit(x, 10), "does not rank documents by inner products"),
        (lambda x: World("queries").code, "does not rank documents by inner products"),
        (lambda x: Renormalized.fit(coarse(x), x), "gives back lengths already"),
    ],
)
def test_codes_that_lengths_tell_nothing_are_refused(make, words):
    documents = directions(60)
    with pytest.raises(InputError, match=words):
        Renormalized.fit(make(documents), documents)


@pytest.mark.float64_only
def test_documents_must_be_of_the_code():
    code = coarse(directions(60))
    for documents in (np.zeros((0, D)), np.ones(D), np.ones((3, D + 1)), np.full((2, D), np.nan)):
        with pytest.raises(InputError):
            Renormalized.fit(code, documents)


@pytest.mark.filterwarnings("error")
def test_documents_of_which_nothing_is_told_have_no_length_to_give_back(precision):
    documents = np.zeros((20, 4), precision)
    documents[:, 2:] = np.random.default_rng(0).standard_normal((20, 2))
    code = Renormalized.fit(Truncation.fit(documents, 2), documents)
    assert np.isfinite([float(code.floor), float(code.gain)]).all()
    told = np.asarray(code.decode(code.encode(np.ones((3, 4), precision))))
    assert np.isfinite(told).all()
    again, _ = load_code(save_code(code), "a file")
    np.testing.assert_array_equal(again.decode(code.encode(np.ones((3, 4), precision))), told)
