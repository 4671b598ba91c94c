"""The trellis code beside a search through every word that it has, in NumPy."""

import itertools
import math

import numpy as np
import pytest

from rdjax.checks import InputError
from rdjax.codes import TrellisCode
from rdjax.codes.trellis import equal_shares, windows


def sample(n, seed=0, dimension=4):
    return np.random.default_rng(seed).standard_normal((n, dimension)) + 0.5


@pytest.fixture(scope="module")
def code(precision):
    """Eight bits, two for each coefficient, windows of four: each step shares two bits with the one before."""
    return TrellisCode.fit(sample(400).astype(precision), 8, memory=2, rounds=3)


RINGS = np.array(list(itertools.product((0, 1), repeat=8)), np.int32)


def every_word(code):
    """[2^8, 4] in the order of the bits, first step first, by the definition: a loop over steps of the ring."""
    words, made = np.asarray(code.words, np.float64), []
    for bits in RINGS:
        numbers = [int("".join(str(bits[(2 * t - 2 + i) % 8]) for i in range(4)), 2) for t in range(4)]
        made.append(words[numbers, 0] * np.asarray(code.spread, np.float64) + np.asarray(code.transform.mean))
    return np.array(made)


def test_decoding_reads_the_ring(code):
    symbols = 2 * RINGS[:, ::2] + RINGS[:, 1::2]
    np.testing.assert_allclose(np.asarray(code.decode(symbols)), every_word(code), atol=1e-5)


def test_encoding_finds_the_nearest_of_all_words(code):
    """Squares in units of the spread; all four states are tried as starts, so the search is exact."""
    vectors = sample(200, seed=1)
    spread = np.asarray(code.spread, np.float64)
    error = lambda words: (((vectors[:, None] - words) / spread) ** 2).sum(axis=2)
    found = error(np.asarray(code.decode(code.encode(vectors)), np.float64)[:, None])[:, 0]
    np.testing.assert_allclose(found, error(every_word(code)[None]).min(axis=1), rtol=1e-4)


@pytest.mark.float64_only
def test_it_errs_less_than_the_best_scalar_quantizer():
    """Half a bit a coefficient: Lloyd-Max has a bit for every other one, (1 + .3634) / 2 = .6817; R(D) is at 1/2."""
    code = TrellisCode.fit(sample(1000, dimension=32), 16, rounds=3)
    assert (code.bits, code.width, code.num_symbols) == (16, 1, 16)
    rows = sample(500, seed=2, dimension=32)
    left = ((np.asarray(code.decode(code.encode(rows))) - rows) ** 2).mean()
    assert 0.5 < left < 0.6


def test_directions_without_variance_do_not_lead_the_search(precision):
    """Every column twice: four directions are rounding alone, and the others are coded as well as in one copy."""
    rows = sample(300).astype(precision)
    twice = np.concatenate([rows, rows], axis=1)
    left = []
    for vectors, bits in ((rows, 8), (twice, 16)):
        code = TrellisCode.fit(vectors, bits, transform="pca", memory=2, rounds=3)
        left.append(((np.asarray(code.decode(code.encode(vectors))) - vectors) ** 2).mean())
    assert left[1] < 1.2 * left[0]


@pytest.mark.parametrize("scale", [0.0, 1e-16])
def test_tiny_vectors_are_coded_as_others_are(precision, scale):
    rows = sample(200).astype(precision)
    codes = [TrellisCode.fit(rows * np.asarray(size, precision), 8, memory=2, rounds=2) for size in (1, scale)]
    far = np.asarray(codes[1].decode(codes[1].encode(rows * np.asarray(scale, precision))))
    near = np.asarray(codes[0].decode(codes[0].encode(rows))) * scale
    np.testing.assert_allclose(far, near, rtol=1e-3, atol=1e-3 * scale)


@pytest.mark.float64_only
def test_bytes_and_what_is_counted(code):
    symbols = code.encode(sample(5, seed=3))
    assert len(code.pack(symbols)) == 5
    np.testing.assert_array_equal(code.from_bytes(code.to_bytes(symbols)), symbols)
    assert code.encode(sample(0)).shape == (0, 4)
    assert code.encoder_bytes == 4 * (4 + 4 + 16)  # mean, spread, words
    assert code.name == "trellis of 4 bits, 4 x 2 bits"


@pytest.mark.float64_only
def test_windows_that_are_no_multiple_of_the_step():
    symbols = np.array([[3, 0, 2, 1]])
    np.testing.assert_array_equal(windows(symbols, 2, 3), [[0b111, 0b100, 0b010, 0b001]])


@pytest.mark.float64_only
def test_budgets_that_are_no_whole_number_of_short_steps_are_refused():
    with pytest.raises(InputError, match="17 bits for 4 coefficients are 17 bits a step, 17 with its memory"):
        TrellisCode.fit(sample(40), 17)
    with pytest.raises(InputError, match="budget"):
        TrellisCode.fit(sample(40), 0)


@pytest.mark.float64_only
@pytest.mark.parametrize("bits", [1, 5, 32, 60])
def test_equal_shares_leave_the_least_of_every_choice(bits):
    """Against every k and every number of bits that steps of four at most share out."""
    for signal in (np.r_[np.full(20, 0.9), np.full(44, 1e-6)], 0.8 ** np.arange(30), np.ones(1)):
        left = {}
        for k in range(1, len(signal) + 1):
            for spent in range(bits + 1):
                if spent <= 4 * math.gcd(spent, k):
                    left[k, spent] = (signal[:k] * 2.0 ** (-2 * spent / k)).sum() + signal[k:].sum()
        k, spent = equal_shares(signal, bits)
        assert left[k, spent] == pytest.approx(min(left.values()), rel=1e-12)


def test_equal_shares_of_nothing_are_refused():
    with pytest.raises(InputError, match=r"must be \[n\], one at least"):
        equal_shares([], 8)
    with pytest.raises(InputError, match="the budget is 0"):
        equal_shares([1.0], 0)
