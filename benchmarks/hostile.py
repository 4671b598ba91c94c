"""Hostile files by the ten thousand: each is read as what it says, or refused in one sentence that names it.

    python benchmarks/hostile.py [--count 20000] [--seed 0] [--workers 2] [--lines 100] [--only FORMAT] [--arrays]

Corpora in every format that the loader takes, priors, vectors, wanted documents, runs, saved codes and streams are cut,
flipped, grown, exchanged, mislabelled, emptied, made to declare what is not there, to inflate, to nest, to repeat, to
link to devices and folders and to themselves. What comes of a file must be right (checked again here, and against
NumPy's and safetensors' own readers), or an InputError of one line. An exception of another kind, a warning, a pickle
that is opened, more than 20 seconds or more than 1.5 GB over what a worker began with stops the run with what caused it.
Workers are forked and end by a signal if they hang, so nothing can stop the run. Of the corpora `--lines` go through
the command line: code 2, one line on stderr, no report.
"""

import argparse
import collections
import importlib.util
import json
import os
import pickle
import resource
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
import zipfile
from pathlib import Path

import numpy as np

from rdjax.checks import InputError

N, Q = 6, 4
IDS, QUERY_IDS = [f"d{i}" for i in range(N)], [f"q{i}" for i in range(Q)]
SECONDS, ROOM = 20, 3 << 29  # of one file
LARGE = 1 << 42  # bytes that a file without contents says it has


# Good files. Each writer fills a folder and returns what is to be read; readers are found by its format.


def arrays(rng):
    good = {
        "documents.image": rng.normal(size=(N, 4)).astype(np.float32),
        "documents.text": rng.normal(size=(N, 3)).astype(np.float16),
        "queries.image": rng.normal(size=(Q, 4)),
        "queries.text": rng.normal(size=(Q, 3)),
    }
    return good | {"relevant": rng.integers(N, size=Q)}


def jsonl(names):
    return "".join(json.dumps({"_id": name, "text": f"text of {name}"}) + "\n" for name in names)


def judged(rng, between=" 0 "):
    return "".join(f"q{q}{between}d{rng.integers(N)}{' ' if between == ' 0 ' else between}1\n" for q in range(Q))


def write_npz(place, rng, save=np.savez):
    save(place / "corpus.npz", **arrays(rng), ids=np.array(IDS), prior=np.full(N, 1 / N))
    return place / "corpus.npz"


def write_packed(place, rng):
    return write_npz(place, rng, np.savez_compressed)


def write_tensors(place, rng):
    from safetensors.numpy import save_file

    made = arrays(rng)
    made |= {"documents.text.bf16": rng.integers(1, 2**14, (N, 3)).astype(np.uint16)}
    del made["documents.text"]
    save_file(made, place / "corpus.safetensors")
    return place / "corpus.safetensors"


def write_folder(place, rng, texts=None, without=()):
    corpus = place / "corpus"
    corpus.mkdir()
    for key, array in arrays(rng).items():
        if key not in without:
            np.save(corpus / f"{key}.npy", array)
    for name, text in (texts or {"ids.txt": "\n".join(IDS), "query_ids.txt": "\n".join(QUERY_IDS) + "\n"}).items():
        (corpus / name).parent.mkdir(exist_ok=True)
        (corpus / name).write_text(text)
    return corpus


def write_scaled(place, rng):
    corpus = write_folder(place, rng, {"my.qrels": judged(rng)}, without=["relevant"])
    np.save(corpus / "ids.npy", np.array(IDS))
    np.save(corpus / "query_ids.npy", np.array(QUERY_IDS, "S3"))
    for side, rows in (("documents", N), ("queries", Q)):
        np.save(corpus / f"{side}.small.npy", rng.integers(1, 99, (rows, 5)).astype(np.int8))
        np.save(corpus / f"{side}.small.scale.npy", np.full(5, 0.1, np.float32))
        np.save(
            corpus / f"{side}.half.bf16.npy", rng.integers(0x3800, 0x4000, (rows, 3)).astype(np.uint16)
        )  # 3e-5 to 2
    np.save(corpus / "prior.npy", np.full(N, 1 / N))
    return corpus


def write_beir(place, rng):
    head = "query-id\tcorpus-id\tscore\n"
    texts = {"corpus.jsonl": jsonl(IDS), "queries.jsonl": jsonl(QUERY_IDS), "qrels/test.tsv": head + judged(rng, "\t")}
    return write_folder(place, rng, texts, without=["relevant"])


