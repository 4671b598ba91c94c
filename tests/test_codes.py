"""A table of codes times the properties every code has.

Symbols are whole numbers, so what is done with them, and what is refused, is the same in either precision.
"""

import itertools
import math

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
import pytest

from rdjax import codes
from rdjax.checks import InputError
from rdjax.codes import (
    CellRankCode,
    Code,
    Directional,
    DitheredScalar,
    EntropyCoded,
    EntropyCodedScalar,
    Int8,
    MappedRankCode,
    ProductQuantizer,
    QueryModel,
    RankCode,
    Rate,
    Renormalized,
    ScalarQuantizer,
    SignBits,
    SignBitsRescored,
    TrellisCode,
    Truncation,
    UniformInCell,
    Weighted,
    load_code,
    save_code,
)
from tests.test_export import library_calls

D = 12
FITS = {
    "first 5, float16": lambda x: Truncation.fit(x, 5),
    "all 12, float32": lambda x: Truncation.fit(x, D, store="float32"),
    "PCA 6, float16": lambda x: Truncation.fit(x, 6, transform="pca"),
    "PCA 6 + 4-bit scalar": lambda x: ScalarQuantizer.fit(x, 24, k=6, spread="equal"),
    "PCA 8 + scalar, 31 bits": lambda x: ScalarQuantizer.fit(x, 31),
    "8-bit scalar": lambda x: ScalarQuantizer.fit(x, 8 * D, transform="coordinates"),
    "rotation 12 + scalar, 31 bits": lambda x: ScalarQuantizer.fit(x, 31, transform="rotation"),
    "PCA 7 + entropy-coded scalar, fitted to 20 bits": lambda x: EntropyCodedScalar.fit(x, 20),
    "first 4 + entropy-coded scalar, fitted to 9.5 bits": lambda x: EntropyCodedScalar.fit(
        x, 9.5, k=4, transform="coordinates"
    ),
    "sign bits": SignBits.fit,
    "PCA 7 + sign bits": lambda x: SignBits.fit(x, 7, transform="pca"),
    "rotation 9 + sign bits": lambda x: SignBits.fit(x, 9, transform="rotation", seed=3),
    "sign bits, int8 rescores 10": lambda x: SignBitsRescored.fit(x, 10),
    "int8": Int8.fit,
    "number of the top document": RankCode.fit,
    "PCA 12 + product 4 x 6 bits": lambda x: ProductQuantizer.fit(x, 24, width=6),
    "trellis of 3 bits, 12 x 1 bits": lambda x: TrellisCode.fit(x, D, memory=2, rounds=1),
    "int8, entropy-coded": lambda x: recoded(Int8.fit(x), x),
    "first 3, float16": lambda x: Weighted.fit(Truncation.fit(x, 3), np.linspace(0.5, 2, D)),  # named as what it weighs
    "PCA 7 + scalar, 24 bits, stretched": lambda x: Renormalized.fit(ScalarQuantizer.fit(x, 24), x),
    "PCA 4 + product 2 x 4 bits, by direction": lambda x: Directional.fit(ProductQuantizer.fit(x, 8, k=4, width=4)),
    "16 balanced cells": lambda x: CellRankCode.fit(x, 16),
    "relevance 12 + number of the top document": lambda x: MappedRankCode.fit(x, 300, asked()),
    "PCA 12 + dithered entropy-coded scalar, fitted to 20 bits": lambda x: DitheredScalar.fit(x, 20),
    "PCA 9 + uniform-in-cell entropy-coded scalar, fitted to 20 bits": lambda x: UniformInCell.fit(x, 20),
}
NOT_HERE = {  # and why
    "DesignedRankCode": "its fit takes seconds, and encode and decode are those of a table: test_designed_rankings",
    "LearnedCode": "its fit trains; symbols and bytes are those of the code inside: test_learned",
}


def asked():
    """Queries that are near their documents."""
    return QueryModel.fit(vectors(300) + 0.1 * vectors(300, seed=6), vectors(300), blocks=(D,))


def recoded(code, x):
    return EntropyCoded.fit(code, code.encode(x))


OP_BY_OP = [
    "PCA 6, float16",
    "first 4 + entropy-coded scalar, fitted to 9.5 bits",
    "rotation 9 + sign bits",
    "sign bits, int8 rescores 10",
    "number of the top document",
]
ENTROPY_CODED = [name for name in FITS if "entropy-coded" in name]


