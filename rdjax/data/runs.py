"""Runs in the text format of TREC: query Q0 document rank score tag."""

from collections.abc import Sequence

import numpy as np

from rdjax.checks import InputError, require
from rdjax.data.qrels import fields_of, number_of
from rdjax.data.ranked import Run
from rdjax.data.reading import read_lines


def read_run(path: str, ids: Sequence[str], query_ids: Sequence[str]) -> Run:
    """The run in a file; queries that are not among the ids are passed over, as those that were not judged are.

    Args:
      path: six columns (query, anything, document, rank, score, name of the run), separated by tabs, where ids may hold
        spaces, or by space. The order is that
        of the scores, as everywhere in TREC, and not of the ranks.
      ids: of the N documents.
      query_ids: of the Q queries.

    Raises:
      InputError: naming the line: an unknown document, one that is there twice for a query, or a score that is no
        number; or naming the file: no query of ours.
    """
    documents = {str(name): row for row, name in enumerate(ids)}
    queries = {str(name): row for row, name in enumerate(query_ids)}
    ranked: list[dict[int, float]] = [{} for _ in query_ids]
    for number, line in enumerate(read_lines(path), start=1):  # of millions: no sentence is made unless it is needed
        if not line:
            continue
        fields = fields_of(line)
        if len(fields) != 6:
            fields = line.split()  # tabs and spaces mixed
        if len(fields) != 6:
            raise InputError(
                f"{path} line {number} has {len(fields)} columns; write: query Q0 document rank score name."
            )
        query, document, score = fields[0], fields[2], number_of(fields[4])
        if score is None:
            raise InputError(f"{path} line {number} has the score {fields[4]!r}; it must be a number.")
        if document not in documents:
            raise InputError(f"{path} line {number} ranks document {document!r}, which is not among the ids.")
        row = ranked[queries[query]] if query in queries else {}
        if documents[document] in row:
            raise InputError(f"{path} line {number} ranks document {document!r} for {query!r} again; keep one.")
        row[documents[document]] = score
    require(any(ranked), f"{path} ranks nothing for any of the {len(queries)} queries; their ids may differ.")
    return _run(ranked)


def _run(ranked: list[dict[int, float]]) -> Run:
    width = max(map(len, ranked))
    documents, scores = np.full((len(ranked), width), -1), np.full((len(ranked), width), -np.inf)
    for place, row in enumerate(ranked):
        documents[place, : len(row)], scores[place, : len(row)] = list(row), list(row.values())
    return Run(documents, scores)
