"""The ranks 2..N lumped on a few knots, for functions of the rank that are convex in its worth.

A function convex in w lies below its interpolation between knots, so lumping gives upper bounds; a tail of a thousand
ranks whose worths hardly differ costs as much as one.
"""

from dataclasses import dataclass

import jax
import numpy as np

from rdjax.numerics import on_device
from rdjax.trees import register_dataclass

NEAR = 8  # documents of each query whose place on top is bounded exactly; the others share one bound
KNOTS = 20


@register_dataclass
@dataclass(frozen=True)
class Knots:
    """Ranks 2..N lumped on K knots.

    `worth` [K] of the knots; rank i + 2 is `share[i]` of knot `left[i]` and the rest of `right[i]`; `capacity` [K];
    `above` [2, K - 1] and `within` [2, K]: the two places in a falling sort between which the capacity of all knots
    down to this one, or of this one alone, is used up. `high`, `low` [R + 1, K, N] turn a sorted posterior into hi
    and lo at the knots, for j = best, 2nd .. R-th best, any other.
    """

    worth: jax.Array
    left: jax.Array
    right: jax.Array
    share: jax.Array
    capacity: jax.Array
    above: jax.Array
    within: jax.Array
    high: jax.Array
    low: jax.Array


def lay_knots(worth: np.ndarray, slope: float, count: int = KNOTS, near: int = NEAR) -> Knots:
    """Knots for weights [N >= 2] at a slope in nats, placed where interpolating exp(s w) linearly errs most."""
    rest = np.asarray(worth, np.float64)[1:]
    at = _knot_places(rest, slope, count)
    place = np.arange(len(rest))
    left = np.clip(np.searchsorted(at, place, side="right") - 1, 0, max(len(at) - 2, 0))
    right = np.minimum(left + 1, len(at) - 1)
    drop = rest[at[left]] - rest[at[right]]
    share = np.where(drop > 0, (rest - rest[at[right]]) / np.where(drop > 0, drop, 1), 1.0)
    share = np.where(place == at[right], 0.0, share) if len(at) > 1 else np.ones(len(rest))
    capacity = np.bincount(left, share, len(at)) + np.bincount(right, 1 - share, len(at))
    high, low = _removals(rest, at, min(near, len(worth)))
    return Knots(
        worth=on_device(rest[at]),
        left=on_device(left),
        right=on_device(right),
        share=on_device(share),
        capacity=on_device(capacity),
        above=on_device(_between(np.cumsum(capacity)[:-1], len(rest))),
        within=on_device(_between(capacity, len(rest))),
        high=on_device(high),
        low=on_device(low),
    )


def _knot_places(rest: np.ndarray, slope: float, count: int) -> np.ndarray:
    """Greedy: halve the interval whose chord of exp(s w) is worst where that helps most."""
    if len(rest) <= count:
        return np.arange(len(rest))
    tilt = np.exp(slope * (rest - rest[0]))
    sums = [np.concatenate([[0.0], np.cumsum(tilt * rest**i)]) for i in range(3)]

    def error(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        zero, one, two = (total[b] - total[a] for total in sums)
        return -rest[a] * rest[b] * zero + (rest[a] + rest[b]) * one - two

    at = [0, len(rest) - 1]
    while len(at) < count:
        gaps = np.diff(at) > 1
        errors = np.where(gaps, error(np.array(at[:-1]), np.array(at[1:])), -np.inf)
        worst = int(np.argmax(errors))
        inner = np.arange(at[worst] + 1, at[worst + 1])
        ends = np.full(len(inner), at[worst]), np.full(len(inner), at[worst + 1])
        at.insert(worst + 1, int(inner[np.argmin(error(ends[0], inner) + error(inner, ends[1]))]))
    return np.array(at)


def _between(taken: np.ndarray, size: int) -> np.ndarray:
    """Places [2, K] in a falling sort of `size` between which a price clears so much capacity."""
    whole = np.floor(taken + 1e-9)
    first = np.where(taken - whole > 1e-9, whole, whole - 1)
    return np.clip([first, whole], 0, size - 1).astype(np.int32)


def _removals(rest: np.ndarray, at: np.ndarray, near: int) -> tuple[np.ndarray, np.ndarray]:
    """Linear maps from a falling posterior to hi and lo at every knot, valid for the ranks next to the knot too.

    Rows: j is the best (its key document is the second), j is the r-th best (the key is the best), j is any other
    (nothing of it is known but that it is not the key: hi sums the largest N - 2 left, lo the smallest).
    """
    size = len(rest) + 1
    high, low = np.zeros((2, near + 1, len(at), size))
    after = np.append(np.where(np.diff(at) > 1, at[1:], at[:-1]), at[-1])
    before = np.insert(np.where(np.diff(at) > 1, at[:-1], at[1:]), 0, at[0])
    for k in range(len(at)):
        falling, rising = np.delete(rest, after[k]), np.delete(rest, before[k])[::-1]
        for row in range(near + 1):
            if row < near:
                kept = np.delete(np.arange(size), [0, max(row, 1)])
                high[row, k, kept], low[row, k, kept] = falling, rising
            else:
                high[row, k, 1 : size - 1], low[row, k, 2:] = falling, rising
    return high, low