def write_ranked(place, rng):
    texts = {"ids.txt": "\n".join(IDS), "query_ids.txt": "\n".join(QUERY_IDS), "my.qrels": judged(rng)}
    texts["bm25.run"] = "".join(f"q{q} Q0 d{d} {d + 1} {-d} bm25\n" for q in range(Q) for d in range(3))
    return write_folder(place, rng, texts | {"other.trec": texts["bm25.run"]}, without=["relevant"])


def write_tables(place, rng):
    import pyarrow
    import pyarrow.parquet as parquet

    good, corpus = arrays(rng), place / "corpus"
    corpus.mkdir()
    for side, names in (("documents", IDS), ("queries", QUERY_IDS)):
        columns = {key.partition(".")[2]: list(good[key]) for key in good if key.startswith(side)}
        more = {"relevant": [[f"d{n}"] for n in good["relevant"]]} if side == "queries" else {}
        parquet.write_table(pyarrow.table({"id": names, **columns, **more}), corpus / f"{side}.parquet")
    return corpus


def write_prior(place, rng):
    np.save(place / "prior.npy", np.full(N, 1 / N))
    return place / "prior.npy"


def write_prior_text(place, rng):
    (place / "prior.txt").write_text("\n".join(["0.25", "0.25", "0.125", "0.125", "0.125", "0.125"]) + "\n")
    return place / "prior.txt"


def write_wanted(place, rng):
    (place / "wanted.txt").write_text("0 1\n2\n3,4,5\n")
    return place / "wanted.txt"


def write_vectors(place, rng):
    np.save(place / "vectors.npy", rng.normal(size=(N, 4)))
    return place / "vectors.npy"


CODES = []


def codes():
    """Small fitted codes and their symbols, made once."""
    if not CODES:
        from rdjax.codes import EntropyCodedScalar, Int8, ScalarQuantizer, SignBits

        vectors = np.random.default_rng(0).normal(size=(40, 4)).astype(np.float32)
        made = (ScalarQuantizer.fit(vectors, 9), EntropyCodedScalar.fit(vectors, 6), SignBits.fit(vectors))
        CODES.extend((code, np.asarray(code.encode(vectors))) for code in (*made, Int8.fit(vectors)))
    return CODES


def write_code(place, rng):
    from rdjax.codes.saved import save_code

    (place / "code.safetensors").write_bytes(save_code(codes()[rng.integers(4)][0], {"side": "documents"}))
    return place / "code.safetensors"


def write_stream(place, rng):
    number = int(rng.integers(4))
    code, symbols = codes()[number]
    (place / f"{number}.rdx").write_bytes(code.to_bytes(symbols[: rng.integers(40)]))
    return place / f"{number}.rdx"


CORPORA = {
    "npz": write_npz,
    "packed npz": write_packed,
    "tensors": write_tensors,
    "folder": write_folder,
    "stored folder": write_scaled,
    "BEIR": write_beir,
    "runs": write_ranked,
    "tables": write_tables,
}
if importlib.util.find_spec("pyarrow") is None:
    print("without pyarrow, which is not installed, and tables")
    del CORPORA["tables"]
OTHERS = {
    "prior": write_prior,
    "prior text": write_prior_text,
    "wanted": write_wanted,
    "vectors": write_vectors,
    "code": write_code,
    "stream": write_stream,
}


def read(kind, path):
    """What the file holds, by the loader that its format has; checked."""
    from rdjax.data import load_corpus, load_patterns, load_prior
    from rdjax.data.vectors import is_one_array, load_vectors

    where = str(path)
    if kind in CORPORA:
        corpus = load_corpus(where)
        check_corpus(corpus)
        check_against_others(corpus, path)
        return corpus
    if kind.startswith("prior"):
        law = load_prior(where, N)
        check_law(law)
        return law
    if kind == "wanted":
        patterns = load_patterns(where, N)
        assert patterns.dtype == bool
        assert patterns.shape[1] == N
        assert patterns.any(axis=1).all()
        return patterns
    if kind == "vectors":
        vectors = load_vectors(where) if is_one_array(where) else load_corpus(where).documents["embedding"]
        assert vectors.ndim == 2
        assert vectors.dtype.kind in "fiu"
        return np.asarray(vectors)
    return read_code(kind, path)


