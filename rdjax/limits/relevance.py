"""Noisy relevance: how few bits tell a query's ranking apart, from below and above, when x only suggests y.

The source is X, a query, with law p; its posterior P(y | x) over the relevant document Y is known. A code shows a
ranking; the distortion is 1 - w(rank of Y), on average over X and Y. Then

    R(D) = min I(X; ranking)  over channels with  E [ 1 - sum_y P(y | X) w(rank of y) ] <= D,

a minimum over laws on N! rankings. A code found by alternating minimization is above it, a dual certificate below.
Duplicates of a query change nothing, and a one-hot posterior is the exact case of `ranking`. The answer is about this
source: these queries with these probabilities, if the posteriors are true. Source: theory notes, section 2.
"""

import math
from dataclasses import dataclass, replace
from typing import Any

import jax
import numpy as np
from jax.typing import ArrayLike

from rdjax import checks
from rdjax.host import on_the_host
from rdjax.limits.bound import AVERAGED, Bound
from rdjax.limits.queries import Queries, queries_of
from rdjax.limits.rank_knots import KNOTS
from rdjax.limits.rank_sums import every_worth
from rdjax.limits.ranking import ranking_rate
from rdjax.limits.rankings_code import KERNELS, RankingsCode, design, first_orders, spend
from rdjax.limits.relevance_certificate import Sizes, certify
from rdjax.numerics import LN2
from rdjax.retrieval.weights import Weights, reciprocal_rank
from rdjax.trees import register_dataclass

LEAST_CODEWORDS = 128
FEW = 256  # documents up to which the lower bound's majorants are fitted again
LEAST_SAMPLE = 256  # queries that a design sees, however small the memory
STARTS = 4  # queries for each codeword of the design, of which the codewords start
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
      certificate: the dual lower bound in bits at that distortion (-inf where the slope is too large for it, or
        without passes).
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


