"""Saved codes: the same code comes back, from these classes only, and nothing damaged or strange is taken."""

import dataclasses
import importlib
import inspect
import json
import pkgutil
import struct

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from safetensors import SafetensorError
from safetensors.numpy import load, save

import rdjax.codes
from rdjax.checks import InputError
from rdjax.codes import (
    Code,
    EntropyCodedScalar,
    Int8,
    RankCode,
    ScalarQuantizer,
    SignBits,
    SignBitsRescored,
    Truncation,
)
from rdjax.codes.directional import Directional
from rdjax.codes.lengths import Renormalized
from rdjax.codes.product import ProductQuantizer
from rdjax.codes.randomized import DitheredScalar
from rdjax.codes.recoded import EntropyCoded
from rdjax.codes.saved import CLASSES, KEY, file_bytes, load_code, save_code
from rdjax.codes.transform import fit_pca
from rdjax.codes.trellis import TrellisCode
from rdjax.codes.wrapped import Weighted

pytestmark = pytest.mark.float64_only
D = 6
FITS = {
    "truncation": lambda x: Truncation.fit(x, 3),
    "scalar": lambda x: ScalarQuantizer.fit(x, 11),
    "entropy": lambda x: EntropyCodedScalar.fit(x, 9),
    "dithered": lambda x: DitheredScalar.fit(x, 9),
    "product": lambda x: product(fit_pca(x, 4)),
    "trellis": lambda x: TrellisCode.fit(x, 12, memory=2, rounds=1),
    "signs": lambda x: SignBits.fit(x, 4, transform="rotation"),
    "rescored": lambda x: SignBitsRescored.fit(x, 10),
    "int8": Int8.fit,
    "rank": RankCode.fit,
    "stretched": lambda x: Renormalized.fit(ScalarQuantizer.fit(x, 11), x),
    "by direction": lambda x: Directional.fit(ScalarQuantizer.fit(x, 11)),
    "weighted, entropy-coded": lambda x: Weighted.fit(recoded(x), np.arange(1, D + 1)),
}


def product(transform):
    """A product quantizer of two uneven blocks, whose words are all zero."""
    return ProductQuantizer(
        transform, jnp.zeros((2, 1, 4, 3), transform.mean.dtype), ((0, 1, 3), (2,)), ((2,), (1,)), 4
    )


def recoded(x):
    code = ScalarQuantizer.fit(x, 11)
    return EntropyCoded.fit(code, code.encode(x))


@pytest.fixture(scope="module")
def vectors():
    return np.random.default_rng(8).standard_normal((100, D)) * 0.6 ** np.arange(D)


@pytest.mark.parametrize("name", FITS)
@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_a_saved_code_comes_back_bit_for_bit(name, kind, vectors):
    code = FITS[name](vectors.astype(kind))
    data = save_code(code, {"fitted on": "a test"})
    assert len(data) == file_bytes(code, {"fitted on": "a test"})
    again, notes = load_code(data, "the file")
    assert notes == {"fitted on": "a test"}
    assert type(again) is type(code)
    assert jax.tree.structure(again) == jax.tree.structure(code)
    for old, new in zip(jax.tree.leaves(code), jax.tree.leaves(again), strict=True):
        assert isinstance(new, jax.Array)
        assert (old.dtype, old.shape) == (new.dtype, new.shape)
        np.testing.assert_array_equal(old, new)
    assert again.fingerprint == code.fingerprint
    assert save_code(again, notes) == data
    symbols = np.zeros((3, code.num_symbols), np.int32)
    np.testing.assert_array_equal(again.from_bytes(code.to_bytes(symbols)), symbols)


def test_any_reader_of_safetensors_finds_the_arrays(vectors):
    code = ScalarQuantizer.fit(vectors, 11)
    arrays = load(save_code(code))
    assert set(arrays) == {"levels", "thresholds", "transform.mean", "transform.basis", "transform.variances"}
    np.testing.assert_array_equal(arrays["transform.basis"], code.transform.basis)


def test_every_code_and_transform_of_the_package_can_be_saved():
    """A class that is added to the package joins `saved.CLASSES`."""
    for module in pkgutil.iter_modules(rdjax.codes.__path__):
        parts = vars(importlib.import_module(f"rdjax.codes.{module.name}"))
        made = [kind for kind in parts.values() if inspect.isclass(kind) and dataclasses.is_dataclass(kind)]
        for kind in made:
            if kind.__module__.startswith("rdjax.codes.") and (issubclass(kind, Code) or hasattr(kind, "invert")):
                assert CLASSES.get(kind.__name__) is kind, kind


class Stranger(Int8):
    """Of a user's own."""


@pytest.mark.parametrize("wrap", [lambda code: code, lambda code: Weighted.fit(code, np.ones(D))])
def test_a_class_that_could_not_be_loaded_is_not_saved(wrap, vectors):
    code = wrap(Stranger.fit(vectors))
    with pytest.raises(InputError, match="Stranger is no code that a file can hold"):
        save_code(code)


@pytest.fixture(scope="module")
def whole(vectors):
    return save_code(ScalarQuantizer.fit(vectors, 11), {"side": "documents"})


def test_every_cut_and_every_flipped_byte_is_refused(whole):
    for i in range(len(whole)):
        for bad in (whole[:i], whole[:i] + bytes([whole[i] ^ 1 << i % 8]) + whole[i + 1 :]):
            with pytest.raises(InputError) as caught:
                load_code(bad, "x.safetensors")
            assert str(caught.value).startswith("x.safetensors ")
            assert "\n" not in str(caught.value)


