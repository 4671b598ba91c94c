"""Codes at the edges of what they are for: the other side, another class, a stranger's words, sums that were short."""

import dataclasses
import io
import struct

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from typer.testing import CliRunner

from rdjax.audit.frontier import training
from rdjax.audit.view import make_views
from rdjax.checks import InputError
from rdjax.cli import app
from rdjax.cli.jobs import _widths
from rdjax.codes import (
    EntropyCodedScalar,
    Int8,
    LearnedCode,
    MappedRankCode,
    QueryModel,
    RankCode,
    ScalarQuantizer,
    SignBits,
    SignBitsRescored,
    Truncation,
    fit_pca_by_modality,
    fit_relevance_map,
    simulated_documents,
)
from rdjax.codes.arrays import fit_vectors
from rdjax.codes.cells import unpacked_rows
from rdjax.codes.description import describe, fingerprint
from rdjax.codes.exported import code_tables
from rdjax.codes.frames import frame, read_frames
from rdjax.codes.product import ProductQuantizer
from rdjax.codes.randomized import DitheredScalar
from rdjax.codes.recoded import EntropyCoded
from rdjax.codes.saved import file_bytes, load_code, save_code
from rdjax.codes.sound import is_sound
from rdjax.codes.trellis import TrellisCode
from rdjax.codes.wrapped import Weighted
from rdjax.data import gaussian_mixture
from rdjax.data.files import load_patterns
from rdjax.data.stored import narrow
from rdjax.sweep.parts import PARTS, _read_manifest, finished_parts

pytestmark = pytest.mark.float64_only


def rows(count=60):
    return np.random.default_rng(0).normal(size=(count, 6))


@pytest.mark.parametrize("fit", [lambda x: ProductQuantizer.fit(x, 8, width=4, transform="coordinates"), Int8.fit])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_vectors_whose_squares_overflow_are_refused(fit, dtype):
    """60 x 6 squares of 2^64 or more in float32, where float64 is off or the numbers are float32; 2^512 in float64."""
    for wide, power in ((False, 64), (True, 64 if dtype == np.float32 else 512)):
        with jax.enable_x64(wide):
            far = rows().astype(dtype)
            far[31, 2] = -(2.0**power)
            with pytest.raises(InputError, match=r"magnitude \S+ in row 31; squares overflow float\d\d, so divide"):
                fit(far)
            np.testing.assert_array_equal(fit_vectors(far / dtype(2**40)), far / dtype(2**40))
            far[40, 1] = np.nan
            with pytest.raises(InputError, match="a NaN or infinity in row 40"):
                fit(far)


@pytest.mark.parametrize("fit", [lambda x: ProductQuantizer.fit(x, 8, width=4, transform="coordinates"), Int8.fit])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_vectors_whose_products_vanish_are_refused(fit, dtype):
    """2^-60 squared is 0 beside float32's least number 2^-149; 2^-500 beside float64's 2^-1074."""
    for wide, power in ((False, -60), (True, -60 if dtype == np.float32 else -500)):
        with jax.enable_x64(wide):
            with pytest.raises(InputError, match=r"no number .* above \S+; products underflow float\d\d, so divide"):
                fit(np.ldexp(rows(), power).astype(dtype))
            near = fit_vectors(np.ldexp(rows(), power + 15).astype(dtype))
            assert fit(near).encode(near).shape[0] == len(near)
            np.testing.assert_array_equal(fit_vectors(np.zeros((3, 2), dtype)), np.zeros((3, 2)))


def test_a_code_on_a_map_to_relevance_is_for_its_side():
    documents = rows()
    model = QueryModel.fit(documents[:30] + 0.1 * rows(30), documents[:30], blocks=(6,))
    for side in ("queries", "documents"):
        code = ScalarQuantizer.fit(documents, 8, transform=fit_relevance_map(model, documents, 4, side=side))
        assert code.sides == (side,)
    assert ScalarQuantizer.fit(documents, 8).sides == ("queries", "documents")


