"""What encode, decode and export do: files in, files out, whole or not at all."""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any

import jax
import numpy as np

from rdjax.audit.asked import sides_of
from rdjax.audit.budgets import fit_family, learns, require_budget
from rdjax.audit.families import RANK_CODE
from rdjax.audit.kept import for_features, notes_of
from rdjax.audit.serving import array_training, serving_training, serving_view
from rdjax.audit.training import Training
from rdjax.audit.view import View
from rdjax.checks import InputError, require, row_blocks, whole
from rdjax.cli import places
from rdjax.cli.auditing import corpora
from rdjax.cli.places import CODE, STREAM
from rdjax.codes import Code
from rdjax.codes.exported import PAGE, code_tables, readme
from rdjax.codes.faiss_index import require_index, to_faiss, write_index
from rdjax.codes.saved import load_code, save_code
from rdjax.codes.streams import read_stream, read_symbols, write_stream
from rdjax.data.reading import map_whole, open_file
from rdjax.data.vectors import is_one_array, load_vectors
from rdjax.data.writing import check_files, staged

FOLDER = "rdjax-codes"

Done = dict[str, Any]


def precision() -> AbstractContextManager[Any]:
    """Float64 where the vectors have it, as in an audit."""
    return jax.enable_x64(True)


@dataclass(frozen=True)
class Job:
    """The vectors to encode, by modality, and what a code for them may be fitted on: a view, or an array.

    None stands for a corpus that is encoded with a saved code. `elsewhere` names the file that is fitted on instead,
    `source` the one that is encoded, "" for none, and `notes` say what of it was left out.
    """

    name: str
    side: str
    features: Mapping[str, np.ndarray]
    material: View | np.ndarray | None
    elsewhere: str
    seed: int
    source: str
    notes: tuple[str, ...] = ()

    @property
    def count(self) -> int:
        """How many vectors."""
        return len(next(iter(self.features.values())))


def encoding(
    path: str | None, *, task: str | None, side: str | None, fit: str | None, family: str | None, seed: int
) -> Job:
    """What the arguments name; without a family nothing is made to fit it on.

    Raises:
      InputError: files that are not there, damaged or do not go together, a side that is none, or a negative seed.
    """
    sides_of(side)
    whole(seed, "the seed", 0)
    if path is not None and is_one_array(path):
        require(task is None, "--task chooses among the emoji tasks; leave it out, or leave out PATH.")
        vectors = load_vectors(path)
        other = vectors if fit is None else load_vectors(fit)
        return Job(Path(path).stem, side or "documents", {"embedding": vectors}, other, fit or "", seed, path)
    fitted, corpus = corpora(path, fit, task)
    side = side or "documents"
    features = corpus.documents if side == "documents" else corpus.queries
    material = None if family is None else serving_view(corpus, fitted, seed, learns=learns(family))
    notes = corpus.notes if side == "queries" else ()
    return Job(side, side, features, material, fit or "", seed, path or "", notes)


def checked(family: str | None, bits: float | None, out: str | None) -> str:
    """The family, when all that can be found out before reading is in order.

    Raises:
      InputError: no family or one that is none, a budget that it does not have, or a folder that cannot be written.
    """
    if family is None:
        raise InputError('no code is named; give --family, e.g. "PCA + scalar", with --bits, or --code FILE.')
    require_budget(family, bits)
    require(out != "", "the name of the folder to write to is empty; name one by --out.")
    saved = os.path.join(FOLDER if out is None else out, CODE)
    check_files([saved])
    places.keep_what_is_no_code(saved)
    return family


