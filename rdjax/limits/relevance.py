"""Noisy relevance: how few bits tell a query's ranking apart, from below and above, when x only suggests y.

The source is X, a query, with law p; its posterior P(y | x) over the relevant document Y is known. A code shows a
ranking; the distortion is 1 - w(rank of Y), on average over X and Y. Then

    R(D) = min I(X; ranking)  over channels with  E [ 1 - sum_y P(y | X) w(rank of y) ] <= D,

a minimum over laws on N! rankings. A code found by alternating minimization is above it, a dual certificate below.
Duplicates of a query change nothing, and a one-hot posterior is the exact case of `ranking`. The answer is about this
source: these queries with these probabilities, if the posteriors are true. Source: theory notes, section 2.
"""

import math
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from jax.typing import ArrayLike

from rdjax import checks
from rdjax.limits.bound import Bound
from rdjax.limits.rank_knots import KNOTS
from rdjax.limits.rank_sums import check_weights
from rdjax.limits.ranking import ranking_rate
from rdjax.limits.rankings_code import KERNELS, RankingsCode, design, first_orders, spend
from rdjax.limits.relevance_certificate import Sizes, certify
from rdjax.numerics import LN2
from rdjax.retrieval.weights import Weights, reciprocal_rank
from rdjax.trees import register_dataclass

LEAST_CODEWORDS = 128
FEW = 256  # documents up to which the lower bound's majorants are fitted again
LEAST_SAMPLE = 256  # queries that a design sees, however small the memory
SWEEPS = 2**29  # kernel entries that are swept between re-sorts of the codewords, at least 20 times the kernel


@register_dataclass
@dataclass(frozen=True)
class RelevanceBounds:
    """lower <= R(distortion) <= upper, bits per query; all but the code are scalars, NumPy float64.

    Args:
      upper: I(X; C) of `code`'s channel in bits.
      distortion: its distortion.
      slope: bits per unit of distortion; the interval is narrowest where this is the slope of R.
      data_processing: Theorem B's lower bound in bits at that distortion, what Y alone needs.
      certificate: the dual lower bound in bits at that distortion (-inf where the slope is too large for it).
      code: the explicit code: query x is sent as codeword c with probability proportional to
        law_c 2^(slope sum_y P(y|x) w(rank of y)).
    """

    upper: np.ndarray
    distortion: np.ndarray
    slope: np.ndarray
    data_processing: np.ndarray
    certificate: np.ndarray
    code: RankingsCode

    @property
    def lower(self) -> np.ndarray:
        """The better of the two lower bounds, at least 0, bits."""
        best = np.maximum(np.maximum(self.data_processing, self.certificate), 0.0)
        return np.minimum(best, self.upper)  # both hold, so only rounding could cross them

    @property
    def message(self) -> str:
        """Which lower bound won, in words."""
        if self.certificate > max(self.data_processing, 0.0):
            return "the lower bound is the dual certificate over rankings."
        return "the lower bound is what the relevant document alone needs (data processing, Theorem B)."


def relevance_bounds(
    posteriors: ArrayLike,
    slope: float,
    *,
    source: ArrayLike | None = None,
    weights: Weights | ArrayLike = reciprocal_rank,
    codewords: int | None = None,
    rounds: int = 5,
    passes: int = 8,
    memory: int = 2**30,
    seed: int = 0,
) -> RelevanceBounds:
    """A certified interval for the fewest bits at which a code ranks this well when relevance is noisy.

    Args:
      posteriors: P(y | x), [X, N], rows sum to one; float32 halves the time of the design.
      slope: bits per unit of distortion, at least 0: picks the point of the curve.
      source: law of the queries [X]; None for equiprobable.
      weights: a function of the rank, or a non-increasing array [N].
      codewords: of the code; 4 N by default, at least 128.
      rounds: re-sorts of the codewords (the upper bound).
      passes: certification passes at most (the lower bound); fewer than half of them, the first, add columns.
      memory: bytes that the working arrays beside the posteriors may take, about. Queries that do not fit the design
        are left out of it, not out of the bounds.
      seed: of the starting codewords.

    Returns:
      `RelevanceBounds`; both sides are computed in float64 whatever the precision of the posteriors.

    Raises:
      InputError: posteriors that are no laws, shapes that do not belong together, a negative slope, weights that
        increase; traced values (the loops run on the host).

    Source: theory notes, section 2.
    """
    with jax.enable_x64(True):
        problem = _pose(posteriors, slope, source, weights, codewords, memory)
        code = _designed(problem, checks.whole(rounds, "rounds", 0), seed)
        spent = spend(problem.posteriors, problem.source, code, problem.worth, problem.slope, problem.rows)
        prior = problem.source @ problem.posteriors.astype(np.float64)
        known = ranking_rate(spent.distortion, prior / prior.sum(), problem.worth)
        dual = _certified(problem, code, checks.whole(passes, "passes")) + problem.slope * float(1 - spent.distortion)
        number = lambda x: np.asarray(x, np.float64)
        return RelevanceBounds(
            upper=number(spent.rate / LN2),
            distortion=number(spent.distortion),
            slope=number(slope),
            data_processing=number(known),
            certificate=number(dual / LN2),
            code=RankingsCode(code.orders, spent.law),
        )


