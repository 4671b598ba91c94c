"""Subtractive dither and the paper's uniform-in-cell codewords: laws of the error, and what makes them repeatable."""

import jax
import numpy as np
import pytest
from scipy import stats

from rdjax.checks import InputError
from rdjax.codes.mean_rate import count_symbols, mean_length
from rdjax.codes.randomized import DitheredScalar, UniformInCell, uniform_draws

KINDS = [DitheredScalar, UniformInCell]


def vectors(precision, n=4000, seed=2):
    """Far from uniform in any cell: atoms, humps and a Gaussian."""
    rng = np.random.default_rng(seed)
    columns = [rng.choice([-2.0, 0.1, 2.5], n), rng.choice([-3, 3], n) + 0.2 * rng.standard_normal(n)]
    return np.stack([*columns, 2 * rng.standard_normal(n)], axis=1).astype(precision)


def errors_of(code, x):
    return np.asarray(code.decode(code.encode(x)), np.float64) - x


class TestDither:
    def test_the_error_is_uniform_and_knows_nothing_of_the_source(self, precision):
        """Four standard errors of 4,000 items for each moment and correlation; Kolmogorov's distance at 1e-4."""
        x = vectors(precision)
        code = DitheredScalar.fit(x, 6, transform="coordinates")
        error = errors_of(code, x) / float(code.step)
        assert np.abs(error).max() <= 0.5 * (1 + 1e-4)
        for column in error.T:
            assert stats.kstest(column, "uniform", args=(-0.5, 1.0)).pvalue > 1e-4
        np.testing.assert_allclose(error.mean(axis=0), 0, atol=4 * np.sqrt(1 / 12 / 4000))
        np.testing.assert_allclose(error.var(axis=0), 1 / 12, atol=4 * np.sqrt(1 / 180 / 4000))
        together = np.concatenate([error, x, error**2, x**2, np.abs(x)], axis=1)
        correlation = np.corrcoef(together.T)
        of_errors = correlation[:3][:, [c for c in range(15) if c not in (6, 7, 8)]] - np.eye(3, 12)
        of_squares = correlation[6:9][:, [*range(6), *range(9, 15)]]
        assert np.abs(of_errors).max() < 4 / np.sqrt(4000)
        assert np.abs(of_squares).max() < 4 / np.sqrt(4000)
        neighbors = [np.corrcoef(column[1:], column[:-1])[0, 1] for column in error.T]
        assert np.abs(neighbors).max() < 4 / np.sqrt(4000)

    def test_without_dither_the_same_cells_fail_this(self, precision):
        """The atoms' errors are three numbers: what the test above would catch."""
        x = vectors(precision)
        step = float(DitheredScalar.fit(x, 6, transform="coordinates").step)
        error = (np.round(x[:, 0] / step) * step - x[:, 0]) / step
        assert stats.kstest(error, "uniform", args=(-0.5, 1.0)).pvalue < 1e-10

    def test_part_of_a_batch_is_decoded_by_its_place(self, precision):
        x = vectors(precision, 300)
        code = DitheredScalar.fit(x, 6, transform="coordinates")
        symbols = np.asarray(code.encode(x))
        whole = np.asarray(code.decode(symbols))
        np.testing.assert_array_equal(code.at(100).decode(symbols[100:]), whole[100:])
        np.testing.assert_array_equal(code.at(60).at(40).encode(x[100:]), symbols[100:])
        assert np.abs(np.asarray(code.decode(symbols[100:])) - whole[100:]).max() > 0.1 * float(code.step)


class TestUniformInCell:
    def test_the_squared_error_is_doubled(self, precision):
        """Uniform over whole cells: w^2 / 12 of the middle against w^2 / 6 of a draw, ratio 2.000."""
        code = UniformInCell.fit(vectors(precision), 6, transform="coordinates")
        step, mean = float(code.step), np.asarray(code.transform.mean)
        cells = np.clip(np.array([0, 1, -1])[None, :], np.asarray(code.lowest), None)
        within = (np.arange(20_000) + 0.5) / 20_000 - 0.5
        x = mean[None, :] + (cells + within[:, None]) * step
        drawn = np.mean(errors_of(code, x) ** 2)
        middle = np.mean((mean[None, :] + cells * step - x) ** 2)
        assert middle == pytest.approx(step**2 / 12, rel=1e-3)
        assert drawn / middle == pytest.approx(2.0, abs=0.02)  # 4 standard errors of 60,000 draws

    def test_it_decodes_into_its_own_cell(self, precision):
        x = vectors(precision, 300)
        code = UniformInCell.fit(x, 6, transform="coordinates")
        symbols = code.encode(x)
        np.testing.assert_array_equal(code.encode(code.decode(symbols)), symbols)