def read_code(kind, path):
    """A code, tried; or the vectors of a stream."""
    from rdjax.codes.saved import load_code
    from rdjax.codes.streams import read_symbols
    from rdjax.data.reading import map_whole, open_file

    if kind == "code":
        code, notes = load_code(map_whole(str(path)), str(path))
        assert all(isinstance(value, str) for value in notes.values())
        return np.asarray(code.decode(code.encode(np.ones((2, code.dimension)))))
    with open_file(str(path)) as file:
        code = codes()[int(path.stem) if path.stem.isdecimal() else 0][0]
        symbols = read_symbols(code, file, str(path))
        assert symbols.ndim == 2
        assert symbols.shape[1] == code.num_symbols
        return symbols


def check_corpus(corpus):
    """All that a corpus promises, asked of its arrays again."""
    for side, rows in ((corpus.documents, corpus.num_documents), (corpus.queries, corpus.num_queries)):
        for name, array in side.items():
            assert name.isprintable()
            assert array.shape[0] == rows
            assert array.ndim == 2
            assert array.shape[1] > 0
            assert array.dtype.kind in "fiu", name
            assert (np.isfinite(array).all(axis=1) & array.any(axis=1)).all(), name
    assert all(corpus.queries[name].shape[1] == array.shape[1] for name, array in corpus.documents.items())
    assert corpus.num_documents > 1
    for names, count in ((corpus.ids, corpus.num_documents), (corpus.query_ids, corpus.num_queries)):
        if names is not None:
            texts = [str(name) for name in names]
            assert len(set(texts)) == count == len(texts)
            "".join(texts).encode()  # a page can be written with them
    if corpus.relevant is not None:
        table = corpus.relevant.reshape(corpus.num_queries, -1)
        assert ((table >= -1) & (table < corpus.num_documents)).all()
        assert (table >= 0).any(axis=1).all()
        assert all(len(set(row[row >= 0])) == (row >= 0).sum() for row in table)
    assert corpus.grades is None or (np.isfinite(corpus.grades).all() and (corpus.grades >= 0).all())
    if corpus.prior is not None:
        check_law(corpus.prior, corpus.num_documents)


def check_law(law, size=N):
    assert law.shape == (size,)
    assert (law >= 0).all()
    assert abs(law.sum() - 1) < 1e-5


def check_against_others(corpus, path):
    """Arrays that NumPy or safetensors read from the same files are those of the corpus."""
    if path.is_dir():
        found = {file.stem: np.load(file, allow_pickle=False) for file in path.glob("*.npy")}
    elif path.suffix == ".npz":
        with np.load(path, allow_pickle=False) as archive:
            found = dict(archive)
    else:
        from safetensors.numpy import load_file

        found = load_file(path)
    for key, array in found.items():
        side, _, name = key.partition(".")
        if side in ("documents", "queries") and not name.endswith((".bf16", ".scale")) and f"{key}.scale" not in found:
            ours = getattr(corpus, side)[name or "embedding"]
            if side == "queries" and len(ours) < len(array):
                continue  # some were not judged
            assert ours.dtype == array.dtype, key
            assert np.array_equal(ours, array), key


# What is done to them. Each returns "same" if the result must be as before, "refused" if it must be refused, or None.


def some(items, rng):
    items = list(items)
    return items[rng.integers(len(items))]


def files(place):
    return sorted(file for file in place.rglob("*") if file.is_file() and not file.is_symlink())


def bytes_changed(place, path, rng):
    """Up to four flips, cuts, insertions, repetitions, or runs of one byte, in one file."""
    file = some(files(place), rng)
    data = bytearray(file.read_bytes())
    before = bytes(data)
    for _ in range(rng.integers(1, 5)):
        start = int(rng.integers(min(len(data), 400 if rng.random() < 0.5 else len(data)) + 1))
        stop = start + int(rng.integers(1, 17))
        kind = rng.integers(6)
        if kind == 0 and start < len(data):
            data[start] ^= 1 << int(rng.integers(8))
        elif kind == 1 and start < len(data):
            data[start] = rng.integers(256)
        elif kind == 2:
            del data[start:stop]
        elif kind == 3:
            data[start:start] = rng.bytes(stop - start)
        elif kind == 4:
            data[stop:stop] = data[start:stop]
        elif start < len(data):
            data[start:stop] = some([b"\0", b"\xff", b" ", b"\n", b"9", b"[", b'"'], rng) * len(data[start:stop])
    file.write_bytes(data)
    return "same" if data == before else None


