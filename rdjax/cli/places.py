"""What stands where files are to be written, and would be lost: it is refused before anything is written."""

import contextlib
import json
import os
from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path
from typing import IO

import numpy as np

from rdjax.checks import require
from rdjax.codes.exported import PAGE, listed_stream, listed_tables
from rdjax.codes.frames import read_owner
from rdjax.codes.saved import is_saved_code
from rdjax.data.folders import corpus_files
from rdjax.data.reading import map_whole, open_file

CODE, STREAM = "code.safetensors", ".rdx"
ELSEWHERE = "name another folder by --out."
_INNER_PRODUCT, _ONE = bytes(4), b"\1\0\0\0"  # in a faiss index: the metric, and how many maps come before the rest
_MAP, _AFTER_MAP = 46, 17  # bytes: before a map's count of entries; of what follows these, up to the rest


def keep_inputs(outputs: Iterable[str], inputs: Iterable[str | None]) -> None:
    """No file takes the place of one that is read.

    Raises:
      InputError: an output is an input, by whatever name.
    """
    given = [path for path in inputs if path is not None and os.path.isfile(path)]
    for out in filter(os.path.exists, outputs):
        for path in given:
            require(not os.path.samefile(out, path), f"{out} is {path}, which is read; name another file by --out.")


def keep_other_reports(folder: str, corpus: str) -> None:
    """A report takes the place of nothing but an earlier one of the corpus of that name.

    Raises:
      InputError: the report that stands in the folder is of another.
    """
    other, place = corpus, Path(folder, "report.json")
    if place.is_file():
        with contextlib.suppress(ValueError, KeyError, TypeError):  # one that is damaged is no loss
            other = json.loads(place.read_text(encoding="utf-8"))["setting"]["corpus"]
    require(other == corpus, f"{folder} holds the audit of {other}, and this one is of {corpus}; {ELSEWHERE}")


def keep_what_is_no_stream(place: str) -> None:
    """A stream takes the place of nothing but a stream.

    Raises:
      InputError: something else stands there.
    """
    if os.path.isfile(place):
        with open_file(place) as file:
            ours = read_owner(file) is not None
        require(ours, f"{place} is there and is no stream that encode wrote; name another file by --out.")


def keep_what_is_no_code(place: str) -> None:
    """A saved code takes the place of nothing but one.

    Raises:
      InputError: something else stands there.
    """
    if os.path.isfile(place):
        require(is_saved_code(map_whole(place)), f"{place} is there and is no code that encode saved; {ELSEWHERE}")


def keep_what_is_no_index(place: str) -> None:
    """A faiss index takes the place of nothing but one of the kind that export writes.

    Raises:
      InputError: something else stands there.
    """
    if os.path.isfile(place):
        with open_file(place) as file:
            ours = _is_index(file)
        require(ours, f"{place} is there and is no index that export wrote; name another file by --out.")


def keep_other_codes(folder: str, stream: str, fingerprint: int) -> None:
    """A code takes the place of another only where no other stream needs that one: without its code none is read.

    Args:
      folder: where the code is to be saved as `CODE`.
      stream: the name of the file that is written with it.
      fingerprint: of the new code.

    Raises:
      InputError: another code stands there, and a stream of another name that the new one did not write.
    """
    saved = os.path.join(folder, CODE)
    if not os.path.lexists(saved):
        return
    for name in sorted(os.listdir(folder)):
        other = os.path.join(folder, name)
        if name.endswith(STREAM) and name != stream and os.path.isfile(other):
            with open_file(other) as file:
                owner = read_owner(file)
            kept = owner in (None, fingerprint)
            require(kept, f"{other} was not written by this code, and {saved} may be needed to read it; {ELSEWHERE}")


def keep_other_tables(folder: str, names: list[str], stream: str) -> None:
    """An export takes the place of an earlier one of the same stream and tables, and of nothing else.

    Args:
      folder: where it goes.
      names: of the files that it consists of, `PAGE` among them.
      stream: the name of the file whose symbols they are.

    Raises:
      InputError: a file of one of the names that no export wrote, an export of another stream, or a table of an export
        that this one lacks.
    """
    earlier, other = _exported(os.path.join(folder, PAGE))
    require(other in ("", stream), f"{folder} holds the tables of {other}; {ELSEWHERE}")
    for name in (name for name in names if name not in earlier):
        place = os.path.join(folder, name)
        require(not os.path.lexists(place), f"{place} is there and is no table that export wrote; {ELSEWHERE}")
    for name in (name for name in earlier if name not in names):
        place = os.path.join(folder, name)
        require(not os.path.lexists(place), f"{place} is a table of another kind of code; {ELSEWHERE}")


def keep_to_endings(out: str) -> None:
    """An index whose ending is mistyped does not become a folder of tables.

    Raises:
      InputError: no folder, with an ending that is nearly one of an index.
    """
    ending = Path(out).suffix.lower()
    meant = not os.path.isdir(out) and bool(get_close_matches(ending, [".faiss", ".index"], n=1, cutoff=0.75))
    exact = Path(out).suffix == ".faiss"
    require(exact or not meant, f"{out} ends neither as an index nor as a folder; an index is FILE.faiss.")


def keep_corpora(folder: str, what: str) -> None:
    """What is written as .npy does not go into the folder of a corpus, which would be another then, or none.

    Args:
      folder: where it is to go.
      what: is to be written, in a word.

    Raises:
      InputError: the folder holds files that are read as a corpus.
    """
    earlier, _ = _exported(os.path.join(folder, PAGE))  # a table of documents has the name of a corpus'
    known = next((name for name in corpus_files(folder) if name not in earlier), None)
    require(known is None, f"{folder} is a corpus, it has {known}, and {what} would spoil it; {ELSEWHERE}")


def keep_other_vectors(place: str, shape: tuple[int, int], first: np.ndarray) -> None:
    """Decoded vectors take the place of nothing but themselves: it may be what was encoded, of which they lack a part.

    Args:
      place: the .npy file that is to be written.
      shape: of its array.
      first: its first rows.

    Raises:
      InputError: another file stands there.
    """
    if not os.path.lexists(place):
        return
    try:
        there = np.load(place, mmap_mode="r", allow_pickle=False)
        same = there.shape == shape and there.dtype == first.dtype and np.array_equal(there[: len(first)], first)
    except (OSError, ValueError, EOFError):
        same = False
    require(same, f"{place} is there and holds something else than these vectors; name another file by --out.")


def _is_index(file: IO[bytes]) -> bool:
    """Whether it begins as `codes.faiss_index` has it: inner products, one linear map, and one of two quantizers."""
    head, rest = file.read(_MAP + 8), os.fstat(file.fileno()).st_size - _MAP
    entries = int.from_bytes(head[_MAP:], "little")
    if not (head[:4] == b"IxPT" and head[33:_MAP] == _INNER_PRODUCT + _ONE + b"LTra\0" and 4 * entries < rest):
        return False
    file.seek(_MAP + 8 + 4 * entries + _AFTER_MAP)
    return file.read(4) in (b"IxPq", b"IxRq")


def _exported(page: str) -> tuple[list[str], str]:
    """The files of the export that a page belongs to, with the page, and its stream; none, if it is no page of ours."""
    try:
        text = Path(page).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return [], ""
    listed = listed_tables(text)
    return ([], "") if listed is None else ([PAGE, *listed], listed_stream(text))
