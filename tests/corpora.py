"""Corpora on disk for the tests of files: good ones, with changes, and what is asked of a refusal."""

import numpy as np
import pytest

from rdjax.checks import InputError
from rdjax.data import load_corpus

N, Q = 5, 3
IDS, QUERY_IDS = [f"d{i}" for i in range(N)], ["q0", "q1", "q2"]


def arrays(**changes):
    """Keys of a good corpus; None takes one away."""
    rng = np.random.default_rng(2)
    good = {
        "documents.image": rng.normal(size=(N, 4)).astype(np.float32),
        "documents.text": rng.normal(size=(N, 3)).astype(np.float16),
        "queries.image": rng.normal(size=(Q, 4)),
        "queries.text": rng.normal(size=(Q, 3)),
        "relevant": np.array([4, 0, 2]),
    }
    return {key: value for key, value in {**good, **changes}.items() if value is not None}


def folder(tmp_path, texts=None, **changes):
    place = tmp_path / "corpus"
    place.mkdir()
    for key, value in arrays(**changes).items():
        np.save(place / f"{key}.npy", value)
    for name, text in (texts or {}).items():
        (place / name).write_text(text, encoding="utf-8")
    return str(place)


def archive(tmp_path, save=np.savez, **changes):
    path = str(tmp_path / "corpus.npz")
    save(path, **arrays(**changes))
    return path


def refused(path, message):
    """load_corpus refuses the path in one sentence that begins with it."""
    with pytest.raises(InputError, match=message) as caught:
        load_corpus(path)
    sentence = str(caught.value)
    assert sentence.startswith(str(path))
    assert sentence.endswith(".")
    assert "\n" not in sentence
    return sentence


def large_map(tmp_path):
    """A writable memory map of 64 MB, all ones: many blocks, the last of which can be spoiled."""
    array = np.lib.format.open_memmap(tmp_path / "large.npy", mode="w+", dtype=np.float32, shape=(65536, 256))
    array[:] = np.float32(1)
    array.flush()
    return np.load(tmp_path / "large.npy", mmap_mode="r+")
