"""Bits shared out by weights, by variances, and by measured returns."""

import itertools
import math

import numpy as np
import pytest

from rdjax.checks import InputError
from rdjax.codes.allocation import largest_remainder, marginal_returns, proportional_ceil, water_filled
from rdjax.codes.lloyd import lloyd_max
from rdjax.rate_distortion import reverse_water_filling

pytestmark = pytest.mark.float64_only

gaussian_entropy = lambda variance: 0.5 * math.log2(2 * math.pi * math.e * variance)


class TestPrintedRule:
    def test_it_overruns_the_budget(self):
        """H = (1, 2), R = 64: 22 + 43 = 65 (theory notes, section 4)."""
        printed = proportional_ceil([1, 2], 64)
        np.testing.assert_array_equal(printed.bits, [22, 43])
        assert printed.overrun == 1

    def test_the_overrun_is_at_most_one_bit_for_each_modality_but_one(self, rng):
        overruns = []
        for _ in range(300):
            weights, bits = rng.uniform(0.1, 5, rng.integers(1, 6)), int(rng.integers(0, 200))
            printed = proportional_ceil(weights, bits)
            assert printed.overrun == printed.bits.sum() - bits
            assert 0 <= printed.overrun <= len(weights) - 1
            overruns.append(printed.overrun / max(len(weights) - 1, 1))
        assert max(overruns) == 1

    def test_whole_shares_are_kept_whatever_rounding_does_to_them(self):
        np.testing.assert_array_equal(proportional_ceil([0.1, 0.2, 0.3], 6).bits, [1, 2, 3])
        np.testing.assert_array_equal(largest_remainder([0.1, 0.2, 0.3], 6), [1, 2, 3])

    def test_shares_that_are_small_are_rounded_up_too(self):
        """As the rule is printed: only what rounding has kept from being whole is whole."""
        for most, least in ((1, 1e-12), (1, 1e-300), (1e308, 5e-324)):
            printed = proportional_ceil([most, least], 64)
            np.testing.assert_array_equal(printed.bits, [64, 1])
            assert printed.overrun == 1
            np.testing.assert_array_equal(largest_remainder([most, least], 64), [64, 0])
        np.testing.assert_array_equal(proportional_ceil([1, 1e-12, 0], 0).bits, [0, 0, 0])
        np.testing.assert_array_equal(proportional_ceil([1, 1e-12, 0], 64).bits, [64, 1, 0])

    @pytest.mark.parametrize("unit", [1e308, 5e-324])
    def test_units_of_weights_do_not_matter(self, unit):
        """Nor does their sum overflow."""
        for bits in (64, 65):
            np.testing.assert_array_equal(proportional_ceil([unit, unit], bits).bits, [-(-bits // 2)] * 2)
            np.testing.assert_array_equal(largest_remainder([unit, unit], bits), [-(-bits // 2), bits // 2])

    def test_irrelevant_noise_gets_most_of_the_bits(self):
        """Variance 1e6 beside 1, in proportion to entropy: 85% (theory notes, section 4)."""
        bits = largest_remainder([gaussian_entropy(1e6), gaussian_entropy(1.0)], 1000)
        assert bits[0] == pytest.approx(854, abs=1)


class TestLargestRemainder:
    def test_it_keeps_the_budget_and_stays_within_a_bit(self, rng):
        for _ in range(300):
            weights, bits = rng.uniform(0, 5, rng.integers(1, 7)), int(rng.integers(0, 200))
            found = largest_remainder(weights, bits)
            assert found.sum() == bits
            assert (np.abs(found - bits * weights / weights.sum()) < 1).all()

    def test_it_is_the_nearest_of_all_that_keep_the_budget(self, rng):
        for _ in range(20):
            weights = rng.uniform(0.1, 5, 3)
            share = 7 * weights / weights.sum()
            every = (w for w in itertools.product(range(8), repeat=3) if sum(w) == 7)
            best = min(np.sum((np.array(w) - share) ** 2) for w in every)
            assert np.sum((largest_remainder(weights, 7) - share) ** 2) == pytest.approx(best, rel=1e-6)

    def test_the_first_of_equal_remainders_gets_the_bit(self):
        np.testing.assert_array_equal(largest_remainder([1, 1, 1], 5), [2, 2, 1])
        np.testing.assert_array_equal(largest_remainder([0.1, 0.4, 0.7], 4), [1, 1, 2])  # equal but for rounding

    @pytest.mark.parametrize("rule", [proportional_ceil, largest_remainder])
    @pytest.mark.parametrize(
        ("weights", "bits", "say"),
        [
            ([0, 0], 3, "all weights are 0"),
            ([1, -1], 3, "at least 0"),
            ([], 3, "list of numbers"),
            ([np.nan, 1], 3, "at least 0"),
            ([1, 2], 2.5, "whole number"),
            ([1, 2], -1, "at least 0"),
        ],
    )
    def test_what_cannot_be_shared_out_is_refused(self, rule, weights, bits, say):
        with pytest.raises(InputError, match=say):
            rule(weights, bits)


class TestWaterFilling:
    def test_variances_beat_entropies(self):
        """Variances (16, 1), R = 4: in proportion to entropy .558, by water-filling .500 (theory notes, section 4)."""
        entropies = np.array([gaussian_entropy(16), gaussian_entropy(1)])
        shares = 4 * entropies / entropies.sum()
        np.testing.assert_allclose(shares, [2.66, 1.34], atol=0.005)
        assert 16 * 4.0 ** -shares[0] + 4.0 ** -shares[1] == pytest.approx(0.558, abs=5e-4)
        filled = reverse_water_filling([16.0, 1.0], 4.0)
        assert float(filled.distortions.sum()) == pytest.approx(0.5, rel=1e-12)
        np.testing.assert_array_equal(water_filled([16, 1], 4), [3, 1])
        np.testing.assert_allclose(filled.rates, [3, 1], atol=1e-12)

    @pytest.mark.parametrize("variances", [(1.0, 0.3, 0.1), (5.0, 5.0, 0.01), (1.0, 0.0, 2.0), (0.0, 0.0, 0.0)])
    @pytest.mark.parametrize("total", range(8))
    def test_it_is_the_best_of_all(self, variances, total):
        mse = [1.0] + [lloyd_max(2**b)[2] for b in range(1, 9)]
        cost = lambda widths: sum(v * mse[b] for v, b in zip(variances, widths, strict=True))
        widths = water_filled(variances, total)
        assert widths.sum() == total
        best = min(cost(w) for w in itertools.product(range(8), repeat=3) if sum(w) == total)
        assert cost(widths) == pytest.approx(best, rel=1e-12)

    def test_at_high_rate_it_is_the_closed_form_to_a_bit(self, rng):
        variances = rng.uniform(0.5, 40, 12)
        exact = np.asarray(reverse_water_filling(variances, 60.0).rates)
        assert (np.abs(water_filled(variances, 60) - exact) < 1).all()

    def test_it_fills_up_and_no_further(self):
        np.testing.assert_array_equal(water_filled([1.0, 0.0], 16), [8, 8])
        np.testing.assert_array_equal(water_filled([1.0, 0.0], 4, most=2), [2, 2])
        for bits in (17, -1, 2.5, float("inf")):
            with pytest.raises(InputError, match="up to 16"):
                water_filled([1.0, 0.0], bits)
        with pytest.raises(InputError, match="at least 0"):
            water_filled([1.0, -0.1], 3)

    def test_equal_variances_share_and_unequal_ones_differ_by_half_the_log_ratio(self):
        np.testing.assert_array_equal(water_filled(np.ones(5), 15), np.full(5, 3))
        np.testing.assert_array_equal(water_filled([4.0**5, 4.0**3, 4.0, 1.0], 17), [7, 5, 3, 2])


def best_of_all(curves, budget):
    """Most quality of one point on each curve within the budget, by trying every combination."""
    choices = itertools.product(*(range(len(bits)) for bits, _ in curves))
    values = [
        sum(value[p] for (_, value), p in zip(curves, points, strict=True))
        for points in choices
        if sum(bits[p] for (bits, _), p in zip(curves, points, strict=True)) <= budget
    ]
    return max(values)


class TestMarginalReturns:
    def test_it_takes_the_dearest_bits_first(self):
        curves = [([0, 1, 2], [0.0, 5.0, 6.0]), ([0, 1, 2], [0.0, 3.0, 5.0])]
        found = marginal_returns(curves, 3)
        np.testing.assert_array_equal(found.points, [1, 2])
        assert (found.bits, found.quality, found.ceiling) == (3, 10, 10)

    def test_against_every_choice(self, rng):
        """Never above the best, never below it where no step was left out, and the ceiling bounds it always."""
        optimal = 0
        for _ in range(300):
            curves = []
            for _ in range(3):
                size = int(rng.integers(1, 6))
                curves.append((rng.choice(12, size, replace=False), np.round(rng.uniform(0, 9, size), 2)))
            least = sum(bits.min() for bits, _ in curves)
            budget = least + int(rng.integers(0, 20))
            found = marginal_returns(curves, budget)
            points = [(bits[p], value[p]) for (bits, value), p in zip(curves, found.points, strict=True)]
            assert found.bits == sum(bits for bits, _ in points) <= budget
            assert found.quality == pytest.approx(sum(value for _, value in points), abs=1e-9)
            best = best_of_all(curves, budget)
            assert found.quality <= best + 1e-9
            assert best <= found.ceiling + 1e-9
            if found.quality == pytest.approx(found.ceiling, abs=1e-9):
                optimal += 1
        assert optimal > 100

    def test_on_concave_curves_of_single_bits_it_is_optimal_at_every_budget(self, rng):
        for budget in range(16):
            curves = [(np.arange(6), np.cumsum(np.sort(rng.uniform(0, 1, 6))[::-1])) for _ in range(3)]
            found = marginal_returns(curves, budget)
            assert found.bits == min(budget, 15)
            assert found.quality == pytest.approx(best_of_all(curves, budget), rel=1e-12)
            assert found.ceiling == pytest.approx(found.quality, rel=1e-12)

    def test_on_the_errors_of_lloyd_max_it_is_water_filling(self, rng):
        mse = np.array([1.0] + [lloyd_max(2**b)[2] for b in range(1, 9)])
        variances = rng.uniform(0.1, 9, 5)
        found = marginal_returns([(np.arange(9), -v * mse) for v in variances], 13)
        np.testing.assert_array_equal(found.points, water_filled(variances, 13))

    def test_points_under_the_hull_and_on_straight_stretches(self):
        worse = [([3, 0, 1, 2, 2], [9.0, 0.0, 1.0, 6.0, 5.0])]  # 1 bit lies under the chord from 0 to 2
        assert marginal_returns(worse, 1).points.tolist() == [1]
        assert marginal_returns(worse, 1).ceiling == 3
        assert marginal_returns(worse, 2).points.tolist() == [3]
        straight = [(np.arange(10) * 0.1, np.arange(10) * 0.3)] * 2
        assert marginal_returns(straight, 1.1).bits == pytest.approx(1.1)
        assert marginal_returns([([2, 4], [5.0, 5.0])], 9).points.tolist() == [0]

    def test_what_cannot_be_bought_is_refused(self):
        for curves, bits, say in (
            ([([1, 2], [0, 1]), ([3], [1])], 3, "take 4.0 already"),
            ([([1, 2], [0])], 3, "same, positive length"),
            ([([], [])], 3, "same, positive length"),
            ([([1, 2], [0, np.inf])], 3, "not finite"),
            ([([-1, 2], [0, 1])], 3, "negative"),
        ):
            with pytest.raises(InputError, match=say):
                marginal_returns(curves, bits)


def test_a_budget_that_is_met_to_rounding_is_met():
    curves = [([0.1, 0.3], [1, 2]), ([0.2], [1])]
    assert marginal_returns(curves, 0.3).bits == pytest.approx(0.3)
    both = marginal_returns([([0.0, 0.1], [0, 1]), ([0.0, 0.2], [0, 1]), ([0.0, 0.3], [0, 1])], 0.6)
    np.testing.assert_array_equal(both.points, [1, 1, 1])