def cut_short(place, path, rng):
    file = some(files(place), rng)
    size = file.stat().st_size
    os.truncate(file, rng.integers(size)) if size else None
    binary = file.suffix in (".npy", ".npz", ".safetensors", ".parquet", ".rdx")
    return "refused" if binary and size else None


def digits_changed(place, path, rng):
    """Numbers in what is text: shapes, offsets, lengths, scores, grades."""
    file = some(files(place), rng)
    data = file.read_bytes()
    places = [i for i, byte in enumerate(data) if 48 <= byte <= 57]
    if not places:
        return "same"
    for _ in range(rng.integers(1, 3)):
        i = some(places, rng)
        new = some([b"0", b"9", b"-1", b"1e9", b"99999999", b"nan", b"inf", b"-", b"1.5", b"9" * 4400], rng)
        data = data[:i] + (new[:1] if rng.random() < 0.4 else new) + data[i + 1 :]
    file.write_bytes(data)


def exchanged(place, path, rng):
    one, other = some(files(place), rng), some(files(place), rng)
    first, second = one.read_bytes(), other.read_bytes()
    one.write_bytes(second)
    other.write_bytes(first)
    return "same" if first == second else None


def mislabelled(place, path, rng):
    file = some(files(place), rng)
    suffixes = (
        ".npy",
        ".npz",
        ".safetensors",
        ".parquet",
        ".txt",
        ".tsv",
        ".jsonl",
        ".qrels",
        ".run",
        ".rdx",
        "",
        ".pt",
    )
    renamed = file.with_suffix(some(suffixes, rng))
    if renamed != file and not renamed.exists():
        file.rename(renamed)
        return renamed if file == path else None
    return "same"


def removed(place, path, rng):
    some(files(place), rng).unlink()


def emptied(place, path, rng):
    some(files(place), rng).write_bytes(some([b"", b"\n", b"\0", b" " * 5000, b"\xff\xfe"], rng))


def oversize(place, path, rng):
    """A file that says it is four terabytes, of zeros that are nowhere."""
    file = some(files(place), rng)
    try:
        os.truncate(file, LARGE)
    except OSError:
        return "same"
    return None


def device(place, path, rng):
    """Something that is no file, and never ends or never begins, where a file was."""
    file = some(files(place), rng)
    file.unlink()
    kind = rng.integers(5)
    if kind == 0:
        os.mkfifo(file)
    else:
        os.symlink(["/dev/zero", file.parent, file.name, "/nonexistent/file"][kind - 1], file)
    return None if file.suffix in (".run", ".trec") else "refused"


def folder_instead(place, path, rng):
    file = some(files(place), rng)
    file.unlink()
    file.mkdir()
    return "refused" if file.suffix != "" else None


def unreadable(place, path, rng):
    file = some(files(place), rng)
    file.chmod(0)
    return None if os.geteuid() == 0 else "refused"


class Bomb:
    """Unpickling it ends the process with a code of its own."""

    def __reduce__(self):
        return os._exit, (77,)


def pickled(place, path, rng):
    """A pickle in place of a file, or objects in an array."""
    file = some(files(place), rng)
    if file.suffix == ".npy" and rng.random() < 0.7:
        hostile = np.empty(N, object)
        hostile[:] = [Bomb()] * N
        np.save(file, hostile, allow_pickle=True)
    else:
        file.write_bytes(pickle.dumps(Bomb(), protocol=int(rng.integers(6))))
    return "refused" if file.suffix in (".npy", ".npz", ".safetensors", ".parquet", ".rdx") else None


def rewritten(place, path, rng):
    """One array of a .npy file, sound as a file, with something wrong in it."""
    choices = [file for file in files(place) if file.suffix == ".npy"]
    if not choices:
        return "same"
    file = some(choices, rng)
    array = np.load(file, allow_pickle=False)
    changed, expected = spoiled(array, file.stem, rng)
    np.save(file, changed)
    return expected


