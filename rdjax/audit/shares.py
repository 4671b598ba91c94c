"""What each modality knows of the relevant document, and what only it knows: the price that no code can dodge.

A posterior calibrated with some of the modalities has a cross-entropy CE >= H(Y | those), so they tell at least
H(Y) - CE bits of the relevant document Y (Barber and Agakov); H(Y) is the entropy of the floors' prior, which the
posterior takes too. What the others leave open, H(Y | X_-m), has to come from modality m: a code of mean distortion D
takes at least

    I(X_m; C | X_-m) >= H(Y | X_-m) - max H(Y | C) = R(D) - I(Y; X_-m)

bits from it (cut-set; theory notes, section 3.3 M2). CE stands for H(Y | X_-m) here and is not below it, so the price
shown is an estimate, and on the high side. What two modalities share is `rdjax.audit.measures`.
"""

from collections.abc import Iterator
from itertools import combinations
from typing import Any

import jax.numpy as jnp
import numpy as np

from rdjax.audit.measures import shared_information
from rdjax.audit.result import Modality, Pair, Setting
from rdjax.audit.view import View, calibration_scores
from rdjax.data import Corpus
from rdjax.information import entropy
from rdjax.limits import Bound, ranking_rate
from rdjax.retrieval import calibrate_temperatures, log_posterior
from rdjax.retrieval.metrics import Metric
from rdjax.retrieval.scores import inner_products, working

QUERIES = 1000  # of which cross-entropies are read, at most
ENTRIES = 4_000_000  # scores at a time
POSTERIOR = "calibrated posterior, which leaves open more than the truth"
Members = tuple[int, ...]


def modality_shares(
    views: list[View], setting: Setting, prior: Any, metric: Metric, aim: float, seed: int
) -> tuple[tuple[Modality, ...], tuple[Pair, ...]]:
    """The table of modalities and of their pairs; empty where there is one modality, or no single relevant document.

    Args:
      views: calibrated.
      setting: of the audit.
      prior: the law of Y, as `floors.relevance_law` gives it.
      metric, aim: the quality to be reached, which sets R(D).
      seed: of the samples.
    """
    names = views[0].test.modalities
    everyone = tuple(range(len(names)))
    if setting.judgements != "single" or len(names) < 2:
        return (), ()
    others = {m: tuple(n for n in everyone if n != m) for m in everyone}
    pairs = list(combinations(everyone, 2))
    subsets = dict.fromkeys([*((m,) for m in everyone), *others.values(), *pairs])
    left = dict(zip(subsets, _left_open(views, list(subsets), prior, seed), strict=True))
    uncertain = float(np.log2(prior)) if np.ndim(prior) == 0 else float(entropy(np.asarray(prior)))
    rate = float(ranking_rate(1 - aim, prior, metric.weights))
    told = lambda members: Bound.value(max(0.0, uncertain - left[members][0]), "estimate", POSTERIOR)

    def one(m: int) -> Modality:
        mean, error = left[others[m]]
        bits = (rate - uncertain + mean + 1.96 * error * side for side in (0, -1, 1))
        price, least, most = (min(max(0.0, each), rate) for each in bits)  # no other modality tells less than nothing
        return Modality(
            name=names[m],
            told=told((m,)),
            unique=Bound.value(mean, "estimate", POSTERIOR),
            price=Bound.value(price, "estimate", POSTERIOR),
            interval=Bound(least, most, "estimate", ("95% over queries, given the posterior",)),
        )

    two = lambda m, n: (names[m], names[n])
    shared = [Pair(*two(m, n), told((m, n)), *shared_information(views, two(m, n), seed)) for m, n in pairs]
    return tuple(one(m) for m in everyone), tuple(shared)


def _left_open(views: list[View], subsets: list[Members], prior: Any, seed: int) -> Iterator[tuple[float, float]]:
    """Cross-entropy of the audited queries given each subset of the modalities, bits, and its standard error."""
    parts = [_losses(view, subsets, prior, seed) for view in views]
    for values in np.concatenate(parts, axis=1):
        possible = np.isfinite(values).all()  # not where the prior excludes what a query wants
        yield (float(values.mean()), float(values.std() / np.sqrt(len(values)))) if possible else (np.inf, 0.0)


def _losses(view: View, subsets: list[Members], prior: Any, seed: int) -> np.ndarray:
    """-log2 q(Y | the modalities of a subset) at a sample of the audited queries of a view, [subsets, queries]."""
    scores, relevant = calibration_scores(view, seed)
    tau = [calibrate_temperatures(scores[np.array(members)], relevant).temperatures for members in subsets]
    test = view.test
    chosen = np.sort(np.random.default_rng(seed).permutation(test.num_queries)[:QUERIES])
    block = max(1, ENTRIES // test.num_documents)
    documents = [working(array) for array in test.documents.values()]  # once: a block of queries is small beside them
    rows = (chosen[i : i + block] for i in range(0, len(chosen), block))
    losses = [_block(test, documents, some, subsets, tau, prior) for some in rows]
    return np.concatenate(losses, axis=1)


def _block(
    test: Corpus, documents: list[Any], rows: np.ndarray, subsets: list[Members], tau: list[Any], prior: Any
) -> np.ndarray:
    queries = [working(test.queries[name][rows]) for name in test.documents]
    scores = jnp.stack([inner_products(*pair) for pair in zip(queries, documents, strict=True)])
    wanted = np.asarray(test.relevant)[rows]
    logs = [np.asarray(log_posterior(scores[np.array(s)], t, prior)) for s, t in zip(subsets, tau, strict=True)]
    return -np.stack([log[np.arange(len(rows)), wanted] for log in logs]) / np.log(2)
