"""Lloyd-Max, the allocation of bits, fixed-length and entropy-coded scalar quantizers."""

import itertools
import math

import numpy as np
import pytest
from scipy import integrate

from rdjax import checks
from rdjax.checks import InputError
from rdjax.codes import EntropyCodedScalar, Int8, ScalarQuantizer
from rdjax.codes.scalar import allocate_bits, lloyd_max, lloyd_step

gaussian = lambda x: math.exp(-x * x / 2) / math.sqrt(2 * math.pi)


@pytest.mark.float64_only
@pytest.mark.parametrize("num_levels", [1, 2, 3, 4, 5, 8, 16, 31, 32, 64, 128, 256])
def test_lloyd_max_is_a_fixed_point_of_lloyds_iteration(num_levels):
    levels, borders, _ = lloyd_max(num_levels)
    checks.assert_fixed_point(lloyd_step, levels, 1e-12)
    assert (np.diff(levels) > 0).all()
    np.testing.assert_array_equal(levels, -levels[::-1])
    np.testing.assert_array_equal(borders, (levels[1:] + levels[:-1]) / 2)


@pytest.mark.float64_only
def test_the_step_is_a_centroid_by_quadrature():
    levels = np.array([-1.2, 0.1, 0.9, 3.0])
    ends = [-np.inf, -0.55, 0.5, 1.95, np.inf]
    for centroid, low, high in zip(lloyd_step(levels), ends[:-1], ends[1:], strict=True):
        moment = integrate.quad(lambda x: x * gaussian(x), low, high, epsabs=1e-13)[0]
        assert centroid == pytest.approx(moment / integrate.quad(gaussian, low, high, epsabs=1e-13)[0], abs=1e-10)


@pytest.mark.float64_only
def test_a_point_that_is_not_fixed_is_caught():
    with pytest.raises(AssertionError):
        checks.assert_fixed_point(lloyd_step, lloyd_max(8)[0] * 1.001, 1e-12)


@pytest.mark.float64_only
@pytest.mark.parametrize(
    ("bits", "table"), [(1, 0.3634), (2, 0.1175), (3, 0.03454), (4, 0.009497), (5, 0.002499)]
)  # Max 1960, table I; its entries are good to three digits
def test_mean_squared_errors_of_the_literature_and_by_quadrature(bits, table):
    levels, borders, mse = lloyd_max(2**bits)
    assert mse == pytest.approx(table, rel=3e-3)
    ends = [-np.inf, *borders, np.inf]
    pieces = [
        integrate.quad(lambda x, y=y: (x - y) ** 2 * gaussian(x), low, high, epsabs=1e-15)[0]
        for y, low, high in zip(levels, ends[:-1], ends[1:], strict=True)
    ]
    assert mse == pytest.approx(math.fsum(pieces), rel=1e-9)


@pytest.mark.float64_only
def test_at_high_rate_the_error_is_panter_and_dites():
    for bits in (7, 8):
        assert lloyd_max(2**bits)[2] == pytest.approx(math.sqrt(3) * math.pi / 2 * 4.0**-bits, rel=0.03)
    assert lloyd_max(1)[2] == 1.0
    with pytest.raises(InputError, match="0 levels"):
        lloyd_max(0)


@pytest.mark.float64_only
@pytest.mark.parametrize("variances", [(1.0, 0.3, 0.1), (5.0, 5.0, 0.01), (1.0, 0.0, 2.0), (0.0, 0.0, 0.0)])
@pytest.mark.parametrize("total", range(8))
def test_greedy_allocation_is_the_best_of_all(variances, total):
    mse = [1.0] + [lloyd_max(2**b)[2] for b in range(1, 9)]
    cost = lambda widths: sum(v * mse[b] for v, b in zip(variances, widths, strict=True))
    widths = allocate_bits(np.array(variances), total)
    assert widths.sum() == total
    best = min(cost(w) for w in itertools.product(range(8), repeat=3) if sum(w) == total)
    assert cost(widths) == pytest.approx(best, rel=1e-12)


@pytest.mark.float64_only
def test_allocation_fills_up_and_no_further():
    np.testing.assert_array_equal(allocate_bits(np.array([1.0, 0.0]), 16), [8, 8])
    with pytest.raises(InputError, match="up to 16"):
        allocate_bits(np.array([1.0, 0.0]), 17)


@pytest.mark.float64_only
def test_equal_variances_share_and_unequal_ones_differ_by_half_the_log_ratio():
    np.testing.assert_array_equal(allocate_bits(np.ones(5), 15), np.full(5, 3))
    widths = allocate_bits(np.array([4.0**5, 4.0**3, 4.0, 1.0]), 17)
    np.testing.assert_array_equal(widths, [7, 5, 3, 2])  # reverse water-filling, exactly


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


