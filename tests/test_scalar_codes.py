"""Fixed-length and entropy-coded scalar quantizers."""

import math

import numpy as np
import pytest

from rdjax.checks import InputError
from rdjax.codes import EntropyCodedScalar, Int8, ScalarQuantizer
from rdjax.codes.cells import cell_of, relevance_gains
from rdjax.codes.lloyd import lloyd_max


def gaussian_vectors(n, precision, deviations=(3.0, 1.0, 0.2), seed=9):
    return (np.random.default_rng(seed).standard_normal((n, len(deviations))) * deviations + 1).astype(precision)


def test_symbols_are_the_nearest_levels(precision):
    x = gaussian_vectors(2000, precision)
    code = ScalarQuantizer.fit(x, 9, transform="coordinates")
    coefficients = x - np.asarray(code.transform.mean)
    for column, width in enumerate(code.widths):
        levels = np.asarray(code.levels)[column, : 2**width]
        nearest = np.abs(coefficients[:, column, None] - levels).argmin(axis=1)
        assert np.mean(nearest == np.asarray(code.encode(x))[:, column]) > 0.999  # all but rounding at a border


def test_gaussian_vectors_meet_the_tabled_error(precision):
    x = gaussian_vectors(20_000, precision)
    for bits in (3, 6, 12):
        code = ScalarQuantizer.fit(x, bits, k=3, transform="coordinates", spread="equal")
        error = np.mean((np.asarray(code.decode(code.encode(x))) - x) ** 2, axis=0) / x.var(axis=0)
        np.testing.assert_allclose(error, lloyd_max(2 ** (bits // 3))[2], rtol=0.06)


@pytest.mark.float64_only
def test_names_and_budgets(precision):
    x = gaussian_vectors(100, precision)
    assert ScalarQuantizer.fit(x, 9, spread="equal").name == "PCA 3 + 3-bit scalar"
    assert ScalarQuantizer.fit(x, 2).name == "PCA 1 + 2-bit scalar"
    assert ScalarQuantizer.fit(x, 5, transform="coordinates").bits == 5
    for bits, spread, say in (
        (0, "variance", "at least one"),
        (float("inf"), "variance", "whole number"),
        (float("nan"), "equal", "whole number"),
        (7, "equal", "multiple of 3"),
        (27, "equal", "24"),
    ):
        with pytest.raises(InputError, match=say):
            ScalarQuantizer.fit(x, bits, spread=spread)
    with pytest.raises(InputError, match="thirds"):
        ScalarQuantizer.fit(x, 3, spread="thirds")


def test_int8_errors_stay_within_half_a_step_and_beyond_the_fit_it_clips(precision):
    x = gaussian_vectors(500, precision)
    code = Int8.fit(x)
    scale = np.abs(x).max(axis=0) / 127
    np.testing.assert_allclose(code.scale, scale, rtol=1e-6)
    assert (np.abs(np.asarray(code.decode(code.encode(x))) - x) <= scale * 0.50001).all()
    np.testing.assert_allclose(
        code.decode(code.encode(-9 * np.abs(x).max(axis=0)[None])), -127 * scale[None], rtol=1e-6
    )
    np.testing.assert_array_equal(code.decode(code.encode(np.zeros((1, 3)))), np.zeros((1, 3)))


class TestFittedLevels:
    def test_on_gaussians_they_change_little_and_on_others_much(self, precision):
        """Two humps at one bit: the levels of a Gaussian of that variance lie inside them, the fitted ones on them."""
        rng = np.random.default_rng(3)
        humps = (rng.choice([-1, 1], (400, 3)) * [3.0, 2.0, 1.0] + 0.05 * rng.standard_normal((400, 3))).astype(
            precision
        )
        for x, least, most in ((gaussian_vectors(400, precision), 0.9, 1.0), (humps, 0.0, 0.06)):
            errors = []
            for law in ("gaussian", "samples"):
                code = ScalarQuantizer.fit(x, 3, transform="coordinates", spread="equal", law=law)
                errors.append(np.mean((np.asarray(code.decode(code.encode(x))) - x) ** 2))
            assert least <= errors[1] / errors[0] <= most

    def test_widths_differ_and_bytes_come_back(self, precision):
        x = gaussian_vectors(400, precision)
        code = ScalarQuantizer.fit(x, 9, transform="coordinates", law="samples")
        assert code.widths == (5, 3, 1)
        symbols = np.asarray(code.encode(x))
        assert (symbols.max(axis=0) < 2 ** np.array(code.widths)).all()
        np.testing.assert_array_equal(code.from_bytes(code.to_bytes(symbols)), symbols)
        for column in range(3):  # levels are the means of their cells
            for symbol in np.unique(symbols[:, column]):
                inside = x[symbols[:, column] == symbol, column] - np.asarray(code.transform.mean)[column]
                assert inside.mean() == pytest.approx(float(code.levels[column, symbol]), rel=1e-4, abs=1e-5)

    @pytest.mark.float64_only
    def test_the_encoder_holds_its_thresholds(self, precision):
        x = gaussian_vectors(400, precision)
        fits = [ScalarQuantizer.fit(x, 9, transform="coordinates", law=law) for law in ("gaussian", "samples")]
        thresholds = 31 + 7 + 1
        assert [fit.encoder_bytes - 4 * 3 for fit in fits] == [3 + 4 * (3 + thresholds), 3 + 4 * thresholds]
        with pytest.raises(InputError, match="Cauchy"):
            ScalarQuantizer.fit(x, 9, law="Cauchy")


@pytest.mark.float64_only
class TestGains:
    def test_they_rank_as_the_posterior_does(self):
        """The score of y is the log-likelihood ratio of x^ = x plus noise, by the joint Gaussian law of (y, x^)."""
        variances, kept, noise = np.array([2.0, 1.5, 1.2]), np.array([1.9, 0.9, 0.1]), 0.7
        gains = relevance_gains(variances, kept, noise)
        for v, r, g in zip(variances, kept, gains, strict=True):
            # backward channel x = x^ + error, x = y + noise: Cov(x^, y) = r (v - noise) / v, Var(x^) = r
            slope_of_y = r * (v - noise) / v / (v - noise)  # E[x^ | y] = slope_of_y * y
            left = r - slope_of_y**2 * (v - noise)  # Var(x^ | y)
            weight = slope_of_y / left  # of x^ y in the log-likelihood
            assert g / noise == pytest.approx(weight, rel=1e-12)

    def test_edges(self):
        v = np.array([2.0, 3.0, 0.0, 1.0])
        np.testing.assert_array_equal(relevance_gains(v, np.array([1.0, 2.0, 0.0, 0.0]), None), np.ones(4))
        gains = relevance_gains(v, np.array([2.0, 3.0, 0.0, 0.0]), 0.5)
        np.testing.assert_array_equal(gains, np.ones(4))  # nothing lost, or nothing sent
        unbiased = relevance_gains(v, np.array([1.0, 2.0, 0.0, 0.0]), math.inf)
        np.testing.assert_allclose(unbiased[:2], [2.0, 1.5], rtol=1e-12)
        with pytest.raises(InputError, match="above 0"):
            relevance_gains(v, v, 0.0)

    @pytest.mark.parametrize("fit", [ScalarQuantizer.fit, EntropyCodedScalar.fit])
    def test_scores_without_bias_rank_better_than_those_of_least_error(self, fit):
        """Documents of equal norm and falling variances, queries with white noise: .839 -> .857, .879 -> .897."""
        rng = np.random.default_rng(0)
        documents = rng.standard_normal((500, 12)) * np.geomspace(3, 0.6, 12)
        documents *= 6 / np.linalg.norm(documents, axis=1, keepdims=True)
        queries = documents + 0.6 * rng.standard_normal((500, 12))
        found = []
        for noise in (None, math.inf):
            code = fit(queries, 16, noise=noise)
            scores = np.asarray(code.scores(code.encode(queries), documents))
            found.append(np.mean(1 / (1 + np.sum(scores > np.diag(scores)[:, None], axis=1))))
        assert found[1] > found[0] + 0.01


@pytest.mark.parametrize("cells", ["optimal", "dead zone"])
class TestEntropyCoded:
    @pytest.mark.parametrize("bits", [0.5, 3.0, 11.0])
    def test_the_budget_is_met_on_the_fit_from_below(self, precision, cells, bits):
        x = gaussian_vectors(400, precision)
        code = EntropyCodedScalar.fit(x, bits, cells=cells)
        assert 0.96 * bits < code.rate(code.encode(x)).entropy <= bits + 1e-3

    def test_the_entropy_is_the_mean_ideal_length(self, precision, cells):
        x = gaussian_vectors(400, precision)
        code = EntropyCodedScalar.fit(x, 6, cells=cells)
        fit, other = np.asarray(code.encode(x)), np.asarray(code.encode(gaussian_vectors(50, precision, seed=1)))
        total = 0.0
        for item in other:
            for column, symbol in enumerate(item):
                count = np.sum(fit[:, column] == symbol)
                total -= math.log2((count + 0.5) / (400 + 0.5 * int(code.sizes[column])))
        assert code.rate(other).entropy == pytest.approx(total / 50, rel=1e-9)

    def test_levels_are_the_means_of_their_cells(self, precision, cells):
        x = gaussian_vectors(400, precision)
        code = EntropyCodedScalar.fit(x, 6, transform="coordinates", cells=cells)
        symbols = np.asarray(code.encode(x))
        for column in range(code.num_symbols):
            for symbol in np.unique(symbols[:, column]):
                inside = x[symbols[:, column] == symbol, column] - np.asarray(code.transform.mean)[column]
                assert inside.mean() == pytest.approx(float(code.levels[column, symbol]), rel=1e-4, abs=1e-5)

    def test_what_the_fit_never_saw_is_in_the_last_cell_and_still_codable(self, precision, cells):
        x = gaussian_vectors(400, precision)
        code = EntropyCodedScalar.fit(x, 7, cells=cells)
        far = np.concatenate([100 * x[:5], -100 * x[:5], 1e30 * x[:2]])
        symbols = code.encode(far)
        assert (np.asarray(symbols) >= 0).all()
        assert (np.asarray(symbols) < np.array(code.sizes)).all()
        np.testing.assert_array_equal(code.from_bytes(code.to_bytes(symbols)), symbols)
        assert np.isfinite(code.rate(symbols).entropy)

    def test_vectors_that_are_all_the_same_take_no_bits(self, precision, cells):
        x = np.full((30, 4), 0.5, precision)
        code = EntropyCodedScalar.fit(x, 5, cells=cells)
        symbols = code.encode(x)
        assert code.rate(symbols).entropy == 0
        assert code.rate(symbols).single == 0
        np.testing.assert_allclose(code.decode(code.from_bytes(code.to_bytes(symbols))), x, rtol=1e-6)

    @pytest.mark.float64_only
    def test_singles_of_many_items_are_sampled_with_a_fixed_seed(self, precision, cells):
        x = gaussian_vectors(400, precision)
        code = EntropyCodedScalar.fit(x, 7, cells=cells)
        symbols = np.asarray(code.encode(x))
        whole = np.mean([8 * len(code.pack(item[None])) for item in symbols])
        assert code.rate(symbols).single == code.rate(symbols).single == pytest.approx(whole, abs=0.6)

    @pytest.mark.float64_only
    @pytest.mark.parametrize(("bits", "say"), [(0, "more than 0"), (-1, "more than 0"), (1e4, "too large")])
    def test_impossible_budgets_are_refused(self, precision, cells, bits, say):
        with pytest.raises(InputError, match=say):
            EntropyCodedScalar.fit(gaussian_vectors(50, precision), bits, cells=cells)

    @pytest.mark.float64_only
    def test_what_the_encoder_holds(self, precision, cells):
        code = EntropyCodedScalar.fit(gaussian_vectors(400, precision), 7, transform="coordinates", cells=cells)
        sizes = np.asarray(code.sizes)
        thresholds = np.isfinite(code.thresholds).sum() if cells == "optimal" else 2 + len(sizes)
        model = sizes.sum() + len(sizes)
        assert code.model_bytes == 4 * model
        assert code.encoder_bytes == 4 * (len(sizes) + model + thresholds)


@pytest.mark.float64_only
def test_other_cells_are_refused(precision):
    with pytest.raises(InputError, match="hexagons"):
        EntropyCodedScalar.fit(gaussian_vectors(50, precision), 3, cells="hexagons")


def test_many_thresholds_and_few_find_the_same_cells(rng, dtype):
    thresholds = np.sort(rng.standard_normal((3, 40)), axis=1).astype(dtype)
    x = np.concatenate([rng.standard_normal((50, 3)).astype(dtype), thresholds[:, :4].T])  # on a border: the lower cell
    expected = [np.searchsorted(row, column) for row, column in zip(thresholds, x.T, strict=True)]
    np.testing.assert_array_equal(cell_of(thresholds, x), np.transpose(expected))
    few = [np.searchsorted(row[:9], column) for row, column in zip(thresholds, x.T, strict=True)]
    np.testing.assert_array_equal(cell_of(thresholds[:, :9], x), np.transpose(few))
