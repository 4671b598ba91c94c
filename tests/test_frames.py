"""The stream: every alteration refused, each with the sentence that fits; hostile bytes never do harm."""

import io
import re
import zlib

import jax
import numpy as np
import pytest

from rdjax.checks import InputError
from rdjax.codes import EntropyCodedScalar, Int8, RankCode, ScalarQuantizer, SignBits, Truncation
from rdjax.codes.frames import ITEMS, VERSION, frame, read_frames
from rdjax.codes.randomized import DitheredScalar
from rdjax.codes.recoded import EntropyCoded
from rdjax.codes.streams import decode_all, encode_all, read_stream, read_symbols, rows_at_once, write_stream

pytestmark = pytest.mark.float64_only
KEY = 0xDEADBEEF


def read(data, key=KEY):
    return list(read_frames(io.BytesIO(data), key, "int8"))


@pytest.mark.parametrize("count", [0, 1, 127, 128, 16_384, ITEMS])
def test_a_frame_keeps_count_and_payload(count):
    assert read(frame(count, b"payload", KEY)) == [(count, 0, b"payload")]


def test_the_header_is_written_out_as_the_page_says():
    data = frame(300, b"abc", KEY)
    head = b"RDX" + bytes([VERSION]) + KEY.to_bytes(4, "big") + bytes([300 % 128 + 128, 300 // 128, 0, 3])
    assert data == head + zlib.crc32(head + b"abc").to_bytes(4, "big") + b"abc"
    assert len(frame(1000, b"x" * 2000, KEY)) == 17 + 2000


def test_the_header_takes_30_bytes_at_most():
    assert len(frame(2**42 - 1, b"", KEY, 2**42 - 1)) + 5 == 30
    with pytest.raises(ValueError, match="2\\^42"):
        frame(2**42, b"", KEY)


def test_several_frames_make_a_stream():
    data = frame(4, b"one", KEY, 3) + frame(3, b"two", KEY, 0)
    assert read(data) == [(4, 3, b"one"), (3, 0, b"two")]


STREAM = frame(300, b"some bytes", KEY, 5) + frame(5, b"more", KEY)
FIRST = len(frame(300, b"some bytes", KEY, 5))
SENTENCES = {
    "was cut short": [STREAM[:i] for i in (0, 1, 3, 10, FIRST - 1, FIRST, len(STREAM) - 1)],
    "goes on after its end": [STREAM + b"\0", STREAM + STREAM],
    "does not begin as a stream of rdjax": [b"\0" + STREAM, b"\x89PNG\r\n\x1a\n", b"PK\x03\x04" * 9, b"\x93NUMPY" * 3],
    "has format version 2 and this rdjax reads version 1": [b"RDX\2" + STREAM[4:]],
    "does not agree with its checksum": [STREAM[: FIRST - 1] + b"!" + STREAM[FIRST:], b"RDX\1" + b"\xff" * 40],
    "a block is missing": [STREAM[:FIRST] * 2, frame(4, b"", KEY, 4) + frame(3, b"", KEY)],
}


@pytest.mark.parametrize("sentence", SENTENCES)
def test_each_way_to_go_wrong_has_its_sentence(sentence):
    for bad in SENTENCES[sentence]:
        with pytest.raises(InputError, match=f"^the stream {sentence}|{sentence}"):
            read(bad)


def test_another_codes_stream_is_told_from_an_altered_one():
    with pytest.raises(InputError, match="written by another code than this int8"):
        read(STREAM, KEY + 1)


def test_every_cut_and_every_flipped_bit_is_refused():
    flipped = [
        STREAM[:i] + bytes([STREAM[i] ^ 1 << bit]) + STREAM[i + 1 :] for i in range(len(STREAM)) for bit in range(8)
    ]
    for bad in flipped + [STREAM[:i] for i in range(len(STREAM))]:
        with pytest.raises(InputError, match=re.compile(r"\A[^\n]*\.\Z")):
            read(bad)


def test_a_count_or_a_length_that_is_a_lie_takes_no_memory():
    """Whoever forges the checksum can still not make the reader hold more than is there."""
    head = b"RDX\1" + KEY.to_bytes(4, "big") + b"\xff\xff\xff\xff\xff\x7f" + b"\0\0"
    with pytest.raises(InputError, match="checksum"):  # 2^42 - 1 items of no bytes
        read(head + zlib.crc32(head).to_bytes(4, "big"))
    head = b"RDX\1" + KEY.to_bytes(4, "big") + b"\1\0" + b"\xff\xff\xff\xff\xff\x7f"
    with pytest.raises(InputError, match="cut short: 3 of 4398046511103 bytes"):
        read(head + bytes(4) + b"abc")


# codes


@pytest.fixture(scope="module")
def vectors():
    return np.random.default_rng(3).standard_normal((300, 6)).astype(np.float32) * 0.7 ** np.arange(6)


@pytest.fixture(scope="module")
def codes(vectors):
    scalar = ScalarQuantizer.fit(vectors, 9)
    made = [scalar, EntropyCodedScalar.fit(vectors, 5), SignBits.fit(vectors), Int8.fit(vectors)]
    made += [RankCode.fit(vectors), Truncation.fit(vectors, 2), EntropyCoded.fit(scalar, scalar.encode(vectors))]
    return made


def test_codes_that_differ_only_in_what_they_were_fitted_on_refuse_each_other(vectors):
    one, other = SignBits.fit(vectors), SignBits.fit(vectors[:200])
    data = one.to_bytes(one.encode(vectors))
    assert one.name == other.name
    with pytest.raises(InputError, match="another code"):
        other.from_bytes(data)
    assert SignBits.fit(vectors.copy()).fingerprint == one.fingerprint


def outcome(code, data):
    """What a stream is read as: its symbols, or the sentence that refuses it; anything else it raises is a bug."""
    try:
        return code.from_bytes(data)
    except InputError as error:
        return str(error)


def test_hostile_streams_are_refused_in_a_sentence_or_decoded_to_symbols(codes, vectors, rng):
    """Random damage, with the checksum set right again, so that it reaches the coders themselves."""
    for code in codes:
        whole = code.pack(np.asarray(code.encode(vectors))[:40])
        for _ in range(60):
            payload = bytearray(whole)
            for place in rng.integers(0, len(payload), rng.integers(1, 4)):
                payload[place] = rng.integers(256)
            payload = bytes(payload[: rng.integers(len(payload) + 1)] if rng.random() < 0.5 else payload)
            count = int(rng.choice([0, 1, 39, 40, 41, ITEMS]))
            found = outcome(code, frame(count, payload, code.fingerprint))
            if isinstance(found, str):
                assert "\n" not in found
            else:
                assert found.shape == (count, code.num_symbols)
                code.to_bytes(found)  # refuses symbols outside their alphabets


def test_a_file_written_in_blocks_holds_the_same_bytes(codes, vectors, monkeypatch):
    """With frames made small: three and a rest, from blocks that fit nothing."""
    monkeypatch.setattr("rdjax.codes.code.ITEMS", 1024)
    monkeypatch.setattr("rdjax.codes.streams._ENTRIES", 256 * 6)
    many = np.resize(vectors, (3300, 6))
    blocks = np.split(many, [1, 700, 701, 2999])
    for code in [*codes[:3], DitheredScalar.fit(vectors, 9)]:  # the last draws by row
        assert (code.items_of_a_frame, rows_at_once(code)) == (1024, 256)
        file = io.BytesIO()
        size = write_stream(code, blocks, len(many), file)
        data, symbols = file.getvalue(), np.asarray(code.encode(many))
        assert size == len(data)
        assert data == code.to_bytes(symbols)
        np.testing.assert_array_equal(code.from_bytes(data), symbols)
        np.testing.assert_array_equal(read_symbols(code, io.BytesIO(data), "x"), symbols)
        read_back = list(read_stream(code, io.BytesIO(data), "x"))
        assert [left for left, _ in read_back][:2] == [3300 - 256, 3300 - 512]
        np.testing.assert_array_equal(np.concatenate([part for _, part in read_back]), code.decode(symbols))
        rate = code.rate(symbols)
        assert rate.packed == 8 * len(data) / 3300
        if code.bits is not None:  # every frame ends on a byte by itself
            assert rate.header == pytest.approx(8 * (len(data) - len(code.pack(symbols))) / 3300, rel=1e-12)


@pytest.mark.parametrize("count", [256, 257, 1500])
def test_many_are_coded_in_blocks_as_they_are_at_once(codes, vectors, monkeypatch, count):
    """Blocks of 256 at most, alike: 257 are 256 and one that is filled up, 1,500 are six of 256, 220 in the last."""
    monkeypatch.setattr("rdjax.codes.streams._ENTRIES", 256 * 6)
    many, sizes = np.resize(vectors, (count, 6)), []
    for code in [*codes[:3], DitheredScalar.fit(vectors, 9)]:  # the last draws by row
        with monkeypatch.context() as patch:
            whole = type(code).encode
            patch.setattr(type(code), "encode", lambda self, x, whole=whole: sizes.append(len(x)) or whole(self, x))
            symbols = encode_all(code, many)
        assert set(sizes) == {256}
        np.testing.assert_array_equal(symbols, code.encode(many))
        np.testing.assert_array_equal(decode_all(code, symbols), code.decode(symbols))


def test_a_block_with_a_nan_names_its_row(codes, vectors):
    bad = np.resize(vectors, (700, 6))
    bad[612, 2] = np.nan
    with pytest.raises(InputError, match="NaN or infinity in row 612"):
        write_stream(codes[0], [bad[:500], bad[500:]], 700, io.BytesIO())
    far = np.repeat(vectors, 300, axis=0)  # some blocks of those that are encoded at a time
    far[66_000, 1] = 1e39
    narrow = jax.tree.map(lambda leaf: leaf.astype(np.float32) if leaf.dtype == np.float64 else leaf, codes[0])
    with pytest.raises(InputError, match="NaN or infinity in row 66000, as float32"):
        write_stream(narrow, [far], len(far), io.BytesIO())
    with pytest.raises(InputError, match="301 vectors were announced and 300 came"):
        write_stream(codes[0], [vectors], 301, io.BytesIO())


def test_no_items_are_a_stream_too(codes):
    for code in codes:
        file = io.BytesIO()
        write_stream(code, [], 0, file)
        assert file.getvalue() == code.to_bytes(np.zeros((0, code.num_symbols), np.int32))
        assert read_symbols(code, io.BytesIO(file.getvalue()), "x").shape == (0, code.num_symbols)
