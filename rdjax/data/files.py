"""Files that people have: one .npz or .safetensors, or a folder of .npy, .parquet or .jsonl with judgments beside."""

import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from rdjax import checks
from rdjax.checks import InputError, require
from rdjax.data.beir import QRELS
from rdjax.data.corpus import Corpus, trusted
from rdjax.data.folders import BY_ID, RUN, read_folder
from rdjax.data.keys import KNOWN, SIDES, canonical, kept_once
from rdjax.data.qrels import Judged, judgment_arrays, match_ids, read_qrels
from rdjax.data.ranked import Run
from rdjax.data.reading import read_lines, read_npy, read_npz
from rdjax.data.runs import read_run
from rdjax.data.stored import Found, narrow, plain
from rdjax.data.tensors import open_tensors

PATTERNS = 10**9  # entries of a table of who wants what


def load_corpus(path: str | os.PathLike[str], *, memory: float | None = None) -> Corpus:
    """A corpus from one .npz or .safetensors file, or from a folder.

    Keys of the file, or names of .npy files in the folder: documents.NAME and queries.NAME for each modality NAME
    (documents and queries alone make one modality called "embedding"), and optionally relevant, grades, ids, query_ids,
    prior, as in `Corpus`. bfloat16 in uint16 is called NAME.bf16; int8 may have NAME.scale beside it, a number or [D];
    both become float32. All else stays as it is, and memory-mapped unless it comes from .npz or .parquet.

    A folder may also hold, each in place of arrays: ids.txt and query_ids.txt, one id per line; corpus.jsonl and
    queries.jsonl, of which `_id` is read; documents.parquet and queries.parquet with a column `id`, a column of lists
    for each modality, and among the queries a column `relevant` of document ids; judgments by id of every query in
    qrels.txt, qrels.tsv or NAME.qrels (TREC or BEIR), or of some in qrels/test.tsv, where the other queries are left
    out and `notes` says how many. NAME.run or NAME.trec is what another system ranked (TREC), in `runs`.

    Args:
      path: of the file, of the folder, or of a file FOLDER/qrels/SPLIT.tsv to be judged by in place of test.tsv.
      memory: bytes that arrays may take which are not mapped; None: all that this process may have.

    Raises:
      InputError: one sentence that names the file, and the row or line: a missing, damaged or unknown file or key,
        pickled objects (never unpickled), what inflates beyond reason, a table without pyarrow, and all that `Corpus`
        refuses.
    """
    place, where = Path(path), str(path)
    require(os.path.exists(path), f"{where or 'the path is empty, and a file of no name'} does not exist.")
    name = checks.printable(place.stem if place.is_file() else place.resolve().name)
    if place.is_dir():
        found = read_folder(where, memory=memory)
    elif place.suffix == ".npz":
        found = _archive(where, memory)
    elif place.suffix == ".safetensors":
        found = _tensors(where)
    elif place.suffix == ".tsv" and place.resolve().parent.name == QRELS:
        found = read_folder(os.path.normpath(os.path.join(os.path.dirname(where), os.pardir)), where, memory)
        name = f"{place.resolve().parent.parent.name} {place.stem}"
    elif place.suffix in (".npy", ".parquet"):
        both = f"documents{place.suffix}, beside queries{place.suffix}"
        raise InputError(f"{where} is one side of a corpus; put it into a folder as {both}, and give that.")
    else:
        raise InputError(f"{where} is neither a .npz or .safetensors file nor a folder; save it as one of them.")
    return trusted(_corpus(plain(found), where, name), stored_bits=narrow(found))


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


def load_patterns(path: str | os.PathLike[str], num_documents: int) -> np.ndarray:
    """Which documents each query wants, from a text: a line of document numbers from 0 for each query.

    Args:
      path: of the file.
      num_documents: N.

    Returns:
      booleans [P, N].

    Raises:
      InputError: no such file, a line that is empty or holds something else; the sentence names the line.
    """
    where = str(path)
    lines = list(read_lines(where))
    require(bool(lines), f"{where} is empty; write a line of document numbers for each query.")
    require(
        len(lines) * num_documents <= PATTERNS,
        f"{where} has {len(lines):,} lines, for {num_documents:,} documents; leave out documents that no line names.",
    )
    patterns = np.zeros((len(lines), num_documents), bool)
    for row, line in enumerate(lines):
        numbers = line.replace(",", " ").split()
        good = bool(numbers) and all(_numbers_document(text, num_documents) for text in numbers)
        require(good, f"{where} line {row + 1} is {line!r}; write document numbers from 0 to {num_documents - 1}.")
        patterns[row, [int(text) for text in numbers]] = True
    return patterns


def _numbers_document(text: str, num_documents: int) -> bool:
    """Whether a text is a number below N; one of thousands of digits Python would not read."""
    return text.isdecimal() and len(text) <= 20 and int(text) < num_documents


def _key_check(path: str) -> Callable[[Iterable[str]], None]:
    """What raises if a file has keys that are unknown, or one twice."""

    def check(keys: Iterable[str]) -> None:
        seen: set[str] = set()
        for key in keys:
            kept = canonical(key)
            require(kept is not None, f"{path} has the key {key!r}, which is unknown; the known ones are {KNOWN}.")
            once = kept_once(str(kept))
            require(once not in seen, f"{path} has {once} twice; keep one.")
            seen.add(once)

    return check


def _archive(path: str, memory: float | None) -> Found:
    arrays = read_npz(path, _key_check(path), memory)
    return {str(canonical(key)): (f"{path}: {key}", array) for key, array in arrays.items()}