def test_names_and_budgets(precision):
    x = gaussian_vectors(100, precision)
    assert ScalarQuantizer.fit(x, 9, spread="equal").name == "PCA 3 + 3-bit scalar"
    assert ScalarQuantizer.fit(x, 2).name == "PCA 1 + 2-bit scalar"
    assert ScalarQuantizer.fit(x, 5, transform="coordinates").bits == 5
    for bits, spread, say in ((0, "variance", "at least one"), (7, "equal", "multiple of 3"), (27, "equal", "24")):
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


class TestEntropyCoded:
    @pytest.mark.parametrize("bits", [0.5, 3.0, 11.0])
    def test_the_budget_is_met_on_the_fit_from_below(self, precision, bits):
        x = gaussian_vectors(3000, precision)
        code = EntropyCodedScalar.fit(x, bits)
        assert 0.97 * bits - 0.02 < code.rate(code.encode(x)).entropy <= bits + 1e-3

    def test_the_entropy_is_the_mean_ideal_length(self, precision):
        x = gaussian_vectors(400, precision)
        code = EntropyCodedScalar.fit(x, 6)
        fit, other = np.asarray(code.encode(x)), np.asarray(code.encode(gaussian_vectors(50, precision, seed=1)))
        total = 0.0
        for item in other:
            for column, symbol in enumerate(item):
                count = np.sum(fit[:, column] == symbol)
                total -= math.log2((count + 0.5) / (400 + 0.5 * int(code.sizes[column])))
        assert code.rate(other).entropy == pytest.approx(total / 50, rel=1e-9)

    def test_one_step_for_all_and_errors_within_half_of_it(self, precision):
        x = gaussian_vectors(400, precision)
        code = EntropyCodedScalar.fit(x, 7, transform="coordinates")
        error = np.abs(np.asarray(code.decode(code.encode(x))) - x)
        assert (error[:, : code.num_symbols] <= float(code.step) * 0.5001).all()

    def test_gaussian_rate_and_error_are_a_quarter_bit_from_shannon_at_high_rate(self, precision):
        x = gaussian_vectors(20_000, precision, deviations=(1.0,))
        code = EntropyCodedScalar.fit(x, 5)
        error = np.mean((np.asarray(code.decode(code.encode(x))) - x) ** 2)
        excess = code.rate(code.encode(x)).entropy - 0.5 * math.log2(x.var() / error)
        assert excess == pytest.approx(0.5 * math.log2(2 * math.pi * math.e / 12), abs=0.02)  # .2546 bit

    def test_what_the_fit_never_saw_is_clipped_and_still_codable(self, precision):
        x = gaussian_vectors(400, precision)
        code = EntropyCodedScalar.fit(x, 7)
        far = np.concatenate([100 * x[:5], -100 * x[:5], 1e30 * x[:2]])
        symbols = code.encode(far)
        assert (np.asarray(symbols) >= 0).all()
        assert (np.asarray(symbols) < np.array(code.sizes)).all()
        np.testing.assert_array_equal(code.from_bytes(code.to_bytes(symbols)), symbols)
        assert np.isfinite(code.rate(symbols).entropy)

    def test_vectors_that_are_all_the_same_take_no_bits(self, precision):
        x = np.full((30, 4), 0.5, precision)
        code = EntropyCodedScalar.fit(x, 5)
        symbols = code.encode(x)
        assert code.rate(symbols).entropy == 0
        assert code.rate(symbols).single == 0
        np.testing.assert_allclose(code.decode(code.from_bytes(code.to_bytes(symbols))), x, rtol=1e-6)

    def test_singles_of_many_items_are_sampled_with_a_fixed_seed(self, precision):
        x = gaussian_vectors(1000, precision)
        code = EntropyCodedScalar.fit(x, 7)
        symbols = np.asarray(code.encode(x))
        whole = np.mean([8 * len(code.pack(item[None])) for item in symbols])
        assert code.rate(symbols).single == code.rate(symbols).single == pytest.approx(whole, abs=0.5)

    @pytest.mark.parametrize(("bits", "say"), [(0, "more than 0"), (-1, "more than 0"), (1e4, "too large")])
    def test_impossible_budgets_are_refused(self, precision, bits, say):
        with pytest.raises(InputError, match=say):
            EntropyCodedScalar.fit(gaussian_vectors(50, precision), bits)
