"""The model of queries against brute force: gains, noise, leave-one-out likelihood, and what it draws."""

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from rdjax.checks import InputError
from rdjax.codes.lesson import simulated_lessons
from rdjax.codes.query_model import QueryModel, _left_out

BLOCKS = (3, 2)
D = sum(BLOCKS)


def pairs(n, seed=0, gains=(0.5, 2.0)):
    """Pairs whose noise is correlated within modalities and off center."""
    rng = np.random.default_rng(seed)
    documents = rng.standard_normal((n, D)) * 1.5 + 3.0
    mix = np.zeros((D, D))
    mix[:3, :3], mix[3:, 3:] = np.random.default_rng(9).standard_normal((3, 3)), [[0.6, 0.0], [0.5, 0.1]]
    queries = documents * np.repeat(gains, BLOCKS) + rng.standard_normal((n, D)) @ mix.T - 1.0
    return queries, documents, mix @ mix.T


@pytest.fixture(scope="module")
def model():
    queries, documents, _ = pairs(60)
    return QueryModel.fit(queries, documents, blocks=BLOCKS)


@pytest.mark.float64_only
def test_many_pairs_give_back_the_truth():
    queries, documents, noise = pairs(40_000)
    model = QueryModel.fit(queries, documents, blocks=BLOCKS)
    np.testing.assert_allclose(model.gains, [0.5, 2.0], atol=0.02)
    np.testing.assert_allclose(model.noise, noise, atol=0.05 * noise.max())
    assert (model.shrinkages < 0.01).all()
    exact = documents[:5] * np.repeat([0.5, 2.0], BLOCKS) - 1.0
    np.testing.assert_allclose(model.predict(documents[:5]), exact, atol=0.1)


@pytest.mark.float64_only
def test_gain_and_noise_of_every_modality_by_hand():
    queries, documents, _ = pairs(60)
    model = QueryModel.fit(queries, documents, blocks=BLOCKS, shrinkage=0.3)
    start = 0
    for m, width in enumerate(BLOCKS):
        own = slice(start, start + width)
        asked, wanted = queries[:, own] - queries[:, own].mean(0), documents[:, own] - documents[:, own].mean(0)

        def noise(slope, asked=asked, wanted=wanted, width=width):
            sample = np.cov((asked - slope * wanted).T, bias=True)
            return 0.7 * sample + 0.3 * np.trace(sample) / width * np.eye(width)

        ordinary = np.polyfit(wanted.ravel(), asked.ravel(), 1)[0]
        root = np.linalg.cholesky(np.linalg.inv(noise(ordinary)))
        slope = np.polyfit((wanted @ root).ravel(), (asked @ root).ravel(), 1)[0]
        np.testing.assert_allclose(model.gains[m], slope, rtol=1e-9)
        np.testing.assert_allclose(model.noise[own, own], noise(slope), atol=1e-12)
        start += width
    assert (model.noise[:3, 3:] == 0).all()
    assert (model.noise[3:, :3] == 0).all()


@pytest.mark.float64_only
@pytest.mark.parametrize("a", [0.02, 0.4, 1.0])
@pytest.mark.parametrize(("n", "d"), [(12, 4), (5, 9), (2, 1)])
def test_left_out_likelihood_is_that_of_leaving_out(n, d, a):
    residuals = np.random.default_rng(3).standard_normal((n, d)) * np.arange(1, d + 1)
    sample = residuals.T @ residuals / n
    level = np.trace(sample) / d
    total = 0.0
    for i in range(n):
        others = np.delete(residuals, i, axis=0)
        left = (1 - a) * others.T @ others / (n - 1) + a * level * np.eye(d)
        total -= 2 * multivariate_normal(np.zeros(d), left).logpdf(residuals[i]) / n
    values, axes = np.linalg.eigh(sample)
    found = _left_out((residuals @ axes) ** 2, np.maximum(values, 0), level, a)
    np.testing.assert_allclose(found + d * np.log(2 * np.pi), total, rtol=1e-9)


@pytest.mark.float64_only
def test_shrinkage_falls_with_pairs_and_can_be_given():
    rng = np.random.default_rng(0)
    documents = rng.standard_normal((2000, 40))
    queries = documents + rng.standard_normal((2000, 40)) * np.linspace(0.2, 2.0, 40)
    shrinkages = [QueryModel.fit(queries[:n], documents[:n], blocks=(40,)).shrinkages[0] for n in (20, 100, 2000)]
    assert 1 >= shrinkages[0] > 1.5 * shrinkages[1] > 3 * shrinkages[2] > 0
    noise = QueryModel.fit(queries, documents, blocks=(40,), shrinkage=1.0).noise
    np.testing.assert_allclose(noise, np.eye(40) * noise[0, 0], atol=1e-12)


def test_what_is_drawn_has_the_mean_and_covariance_of_the_model(model, precision):
    documents = pairs(3, seed=5)[1].astype(precision)
    drawn = model.simulate(documents, 20_000, seed=1)
    assert drawn.shape == (60_000, D)
    assert drawn.dtype == model.predict(documents).dtype == precision
    for number, mean in enumerate(model.predict(documents)):
        rows = drawn[20_000 * number : 20_000 * (number + 1)].astype(np.float64)
        scale = np.sqrt(np.diag(model.noise))
        np.testing.assert_allclose(rows.mean(axis=0), mean, atol=0.05 * scale.max())
        np.testing.assert_allclose(np.cov(rows.T), model.noise, atol=0.05 * scale.max() ** 2)
    assert not np.array_equal(drawn[:4], model.simulate(documents[:1], 4, seed=2))
    np.testing.assert_array_equal(model.simulate(documents, 2, seed=3), model.simulate(documents, 2, seed=3))


