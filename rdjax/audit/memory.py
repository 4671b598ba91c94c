"""How much memory an audit takes, reckoned from shapes, and the blocks that keep it within a budget.

What is resident at the peak, as `benchmarks/large.py --memory` measures it:

    PROGRAM + (SHARED + OWN workers) bytes of all vectors + PER_SCORE scores workers

PROGRAM is the interpreter, JAX, compiled programs and what is fitted on samples, whose sizes do not follow the corpus.
"""

from dataclasses import dataclass

import numpy as np

from rdjax.audit.wording import memory
from rdjax.checks import InputError
from rdjax.data import Corpus

PROGRAM = 2.2e9  # bytes
SHARED, OWN = 3, 4  # copies of the vectors: mapped, side by side, fit queries; coded, decoded and on the way, by worker
PER_SCORE = 24  # bytes of one score of a code and of its comparison
WORKERS, SCORES, LEAST = 2, 2**24, 2**20


@dataclass(frozen=True)
class Sizes:
    """Families of codes measured at a time, and scores that each of them holds at a time."""

    workers: int = WORKERS
    scores: int = SCORES


def sizes_within(budget: float | None, corpus: Corpus, fit: Corpus | None) -> Sizes:
    """The sizes that keep an audit within a budget; results do not depend on them.

    Args:
      budget: bytes of resident memory; None for as much as it takes.
      corpus, fit: as in `audit`.

    Raises:
      InputError: a budget that the smallest sizes exceed, with what they take.
    """
    if budget is None:
        return Sizes()
    vectors = _bytes(corpus) + (0 if fit is None else _bytes(fit))
    least = max(LEAST, corpus.num_documents + (0 if fit is None else fit.num_documents))
    fixed = lambda workers: PROGRAM + (SHARED + OWN * workers) * vectors
    for workers in range(WORKERS, 0, -1):
        scores = (budget - fixed(workers)) / (PER_SCORE * workers)
        if scores >= least:
            return Sizes(workers, int(min(scores, max(SCORES, least))))
    need = fixed(1) + PER_SCORE * least
    raise InputError(f"this audit takes {memory(need)} at least and the budget is {memory(budget)}; give more memory.")


def _bytes(corpus: Corpus) -> int:
    """All vectors of both sides, in the precision of the audit."""
    sides = zip(corpus.documents.values(), corpus.queries.values(), strict=True)
    return sum(np.promote_types(d.dtype, np.float32).itemsize * d.shape[1] * (len(d) + len(q)) for d, q in sides)
