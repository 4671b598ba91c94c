"""Which queries are fitted on, which are reported on, and over which documents both are searched."""

from collections.abc import Iterator, Mapping
from hashlib import blake2b

import numpy as np

from rdjax.checks import require, row_blocks
from rdjax.data.corpus import Corpus, trusted
from rdjax.data.stored import scratch_map


def split_queries(corpus: Corpus, seed: int, share: float = 0.5) -> tuple[Corpus, Corpus]:
    """Two corpora over the same documents, each with its own part of the queries, chosen at random: fit, test.

    Queries of equal vectors, which logs hold by the dozen, stay on one side, unless all are equal: what was fitted on
    one of them knows the others.

    Args:
      corpus: with at least two queries.
      seed: of the NumPy generator; the same seed gives the same split.
      share: of the queries that go to `fit`, strictly between 0 and 1; each side gets at least one.

    Raises:
      InputError: one query only, or a share outside (0, 1).
    """
    count = corpus.num_queries
    require(count > 1, "the corpus has one query; a split into fit and test needs at least two.")
    require(0 < share < 1, f"the share of the queries to fit on is {share}; it must lie strictly between 0 and 1.")
    kinds = query_kinds(corpus.queries)
    order = np.random.default_rng(seed).permutation(kinds.max() + 1)
    held = np.cumsum(np.bincount(kinds)[order])  # queries of the first kinds of that order
    size = min(max(int(np.searchsorted(held, round(share * count), side="right")), 1), len(order) - 1)
    fitted = np.isin(kinds, order[:size])
    return corpus.take_queries(np.flatnonzero(fitted)), corpus.take_queries(np.flatnonzero(~fitted))


def query_kinds(queries: Mapping[str, np.ndarray]) -> np.ndarray:
    """The number [Q], from 0, of each query's vectors among the different ones; all different if there is but one."""
    seen: dict[bytes, int] = {}
    like = {name: np.dtype(array.dtype) for name, array in queries.items()}
    kinds = np.array([seen.setdefault(digest, len(seen)) for digest in _digests(queries, like)])
    return kinds if len(seen) > 1 else np.arange(len(kinds))