def test_heat_scales_the_noise(model, precision, tolerance):
    documents = pairs(4, seed=5)[1].astype(precision)
    means = np.repeat(model.predict(documents), 3, axis=0)
    np.testing.assert_array_equal(model.simulate(documents, 3, heat=0.0), means)
    whole, half = (model.simulate(documents, 3, heat=heat) - means for heat in (1.0, 0.25))
    np.testing.assert_allclose(half, whole / 2, atol=100 * tolerance)


def test_observed_noise_is_that_of_the_pairs(model, precision, tolerance):
    """Alone it is the residuals, row by row, modalities together; mixed, covariances add by their shares."""
    queries, documents, _ = pairs(60)
    residuals = queries - model.predict(documents)
    asked = documents[:2].astype(precision)
    means = np.repeat(model.predict(asked), 6000, axis=0)
    drawn = model.simulate(asked, 6000, seed=4, observed=1.0) - means
    apart = np.abs(drawn[:50, None, :] - residuals[None, :, :]).max(axis=-1)
    assert (apart.min(axis=1) < 100 * tolerance).all()
    assert len(np.unique(apart.argmin(axis=1))) > 20
    mixed = model.simulate(asked, 6000, seed=5, heat=0.5, observed=0.7) - means
    expected = 0.5 * (0.7 * np.cov(residuals.T, bias=True) + 0.3 * model.noise)
    np.testing.assert_allclose(np.cov(mixed.T), expected, atol=0.05 * np.diag(expected).max())


@pytest.mark.float64_only
@pytest.mark.parametrize(
    ("queries", "documents"),
    [
        (np.ones((3, 2)), np.ones((3, 2))),  # constant
        (np.eye(4)[:, :2], np.eye(4)[:, :2]),  # queries that are their documents
        (np.array([[1.0, 2.0], [2.0, 1.0]]), np.array([[0.0, 0.0], [0.0, 0.0]])),  # documents all alike
        (np.array([[1.0, 0.0]] * 2), np.array([[5.0, 1.0], [3.0, 1.0]])),  # queries all alike
    ],
)
@pytest.mark.parametrize("blocks", [(2,), (1, 1)])
def test_degenerate_pairs_leave_a_usable_model(queries, documents, blocks):
    model = QueryModel.fit(queries, documents, blocks=blocks)
    assert np.isfinite(model.gains).all()
    assert (np.linalg.eigvalsh(model.noise) > 0).all()
    assert np.isfinite(model.simulate(documents, 2)).all()


@pytest.mark.float64_only
def test_lessons_are_drawn_anew_for_every_look_and_alike_for_the_same(model):
    documents = pairs(10, seed=3)[1]
    lessons = simulated_lessons(model, documents, 25, seed=5)
    (first, shown, wanted), (second, _, _) = lessons(0), lessons(1)
    np.testing.assert_array_equal(shown, documents)
    np.testing.assert_array_equal(wanted, np.repeat(np.arange(10), 2))
    assert first.shape == second.shape == (20, D)
    assert (np.abs(first - second).min(axis=1) > 0).all()
    np.testing.assert_array_equal(lessons(0)[0], first)
    _, some, wanted = simulated_lessons(model, documents, 4)(0)
    assert {tuple(row) for row in some} < {tuple(row) for row in documents}
    np.testing.assert_array_equal(wanted, np.arange(4))


@pytest.mark.float64_only
def test_of_many_pairs_some_are_used(monkeypatch):
    monkeypatch.setattr("rdjax.codes.query_model._MOST_PAIRS", 50)
    queries, documents, _ = pairs(99)
    model = QueryModel.fit(queries, documents, blocks=BLOCKS)
    expected = QueryModel.fit(queries[::2], documents[::2], blocks=BLOCKS)
    np.testing.assert_allclose(model.noise, expected.noise, rtol=1e-12)


@pytest.mark.float64_only
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"documents": np.ones((6, D))}, "row i of one is relevant to row i"),
        ({"queries": np.ones((1, D)), "documents": np.ones((1, D))}, "at least two"),
        ({"blocks": (3, 3)}, "6 in all, but the vectors have 5 dimensions"),
        ({"blocks": (5, 0)}, "width of a modality"),
        ({"shrinkage": 0.0}, "shrinkage is 0.0"),
        ({"shrinkage": 1e-18}, "shrinkage is 1e-18; it must be 1e-08 to 1"),
        ({"shrinkage": float("nan")}, "shrinkage is nan"),
    ],
)
def test_mistakes_are_refused(change, message):
    queries, documents, _ = pairs(7)
    arguments = {"queries": queries, "documents": documents, "blocks": BLOCKS} | change
    with pytest.raises(InputError, match=message):
        QueryModel.fit(arguments.pop("queries"), arguments.pop("documents"), **arguments)


@pytest.mark.float64_only
def test_simulating_is_refused_what_it_cannot_do(model):
    documents = np.ones((2, D))
    for draws, heat, message in ((0, 1.0, "draws"), (1, -1.0, "heat"), (1, float("nan"), "heat")):
        with pytest.raises(InputError, match=message):
            model.simulate(documents, draws, heat=heat)
    for share in (-0.1, 1.1, float("nan")):
        with pytest.raises(InputError, match="share of observed noise"):
            model.simulate(documents, 1, observed=share)
    with pytest.raises(InputError, match="query model was fitted on 5"):
        model.predict(np.ones((2, 4)))
