"""Flickr30k from what a user has: Karpathy's split file and features of its images and captions.

The data may not be shipped, so the features come from the user's own machine; the README shows the export.
"""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np

from rdjax.checks import InputError, indices, numeric_matrix, require
from rdjax.data.corpus import Corpus
from rdjax.data.reading import open_file, read_npz
from rdjax.data.stored import plain
from rdjax.data.tensors import open_tensors

SPLIT_FILE = "dataset_flickr30k.json"
FEATURE_FILES = ("features.npz", "features.safetensors")
READINGS = {
    "caption": "a pair is sought by its own caption",
    "image": "a pair is sought by its own image",
    "held-out caption": "a pair is sought by another caption of its image",
}
KEYS = ("images", "captions", "image_ids", "caption_ids")
RIDGE = 0.03  # of the mean variance: what the map between modalities is shrunk by

_ADVICE = "see the README for the export"


def flickr30k(path: str | os.PathLike[str], *, reading: str = "held-out caption") -> tuple[Corpus, Corpus]:
    """Flickr30k as two corpora: the training split to fit on, and the 1,000 images of the test split.

        document n = (image n, its first caption)
        query n    = (image, caption), of which the reading gives one; the other is predicted from it

    What a query lacks is filled in by ridge regression on the pairs of the training split, since frozen encoders have
    no joint space: by it a caption finds images and an image captions. Vectors are centered on the training split and
    of unit norm in each modality.

    Args:
      path: of a folder with dataset_flickr30k.json (Karpathy and Li 2015) and features.npz or features.safetensors:
        `images` [I, D] and `captions` [C, E], a row for every image and every sentence in the order of the file; or in
        any order with `image_ids` (imgid) and `caption_ids` (sentid) beside them. `images.bf16`, `images.scale` and so
        on as in `load_corpus`.
      reading: "caption" (the pair's own), "image" (the pair's own), or "held-out caption" (the image's second one).

    Returns:
      fit, test: vectors float32, modalities "image" and "text"; ids are file names.

    Raises:
      InputError: one sentence: a missing or damaged file, a NaN, a wrong number of rows, a split that is missing, ids
        that occur twice or not at all, unknown keys, an image with too few captions, an unknown reading.

    Source: paper, section 7.1; it does not say which caption is the query, so there are three readings.
    """
    require(reading in READINGS, f"the reading is {reading!r}; choose one of {', '.join(READINGS)}.")
    folder = Path(path)
    require(folder.is_dir(), f"{path} is not a folder; put {SPLIT_FILE} and the features into one, {_ADVICE}.")
    entries = _entries(str(folder / SPLIT_FILE))
    images, captions = _features(folder, entries)
    splits = [[row for row, entry in enumerate(entries) if entry["split"] == name] for name in ("train", "test")]
    for name, rows in zip(("train", "test"), splits, strict=True):
        require(len(rows) > 1, f"{folder / SPLIT_FILE} has {len(rows)} images of the split {name!r}; two are needed.")
    least = 2 if reading == "held-out caption" else 1
    places = _captions_of(entries, least, str(folder / SPLIT_FILE), splits)
    parts = [_Part(images[rows], captions[places[rows, 0]], captions[places[rows, -1]]) for rows in splits]
    _center(parts)
    fit, test = (
        _corpus(part, parts[0], reading, [entries[r] for r in rows]) for part, rows in zip(parts, splits, strict=True)
    )
    return fit, test


class _Part:
    """Of one split: images [n, D], the first caption of each [n, E], and the one that is held out."""

    def __init__(self, images: np.ndarray, first: np.ndarray, other: np.ndarray):
        self.images, self.first, self.other = (np.asarray(a, np.float64) for a in (images, first, other))


def _center(parts: list[_Part]) -> None:
    """Less the training split's means, and to unit norm."""
    image, text = parts[0].images.mean(axis=0), parts[0].first.mean(axis=0)
    for part in parts:
        part.images, part.first, part.other = (
            _unit(part.images - image),
            _unit(part.first - text),
            _unit(part.other - text),
        )


def _corpus(part: _Part, train: _Part, reading: str, entries: list[dict[str, Any]]) -> Corpus:
    if reading == "image":
        asked = {"image": part.images, "text": predicted_modality(train.images, train.first, part.images)}
    else:
        given = part.first if reading == "caption" else part.other
        asked = {"image": predicted_modality(train.first, train.images, given), "text": given}
    names = tuple(str(entry["filename"]) for entry in entries)
    single = lambda features: {name: array.astype(np.float32) for name, array in features.items()}
    return Corpus(
        documents=single({"image": part.images, "text": part.first}),
        queries=single(asked),
        relevant=np.arange(len(entries)),
        ids=names,
        query_ids=names,
        name=f"Flickr30k, {reading} to pair",
        notes=(
            READINGS[reading],
            "what the query lacks is predicted from what it has, by a map fitted on the training split",
        ),
    )


