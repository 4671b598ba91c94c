"""How many dimensions are necessary where one vector scores every document: floors by counting, and a construction.

Documents e_k in R^d are ranked by <c, e_k> for some c in R^d. N of them in general position allow

    Q(N, d) rankings,  Q(n + 1, d) = Q(n, d) + n Q(n, d - 1),  Q(2, d) = Q(n, 1) = 2,

so a code that ranks by inner products needs R(D) <= log2 Q(N, d) (theory notes, section 3.3 (8)). A query that wants
several documents has to bring their set to the top, which a hyperplane must be able to cut off; N points in R^d have at
most sum_{i <= d} C(N - 1, i) cuts. That 2 K dimensions are enough for all sets of K documents is a construction, on the
trigonometric moment curve, and not a matter of optimization: see `moment_curve`.
"""

import math
from typing import Any

import numpy as np

from rdjax.checks import numbers, require, whole
from rdjax.limits.bound import Bound

_EXACT = 4096  # documents up to which rankings are counted exactly
_EXACT_ARITHMETIC = "exact arithmetic"


def log2_rankings(num_documents: int, dimension: int) -> float:
    """log2 Q(N, d): how many rankings inner products with vectors of d dimensions have, at most.

        Q(N, d) = 2 sum_{i < d} e_i(2, ..., N - 1),  e_i the elementary symmetric polynomials; N! from d = N - 1 on

    Args:
      num_documents: N >= 2. Above 4,096 an upper bound of it: e_i of m numbers of mean a is at most C(m, i) a^i,
        and there are no more than N! rankings.
      dimension: d >= 1.

    Returns:
      bits; some arrays of d numbers are held on the way.

    Raises:
      InputError: a number that is not whole or too small.

    Source: Cover 1967 (the recursion); Maclaurin's inequality (the bound).
    """
    n, d = whole(num_documents, "the number of documents", 2), whole(dimension, "the dimension")
    if d >= n - 1:
        return math.lgamma(n + 1) / math.log(2)
    return float(_log2_rankings(n, d)[-1])


def least_dimension(bits: float, num_documents: int) -> int:
    """The least d with log2 Q(N, d) >= bits: fewer dimensions have too few rankings to say so much.

    Args:
      bits: what the ranking has to say of the query, e.g. `ranking_rate`; at most log2 N!.
      num_documents: N >= 2.

    Raises:
      InputError: more bits than N! rankings have.
    """
    n = whole(num_documents, "the number of documents", 2)
    numbers(bits, "the bits")
    most = math.lgamma(n + 1) / math.log(2)
    require(
        bits <= most * (1 + 1e-12), f"{bits:g} bits are more than the {most:.6g} that {n:,} documents' rankings have."
    )
    d = 1
    while True:  # doubled, so that few dimensions of many documents cost little
        rankings = _log2_rankings(n, min(d, n - 1))
        if d >= n - 1 or rankings[-1] >= bits:
            return int(np.argmax(rankings >= min(bits, rankings[-1]))) + 1
        d *= 2


def _log2_rankings(n: int, d: int) -> np.ndarray:
    """log2 Q(n, 1), ..., log2 Q(n, d)."""
    from scipy.special import gammaln

    if n <= _EXACT:
        logs = np.full(d, -np.inf)
        logs[0] = 0.0
        for j in range(2, n):
            logs[1:] = np.logaddexp2(logs[1:], logs[:-1] + math.log2(j))
    else:
        m, i = n - 2, np.arange(d)
        mean = (n + 1) / 2
        choices = gammaln(m + 1.0) - gammaln(i + 1.0) - gammaln(m - i + 1.0)
        logs = choices / math.log(2) + i * math.log2(mean)
    return np.minimum(1 + np.logaddexp2.accumulate(logs), math.lgamma(n + 1) / math.log(2))