def spoiled(array, key, rng):
    """(another array, what must come of it)."""
    vectors = array.ndim == 2 and array.dtype.kind == "f"
    kind = rng.integers(10)
    new = array.copy()
    row = rng.integers(len(array))
    if kind == 0 and array.dtype.kind == "f":
        new[row] = some([np.nan, np.inf, -np.inf], rng)
        return new, "refused" if key != "vectors" else None
    if kind == 1 and vectors:
        new[row] = 0
        return new, "refused" if key != "vectors" else None
    if kind == 2:
        return new[:-1], "refused" if key != "vectors" else None
    if kind == 3:
        return np.asfortranarray(array), "same"
    if kind == 4:
        return array.astype(array.dtype.newbyteorder(">")), None
    if kind == 5 and array.dtype.kind in "fiu":
        others = [np.float64, np.float16, np.int8, np.uint64, np.complex64, bool, "U9", "S9", "M8[s]"]
        return array.astype(some(others, rng)), None
    if kind == 6:
        return array.reshape(some([(-1,), (1, *array.shape), (*array.shape, 1)], rng)), None
    if kind == 7 and array.dtype.kind in "iu" and array.dtype != np.int8:
        new[row] = some([-1, -5, N, 2**31, 2**62], rng) if array.dtype.itemsize == 8 else 0
        return new, "refused" if key == "relevant" else None
    if kind == 8 and key == "prior":
        return new * 1.1, "refused"
    return np.concatenate([array, array]), "refused" if key != "vectors" else None


def text_changed(place, path, rng):
    """One line of a text, sound as text, with something wrong in it."""
    choices = [file for file in files(place) if file.suffix in (".txt", ".tsv", ".jsonl", ".qrels", ".run", ".trec")]
    if not choices:
        return "same"
    file = some(choices, rng)
    lines = file.read_text().splitlines()
    row, kind = int(rng.integers(len(lines))), rng.integers(9)
    expected = None
    if kind == 0:
        lines.append(lines[-1])  # twice
        expected = "refused" if file.suffix != ".txt" or "ids" in file.name or "prior" in file.name else None
    elif kind == 1:
        lines[row] = lines[row].replace("d", "unknown").replace("q", "unknown")
    elif kind == 2:
        lines[row] = some(["[" * 50_000, '{"_id":' * 20_000, '{"_id": ' + "9" * 5000 + "}", '{"_id": "\\ud800"}'], rng)
    elif kind == 3:
        lines[row] += "x" * 2**20
    elif kind == 4:
        lines[row] = some(
            ["\0", "\x1b[2J", "\u2028", "\x85", "d0\rd1", "1e999", "-0", "nan", "\ufeff", "1_0", "٣", "²"], rng
        )
    elif kind == 5:
        lines.insert(row, "")
    elif kind == 6:
        return str(file.write_text("\r\n".join(lines) + "\r\n\n") and "same")
    elif kind == 7:
        return str(file.write_bytes(b"\xef\xbb\xbf" + "\n".join(lines).encode()) and "same")
    else:
        lines[row] = "\t".join(lines[row].split()[:-1])
    file.write_text("\n".join(lines))
    return expected


def header_edited(place, path, rng):
    """A .npy or .safetensors header of the right form that says something else."""
    choices = [file for file in files(place) if file.suffix in (".npy", ".safetensors")]
    if not choices:
        return "same"
    file = some(choices, rng)
    data = file.read_bytes()
    if file.suffix == ".safetensors":
        (length,) = struct.unpack("<Q", data[:8])
        header = json.loads(data[8 : 8 + length])
        name = some(header, rng)
        if name == "__metadata__":
            header[name] = some([None, 7, {"a": 7}, [], {"rdjax.code": "{}"}, {"rdjax.code": "[" * 9999}], rng)
        else:
            field = some(["dtype", "shape", "data_offsets"], rng)
            odd = [0, -1, 2**63, "F64", "BOOL", [0], [N, 0], [2**62, 4], [1.0, 2], [[]], None, [True, 3], [-4, -1]]
            header[name] = {**header[name], field: some(odd, rng)}
        text = json.dumps(header).encode()
        file.write_bytes(struct.pack("<Q", len(text)) + text + data[8 + length :])
        return None
    descr = some(["<f4", ">f8", "|O", "|V2", "<f2", "<c16", "|S4", "<U4", "<M8[ns]", "<i8", "<f16", "|b1", "x"], rng)
    shape = some([(N,), (N, 4), (4, N), (), (0, 4), (N, 0), (-1, 4), (2**40, 4), (2**62, 2**62), (1,) * 40], rng)
    text = repr({"descr": descr, "fortran_order": bool(rng.integers(2)), "shape": shape}).encode()
    head = b"\x93NUMPY" + bytes([rng.integers(1, 4), 0]) + struct.pack("<H", len(text)) + text
    file.write_bytes(head + data[128:])
    return None


