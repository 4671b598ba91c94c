"""What a code for use is fitted on: what the audit's code was fitted on, or where there is much of it, a sample."""

import numpy as np

from rdjax.audit.families import RANK_CODE
from rdjax.audit.frontier import fitted_on, pairs, training
from rdjax.audit.training import Training
from rdjax.audit.view import View, calibrated, make_views, with_judgements
from rdjax.checks import require
from rdjax.data import Corpus
from rdjax.data.corpus import trusted

FIT_ROWS = 1 << 17  # documents that a code is fitted on at most: 500 for each of 256 centroids


def serving_view(corpus: Corpus, fit: Corpus | None, seed: int, *, learns: bool) -> View:
    """The audit's division of the queries, calibrated as there; where it has several, one view of all queries.

    Without judgements nothing is calibrated, and a search stands in for them only where the code `learns` from them.
    """
    judged = with_judgements if learns else _judged
    whole = judged(corpus)
    views, _, _ = make_views(whole, None if fit is None else judged(fit), seed)
    everything = View(whole, whole, np.arange(corpus.num_queries), np.arange(0))
    view = views[0] if len(views) == 1 else everything
    return view if corpus.relevant is None else calibrated(view, seed)


def serving_training(view: View, code_class: str, family: str, seed: int) -> tuple[Training, str]:
    """(what a code of this class and family is fitted on, the same in words).

    Raises:
      InputError: a class that is none of A, B, C.
    """
    require(code_class in ("A", "B", "C"), f"the class is {code_class!r}; it must be B or C.")
    words = fitted_on(view, code_class)
    own = view.own_documents if code_class == "C" else np.arange(view.test.num_documents)
    if len(own) <= FIT_ROWS or family == RANK_CODE:
        return training(view, "B" if code_class == "A" else code_class), words
    rows = own[np.sort(np.random.default_rng(seed).choice(len(own), FIT_ROWS, replace=False))]
    documents = view.vectors({name: array[rows] for name, array in view.fit.documents.items()})
    vectors = np.concatenate([view.fit_queries, documents])
    queries, wanted = pairs(view, np.arange(view.fit.num_queries), own if code_class == "C" else None)
    blocks = tuple(array.shape[1] for array in view.fit.queries.values())
    return Training(vectors, documents, documents, queries, wanted, blocks), f"{words}; a sample of {FIT_ROWS:,}"


def array_training(vectors: np.ndarray, seed: int) -> Training:
    """The same for one array [n, D] that is no corpus."""
    if len(vectors) > FIT_ROWS:
        vectors = vectors[np.sort(np.random.default_rng(seed).choice(len(vectors), FIT_ROWS, replace=False))]
    array = np.asarray(vectors, np.promote_types(vectors.dtype, np.float32))
    return Training.of_array(array)


def _judged(corpus: Corpus) -> Corpus:
    """With stand-ins where there are no judgements: the division of the queries does not look at them."""
    if corpus.relevant is not None:
        return corpus
    return trusted(corpus, relevant=np.full(corpus.num_queries, -1), grades=None)
