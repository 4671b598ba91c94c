"""Our columns of Table 1, in canonical coordinates, and the limits beside them; as in `columns`."""

import math
from collections.abc import Iterator

import jax
import numpy as np

from rdjax.codes import (
    Code,
    DesignedRankCode,
    EntropyCodedScalar,
    LearnedCode,
    ProductQuantizer,
    QueryModel,
    RankCode,
    fit_relevance_map,
)
from rdjax.codes.rank import RankingCode
from rdjax.limits.blind import blind_distortion
from rdjax.limits.ranking import ranking_distortion
from rdjax.paper.canonical import fit_canonical
from rdjax.paper.columns import Found, Reading, sent_by
from rdjax.paper.decoders import Decoder, calibrated_decoder, exact_decoder, qualities
from rdjax.paper.readings import Sizes, Trial, correlation
from rdjax.rate_distortion.water_filling import reverse_water_filling

MOST = 8.0  # bits of a coefficient that are of any use
TRADES = (1.6, 2.0, 3.0, 4.0, 5.5, 8.0, 14.0, 120.0)  # nats of rate that a nat of cross-entropy is worth
LONGEST = 1.02  # times its own bits: up to there the longest learned code stands for a rate
MOST_RANK = 16  # bits up to which rank codes are asked for
SECONDS = 16  # documents that may be named after the first by a rank code
DRAWS = 16  # queries simulated for each document that rankings are designed for
LARGE = 100.0  # of the coordinate that carries the documents' lengths: their inner products do not see it

Sides = tuple[np.ndarray, np.ndarray]


class Canonicals:
    """(u, v) of the parts of a trial, from a map fitted on the rest of the training pairs."""

    def __init__(self, trial: Trial):
        chart = fit_canonical(trial.rest.queries, trial.rest.documents)
        put = lambda pairs: chart.apply(pairs.queries, pairs.documents)
        self.correlations = chart.correlations
        self.rest, self.calibration = put(trial.rest), put(trial.calibration)
        self.validation, self.test = put(trial.validation), put(trial.test)

    def calibrated(self, code: Code, size: int) -> Decoder:
        """The decoder for what a code sends."""
        return calibrated_decoder((sent_by(code, self.calibration[0])[0],), (self.calibration[1],), size)

    def value(self, code: Code, decoder: Decoder, sides: Sides, size: int) -> Reading:
        """What a code is worth on these pairs."""
        sent, bits = sent_by(code, sides[0])
        return Reading(qualities(decoder, (sent,), (sides[1],), size), bits)


def fused_columns(trial: Trial, sizes: Sizes, seed: int) -> Found:
    """All modalities together: the best of our codes at each rate by the validation pairs, calibrated.

    Entropy-coded scalars, and from 16 to 64 bits a residual quantizer of fixed length (no more, for time). Past 8 bits
    a coefficient bits buy nothing, and are not spent.
    """
    parts, found = Canonicals(trial), Found(fused={})
    for rate in sizes.rates:
        tried = []
        for code in _codes(parts.rest[0], rate, sizes.rows, seed):
            decoder = parts.calibrated(code, sizes.documents)
            tried.append(
                (parts.value(code, decoder, parts.validation, sizes.documents).values[:, 0].mean(), code, decoder)
            )
        _, code, decoder = max(tried, key=lambda entry: entry[0])
        reading = parts.value(code, decoder, parts.test, sizes.documents)
        found["fused"][str(rate)] = {**reading.plain(), "code": code.name}
    return found


def _codes(vectors: np.ndarray, rate: int, rows: int, seed: int) -> Iterator[Code]:
    some, k = vectors[:rows], vectors.shape[1]
    spent = min(float(rate), MOST * k)
    cells = "optimal" if rate <= 2 * k else "dead zone"
    yield EntropyCodedScalar.fit(some, spent, transform="coordinates", cells=cells)
    if 8 < rate <= 2 * k:
        width = min(8, int(math.log2(len(some))) - 2)
        yield ProductQuantizer.fit(some, rate, transform="coordinates", width=width, blocks=1, steps=10, seed=seed)


def learned_columns(trial: Trial, sizes: Sizes, seed: int) -> Found:
    """`LearnedCode` from an entropy-coded scalar, one for each of `TRADES`; at a rate, time shared by its neighbors.

    A stream that uses one of two codes a fixed share of the time spends and earns the mean of both, so what is given at
    a rate is a code. Nothing is said of rates that no two of them enclose, but for the longest, 2% above its own.
    """
    parts = Canonicals(trial)
    asked, wanted = parts.rest
    told = lambda look: _told(asked, wanted, sizes.documents, seed, look)
    model = QueryModel.fit(asked[: sizes.rows], wanted[: sizes.rows], blocks=(asked.shape[1],))
    chart = fit_relevance_map(model, wanted[: sizes.rows], asked.shape[1], side="queries")
    start = EntropyCodedScalar.fit(asked[: sizes.rows], 2.0 * asked.shape[1], transform=chart)
    learned = LearnedCode.sweep(start, told, TRADES, chart=chart, steps=sizes.learned_steps, looks=10, seed=seed)
    points = []
    for code in learned:
        decoder = parts.calibrated(code, sizes.documents)
        points.append(parts.value(code, decoder, parts.test, sizes.documents))
    points.sort(key=lambda point: point.bits)
    bits = np.array([point.bits for point in points])
    values = np.stack([point.values for point in points])
    found: Found = {"learned": {}}
    for rate in sizes.rates:
        if bits[0] <= rate <= LONGEST * bits[-1]:
            mixed = [np.interp(rate, bits, column) for column in values.reshape(len(bits), -1).T]
            found["learned"][str(rate)] = Reading(
                np.reshape(mixed, values.shape[1:]), min(float(rate), bits[-1])
            ).plain()
    return found


