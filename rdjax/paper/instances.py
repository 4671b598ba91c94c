"""The instances that statements are held against: small sources, codes and simulations, computed in float64.

Simulations are NumPy on the host with seeds of their own, so that they come out the same wherever they run.
"""

import math
from functools import lru_cache
from itertools import permutations

import jax
import jax.numpy as jnp
import numpy as np

from rdjax.codes.allocation import proportional_ceil
from rdjax.information.covariance import gaussian_entropy, gaussian_mutual_information
from rdjax.information.modalities import Modalities, modalities_of_law
from rdjax.limits.generalization import decoder_supremum
from rdjax.limits.one_shot import one_shot_distortion
from rdjax.limits.ranking import ranking_distortion, ranking_rate
from rdjax.paper.record import Evidence
from rdjax.rate_distortion.curves import rate_at
from rdjax.rate_distortion.solution import RateDistortion
from rdjax.retrieval.metrics import mean_reciprocal_rank

PRIOR = (0.6, 0.2, 0.15, 0.05)  # a skewed law of the relevant document
FOUR = 2.0  # bits of a document that is one of four
MIXTURE_NOISE = 1 / 0.4  # sigma^2 of the paper's mixture, rho = 0.4
TABLE_BITS = (64, 128, 256, 512)
TABLE_ONE = {
    "clip": (0.46, 0.56, 0.67, 0.75),
    "fixed": (0.51, 0.61, 0.72, 0.80),
    "adaptive": (0.57, 0.66, 0.77, 0.84),
    "bound": (0.59, 0.68, 0.79, 0.85),
}
TOLD = (0.028, 0.011)  # distance to the bound at 64 and at 512 bits in the text of section 7.2
TABLE_TWO: dict[str, tuple[tuple[float, float], ...]] = {  # MRR and percent Recall@1 at 256 and at 512 bits
    "clip": ((0.65, 46.8), (0.71, 53.1)),
    "fixed": ((0.70, 51.2), (0.76, 57.9)),
    "adaptive": ((0.75, 56.4), (0.81, 60.0)),
    "bound": ((0.78, 60.4),),
}


def permutation_distortions(documents: int) -> np.ndarray:
    """1 - 1/rank of every document under every ranking [N, N!]: the distortion matrix of the classical theory."""
    ranks = np.array(list(permutations(range(1, documents + 1))), float).T
    return 1 - 1 / ranks


def classical_rates(target: float) -> tuple[RateDistortion, float]:
    """Shannon's problem over all 24 rankings of 4 documents with `PRIOR`, and bits by Theorem B."""
    prior = np.array(PRIOR)
    return rate_at(prior, permutation_distortions(4), target), float(ranking_rate(target, prior))


def fewer_words(weights: np.ndarray, sums: np.ndarray) -> np.ndarray:
    """Weights [L] >= 0 with the same `sums @ weights`, [S, L], of which at most S are positive (Caratheodory)."""
    weights = np.array(weights, np.float64)
    kept = np.flatnonzero(weights)
    while len(kept) > len(sums):
        free = np.linalg.svd(sums[:, kept])[2][-1]  # a direction that leaves all sums as they are
        free = free if free.max() > 0 else -free
        steps = np.where(free > 0, weights[kept] / np.where(free > 0, free, 1), np.inf)
        weights[kept] = np.maximum(weights[kept] - steps.min() * free, 0)
        weights[kept[steps.argmin()]] = 0
        kept = np.flatnonzero(weights)
    return weights


def smallest_code(target: float) -> tuple[int, float, float]:
    """Codewords, bits and distortion of a code of least rate at D, of the problem of `classical_rates`.

    The law of its codewords is thinned out with the channel's denominators and the distortion held: |X| + 1 sums.
    """
    prior, cost = np.array(PRIOR), permutation_distortions(4)
    point, _ = classical_rates(target)
    kernel, law = 2.0 ** (-float(point.slope) * cost), np.asarray(point.output)
    channel = kernel / (kernel @ law)[:, None]
    law = fewer_words(law, np.vstack([channel, prior @ (channel * cost)]))
    joint = prior[:, None] * channel * law
    used = joint.sum(axis=0)
    joint, cost, used = (array[..., used > 0] for array in (joint, cost, used))
    bits = float((joint * np.log2(joint / (prior[:, None] * used))).sum())
    return len(used), bits, float((joint * cost).sum())


def beside_noise(bits: float) -> Modalities:
    """X_1 = Y, one of four documents; X_2 independent, of so many bits (0: a constant)."""
    return Modalities(jnp.array([FOUR, bits]), jnp.zeros((2, 2)), False, ())


