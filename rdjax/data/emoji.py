"""The corpus that ships with the package: 1,228 emoji, each drawn by several vendors and described by several texts.

A query and a document are two independent realizations of one concept, which is the paper's model of retrieval. It
stands in for Flickr30k where that cannot be had: it is no collection of photographs, and there is no joint image-text
space.
"""

import importlib.resources

import numpy as np

from rdjax.checks import require
from rdjax.data.corpus import Corpus

FILE = "emoji_multiview_512.npz"

#: task: (query image, document image, query text, document text), keys of the file
TASKS = {
    "T1": ("img_fluent", "img_noto", "minilm_label_en", "minilm_tags_en_disjoint"),
    "T2": ("img_fluent", "img_noto", "minilm_label_en", "minilm_tags_en"),
    "T3": ("img_fluent", "img_noto", "me5_label_ja", "me5_label_en"),
    "T4": ("img_twemoji", "img_noto", "me5_label_de", "me5_label_en"),
}

NOTES = (
    "drawn emoji, not photographs: it stands in for Flickr30k, and has no joint image-text space",
    "drawings: Noto Emoji (Google, Apache-2.0), Twemoji (Twitter, Inc. and other contributors, CC BY 4.0), "
    "Fluent Emoji 3D (Microsoft, MIT)",
    "texts: emojibase-data (MIT) over Unicode CLDR",
    "encoders: EfficientNet-Lite0 and all-MiniLM-L6-v2 (Apache-2.0), multilingual-e5-small (MIT)",
)


def emoji(task: str = "T1", *, wrong_images: bool = False, seed: int = 0) -> tuple[Corpus, Corpus]:
    """Two corpora of different emoji: 228 to fit on, 1,000 to audit; modalities "image" and "text".

        document n = (drawing of concept n by one vendor, one text about it)
        query n    = (drawing of concept n by another vendor, another text about it), relevant: document n

    Args:
      task: "T1" Fluent drawing and English label -> Noto drawing and keywords that share no word with the label (hard);
        "T2" the same with all keywords; "T3" Fluent and the Japanese label -> Noto and the English label; "T4" Twemoji
        and the German label -> Noto and the English label (easy).
      wrong_images: give a random half of the queries, in each of the two corpora, the image of another query of that
        half: a stress case for fusion, where temperatures should differ by query.
      seed: of the NumPy generator that chooses them; without wrong images nothing is random.

    Returns:
      fit, test: vectors float32, image [., 512] and text [., 384], centered on the 228 and of unit norm (to float16's
      rounding); ids are the emoji's code points.

    Raises:
      InputError: no such task.
    """
    require(task in TASKS, f"there is no emoji task {task!r}; choose one of {', '.join(TASKS)}.")
    with (
        importlib.resources.files("rdjax.data").joinpath(FILE).open("rb") as file,
        np.load(file, allow_pickle=False) as arrays,
    ):
        views = [arrays[key].astype(np.float32) for key in TASKS[task]]
        ids, splits = arrays["id"], (arrays["rest_idx"], arrays["test_idx"])
    rngs = np.random.default_rng(seed).spawn(2)
    fit, test = (
        _part(task, [view[rows] for view in views], ids[rows], rng if wrong_images else None)
        for rows, rng in zip(splits, rngs, strict=True)
    )
    return fit, test


def _part(task: str, views: list[np.ndarray], ids: np.ndarray, rng: np.random.Generator | None) -> Corpus:
    query_image, image, query_text, text = views
    name, notes = f"emoji {task}", list(NOTES)
    if rng is not None:
        query_image = _swapped_half(query_image, rng)
        name += ", wrong images"
        notes.append("a random half of the queries carries another query's image")
    return Corpus(
        documents={"image": image, "text": text},
        queries={"image": query_image, "text": query_text},
        relevant=np.arange(len(ids)),
        ids=tuple(ids.tolist()),
        query_ids=tuple(ids.tolist()),
        name=name,
        notes=tuple(notes),
    )


def _swapped_half(rows: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A random half of the rows passed on along one random cycle, so that none of them stays in its place."""
    half = rng.permutation(len(rows))[: len(rows) // 2]
    swapped = rows.copy()
    swapped[half] = rows[np.roll(half, 1)]
    return swapped