def fit_and_encode(job: Job, family: str, bits: float | None, code_class: str | None, out: str | None) -> Done:
    """Fit a code, save it, and encode: two files in the folder `out`.

    Raises:
      InputError: a family, budget or class that is not to be had, files that cannot be written, or a folder where
        another code is needed.
    """
    folder = FOLDER if out is None else out
    files = [os.path.join(folder, name) for name in (CODE, job.name + STREAM)]
    places.keep_inputs(files, (job.source, job.elsewhere))
    places.keep_what_is_no_stream(files[1])
    training, code_class, words = _training(job, family, code_class)
    code = fit_family(family, bits, job.side, training)
    if isinstance(job.material, View):
        code = for_features(code, job.material.scale, job.features)
    notes = notes_of(job.side, family, code_class, words, job.features)
    places.keep_other_codes(folder, job.name + STREAM, code.fingerprint)
    with staged(files) as (saved, stream):
        saved.write_bytes(save_code(code, notes))
        size = _write(code, job, stream)
    return _done(code, f"{code_class}, fitted on {words}", job, size, files)


def refuse_unused(options: list[str]) -> None:
    """No options of a fit stand beside a saved code."""
    words = f"{' '.join(options)}: a code is not fitted where --code gives one; leave one or the other out."
    require(not options, words)


def encode_with(job: Job, path: str, out: str | None) -> Done:
    """Encode with a code that was saved before.

    Raises:
      InputError: a file that holds no code, or vectors that are not those it was fitted for.
    """
    code, notes = _load(path)
    require(job.side in code.sides, f"{path} holds a code for {code.sides[0]}; encode those, with --side.")
    if job.material is None:
        job = _in_order(job, notes, path)
    target = job.name + STREAM if out is None else out
    places.keep_inputs([target], (job.source, path))
    places.keep_what_is_no_stream(target)
    with staged([target]) as (stream,):
        size = _write(code, job, stream)
    made = f"{notes.get('class', '?')} where it was fitted, on {notes.get('fitted on', '?')}"
    return _done(code, made, job, size, [target])


def decode_file(path: str, code_path: str, out: str) -> Done:
    """Decode a stream into one .npy file, a block at a time.

    Raises:
      InputError: a stream or a code that is none, or that do not belong together, a file that cannot be written, a
        place in the folder of a corpus, or one where other vectors are.
    """
    require(Path(out).suffix == ".npy", f"{out} is no .npy file; name one for the vectors.")
    code, _ = _load(code_path)
    places.keep_inputs([out], (path, code_path))
    places.keep_corpora(os.path.dirname(out) or os.curdir, "vectors that are decoded")
    count = 0
    with open_file(path) as stream, staged([out]) as (fresh,), fresh.open("wb") as file:
        for following, block in read_stream(code, stream, path):
            if count == 0:
                places.keep_other_vectors(out, (len(block) + following, code.dimension), block)
                _npy_header(file, (len(block) + following, code.dimension), block.dtype)
            file.write(np.ascontiguousarray(block).data)
            count += len(block)
    return {"code": code.name, "vectors": count, "dimensions": code.dimension, "file": _sizes([out])}


def export_tables(path: str, code_path: str, out: str) -> Done:
    """Write a code and a stream of its symbols as .npy tables with a README, in the folder `out`.

    Raises:
      InputError: as `decode_file`; or what stands in the folder is no earlier export of the same tables.
    """
    code, _ = _load(code_path)
    names = [f"{name}.npy" for name in code_tables(code, np.zeros((0, code.num_symbols), np.int32))] + [PAGE]
    files = [os.path.join(out, name) for name in names]
    places.keep_corpora(out, "tables")
    places.keep_other_tables(out, names, Path(path).name)
    check_files(files)
    tables = code_tables(code, _symbols(code, path))
    with staged(files) as fresh:
        for place, table in zip(fresh, tables.values(), strict=False):
            np.save(place, table, allow_pickle=False)
        fresh[-1].write_text(readme(code, tables, Path(path).name), encoding="utf-8")
    return {"code": code.name, "files": _sizes(files)}


