"""Damaged and hostile files: refused in a sentence, never unpickled, never inflated."""

import io
import pickle
import struct
import tracemalloc
import zipfile

import numpy as np
import pytest

from rdjax.checks import InputError
from rdjax.data import Corpus, load_corpus, load_prior
from tests.corpora import N, archive, folder, refused

pytestmark = pytest.mark.float64_only


class Payload:
    """Unpickling it makes a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (self.path, "w")


@pytest.mark.parametrize("key", ["documents.image", "relevant", "ids", "prior"])
@pytest.mark.parametrize("kind", [folder, archive])
def test_pickles_are_never_loaded(tmp_path, kind, key):
    trace = tmp_path / "trace"
    hostile = np.empty(N, object)
    hostile[:] = [Payload(str(trace))] * N
    path = kind(tmp_path, **{key: hostile})
    refused(path, f"{key}.* holds Python objects")
    assert not trace.exists()
    pickle.loads(pickle.dumps(hostile))[0].close()  # the payload works, so the test can fail
    assert trace.exists()


def test_a_pickle_in_place_of_an_archive(tmp_path):
    trace = tmp_path / "trace"
    for name, message in (("corpus.npz", "no complete .npz archive"), ("prior.npy", "is not a .npy array")):
        path = tmp_path / name
        path.write_bytes(pickle.dumps(Payload(str(trace))))
        with pytest.raises(InputError, match=message):
            load_corpus(path) if name.endswith("npz") else load_prior(path, N)
    assert not trace.exists()


def test_truncated_archives(tmp_path):
    path = archive(tmp_path, np.savez_compressed)
    whole = (tmp_path / "corpus.npz").read_bytes()
    for length in range(0, len(whole), 37):
        (tmp_path / "corpus.npz").write_bytes(whole[:length])
        refused(path, "no complete .npz archive")


def test_truncated_folder(tmp_path):
    path = folder(tmp_path)
    file = tmp_path / "corpus" / "documents.image.npy"
    whole = file.read_bytes()
    file.write_bytes(whole[:-1])
    refused(path, r"documents\.image\.npy is cut short: 80 bytes are declared and 79 are there")
    for length in range(0, len(whole) - N * 16, 9):
        file.write_bytes(whole[:length])
        refused(path, r"documents\.image\.npy is not a .npy array or is damaged")


def test_damaged_archives_never_crash(tmp_path):
    """Whatever byte is changed, the corpus is read or refused in a sentence; nothing else comes out."""
    path = archive(tmp_path, np.savez_compressed)
    whole = (tmp_path / "corpus.npz").read_bytes()
    rng = np.random.default_rng(1)
    refusals = 0
    for _ in range(600):
        spoiled = bytearray(whole)
        for place in rng.integers(len(whole), size=rng.integers(1, 4)):
            spoiled[place] = rng.integers(256)
        (tmp_path / "corpus.npz").write_bytes(spoiled)
        try:
            assert isinstance(load_corpus(path), Corpus)
        except InputError as error:
            assert str(error).startswith(path)  # noqa: PT017
            refusals += 1
    assert refusals > 300


HEADERS = [
    b"{'descr': '<f4', 'fortran_order': False, 'shape': (-1, 4)}",
    b"{'descr': '<f4', 'fortran_order': False, 'shape': (5, 4)",
    b"{'descr': '<f4', 'fortran_order': False, 'shape': (5, 1e9)}",
    b"{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000000000000000, 0)}",
    b"{'descr': 'what', 'fortran_order': False, 'shape': (5, 4)}",
    b"__import__('os').abort()",
    b"(" * 3000,
    b"[" * 200 + b"]" * 200,
    b"\xff\xfe\x00",
    b"",
    b" " * 60000,
]


def npy(header, data=b"", version=b"\x01\x00"):
    return b"\x93NUMPY" + version + struct.pack("<H", len(header)) + header + data


@pytest.mark.parametrize("number", range(len(HEADERS)))
def test_hostile_headers(tmp_path, number):
    content = npy(HEADERS[number], bytes(80))
    path = folder(tmp_path)
    (tmp_path / "corpus" / "documents.image.npy").write_bytes(content)
    refused(path, r"documents\.image\.npy (is not a .npy array|declares the impossible shape)")
    with zipfile.ZipFile(tmp_path / "hostile.npz", "w") as file:
        file.writestr("documents.image.npy", content)
    refused(str(tmp_path / "hostile.npz"), r"documents\.image (is not a .npy array|declares the impossible shape)")


def test_an_unknown_format_version(tmp_path):
    path = folder(tmp_path)
    header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (5, 4)}"
    (tmp_path / "corpus" / "documents.image.npy").write_bytes(npy(header, bytes(80), b"\x09\x00"))
    refused(path, r"documents\.image\.npy is not a .npy array")


def bomb(path, size):
    """An archive of zeros, a thousandth of what it inflates to."""
    header = b"{'descr': '|i1', 'fortran_order': False, 'shape': (%d, 1024)}" % (size // 1024)
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as file,
        file.open("documents.image.npy", "w") as member,
    ):
        member.write(npy(header))
        for _ in range(size // 2**20):
            member.write(bytes(2**20))


def test_a_zip_bomb_is_refused_before_it_inflates(tmp_path):
    path = str(tmp_path / "bomb.npz")
    bomb(path, 2**28 + 2**20)
    tracemalloc.start()
    refused(path, r"bomb\.npz would inflate \d+ fold, from .* MB to 0\.2\d+ GB")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**20


def test_an_archive_larger_than_memory_is_refused(tmp_path, monkeypatch):
    path = archive(tmp_path)
    monkeypatch.setattr("rdjax.data.reading._memory", lambda: 100)
    refused(path, "of memory; save a folder of .npy files, which are read in place")


def test_a_header_that_declares_more_than_is_there(tmp_path):
    header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (100000000, 100000)}"
    with zipfile.ZipFile(tmp_path / "corpus.npz", "w") as file:
        file.writestr("documents.image.npy", npy(header, bytes(80)))
    refused(str(tmp_path / "corpus.npz"), "its header declares 80000000000000 bytes and 80 are there")


def test_a_directory_that_declares_more_than_is_there(tmp_path):
    """Both the header and the zip directory lie, and agree: the shortfall shows when the bytes are counted."""
    rows = 2**16
    header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (%d, 4)}" % rows
    content, true = io.BytesIO(), len(npy(header, bytes(80)))
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("documents.image.npy", npy(header, bytes(80)))
    lie = content.getvalue().replace(struct.pack("<I", true), struct.pack("<I", len(npy(header)) + rows * 32))
    assert lie != content.getvalue()
    (tmp_path / "corpus.npz").write_bytes(lie)
    refused(str(tmp_path / "corpus.npz"), "damaged|cut short")
