"""Corpus: what is searched, what is asked, and what is relevant.

Every array is checked once, when the corpus is made, so that nothing downstream needs to check it again. Memory maps
stay memory maps: to be checked they are read in blocks, and nothing here copies them whole.
"""

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import InitVar, dataclass, field
from typing import Any

import numpy as np

from rdjax import checks
from rdjax.checks import InputError, require
from rdjax.data.ranked import Run

Label = Callable[[str], str]


@dataclass(frozen=True, eq=False, repr=False)
class Corpus:
    """Documents and queries as vectors, one array per modality; a query's score is a sum of inner products.

        score(q, n) = sum_m <queries[m][q], documents[m][n]> / temperature_m

    Args:
      documents: modality name -> array [N, D_m] of numbers (memory maps welcome), N >= 2.
      queries: the same names -> arrays [Q, D_m].
      relevant: the document each query looks for, int [Q]; or several, int [Q, J], padded with -1; or None: without
        judgments, only fidelity to the uncompressed search can be asked for.
      grades: gain of each relevant document, > 0, float [Q, J] beside `relevant` of that shape; None: all worth 1.
      ids, query_ids: N and Q different strings, or None.
      prior: probability of each document being sought, float [N]; None: not said.
      runs: what other systems ranked for these queries, by name.
      name: what to call the corpus in a report.
      notes: what must be said wherever a figure from this corpus is shown.
      stored_bits: bits that a document's number takes where it is kept, of modalities whose arrays are wider than that
        (bfloat16 or scaled int8, read as float32).
      sources: what an error calls each array, e.g. {"documents.image": "my/documents.image.npy"}; not kept.

    Raises:
      InputError: one sentence that names the array and the row: NaN or infinity, a row of zeros, no rows, one document,
        numbers so small that their products are 0, shapes, names or ids that disagree, an index out of range, a query
        without judgment, a prior that is no law.
    """

    documents: Mapping[str, np.ndarray]
    queries: Mapping[str, np.ndarray]
    relevant: np.ndarray | None = None
    grades: np.ndarray | None = None
    ids: Sequence[str] | None = None
    query_ids: Sequence[str] | None = None
    prior: np.ndarray | None = None
    runs: Mapping[str, Run] = field(default_factory=dict)
    name: str = "corpus"
    notes: tuple[str, ...] = ()
    stored_bits: Mapping[str, int] = field(default_factory=dict)
    sources: InitVar[Mapping[str, str] | None] = None

    def __post_init__(self, sources: Mapping[str, str] | None) -> None:
        def label(key: str) -> str:
            return (sources or {}).get(key, key)

        documents = _side("documents", self.documents, label)
        queries = _side("queries", self.queries, label)
        queries = _matching(documents, queries, label)
        num_documents, num_queries = _rows(documents), _rows(queries)
        first = label(f"documents.{next(iter(documents))}")
        require(num_documents > 1, f"{first} holds one document; a ranking needs at least two.")
        ids = _ids(self.ids, num_documents, "documents", label("ids"))
        query_ids = _ids(self.query_ids, num_queries, "queries", label("query_ids"))
        relevant = _relevant(self.relevant, num_documents, num_queries, label("relevant"))
        _set(
            self,
            documents=documents,
            queries=queries,
            relevant=relevant,
            grades=_grades(self.grades, relevant, label("grades")),
            ids=ids,
            query_ids=query_ids,
            prior=_prior(self.prior, num_documents, label("prior")),
            notes=tuple(self.notes),
        )
        for side, arrays in (("documents", documents), ("queries", queries)):  # last: this reads everything
            for name, array in arrays.items():
                _vectors(array, label(f"{side}.{name}"))

    @property
    def num_documents(self) -> int:
        """N."""
        return _rows(self.documents)

    @property
    def num_queries(self) -> int:
        """Q."""
        return _rows(self.queries)

    @property
    def modalities(self) -> tuple[str, ...]:
        """Names of the modalities, in the order of `documents`."""
        return tuple(self.documents)

    def take_queries(self, indices: Any) -> "Corpus":
        """The corpus with these queries only, in this order; the same documents, which are not copied.

        Args:
          indices: int [K], K >= 1, numbers of queries.

        Raises:
          InputError: an index out of range, or none at all.
        """
        indices = np.asarray(indices)
        require(indices.ndim == 1 and indices.size > 0, "no queries are chosen; take at least one.")
        checks.indices(indices, self.num_queries, "the choice of queries", "queries")
        ids = self.query_ids
        return trusted(
            self,
            queries={name: array[indices] for name, array in self.queries.items()},
            relevant=None if self.relevant is None else self.relevant[indices],
            grades=None if self.grades is None else self.grades[indices],
            query_ids=None if ids is None else tuple(str(ids[i]) for i in indices),
            runs={name: run.take(indices) for name, run in self.runs.items()},
        )

    def __repr__(self) -> str:
        sizes = ", ".join(f"{name} [{array.shape[1]}]" for name, array in self.documents.items())
        return f"Corpus({self.name!r}: {self.num_documents} documents, {self.num_queries} queries, {sizes})"


