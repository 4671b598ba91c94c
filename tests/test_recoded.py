"""Entropy coding of any fixed-length code, against cross-entropies written out; wrappers pass everything on."""

import math

import numpy as np
import pytest

from rdjax.checks import InputError
from rdjax.codes import EntropyCodedScalar, Int8, RankCode, ScalarQuantizer, SignBits, SignBitsRescored, Truncation
from rdjax.codes.rate import Rate
from rdjax.codes.recoded import EntropyCoded
from rdjax.codes.wrapped import Weighted

pytestmark = pytest.mark.float64_only
D = 12
FITS = {
    "truncation": lambda x: Truncation.fit(x, 5),
    "float32": lambda x: Truncation.fit(x, 2, store="float32"),
    "scalar": lambda x: ScalarQuantizer.fit(x, 31),
    "signs": SignBits.fit,
    "rescored": lambda x: SignBitsRescored.fit(x, 10),
    "int8": Int8.fit,
    "rank": RankCode.fit,
    "weighted": lambda x: Weighted.fit(ScalarQuantizer.fit(x, 31), np.arange(1, D + 1)),
}


@pytest.fixture(scope="module")
def sample():
    """Vectors of the fit [300, D], and 300 others of the same law."""
    rng = np.random.default_rng(2)
    mix = rng.standard_normal((D, D)) * 0.7 ** np.arange(D)
    return np.split(rng.standard_normal((600, D)) @ mix.T + 0.3, 2)


@pytest.fixture(scope="module")
def made(sample):
    """name -> (code, the same entropy-coded, symbols of the other vectors)."""
    found = {}
    for name, fit in FITS.items():
        code = fit(sample[0])
        found[name] = code, EntropyCoded.fit(code, code.encode(sample[0])), np.asarray(code.encode(sample[1]))
    return found


@pytest.fixture(params=list(FITS))
def case(request, made):
    return made[request.param]


@pytest.mark.parametrize("n", [0, 1, 7, 1000])
def test_bytes_give_back_the_symbols_exactly(case, n):
    _, coded, symbols = case
    batch = np.resize(symbols, (n, coded.num_symbols))
    np.testing.assert_array_equal(coded.from_bytes(coded.to_bytes(batch)), batch)


def test_the_payload_of_a_thousand_is_within_a_hundredth_of_the_rate(case):
    """Over symbols that the model was not fitted on; a rate that misses this says why."""
    _, coded, symbols = case
    rate = coded.rate(np.resize(symbols, (1000, coded.num_symbols)))
    assert isinstance(rate, Rate)
    assert rate.entropy * 0.999 <= rate.payload <= rate.entropy * 1.01
    assert rate.message == ""
    assert 8 * 14 <= rate.header * 1000 <= 8 * 30
    assert rate.model == 8 * 4 * (coded.counts.size + coded.smoothing.size) == 8 * coded.model_bytes
    assert rate.single >= rate.entropy * 0.9


def test_a_rate_of_few_bits_says_why_its_payload_is_longer(made):
    _, coded, symbols = made["signs"]
    rate = coded.rate(symbols[:1])
    assert rate.payload > rate.entropy * 1.01
    assert "ends on a whole byte" in rate.message


def test_the_rate_is_the_cross_entropy_of_the_fit_and_not_the_entropy_of_the_batch(sample):
    """Written out for one column of 2 bits: a batch of one repeated symbol has entropy 0 and costs -log2 p."""
    code = ScalarQuantizer.fit(sample[0][:, :1], 2, transform="coordinates")
    fitted = np.repeat([0, 1, 2, 3], [10, 70, 15, 5])[:, None]
    coded = EntropyCoded.fit(code, fitted)
    a = 2.0 ** int(coded.smoothing[0])
    law = (np.array([10, 70, 15, 5]) + a) / (100 + 4 * a)
    np.testing.assert_allclose(coded.laws[0], law)
    batch = np.full((1000, 1), 2)
    assert coded.rate(batch).entropy == pytest.approx(-math.log2(law[2]), rel=1e-12)
    assert coded.rate(batch).payload == pytest.approx(-math.log2(law[2]), rel=0.01)


