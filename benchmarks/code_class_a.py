"""Class A, where the encoder searches the corpus: peers that send a number, and Theorem C beside them.

At and above log2 N bits a peer sends the number of the top document, and the decoder ranks the rest by similarity to
it; further bits say which of a few residuals (k-means of fit query - its top document) is added to that document first.
Below log2 N it sends the number of a cell of documents, or of one of a few documents. Each with the vectors as they are
and calibrated; the best is taken with hindsight, which favors the peers.
"""

import math
import time
from collections.abc import Iterator

import faiss
import numpy as np
from code_corpora import Case

NAMED = np.float32(1e6)  # above every score


def ranked(case: Case, bits: int, seed: int = 0) -> Iterator[tuple[str, float, np.ndarray, float]]:
    """(name, bits, scores [Q, N], seconds to fit) of every peer at this budget; the first one's have what all share."""
    for label, (queries, documents) in (("calibrated", (case.queries, case.documents)), ("plain", case.plain)):
        start = time.perf_counter()
        if 2**bits >= len(documents):
            made = _by_number(case, label, queries, documents, bits, seed)
        else:
            made = _by_cell(queries, documents, bits, seed)
        for name, spent, scores in made:
            yield f"{name}, {label}", spent, scores, time.perf_counter() - start
            start = time.perf_counter()  # what is done with it meanwhile is not its own


def _by_number(
    case: Case, label: str, queries, documents, bits: int, seed: int
) -> Iterator[tuple[str, float, np.ndarray]]:
    needed = math.ceil(math.log2(len(documents)))
    similar = documents @ documents.T
    top = (queries @ documents.T).argmax(axis=1)
    rows = np.arange(len(queries))
    scores = similar[top]
    scores[rows, top] = NAMED
    yield "top id", needed, scores
    if bits > needed and label == "calibrated":
        material = case.material("B")
        first = documents[(material.queries @ documents.T).argmax(axis=1)]
        words = _means(material.queries - first, 2 ** (bits - needed), seed)
        residual = queries - documents[top]
        chosen = words[
            ((residual**2).sum(axis=1)[:, None] - 2 * residual @ words.T + (words**2).sum(axis=1)).argmin(axis=1)
        ]
        scores = (documents[top] + chosen) @ documents.T
        yield "top id + residual word", bits, scores.copy()
        scores[rows, top] = NAMED
        yield "top id first, residual word", bits, scores


def _by_cell(queries, documents, bits: int, seed: int) -> Iterator[tuple[str, float, np.ndarray]]:
    centers = _means(documents, 2**bits, seed)
    cell = ((centers**2).sum(axis=1) - 2 * documents @ centers.T).argmin(axis=1)
    table = centers @ documents.T
    found = queries @ documents.T
    yield "cell of largest product", bits, table[(queries @ centers.T).argmax(axis=1)]
    yield "nearest cell", bits, table[(queries @ centers.T - (centers**2).sum(axis=1) / 2).argmax(axis=1)]
    chosen = cell[found.argmax(axis=1)]
    yield "top's cell", bits, table[chosen]
    above = 2 * np.abs(table).max() + 1  # small, or float32 has no digits left for the order within the cell
    first = np.where(cell[None, :] == chosen[:, None], above + table[chosen], table[chosen])
    yield "top's cell first", bits, first
    medoids = np.unique(table.argmax(axis=1))
    similar = documents[medoids] @ documents.T
    similar[np.arange(len(medoids)), medoids] = NAMED
    yield "id among medoids", bits, similar[found[:, medoids].argmax(axis=1)]


def _means(vectors: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Centroids of faiss' k-means, 3 starts."""
    means = faiss.Kmeans(
        vectors.shape[1], min(count, len(vectors)), niter=25, nredo=3, seed=seed + 1, min_points_per_centroid=1
    )
    means.train(np.ascontiguousarray(vectors, np.float32))
    return means.centroids