def trusted(corpus: Corpus, **changes: Any) -> Corpus:
    """A copy with these fields changed and nothing checked: for what our own code derives from a checked corpus."""
    return _set(copy.copy(corpus), **changes)


def _set(corpus: Corpus, **fields: Any) -> Corpus:
    for name, value in fields.items():
        object.__setattr__(corpus, name, value)
    return corpus


def _rows(arrays: Mapping[str, np.ndarray]) -> int:
    return next(iter(arrays.values())).shape[0]


def _array(values: Any, where: str) -> np.ndarray:
    """An array, without copying one; memory maps keep their type."""
    try:
        return values if isinstance(values, np.memmap) else np.asarray(values)
    except ValueError:
        raise InputError(f"{where} is not rectangular; every row must have the same length.") from None


def _side(side: str, arrays: Any, label: Label) -> dict[str, np.ndarray]:
    """One array per modality, all with the same number of rows; entries are not read yet."""
    advice = f"{side} must map the name of each modality to an array, e.g. {{'image': array}}."
    require(isinstance(arrays, Mapping) and len(arrays) > 0, advice)
    require(all(isinstance(name, str) and name for name in arrays), advice)
    for name in arrays:
        require(
            name.isprintable(), f"{label(f'{side}.{name}')} is named {name!r}; name modalities by what can be printed."
        )
    checked = {name: _array(values, label(f"{side}.{name}")) for name, values in arrays.items()}
    first = next(iter(checked))
    for name, array in checked.items():
        where = label(f"{side}.{name}")
        checks.numeric_header(array, where)
        require(
            len(array) == len(checked[first]),
            f"{where} has {len(array)} rows and {label(f'{side}.{first}')} has {len(checked[first])}; "
            f"row i of each modality must be the same item.",
        )
    return checked


def _matching(documents: dict, queries: dict, label: Label) -> dict[str, np.ndarray]:
    """The queries in the documents' order of modalities, which must be the same and of the same dimensions."""
    lone = sorted(set(documents) ^ set(queries))
    if lone:
        has, lacks = ("documents", "queries") if lone[0] in documents else ("queries", "documents")
        where = label(f"{has}.{lone[0]}")
        raise InputError(f"{where} has no partner among the {lacks}; both sides need the same modalities.")
    for name, array in documents.items():
        require(
            array.shape[1] == queries[name].shape[1],
            f"{label(f'documents.{name}')} has {array.shape[1]} columns and {label(f'queries.{name}')} has "
            f"{queries[name].shape[1]}; queries and documents must lie in the same space.",
        )
        kinds = {side: each[name].dtype for side, each in (("documents", documents), ("queries", queries))}
        bits = next((side for side, kind in kinds.items() if kind == np.uint16), None)
        numbers = bits is None or all(kind.kind in "iu" for kind in kinds.values())
        words = f"{label(f'{bits}.{name}')} holds uint16 values beside numbers with fractions"
        require(numbers, f"{words}; if they are bfloat16, end its name in .bf16, else export it as float32.")
    return {name: queries[name] for name in documents}


