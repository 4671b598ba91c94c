"""Entropy-coded cells at a mean rate: beside the Shannon bound, beside each other, and by their definition."""

import math

import numpy as np
import pytest
from scipy import special

from rdjax.checks import InputError
from rdjax.codes.mean_rate import count_symbols, dead_zone_cells, mean_length, optimal_cells, step_for

pytestmark = pytest.mark.float64_only

SHARE = (np.arange(16384) + 0.5) / 16384
NORMAL = special.ndtri(SHARE)[:, None]
LAPLACE = np.where(SHARE < 0.5, np.log(2 * SHARE), -np.log(2 * (1 - SHARE)))[:, None]
LAWS = {"normal": NORMAL / NORMAL.std(), "Laplace": LAPLACE / LAPLACE.std()}
MOST = {"normal": 0.0, "Laplace": math.log2(2 * math.e / math.sqrt(2)) - 0.5 * math.log2(2 * math.pi * math.e)}


def spent(table):
    return mean_length(table.counts, table.sizes)


def error(table, x):
    """By coding the samples."""
    found = 0.0
    for column in range(x.shape[1]):
        symbols = np.searchsorted(table.thresholds[column], x[:, column])
        found += np.mean((x[:, column] - table.levels[column, symbols]) ** 2)
    return found


@pytest.fixture(scope="module")
def tables():
    rates = (0.1, 0.25, 0.5, 1, 2, 3)
    designs = (optimal_cells, dead_zone_cells)
    return {(law, rate): [design(LAWS[law], rate) for design in designs] for law in LAWS for rate in rates}


def test_the_rate_is_met_from_below_within_a_fifth_of_a_percent(tables):
    grain = 2 * 9 / 16384  # two samples that trade a short codeword for one of 9 bits: no rate lies in between
    for (_, rate), pair in tables.items():
        for table in pair:
            assert 0.998 * rate - grain <= spent(table) <= rate


def test_no_design_beats_shannon_and_full_ecsq_stays_within_a_quarter_bit(tables):
    """Of the Shannon lower bound, which for the Gaussian is the curve; .2546 = 1/2 log2(2 pi e / 12), 1.53 dB."""
    for (law, rate), pair in tables.items():
        for table in pair:
            excess = spent(table) - 0.5 * math.log2(1 / error(table, LAWS[law])) - MOST[law]
            assert excess > 0
            if law == "normal":
                assert excess < 0.2546 + 0.001
                assert excess == pytest.approx({0.1: 0.031, 0.25: 0.079, 0.5: 0.152}.get(rate, excess), abs=0.001)
            if law == "normal" and rate >= 2:
                assert excess == pytest.approx(0.5 * math.log2(2 * math.pi * math.e / 12), abs=0.002)


def test_full_ecsq_is_no_worse_than_the_dead_zone_and_that_than_fixed_lengths(tables):
    """At equal bits, moved along the bound; the fixed-length errors of the Gaussian are Max's, shared below 1 bit."""
    fixed = {1: 0.3634, 2: 0.1175, 3: 0.03454}
    for (law, rate), pair in tables.items():
        full, dead = (error(table, LAWS[law]) * 4 ** (spent(table) - rate) for table in pair)
        assert full <= dead * 1.0005
        if law == "normal":
            assert dead < fixed.get(rate, 1 - rate * (1 - fixed[1]))


def test_the_dead_zone_is_wider_than_the_other_cells_where_bits_are_few(tables):
    borders = tables["Laplace", 1][1].thresholds[0]
    widths = np.diff(borders[np.isfinite(borders)])
    middle = int(np.searchsorted(borders, 0.0)) - 1
    assert widths[middle] > 1.1 * widths[middle + 1]
    others = np.delete(widths, middle)
    np.testing.assert_allclose(others, others[0], rtol=1e-9)


