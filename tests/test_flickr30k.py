"""Flickr30k as users have it: a small folder in the same format, written here, and every way it can be wrong."""

import dataclasses
import json

import numpy as np
import pytest
from safetensors.numpy import save_file

from rdjax.checks import InputError
from rdjax.data import Corpus, flickr30k
from rdjax.data.flickr30k import predicted_modality
from rdjax.paper.flickr_columns import pair_columns, quantized_entropies
from rdjax.paper.pair_table import CLIP_STEPS, first_pairs, table_two_cells
from rdjax.paper.readings import QUICK

pytestmark = pytest.mark.float64_only
TRAIN, TEST, D, E = 60, 20, 6, 5


def split_file(captions=2):
    """Karpathy's format: test images among the others, sentences numbered through, ids that are not row numbers."""
    images, number = [], 500
    for row in range(TRAIN + TEST + 1):
        split = "val" if row == 7 else "test" if row % 4 == 1 and row < 4 * TEST else "train"
        sentences = [
            {"raw": f"caption {number + i}", "sentid": number + i, "imgid": row + 100} for i in range(captions)
        ]
        number += captions
        name = f"{row:04d}.jpg"
        images.append({"filename": name, "imgid": row + 100, "split": split, "sentences": sentences})
    return {"images": images, "dataset": "flickr30k"}


def features(document, seed=0):
    rng = np.random.default_rng(seed)
    intents = rng.standard_normal((len(document["images"]), 4))
    captions = np.repeat(intents, [len(image["sentences"]) for image in document["images"]], axis=0)
    mixed = lambda z, d: (z @ rng.standard_normal((4, d)) + 0.3 * rng.standard_normal((len(z), d)) + 1).astype(
        np.float32
    )
    return {"images": mixed(intents, D), "captions": mixed(captions, E)}


def write(folder, document=None, arrays=None, kind="npz"):
    document = split_file() if document is None else document
    arrays = features(document) if arrays is None else arrays
    (folder / "dataset_flickr30k.json").write_text(json.dumps(document))
    if kind == "npz":
        np.savez(folder / "features.npz", **arrays)
    else:
        save_file(arrays, folder / "features.safetensors")
    return document, arrays


def unit(rows):
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.mark.parametrize("kind", ["npz", "safetensors"])
def test_rows_are_those_of_the_split_file(tmp_path, kind):
    document, arrays = write(tmp_path, kind=kind)
    fit, test = flickr30k(tmp_path)
    rows = {name: [i for i, e in enumerate(document["images"]) if e["split"] == name] for name in ("train", "test")}
    assert test.ids == tuple(document["images"][i]["filename"] for i in rows["test"])
    assert (fit.num_documents, test.num_documents) == (len(rows["train"]), TEST)
    image = arrays["images"] - arrays["images"][rows["train"]].mean(axis=0)
    np.testing.assert_allclose(test.documents["image"], unit(image[rows["test"]]), atol=1e-5)
    first = 2 * np.arange(len(document["images"]))
    text = arrays["captions"] - arrays["captions"][first[rows["train"]]].mean(axis=0)
    np.testing.assert_allclose(test.documents["text"], unit(text[first[rows["test"]]]), atol=1e-5)
    np.testing.assert_allclose(test.queries["text"], unit(text[first[rows["test"]] + 1]), atol=1e-5)  # the other one
    own, _ = flickr30k(tmp_path, reading="caption")
    np.testing.assert_array_equal(own.queries["text"], own.documents["text"])
    seen, _ = flickr30k(tmp_path, reading="image")
    np.testing.assert_array_equal(seen.queries["image"], seen.documents["image"])
    assert not np.allclose(seen.queries["text"], seen.documents["text"])


def test_rows_in_another_order_are_put_in_place_by_ids(tmp_path):
    document, arrays = write(tmp_path)
    _, expected = flickr30k(tmp_path)
    rng = np.random.default_rng(1)
    orders = {key: rng.permutation(len(array)) for key, array in arrays.items()}
    shuffled = {key: array[orders[key]] for key, array in arrays.items()}
    shuffled["image_ids"] = np.array([e["imgid"] for e in document["images"]])[orders["images"]]
    sentences = [s["sentid"] for e in document["images"] for s in e["sentences"]]
    shuffled["caption_ids"] = np.array(sentences)[orders["captions"]]
    write(tmp_path, document, shuffled)
    _, found = flickr30k(tmp_path)
    for side in ("queries", "documents"):
        for name in ("image", "text"):
            np.testing.assert_array_equal(getattr(found, side)[name], getattr(expected, side)[name])


def test_prediction_is_ridge_regression(rng):
    known, sought, given = rng.standard_normal((30, 4)), rng.standard_normal((30, 3)), rng.standard_normal((5, 4))
    ridge = 0.03 * np.trace(known.T @ known) / 4
    maps = np.linalg.lstsq(
        np.concatenate([known, np.sqrt(ridge) * np.eye(4)]), np.concatenate([sought, np.zeros((4, 3))]), rcond=None
    )[0]
    np.testing.assert_allclose(predicted_modality(known, sought, given), unit(given @ maps), rtol=1e-9)


def changed(field, value):
    document = split_file()
    document["images"][3][field] = value
    return document


def without(field):
    document = split_file()
    del document["images"][3][field]
    return document


DOCUMENTS = {
    "no images": ({"images": []}, "no list of images"),
    "no split": (without("split"), "image 3 has no split"),
    "no sentences": (without("sentences"), "image 3 has no filename or no sentences"),
    "one sentence": (changed("sentences", [{"raw": "x", "sentid": 1}]), "has 1 sentences; this reading needs 2"),
    "no test": (
        {"images": [image | {"split": "train"} for image in split_file()["images"]]},
        "has 0 images of the split 'test'",
    ),
}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_split_file_that_is_none_is_refused(tmp_path, name):
    document, words = DOCUMENTS[name]
    write(
        tmp_path,
        document,
        features(document) if document["images"] and name != "no sentences" else features(split_file()),
    )
    with pytest.raises(InputError, match=words):
        flickr30k(tmp_path)


