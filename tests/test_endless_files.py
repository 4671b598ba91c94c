"""Files that never begin, never end, or cannot be printed; and a short run of benchmarks/hostile.py."""

import os
import pathlib
import re
import stat
import subprocess
import sys
import tracemalloc

import numpy as np
import pytest

from rdjax.checks import InputError, printable
from rdjax.cli import app
from rdjax.data import Corpus, load_corpus, load_patterns, load_prior
from rdjax.data.reading import open_file, read_whole
from tests.corpora import IDS, N, arrays, folder, refused
from tests.test_more_files import tensors

pytestmark = pytest.mark.float64_only

NAMES = ["documents.image.npy", "ids.txt", "my.qrels", "corpus.jsonl", "qrels/test.tsv", "bm25.run"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("device", ["pipe", "/dev/zero"])
def test_pipes_and_devices_are_not_opened(tmp_path, name, device):
    """A pipe that nobody writes to would wait forever, and a device of zeros never ends."""
    texts = (
        {"query_ids.txt": "a\nb\nc"} if name == "ids.txt" else {"ids.txt": "\n".join(IDS), "query_ids.txt": "a\nb\nc"}
    )
    judged = {} if name in ("documents.image.npy", "ids.txt", "bm25.run") else {"relevant": None}
    if name == "corpus.jsonl":
        del texts["ids.txt"]
    path = folder(tmp_path, texts, **judged)
    place = pathlib.Path(path, name)
    place.parent.mkdir(exist_ok=True)
    place.unlink(missing_ok=True)
    os.mkfifo(place) if device == "pipe" else place.symlink_to(device)
    refused(path, f"{name} is no file but a pipe or a device; copy it into a file")


def test_a_folder_or_a_name_that_is_none_is_no_file(tmp_path):
    with pytest.raises(InputError, match="cannot be read: Is a directory"):
        open_file(str(tmp_path))
    with pytest.raises(InputError, match=r"prior\\x00 cannot be read: its name is no name of a file"):
        load_prior("prior\0", N)
    loop = tmp_path / "loop.txt"
    loop.symlink_to(loop)
    with pytest.raises(InputError, match="cannot be read: Too many levels of symbolic links"):
        load_prior(loop, N)


@pytest.mark.parametrize("name", ["ids.txt", "my.qrels"])
def test_a_text_larger_than_memory_is_not_read(tmp_path, name):
    """Four terabytes of zeros that are nowhere."""
    path = folder(tmp_path, {"ids.txt": "\n".join(IDS), "query_ids.txt": "a\nb\nc", "my.qrels": ""}, relevant=None)
    os.truncate(pathlib.Path(path, name), 2**42)
    refused(path, rf"{name} has 4\.4e\+03 GB, which is too much for a file of this kind")


def test_a_saved_code_larger_than_memory_is_not_read(tmp_path):
    (tmp_path / "code.safetensors").touch()
    os.truncate(tmp_path / "code.safetensors", 2**42)
    with pytest.raises(InputError, match="too much for a file of this kind"):
        read_whole(str(tmp_path / "code.safetensors"))


@pytest.mark.parametrize("error", [OSError(12, "Cannot allocate memory"), OverflowError("too large")])
@pytest.mark.parametrize("kind", [folder, tensors])
def test_what_cannot_be_mapped(tmp_path, monkeypatch, kind, error):
    path = kind(tmp_path)

    def fail(*arguments, **options):
        raise error

    monkeypatch.setattr(np, "memmap", fail)
    with pytest.raises(InputError, match=r"cannot be mapped into memory: (Cannot allocate memory|its size is beyond)"):
        load_corpus(path)


# what cannot be printed


@pytest.mark.parametrize("name", [b"documents.a\nb.npy", b"documents.\x1b[2J.npy", b"documents.\xff.npy"])
def test_names_of_modalities_that_cannot_be_printed(tmp_path, name):
    path = folder(tmp_path)
    for side in (b"documents", b"queries"):
        target = os.path.join(os.fsencode(path), name.replace(b"documents", side))
        with open(target, "wb") as file:
            np.save(file, np.ones((N if side == b"documents" else 3, 2)))
    sentence = refused(path, "is named .*; name modalities by what can be printed")
    assert sentence.isprintable()


def test_a_folder_whose_name_cannot_be_printed(tmp_path):
    folder(tmp_path)
    strange = os.fsdecode(os.fsencode(tmp_path) + b"/a\n\xffb")
    os.rename(tmp_path / "corpus", strange)
    assert load_corpus(strange).name == r"a\n\udcffb"
    (pathlib.Path(strange) / "relevant.npy").write_bytes(b"")
    with pytest.raises(InputError) as caught:
        load_corpus(strange)
    assert str(caught.value).startswith(f"{tmp_path}/a\\n\\udcffb/relevant.npy is not a .npy array")


def test_a_sentence_is_one_line_of_a_thousand_characters():
    assert printable("a\nb\r\x1b\u2028\ud800é€") == r"a\nb\r\x1b\u2028\ud800é€"
    sentence = str(InputError(f"corpus.tsv line 2 has the grade '{'9' * 10**6}'; it must be a number."))
    assert len(sentence) < 1000
    assert sentence.startswith("corpus.tsv line 2 has the grade '999")
    assert sentence.endswith("999'; it must be a number.")
    whole = f"{'x' * 999}."
    assert str(InputError(whole)) == whole


@pytest.mark.parametrize("array", [False, True])
def test_ids_that_no_text_can_hold(tmp_path, array):
    ids = [*IDS[:3], "\ud800", "d4"]
    path = folder(tmp_path, **({"ids": np.array(ids)} if array else {}))
    if not array:
        (tmp_path / "corpus" / "corpus.jsonl").write_text(
            "".join(f'{{"_id": "{n}"}}\n' for n in [*IDS[:3], r"\ud800", "d4"])
        )
    refused(path, r"holds '\\ud800' in row 3, which no UTF-8 text can hold; rename it")


@pytest.mark.parametrize("order", ["<", ">"])
def test_ids_of_numbers_that_are_no_characters(tmp_path, order):
    path = folder(tmp_path, ids=np.array(IDS, f"{order}U2"))
    assert load_corpus(path).ids.tolist() == IDS
    file = tmp_path / "corpus" / "ids.npy"
    raw = bytearray(file.read_bytes())
    raw[-1 if order == "<" else -4] = 0x7F
    file.write_bytes(raw)
    refused(path, r"ids\.npy holds what is no text; write it again with numpy\.save")


def test_numbers_that_python_does_not_read(tmp_path):
    (tmp_path / "wanted.txt").write_text(f"1\n{'9' * 5000}\n")
    with pytest.raises(InputError, match=r"wanted\.txt line 2 is '999.*write document numbers from 0 to 4"):
        load_patterns(tmp_path / "wanted.txt", N)


# large, and many


def test_one_bad_row_of_a_million_is_named_in_little_memory(tmp_path):
    path = folder(tmp_path)
    rows, bad = 1_000_000, 987_654
    shape = (rows, 4)
    array = np.lib.format.open_memmap(f"{path}/documents.image.npy", mode="w+", dtype=np.float32, shape=shape)
    array[:] = 1
    array[bad, 2] = np.nan
    array.flush()
    other = np.lib.format.open_memmap(f"{path}/documents.text.npy", mode="w+", dtype=np.float16, shape=(rows, 3))
    other[:] = 1
    tracemalloc.start()
    refused(path, rf"documents\.image\.npy has a NaN or infinity in row {bad}; remove that item")
    assert tracemalloc.get_traced_memory()[1] < 2**25  # a block of 2^22 numbers, found finite or not
    array[bad, 2] = 1
    other[bad] = 0
    refused(path, rf"documents\.text\.npy is all zeros in row {bad}")
    assert tracemalloc.get_traced_memory()[1] < 2**25
    tracemalloc.stop()


def test_two_hundred_mutations():
    """In a process of their own: what opens a pickle there, hangs or crashes is counted as wrong."""
    line = [sys.executable, "benchmarks/hostile.py", "--count", "200", "--workers", "1", "--lines", "0", "--arrays"]
    root = pathlib.Path(__file__).parent.parent
    known = {"PYTHONPATH": os.pathsep.join([str(root), *sys.path])}
    done = subprocess.run(line, cwd=root, env={**os.environ, **known}, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search("^200 files in .* s; 0 went wrong$", done.stdout, re.MULTILINE)
    assert re.search("^bytes_changed .*refused", done.stdout, re.MULTILINE)


def test_refusals_of_the_command_line_leave_nothing(tmp_path, monkeypatch):
    from typer.testing import CliRunner

    monkeypatch.chdir(tmp_path)
    path = folder(tmp_path)
    os.remove(f"{path}/relevant.npy")
    os.mkfifo(f"{path}/relevant.npy")
    result = CliRunner().invoke(app, ["audit", path])
    assert result.exit_code == 2
    assert result.stderr == f"{path}/relevant.npy is no file but a pipe or a device; copy it into a file.\n"
    assert stat.S_ISFIFO(os.stat(f"{path}/relevant.npy").st_mode)
    assert [p.name for p in tmp_path.iterdir()] == ["corpus"]


def test_a_modality_is_named_by_text():
    good = {key: value for key, value in arrays().items() if key.startswith("documents.image")}
    with pytest.raises(InputError, match=r"documents.a\\nb is named 'a\\nb'; name modalities"):
        Corpus({"a\nb": good["documents.image"]}, {"a\nb": good["documents.image"]})