def copies(count: int) -> Modalities:
    """So many copies of one fair bit as modalities."""
    law = np.zeros((2,) * count)
    law[(0,) * count] = law[(1,) * count] = 0.5
    return modalities_of_law(law)


@lru_cache(maxsize=8)
def mixture(scale: float = 1.0) -> tuple[float, float, float]:
    """The paper's mixture: h(X_1), h(X_2) and I(X_1; X_2), bits, with X_2 measured in units of 1 / scale."""
    spread = np.diag([1 + MIXTURE_NOISE] * 32 + [MIXTURE_NOISE] * 32)
    # A_m' X_m is sufficient for Z: 32 pairs of scalars
    pair = np.array([[1 + MIXTURE_NOISE, 1.0], [1.0, 1 + MIXTURE_NOISE]])
    with jax.enable_x64(True):  # or what is kept would be as coarse as the first who asks
        first, second = (float(gaussian_entropy(spread * s**2)) for s in (1.0, scale))
        return first, second, 32 * float(gaussian_mutual_information(pair, 1))


def mixture_modalities(scale: float = 1.0) -> Modalities:
    """`mixture` as modalities."""
    first, second, shared = mixture(scale)
    return Modalities(jnp.array([first, second]), jnp.array([[0.0, shared], [shared, 0.0]]), True, ())


def circle_code(documents: int) -> tuple[float, float]:
    """Deterministic encoder c = e_y on the unit circle, documents by inner product: its distortion and H(C) in bits."""
    angles = 2 * np.pi * np.arange(documents) / documents
    points = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    score = mean_reciprocal_rank(jnp.asarray(points @ points.T), jnp.arange(documents))
    return 1 - float(jnp.mean(score)), math.log2(documents)


def floor_above(documents: int, bits: int) -> float:
    """Least distortion of a code of 2^R words less D(R): what one query alone cannot reach, however large n is."""
    return float(one_shot_distortion(2**bits, documents) - ranking_distortion(float(bits), documents))


def floor_evidence(documents: int, bits: int, printed: float) -> Evidence:
    """`floor_above` beside what is said to be left of the excess when n is infinite."""
    gap = floor_above(documents, bits)
    words = f"N = {documents}, R = {bits}, n infinite: excess over D(R) as stated, and of the best code of 2^R words"
    return Evidence(words, printed, gap, gap <= printed + 1e-9)


@lru_cache(maxsize=32)
def rademacher(samples: int, cells: int, documents: int, draws: int = 100, seed: int = 0) -> float:
    """R_n of all decoders on fixed cells of equal probability, pairs independent and uniform: a mean over draws.

    A sample with every draw of the signs; the mean of the signs, whose expectation is 0, is taken away.
    """
    rng, total = np.random.default_rng(seed), 0.0
    with jax.enable_x64(True):  # as in `mixture`
        for _ in range(draws):
            signs = rng.choice([-1.0, 1.0], samples)
            pairs = rng.integers(cells, size=samples), rng.integers(documents, size=samples)
            total += float(decoder_supremum(signs, *pairs, sizes=(cells, documents))) - signs.mean()
    return total / draws


def complexity_growth() -> float:
    """R_n of 2^10 cells over that of 2^4: M from 4 to 10 at one bit a modality, n = 10,000, N = 10."""
    small, large = (rademacher(10_000, 2**m, 10, 40) for m in (4, 10))
    return large / small


def coin_excess(samples: int) -> float:
    """Excess distortion, exactly, of ranking first the document seen more often, of two that are 1/sqrt(n) apart."""
    ahead = np.arange(samples + 1)  # how often the likelier one was seen
    chance = 0.5 + 0.5 / math.sqrt(samples)
    ways = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, samples + 1)))])
    law = np.exp(ways[-1] - ways - ways[::-1] + ahead * math.log(chance) + ahead[::-1] * math.log(1 - chance))
    wrong = law[2 * ahead < samples].sum() + law[2 * ahead == samples].sum() / 2
    return float((chance - 0.5) * wrong)  # half of how much less often the other one is sought