@pytest.mark.parametrize("kind", KINDS)
class TestBoth:
    def test_the_budget_is_met_and_bytes_come_back(self, precision, kind):
        x = vectors(precision, 300)
        for bits in (2.0, 9.0):
            code = kind.fit(x, bits)
            symbols = np.asarray(code.encode(x))
            rate = code.rate(symbols)
            assert 0.97 * bits < rate.entropy <= bits + 1e-3
            np.testing.assert_array_equal(code.from_bytes(code.to_bytes(symbols)), symbols)
            _, counts, sizes = count_symbols(symbols.astype(float))
            assert rate.entropy == pytest.approx(mean_length(counts, sizes), rel=1e-2)

    def test_the_same_seed_draws_the_same_and_another_does_not(self, precision, kind):
        x = vectors(precision, 300)
        codes = [kind.fit(x, 6, transform="coordinates", seed=seed) for seed in (0, 0, 1)]
        decoded = [np.asarray(code.decode(code.encode(x))) for code in codes]
        np.testing.assert_array_equal(decoded[0], decoded[1])
        assert (decoded[0] != decoded[2]).mean() > 0.9

    def test_coordinates_that_are_not_coded_decode_to_the_mean(self, precision, kind):
        x = vectors(precision, 300)
        code = kind.fit(x, 4, k=2, transform="coordinates")
        symbols = np.asarray(code.encode(x))
        decoded = np.asarray(code.decode(symbols))
        np.testing.assert_array_equal(decoded[:, 2:], np.broadcast_to(code.transform.mean[2:], (300, 1)))
        traced = jax.jit(lambda code, symbols: code.decode(symbols))(code, symbols)
        np.testing.assert_allclose(traced, decoded, rtol=1e-5, atol=1e-5)

    def test_it_traces_under_an_outer_jit(self, precision, kind):
        x = vectors(precision, 300)
        code = kind.fit(x, 6)
        symbols = np.asarray(code.encode(x))
        traced = jax.jit(lambda code, x: code.decode(code.encode(x)))(code, x)
        np.testing.assert_allclose(traced, code.decode(symbols), rtol=1e-5, atol=1e-5)

    def test_edges(self, precision, kind):
        same = np.full((30, 4), 0.5, precision)
        code = kind.fit(same, 5, transform="coordinates")
        if kind is UniformInCell:
            assert code.rate(code.encode(same)).entropy == 0
        far = np.concatenate([1e20 * vectors(precision, 5), -1e20 * vectors(precision, 5)])
        code = kind.fit(vectors(precision, 300), 6)
        symbols = np.asarray(code.encode(far))
        assert ((symbols >= 0) & (symbols < np.asarray(code.sizes))).all()
        assert code.encode(np.zeros((0, 3))).shape == (0, code.num_symbols)
        for bits, say in ((0, "more than 0"), (1e4, "too large")):
            with pytest.raises(InputError, match=say):
                kind.fit(vectors(precision, 300), bits)

    def test_name_and_encoder(self, precision, kind):
        code = kind.fit(vectors(precision, 300), 6, transform="coordinates")
        word = {"DitheredScalar": "dithered", "UniformInCell": "uniform-in-cell"}[kind.__name__]
        assert code.name == f"{word} entropy-coded scalar, fitted to 6 bits"
        numbers = 3 + (3 + int(np.asarray(code.sizes).sum())) + 2 + 3  # mean, model, step and seed, starts
        assert code.encoder_bytes == 4 * numbers


@pytest.mark.float64_only
class TestDraws:
    def test_they_are_uniform_and_unrelated(self):
        draws = np.asarray(uniform_draws(np.int32(0), np.int32(0), 4096, 64), np.float64)
        assert draws.min() >= -0.5
        assert draws.max() < 0.5
        assert stats.kstest(draws.ravel(), "uniform", args=(-0.5, 1.0)).pvalue > 1e-3
        correlation = np.corrcoef(draws.T) - np.eye(64)
        assert np.abs(correlation).max() < 5 / np.sqrt(4096)
        across = np.corrcoef(draws[:64]) - np.eye(64)
        assert np.abs(across).max() < 5 / np.sqrt(64)
        other = np.asarray(uniform_draws(np.int32(1), np.int32(0), 4096, 64), np.float64)
        assert abs(np.corrcoef(draws.ravel(), other.ravel())[0, 1]) < 4 / 512

    def test_more_rows_and_columns_leave_the_others_alone(self):
        few = np.asarray(uniform_draws(np.int32(7), np.int32(2), 5, 3))
        many = np.asarray(uniform_draws(np.int32(7), np.int32(0), 9, 8))
        np.testing.assert_array_equal(few, many[2:7, :3])

    def test_they_are_those_of_the_file_format(self):
        """By Python's own integers: a saved code must draw these for ever."""

        def mixed(word):
            word = (word ^ (word >> 16)) * 0x85EBCA6B % 2**32
            word = (word ^ (word >> 13)) * 0xC2B2AE35 % 2**32
            return word ^ (word >> 16)

        found = np.asarray(uniform_draws(np.int32(5), np.int32(3), 2, 4))
        for row in range(2):
            for column in range(4):
                place = mixed((column + 0x9E3779B9) % 2**32)
                bits = mixed((mixed(mixed(mixed(5) ^ (3 + row)) ^ place) + place) % 2**32)
                assert found[row, column] == (bits >> 8) / 2**24 - 0.5
