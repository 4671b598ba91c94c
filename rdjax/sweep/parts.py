"""The folder of a sweep: finished cells as part files, what they belong to as a manifest, and the merged table.

    DIR/manifest.json                          the config, the versions, what the columns mean
    DIR/parts/FIRST-COUNT-DIGEST.parquet       finished cells FIRST .. FIRST + COUNT - 1
    DIR/table.parquet                          all cells in order, once all are finished

A part appears whole, by one rename, under a name that says which cells it holds and what its contents hash to. So the
parts are the state of the sweep: there is no checkpoint beside them that could be older or newer than the results
(which is why Orbax, made for large trees of arrays that change, is not used: a sweep's state only grows, by files that
never change). Whoever resumes, with other devices, processes or sizes of parts, reads the names, computes what is
missing, and gets the same numbers.
"""

import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import rdjax
from rdjax.checks import InputError, require
from rdjax.data.writing import staged
from rdjax.sweep.config import Sweep
from rdjax.sweep.tables import FORMATS, Columns, from_bytes, to_bytes, write_stream

SCHEMA = "rdjax.sweep/2"
MANIFEST, PARTS, TABLE = "manifest.json", "parts", "table"
_NAME = re.compile(r"(\d{12,})-(\d{7,})-([0-9a-f]{16})(\.parquet|\.csv)")


class Part(NamedTuple):
    """A file of finished cells first .. end - 1."""

    first: int
    end: int
    path: Path


def manifest_of(sweep: Sweep, suffix: str, platform: str) -> dict[str, Any]:
    """What the parts of a folder have in common: equal manifests, equal numbers."""
    versions = {"rdjax": rdjax.__version__, **{name: version(name) for name in ("jax", "jaxlib", "numpy")}}
    return {
        "schema": SCHEMA,
        **sweep.document(),
        "cells": sweep.grid.size,
        "format": suffix,
        "platform": platform,
        "versions": versions,
        "columns": dict(sweep.kind.columns),
    }


def open_folder(out: str | os.PathLike[str], manifest: Mapping[str, Any], *, resume: bool) -> None:
    """Begin a sweep in a folder, or check that it is the one to go on with, and that no part of it is damaged.

    Raises:
      InputError: a sweep is there and not to be resumed; it has another config, version or platform; a part or the
        manifest is damaged; a table is there that is of no sweep; the folder cannot be written. Nothing has changed
        then.
    """
    folder = Path(out)
    place = folder / MANIFEST
    if place.exists():
        require(resume, f"{out} holds a sweep; go on with it by --resume, or name another folder by --out.")
        _compare(_read_manifest(place), manifest, out)
        for part in finished_parts(folder):
            read_part(part)
        _tidy(folder)
        return
    require(not folder.exists() or folder.is_dir(), f"{out} is a file; name a folder by --out.")
    require(
        not finished_parts(folder),
        f"{out} holds parts of a sweep without {MANIFEST}, so it is not known of which; name another folder.",
    )
    for table in (folder / (TABLE + suffix) for suffix in FORMATS):
        require(
            not os.path.lexists(table),
            f"{table} is there without a {MANIFEST}, and a sweep would write over it; move it, or name another folder.",
        )
    try:
        (folder / PARTS).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{out} cannot be written: {error.strerror or error}.") from None
    _tidy(folder)
    _write(place, json.dumps(manifest, indent=1).encode() + b"\n")


def check_folder(out: str | os.PathLike[str], manifest: Mapping[str, Any]) -> None:
    """See that the sweep which the leader opened is the one of this process too.

    Raises:
      InputError: it is not there, or of another config, version or platform.
    """
    place = Path(out) / MANIFEST
    require(place.exists(), f"{place} is not seen by every process; name a folder that they share by --out.")
    _compare(_read_manifest(place), manifest, out)


def finished_parts(folder: Path) -> list[Part]:
    """The part files of a folder, by their first cell."""
    found = []
    if (folder / PARTS).is_dir():
        for path in (folder / PARTS).iterdir():
            match = _NAME.fullmatch(path.name)
            if match:
                first = int(match[1])
                found.append(Part(first, first + int(match[2]), path))
    return sorted(found)


