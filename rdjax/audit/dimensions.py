"""How many dimensions single-vector scores need, as a calculator: floors, a construction, and a search."""

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np

from rdjax.checks import whole
from rdjax.limits import Bound, achieved_dimension, complete_dimension, least_dimension, pattern_dimension

ENTRIES = 40_000  # queries times documents that are searched for, at most: some seconds for each dimension
BEYOND = 8  # dimensions above the least that are tried, at most
COUNTED = 2**62  # sets of documents, at most: beyond, that there are more is all that is said


@dataclass(frozen=True)
class Dimensions:
    """What was asked of the vectors, and what is known of the least dimension d that allows it.

    `queries` counts them, None where there are more than 2^62. `rankings` is the least d in which documents have as
    many rankings as the rate at the quality asked for needs (Cover's count). `bound` is of the least d in which every
    query's documents can all come first, in exact arithmetic: both sides are proved. `found` is the least d in which
    gradient descent on the vectors themselves (float32, unit length) brought all first, None where it did not or was
    not tried; `gap` is the least difference of scores then, and `tried` the last dimension it was tried in, 0 for none.
    """

    wanted: str
    queries: int | None
    rankings: int
    bound: Bound
    found: int | None
    tried: int
    gap: float | None


def dimensions_for(documents: int, bits: float, wanted: int | np.ndarray, *, seed: int = 0) -> Dimensions:
    """Floors, the construction, and a search where it is small enough.

    Args:
      documents: N.
      bits: the rate that rankings have to carry, e.g. R(D).
      wanted: K, for queries that want any K of the documents; or booleans [P, N], what each query wants.
      seed: of the search.

    Raises:
      InputError: K out of range, patterns that are none.
    """
    rankings = least_dimension(bits, documents)
    queries: int | None
    if isinstance(wanted, np.ndarray):
        bound, queries = pattern_dimension(wanted), len(wanted)
        words = f"the documents that each of {queries:,} queries wants"
    else:
        size = whole(wanted, "the number of documents that a query wants")
        bound, queries = _complete(documents, size), _sets(documents, size)
        words = f"any {size} of {documents:,} documents"
    found, tried, gap = None, 0, None
    if queries is not None and queries * documents <= ENTRIES:
        patterns = wanted if isinstance(wanted, np.ndarray) else every_set(documents, wanted)
        least = int(bound.lower)
        found, vectors = achieved_dimension(patterns, least, min(least + BEYOND, documents), seed=seed)
        tried = vectors.documents.shape[1]
        gap = float(np.min(np.asarray(vectors.gaps))) if found else None
    return Dimensions(words, queries, rankings, bound, found, tried, gap)


def _sets(documents: int, size: int) -> int | None:
    """C(N, K), None beyond `COUNTED`: it may have as many digits as there are documents."""
    total = 1
    for i in range(min(size, documents - size)):  # C(N, i) is at least 2^i here, so it ends after 63 turns
        total = total * (documents - i) // (i + 1)
        if total > COUNTED:
            return None
    return total


def every_set(documents: int, size: int) -> np.ndarray:
    """All C(N, K) sets of K documents, booleans [sets, N]."""
    sets: Any = list(itertools.combinations(range(documents), size))
    patterns = np.zeros((len(sets), documents), bool)
    np.put_along_axis(patterns, np.array(sets), True, axis=1)
    return patterns


def _complete(documents: int, size: int) -> Bound:
    """Of all sets of K, without making them."""
    least = complete_dimension(documents, size)
    most = min(documents - 1, 2 * size, 2 * (documents - size))
    return Bound(least, most, "theorem", ("exact arithmetic",))