def vectors(n, seed=5, dimensions=D):
    """Correlated, off center, of falling variance."""
    rng = np.random.default_rng(seed)
    mix = np.random.default_rng(1).standard_normal((dimensions, dimensions)) * 0.7 ** np.arange(dimensions)
    return rng.standard_normal((n, dimensions)) @ mix.T + 0.3


@pytest.fixture(scope="module")
def fitted(precision):
    """Every code, fitted on the same 300 vectors."""
    sample = vectors(300, seed=2).astype(precision)
    return {name: fit(sample) for name, fit in FITS.items()}


@pytest.fixture(scope="module")
def encoded(fitted):
    """Symbols of 300 other vectors under each: one shape for all tests, so that each code is compiled once."""
    return {name: np.asarray(code.encode(vectors(300))) for name, code in fitted.items()}


@pytest.fixture(params=list(FITS))
def code(request, fitted):
    return fitted[request.param]


@pytest.fixture
def symbols(code, encoded):
    return encoded[code.name]


def test_every_kind_of_code_is_in_the_table(fitted):
    kinds = {name for name, kind in vars(codes).items() if isinstance(kind, type) and issubclass(kind, Code)}
    assert kinds - {"Code", "FixedLengthCode"} == {type(code).__name__ for code in fitted.values()} | set(NOT_HERE)


@pytest.mark.float64_only
def test_a_saved_code_sends_and_reads_the_same(code, symbols):
    again, _ = load_code(save_code(code), "the file")
    np.testing.assert_array_equal(again.encode(vectors(300)), symbols)
    assert again.to_bytes(symbols[:7]) == code.to_bytes(symbols[:7])
    np.testing.assert_array_equal(again.decode(symbols), code.decode(symbols))


def test_the_name_says_what_it_is(fitted):
    assert {key: code.name for key, code in fitted.items()} == {key: key for key in FITS}


def test_shapes_and_precision(code, symbols, dtype):
    assert symbols.shape == (300, code.num_symbols)
    assert symbols.dtype == np.int32
    decoded = code.decode(symbols)
    assert decoded.shape == (300, D)
    assert decoded.dtype == code.dtype == dtype
    assert code.scores(symbols, vectors(300, seed=2)).shape == (300, 300)
    assert code.dimension == D


@pytest.mark.float64_only
def test_no_vectors_have_no_symbols(code):
    symbols = code.encode(vectors(0))
    assert symbols.shape == (0, code.num_symbols)
    assert code.decode(symbols).shape == (0, D)


@pytest.mark.float64_only
@pytest.mark.parametrize("n", [0, 1, 7, 1000])
def test_bytes_give_back_the_symbols_exactly(code, symbols, n):
    batch = np.resize(symbols, (n, code.num_symbols))
    data = code.to_bytes(batch)
    assert isinstance(data, bytes)
    back = code.from_bytes(data)
    assert back.dtype == jnp.int32
    np.testing.assert_array_equal(back, batch)
    np.testing.assert_array_equal(code.unpack(code.pack(batch), n), batch)


@pytest.mark.float64_only
def test_bytes_that_were_cut_or_belong_to_another_code_are_refused(code, symbols, fitted):
    data = code.to_bytes(symbols[:7])
    for bad in [data[:i] for i in range(len(data))] + [data + b"\0", data[:-1] + bytes([data[-1] ^ 1])]:
        with pytest.raises(InputError, match=r"was cut short|goes on after its end|does not agree with its checksum"):
            code.from_bytes(bad)
    other = fitted["int8"] if code.name != "int8" else fitted["sign bits"]
    with pytest.raises(InputError, match="another code"):
        other.from_bytes(data)


@pytest.mark.float64_only
@pytest.mark.parametrize("name", [name for name in FITS if name not in ENTROPY_CODED])
def test_a_payload_of_the_wrong_length_is_refused(name, fitted, encoded):
    """Of an entropy-coded payload only the frame knows the length."""
    payload = fitted[name].pack(encoded[name][:7])
    for bad in (payload[:-1], payload + b"\0"):
        with pytest.raises(InputError, match="bytes where"):
            fitted[name].unpack(bad, 7)


def test_the_three_rates(code, symbols):
    batch = np.resize(symbols, (1000, code.num_symbols))
    rate = code.rate(batch)
    assert isinstance(rate, Rate)
    assert rate.packed == 8 * len(code.to_bytes(batch)) / 1000
    assert 8 * 14 <= 1000 * rate.header <= 8 * 30
    assert rate.payload == pytest.approx(8 * len(code.pack(batch)) / 1000)
    assert rate.entropy <= rate.payload * 1.0001  # the coder rounds its probabilities to 24 bits
    assert rate.payload <= rate.entropy * 1.01
    assert rate.model == 8 * code.model_bytes
    assert (rate.model > 0) == (code.bits is None)
    assert code.rate(symbols[:64]).single == np.mean([8 * len(code.pack(item[None])) for item in symbols[:64]])