def _tensors(path: str) -> Found:
    tensors = open_tensors(path)
    _key_check(path)(tensors)
    return {str(canonical(key)): (f"{path}: {tensor.name}", tensor.read()) for key, tensor in tensors.items()}


def _corpus(found: Found, path: str, name: str) -> Corpus:
    sides: dict[str, dict[str, np.ndarray]] = {side: {} for side in SIDES}
    for key, (_, array) in found.items():
        side, _, modality = key.partition(".")
        if side in sides and modality and not key.endswith(RUN):
            sides[side][modality] = array
    for side, arrays in sides.items():
        require(bool(arrays), f"{path} has no {side}; it must hold {side}.NAME, one array for each modality.")
    ids, query_ids = (_ids(*found[key]) if key in found else None for key in ("ids", "query_ids"))
    by_id = _by_id(found, path, ids, query_ids)
    relevant, grades = (found.get(key, (None, None))[1] for key in ("relevant", "grades"))
    if by_id is not None and "split" not in found:
        relevant, grades = _all_judged(by_id, _judgments(found)[0], None if "relevant ids" in found else query_ids)
    corpus = Corpus(
        documents=sides["documents"],
        queries=sides["queries"],
        relevant=relevant,
        grades=grades,
        ids=ids,
        query_ids=query_ids,
        prior=found["prior"][1] if "prior" in found else None,
        runs=_runs(found, path, ids, query_ids),
        name=name,
        sources={key: where for key, (where, _) in found.items()},
    )
    kept = corpus if by_id is None or "split" not in found else _judged_only(corpus, by_id, found["split"][0])
    return trusted(kept, notes=(*kept.notes, *_left_out_by_runs(kept)))


def _left_out_by_runs(corpus: Corpus) -> Iterator[str]:
    """A note of each run that says nothing of some queries: others take the mean over those that it has."""
    for name, run in corpus.runs.items():
        silent = int(np.all(np.asarray(run.documents) < 0, axis=1).sum())
        if silent:
            asked = f"{silent:,} of the {corpus.num_queries:,} queries"
            yield f"{asked} are not in the run {name}, where all documents tie for them"


def _all_judged(judged: Judged, where: str, query_ids: Any) -> tuple[Any, Any]:
    """Relevant documents and grades as arrays; every query must have one."""
    row = next((row for row, documents in enumerate(judged) if not documents), None)
    if row is not None:
        query = f"the query in row {row}" if query_ids is None else f"query {str(query_ids[row])!r}"
        raise InputError(f"{where} has no relevant document for {query}; judge it or leave it out.")
    return judgment_arrays(judged)


def _judged_only(corpus: Corpus, judged: Judged, where: str) -> Corpus:
    """The queries that are judged; all are checked before, so that an error numbers them as the files do."""
    kept = [row for row, documents in enumerate(judged) if documents]
    require(bool(kept), f"{where} has no relevant document for any query; judge some.")
    part = corpus.take_queries(kept)
    relevant, grades = judgment_arrays([judged[row] for row in kept])
    left, count = corpus.num_queries - len(kept), corpus.num_queries
    note = f"{left:,} of {count:,} queries have no relevant document in {os.path.basename(where)} and are left out"
    return trusted(part, relevant=relevant, grades=grades, notes=(*part.notes, note) if left else part.notes)


def _judgments(found: Found) -> list[str]:
    """What an error calls each of the places where judgments are."""
    return [found[key][0] for key in ("relevant", "grades", *BY_ID) if key in found]


def _by_id(found: Found, path: str, ids: Any, query_ids: Any) -> Judged | None:
    """The documents that each query is judged by their ids to want, or None if nothing judges by id."""
    key = next((key for key in BY_ID if key in found), None)
    if key is None:
        return None
    where, judgments = found[key]
    others = [place for place in _judgments(found) if place != where]
    here = os.path.basename(where)
    if others:
        raise InputError(f"{path} has judgments both in {os.path.basename(others[0])} and in {here}; keep one.")
    for name, values in (("ids", ids), ("query_ids", query_ids)):
        needless = key == "relevant ids" and name == "query_ids"
        require(
            values is not None or needless,
            f"{where} judges by id and {path} has no {name}; add {name}.txt, one id per line.",
        )
        if values is not None:
            checks.distinct(values, found[name][0])
    if key == "relevant ids":
        return match_ids(judgments, where, ids)
    return read_qrels(judgments, ids, query_ids)


def _runs(found: Found, path: str, ids: Any, query_ids: Any) -> dict[str, Run]:
    """What other systems ranked, by name."""
    paths = {key.removesuffix(RUN): item[0] for key, item in found.items() if key.endswith(RUN)}
    for where in paths.values():
        for name, values in (("ids", ids), ("query_ids", query_ids)):
            require(
                values is not None, f"{where} ranks by id and {path} has no {name}; add {name}.txt, one id per line."
            )
    return {checks.printable(name): read_run(where, ids, query_ids) for name, where in paths.items()}


def _ids(where: str, values: Any) -> Any:
    """Ids as strings: a list of them, or an array of strings, bytes or whole numbers."""
    if isinstance(values, list):
        return values
    require(values.dtype.kind in "USiu", f"{where} holds {values.dtype} values; it must hold strings.")
    require(values.ndim == 1, f"{where} has shape {values.shape}; it must be a list of ids.")
    if values.dtype.kind != "S":
        return values if values.dtype.kind == "U" else values.astype(str)
    try:
        return np.char.decode(values, "utf-8")
    except UnicodeDecodeError:
        raise InputError(f"{where} holds bytes that are not UTF-8; save it as numpy.array(ids, dtype=str).") from None