def changed(whole, change, arrays=None):
    """The file with its record changed, a hand-made one whose checksum may be wrong."""
    (length,) = struct.unpack("<Q", whole[:8])
    record = json.loads(json.loads(whole[8 : 8 + length])["__metadata__"][KEY])
    change(record)
    return save(load(whole) if arrays is None else arrays, {KEY: json.dumps(record)})


def sealed(whole, change, monkeypatch, arrays=None):
    """The same by somebody who forges the checksum too."""
    monkeypatch.setattr("rdjax.codes.saved._checksum", lambda code, notes: "forged")
    return changed(whole, lambda record: (change(record), record.update(checksum="forged")), arrays)


def test_strangers_files_are_refused(whole):
    for bad, message in {
        b"": "is no .safetensors file",
        b"\x80\x04K\x01." * 9: "is no .safetensors file; give a code that encode saved",  # a pickle
        b"PK\x03\x04" + b"\0" * 200: "was cut short|is no .safetensors",
        save({"weight": np.zeros(3)}): "holds no code of rdjax",
        save({"weight": np.zeros(3)}, {KEY: "7"}): "is no .safetensors file, or its header is damaged",
        changed(whole, lambda r: r.update(version=2)): "has format version 2 and this rdjax reads version 1",
        changed(whole, lambda r: r.pop("code")): "is damaged",
        changed(whole, lambda r: r.update(notes=3)): "is damaged",
        changed(whole, lambda r: r["notes"].update(side="queries")): "does not agree with its checksum",
    }.items():
        with pytest.raises(InputError, match=message):
            load_code(bad, "x.safetensors")


def test_a_forged_file_makes_no_class_by_name_and_no_useless_code(whole, monkeypatch):
    def named(name):
        return lambda record: record["code"].update({"class": name})

    def fields(**values):
        return lambda record: record["code"]["fields"].update(values)

    arrays = load(whole)
    narrow = {**arrays, "levels": arrays["levels"][:2]}
    for change, given in (
        (named("os.system"), None),
        (named("Path"), None),
        (named("Projection"), None),
        (fields(surprise=1), None),
        (fields(levels=3), None),
        (fields(levels={"array": "nowhere"}), None),
        (fields(allocation=[1, 2]), None),
        (fields(allocation=[-1, *[1] * (arrays["levels"].shape[0] - 1)]), None),
        (fields(allocation=[10**10, *[1] * (arrays["levels"].shape[0] - 1)]), None),
        (fields(allocation=["a", *[1] * (arrays["levels"].shape[0] - 1)]), None),
        (fields(transform={"class": "Int8", "fields": {"scale": {"array": "levels"}}}), None),
        (lambda record: record.update(code=[]), None),
        (lambda record: None, narrow),
    ):
        with pytest.raises(InputError, match="describes no code that this rdjax knows"):
            load_code(sealed(whole, change, monkeypatch, given), "x.safetensors")
    load_code(sealed(whole, lambda record: None, monkeypatch), "x.safetensors")  # so that the test can fail


def offsets(change):
    """A change of the header: of what it says of the array that ends the file, and of the one before."""

    def spoil(header):
        arrays = sorted((entry for name, entry in header.items() if name[0] != "_"), key=lambda e: e["data_offsets"])
        change(arrays[-1], arrays[-2])

    return spoil


@pytest.mark.parametrize(
    ("change", "end"),
    [
        (lambda header: None, b"more"),
        (offsets(lambda last, other: last.update(data_offsets=[n + 8 for n in last["data_offsets"]])), b"8 bytes."),
        (offsets(lambda last, other: last.update(data_offsets=[n - 8 for n in last["data_offsets"]])), b""),
        (offsets(lambda last, other: last.update(data_offsets=other["data_offsets"])), b""),
        (offsets(lambda last, other: last.update(data_offsets=[10**30, 10**30 + 8])), b""),
        (offsets(lambda last, other: last.update(data_offsets=["0", "8"])), b""),
        (offsets(lambda last, other: last.update(shape=[-1, *last["shape"][1:]])), b""),
        (offsets(lambda last, other: last.update(shape=[2**40, 2**40])), b""),
        (offsets(lambda last, other: last.update(dtype="F63")), b""),
        (offsets(lambda last, other: last.pop("data_offsets")), b""),
    ],
)
def test_arrays_fill_the_file_one_after_the_other(whole, monkeypatch, change, end):
    """As the format's own reader has it; the checksum is forged, so that nothing else refuses them."""
    data = sealed(whole, lambda record: None, monkeypatch)
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    change(header)
    text = json.dumps(header).encode()
    bad = struct.pack("<Q", len(text)) + text + data[8 + length :] + end
    with pytest.raises(SafetensorError):
        load(bad)
    with pytest.raises(InputError, match="is damaged"):
        load_code(bad, "x.safetensors")


def test_what_a_header_says_twice_is_refused(whole):
    """Readers differ in which of the two they believe."""
    (length,) = struct.unpack("<Q", whole[:8])
    twice = b'{"__metadata__":{},' + whole[9 : 8 + length]
    with pytest.raises(
        InputError, match=r"x\.safetensors is no \.safetensors file, or its header is damaged; fetch it"
    ):
        load_code(struct.pack("<Q", len(twice)) + twice + whole[8 + length :], "x.safetensors")


def test_float64_is_not_narrowed_in_silence(whole):
    with jax.enable_x64(False), pytest.raises(InputError, match="fitted in float64, which JAX has off"):
        load_code(whole, "x.safetensors")


def test_what_is_no_plain_data_is_a_bug_and_not_saved(vectors):
    code = Truncation(Truncation.fit(vectors, 2).transform, store={"a": 1})
    with pytest.raises(TypeError, match="store is a dict"):
        save_code(code)
