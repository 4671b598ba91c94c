"""The Gaussian channel, and the paper's mixture beside Theorem D: what a code that does not know the corpus can do.

The mixture's queries say as much about the intent Z as their mean over the modalities' maps, s = Z + N(0, v), v = 1.25 at
the defaults: 32 directions of equal worth. A code of s is decoded exactly: with s' its reproduction and Z given s' taken
as Gaussian, N(g s', t I) (g and t from other queries with known intents), documents rank by
<g s', z> / t - |z|^2 (1 / t - 1) / 2, which is the log of the posterior up to a constant. The ideal channel gets the same
decoder with its exact g and t.
"""

import math
from collections.abc import Callable, Iterator

import code_recipes
import numpy as np

from rdjax.codes import Code
from rdjax.codes.transform import fit_pca
from rdjax.data import gaussian_mixture
from rdjax.limits import blind_rate
from rdjax.limits.blind import blind_distortion
from rdjax.rate_distortion import reverse_water_filling
from rdjax.retrieval import counts_from_scores
from rdjax.retrieval.metrics import parse_metric

RATES = (8, 16, 32, 64, 128)
PROMISED = {16: 0.09, 32: 0.06, 64: 0.02, 128: 0.02}  # how far below the channel a singly coded query may be
WORDS = 2**16
TOGETHER = 20  # queries that are coded jointly

Maker = Callable[[np.ndarray, float], Code | None]


def channel(vectors: np.ndarray, coded: np.ndarray, bits: float, seed: int = 0) -> np.ndarray:
    """What the ideal Gaussian test channel at this rate makes of `coded`, with the covariance of `vectors`.

    c_l = (1 - D_l / S_l) x_l + N(0, D_l (1 - D_l / S_l)) along the principal components, D_l by reverse water-filling.
    """
    basis = fit_pca(vectors, min(len(vectors) - 1, vectors.shape[1]))
    spread = np.asarray(basis.variances, np.float64)
    left = np.asarray(reverse_water_filling(spread, float(bits)).distortions, np.float64)
    gain = np.maximum(1 - left / np.where(spread > 0, spread, 1), 0)
    mean, axes = np.asarray(basis.mean), np.asarray(basis.basis)
    noise = np.random.default_rng(seed).standard_normal((len(coded), len(spread)))
    return (((coded - mean) @ axes * gain + noise * np.sqrt(left * gain)) @ axes.T + mean).astype(np.float32)


class Mixture:
    """Draws of the paper's mixture, reduced to s: many corpora, since Theorem D is an average over them."""

    def __init__(self, seed: int, corpora: int = 8, queries: int = 1000):
        self.noise, self.tests = 1.25, []
        for number in range(corpora):
            fit, test = gaussian_mixture(num_queries=queries, seed=seed + 1000 * number)
            self.tests.append((*_reduced(test), np.asarray(test.relevant)))
            if number == 0:
                intents = _reduced(fit)[1]
                rng = np.random.default_rng(seed)
                self.intents = rng.standard_normal((20_000, intents.shape[1])).astype(np.float32)
                self.fitted = (self.intents + math.sqrt(self.noise) * rng.standard_normal(self.intents.shape)).astype(
                    np.float32
                )
        self.dimension = self.intents.shape[1]

    def value(self, encode, decoder: tuple[float, float] | None = None) -> tuple[float, float]:
        """(MRR, standard error over queries) when s goes through `encode`; the decoder is fitted unless it is given."""
        gain, left = decoder or self._decoder(encode(self.fitted))
        metric, found = parse_metric("mrr"), []
        for seen, intents, relevant in self.tests:
            scores = gain * encode(seen) @ intents.T / left - (intents**2).sum(axis=1) * (1 / left - 1) / 2
            found.append(
                np.asarray(
                    metric.per_query(*counts_from_scores(scores.astype(np.float32), relevant), size=len(intents))
                )
            )
        return float(np.mean(found)), float(np.std(found) / math.sqrt(np.size(found)))

    def _decoder(self, sent: np.ndarray) -> tuple[float, float]:
        gain = float((sent * self.intents).sum() / (sent**2).sum())
        return gain, float(((self.intents - gain * sent) ** 2).mean())

    def ideal(self, bits: float, seed: int = 0) -> tuple[float, float]:
        """The ideal test channel at this rate with its exact decoder."""
        spread = 1 + self.noise
        left = spread * 2 ** (-2 * bits / self.dimension)
        rng, keep = np.random.default_rng(seed), 1 - left / spread
        send = lambda s: keep * s + math.sqrt(left * keep) * rng.standard_normal(s.shape)
        # s' has variance spread * keep, and covariance keep with Z
        return self.value(send, (1 / spread, 1 - keep / spread))


