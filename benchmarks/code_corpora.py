"""The corpora of the code benchmark, and what a code of each class may be fitted on there.

    emoji T1 to T4       real drawings and texts: 1,000 documents, 228 other concepts to fit on
    mixture              the paper's Gaussian mixture, documents scaled to unit norm (the score is an inner product)
    skewed               three modalities of unequal dimension and noise, documents asked for by Zipf's law
    large                100,000 documents in topics, with a falling spectrum: 39 or more points for each of 256 centroids

Everything is deterministic by the seed. Vectors are the audit's: modalities side by side, calibrated on the fit queries.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import jax
import numpy as np

from rdjax.audit.view import View, calibrated, make_views
from rdjax.codes import Code
from rdjax.codes.transform import Projection, fit_pca
from rdjax.data import Corpus, emoji, gaussian_mixture

NAMES = ("T1", "T2", "T3", "T4", "mixture", "skewed", "large")
FOLDS = 4  # of the fit queries, for choices among our own candidates
TRAINING = 20_000  # training vectors at most, drawn at random: 78 for each of 256 centroids
SIMULATED = 16_000  # queries for supervised codes; half as many where recipes are compared


@dataclass(frozen=True)
class Material:
    """All that a code of one class may be fitted on. Peers are fitted on `vectors`, and so are unsupervised codes.

    Args:
      code_class: "A", "B" or "C".
      vectors: the training vectors [n, D]: fit queries, then `seen`; of many, a sample.
      seen: documents this class may see [S, D]: those searched (A, B), or only others (C).
      searched: the corpus that is searched [N, D]; a class C encoder must not look at it.
      places: of the searched documents among all of the view, [N].
      queries: fit queries [q, D].
      wanted: the relevant document of each [q, D].
      blocks: widths of the modalities.
      sharpness: <query, document> * sharpness is the calibrated logit.
      prior: law of the searched documents [N].
      simulated: queries to simulate for supervised codes, about.
    """

    code_class: str
    vectors: np.ndarray
    seen: np.ndarray
    searched: np.ndarray
    places: np.ndarray
    queries: np.ndarray
    wanted: np.ndarray
    blocks: tuple[int, ...]
    sharpness: float
    prior: np.ndarray
    simulated: int

    @property
    def principal(self) -> Projection:
        """All principal components of the training vectors, shared by every code."""
        return self.once("principal", lambda: fit_pca(self.vectors, min(len(self.vectors) - 1, self.vectors.shape[1])))

    @cached_property
    def _made(self) -> dict:
        return {}

    @cached_property
    def _seconds(self) -> dict:
        return {"saved": 0.0}

    @property
    def saved(self) -> float:
        """Seconds that were not spent since what was wanted was there already."""
        return self._seconds["saved"]

    def once(self, key: Any, make: Callable[[], Any]) -> Any:
        """What recipes want to fit once for this material (a query model, maps, codes), by a key of their own."""
        if key in self._made:
            self._seconds["saved"] += self._seconds[key]
            return self._made[key]
        start = time.perf_counter() - self.saved
        self._made[key] = jax.block_until_ready(make())
        self._seconds[key] = time.perf_counter() - start + self.saved
        return self._made[key]

    def forget(self) -> None:
        """Let go of codes that were fitted for budgets that are done; transforms and models stay."""
        for key in [key for key, value in self._made.items() if isinstance(value, Code)]:
            del self._made[key]


class Case:
    """One corpus: its view, the material of each class, and the folds for choices on the fit split."""

    def __init__(self, name: str, seed: int = 0):
        self.name, self.seed = name, seed
        fit, test = _pair(name, seed)
        # temperatures in float64, as the audit fits them; the vectors stay as they are given
        with jax.enable_x64(True):
            self.view: View = calibrated(make_views(test, fit, seed)[0][0], seed)
        self.parts = np.array_split(np.random.default_rng(seed).permutation(self.view.fit.num_queries), FOLDS)
        self._material: dict = {}
        self.nominal: dict = {}  # budgets that recipes of mean length were last asked for

    @property
    def sharpness(self) -> float:
        """Mean inverse temperature, which the audit's scaling takes out."""
        tau = self.view.temperatures
        return 1.0 if tau is None else float(np.mean(1 / tau))

    @property
    def queries(self) -> np.ndarray:
        """Test queries [Q, D]."""
        return self.view.test_queries

    @property
    def documents(self) -> np.ndarray:
        """Searched documents [N, D]."""
        return self.view.audited_documents

    @property
    def plain(self) -> tuple[np.ndarray, np.ndarray]:
        """(queries, documents) with all temperatures 1."""
        bare = replace(self.view, temperatures=None)
        return bare.vectors(self.view.test.queries), bare.vectors(self.view.test.documents)

    def material(self, code_class: str, part: int | None = None) -> Material:
        """What a class is fitted on; with a part, without those fit queries, which search among as many as on test.

        In class C among documents that the code was not fitted on, as on test.
        """
        key = (code_class, part)
        if key not in self._material:
            self._material[key] = self._make(code_class, part)
        return self._material[key]

    def forget(self) -> None:
        """Let go of the codes of a budget."""
        for material in self._material.values():
            material.forget()

    def _make(self, code_class: str, part: int | None) -> Material:
        view, fit = self.view, self.view.fit
        relevant = np.asarray(fit.relevant)
        kept, own, places = np.arange(fit.num_queries), view.own_documents, np.arange(view.test.num_documents)
        prior = np.ones(len(places)) if view.test.prior is None else np.asarray(view.test.prior)
        if part is not None:
            kept = np.setdiff1d(kept, self.parts[part])
            own = np.setdiff1d(own, relevant[self.parts[part]])
            places = np.setdiff1d(np.arange(fit.num_documents), own if code_class == "C" else [])
            places = self._as_many_as_on_test(places, relevant[self.parts[part]])
            prior = np.concatenate([prior, np.full(fit.num_documents - len(prior), prior.mean())])[places]
        searched = view.pooled_documents[places]
        seen = view.pooled_documents[own] if code_class == "C" else searched
        vectors = np.concatenate([view.fit_queries[kept], seen])
        if len(vectors) > TRAINING:
            vectors = vectors[np.sort(np.random.default_rng(self.seed).permutation(len(vectors))[:TRAINING])]
        return Material(
            code_class,
            np.ascontiguousarray(vectors),
            seen,
            searched,
            places,
            view.fit_queries[kept],
            view.pooled_documents[relevant[kept]],
            tuple(array.shape[1] for array in view.test.documents.values()),
            self.sharpness,
            prior / prior.sum(),
            SIMULATED if part is None else SIMULATED // 2,
        )

    def _as_many_as_on_test(self, places: np.ndarray, wanted: np.ndarray) -> np.ndarray:
        """Those that are wanted and some of the others: among more documents other codes would be best."""
        others = np.random.default_rng(self.seed).permutation(np.setdiff1d(places, wanted))
        wanted = np.unique(wanted)
        return np.sort(np.concatenate([wanted, others[: self.view.test.num_documents - len(wanted)]]))


