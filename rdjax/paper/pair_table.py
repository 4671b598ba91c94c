"""Table 2, assembled from cells: MRR and Recall@1 of pairs of an image and a text."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from rdjax.data import Corpus
from rdjax.data.corpus import trusted
from rdjax.data.flickr30k import READINGS
from rdjax.paper.cells import Cell
from rdjax.paper.flickr_columns import EMOJI, RATES, load_reading, pair_columns
from rdjax.paper.instances import TABLE_TWO
from rdjax.paper.readings import QUICK
from rdjax.paper.tables import AS_PRINTED, RATE, Entry, Row, Table

CLIP_STEPS = 400
PRINTED_RATES = (256, 512)

#: (label, method, key of the paper's Table 2)
METHODS = (
    ("uncompressed, equal temperatures", "uncompressed", ""),
    ("uncompressed, calibrated", "uncompressed, calibrated", ""),
    ("Naive CLIP", "clip", "clip"),
    ("Fixed tau", "fixed", "fixed"),
    ("Adaptive tau (10)", "adaptive (10)", "adaptive"),
    ("Adaptive tau, section 6", "adaptive, section 6", ""),
    ("the same codes, calibrated", "calibrated", ""),
    ("ours: principal components", "ours", ""),
    ("ours: directions of relevance", "ours, relevance", ""),
    ("Bound", "", "bound"),
)


def table_two_cells(path: str | None, quick: bool = False, seed: int = 0) -> list[Cell]:
    """A cell for each reading of Flickr30k in the folder `path`, or of the emoji; quick, of the first pairs alone."""
    fit_tests = {reading: load_reading(path, reading) for reading in (EMOJI if path is None else READINGS)}
    steps, cells = min(CLIP_STEPS, QUICK.clip_steps) if quick else CLIP_STEPS, []
    for reading, (fit, test) in fit_tests.items():
        if quick:
            fit, test = first_pairs(fit, QUICK.rows), first_pairs(test, QUICK.documents)
        config = {"corpus": test.name, "seed": seed, "steps": steps, "data": [_digest(fit), _digest(test)]}
        compute = lambda fit=fit, test=test: pair_columns(fit, test, steps, seed)
        cells.append(Cell(f"table2-{_slug(path, reading)}", config, (pair_columns.__module__,), compute, 12.0))
    return cells


def first_pairs(corpus: Corpus, count: int) -> Corpus:
    """The first queries, no more than `count`, and the documents they want and no others, in their order."""
    some = corpus.take_queries(np.arange(min(count, corpus.num_queries)))
    documents = {name: array[np.asarray(some.relevant)] for name, array in some.documents.items()}
    return trusted(some, documents=documents, relevant=np.arange(some.num_queries), ids=some.query_ids)


def table_two(found: Mapping[str, Any], path: str | None) -> list[Table]:
    """MRR and Recall@1 for each reading, of what `compute_cells` gave for `table_two_cells`."""
    tables = []
    for reading, words in (EMOJI if path is None else READINGS).items():
        part = found[f"table2-{_slug(path, reading)}"]
        for number, metric in enumerate(("mean reciprocal rank", "Recall@1, percent")):
            tables.append(_of_reading(part, number, metric, reading, words, path))
    return tables


def _of_reading(part: Mapping[str, Any], number: int, metric: str, reading: str, words: str, path: str | None) -> Table:
    rows = []
    for label, method, printed in METHODS:
        if method:
            cells = [part[method] if "values" in part[method] else part[method].get(str(rate)) for rate in RATES]
            rows.append(Row(label, "measured", tuple(_entry(cell, number) for cell in cells)))
        if printed:
            rows.append(Row(f"{label}, as printed", AS_PRINTED, _as_printed(printed, number)))
    corpus = "Flickr30k" if path is not None else "the emoji corpus in place of Flickr30k"
    entropies = ", ".join(f"{h:.0f}" for h in part["entropies"]["bits"])
    notes = (
        f"On {len(part['uncompressed']['values']):,} pairs of {corpus}: {words}. ± one standard error over queries.",
        "CLIP, fixed and adaptive tau: R by PCA projection, components in half precision, shares in proportion to "
        f"H_m = {entropies} bits (cells of a tenth of a coordinate's root mean square).",
        "Ours: scalar quantizers of fixed length of both modalities together, calibrated; the second along what tells "
        "documents apart. All is fitted on the fit corpus alone.",
    )
    title = f"Table 2, {reading} to pair ({corpus}): {metric} against bits per query"
    name = f"table2-{_slug(path, reading)}-{('mrr', 'recall')[number]}"
    return Table(name, title, RATE, tuple(str(rate) for rate in RATES), tuple(rows), notes)


def _entry(cell: Mapping[str, Any] | None, number: int) -> Entry | None:
    if cell is None:
        return None
    sample = np.array(cell["values"])[:, number] * (100 if number else 1)
    return Entry(float(sample.mean()), float(sample.std(ddof=1) / np.sqrt(len(sample))), cell["bits"])


def _as_printed(key: str, number: int) -> tuple[Entry | None, ...]:
    values = TABLE_TWO[key]
    printed = dict(zip(PRINTED_RATES, [value[number] for value in values] * (3 - len(values)), strict=False))
    return tuple(Entry(printed[rate]) if rate in printed else None for rate in RATES)


def _slug(path: str | None, reading: str) -> str:
    return f"{'emoji' if path is None else 'flickr30k'}-{reading.replace(' ', '-')}"


def _digest(corpus: Any) -> str:
    """Of the vectors, so that other features are another experiment."""
    import hashlib

    total = hashlib.sha256()
    for side in (corpus.queries, corpus.documents):
        for array in side.values():
            total.update(np.ascontiguousarray(array).tobytes())
    return total.hexdigest()[:16]