def _vectors(array: np.ndarray, where: str) -> None:
    """A numeric matrix without a row of zeros, which has no direction, and none of whose products vanish; read once."""
    largest = 0.0
    for start, block in checks.row_blocks(array):
        finite, nonzero = np.isfinite(block).all(axis=1), block.any(axis=1)
        for good, what in ((finite, "has a NaN or infinity"), (nonzero, "is all zeros")):
            row = start + int(np.argmin(good))
            require(bool(good.all()), f"{where} {what} in row {row}; remove that item or embed it again.")
        largest = max(largest, float(block.max()), -float(block.min()))
    working = np.promote_types(array.dtype, np.float32) if array.dtype.kind == "f" else np.dtype(np.float64)
    checks.products_stay(largest, working, where)


def _relevant(values: Any, num_documents: int, num_queries: int, where: str) -> np.ndarray | None:
    """Indices int64 [Q] or [Q, J], at least one per query, none twice."""
    if values is None:
        return None
    array = _array(values, where)
    require(
        array.ndim in (1, 2) and len(array) == num_queries,
        f"{where} has shape {array.shape}; for {num_queries} queries it is ({num_queries},) or ({num_queries}, J).",
    )
    require(array.dtype.kind in "iu", f"{where} holds {array.dtype} values; it must hold document indices (integers).")
    table = array.reshape(num_queries, -1)
    judged = table != -1
    if not judged.any(axis=1).all():
        row = int(np.argmin(judged.any(axis=1)))
        raise InputError(f"{where} has no document in row {row}; judge that query or leave it out.")
    bad = judged & ((table < 0) | (table >= num_documents))
    if bad.any():
        row, column = (int(i) for i in np.argwhere(bad)[0])
        raise InputError(
            f"{where} has {int(table[row, column])} in row {row}, "
            f"but there are {num_documents} documents, numbered 0 to {num_documents - 1}."
        )
    ordered = np.sort(table, axis=1)
    twice = (ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] != -1)
    if twice.any():
        row, column = (int(i) for i in np.argwhere(twice)[0])
        raise InputError(f"{where} names document {int(ordered[row, column])} twice in row {row}; name it once.")
    return array.astype(np.int64)


def _grades(values: Any, relevant: np.ndarray | None, where: str) -> np.ndarray | None:
    """Gains float64 [Q, J]; 0 where `relevant` is padding."""
    if values is None:
        return None
    array = _array(values, where)
    require(relevant is not None, f"{where} is given without relevant; say which documents the grades belong to.")
    require(array.dtype.kind in "fiu", f"{where} holds {array.dtype} values; it must hold numbers.")
    assert relevant is not None
    require(
        relevant.ndim == 2 and array.shape == relevant.shape,
        f"{where} has shape {array.shape} and relevant has {relevant.shape}; both must be the same (Q, J).",
    )
    judged = relevant != -1
    bad = judged & ~(np.isfinite(array) & (array > 0))
    if bad.any():
        row, column = (int(i) for i in np.argwhere(bad)[0])
        raise InputError(
            f"{where} has {array[row, column]:g} in row {row}, column {column}; "
            f"a relevant document's grade is a number above 0 (write -1 in relevant for the others)."
        )
    return np.where(judged, array, 0.0).astype(np.float64)


def _ids(values: Any, count: int, what: str, where: str) -> Sequence[str] | None:
    """Distinct strings, one per item: an array of strings stays one, anything else becomes a tuple."""
    if values is None:
        return None
    is_list = isinstance(values, Sequence | np.ndarray) and not isinstance(values, str | bytes)
    require(is_list, f"{where} is a {type(values).__name__}; it must be a list of strings.")
    if isinstance(values, np.ndarray) and values.dtype.kind in "iu":
        values = values.astype(str)
    is_array = isinstance(values, np.ndarray) and values.dtype.kind == "U"
    require(not is_array or values.ndim == 1, f"{where} has shape {np.shape(values)}; it must be a list of strings.")
    if is_array:
        checks.characters(values, where)
    names = values if is_array else tuple(values)
    require(len(names) == count, f"{where} has {len(names)} entries for {count} {what}; there must be one for each.")
    checks.distinct(names, where)
    return names


def _prior(values: Any, num_documents: int, where: str) -> np.ndarray | None:
    if values is None:
        return None
    array = _array(values, where)
    require(
        array.shape == (num_documents,),
        f"{where} has shape {array.shape}; it must hold one probability for each of the {num_documents} documents.",
    )
    checks.law(array, where)
    return array