def _pair(name: str, seed: int) -> tuple[Corpus, Corpus]:
    if name.startswith("T"):
        return emoji(name)
    if name == "mixture":
        return tuple(_unit_documents(corpus) for corpus in gaussian_mixture(seed=seed))
    if name == "skewed":
        return skewed(seed=seed)
    if name == "large":
        return topics(seed=seed)
    raise SystemExit(f"there is no corpus {name!r}; choose among {', '.join(NAMES)}.")


def cases(names: list[str], seed: int = 0) -> Iterator[Case]:
    """The corpora, one at a time."""
    for name in names:
        yield Case(name, seed)


def skewed(
    num_documents: int = 1000,
    num_queries: int = 1000,
    *,
    dims: tuple[int, ...] = (96, 48, 24),
    noise: tuple[float, ...] = (3.6, 1.3, 2.2),
    intent_dim: int = 20,
    exponent: float = 1.0,
    seed: int = 0,
) -> tuple[Corpus, Corpus]:
    """Unequal modalities and a skewed prior: fit, test.

        X_m = A_m Z + sigma_m eta,  A_m' A_m = I,  documents A_m Z / |Z|,  P(document of rank k asked for) ~ k^-exponent

    The largest modality is the noisiest, so neither variance nor dimension says where the bits belong.
    """
    maps_rng, *rngs = np.random.default_rng(seed).spawn(3)
    maps = [np.linalg.qr(maps_rng.standard_normal((d, intent_dim)))[0].astype(np.float32) for d in dims]
    prior = np.arange(1, num_documents + 1) ** -exponent
    prior /= prior.sum()

    def draw(rng: np.random.Generator) -> Corpus:
        intents = rng.standard_normal((num_documents, intent_dim), np.float32)
        intents /= np.linalg.norm(intents, axis=1, keepdims=True) / np.float32(np.sqrt(intent_dim))
        relevant = rng.choice(num_documents, num_queries, p=prior)
        documents = {f"view{m}": intents @ a.T for m, a in enumerate(maps)}
        queries = {
            name: rows[relevant] + np.float32(s) * rng.standard_normal((num_queries, rows.shape[1]), np.float32)
            for (name, rows), s in zip(documents.items(), noise, strict=True)
        }
        return Corpus(documents, queries, relevant, prior=prior, name="skewed mixture")

    fit, test = (draw(rng) for rng in rngs)
    return fit, test