def inflating(place, path, rng):
    """An archive of a megabyte that would become a gigabyte, or whose directory lies."""
    if path.suffix != ".npz":
        return "same"
    rows = int(some([1, N, 2**20], rng))
    text = repr({"descr": "|i1", "fortran_order": False, "shape": (rows, 1024)}).encode()
    head = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open("documents.image.npy", "w", force_zip64=True) as member,
    ):
        member.write(head)
        for _ in range(300):
            member.write(bytes(2**20))
    return "refused"


def strange_names(place, path, rng):
    """Files whose names are no plain text, beside the others or in their place."""
    file = some(files(place), rng)
    name = some(
        [
            b"documents.a\nb.npy",
            b"documents.\xff\xfe.npy",
            b"queries.\x1b[2J.npy",
            b"documents..npy",
            b"documents.bf16.npy",
            b"documents.scale.npy",
            b".hidden",
            b"README.md",
            b"queries.npy",
            b"documents.Image.npy",
            b"\xff.run",
            b"\n.qrels",
        ],
        rng,
    )
    beside = path if path.is_dir() else place
    target = os.path.join(os.fsencode(beside), name)
    shutil.copy(file, target)
    return "same" if name in (b".hidden", b"README.md") or beside == place else None


def harmless(place, path, rng):
    """What people's systems leave beside files."""
    beside = path if path.is_dir() else place
    (beside / some([".DS_Store", "notes.md", "vectors.bin"], rng)).write_bytes(rng.bytes(40))
    return "same"


MUTATIONS = (
    *(bytes_changed,) * 6,
    *(digits_changed,) * 3,
    *(cut_short, rewritten, text_changed, header_edited) * 2,
    *(exchanged, mislabelled, removed, emptied, oversize, device, folder_instead, unreadable, pickled),
    *(inflating, strange_names, harmless),
)


# One case, and many.


def one_case(seed, place, only=None):
    """(format, what was done, what came of it); raises if that is not as it must be."""
    rng = np.random.default_rng(seed)
    formats = CORPORA | OTHERS
    kind = only or list(formats)[seed % len(formats)]
    path = formats[kind](place, rng)
    before = snapshot(read(kind, path))
    mutate = MUTATIONS[rng.integers(len(MUTATIONS))]
    expected = mutate(place, path, rng)
    if isinstance(expected, Path):
        path, expected = expected, None
    try:
        after = snapshot(read(kind, path))
    except InputError as error:
        sentence = str(error)
        assert expected != "same", sentence
        assert sentence.isprintable(), repr(sentence)
        assert sentence.endswith("."), sentence
        assert len(sentence) < 1000, sentence
        assert str(place).encode("unicode_escape").decode() in sentence, sentence
        return kind, mutate.__name__, "refused"
    assert expected != "refused", "it was read"
    if expected == "same":
        assert equal(before, after), "it was read as something else"
    return kind, mutate.__name__, "read"


def snapshot(found):
    """Copies of all that was read: the files under memory maps are about to change."""
    if isinstance(found, np.ndarray):
        return [np.array(found)]
    parts = [
        *found.documents.values(),
        *found.queries.values(),
        found.relevant,
        found.prior,
        found.ids,
        found.query_ids,
    ]
    runs = [array for run in found.runs.values() for array in (run.documents, run.scores)]
    return [np.array(found.modalities), *(np.array([] if part is None else part) for part in parts), *runs]


def equal(one, other):
    return len(one) == len(other) and all(map(np.array_equal, one, other))