def test_a_frame_says_no_more_items_than_its_code_writes():
    data = frame(2000, b"few", 7)
    assert list(read_frames(io.BytesIO(data), 7, "code", items=2000)) == [(2000, 0, b"few")]
    with pytest.raises(InputError, match="was altered"):
        list(read_frames(io.BytesIO(data), 7, "code", items=1999))


def test_a_learned_code_is_exported_as_what_it_holds():
    code = ScalarQuantizer.fit(rows(), 8)
    learned = LearnedCode(code, *(jnp.zeros(()) for _ in range(5)))
    symbols = code.encode(rows())
    for name, table in code_tables(code, symbols).items():
        np.testing.assert_array_equal(code_tables(learned, symbols)[name], table)


def test_uniform_cells_take_a_step_and_a_beginning_each():
    code = EntropyCodedScalar.fit(rows(), 6, cells="dead zone")
    uniform = dataclasses.replace(code, cells="uniform")
    assert uniform.encoder_bytes - code.encoder_bytes == 4 * (code.num_symbols - 2)


@pytest.mark.parametrize("words", ["x", "[1]", "3"])
def test_what_a_code_notes_may_be_anything(words):
    with pytest.raises(InputError, match="does not say what it was fitted on"):
        _widths(words, "code.safetensors")


def test_documents_that_are_searched_are_counted_where_a_sample_is_fitted_on():
    test, fit = gaussian_mixture(40, 30, intent_dim=4, dim=6, rho=4.0, seed=0)
    (view,) = make_views(test, fit, seed=0)[0]
    for code_class in "BC":
        assert training(view, code_class, whole=False).searched == test.num_documents


def test_a_class_is_of_a_family(tmp_path):
    path = tmp_path / "corpus.npz"
    np.savez(path, documents=rows(), queries=rows(), relevant=np.arange(60))
    for family, bits, code_class in (("int8", (), "A"), ("rank code", ("--bits", "6"), "B")):
        asked = ["encode", str(path), "--family", family, *bits, "--side", "queries", "--class", code_class]
        done = CliRunner().invoke(app, [*asked, "--out", str(tmp_path / "codes")])
        assert done.exit_code == 2
        assert f"the class is '{code_class}'; it must be" in " ".join((done.output + str(done.exception)).split())
    assert not (tmp_path / "codes").exists()


def test_a_scale_of_bfloat16_makes_no_other_number_of_what_it_scales():
    found = {"documents.text.scale.bf16": ("", None), "documents.text": ("", None), "documents.image.bf16": ("", None)}
    assert narrow({**found, "queries.text.bf16": ("", None)}) == {"text": 8, "image": 16}


def test_a_damaged_manifest_is_one_sentence(tmp_path):
    for text in ('{"versions": null}', '{"grid": [1]}', "[]"):
        (tmp_path / "manifest.json").write_text(text)
        with pytest.raises(InputError, match="is damaged"):
            _read_manifest(tmp_path / "manifest.json")


def test_parts_of_ten_million_cells_are_found_again(tmp_path):
    (tmp_path / PARTS).mkdir()
    (tmp_path / PARTS / f"{0:012d}-{10**7:07d}-{0:016x}.csv").write_text("")
    (part,) = finished_parts(tmp_path)
    assert part.path.name.startswith("0")


def test_more_patterns_than_memory_holds_are_refused(tmp_path):
    (tmp_path / "wanted.txt").write_text("0 1\n" * 10)
    with pytest.raises(InputError, match="leave out documents that no line names"):
        load_patterns(tmp_path / "wanted.txt", 10**12)