def pattern_dimension(patterns: Any) -> Bound:
    """Dimensions in which inner products can bring every query's relevant documents above all its others.

    From below, the largest of three. Cuts: distinct sets of one size are distinct cuts of N points, of which there are
    at most sum_{i <= d} C(N - 1, i), and sets of any size at most twice that. Signs: d + 1 >= sqrt(P N) / |2 A - 1|
    (Forster), the spectral norm of the signs. All sets of K: of any d + 2 points Radon's theorem cuts two parts that no
    hyperplane separates, the lesser in a set of K once d + 2 < 2 K + 2, so d >= 2 K where N >= 3 K.
    From above, the least of: the rank of A (as scores), N - 1 (a simplex), 2 K for sets of at most K (`moment_curve`).

    Args:
      patterns: A, booleans [P, N]: which documents each query wants.

    Returns:
      a `Bound` of whole numbers, both sides proved, in exact arithmetic: near the least dimension the gap between
      scores is small, see `moment_curve`.

    Raises:
      InputError: no such matrix, a query that wants no document or all.
    """
    sets = check_patterns(patterns)
    _, n = sets.shape
    sizes = sets.sum(axis=1)
    distinct = np.unique(sets, axis=0)
    kinds, counts = np.unique(distinct.sum(axis=1), return_counts=True)
    floors = [1, _cuts_needed(n, -(-len(distinct) // 2)), _signs_needed(distinct)]
    for size, count in zip(kinds, counts, strict=True):
        floors.append(_cuts_needed(n, int(count) if 2 * size != n else -(-int(count) // 2)))
        if count == math.comb(n, int(size)):
            floors.append(complete_dimension(n, int(size)))
    rank = int(np.linalg.matrix_rank(distinct.astype(np.float64)))
    above = min(rank, n - 1, 2 * int(sizes.max()), 2 * int(n - sizes.min()))
    return Bound(max(floors), above, "theorem", (_EXACT_ARITHMETIC,))


def complete_dimension(num_documents: int, size: int) -> int:
    """A floor of the dimension in which every set of K of N documents can be brought to the top.

    It is 2 K, and reached, where N >= 3 K; for fewer documents min(2 K, N - K) or, of the sets left out, the same.

    Args:
      num_documents: N >= 2.
      size: K, 1 to N - 1.

    Raises:
      InputError: K out of range.
    """
    n, k = whole(num_documents, "the number of documents", 2), whole(size, "the size of a set")
    require(k < n, f"a set has {k} of {n} documents; leave at least one out.")
    # d is not enough while the lesser part of d + 2 points fits into the set, and the other outside of it, or reversed
    return max(min(2 * k, n - k), min(2 * (n - k), k), 1)


def moment_curve(patterns: Any) -> tuple[np.ndarray, np.ndarray]:
    """Vectors of 2 K dimensions and unit length that bring any set of at most K documents to the top.

        e_k = (cos t, sin t, ..., cos K t, sin K t) / sqrt(K) at t = 2 pi k / N
        <c_S, e_k> = const - prod_{a in S} (1 - cos(t_k - t_a)),  largest just where k is in S

    The product is a trigonometric polynomial of degree |S|, so its coefficients are the query. Scores of the wanted are
    equal, and the next best is about (pi / N)^(2 K) below them: float64 tells them apart up to some hundreds of
    documents at K = 2, float32 up to some dozens.

    Args:
      patterns: booleans [P, N].

    Returns:
      queries [P, 2 K] and documents [N, 2 K], float64 and of unit length; rank by their inner products.

    Raises:
      InputError: as in `pattern_dimension`.

    Source: that cyclic polytopes are neighborly is Caratheodory 1911 and Gale 1963.
    """
    sets = check_patterns(patterns)
    most = int(sets.sum(axis=1).max())
    angles = 2 * np.pi * np.arange(sets.shape[1]) / sets.shape[1]
    turns = angles[:, None] * np.arange(1, most + 1)[None, :]
    documents = np.stack([np.cos(turns), np.sin(turns)], axis=2).reshape(len(angles), -1) / math.sqrt(most)
    queries = np.stack([_coefficients(angles[own], most) for own in sets])
    return queries / np.linalg.norm(queries, axis=1, keepdims=True), documents


def check_patterns(patterns: Any) -> np.ndarray:
    """Booleans [P, N], each row with some and not all, or an error that names the row."""
    sets = np.asarray(patterns)
    require(
        sets.ndim == 2 and sets.dtype == bool and sets.shape[0] > 0 and sets.shape[1] > 1,
        f"patterns have shape {sets.shape} and type {sets.dtype}; they must be booleans [queries, documents].",
    )
    sizes = sets.sum(axis=1)
    bad = (sizes == 0) | (sizes == sets.shape[1])
    row = int(np.argmax(bad))
    require(
        not bad.any(), f"the query of row {row} wants {sizes[row]} of {sets.shape[1]} documents; it must want some."
    )
    return sets


def _coefficients(angles: np.ndarray, most: int) -> np.ndarray:
    """Of -prod_a (1 - cos(t - a)), by frequency 1 to `most`: cos, sin, ... [2 most]; the constant is left out."""
    series = np.ones(1, np.complex128)  # of e^(i j t), j = -r..r
    for a in angles:
        series = np.convolve(series, [-0.5 * np.exp(1j * a), 1.0, -0.5 * np.exp(-1j * a)])
    positive = np.zeros(most, np.complex128)
    positive[: len(angles)] = series[len(angles) + 1 :]
    return -2 * np.stack([positive.real, -positive.imag], axis=1).ravel()


def _cuts_needed(n: int, count: int) -> int:
    """The least d with sum_{i <= d} C(n - 1, i) >= count."""
    total, d = 1, 0
    while total < count:
        d += 1
        total += math.comb(n - 1, d)
    return d


def _signs_needed(sets: np.ndarray) -> int:
    """Forster's bound of the sign rank, less the one dimension that a threshold for each query is worth."""
    signs = np.where(sets, 1.0, -1.0)
    bound = math.sqrt(signs.size) / np.linalg.norm(signs, 2)
    return math.ceil(bound * (1 - 1e-9)) - 1