def write_part(folder: Path, columns: Columns, suffix: str) -> None:
    """Put neighboring finished cells on disk, whole or not at all.

    Raises:
      InputError: the disk is full or refuses; the parts that were there still are.
    """
    data = to_bytes(columns, suffix)
    first, count = int(columns["cell"][0]), len(columns["cell"])
    _write(folder / PARTS / f"{first:012d}-{count:07d}-{_digest(data)}{suffix}", data)


def read_part(part: Part) -> dict[str, np.ndarray]:
    """The columns of a part.

    Raises:
      InputError: its contents are not those that its name tells.
    """
    try:
        data = part.path.read_bytes()
    except OSError as error:
        raise InputError(f"{part.path} cannot be read: {error.strerror or error}.") from None
    good = _digest(data) == part.path.stem.rpartition("-")[2]
    require(good, f"{part.path} is damaged; delete it and go on by --resume, and its cells are computed again.")
    return from_bytes(data, part.path.suffix, part.path)


def merge(folder: Path, size: int, suffix: str) -> Path:
    """All parts as one table, sorted by cell, one part in memory at a time; returns its path.

    Raises:
      InputError: cells are missing, a part is damaged, the table cannot be written.
    """
    place = folder / (TABLE + suffix)
    with staged([place]) as (fresh,):
        try:
            write_stream(_in_order(folder, size), fresh)
        except OSError as error:
            raise _refused(place, error) from None
    return place


def _in_order(folder: Path, size: int) -> Iterator[Columns]:
    following = 0
    for part in finished_parts(folder):
        require(
            part.first <= following,
            f"{folder} lacks cells {following} to {part.first - 1}; go on by --resume (and let all processes write "
            "into one folder that they share).",
        )
        if part.end > following:
            yield {name: array[following - part.first :] for name, array in read_part(part).items()}
            following = part.end
    require(following == size, f"{folder} lacks cells {following} to {size - 1}; go on by --resume.")


def _tidy(folder: Path) -> None:
    """Remove what processes left that were killed while they wrote."""
    for left in [*folder.glob(".rdjax-*"), *(folder / PARTS).glob(".rdjax-*")]:
        shutil.rmtree(left, ignore_errors=True)


def _compare(there: Mapping[str, Any], here: Mapping[str, Any], out: str | os.PathLike[str]) -> None:
    for name, old in there.get("versions", {}).items():
        new = here["versions"].get(name)
        require(
            old == new,
            f"{out} holds a sweep of {name} {old} and this is {new}; numbers of two versions do not belong into one "
            f"table: install {name} {old}, or name another folder.",
        )
    for name in ("schema", "kind", "precision", "format", "platform"):
        old, new = there.get(name), here[name]
        require(old == new, f"{out} holds a sweep with {name} {old!r} and this is {new!r}; name another folder.")
    for name in sorted({*there.get("grid", {}), *here["grid"]}):
        old, new = there.get("grid", {}).get(name), here["grid"].get(name)
        require(
            old == new,
            f"{out} holds a sweep of another config: {name} is {_short(old)} there and {_short(new)} here; give the "
            "config it was begun with, or name another folder.",
        )


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _read_manifest(place: Path) -> dict[str, Any]:
    try:
        found = json.loads(place.read_text())
    except (OSError, ValueError):
        found = None
    whole = isinstance(found, dict) and all(isinstance(found.get(name, {}), dict) for name in ("versions", "grid"))
    require(whole, f"{place} is damaged; name another folder, or put the manifest back.")
    assert isinstance(found, dict)
    return found


def _write(place: Path, data: bytes) -> None:
    with staged([place]) as (fresh,):
        try:
            with fresh.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise _refused(place, error) from None


def _refused(place: Path, error: OSError) -> InputError:
    return InputError(
        f"{place} cannot be written: {error.strerror or error}. What was finished is still there; make room and go on "
        "by --resume."
    )


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]