def export_index(path: str, code_path: str, out: str) -> Done:
    """Write a code of fixed length and its stream as a faiss index file.

    Raises:
      InputError: as `decode_file`; no faiss; a code that it has no index for; or a file of another kind stands there.
    """
    code, _ = _load(code_path)
    require_index(code)
    places.keep_inputs([out], (path, code_path))
    check_files([out])
    places.keep_what_is_no_index(out)
    index = to_faiss(code, _symbols(code, path))
    with staged([out]) as (fresh,), fresh.open("wb") as file:
        write_index(index, file)
    return {"code": code.name, "file": _sizes([out])}


def _training(job: Job, family: str, code_class: str | None) -> tuple[Training, str, str]:
    """(what is fitted on, its class, the same in words)."""
    if isinstance(job.material, View):
        usual = "B" if job.side == "documents" else "C"
        known = ("A",) if family == RANK_CODE else ("B", "C")
        good = code_class is None or code_class in known
        require(good, f"the class is {code_class!r}; it must be {' or '.join(known)}.")
        chosen = "A" if family == RANK_CODE else (code_class or usual)
        training, words = serving_training(job.material, chosen, family, job.seed)
        return training, chosen, words
    assert job.material is not None
    require(family != RANK_CODE, "a rank code names documents of a corpus; give a corpus and not one array.")
    chosen = "C" if job.elsewhere else "B"
    require(
        code_class in (None, chosen),
        f"one array fitted on {'another' if job.elsewhere else 'itself'} is class {chosen}.",
    )
    source = Path(job.elsewhere).stem if job.elsewhere else job.name
    return array_training(job.material, job.seed), chosen, f"the vectors of {source}"


def _in_order(job: Job, notes: Mapping[str, str], path: str) -> Job:
    """The job with its modalities in the order of the code."""
    widths = _widths(notes.get("modalities", "{}"), path)
    here = {name: array.shape[1] for name, array in job.features.items()}
    require(
        widths == here,
        f"{path} was fitted on {_listed(widths)} and the corpus has {_listed(here)}; use the code of this corpus.",
    )
    return replace(job, features={name: job.features[name] for name in widths})


def _widths(text: str, path: str) -> dict[str, int]:
    """Columns by modality, as a saved code has noted them."""
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    require(isinstance(found, dict), f"{path} does not say what it was fitted on; use the code of this corpus.")
    return dict(found)


def _listed(widths: Mapping[str, int]) -> str:
    return ", ".join(f"{name} [{width}]" for name, width in widths.items())


def _write(code: Code, job: Job, place: Path) -> int:
    with place.open("wb") as file:
        return write_stream(code, _blocks(job, code.dtype), job.count, file)


def _blocks(job: Job, dtype: Any) -> Iterator[np.ndarray]:
    """The vectors, modalities side by side, in blocks."""
    arrays = list(job.features.values())
    for start, block in row_blocks(arrays[0]):
        rows = slice(start, start + len(block))
        yield np.concatenate([np.asarray(array[rows], dtype) for array in arrays], axis=1)


def _load(path: str) -> tuple[Code, dict[str, str]]:
    return load_code(map_whole(path), path)


def _symbols(code: Code, path: str) -> np.ndarray:
    with open_file(path) as file:
        return read_symbols(code, file, path)


def _npy_header(file: IO[bytes], shape: tuple[int, int], dtype: np.dtype) -> None:
    kind = np.lib.format.dtype_to_descr(dtype)
    np.lib.format.write_array_header_1_0(file, {"descr": kind, "fortran_order": False, "shape": shape})


def _done(code: Code, code_class: str, job: Job, size: int, files: list[str]) -> Done:
    """Bits are per item, the encoder and files in bytes."""
    return {
        "code": code.name,
        "class": code_class,
        **({"note": "; ".join(job.notes)} if job.notes else {}),
        "items": job.count,
        "bits": 8 * size / job.count,
        "encoder": code.encoder_bytes,
        "files": _sizes(files),
    }


def _sizes(files: list[str]) -> dict[str, int]:
    return {file: os.path.getsize(file) for file in files}