def folds(corpus: Corpus, count: int, seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Query numbers (fit, test) of each fold of a cross-fit: every query is tested once, by what never saw it.

    Args:
      corpus: with at least `count` queries of different vectors (see `split_queries`).
      count: number of folds, at least 2; how many different queries they have differs by at most one.
      seed: of the NumPy generator.

    Raises:
      InputError: fewer than two folds, or more folds than different queries.
    """
    kinds = query_kinds(corpus.queries)
    size = int(kinds.max()) + 1
    require(2 <= count <= size, f"{count} folds are asked of {size} different queries; take 2 to {size}.")
    parts = np.array_split(np.random.default_rng(seed).permutation(size), count)
    inside = [np.isin(kinds, part) for part in parts]
    return [(np.flatnonzero(~chosen), np.flatnonzero(chosen)) for chosen in inside]


def pool_documents(audited: Corpus, fit: Corpus) -> Corpus:
    """`fit`'s queries, searched among the audited documents and those of `fit` that are not among them.

    Budgets are chosen on fit queries, and the choice is only right if their search is as hard as the audited one. A
    document of `fit` is among the audited ones if its vectors are equal in every modality; copies are paired in order.
    Where nothing has to be added, the audited arrays are used as they are. Otherwise they are joined in memory, or, for
    a memory map, in a temporary file.

    Args:
      audited: N documents.
      fit: the same modalities and dimensions.

    Returns:
      a corpus with the audited documents first, `fit`'s judgments and prior renumbered, and ids where both have them.

    Raises:
      InputError: modalities or dimensions that disagree, or no room for the temporary file.
    """
    _require_same_space(audited, fit)
    queries = {name: fit.queries[name] for name in audited.documents}  # in the same order: they stand side by side
    if _same_documents(audited, fit):
        return trusted(fit, documents=audited.documents, queries=queries, runs={})
    places = _places(audited, fit)
    extra = np.flatnonzero(places < 0)
    places[extra] = audited.num_documents + np.arange(len(extra))
    documents = audited.documents
    if len(extra):
        documents = {name: _join(array, fit.documents[name], extra) for name, array in documents.items()}
    relevant, grades = _renumbered(fit, places)
    prior = None
    if fit.prior is not None:
        prior = np.bincount(places, weights=fit.prior, minlength=audited.num_documents + len(extra))
    return trusted(
        fit,
        documents=documents,
        queries=queries,
        relevant=relevant,
        grades=grades,
        ids=_joined_ids(audited, fit, extra),
        prior=prior,
        runs={},
        notes=tuple(dict.fromkeys((*audited.notes, *fit.notes))),
    )


def queries_in_common(audited: Corpus, fit: Corpus) -> int:
    """How many audited queries have the vectors of a query to fit on; of the same modalities."""
    like = {name: np.result_type(array, fit.queries[name]) for name, array in audited.queries.items()}
    fitted = set(_digests(fit.queries, like))
    return sum(digest in fitted for digest in _digests(audited.queries, like))


def _require_same_space(audited: Corpus, fit: Corpus) -> None:
    require(
        set(audited.modalities) == set(fit.modalities),
        f"the audited corpus has the modalities {', '.join(audited.modalities)} and the one to fit on "
        f"{', '.join(fit.modalities)}; both need the same.",
    )
    for name, array in audited.documents.items():
        ours, theirs = array.shape[1], fit.documents[name].shape[1]
        require(
            ours == theirs,
            f"modality {name!r} has {ours} columns in the audited corpus and {theirs} in the one to fit on; "
            f"both must be embedded alike.",
        )


def _same_documents(audited: Corpus, fit: Corpus) -> bool:
    """Whether both hold the same rows in the same order; found out without reading where it is the same array."""
    if audited.num_documents != fit.num_documents:
        return False
    for name, array in audited.documents.items():
        other = fit.documents[name]
        if array is other:
            continue
        for start, rows in row_blocks(array):
            if not np.array_equal(rows, other[start : start + len(rows)]):
                return False
    return True


def _digests(features: Mapping[str, np.ndarray], like: dict[str, np.dtype]) -> Iterator[bytes]:
    """16 bytes for each item; equal (but for one chance in 2^64) exactly where all its vectors are equal."""
    step = max(1, 2**20 // sum(array.shape[1] for array in features.values()))
    for start in range(0, len(next(iter(features.values()))), step):
        parts = []
        for name, dtype in like.items():
            block = features[name][start : start + step].astype(dtype) + 0  # -0.0 becomes 0.0
            parts.append(np.ascontiguousarray(block).view(np.uint8))
        for row in np.concatenate(parts, axis=1):
            yield blake2b(row, digest_size=16).digest()


def _places(audited: Corpus, fit: Corpus) -> np.ndarray:
    """Index of each fit document among the audited ones, or -1; the audited ones are streamed, not held."""
    like = {name: np.result_type(array, fit.documents[name]) for name, array in audited.documents.items()}
    wanted = list(_digests(fit.documents, like))
    found: dict[bytes, list[int]] = {digest: [] for digest in wanted}
    for row, digest in enumerate(_digests(audited.documents, like)):
        if digest in found:
            found[digest].append(row)
    places = np.full(len(wanted), -1)
    for row, digest in enumerate(wanted):
        copies = found[digest]
        if copies:
            places[row] = copies.pop(0) if len(copies) > 1 else copies[0]
    return places


def _join(array: np.ndarray, other: np.ndarray, extra: np.ndarray) -> np.ndarray:
    """Rows of `array`, then the extra rows of `other`."""
    dtype = np.result_type(array, other)
    shape = (len(array) + len(extra), array.shape[1])
    doing = "joining the audited and the fitted documents"
    joined = scratch_map(shape, dtype, doing) if isinstance(array, np.memmap) else np.empty(shape, dtype)
    for start, rows in row_blocks(array):
        joined[start : start + len(rows)] = rows
    for start in range(0, len(extra), 2**12):
        rows = extra[start : start + 2**12]
        joined[len(array) + start : len(array) + start + len(rows)] = other[rows]
    return joined


def _renumbered(fit: Corpus, places: np.ndarray) -> tuple[np.ndarray | None, np.ndarray | None]:
    """`fit`'s judgments under the new numbers; of two that became one, the better grade stays."""
    if fit.relevant is None or fit.relevant.ndim == 1:
        return None if fit.relevant is None else places[fit.relevant], None
    relevant = np.where(fit.relevant >= 0, places[fit.relevant], -1)
    grades = None if fit.grades is None else fit.grades.copy()
    ordered = np.sort(relevant, axis=1)
    twice = ((ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] >= 0)).any(axis=1)
    for row in np.flatnonzero(twice):
        seen: dict[int, int] = {}
        for column, document in enumerate(relevant[row].tolist()):
            if document < 0:
                continue
            first = seen.setdefault(document, column)
            if first != column:
                relevant[row, column] = -1
                if grades is not None:
                    grades[row, first] = max(grades[row, first], grades[row, column])
                    grades[row, column] = 0.0
    return relevant, grades


def _joined_ids(audited: Corpus, fit: Corpus, extra: np.ndarray) -> tuple[str, ...] | None:
    """Ids of the pool, unless one corpus has none or they give one id to two documents."""
    if audited.ids is None or fit.ids is None:
        return None
    ids = (*map(str, audited.ids), *(str(fit.ids[row]) for row in extra))
    return ids if len(set(ids)) == len(ids) else None