@pytest.mark.float64_only
@pytest.mark.parametrize("name", [name for name in FITS if name not in ENTROPY_CODED])
def test_fixed_lengths_are_the_bits(name, fitted, encoded):
    rate = fitted[name].rate(encoded[name])
    assert rate.single == 8 * math.ceil(fitted[name].bits / 8)
    assert math.ceil(rate.entropy) == fitted[name].bits


@pytest.mark.float64_only
def test_entropy_coded_lengths_are_not_fixed(fitted):
    assert [name for name, code in fitted.items() if code.bits is None] == ENTROPY_CODED


def test_it_traces_under_an_outer_jit(code, symbols):
    x, documents = vectors(300), vectors(300, seed=2)

    @jax.jit
    def whole(code, x, documents):
        symbols = code.encode(2 * x - x)
        return symbols, code.scores(symbols, documents)

    traced, scores = whole(code, x.astype(code.dtype), documents.astype(code.dtype))
    np.testing.assert_array_equal(traced, symbols)
    epsilon = 50 * float(jnp.finfo(code.dtype).eps)
    eager = np.asarray(code.scores(symbols, documents))
    np.testing.assert_allclose(scores, eager, rtol=0, atol=epsilon * np.abs(eager).max())


def test_it_lowers_for_cuda_and_tpu(code):
    """As in test_export, with which it shares what is refused; here because every kind is fitted here."""

    def whole(code, x, documents):
        symbols = code.encode(x)
        return symbols, code.decode(symbols), code.scores(symbols, documents)

    shapes = [jax.ShapeDtypeStruct((n, D), code.dtype) for n in (8, 300)]
    exported = jax.export.export(jax.jit(whole), platforms=("cuda", "tpu"))(code, *shapes)
    assert exported.platforms == ("cuda", "tpu")
    assert not library_calls(exported)


@pytest.mark.float64_only
@pytest.mark.parametrize("name", OP_BY_OP)
def test_what_is_compiled_equals_what_runs_op_by_op(name, fitted, encoded):
    """Binary search runs so slowly this way that fixed-length scalars are held against nearest levels elsewhere."""
    code, symbols = fitted[name], encoded[name]
    with jax.disable_jit():
        plain = code.encode(vectors(300)[:20])
        decoded = code.decode(plain)
    np.testing.assert_array_equal(plain, symbols[:20])
    np.testing.assert_allclose(decoded, code.decode(symbols)[:20], atol=1e-12)


@pytest.mark.float64_only
def test_the_wrong_shape_is_refused(code, symbols):
    for act, bad in (
        (code.encode, vectors(3)[:, 1:]),
        (code.encode, vectors(3)[0]),
        (lambda v: code.scores(symbols, v), vectors(300)[:, 1:]),
        (code.decode, np.zeros((3, code.num_symbols + 1), np.int32)),
        (code.to_bytes, np.zeros((3, code.num_symbols + 1), np.int32)),
        (code.to_bytes, np.zeros((3, code.num_symbols))),
        (code.rate, np.zeros((0, code.num_symbols), np.int32)),
    ):
        with pytest.raises(InputError):
            act(bad)


@pytest.mark.float64_only
@pytest.mark.parametrize("name", [name for name in FITS if "float32" not in name])  # there any int32 is a number
def test_symbols_outside_the_alphabet_are_refused(name, fitted):
    for bad in (-1, 1 << 20):
        with pytest.raises(InputError, match="outside its alphabet"):
            fitted[name].to_bytes(np.full((3, fitted[name].num_symbols), bad))
        with pytest.raises(InputError, match="outside its alphabet"):
            fitted[name].scores(np.full((3, fitted[name].num_symbols), bad), jnp.asarray(vectors(300, seed=2)))


@pytest.mark.float64_only
@pytest.mark.parametrize("name", OP_BY_OP)
def test_scores_with_documents_of_the_host_trace(name, fitted, encoded):
    code, symbols, documents = fitted[name], encoded[name], vectors(300, seed=2)
    traced = jax.jit(lambda symbols: code.scores(symbols, documents))(symbols)
    eager = np.asarray(code.scores(symbols, documents))
    np.testing.assert_allclose(traced, eager, rtol=0, atol=1e-12 * np.abs(eager).max())


