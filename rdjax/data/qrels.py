"""Judgments in the text formats of TREC (query 0 document grade) and BEIR (query, document, score, with a header)."""

import math
from collections.abc import Mapping, Sequence

import numpy as np

from rdjax.checks import InputError, require
from rdjax.data.reading import read_lines

Judged = list[dict[int, float]]  # for each query: document -> grade, in the order of the file


def read_qrels(path: str, ids: Sequence[str], query_ids: Sequence[str]) -> Judged:
    """What a file of judgments says of each query: document -> grade above 0; nothing, of a query it does not name.

    Args:
      path: four columns (query, anything, document, grade), or three (query, document, grade) whose first line may be a
        header; separated by tabs if there is one in the line, else by spaces. A grade of 0 or less: not relevant.
      ids: of the N documents.
      query_ids: of the Q queries.

    Raises:
      InputError: naming the line: an unknown id, a pair judged twice, or a grade that is no number.
    """
    documents = {str(name): row for row, name in enumerate(ids)}
    queries = {str(name): row for row, name in enumerate(query_ids)}
    judged: Judged = [{} for _ in query_ids]
    for number, line in enumerate(read_lines(path), start=1):  # of millions: no sentence is made unless it is needed
        fields = fields_of(line)
        if not line or (number == 1 and _is_header(fields, queries, documents)):
            continue
        if len(fields) not in (3, 4):
            raise InputError(f"{path} line {number} has {len(fields)} columns; write: query 0 document grade.")
        query, document, grade = fields[0], fields[-2], number_of(fields[-1])
        if grade is None:
            raise InputError(f"{path} line {number} has the grade {fields[-1]!r}; it must be a number.")
        if query not in queries:
            raise InputError(f"{path} line {number} judges query {query!r}, which is not among the query ids.")
        if document not in documents:
            raise InputError(
                f"{path} line {number} judges document {document!r}, which is not among the ids; take such lines out, "
                f"or add the documents{_nearly(document, documents)}."
            )
        row = judged[queries[query]]
        if documents[document] in row:
            raise InputError(f"{path} line {number} judges document {document!r} for {query!r} again; keep one.")
        row[documents[document]] = grade
    return [{document: grade for document, grade in row.items() if grade > 0} for row in judged]


def _is_header(fields: list[str], queries: Mapping[str, int], documents: Mapping[str, int]) -> bool:
    """Whether a first line names columns: a judgment whose grade is spoiled still names a query or a document."""
    return len(fields) == 3 and number_of(fields[2]) is None and not (fields[0] in queries or fields[1] in documents)


def _nearly(name: str, known: Mapping[str, int]) -> str:
    """Where an id differs from another by leading zeros alone, as numbers do that were text."""
    bare = name.lstrip("0")
    close = next((other for other in known if other.lstrip("0") == bare), None) if bare.isdigit() else None
    return "" if close is None else f" (did you mean {close!r}, which differs by zeros?)"


def match_ids(lists: Sequence[Sequence[str]], where: str, ids: Sequence[str]) -> Judged:
    """The same from a list of document ids for each query; all of grade 1.

    Raises:
      InputError: naming the row: an unknown id, or one that is there twice.
    """
    documents = {str(name): row for row, name in enumerate(ids)}
    judged: Judged = []
    for row, names in enumerate(lists):
        for name in names:
            require(name in documents, f"{where} names document {name!r} in row {row}, which is not among the ids.")
        judged.append({documents[name]: 1.0 for name in names})
        require(len(judged[row]) == len(names), f"{where} names a document twice in row {row}; name it once.")
    return judged


def judgment_arrays(judged: Judged) -> tuple[np.ndarray, np.ndarray | None]:
    """Relevant documents and their grades, lists of different lengths as padded arrays.

    Args:
      judged: of each of the Q queries, at least one document.

    Returns:
      relevant int64 [Q] if every query has one document and all grades are 1; else [Q, J], padded with -1, in the order
      of the file; and grades float64 [Q, J], or None if all are 1.
    """
    width = max(map(len, judged), default=0)
    relevant, grades = np.full((len(judged), width), -1), np.zeros((len(judged), width))
    for place, gain in enumerate(judged):
        relevant[place, : len(gain)] = list(gain)
        grades[place, : len(gain)] = list(gain.values())
    if (grades[relevant >= 0] != 1).any():
        return relevant, grades
    return (relevant[:, 0] if width == 1 else relevant), None


def fields_of(line: str) -> list[str]:
    """The columns of a line: between tabs, if there are any, so that an id may hold a space; else between spaces."""
    return [field.strip() for field in line.split("\t")] if "\t" in line else line.split()


def number_of(text: str) -> float | None:
    """The finite number that a text is, or None; "1_0", which Python takes for ten, is none."""
    try:
        value = math.nan if "_" in text else float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
