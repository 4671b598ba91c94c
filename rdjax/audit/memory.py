"""How much memory an audit takes, reckoned from shapes, and the sizes of blocks that keep it within a budget.

Resident at the peak are at most

    PROGRAM + SHARED vectors + max(CALIBRATING samples, workers (OWN vectors + PER_SCORE scores))

and where the queries are cross-fitted the vectors once more for every further fold, if temperatures differ there;
with all vectors in float32 or more, the float64 scores that temperatures are fitted on, and the scores of a code that a
worker holds at a time, which is what a budget chooses. The factors are measured at 20,000 and 100,000 documents of two
modalities, and on the safe side; `benchmarks/large.py --memory` holds an audit against its budget.
"""

import warnings
from dataclasses import dataclass

import numpy as np

from rdjax.audit.view import CALIBRATION_DOCUMENTS, CALIBRATION_QUERIES, FEW, FOLDS, FULL
from rdjax.audit.wording import storage
from rdjax.checks import InputError
from rdjax.data import Corpus, machine

PROGRAM = 1.0e9  # bytes: the interpreter, JAX, compiled programs
SHARED, OWN = 3, 10  # copies of all vectors, and those on the way through a code
CALIBRATING = 6  # copies of the scores
PER_SCORE = 20  # bytes
WORKERS, SCORES, LEAST = 2, 2**24, 2**20


@dataclass(frozen=True)
class Sizes:
    """Families of codes measured at a time, and scores that each of them holds at a time."""

    workers: int = WORKERS
    scores: int = SCORES


def sizes_within(budget: float | None, corpus: Corpus, fit: Corpus | None) -> Sizes:
    """The sizes that keep an audit within a budget; results do not depend on them.

    Args:
      budget: bytes of resident memory; None for those of this machine or its container, and the smallest sizes, with
        a warning at once, where they may not do: the factors are on the safe side.
      corpus, fit: as in `audit`.

    Raises:
      InputError: a budget that the smallest sizes exceed, with what they take.
    """
    most = machine.memory() if budget is None else budget
    corpora = (corpus,) if fit is None else (corpus, fit)
    vectors = sum(map(_bytes, corpora))
    documents = sum(each.num_documents for each in corpora)
    samples = 8 * min(len(corpus.modalities), FULL) * min(corpora[-1].num_queries, CALIBRATION_QUERIES)
    samples *= min(documents, CALIBRATION_DOCUMENTS)
    held = PROGRAM + (SHARED + _further_folds(corpus, fit)) * vectors
    least = max(LEAST, documents)  # a query's
    for workers in range(WORKERS, 0, -1):
        scores = ((most - held) / workers - OWN * vectors) / PER_SCORE
        if scores >= least and most >= held + CALIBRATING * samples:
            return Sizes(workers, int(min(scores, max(SCORES, least))))
    need = storage(held + max(CALIBRATING * samples, OWN * vectors + PER_SCORE * least))
    remedy = "give more memory, or audit a sample of the documents with all that are wanted"
    if budget is not None:
        raise InputError(f"this audit takes {need} at least and the budget is {storage(budget)}; {remedy}.")
    warnings.warn(f"this audit may take {need} of memory, and there are {storage(most)}", stacklevel=3)
    return Sizes(1, least)


def _further_folds(corpus: Corpus, fit: Corpus | None) -> int:
    """Those beyond the first that hold vectors of their own: scaled by temperatures, which one modality has none of."""
    several = fit is None and corpus.num_queries < 2 * FEW
    return FOLDS - 1 if several and len(corpus.modalities) > 1 and corpus.relevant is not None else 0


def _bytes(corpus: Corpus) -> int:
    """All vectors of both sides, in the precision of the audit."""
    sides = zip(corpus.documents.values(), corpus.queries.values(), strict=True)
    return sum(np.promote_types(d.dtype, np.float32).itemsize * d.shape[1] * (len(d) + len(q)) for d, q in sides)
