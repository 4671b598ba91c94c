"""Which coefficients share a codebook, and how many bits every codebook has."""

import itertools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rdjax.checks import InputError, require, whole
from rdjax.codes.codebooks import MAX_BITS

Blocks = tuple[tuple[int, ...], ...]
Bits = tuple[tuple[int, ...], ...]


def lay_out(
    variances: np.ndarray,
    modalities: Sequence[int],
    bits: Sequence[int],
    *,
    width: int = 8,
    blocks: int | None = None,
    grouping: str = "dealt",
) -> tuple[Blocks, Bits]:
    """Blocks of every modality's coefficients, and bits of every codebook.

    R_m bits take ceil(R_m / width) codebooks, spread evenly over blocks, and as evenly as whole bits go. A modality
    with more codebooks than blocks (or coefficients) gets residual stages.

    Args:
      variances: of the coefficients [k].
      modalities: coefficients of each, in order [M], sum k.
      bits: of each [M]; without any, its coefficients decode to the mean.
      width: bits of a codebook at most, 1 to 12.
      blocks: of every modality at most; None for as many as codebooks.
      grouping: "dealt": blocks of equal size, and of equal rate under reverse water-filling as nearly as dealing out
        coefficients from the largest variance down can make them (Ge et al. 2013, Eigenvalue Allocation); "contiguous":
        neighbors together, equal rate by unequal size.

    Returns:
      coefficients of every block [B][d_b], and bits of stage s of block b [B][S], 0 where a block has fewer stages.

    Raises:
      InputError: if these do not belong together.
    """
    _check(variances, modalities, bits, width, blocks)
    if grouping not in _GROUPINGS:
        raise InputError(f'blocks are to be {grouping!r}; they must be "dealt" or "contiguous".')
    groups: list[tuple[int, ...]] = []
    table: list[list[int]] = []
    first = 0
    for size, budget in zip(modalities, bits, strict=True):
        if budget:
            books = -(-budget // width)
            count = min(books if blocks is None else blocks, books, size)
            spread = variances[first : first + size]
            for members in _GROUPINGS[grouping](_rates(spread, budget), count):
                groups.append(tuple(first + i for i in members))
            table += [_even(share, -(-share // width)) for share in _even(budget, count)]
        first += size
    stages = max(map(len, table))
    return tuple(groups), tuple(tuple(row + [0] * (stages - len(row))) for row in table)


def side_by_side(blocks: Blocks) -> Blocks:
    """Blocks of the same sizes over coefficients 0, 1, 2, ... in order."""
    ends = np.cumsum([0, *map(len, blocks)])
    return tuple(tuple(range(start, end)) for start, end in itertools.pairwise(ends))


def to_blocks(coefficients: Any, blocks: Blocks) -> Any:
    """Coefficients [k, n] as points of every block [B, d, n], zeros where a block has fewer than d; NumPy or JAX."""
    xp = jnp if isinstance(coefficients, jax.Array) else np
    k, n = coefficients.shape
    d = max(map(len, blocks))
    rows = np.array([[*members, *[k] * (d - len(members))] for members in blocks])
    if (rows == k).any():
        coefficients = xp.concatenate([coefficients, xp.zeros((1, n), coefficients.dtype)])
    return coefficients[rows.ravel()].reshape(len(blocks), d, n)


def from_blocks(points: jax.Array, blocks: Blocks, k: int) -> jax.Array:
    """The inverse of `to_blocks`: points [B, d, n] to coefficients [k, n], zeros for those of no block."""
    num_blocks, d, n = points.shape
    rows = np.full(k, num_blocks * d)
    for number, members in enumerate(blocks):
        rows[list(members)] = number * d + np.arange(len(members))
    return jnp.concatenate([points.reshape(-1, n), jnp.zeros((1, n), points.dtype)])[rows]


def _check(
    variances: np.ndarray, modalities: Sequence[int], bits: Sequence[int], width: int, blocks: int | None
) -> None:
    for value in (*modalities, *([] if blocks is None else [blocks])):
        whole(value, "a number of coefficients or blocks")
    for value in bits:
        whole(value, "a modality's budget of bits", least=0)
    require(
        len(modalities) == len(bits) and sum(modalities) == len(variances),
        f"there are {len(bits)} budgets for modalities of {tuple(modalities)} coefficients, and {len(variances)} "
        f"coefficients; give one budget for each modality, and modalities that add up to all coefficients.",
    )
    require(sum(bits) > 0, "the budget is 0 bits; a product quantizer needs at least one.")
    require(1 <= whole(width, "the width of a codebook") <= MAX_BITS, f"a codebook has 1 to {MAX_BITS} bits.")


def _even(total: int, count: int) -> list[int]:
    """Whole numbers that add up, the larger first."""
    return [total // count + (i < total % count) for i in range(count)]


def _rates(variances: np.ndarray, bits: int) -> np.ndarray:
    """Reverse water-filling: max(0, log2(variance / level) / 2), the level such that they add up to the bits."""
    logs = np.log2(np.maximum(variances, variances.max() * 1e-12 + np.finfo(np.float64).tiny))
    falling = np.sort(logs)[::-1]
    levels = (np.cumsum(falling) - 2 * bits) / np.arange(1, len(logs) + 1)
    active = int(np.flatnonzero(falling > levels)[-1])  # the first is always above its own level
    return np.maximum(logs - levels[active], 0) / 2


def _dealt(rates: np.ndarray, count: int) -> list[list[int]]:
    """Coefficients in blocks of at most ceil(k / count), each to the block with the least rate that has room."""
    room = -(-len(rates) // count)
    members: list[list[int]] = [[] for _ in range(count)]
    load = np.zeros(count)
    for i in np.argsort(-rates, kind="stable"):
        sizes = np.array([len(block) for block in members])
        # With equal rates (of coefficients under water) the emptiest comes first.
        open_blocks = np.flatnonzero(sizes < room)
        chosen = open_blocks[np.lexsort((sizes[open_blocks], load[open_blocks]))[0]]
        members[chosen].append(int(i))
        load[chosen] += rates[i]
    return [sorted(block) for block in members]


def _contiguous(rates: np.ndarray, count: int) -> list[list[int]]:
    """Neighbors in blocks of at least one, cut where the running sum of rates passes equal shares."""
    reached = np.cumsum(rates) / rates.sum()
    cuts = np.searchsorted(reached, np.arange(1, count) / count) + 1
    for i in range(len(cuts)):
        cuts[i] = max(cuts[i], i + 1, cuts[i - 1] + 1 if i else 0)
    for i in reversed(range(len(cuts))):
        cuts[i] = min(cuts[i], len(rates) - (len(cuts) - i))
    return [[*map(int, part)] for part in np.split(np.arange(len(rates)), cuts)]


_GROUPINGS = {"dealt": _dealt, "contiguous": _contiguous}
