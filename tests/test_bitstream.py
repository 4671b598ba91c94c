"""Bytes against bit strings and big integers written out in plain Python."""

import math

import numpy as np
import pytest

from rdjax.checks import InputError
from rdjax.codes.bitstream import (
    categorical_models,
    pack_digits,
    pack_entropy,
    pack_fixed,
    unpack_digits,
    unpack_entropy,
    unpack_fixed,
)

pytestmark = pytest.mark.float64_only
COUNTS = (0, 1, 2, 7, 1000)
WIDTHS = ((1,), (5,), (8, 8), (16, 16, 16), (32, 32), (3, 0, 1, 12, 7), (0, 2), (31, 32, 1), (1,) * 20, (0, 0))


def random_symbols(rng, count, widths):
    columns = [rng.integers(0, 1 << w, count).astype(np.uint32).view(np.int32) for w in widths]
    return np.stack(columns, axis=1).reshape(count, len(widths))


@pytest.mark.parametrize("widths", WIDTHS)
@pytest.mark.parametrize("count", COUNTS)
def test_fixed_widths_are_the_bits_written_side_by_side(rng, count, widths):
    symbols = random_symbols(rng, count, widths)
    text = "".join(
        format(int(s) % (1 << 32), f"0{w}b") for row in symbols for s, w in zip(row, widths, strict=True) if w
    )
    text += "0" * (-len(text) % 8)
    data = pack_fixed(symbols, widths)
    assert data == bytes(int(text[i : i + 8], 2) for i in range(0, len(text), 8))
    back = unpack_fixed(data, count, widths)
    assert back.dtype == np.int32
    np.testing.assert_array_equal(back, symbols)


def test_fixed_widths_in_many_blocks(rng):
    widths = (4, 7, 12)
    symbols = random_symbols(rng, 200_003, widths)  # 23 bits each: more than one block of 2^22 bits
    np.testing.assert_array_equal(unpack_fixed(pack_fixed(symbols, widths), len(symbols), widths), symbols)


def test_a_symbol_that_does_not_fit_is_refused():
    for symbols in ([[4, 0]], [[-1, 0]], [[0, 1]]):
        with pytest.raises(InputError, match="outside its alphabet"):
            pack_fixed(np.array(symbols), (2, 0))


def test_fixed_length_and_padding_are_checked():
    data = pack_fixed(np.array([[1], [2]]), (3,))
    for bad in (data[:-1], data + b"\0", bytes([data[0] | 1])):
        with pytest.raises(InputError):
            unpack_fixed(bad, 2, (3,))


@pytest.mark.parametrize("base", [1, 2, 3, 10, 256, 1000, 2**31 - 1])
@pytest.mark.parametrize("count", [0, 1, 2, 7, 1023, 1024, 1025, 3000])
def test_digits_are_one_big_integer_per_block(rng, base, count):
    digits = rng.integers(0, base, count)
    data, place = pack_digits(digits, base), 0
    for start in range(0, count, 1024):
        block = digits[start : start + 1024]
        number = 0
        for digit in block:
            number = number * base + int(digit)
        length = math.ceil((base ** len(block) - 1).bit_length() / 8)
        assert int.from_bytes(data[place : place + length], "big") == number
        place += length
    assert place == len(data)
    np.testing.assert_array_equal(unpack_digits(data, count, base), digits)


def test_digits_cost_log2_of_the_base():
    size = 8 * len(pack_digits(np.full(1024 * 50, 999), 1000)) / (1024 * 50)
    assert math.log2(1000) <= size < math.log2(1000) + 8 / 1024


def test_digits_are_checked():
    with pytest.raises(InputError, match="outside its alphabet"):
        pack_digits(np.array([0, 10]), 10)
    with pytest.raises(InputError):
        unpack_digits(b"\xff", 1, 10)  # 255 is no digit
    with pytest.raises(InputError):
        unpack_digits(b"\x01\x01", 1, 10)


@pytest.fixture
def laws():
    return [np.array([0.9, 0.1]), np.array([1.0]), np.array([0.25, 0.5, 0.25]), np.full(300, 1 / 300)]


@pytest.mark.parametrize("count", COUNTS)
def test_entropy_coding_round_trips_near_the_ideal_length(rng, laws, count):
    symbols = np.stack([rng.choice(len(p), count, p=p) for p in laws], axis=1).astype(np.int32)
    models = categorical_models(laws)
    data = pack_entropy(symbols, models)
    np.testing.assert_array_equal(unpack_entropy(data, count, models), symbols)
    ideal = -sum(math.log2(p[s]) for row in symbols for p, s in zip(laws, row, strict=True))
    assert ideal - 8 <= 8 * len(data) <= ideal * 1.0001 + 16  # cut to whole bytes; probabilities have 24 bits


def test_beyond_4096_bytes_nothing_is_trimmed_and_little_lost(rng):
    law = np.full(256, 1 / 256)
    symbols = rng.integers(0, 256, (4096, 2), np.int32)
    models = categorical_models([law, law])
    data = pack_entropy(symbols, models)
    np.testing.assert_array_equal(unpack_entropy(data, 4096, models), symbols)
    assert 2 * 4096 <= len(data) <= 2 * 4096 + 8


def test_the_shortest_bytes_of_one_item_are_the_shortest(laws):
    """Against every shorter string there is: none of one byte fewer decodes to the same item."""
    models = categorical_models(laws[:3])
    for item in np.ndindex(2, 1, 3):
        symbols = np.array([item], np.int32)
        data = pack_entropy(symbols, models)
        assert len(data) <= 1
        np.testing.assert_array_equal(unpack_entropy(data, 1, models), symbols)
        empty_works = np.array_equal(unpack_entropy(b"", 1, models), symbols)
        assert (len(data) == 0) == empty_works


def test_no_number_of_one_byte_fewer_decodes_to_the_same_items(rng):
    """Of 300 random models; what decodes alike is an interval, so the neighbours of the cut bytes are all there is."""
    for _ in range(300):
        laws = [rng.dirichlet(np.full(size, 0.2)) * 0.999 + 0.001 / size for size in rng.integers(2, 9, 12)]
        symbols = np.stack([rng.integers(0, len(law), 2) for law in laws], axis=1).astype(np.int32)
        symbols[:, ::2] = rng.choice([0, 1])  # ends of the interval: carries, and zeros that need not be sent
        models = categorical_models(laws)
        data = pack_entropy(symbols, models)
        np.testing.assert_array_equal(unpack_entropy(data, 2, models), symbols)
        fewer, below = len(data) - 1, int.from_bytes(data[:-1], "big")
        for value in range(max(below - 1, 0), min(below + 3, 1 << 8 * fewer)):
            assert not decodes_to(value.to_bytes(fewer, "big"), symbols, models)


def decodes_to(data, symbols, models):
    try:
        return np.array_equal(unpack_entropy(data, len(symbols), models), symbols)
    except InputError:
        return False


def test_symbols_that_are_nearly_impossible_still_have_a_code():
    models = categorical_models([np.array([1 - 1e-9, 1e-9])])
    symbols = np.array([[0], [1], [0]], np.int32)
    np.testing.assert_array_equal(unpack_entropy(pack_entropy(symbols, models), 3, models), symbols)


def test_bytes_that_no_symbols_lead_to_are_refused(laws):
    with pytest.raises(InputError, match="cut, altered"):
        unpack_entropy(b"\xff" * 12, 50, categorical_models(laws))