def topics(
    num_documents: int = 100_000,
    num_queries: int = 1000,
    num_others: int = 20_000,
    *,
    dims: tuple[int, int] = (64, 32),
    num_topics: int = 500,
    noise: tuple[float, float] = (1.8, 1.4),
    seed: int = 0,
) -> tuple[Corpus, Corpus]:
    """A large corpus with what embeddings have: topics, a falling spectrum, unit norms; two modalities: fit, test.

    In each modality a document is topic + own part, both Gaussian with standard deviations (l + 1)^-1/2 along the axes
    of a random basis; a query is the document's unit vector plus noise with the same spectrum, `noise` times the norm.
    """
    topic_rng, *rngs = np.random.default_rng(seed).spawn(3)
    bases = [np.linalg.qr(topic_rng.standard_normal((d, d)))[0].astype(np.float32) for d in dims]
    spectra = [((np.arange(d) + 1.0) ** -0.5).astype(np.float32) for d in dims]
    centers = [topic_rng.standard_normal((num_topics, d), np.float32) for d in dims]
    unit = lambda rows: rows / np.linalg.norm(rows, axis=1, keepdims=True)

    def draw(rng: np.random.Generator, size: int) -> Corpus:
        topic = rng.integers(num_topics, size=size)
        relevant = rng.integers(size, size=num_queries)
        documents, queries = {}, {}
        for m, (basis, spread, center, level) in enumerate(zip(bases, spectra, centers, noise, strict=True)):
            own = center[topic] + rng.standard_normal((size, len(spread)), np.float32)
            rows = unit((own * spread) @ basis.T)
            error = (rng.standard_normal((num_queries, len(spread)), np.float32) * spread) @ basis.T
            documents[f"view{m}"] = rows
            queries[f"view{m}"] = unit(rows[relevant] + np.float32(level) * unit(error))
        return Corpus(documents, queries, relevant, name=f"topics, {size:,} documents")

    fit_rng, test_rng = rngs
    return draw(fit_rng, num_others), draw(test_rng, num_documents)


def _unit_documents(corpus: Corpus) -> Corpus:
    """Documents scaled to the mean norm: inner products then rank by likelihood."""
    size = np.sqrt(sum((array**2).sum(axis=1, keepdims=True) for array in corpus.documents.values()))
    scaled = {name: array / size * size.mean() for name, array in corpus.documents.items()}
    return Corpus(scaled, corpus.queries, corpus.relevant, name=corpus.name + ", documents of unit norm")