def test_numbers_of_a_forged_code_are_asked_before_it_computes():
    vectors = rows(300)
    product = ProductQuantizer.fit(vectors, 8, transform="coordinates", width=2)
    trellis = TrellisCode.fit(vectors, 6, transform="coordinates")
    scalar = EntropyCodedScalar.fit(vectors, 6)
    rescored, ranks = SignBitsRescored.fit(vectors, 10), RankCode.fit(vectors)
    for code, changes in (
        (product, {"beam": 10**9}),
        (product, {"table": tuple(tuple(-1 for _ in row) for row in product.table)}),
        (product, {"blocks": tuple(tuple(k + 99 for k in block) for block in product.blocks)}),
        (trellis, {"window": 10**7}),
        (trellis, {"width": 0}),
        (scalar, {"sizes": 0 * scalar.sizes}),
        (scalar, {"counts": -scalar.counts - 1}),
        (scalar, {"levels": scalar.levels[:, :1]}),
        (scalar, {"budget": "lots"}),
        (trellis, {"words": trellis.words[:3]}),
        (trellis, {"window": trellis.width - 1}),
        (rescored, {"candidates": -2}),
        (rescored, {"candidates": "many"}),
        (ranks, {"temperature": jnp.ones(3)}),
    ):
        assert is_sound(code)
        assert not is_sound(dataclasses.replace(code, **changes)), (code.name, changes)


def test_documents_like_those_have_their_mean():
    """A naive sum of a million float32 is off by half a per cent."""
    seen = (0.1 + 0.001 * np.random.default_rng(0).standard_normal((1_000_000, 2))).astype(np.float32)
    drawn = simulated_documents(seen, 20_000)
    np.testing.assert_allclose(drawn.mean(axis=0, dtype=np.float64), 0.1, atol=5e-5)


def test_a_symbol_that_no_int32_holds_is_refused():
    code = Truncation.fit(rows(), 2, store="float32")
    for symbol in (1 << 33, 1 << 31, -(1 << 31) - 1):
        for call in (code.to_bytes, code.decode):
            with pytest.raises(InputError, match="outside its alphabet"):
                call(np.array([[symbol, 0]]))


def test_a_field_that_joins_a_class_disowns_nothing_written_before():
    """What a map was described as before maps could be turned: a field at its default says nothing."""
    documents = rows()
    model = QueryModel.fit(documents[:30] + 0.1 * rows(30), documents[:30], blocks=(6,))
    chart = fit_relevance_map(model, documents, 4, side="documents")
    assert set(describe(chart)[0]["fields"]) == {"mean", "basis", "back", "variances", "side"}
    turned = dataclasses.replace(chart, turned=True)
    assert describe(turned)[0]["fields"]["turned"] is True
    assert fingerprint(*describe(turned)) != fingerprint(*describe(chart))


REFUSED = {
    "steps": lambda: ProductQuantizer.fit(rows(), 8, width=4, steps="a"),
    "fewer steps": lambda: ProductQuantizer.fit(rows(), 8, width=4, steps=-5),
    "rounds": lambda: TrellisCode.fit(rows(), 6, rounds=-3),
    "no documents": lambda: SignBitsRescored.fit(rows(), 5).bits_touched(0),
    "weights": lambda: Weighted.fit(Int8.fit(rows().astype(np.float32)), np.full(6, 1e39)),
    "directions": lambda: MappedRankCode.fit(rows(), 4, QueryModel.fit(rows(30) + 0.1, rows(30), blocks=(6,)), k=-7),
}


@pytest.mark.parametrize("call", REFUSED.values(), ids=REFUSED)
def test_numbers_that_make_no_sense_are_refused(call):
    with pytest.raises(InputError, match=r"must be a whole number|is too large for float32"), jax.enable_x64(False):
        call()