def _reduced(corpus) -> tuple[np.ndarray, np.ndarray]:
    """(s [Q, d], intents [N, d]) in a common basis of the noiseless views, in which intents are exactly standard."""
    documents = np.concatenate(list(corpus.documents.values()), axis=1).astype(np.float64)
    queries = np.concatenate(list(corpus.queries.values()), axis=1).astype(np.float64)
    count = len(corpus.documents)
    _, sizes, rows = np.linalg.svd(documents, full_matrices=False)
    basis = rows[: int((sizes > 1e-3 * sizes[0]).sum())].T  # orthonormal: A stacked, over sqrt(M)
    return (queries @ basis / math.sqrt(count)).astype(np.float32), (documents @ basis / math.sqrt(count)).astype(
        np.float32
    )


def spherical(dimension: int, seed: int = 0):
    """2^16 words drawn on the sphere, the nearest in angle sent: near what one query at a time can do at 16 bits."""
    words = np.random.default_rng(seed + 1).standard_normal((WORDS, dimension)).astype(np.float32)
    words /= np.linalg.norm(words, axis=1, keepdims=True)

    def encode(vectors: np.ndarray) -> np.ndarray:
        blocks = [words[(vectors[i : i + 512] @ words.T).argmax(axis=1)] for i in range(0, len(vectors), 512)]
        return np.concatenate(blocks)

    return encode


def report(seed: int) -> None:
    """The table."""
    mixture = Mixture(seed)
    documents = len(mixture.tests[0][1])
    full, error = mixture.value(lambda s: s)
    print(
        f"\nThe paper's Gaussian mixture, queries, class C: {documents} documents, {len(mixture.tests)} corpora x {len(mixture.tests[0][0])} queries, "
        f"exact decoder; uncompressed MRR {full:.3f} (standard error {error:.3f})"
    )
    correlations = np.full(mixture.dimension, math.sqrt(1 / (1 + mixture.noise)))
    print(
        f"{'bits':>5}{'Theorem D':>11}{'channel':>9}  codes: MRR (bits spent; below the channel; Theorem D's bits for this MRR)"
    )
    for bits in RATES:
        ceiling = 1 - float(blind_distortion(bits, documents, correlations))
        ideal, _ = mixture.ideal(bits, seed)
        print(f"{bits:5}{ceiling:11.3f}{ideal:9.3f}", end="")
        for name, make, together in codes():
            measured = _measured(make, mixture, bits, together)
            if measured is None:
                continue
            value, spent, kind = measured
            floor = float(blind_rate(1 - value, documents, correlations))
            asked = PROMISED.get(bits) if together == 1 else None
            promise = "" if asked is None else ", kept" if value >= ideal - asked else f", promised {asked}"
            print(
                f"  {name} [{kind}] {value:.3f} ({spent:.2f}; {ideal - value:+.3f}{promise}; {floor:.1f})",
                end="",
                flush=True,
            )
        if bits == 16:
            print(
                f"  random spherical codebook [fixed] {mixture.value(spherical(mixture.dimension, seed))[0]:.3f}",
                end="",
            )
        print(flush=True)


def codes() -> Iterator[tuple[str, Maker, int]]:
    """(name, recipe, queries that are coded together)."""
    yield from ((name, make, 1) for name, make in code_recipes.GAUSSIAN.items())
    yield from ((f"{name}, {TOGETHER} jointly", make, TOGETHER) for name, make in code_recipes.JOINT.items())


def _measured(make: Maker, mixture: Mixture, bits: int, together: int) -> tuple[float, float, str] | None:
    """(MRR, bits a query, "fixed" or "mean") of a code of so many queries side by side."""
    wide = lambda s: s.reshape(len(s) // together, -1)
    sample = wide(mixture.tests[0][0])
    code = _at_rate(make, wide(mixture.fitted), sample, bits * together)
    if code is None:
        return None
    value, _ = mixture.value(lambda s: np.asarray(code.decode(code.encode(wide(s)))).reshape(s.shape))
    return value, _spent(code, sample) / together, "mean" if code.bits is None else "fixed"


def _spent(code: Code, sample: np.ndarray) -> float:
    """Bits of an item."""
    return 8 * len(code.pack(np.asarray(code.encode(sample)))) / len(sample)


def _at_rate(make: Maker, fitted: np.ndarray, sample: np.ndarray, bits: int) -> Code | None:
    """The code at this budget; where lengths vary, its nominal budget is moved until the test queries' mean is there.

    None where no try was within it.
    """
    nominal, best = float(bits), None
    for _ in range(4):
        code = make(fitted, bits if nominal == bits else nominal)
        if code is None or code.bits is not None:
            return code
        spent = _spent(code, sample)
        if spent <= 1.002 * bits and (best is None or spent > best[0]):
            best = (spent, code)
        if 0.99 * bits <= spent <= 1.002 * bits:
            break
        nominal *= 0.998 * bits / spent
    return best[1] if best else None