def spoiled(**changes):
    arrays = features(split_file())
    for key, value in changes.items():
        if value is None:
            del arrays[key]
        else:
            arrays[key] = value(arrays) if callable(value) else value
    return arrays


IDS = np.arange(100, 100 + TRAIN + TEST + 1)
FEATURES = {
    "rows": (spoiled(images=lambda a: a["images"][1:]), "images has 80 rows and dataset_flickr30k.json has 81 images"),
    "captions": (spoiled(captions=lambda a: a["captions"][:-1]), "captions has 161 rows and .* has 162 sentences"),
    "unknown": (spoiled(titles=IDS), "the key 'titles', which is unknown"),
    "lacking": (spoiled(captions=None), "has no captions"),
    "twice": (spoiled(image_ids=np.where(IDS == 101, 100, IDS)), "holds 100 twice, again in row 1"),
    "other": (spoiled(image_ids=IDS + 1), "lacks the imgid 100"),
    "type": (spoiled(image_ids=IDS.astype(float)), "it must hold the imgids"),
    "nan": (spoiled(images=lambda a: np.where(np.arange(D) == 2, np.nan, a["images"])), "NaN or infinity"),
    "one nan": (
        spoiled(captions=lambda a: np.where(np.arange(162 * E).reshape(162, E) == 23, np.nan, a["captions"])),
        r"features\.npz: captions has a NaN or infinity in row 4",
    ),
}


@pytest.mark.parametrize("name", FEATURES)
def test_features_that_do_not_fit_are_refused(tmp_path, name):
    arrays, words = FEATURES[name]
    write(tmp_path, arrays=arrays)
    with pytest.raises(InputError, match=words):
        flickr30k(tmp_path)


def test_files_that_are_not_there(tmp_path):
    with pytest.raises(InputError, match="is not a folder"):
        flickr30k(tmp_path / "nothing")
    with pytest.raises(InputError, match=r"dataset_flickr30k\.json does not exist"):
        flickr30k(tmp_path)
    (tmp_path / "dataset_flickr30k.json").write_text("{")
    with pytest.raises(InputError, match="is no JSON"):
        flickr30k(tmp_path)
    (tmp_path / "dataset_flickr30k.json").write_text(json.dumps(split_file()))
    with pytest.raises(InputError, match=r"has 0 of features\.npz"):
        flickr30k(tmp_path)
    with pytest.raises(InputError, match="the reading is 'both'"):
        flickr30k(tmp_path, reading="both")


def test_table_two_is_quick_where_that_is_asked_for(tmp_path, monkeypatch):
    """Fewer pairs, each with its own document, and shorter training; the table says how many."""
    monkeypatch.setattr("rdjax.paper.pair_table.pair_columns", lambda *given: {"given": given})
    monkeypatch.setattr("rdjax.paper.pair_table.QUICK", dataclasses.replace(QUICK, documents=3, rows=5))
    write(tmp_path)
    for quick, counts in ((False, (TRAIN, TEST)), (True, (5, 3))):
        cells = table_two_cells(str(tmp_path), quick)
        assert len(cells) == 3
        *parts, steps, _ = cells[0].compute()["given"]
        assert steps == cells[0].config["steps"] == (QUICK.clip_steps if quick else CLIP_STEPS)
        for part, whole, count in zip(parts, flickr30k(tmp_path, reading="caption"), counts, strict=True):
            assert part.relevant.tolist() == list(range(count))
            for name in part.modalities:
                np.testing.assert_array_equal(part.queries[name], whole.queries[name][:count])
                np.testing.assert_array_equal(part.documents[name], whole.documents[name][:count])
            assert part.ids == part.query_ids == whole.ids[:count]


def test_the_first_pairs_bring_the_documents_they_want():
    corpus = Corpus(documents={"v": np.eye(4)}, queries={"v": np.ones((3, 4))}, relevant=[2, 0, 1])
    some = first_pairs(corpus, 2)
    np.testing.assert_array_equal(some.documents["v"], np.eye(4)[[2, 0]])
    assert (some.num_queries, some.relevant.tolist()) == (2, [0, 1])


def test_every_column_of_table_two(tmp_path, monkeypatch):
    monkeypatch.setattr("rdjax.paper.flickr_columns.RATES", (16,))
    write(tmp_path)
    fit, test = flickr30k(tmp_path)
    found = pair_columns(fit, test, 5, 0)
    scores = sum(np.asarray(test.queries[m], float) @ np.asarray(test.documents[m], float).T for m in test.modalities)
    ranks = 1 + (scores > np.diagonal(scores)[:, None]).sum(axis=1)
    expected = np.stack([1 / ranks, ranks == 1], axis=1)
    np.testing.assert_allclose(found["uncompressed"]["values"], expected, atol=1e-6)
    for method in ("fixed", "adaptive (10)", "calibrated", "ours", "ours, relevance", "clip"):
        assert found[method]["16"]["bits"] <= 16
        assert np.shape(found[method]["16"]["values"]) == (TEST, 2)
    # entropies of the cells, counted one value at a time
    views = tuple(test.queries.values())
    width = 0.1 * np.sqrt(np.mean(np.concatenate([view.ravel() for view in views]) ** 2))
    total = 0.0
    for column in np.round(views[0] / width).T:
        share = np.array([np.mean(column == value) for value in set(column.tolist())])
        total -= (share * np.log2(share)).sum()
    assert quantized_entropies(views)[0] == pytest.approx(total)
