"""What is a document? Four readings of the paper's synthetic mixture (section 7.1), which does not say.

    Z ~ N(0, I_k),   X_m = A_m Z + eta_m,   A_m' A_m = I,   eta_m ~ N(0, sigma_m^2 I)

A pair is a query and its document, made of one Z. In every reading

    A' X summed with weights 1 / sigma_m^2 = Z + N(0, v_q I),   the same of the document = Z + N(0, v_d I)

so query and document have k equal canonical correlations rho = 1 / sqrt((1 + v_q)(1 + v_d)), and with both scaled to
unit variance the posterior of the document v given the query u is proportional to
exp((rho <u, v> - rho^2 |v|^2 / 2) / (1 - rho^2)). Source: theory notes, sections 1.8 and 7.
"""

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from rdjax.data.mixture import noisy_view, orthonormal_map

READINGS = {
    "intents": "documents are the intents",
    "pairs": "documents are fresh noisy pairs",
    "cross": "one modality against the other",
    "single": "one modality against the intents",
}

ALONE = ("cross", "single")  # whose queries have one modality


@dataclass(frozen=True)
class Law:
    """The mixture: `noise` sigma_m [M], `dims` D_m [M] at least `intent_dim`, and `intent_dim` k."""

    noise: tuple[float, ...] = (0.4**-0.5, 0.4**-0.5)
    dims: tuple[int, ...] = (64, 64)
    intent_dim: int = 32


@dataclass(frozen=True)
class Sizes:
    """How much is drawn and trained; the defaults are the paper's, where it says.

    `documents` N of a corpus, which has a query for each; `corpora` for testing, `training` pairs beside them;
    `calibration` and `validation` corpora of the training pairs set temperatures and choose among codes, and codes are
    fitted on `rows` others; `rates` in bits; `clip_steps`, `learned_steps` of training, `designed` corpora that rank
    codes are designed for.
    """

    documents: int = 1000
    corpora: int = 15
    training: int = 85_000
    calibration: int = 1
    validation: int = 4
    rows: int = 16_000
    rates: tuple[int, ...] = (4, 8, 16, 32, 64, 128, 256, 512)
    clip_steps: int = 1500
    learned_steps: int = 300
    designed: int = 2


QUICK = Sizes(
    documents=200,
    corpora=3,
    training=6000,
    validation=2,
    rows=2000,
    rates=(8, 64, 512),
    clip_steps=200,
    learned_steps=40,
    designed=1,
)


@dataclass(frozen=True)
class Pairs:
    """Queries by modality, each [n, D_m], and documents in the same spaces; row i of one wants row i of the other."""

    queries: tuple[np.ndarray, ...]
    documents: tuple[np.ndarray, ...]

    def take(self, rows: slice) -> "Pairs":
        """Some of them."""
        return Pairs(tuple(x[rows] for x in self.queries), tuple(y[rows] for y in self.documents))


@dataclass(frozen=True)
class Trial:
    """One draw of maps and pairs.

    `calibration`, `validation` and `rest` are training pairs and have nothing in common; `test` is `corpora` times
    `documents` pairs, corpus by corpus. `exact`: the test's queries and documents as (u, v) of the module's docstring.
    """

    law: Law
    reading: str
    calibration: Pairs
    validation: Pairs
    rest: Pairs
    test: Pairs
    exact: tuple[np.ndarray, np.ndarray]


def correlation(law: Law, reading: str) -> float:
    """rho, the canonical correlation of query and document in each of k directions."""
    asked, kept = _noises(law, reading)
    return 1 / math.sqrt((1 + asked) * (1 + kept))


@lru_cache(maxsize=1)
def draw_trial(law: Law, reading: str, sizes: Sizes, seed: int) -> Trial:
    """Pairs of a reading; the same seed draws the same, whatever is read from them.

    Args:
      law: of the mixture; "cross" needs two modalities or more, and takes the first two.
      reading: a key of `READINGS`.
      sizes: how many pairs.
      seed: of the NumPy generator.

    Returns:
      a `Trial`, float32.
    """
    rng = np.random.default_rng(seed)
    maps = [orthonormal_map(dim, law.intent_dim, rng) for dim in law.dims]
    count = sizes.training + sizes.corpora * sizes.documents
    intents = rng.standard_normal((count, law.intent_dim), np.float32)
    pairs = _pairs(law, reading, maps, intents, rng)
    ends = np.cumsum([sizes.calibration * sizes.documents, sizes.validation * sizes.documents])
    calibration, validation = pairs.take(slice(0, ends[0])), pairs.take(slice(ends[0], ends[1]))
    test = pairs.take(slice(sizes.training, None))
    rest, exact = pairs.take(slice(ends[1], sizes.training)), _exact(law, reading, maps, test)
    return Trial(law, reading, calibration, validation, rest, test, exact)


def _pairs(law: Law, reading: str, maps: list[np.ndarray], intents: np.ndarray, rng: np.random.Generator) -> Pairs:
    clean = [intents @ a.T for a in maps]
    noisy = lambda m: noisy_view(clean[m], law.noise[m], rng)
    every = range(len(maps))
    if reading == "intents":
        return Pairs(tuple(noisy(m) for m in every), tuple(clean))
    if reading == "pairs":
        return Pairs(tuple(noisy(m) for m in every), tuple(noisy(m) for m in every))
    if reading == "cross":  # carried by the maps into the query's space, where inner products mean something
        return Pairs((noisy(0),), (noisy(1) @ maps[1] @ maps[0].T,))
    return Pairs((noisy(0),), (clean[0],))


def _noises(law: Law, reading: str) -> tuple[float, float]:
    """(v_q, v_d)."""
    fused = 1 / sum(sigma**-2 for sigma in law.noise)
    first = law.noise[0] ** 2
    return {
        "intents": (fused, 0.0),
        "pairs": (fused, fused),
        "cross": (first, law.noise[1] ** 2 if len(law.noise) > 1 else 0.0),
        "single": (first, 0.0),
    }[reading]


def _exact(law: Law, reading: str, maps: list[np.ndarray], pairs: Pairs) -> tuple[np.ndarray, np.ndarray]:
    """What each side says of the intent, at unit variance."""
    count = len(pairs.queries)
    weights = np.array([sigma**-2 for sigma in law.noise[:count]])
    sides = [
        sum(w * (view @ a) for w, view, a in zip(weights / weights.sum(), views, maps, strict=False))
        for views in (pairs.queries, pairs.documents)
    ]
    scaled = (side / np.float32(math.sqrt(1 + v)) for side, v in zip(sides, _noises(law, reading), strict=True))
    asked, kept = (np.asarray(side, np.float32) for side in scaled)
    return asked, kept