def _told(
    asked: np.ndarray, wanted: np.ndarray, size: int, seed: int, look: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rows = np.random.default_rng((seed, look)).choice(len(asked), size, replace=False)
    return asked[rows], wanted[rows], np.arange(size)


def rank_columns(trial: Trial, sizes: Sizes, seed: int) -> Found:
    """Class A, the encoder searches the corpus: the number of a ranking, on the first few test corpora only.

    Below log2 N bits rankings are designed for simulated queries (up to 8 bits, for time); from there the top document
    is named and one that follows, which takes 14 bits at 1,000 documents and cannot use more.
    """
    parts, values, bits = Canonicals(trial), dict[int, list[np.ndarray]](), dict[int, float]()
    rng = np.random.default_rng(seed)
    for corpus in range(sizes.designed):
        rows = slice(corpus * sizes.documents, (corpus + 1) * sizes.documents)
        u, v = (side[rows] for side in parts.test)
        for rate in [rate for rate in sizes.rates if rate <= MOST_RANK]:
            keys, asked = _lengthened(parts.correlations, v, u)
            drawn = _lengthened(parts.correlations, v, _drawn(parts, v, rng))[1]
            code = _rank_code(keys, rate, drawn, seed)
            scores = np.asarray(code.scores(code.encode(asked), keys))
            values.setdefault(rate, []).append(_quality(scores))
            bits[rate] = math.log2(code.num_codewords)
    return {"rank": {str(rate): Reading(np.array(found), bits[rate]).plain() for rate, found in values.items()}}


def _lengthened(rho: np.ndarray, v: np.ndarray, u: np.ndarray) -> Sides:
    """(documents [N, k + 1], queries [Q, k + 1]) whose inner products are ln P(v | u) up to what depends on u alone."""
    left = 1 - rho**2
    length = (rho**2 / left * v**2).sum(axis=1, keepdims=True) / 2
    keys = np.concatenate([v, -length / LARGE], axis=1)
    asked = np.concatenate([u * (rho / left), np.full((len(u), 1), LARGE)], axis=1)
    return keys.astype(np.float32), asked.astype(np.float32)


def _drawn(parts: Canonicals, v: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Queries of every document, by the law that was fitted."""
    rho, many = parts.correlations, np.repeat(v, DRAWS, axis=0)
    return rho * many + np.sqrt(1 - rho**2) * rng.standard_normal(many.shape)


def _rank_code(keys: np.ndarray, rate: int, simulated: np.ndarray, seed: int) -> RankingCode:
    if 2**rate < len(keys):
        return DesignedRankCode.fit(keys, 2 ** min(rate, 8), simulated, seed=seed)
    return RankCode.fit(keys, min(2**rate, SECONDS * len(keys)))


def _quality(scores: np.ndarray) -> np.ndarray:
    """(MRR, Recall@1), row i wanting document i; scores of a ranking have no ties among the wanted."""
    above = (scores > np.diagonal(scores)[:, None]).sum(axis=1)
    return np.array([(1 / (1 + above)).mean(), (above == 0).mean()])


def limit_columns(trial: Trial, sizes: Sizes, seed: int) -> Found:
    """The uncompressed ceiling and the Gaussian test channel, both with the exact posterior, and the two limits.

    The channel sends u as (1 - d) u + N(0, d (1 - d)), d by reverse water-filling: what many queries coded together can
    approach. Theorem D binds codes made without the corpus (its bottleneck is exact for this law), Theorem B all codes.
    """
    rho, (u, v) = correlation(trial.law, trial.reading), trial.exact
    rng, found = np.random.default_rng(seed), Found(ceiling={}, channel={}, blind={}, any={})
    whole = qualities(exact_decoder(rho), (u,), (v,), sizes.documents)
    found["ceiling"] = Reading(whole, 0.0).plain() | {"bits": None}
    k, size = u.shape[1], sizes.documents
    for rate in sizes.rates:
        bits = float(rate)
        with jax.enable_x64(True):
            lost = float(np.asarray(reverse_water_filling(np.ones(k), bits).distortions)[0])
            blind, every = float(blind_distortion(bits, size, np.full(k, rho))), float(ranking_distortion(bits, size))
        sent = (math.sqrt(1 - lost) * u + math.sqrt(lost) * rng.standard_normal(u.shape)).astype(np.float32)
        through = exact_decoder(rho * math.sqrt(1 - lost))
        found["channel"][str(rate)] = Reading(qualities(through, (sent,), (v,), size), bits).plain()
        found["blind"][str(rate)] = {"bound": 1 - blind, "bits": bits}
        found["any"][str(rate)] = {"bound": 1 - every, "bits": bits}
    return found