@pytest.mark.float64_only
@pytest.mark.parametrize("name", list(FITS))
@pytest.mark.parametrize("bad", ["nan", "no rows", "flat", "words"])
def test_unusable_vectors_are_refused_at_the_fit(name, bad):
    x = {
        "nan": np.where(np.arange(20)[:, None] == 7, np.nan, vectors(20)),
        "no rows": vectors(0),
        "flat": vectors(1)[0],
        "words": np.full((20, D), "x"),
    }[bad]
    with pytest.raises(InputError, match="row 7" if bad == "nan" else None):
        FITS[name](x)


@pytest.mark.parametrize("name", list(FITS))
def test_a_dimension_that_never_varies_does_no_harm(name, precision):
    x = vectors(300, seed=2)
    x[:, 3] = 0.25
    x[:, 4] = 0.0
    code = FITS[name](x.astype(precision))
    decoded = np.asarray(code.decode(code.encode(x)))
    assert np.isfinite(decoded).all()
    # a truncation drops them, a rotation spreads them, and a relevance map decodes to what is multiplied with documents
    if not any(word in name for word in ("first", "rotation", "relevance")):
        np.testing.assert_allclose(decoded[:, 3:5], x[:, 3:5], atol=0.01)


@pytest.mark.float64_only
@pytest.mark.parametrize(
    "fit",
    [
        lambda x: Truncation.fit(x, 1),
        lambda x: Truncation.fit(x, 1, transform="pca"),
        lambda x: ScalarQuantizer.fit(x, 3),
        lambda x: EntropyCodedScalar.fit(x, 2.5),
        SignBits.fit,
        lambda x: SignBitsRescored.fit(x, 4),
        Int8.fit,
        RankCode.fit,
    ],
)
def test_one_dimension(fit):
    x = vectors(100, dimensions=1)
    code = fit(x)
    symbols = code.encode(x)
    np.testing.assert_array_equal(code.from_bytes(code.to_bytes(symbols)), symbols)
    assert code.decode(symbols).shape == (100, 1)


def error(code, x):
    return float(np.mean(np.sum((np.asarray(code.decode(code.encode(x))) - x) ** 2, axis=1)))


@pytest.mark.float64_only
@pytest.mark.parametrize(
    "family",
    [
        lambda x, b: ScalarQuantizer.fit(x, b),
        lambda x, b: ScalarQuantizer.fit(x, b, transform="coordinates"),
        lambda x, b: EntropyCodedScalar.fit(x, b),
        lambda x, b: EntropyCodedScalar.fit(x, b, transform="coordinates"),
        lambda x, b: Truncation.fit(x, b // 8, transform="pca"),
        lambda x, b: SignBits.fit(x, 1 + b // 8, transform="pca"),
    ],
)
def test_error_falls_with_bits(family):
    x = vectors(300)
    errors = [error(family(x, bits), x) for bits in (8, 24, 40)]
    assert all(later < 0.97 * earlier for earlier, later in itertools.pairwise(errors)), errors


@pytest.mark.float64_only
def test_more_bits_and_better_transforms_in_order():
    x = vectors(300)
    assert error(ScalarQuantizer.fit(x, 24), x) < error(ScalarQuantizer.fit(x, 24, transform="coordinates"), x)
    assert error(Int8.fit(x), x) < error(ScalarQuantizer.fit(x, 4 * D, transform="coordinates"), x)


@pytest.mark.float64_only
def test_low_precision_inputs_are_fitted_in_float32():
    for kind in (np.float16, np.int8, np.float32):
        assert SignBits.fit((10 * vectors(30)).astype(kind)).dtype == jnp.float32


@pytest.mark.float64_only
def test_codes_are_pytrees_that_come_back_whole(code, symbols):
    leaves, tree = jax.tree.flatten(code)
    again = jax.tree.unflatten(tree, leaves)
    assert again.name == code.name
    np.testing.assert_array_equal(again.decode(symbols), code.decode(symbols))


@pytest.mark.float64_only
def test_encoder_memory_at_four_bytes_a_number(fitted):
    expected = {
        "first 5, float16": 0,
        "PCA 6, float16": 4 * (D + 6 * D),
        "PCA 6 + 4-bit scalar": 4 * (D + 6 * D) + 6 * 5 + 4 * 15,
        "sign bits": 4 * D,
        "PCA 7 + sign bits": 4 * (D + 7 * D),
        "sign bits, int8 rescores 10": 4 * D + 4 * D,
        "int8": 4 * D,
        "number of the top document": 4 * 300 * D,
    }
    assert {name: fitted[name].encoder_bytes for name in expected} == expected