def test_smoothing_is_chosen_by_leaving_each_symbol_out(sample):
    """Against the sum over items, one by one."""
    code = ScalarQuantizer.fit(sample[0][:, :1], 4, transform="coordinates")
    symbols = np.random.default_rng(4).choice(16, 40, p=0.6 ** np.arange(16) / (0.6 ** np.arange(16)).sum())
    lengths = {}
    for exponent in range(-8, 13):
        a = 2.0**exponent
        rest = [np.bincount(np.delete(symbols, i), minlength=16) for i in range(40)]
        lengths[exponent] = -sum(math.log2((c[s] + a) / (39 + 16 * a)) for c, s in zip(rest, symbols, strict=True))
    best = min(lengths, key=lambda e: (round(lengths[e], 9), -e))
    assert int(EntropyCoded.fit(code, symbols[:, None]).smoothing[0]) == best


def test_a_column_too_wide_for_its_fit_costs_its_width(sample):
    code = ScalarQuantizer.fit(sample[0][:, :1], 8, transform="coordinates")
    coded = EntropyCoded.fit(code, np.random.default_rng(0).permutation(256)[:100, None])
    assert coded.rate(np.arange(256)[:, None]).entropy == pytest.approx(8, abs=0.01)


def test_skewed_symbols_take_fewer_bits_and_even_ones_no_more(made):
    for name in ("truncation", "scalar", "int8", "float32"):
        code, coded, symbols = made[name]
        assert coded.rate(symbols).entropy < code.bits
    code, coded, symbols = made["signs"]
    assert coded.rate(symbols).entropy <= code.bits * 1.01


def test_everything_else_is_the_inner_codes(case, sample):
    code, coded, symbols = case
    assert coded.name == f"{code.name}, entropy-coded"
    assert coded.bits is None
    assert (coded.sides, coded.searches_corpus, coded.dtype) == (code.sides, code.searches_corpus, code.dtype)
    assert (coded.dimension, coded.num_symbols) == (code.dimension, code.num_symbols)
    assert coded.encoder_bytes == code.encoder_bytes + coded.model_bytes
    assert coded.inner_products == code.inner_products
    np.testing.assert_array_equal(coded.encode(sample[1]), symbols)
    np.testing.assert_array_equal(coded.decode(symbols), code.decode(symbols))
    np.testing.assert_array_equal(coded.scores(symbols, sample[0]), code.scores(symbols, sample[0]))


def test_what_cannot_be_wrapped_is_refused(sample, made):
    scalar = EntropyCodedScalar.fit(sample[0], 5)
    with pytest.raises(InputError, match="entropy-coded as it is"):
        EntropyCoded.fit(scalar, scalar.encode(sample[0]))
    with pytest.raises(InputError, match="no items"):
        EntropyCoded.fit(made["signs"][0], np.zeros((0, D), np.int32))
    for bad in (-1, 2):
        with pytest.raises(InputError, match="outside its alphabet"):
            made["signs"][1].to_bytes(np.full((3, D), bad))
        with pytest.raises(InputError, match="outside its alphabet"):
            EntropyCoded.fit(made["signs"][0], np.full((3, D), bad))


def test_weights_make_raw_vectors_score_as_weighted_ones(sample):
    """<w x, w y> of a code fitted on w x, against the code itself used on weighted vectors."""
    w = np.repeat([0.5, 2.0], [5, 7])
    inner = ScalarQuantizer.fit(sample[0] * w, 31)
    code = Weighted.fit(inner, w)
    symbols = code.encode(sample[1])
    np.testing.assert_array_equal(symbols, inner.encode(sample[1] * w))
    expected = np.asarray(inner.decode(symbols)) @ (sample[0] * w).T
    np.testing.assert_allclose(code.scores(symbols, sample[0]), expected, rtol=0, atol=1e-12 * np.abs(expected).max())
    np.testing.assert_allclose(np.asarray(code.decode(symbols)) @ sample[0].T, expected, rtol=0, atol=1e-10)
    assert (code.name, code.bits) == (inner.name, 31)
    assert code.encoder_bytes == inner.encoder_bytes + 4 * 2
    np.testing.assert_array_equal(code.from_bytes(code.to_bytes(symbols)), symbols)
    for bad in (w[1:], np.zeros(D), np.full(D, np.nan)):
        with pytest.raises(InputError, match="12 numbers, at least 0 and not all 0"):
            Weighted.fit(inner, bad)