def predicted_modality(known: np.ndarray, sought: np.ndarray, given: np.ndarray) -> np.ndarray:
    """What one modality says of another: ridge regression of `sought` [n, E] on `known` [n, D], at unit norm.

    Args:
      known, sought: centered pairs, row by row.
      given: [q, D], of which `sought` is to be predicted.

    Returns:
      [q, E].
    """
    gram = known.T @ known / len(known)
    shrunk = gram + RIDGE * np.trace(gram) / len(gram) * np.eye(len(gram))
    return _unit(given @ np.linalg.solve(shrunk, known.T @ sought / len(known)))


def _unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)


def _entries(where: str) -> list[dict[str, Any]]:
    """The images of the split file, each with its split, its file name and its captions' numbers."""
    with open_file(where) as file:
        try:
            document = json.loads(file.read().decode("utf-8"))
        except (ValueError, RecursionError):
            raise InputError(f"{where} is no JSON or is damaged; fetch Karpathy's split file again.") from None
    images = document.get("images") if isinstance(document, dict) else None
    if not isinstance(images, list) or not images:
        raise InputError(f"{where} has no list of images; it is not Karpathy's split file.")
    for row, entry in enumerate(images):
        good = isinstance(entry, dict) and isinstance(entry.get("sentences"), list) and "filename" in entry
        good = good and all(isinstance(sentence, dict) for sentence in entry["sentences"])
        require(good, f"{where}: image {row} has no filename or no sentences; it is not Karpathy's split file.")
        require("split" in entry, f"{where}: image {row} has no split; it is not Karpathy's split file.")
    return images


def _features(folder: Path, entries: list[dict[str, Any]]) -> tuple[np.ndarray, np.ndarray]:
    """(images, captions), rows in the order of the split file."""
    found, where = _stored(folder)
    sentences = [sentence for entry in entries for sentence in entry["sentences"]]
    told = {
        "images": ([entry.get("imgid", row) for row, entry in enumerate(entries)], "image", "imgid"),
        "captions": ([s.get("sentid", row) for row, s in enumerate(sentences)], "sentence", "sentid"),
    }
    arrays = []
    for key, (expected, what, field) in told.items():
        array = found[key]
        numeric_matrix(array, f"{where}: {key}")
        require(
            len(array) == len(expected),
            f"{where}: {key} has {len(array)} rows and {SPLIT_FILE} has {len(expected)} {what}s; export one row each.",
        )
        name = f"{key.removesuffix('s')}_ids"
        arrays.append(array if name not in found else array[_order(found[name], expected, f"{where}: {name}", field)])
    return arrays[0], arrays[1]


def _stored(folder: Path) -> tuple[dict[str, np.ndarray], str]:
    """The arrays of the features' file, and its name."""
    there = [str(folder / name) for name in FEATURE_FILES if (folder / name).exists()]
    require(
        len(there) == 1, f"{folder} has {len(there)} of {' and '.join(FEATURE_FILES)}; it must have one, {_ADVICE}."
    )
    where = there[0]
    if where.endswith(".npz"):
        found: dict[str, Any] = dict(read_npz(where, lambda keys: _check_keys(keys, where)))
    else:
        tensors = open_tensors(where)
        _check_keys(list(tensors), where)
        found = {key: tensor.read() for key, tensor in tensors.items()}
    arrays = plain({key: (f"{where}: {key}", array) for key, array in found.items()})
    for key in ("images", "captions"):
        require(key in arrays, f"{where} has no {key}; it must hold images and captions, {_ADVICE}.")
    return {key: array for key, (_, array) in arrays.items()}, where


def _check_keys(keys: list[str], where: str) -> None:
    for key in keys:
        base = key.removesuffix(".bf16").removesuffix(".scale")
        require(base in KEYS, f"{where} has the key {key!r}, which is unknown; the known ones are {', '.join(KEYS)}.")


def _order(ids: np.ndarray, expected: list[Any], where: str, field: str) -> np.ndarray:
    """Row of each expected id."""
    require(ids.shape == (len(expected),), f"{where} has shape {ids.shape}; it must be ({len(expected)},).")
    require(ids.dtype.kind in "iu", f"{where} holds {ids.dtype} values; it must hold the {field}s (integers).")
    twice = len(expected) - len(set(expected))
    require(twice == 0, f"{SPLIT_FILE} gives {twice} {field}s twice; leave out the ids and keep the order of the file.")
    rows: dict[int, int] = {}
    for row, number in enumerate(ids.tolist()):
        require(number not in rows, f"{where} holds {number} twice, again in row {row}; each must be different.")
        rows[number] = row
    lacking = [number for number in expected if number not in rows]
    require(not lacking, f"{where} lacks the {field} {lacking[0] if lacking else ''}; export every row.")
    return np.array([rows[number] for number in expected])


def _captions_of(entries: list[dict[str, Any]], least: int, where: str, splits: list[list[int]]) -> np.ndarray:
    """Rows of the first caption of each image, and of the second where two are asked for [I, 2]."""
    counts = np.array([len(entry["sentences"]) for entry in entries])
    for row in (row for rows in splits for row in rows):
        name = entries[row]["filename"]
        require(counts[row] >= least, f"{where}: {name} has {counts[row]} sentences; this reading needs {least}.")
    starts = np.cumsum(counts) - counts
    places = np.stack([starts, starts + least - 1], axis=1)
    indices(places[[row for rows in splits for row in rows]].ravel(), int(counts.sum()), where, "captions")
    return places