def relevance_bound(posteriors: ArrayLike, slope: float, **settings: Any) -> tuple[Bound, float]:
    """`relevance_bounds` as an interval with its evidence: (bits per query, the distortion it is at).

    Args and errors as in `relevance_bounds`; `settings` are all that follow the slope there.
    """
    found = relevance_bounds(posteriors, slope, **settings)
    stream = "bits averaged over a stream of queries, uniquely decodable"
    interval = Bound(float(found.lower), float(found.upper), "certificate", ("calibrated posterior is true", stream))
    return interval, float(found.distortion)


@dataclass(frozen=True)
class _Problem:
    """Posteriors [X, N] and source [X] (padded with impossible queries), worth [N], slope in nats, sizes of blocks."""

    posteriors: np.ndarray
    source: np.ndarray
    worth: np.ndarray
    slope: float
    codewords: int
    rows: int
    width: int
    sample: int
    generations: int


def _pose(
    posteriors: ArrayLike,
    slope: float,
    source: ArrayLike | None,
    weights: Weights | ArrayLike,
    codewords: int | None,
    memory: int,
) -> _Problem:
    """Check what was handed in, and cut it into blocks that fit the memory."""
    checks.require(checks.is_concrete(posteriors, slope, source), "these bounds are computed by loops outside jit.")
    shape = np.shape(posteriors)
    checks.require(len(shape) == 2 and min(shape) > 0, f"the posteriors have shape {shape}; they must be [X, N].")
    checks.law(posteriors, "a posterior")
    checks.require(np.ndim(slope) == 0, f"the slope has shape {np.shape(slope)}; give one number (loop for many).")
    checks.require(
        0 <= float(slope) < math.inf, f"the slope is {slope}; it is bits per unit of distortion, at least 0."
    )
    queries, documents = shape
    law = np.full(queries, 1.0) if source is None else np.asarray(source, np.float64)
    checks.require(law.shape == (queries,), f"the source has shape {law.shape} for {queries} queries.")
    if source is not None:
        checks.law(law, "the source")
    size = max(4 * documents, LEAST_CODEWORDS) if codewords is None else checks.whole(codewords, "codewords")
    blocks = -(-queries // max(64, memory // (128 * size)))
    rows = -(-queries // blocks)
    padding = rows * blocks - queries
    array = np.asarray(posteriors)
    array = array if array.dtype in (np.float32, np.float64) else array.astype(np.float32)
    array = np.pad(array, ((0, padding), (0, 0)), mode="edge") if padding else array
    width = max(1, memory // (32 * KNOTS * (rows + 2 * documents)))
    width = -(-documents // -(-documents // width))
    sample = max(LEAST_SAMPLE, memory // (KERNELS * size * array.dtype.itemsize))
    padded = np.pad(law / law.sum(), (0, padding))
    worth = _worth(weights, documents)
    generations = memory // (8 * array.size)
    return _Problem(array, padded, worth, float(slope) * LN2, size, rows, width, sample, generations)


def _worth(weights: Weights | ArrayLike, documents: int) -> np.ndarray:
    worth = np.asarray(weights(np.arange(1.0, documents + 1)) if callable(weights) else weights, np.float64)
    checks.require(worth.shape == (documents,), f"the weights have shape {worth.shape} for {documents} documents.")
    check_weights(worth)
    return worth


def _designed(problem: _Problem, rounds: int, seed: int) -> RankingsCode:
    """The code, from as many queries as the memory takes."""
    posteriors, source = problem.posteriors, problem.source
    if posteriors.shape[0] > problem.sample:
        possible = np.flatnonzero(source)
        chosen = np.sort(np.random.default_rng(seed).permutation(possible)[: problem.sample])
        posteriors, source = posteriors[chosen], source[chosen]
    dtype = posteriors.dtype
    orders = first_orders(posteriors[source > 0], problem.codewords, seed)
    sweeps = int(np.clip(SWEEPS // (posteriors.shape[0] * orders.shape[0]), 20, 2000))
    source = (source / source.sum()).astype(dtype)
    return design(
        jax.device_put(posteriors),
        source,
        problem.worth.astype(dtype),
        problem.slope,
        orders,
        rounds=rounds,
        sweeps=sweeps,
    )


def _certified(problem: _Problem, code: RankingsCode, passes: int) -> float:
    """A lower bound of I(X; C) - s E <q_X, u_C> over all codes, nats."""
    if len(problem.worth) == 1:
        return -problem.slope * float(problem.worth[0])
    generations = min((passes - 1) // 2, problem.generations)
    fits = 3 if len(problem.worth) <= FEW else 1  # where they are many, more fits gain little and take long
    sizes = Sizes(problem.rows, problem.width, passes, generations, fits)
    return certify(problem.posteriors, problem.source, problem.worth, problem.slope, code, sizes)