@pytest.mark.parametrize(
    "code",
    [
        EntropyCodedScalar.fit(rows(400) * 0.5 ** np.arange(6), 12),
        DitheredScalar.fit(rows(400) * 0.5 ** np.arange(6), 12),
        ScalarQuantizer.fit(rows(400) * 0.5 ** np.arange(6), 12),
        EntropyCoded.fit(SignBits.fit(rows(), 4), np.asarray(SignBits.fit(rows(), 4).encode(rows()))),
        ProductQuantizer.fit(rows(), 8, width=4),
        Int8.fit(rows()),
        Weighted.fit(Int8.fit(rows()), [2.0, 2.0, 2.0, 2.0, 0.5, 0.5]),
    ],
    ids=lambda code: code.name,
)
def test_a_file_is_as_long_as_is_said_and_holds_no_padding(code):
    """What it takes is the numbers of the encoder and of the decoder, and a header: each table without its padding."""
    data = save_code(code)
    again, _ = load_code(data, "here")
    (header,) = struct.unpack("<Q", data[:8])
    arrays = describe(code)[1]
    assert len(data) == 8 + header + sum(array.nbytes for array in arrays.values()) == file_bytes(code)
    notes = {"side": "documents", "said": 'of "emoji", \u00e9'}
    assert len(save_code(code, notes)) == file_bytes(code, notes)
    assert save_code(again) == data
    assert all(np.array_equal(a, b) for a, b in zip(jax.tree.leaves(again), jax.tree.leaves(code), strict=True))
    if isinstance(code, Weighted):
        assert [describe(code)[1][name].tolist() for name in ("weights", "lengths")] == [[2, 0.5], [4, 2]]
    if isinstance(code, EntropyCodedScalar | ScalarQuantizer):
        sizes = 2 ** np.array(code.allocation) if isinstance(code, ScalarQuantizer) else np.asarray(code.sizes)
        own = describe(code)[1]
        assert len(set(sizes.tolist())) > 1
        assert own["levels"].shape == (sizes.sum(),)
        assert own["thresholds"].shape == ((sizes - 1).sum(),)


def test_tables_that_a_file_forged_are_refused():
    for flat, sizes, fill in (
        (np.zeros(3), np.array([2, 2]), 0.0),
        (np.zeros(2), np.array([2, 0]), None),
        (np.zeros(2), np.array([3, -1]), 0.0),
        (np.zeros(1 << 14), np.full(1 << 14, 1) + (np.arange(1 << 14) == 0) * (1 << 14), 0.0),
    ):
        with pytest.raises(ValueError, match="rows of a table"):
            unpacked_rows(flat, sizes, fill)


@pytest.mark.float64_only
def test_draws_go_on_from_block_to_block(monkeypatch):
    """Vectors that are encoded in blocks draw as they do at once, and what is decoded draws the same."""
    monkeypatch.setattr("rdjax.codes.blockwise.AT_ONCE", 64)
    vectors = np.random.default_rng(0).standard_normal((200, 6)).astype(np.float32)
    code = DitheredScalar.fit(vectors, 12)
    weighted = Weighted.fit(code, np.ones(6))
    symbols = weighted.encode(vectors)
    np.testing.assert_array_equal(symbols, code.encode(vectors))
    np.testing.assert_array_equal(weighted.decode(symbols), code.decode(symbols))


@pytest.mark.float64_only
@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: Weighted.fit(rows(), np.ones(6)), "ndarray is no code; give the fitted code first"),
        (lambda: EntropyCoded.fit(rows(), rows()), "ndarray is no code"),
        (lambda: Weighted.fit(Int8.fit(rows()), "a"), "the weights are 'a'"),
        (lambda: EntropyCodedScalar.fit(rows(), "64"), "the budget is 64 bits; an entropy-coded"),
        (lambda: DitheredScalar.fit(rows(), "64"), "the budget is 64 bits; an entropy-coded"),
        (lambda: ScalarQuantizer.fit(rows(), 8, transform="rotation", seed=-1), "the seed is -1"),
        (lambda: RankCode.fit(rows(), temperature="1"), "the temperature is '1'"),
        (lambda: fit_pca_by_modality(rows(), 6), "the modalities are 6; give the dimensions"),
        (lambda: load_code("a/code.safetensors", "x"), "give the bytes of the file"),
    ],
)
def test_what_is_no_code_and_no_number_is_refused(call, words):
    with pytest.raises(InputError, match=words):
        call()


@pytest.mark.float64_only
@pytest.mark.parametrize(
    "fit", [Int8.fit, SignBits.fit, lambda x: ProductQuantizer.fit(x, 4), lambda x: simulated_documents(x, 3)]
)
def test_a_code_is_not_fitted_inside_a_trace(fit):
    with pytest.raises(InputError, match=r"to fit on is traced; fitting works on the host, so call it outside jit"):
        jax.eval_shape(lambda x: (fit(x), x)[1], jnp.ones((9, 4)))