@on_the_host
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
      posteriors: P(y | x), [X, N], rows sum to one; float32 halves the time of the design. Rows may be sharded over the
        devices of a mesh (a `jax.Array` with a `NamedSharding` of its first axis, in one process or in many), and stay
        where they are.
      slope: bits per unit of distortion, at least 0: picks the point of the curve. The certificate is the line `lower +
        slope (D_code - D)` over all D, so of several slopes the largest of their lines is the bound at any D: of steep
        ones, whose lines take more passes to come near, a less steep one may prove more there.
      source: law of the queries [X]; None for equiprobable.
      weights: a function of the rank, or a non-increasing array [N].
      codewords: of the code; 4 N by default, at least 128.
      rounds: re-sorts of the codewords (the upper bound).
      passes: certification passes at most (the lower bound); fewer than half of them, the first, add columns. With none
        there is no certificate, only the code and Theorem B's bound.
      memory: bytes that the working arrays beside the posteriors may take, about, on each device. Queries that do not
        fit the design are left out of it, not out of the bounds. Not in it: the codewords and what is made of them,
        about 115 N^2 bytes where there are 4 N of them (measured, float32).
      seed: of the starting codewords.

    Returns:
      `RelevanceBounds`; both sides are computed in float64 whatever the precision of the posteriors, so on a CPU or a
      GPU: rows are sorted by their bits, which TPU compilers do not take of float64.

    Raises:
      InputError: posteriors that are no laws, shapes that do not belong together, a negative slope, weights that
        increase; memory or a seed that is no whole number; shards of anything but rows; traced values (the loops run
        on the host).

    On P devices each holds X / P rows, of 8 N + 4 N (1 + passes / 2) + 1,500 bytes while the lower bound is made, and
    does 1 / P of what is done to rows and to documents on top; the re-sorts of codewords are done by all. What is sent
    is sums over devices: 4 N numbers a sweep of the design, 4 N^2 a re-sort, 20 N^2 a pass of the certificate.

    Source: theory notes, section 2.
    """
    with jax.enable_x64(True):
        checks.whole(seed, "the seed", 0)
        problem = _pose(posteriors, slope, source, weights, codewords, memory)
        queries = problem.queries
        code = _designed(problem, checks.whole(rounds, "rounds", 0), seed)
        spent = spend(queries, code, problem.worth, problem.slope)
        best = 1 - float(problem.worth[0])  # rounding may take some of it off
        spent = replace(spent, distortion=np.maximum(np.asarray(spent.distortion, np.float64), best))
        known = ranking_rate(spent.distortion, spent.prior, problem.worth)
        dual = _certified(problem, code, checks.whole(passes, "passes", 0))
        number = lambda x: np.asarray(x, np.float64)
        return RelevanceBounds(
            upper=number(spent.rate / LN2),
            distortion=number(spent.distortion),
            slope=number(slope),
            data_processing=number(known),
            certificate=number((dual + problem.slope * float(1 - spent.distortion)) / LN2),
            code=RankingsCode(code.orders, spent.law),
        )


@on_the_host
def relevance_bound(posteriors: ArrayLike, slope: float, **settings: Any) -> tuple[Bound, float]:
    """`relevance_bounds` as an interval with its evidence: (bits per query, the distortion it is at).

    Args and errors as in `relevance_bounds`; `settings` are all that follow the slope there.
    """
    found = relevance_bounds(posteriors, slope, **settings)
    interval = Bound(float(found.lower), float(found.upper), "certificate", ("calibrated posterior is true", AVERAGED))
    return interval, float(found.distortion)


@dataclass(frozen=True)
class _Problem:
    """Queries, worth [N], slope in nats, sizes."""

    queries: Queries
    worth: np.ndarray
    slope: float
    codewords: int
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
    checks.require(np.ndim(slope) == 0, f"the slope has shape {np.shape(slope)}; give one number (loop for many).")
    number = isinstance(slope, int | float) or hasattr(slope, "dtype")
    checks.require(
        number and 0 <= float(slope) < math.inf, f"the slope is {slope}; it is bits per unit of distortion, at least 0."
    )
    memory = checks.whole(int(memory) if isinstance(memory, float) and memory % 1 == 0 else memory, "the memory")
    documents = np.shape(posteriors)[-1] if np.ndim(posteriors) else 0
    size = max(4 * documents, LEAST_CODEWORDS) if codewords is None else checks.whole(codewords, "codewords")
    queries = queries_of(posteriors, source, memory, 16 * size)
    width = max(1, memory // queries.blocks_at_once // (32 * KNOTS * (queries.rows + 2 * documents)))
    width = -(-documents // -(-documents // width))
    shares = min(-(-width // queries.devices), documents // queries.devices)  # of documents on top, for each device
    width = shares * queries.devices or width
    held = queries.posteriors
    sample = queries.devices * max(LEAST_SAMPLE, memory // (KERNELS * size * held.dtype.itemsize))
    generations = queries.devices * memory // (8 * held.size)
    worth = every_worth(weights, documents)
    return _Problem(queries, worth, float(slope) * LN2, size, width, sample, generations)


def _designed(problem: _Problem, rounds: int, seed: int) -> RankingsCode:
    """The code, from as many queries as the memory takes."""
    queries = problem.queries.sample(problem.sample, seed)
    posteriors, source = queries.on_devices()
    dtype = posteriors.dtype
    orders = first_orders(queries.sample(STARTS * problem.codewords, seed).on_host(), problem.codewords, seed)
    sweeps = int(np.clip(SWEEPS // (queries.size * orders.shape[0]), 20, 2000))
    worth = problem.worth.astype(dtype)
    return design(posteriors, source, worth, problem.slope, orders, rounds=rounds, sweeps=sweeps)


def _certified(problem: _Problem, code: RankingsCode, passes: int) -> float:
    """A lower bound of I(X; C) - s E <q_X, u_C> over all codes, nats."""
    if passes == 0:
        return -math.inf
    if len(problem.worth) == 1:
        return -problem.slope * float(problem.worth[0])
    generations = min((passes - 1) // 2, problem.generations)
    fits = 3 if len(problem.worth) <= FEW else 1  # where they are many, more fits gain little and take long
    sizes = Sizes(problem.width, passes, generations, fits)
    return certify(problem.queries, problem.worth, problem.slope, code, sizes)
