"""A folder: every file in it that has a known name brings some keys, in whatever format it is."""

import os
import re
from collections.abc import Iterable
from typing import Any

from rdjax.checks import InputError, require
from rdjax.data.beir import QRELS, judgments_file, read_json_ids
from rdjax.data.keys import KNOWN, SINGLE, canonical, kept_once
from rdjax.data.reading import read_lines, read_npy
from rdjax.data.stored import Found
from rdjax.data.tables import Table

#: Judgments by id: "qrels" judges every query, "split" those that it names, "relevant ids" stand beside the queries.
BY_ID = ("qrels", "split", "relevant ids")

RUN = " (run)"  # ends the key of a ranking by another system, after its name

_TEXTS = {"ids.txt": "ids", "query_ids.txt": "query_ids"}
_JSON = {"corpus.jsonl": "ids", "queries.jsonl": "query_ids"}
_QRELS = ("qrels.txt", "qrels.tsv")
_RUNS = (".run", ".trec")
_TABLES = {"documents.parquet": ("documents", "ids"), "queries.parquet": ("queries", "query_ids")}

_PACKED = (".gz", ".bz2", ".xz", ".zst", ".zip")
_ARRAYS = (".npz", ".safetensors", ".parquet")
_WRITTEN = (".txt", ".csv", ".tsv", ".json", ".jsonl")
_OURS = re.compile(r"(documents|queries|corpus|relevant|grades|ids|query_ids|prior)(?![a-z])")  # begins what we read


def read_folder(path: str, judgments: str | None = None, memory: float | None = None) -> Found:
    """What a folder holds: canonical key -> (what an error calls it, array or list); arrays in .npy are mapped.

    Args:
      path: as the user typed it.
      judgments: the file of judgments to use, in the folder's `qrels`; None: test.tsv, or the only one.
      memory: bytes that there are for what is not mapped; None: the machine's.

    Returns:
      keys as in an .npz file, ids as lists, and of `BY_ID` and runs (name and `RUN`) what there is: of files the
      path, read when ids are known.

    Raises:
      InputError: an array of unknown name, one key from two files, damage, or what would be missed: packed files,
        tables in pieces, archives, what is read from .npy or ids.txt in another format (prior.txt), and judgments under
        another name where nothing else judges.
    """
    found: Found = {}
    unread: list[str] = []
    try:
        names = sorted(name for name in os.listdir(path) if not name.startswith("."))
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}.") from None
    for name in names:
        contents = _contents(os.path.join(path, name), name, judgments, memory)
        unread += [] if contents else [name]
        for key, item in contents.items():
            earlier = next((kept for kept in found if kept_once(kept) == kept_once(key)), None)
            if earlier is not None:
                first = os.path.relpath(found[earlier][0], path)
                raise InputError(f"{path} has both {first} and {os.path.relpath(item[0], path)}; keep one.")
            found[key] = item
    _require_none_missed(path, unread, set(names), judged=any(key in found for key in ("relevant", *BY_ID)))
    return found


def corpus_files(path: str) -> list[str]:
    """Names of the files in a folder that bring vectors or judgments; none where there is no folder."""
    names = sorted(os.listdir(path)) if os.path.isdir(path) else []
    return [n for n in names if _is_read(n) and (not n.endswith(".npy") or canonical(n.removesuffix(".npy")))]


def _require_none_missed(path: str, unread: Iterable[str], names: set[str], *, judged: bool) -> None:
    """Of the files that mean nothing here, none looks like what its owner wants to be read."""
    for name in unread:
        where, stem = os.path.join(path, name), name.removesuffix(os.path.splitext(name)[1])
        if os.path.isdir(where):
            continue
        packed = name.endswith(_PACKED)
        elsewhere = "or keep it elsewhere."
        if "qrels" in name.lower():
            word = "unpack it and " if packed else ""
            require(judged, f"{where} may hold judgments and is not read; {word}name it qrels.txt, {elsewhere}")
        elif packed:
            missed = stem not in names and _is_read(stem)
            require(not missed, f"{where} is packed and not read; unpack it, {elsewhere}")
        elif name.endswith(_ARRAYS) and _OURS.match(name):
            single = "arrays are .npy files, or columns of documents.parquet and queries.parquet"
            raise InputError(f"{where} is not read: in a folder {single}; save them so, {elsewhere}")
        elif stem in SINGLE and name.endswith(_WRITTEN):
            known = f"{stem}.txt, one id per line" if f"{stem}.txt" in _TEXTS else f"{stem}.npy"
            raise InputError(f"{where} is not read: in a folder this is {known}; save it so, {elsewhere}")


def _is_read(name: str) -> bool:
    """Whether a file of this name brings something."""
    return name.endswith((".npy", ".qrels", *_RUNS)) or name in (*_TEXTS, *_JSON, *_TABLES, *_QRELS)


def _contents(where: str, name: str, judgments: str | None, memory: float | None) -> Found:
    """The keys that one file brings; none, if its name means nothing."""
    if name.endswith(".npy"):
        key = canonical(name.removesuffix(".npy"))
        require(key is not None, f"{where} is unknown; the known names are {KNOWN}, each with .npy.")
        return {str(key): (where, read_npy(where))}
    if name in _TEXTS:
        return {_TEXTS[name]: (where, _read_ids(where))}
    if name in _JSON:
        return {_JSON[name]: (where, read_json_ids(where))}
    if name in _TABLES:
        return _columns(Table(where, memory), *_TABLES[name])
    if name in _QRELS or name.endswith(".qrels"):
        return {"qrels": (where, where)}
    if name.endswith(_RUNS):
        return {f"{name.rpartition('.')[0]}{RUN}": (where, where)}
    if name == QRELS and os.path.isdir(where):
        judged = judgments or judgments_file(where)
        return {"split": (judged, judged)}
    return {}


def _columns(table: Table, side: str, ids: str) -> Found:
    """The keys of a table, each named as its column."""
    found: Found = {}
    for column, array in table.vectors().items():
        found[str(canonical(f"{side}.{column}"))] = (f"{table.path}: {column}", array)
    require(bool(found), f"{table.path} has no column of lists of numbers; write one for each modality.")
    names: Any = table.ids()
    if names is not None:
        found[ids] = (f"{table.path}: id", names)
    lists = table.relevant() if side == "queries" else None
    if lists is not None:
        found["relevant ids"] = (f"{table.path}: relevant", lists)
    return found


def _read_ids(where: str) -> list[str]:
    lines = read_lines(where)
    for number, line in enumerate(lines, start=1):
        require(bool(line), f"{where} line {number} is empty; write one id per line.")
    return lines