def arm():
    """Whatever opens a pickle ends the process, warnings are errors, and memory ends soon after what is there."""

    def explode(*arguments, **options):
        os._exit(77)

    for name in ("load", "loads", "Unpickler", "_load", "_loads", "_Unpickler"):
        setattr(pickle, name, explode)
    warnings.simplefilter("error")
    limit = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize() + ROOM
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def worker(seeds, record, only):
    """Runs in a process of its own: a line of JSON for each case, begun before it is tried."""
    with tempfile.TemporaryDirectory() as warm:
        for number, (kind, write) in enumerate((CORPORA | OTHERS).items()):  # imports all there is
            place = Path(warm, str(number))
            place.mkdir()
            read(kind, write(place, np.random.default_rng(0)))
    arm()
    with Path(record).open("w") as file:
        for seed in seeds:
            print(json.dumps({"seed": int(seed)}), file=file, flush=True)
            place = Path(tempfile.mkdtemp(prefix="hostile-"))
            signal.alarm(SECONDS)
            try:
                found = one_case(int(seed), place, only)
            except BaseException as error:
                trace = traceback.extract_tb(error.__traceback__)[-3:]
                at = " < ".join(f"{Path(f.filename).name}:{f.lineno}" for f in reversed(trace))
                found = ("WRONG", f"{type(error).__name__}: {str(error)[:300]}", at)
            signal.alarm(0)
            print(json.dumps({"found": found}), file=file, flush=True)
            shutil.rmtree(place, ignore_errors=True)


def run(seeds, workers, only=None):
    """Counts of (format, what was done, what came of it), and the cases that went wrong."""
    counts, wrong = collections.Counter(), []
    with tempfile.TemporaryDirectory() as folder:
        waiting = [(list(part), f"{folder}/{i}") for i, part in enumerate(np.array_split(seeds, workers)) if len(part)]
        running = {}
        while waiting or running:
            while waiting and len(running) < workers:
                part, record = waiting.pop()
                pid = os.fork()
                if pid == 0:
                    try:
                        worker(part, record, only)
                    except BaseException:
                        traceback.print_exc()
                    os._exit(0)
                running[pid] = part, record
            pid, status = os.wait()
            part, record = running.pop(pid)
            assert Path(record).exists(), "a worker ended before it began"
            lines = [json.loads(line) for line in Path(record).read_text().splitlines()]
            found = [line["found"] for line in lines if "found" in line]
            for seed, (kind, done, came) in zip(part, found, strict=False):
                counts[kind, done, came] += 1
                if kind == "WRONG":
                    wrong.append((int(seed), done, came))
            if len(found) < len(part):
                wrong.append((int(part[len(found)]), f"the process ended with {status}", "pickle 77, hang 14"))
                waiting.append((part[len(found) + 1 :], f"{record}+")) if len(found) + 1 < len(part) else None
    return counts, wrong


def through_the_command(seed):
    """A mutated corpus that the loader refuses, through `rdjax audit`; what is wrong with the outcome, or nothing."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder, "files")
        place.mkdir()
        rng = np.random.default_rng(seed)
        kind = some(CORPORA, rng)
        path = CORPORA[kind](place, rng)
        mutate = MUTATIONS[rng.integers(len(MUTATIONS))]
        mutate(place, path, rng)
        try:
            read(kind, path)
        except InputError:
            line = [sys.executable, "-m", "rdjax", "audit", str(path), "--out", f"{folder}/report"]
            done = subprocess.run(line, capture_output=True, text=True, timeout=60)
            good = done.returncode == 2 and not done.stdout and done.stderr.count("\n") == 1
            left = sorted(set(os.listdir(folder)) - {"files"})
            return (
                None if good and not left else (seed, kind, mutate.__name__, done.returncode, done.stderr[-300:], left)
            )
        except Exception as error:
            return seed, kind, mutate.__name__, repr(error)
        return ""


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--lines", type=int, default=100)
    parser.add_argument("--only")
    parser.add_argument("--arrays", action="store_true", help="without codes and streams, which need JAX")
    options = parser.parse_args()
    for kind in ("code", "stream") if options.arrays else ():
        del OTHERS[kind]
    start = time.monotonic()
    counts, wrong = run(np.arange(options.seed, options.seed + options.count), options.workers, options.only)
    table = collections.defaultdict(collections.Counter)
    for (_, done, came), count in counts.items():
        table[done][came] += count
    for done in sorted(table, key=str):
        print(f"{done[:60]:<62}", *(f"{name} {count:,}" for name, count in sorted(table[done].items())))
    print(f"{sum(counts.values()):,} files in {time.monotonic() - start:.0f} s; {len(wrong)} went wrong")
    for case in wrong[:60]:
        print("   ", *case)
    told, number, bad = 0, options.seed, []
    while told < options.lines and len(bad) < 5:
        outcome = through_the_command(number)
        number += 1
        told += outcome is None
        bad += [outcome] if outcome else []
    print(f"{told} through the command line; {len(bad)} went wrong", *bad, sep="\n    ")
    sys.exit(bool(wrong or bad))


if __name__ == "__main__":
    main()