def test_tables_are_what_coding_the_samples_gives(rng):
    x = rng.laplace(size=(300, 3)) * [1.0, 0.5, 0.25]
    for design in (optimal_cells, dead_zone_cells):
        table = design(x, 4.0)
        for column in range(3):
            symbols = np.searchsorted(table.thresholds[column], x[:, column])
            counts = np.bincount(symbols, minlength=table.counts.shape[1])
            np.testing.assert_array_equal(counts, table.counts[column])
            size = table.sizes[column]
            means = [x[symbols == i, column].mean() for i in range(size) if counts[i]]
            np.testing.assert_allclose(table.levels[column, :size][counts[:size] > 0], means, rtol=1e-9, atol=1e-12)
        kept = np.mean(x**2, axis=0).sum() - table.kept.sum()
        assert error(table, x) == pytest.approx(kept, rel=1e-9)


def test_one_price_for_all_is_reverse_water_filling(rng):
    """At high rate every coefficient has the same error, and bits differ by log2 of the deviations."""
    x = rng.standard_normal((16384, 3)) * [4.0, 2.0, 1.0]
    table = optimal_cells(x, 12.0)
    errors = x.var(axis=0) + x.mean(axis=0) ** 2 - table.kept
    np.testing.assert_allclose(errors, errors.mean(), rtol=0.03)
    lengths = [mean_length(table.counts[i : i + 1], table.sizes[i : i + 1]) for i in range(3)]
    np.testing.assert_allclose(np.diff(lengths), -1, atol=0.05)


def test_a_coefficient_below_the_water_gets_nothing(rng):
    table = optimal_cells(rng.standard_normal((400, 3)) * [3.0, 1.0, 0.05], 3.0)
    assert table.sizes[2] == 1
    assert table.sizes[0] > table.sizes[1] > 1


def test_coefficients_that_cannot_pay_are_left_out_and_no_others(rng):
    """More than 64, so that some are not even looked at: alone, the leading ones get the same cells."""
    x = rng.standard_normal((400, 70)) * np.geomspace(3, 0.01, 70)
    table, alone = optimal_cells(x, 40.0), optimal_cells(x[:, :64], 40.0)
    assert (table.sizes[64:] == 1).all()
    np.testing.assert_array_equal(table.sizes[:64], alone.sizes)
    np.testing.assert_allclose(table.kept[:64], alone.kept, rtol=1e-12)
    np.testing.assert_allclose(table.levels[64:, 0], x[:, 64:].mean(axis=0), rtol=1e-9, atol=1e-15)


def test_two_humps_are_told_apart_for_one_bit(rng):
    x = np.repeat([[-1.0, -1.0, 2.0], [1.0, 3.0, 2.0]], 150, axis=0)
    table = optimal_cells(x, 2.001)
    np.testing.assert_array_equal(table.sizes, [2, 2, 1])
    assert error(table, x) == pytest.approx(0, abs=1e-12)


def test_the_length_is_the_smoothed_cross_entropy():
    counts = np.array([[3, 1, 0], [4, 0, 0]])
    law = np.array([3.5, 1.5, 0.5]) / 5.5
    assert mean_length(counts, np.array([3, 1])) == pytest.approx(-(3 * np.log2(law[0]) + np.log2(law[1])) / 4)


def test_symbols_are_counted_from_the_lowest():
    lowest, counts, sizes = count_symbols(np.array([[-2.0, 5.0], [0.0, 5.0], [0.0, 6.0]]))
    np.testing.assert_array_equal(lowest, [-2, 5])
    np.testing.assert_array_equal(counts, [[1, 0, 2], [2, 1, 0]])
    np.testing.assert_array_equal(sizes, [3, 2])


def test_the_step_of_any_quantizer(rng):
    x = rng.standard_normal((3000, 2))
    quantize = lambda c, step: np.floor(c / step)
    step = step_for(x, 5.0, quantize)
    _, counts, sizes = count_symbols(quantize(x, step))
    assert 4.99 <= mean_length(counts, sizes) <= 5.0
    with pytest.raises(InputError, match="too large"):
        step_for(x, 60.0, quantize)
