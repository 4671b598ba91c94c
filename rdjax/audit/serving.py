"""What a code for use is fitted on: what the audit's code was fitted on, or where there is much of it, a sample."""

import numpy as np

from rdjax.audit.families import RANK_CODE
from rdjax.audit.frontier import fitted_on, training
from rdjax.audit.training import Training, sample_rows
from rdjax.audit.view import View, calibrated, make_views, with_judgements
from rdjax.checks import require
from rdjax.data import Corpus
from rdjax.data.corpus import trusted


def serving_view(corpus: Corpus, fit: Corpus | None, seed: int, *, learns: bool) -> View:
    """The audit's division of the queries, calibrated as there; where it has several, one view of all queries.

    Without judgments nothing is calibrated, and a search stands in for them only where the code `learns` from them.
    """
    stand_in = with_judgements if learns else _judged
    whole = stand_in(corpus) if fit is None else corpus  # with `fit` they are judged alike there
    views, _, _ = make_views(whole, fit, seed, stand_in)
    if len(views) > 1:
        views = [View(whole, whole, np.arange(corpus.num_queries), np.arange(0))]
    return views[0] if corpus.relevant is None else calibrated(views[0], seed)


def serving_training(view: View, code_class: str, family: str, seed: int) -> tuple[Training, str]:
    """(what a code of this class and family is fitted on, the same in words).

    Raises:
      InputError: a class that is none of A, B, C.
    """
    require(code_class in ("A", "B", "C"), f"the class is {code_class!r}; it must be B or C.")
    whole = family == RANK_CODE
    made = training(view, "B" if code_class == "A" else code_class, seed, whole=whole)
    return made, fitted_on(view, code_class)


def array_training(vectors: np.ndarray, seed: int) -> Training:
    """The same for one array [n, D] that is no corpus."""
    vectors = vectors[sample_rows(len(vectors), seed)]
    array = np.asarray(vectors, np.promote_types(vectors.dtype, np.float32))
    return Training.of_array(array)


def _judged(corpus: Corpus) -> Corpus:
    """With stand-ins where there are no judgments: the division of the queries does not look at them."""
    if corpus.relevant is not None:
        return corpus
    return trusted(corpus, relevant=np.full(corpus.num_queries, -1), grades=None)
