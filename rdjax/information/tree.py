"""Neighbors by k-d tree, on the host in float64 (SciPy), for few columns.

Equal rows are put together first: a tree cannot split them, and would compare each with each. In one column a sorted
list counts faster than any tree.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from rdjax.information.distances import Balls

_EVERY_CORE = -1


class _Found(NamedTuple):
    radius: np.ndarray  # from the k-th neighbor [n]
    within: np.ndarray  # other rows within it [n]
    neighbor: np.ndarray  # a row that is k-th; the row itself where the radius is 0 [n]


def balls(spaces: Sequence[np.ndarray], groups: Sequence[Sequence[int]], neighbors: int) -> Balls:
    """As `distances.balls` under the maximum norm, from arrays [n, d] in NumPy float64."""
    found = _search(np.concatenate(spaces, axis=1), neighbors, np.inf)
    tied = (found.within > neighbors) | (found.radius <= 0)
    reach = np.where(tied, found.radius, np.nextafter(found.radius, 0))
    counts = tuple(_count(np.concatenate([spaces[i] for i in group], axis=1), reach) for group in groups)
    return Balls(found.radius, tied, found.within, counts)


def boxes(spaces: Sequence[np.ndarray], neighbors: int) -> Balls:
    """As `distances.boxes` under the maximum norm; among more than k within the radius, the tree's choice of k.

    Where a radius is 0 there is no box, and nothing is counted: what follows refuses it.
    """
    around = balls(spaces, [], neighbors)
    if (around.radius <= 0).any():
        return around._replace(counts=tuple(np.ones_like(around.within) for _ in spaces))
    together = np.concatenate(spaces, axis=1)
    _, number = _tree(together).query(together, range(1, neighbors + 2), p=np.inf, workers=_EVERY_CORE)
    reach = [np.abs(one[number] - one[:, None]).max(axis=(1, 2)) for one in spaces]
    return around._replace(counts=tuple(_count(one, far) - 1 for one, far in zip(spaces, reach, strict=True)))


def kth_neighbor(one: np.ndarray, neighbors: int, norm: str) -> np.ndarray:
    """The row number of the k-th neighbor under either norm; the row itself where that is at distance 0."""
    return _search(one, neighbors, np.inf if norm == "max" else 2.0).neighbor


def _search(points: np.ndarray, neighbors: int, power: float) -> _Found:
    distinct, first, place, times = _put_together(points)
    size = len(distinct)
    tree = _tree(distinct)
    columns = range(1, min(neighbors + 2, size) + 1)  # one more than could be needed shows whether it ties
    distance, number = tree.query(distinct, columns, p=power, workers=_EVERY_CORE)
    repeats = times[number] if size < len(points) else np.broadcast_to(1, number.shape)
    reached = np.cumsum(repeats, axis=1) - 1
    column = np.argmax(reached >= neighbors, axis=1)[:, None]
    radius = np.take_along_axis(distance, column, axis=1)[:, 0]
    neighbor = np.take_along_axis(number, column, axis=1)[:, 0]
    within = np.take_along_axis(reached, column, axis=1)[:, 0]
    after = np.take_along_axis(distance, np.minimum(column + 1, len(columns) - 1), axis=1)[:, 0]
    more = np.flatnonzero((after == radius) & (column[:, 0] + 1 < len(columns)))
    if more.size:
        lists = tree.query_ball_point(distinct[more], radius[more], p=power, workers=_EVERY_CORE)
        within[more] = [times[members].sum() - 1 for members in lists]
    itself = neighbor[place] == place
    return _Found(radius[place], within[place], np.where(itself, np.arange(len(points)), first[neighbor][place]))


def _put_together(points: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Distinct rows in order, where each first stands, which one every row is, and how often each occurs."""
    order = np.argsort(points[:, 0], kind="stable")
    if (np.diff(points[order, 0]) == 0).any():
        order = np.lexsort(points.T)
    ordered = points[order]
    new = np.concatenate([[True], (ordered[1:] != ordered[:-1]).any(axis=1)])
    place = np.empty(len(points), np.int64)
    place[order] = np.cumsum(new) - 1
    return ordered[new], order[new], place, np.bincount(place)


def _tree(points: np.ndarray) -> Any:
    from scipy.spatial import cKDTree

    return cKDTree(points)


def _count(points: np.ndarray, reach: np.ndarray) -> np.ndarray:
    """How many rows are within `reach` of each row, itself among them."""
    if points.shape[1] == 1:
        return _count_in_line(points[:, 0], reach)
    return _tree(points).query_ball_point(points, reach, p=np.inf, workers=_EVERY_CORE, return_length=True)


def _count_in_line(values: np.ndarray, reach: np.ndarray) -> np.ndarray:
    """How many values are within `reach` of each, by the rounded difference, exactly as a tree judges it."""
    order = np.argsort(values, kind="stable")  # searches in order are three times faster
    inside, far = values[order], reach[order]
    new = np.concatenate([[True], inside[1:] != inside[:-1]])
    distinct, place = inside[new], np.cumsum(new) - 1
    before = np.append(np.flatnonzero(new), len(values))
    # rounded sums may be off on either side, so ends are moved until the rounded differences agree
    first = np.minimum(np.searchsorted(distinct, inside - far, side="left"), place)
    last = np.maximum(np.searchsorted(distinct, inside + far, side="right") - 1, place)
    near = lambda index: np.abs(distinct[index] - inside) <= far
    first = _moved(first, lambda at: (at > 0) & near(np.maximum(at - 1, 0)), -1)
    first = _moved(first, lambda at: ~near(at), 1)
    last = _moved(last, lambda at: (at + 1 < len(distinct)) & near(np.minimum(at + 1, len(distinct) - 1)), 1)
    last = _moved(last, lambda at: ~near(at), -1)
    counts = np.empty(len(values), np.int64)
    counts[order] = before[last + 1] - before[first]
    return counts


def _moved(at: np.ndarray, further: Callable[[np.ndarray], np.ndarray], step: int) -> np.ndarray:
    """Positions moved by steps as long as `further` says so."""
    moving = further(at)
    while moving.any():
        at = at + step * moving
        moving = further(at)
    return at