@lru_cache(maxsize=8)
def trained_distortion(samples: int, cells: int, documents: int, draws: int = 10, seed: int = 0) -> float:
    """Empirical distortion of the best decoder on fixed cells where query and document are independent."""
    rng = np.random.default_rng(seed)
    worth, total = 1 / np.arange(1, documents + 1), 0.0
    for _ in range(draws):
        place = rng.integers(cells, size=samples) * documents + rng.integers(documents, size=samples)
        places, counts = np.unique(place, return_counts=True)
        order = np.lexsort((-counts, places // documents))
        cell = (places // documents)[order]
        rank = np.arange(len(cell)) - np.searchsorted(cell, cell)  # within its cell, the most frequent first
        total += float(counts[order] @ worth[rank])
    return 1 - total / draws / samples


def random_distortion(documents: int) -> float:
    """E d of any ranking when the query says nothing: 1 - H_N / N."""
    return 1 - float(np.mean(1 / np.arange(1, documents + 1)))


@lru_cache(maxsize=4)
def channel_quality(bits: float, documents: int = 1000, queries: int = 10_000, seed: int = 0) -> float:
    """MRR of the Gaussian test channel on the paper's mixture, intents as documents, both modalities fused.

    The fused query is Z plus noise of variance sigma^2 / 2 in each of 32 dimensions; R / 32 bits a dimension add the
    noise of the forward test channel. Documents are sorted by their posterior.
    """
    rng = np.random.default_rng(seed)
    noise = MIXTURE_NOISE / 2
    noise += (1 + noise) / (2 ** (2 * bits / 32) - 1)
    intents, wanted = rng.standard_normal((documents, 32)), rng.integers(documents, size=queries)
    received = intents[wanted] + math.sqrt(noise) * rng.standard_normal((queries, 32))
    scores = received @ intents.T - (intents**2).sum(axis=1) / 2
    above = (scores > np.take_along_axis(scores, wanted[:, None], axis=1)).sum(axis=1)
    return float(np.mean(1 / (1 + above)))


@lru_cache(maxsize=4)
def boundary_angles(samples: int, trials: int = 200, seed: int = 0) -> np.ndarray:
    """Angles in degrees, (-90, 90], of Lloyd's two centers for an isotropic Gaussian in the plane, one a trial."""
    rng = np.random.default_rng(seed)
    points = rng.standard_normal((trials, samples, 2))
    centers = points[:, :2].copy()
    for _ in range(60):
        axis, middle = centers[:, 1] - centers[:, 0], centers.mean(axis=1)
        second = np.einsum("tnd,td->tn", points, axis) > np.einsum("td,td->t", middle, axis)[:, None]
        sums = np.einsum("tn,tnd->td", second.astype(float), points)
        count = second.sum(axis=1, keepdims=True)
        centers = np.stack([(points.sum(axis=1) - sums) / (samples - count), sums / count], axis=1)
    axis = centers[:, 1] - centers[:, 0]
    angle = np.degrees(np.arctan2(axis[:, 1], axis[:, 0]))
    return 90 - (90 - angle) % 180


@lru_cache(maxsize=4)
def split_points(samples: int, trials: int = 100, seed: int = 0) -> np.ndarray:
    """Boundary of the best quantizer of two cells for samples of three narrow clusters at -1, 0 and 1, one a trial.

    The law has two best boundaries, -1/2 and 1/2. For a sorted sample the best is found by trying every split.
    """
    rng = np.random.default_rng(seed)
    left = np.arange(1, samples)
    boundaries = np.empty(trials)
    for trial in range(trials):
        points = np.sort(rng.integers(-1, 2, samples) + 0.05 * rng.standard_normal(samples))
        sums = np.cumsum(points)
        gain = sums[:-1] ** 2 / left + (sums[-1] - sums[:-1]) ** 2 / (samples - left)
        best = int(np.argmax(gain))
        boundaries[trial] = (points[best] + points[best + 1]) / 2
    return boundaries


def zero_gradients(points: int = 300, seed: int = 0) -> tuple[int, int]:
    """Central differences of the MRR of decoder (9) in a temperature: how many are 0, and of how many."""
    rng = np.random.default_rng(seed)
    documents, codes = rng.standard_normal((20, 4)), rng.standard_normal((30, 4))
    dominant, wanted = rng.integers(2, size=20), rng.integers(20, size=30)
    inner = codes @ documents.T

    def quality(tau: float) -> float:
        scores = inner / np.where(dominant == 0, tau, 1.0)
        above = scores > np.take_along_axis(scores, wanted[:, None], axis=1)
        return float(np.mean(1 / (1 + above.sum(axis=1))))

    at = rng.uniform(0.2, 3.0, points)
    return sum(quality(t + 1e-9) == quality(t - 1e-9) for t in at), points


def trained_allocations(samples: int, rate: int, sizes: tuple[int, ...], trials: int = 200) -> np.ndarray:
    """R_m [trials, M] by the ceil rule from plug-in entropies of uniform symbols, of so many kinds in each modality."""
    rng = np.random.default_rng(0)
    bits = []
    for _ in range(trials):
        counts = [rng.multinomial(samples, np.full(size, 1 / size)) for size in sizes]
        laws = [c[c > 0] / samples for c in counts]
        bits.append(proportional_ceil([-(p * np.log2(p)).sum() for p in laws], rate).bits)
    return np.array(bits)
