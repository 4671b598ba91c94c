"""Files that people have: one .npz, or a folder of .npy with judgments beside them."""

import os
from pathlib import Path
from typing import Any

import numpy as np

from rdjax import checks
from rdjax.checks import InputError, require
from rdjax.data.corpus import Corpus
from rdjax.data.qrels import read_qrels
from rdjax.data.reading import read_lines, read_npy, read_npz

SINGLE = ("relevant", "grades", "ids", "query_ids", "prior")
KNOWN = "documents.NAME, queries.NAME, " + ", ".join(SINGLE)
TEXTS = {"ids.txt": "ids", "query_ids.txt": "query_ids", "qrels.txt": "qrels", "qrels.tsv": "qrels"}


def load_corpus(path: str | os.PathLike[str]) -> Corpus:
    """A corpus from one .npz file or from a folder of .npy files.

    Keys of the .npz, or names of the .npy files: documents.NAME and queries.NAME for each modality NAME (documents and
    queries alone make one modality called "embedding"), and optionally relevant, grades, ids, query_ids, prior, as in
    `Corpus`. A folder is memory-mapped and never copied whole. It may hold ids.txt and query_ids.txt (one id per line)
    in place of arrays, and qrels.txt, qrels.tsv or NAME.qrels (TREC or BEIR judgments by id) in place of relevant.

    Args:
      path: of the .npz file or of the folder.

    Raises:
      InputError: one sentence that names the file, and the row or line: a missing, damaged or unknown file or key,
        pickled objects (never unpickled), an archive that inflates beyond reason, and all that `Corpus` refuses.
    """
    place = Path(path)
    require(os.path.exists(path), f"{path} does not exist.")
    if place.is_dir():
        found = _folder(place, str(path))
    elif place.suffix == ".npz":
        found = _archive(str(path))
    elif place.suffix == ".npy":
        raise InputError(f"{path} is one array; give the folder that holds documents.NAME.npy and queries.NAME.npy.")
    else:
        raise InputError(f"{path} is neither a .npz file nor a folder of .npy files; save it as one of them.")
    return _corpus(found, str(path), name=place.stem if place.is_file() else place.resolve().name)


def load_prior(path: str | os.PathLike[str], num_documents: int) -> np.ndarray:
    """The probability of each document being sought, from a .npy file or from a text with one number per line.

    Args:
      path: of the file.
      num_documents: N.

    Returns:
      float64 [N], summing to one.

    Raises:
      InputError: a missing or damaged file, a line that is no number, another length than N, or no law.
    """
    where = str(path)
    if Path(path).suffix == ".npy":
        values = read_npy(where)
    else:
        values = np.array([_probability(line, where, row) for row, line in enumerate(read_lines(where), start=1)])
    require(
        values.shape == (num_documents,),
        f"{where} has shape {values.shape}; it must hold one probability for each of the {num_documents} documents.",
    )
    checks.law(values, where)
    return values.astype(np.float64)


def _probability(line: str, where: str, number: int) -> float:
    try:
        return float(line)
    except ValueError:
        raise InputError(f"{where} line {number} is {line!r}; write one number per line.") from None


def _canonical(key: str) -> str | None:
    """The key under which an array is kept, or None for a key that means nothing."""
    if key in ("documents", "queries"):
        return f"{key}.embedding"
    side, _, name = key.partition(".")
    return key if key in SINGLE or (side in ("documents", "queries") and name) else None


def _archive(path: str) -> dict[str, tuple[str, Any]]:
    """Canonical key -> (what an error calls it, array)."""

    def check_keys(keys: list[str]) -> None:
        seen: set[str | None] = set()
        for key in keys:
            kept = _canonical(key)
            require(kept is not None, f"{path} has the key {key!r}, which is unknown; the known ones are {KNOWN}.")
            require(kept not in seen, f"{path} has {kept} twice; keep one.")
            seen.add(kept)

    arrays = read_npz(path, check_keys)
    return {str(_canonical(key)): (f"{path}: {key}", array) for key, array in arrays.items()}


def _folder(place: Path, path: str) -> dict[str, tuple[str, Any]]:
    """Canonical key -> (path, array or lines); judgments by id stay a path, to be read when the ids are known."""
    found: dict[str, tuple[str, Any]] = {}
    try:
        names = sorted(name for name in os.listdir(place) if not name.startswith("."))
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}.") from None
    for name in names:
        where, key = os.path.join(path, name), TEXTS.get(name)
        if name.endswith(".npy"):
            key = _canonical(name.removesuffix(".npy"))
            require(key is not None, f"{where} is unknown; the known names are {KNOWN}, each with .npy.")
        elif name.endswith(".qrels"):
            key = "qrels"
        if key is None:
            continue
        if key in found:
            raise InputError(f"{path} has both {os.path.basename(found[key][0])} and {name}; keep one.")
        found[key] = (where, read_npy(where) if name.endswith(".npy") else where)
    return found


def _corpus(found: dict[str, tuple[str, Any]], path: str, name: str) -> Corpus:
    sides: dict[str, dict[str, np.ndarray]] = {"documents": {}, "queries": {}}
    for key, (_, array) in found.items():
        side, _, modality = key.partition(".")
        if modality:
            sides[side][modality] = array
    for side, arrays in sides.items():
        require(bool(arrays), f"{path} has no {side}; it must hold {side}.NAME, one array for each modality.")
    ids, query_ids = (_ids(*found[key]) if key in found else None for key in ("ids", "query_ids"))
    relevant, grades = _judgments(found, path, ids, query_ids)
    return Corpus(
        documents=sides["documents"],
        queries=sides["queries"],
        relevant=relevant,
        grades=grades,
        ids=ids,
        query_ids=query_ids,
        prior=found["prior"][1] if "prior" in found else None,
        name=name,
        sources={key: where for key, (where, _) in found.items()},
    )


def _judgments(found: dict[str, tuple[str, Any]], path: str, ids: Any, query_ids: Any) -> tuple[Any, Any]:
    """Relevant documents and grades: the arrays, or the judgments by id, or neither."""
    if "qrels" not in found:
        return found.get("relevant", (None, None))[1], found.get("grades", (None, None))[1]
    where = found["qrels"][0]
    for key in ("relevant", "grades"):
        require(key not in found, f"{path} has judgments both in {key} and in {os.path.basename(where)}; keep one.")
    for key, names in (("ids", ids), ("query_ids", query_ids)):
        require(names is not None, f"{where} judges by id and {path} has no {key}; add {key}.txt, one id per line.")
        checks.distinct(names, found[key][0])
    return read_qrels(where, ids, query_ids)


def _ids(where: str, values: Any) -> Any:
    """Ids as strings: lines of a text, or an array of strings, bytes or whole numbers."""
    if isinstance(values, str):
        lines = read_lines(values)
        for number, line in enumerate(lines, start=1):
            require(bool(line), f"{where} line {number} is empty; write one id per line.")
        return lines
    require(values.dtype.kind in "USiu", f"{where} holds {values.dtype} values; it must hold strings.")
    require(values.ndim == 1, f"{where} has shape {values.shape}; it must be a list of ids.")
    if values.dtype.kind != "S":
        return values if values.dtype.kind == "U" else values.astype(str)
    try:
        return np.char.decode(values, "utf-8")
    except UnicodeDecodeError:
        raise InputError(f"{where} holds bytes that are not UTF-8; save it as numpy.array(ids, dtype=str).") from None
