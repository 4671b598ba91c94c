"""Sums over all ranks 1..N without an array of length N: N may be 1e12.

Every limit for a uniform prior is a function of sums sum_k F(w_k). The first ranks are taken one by one; beyond them w
is smooth, so the ranks are cut into blocks that double in length and each block is summed by the Gauss rule of the
*discrete* uniform measure on its integers. That rule integrates sums, not integrals: with n nodes it is exact for
polynomials in the rank up to degree 2n - 1, its nodes are inside the block, its weights are positive, and no
Euler-Maclaurin correction is needed.
"""

from functools import lru_cache
from itertools import pairwise
from typing import Any

import jax
import numpy as np

from rdjax.checks import InputError, held, is_concrete, law, require
from rdjax.numerics import at_ranks

Prior = int | jax.Array | np.ndarray  # a law [N], or N for the uniform one

HEAD = 1024  # ranks taken one by one
ORDER = 20  # nodes a block; singularities of 1/x and log at 0 leave an error of about 5.8^(-2 * ORDER)
LARGEST_PLAIN = 2**22  # a weight that does not declare its breaks is evaluated at every rank, up to here


@lru_cache(maxsize=512)
def gauss_sum(length: int, order: int = ORDER) -> tuple[np.ndarray, np.ndarray]:
    """Nodes x_i in [0, length - 1] and weights c_i with sum_{k<length} f(k) = sum_i c_i f(x_i), f of degree < 2 order.

    Golub-Welsch on the discrete Chebyshev (Gram) polynomials: p_{k+1} = (x - (n-1)/2) p_k - b_k p_{k-1},
    b_k = k^2 (n^2 - k^2) / (4 (4 k^2 - 1)) (Gautschi 2004, Orthogonal Polynomials, table 1.2).
    """
    n = float(length)
    k = np.arange(1.0, min(order, length))
    off = np.sqrt(k**2 * (1 - (k / n) ** 2) / (4 * (4 * k**2 - 1)))  # in units of n, so that 1e12 is no larger than 1
    jacobi = np.diag(off, 1) + np.diag(off, -1)
    nodes, vectors = np.linalg.eigh(jacobi)
    return nodes * n + (n - 1) / 2, n * vectors[0] ** 2


def _block_edges(start: int, stop: int, breaks: tuple[int, ...]) -> list[int]:
    """First ranks of blocks that cover start..stop, double in length, and end at every break."""
    edges, cuts = [start], sorted(b + 1 for b in breaks if start < b + 1 <= stop)
    while edges[-1] <= stop:
        following = min(2 * edges[-1], stop + 1)
        edges.append(min([following, *(c for c in cuts if c > edges[-1])]))
    return edges


def _covering_ranks(n: int, breaks: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    head = np.arange(1.0, min(n, HEAD) + 1)
    ranks, counts = [head], [np.ones_like(head)]
    if n > HEAD:
        edges = _block_edges(HEAD + 1, n, breaks)
        for first, last in pairwise(edges):
            nodes, weights = gauss_sum(last - first)
            ranks.append(first + nodes)
            counts.append(weights)
    return np.concatenate(ranks), np.concatenate(counts)


@lru_cache(maxsize=128)
def rank_nodes(weights: Any, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Worths w [K] and multiplicities c [K], float64, with sum_{k<=n} F(w_k) = sum_i c_i F(w_i) for smooth F.

    Args:
      weights: a function of the rank (see `rdjax.retrieval.weights`). Its `breaks` name the ranks after which it jumps;
        one without `breaks` is evaluated at every rank.
      n: number of ranks, a Python int from 1 to about 1e15.

    Returns:
      w non-increasing, c positive with sum n; K = n up to 1024, about 1024 + 20 log2(n / 1024) beyond.

    Raises:
      InputError: n < 1, weights that increase or are negative, or no `breaks` and n above 4 million.
    """
    require(n >= 1, f"there are {n} documents; a ranking needs at least one.")
    breaks = getattr(weights, "breaks", None)
    if breaks is None:
        if n > LARGEST_PLAIN:
            raise InputError(
                f"the weights do not say where they jump, so all {n} ranks would be evaluated; give them an attribute "
                "`breaks`, a tuple of the last ranks before each jump (empty for a smooth weight)."
            )
        ranks, counts = np.arange(1.0, n + 1), np.ones(n)
    else:
        ranks, counts = _covering_ranks(n, tuple(breaks))
    worth = at_ranks(weights, ranks)
    check_weights(worth)
    worth.setflags(write=False)
    counts.setflags(write=False)
    return worth, counts


def check_weights(worth: np.ndarray) -> None:
    """Rank weights are finite, non-negative and non-increasing."""
    require(bool(np.isfinite(worth).all()), "a rank weight is NaN or infinite; weights must be finite numbers.")
    require(bool((worth >= 0).all()), f"rank {int(np.argmin(worth)) + 1} has the negative weight {worth.min():.3g}.")
    rise = np.diff(worth) > 1e-12 * worth[0]
    if rise.any():
        k = int(np.argmax(rise)) + 1
        raise InputError(f"the weights rise from rank {k} to rank {k + 1}; a worse rank cannot be worth more.")


def refuse_names(weights: Any) -> None:
    """Refuse what is neither a function of the rank nor numbers, such as the name of a metric."""
    name = isinstance(weights, str)
    words = f"; take parse_metric({weights!r}).weights" if name else ""
    require(
        not name and weights is not None,
        f"the weights are {weights!r}{words or '; give a function of the rank, or one number for each'}.",
    )


def check_listed(weights: Any, documents: int) -> None:
    """An array of weights is one a document, as `check_weights` wants them unless traced; a function passes unseen."""
    refuse_names(weights)
    if callable(weights):
        return
    shape = np.shape(weights)
    require(shape == (documents,), f"the weights have shape {shape} for {documents} documents.")
    if is_concrete(weights):
        require(np.asarray(weights).dtype.kind not in "OSUMc", f"the weights hold {held(weights)}; give real numbers.")
        check_weights(np.asarray(weights, np.float64))


def every_worth(weights: Any, documents: int) -> np.ndarray:
    """w_1, ..., w_N of a function of the rank or an array that is one, float64 on the host, checked."""
    worth = at_ranks(weights, np.arange(1.0, documents + 1)) if callable(weights) else weights
    check_listed(worth, documents)
    return np.asarray(worth, np.float64)


MOST = 10**15  # documents, as far as the limits are exact


def checked_size(prior: Prior) -> int:
    """N, of a law [N] that is one, or of the int N that stands for the uniform one."""
    require(
        prior is not None and not isinstance(prior, str), f"the prior is {prior!r}; give a law [N], or the number N."
    )
    if np.ndim(prior) == 0:
        require(is_concrete(prior), "the number of documents is traced; make it a static argument.")
        whole = np.isfinite(prior) and float(prior) == int(prior) and int(prior) >= 1
        require(bool(whole), f"there are {prior} documents; give a whole number, or the prior as an array [N].")
        require(int(prior) <= MOST, f"there are {prior} documents; sums over ranks are exact up to 1e15.")
        return int(prior)
    require(np.ndim(prior) == 1, f"the prior has shape {np.shape(prior)}; it must be [N] (use vmap for many).")
    law(prior)
    return int(np.shape(prior)[0])


def describe_prior(prior: Prior) -> str:
    """What a floor says it assumes of the relevant document."""
    return f"uniform prior over {int(prior):,} documents" if np.ndim(prior) == 0 else "the given prior"
