"""Labels beside what they name, placed where they hide nothing: greedy, in pixels, the same every time."""

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

GAPS = (7.0, 14.0, 28.0, 50.0, 80.0, 120.0, 170.0)  # pixels between a label and its anchor
AROUND = (
    *((-1, 0), (1, 0), (-1, 0.5), (1, 0.5), (-1, -0.5), (1, -0.5)),
    *((-1, 1), (1, 1), (-1, -1), (1, -1), (0, 1), (0, -1)),
)
STEP = 6.0  # pixels between the places at which a line is looked at
PAD = 3.0  # pixels around a label
FAR = 0.5  # cost of a pixel of distance, where a covered square pixel costs the weight of what it covers
FINALISTS = 80  # places whose leader is looked at too


class Labels:
    """What is drawn on one axes already, and where the next label may go.

    Args:
      axes: of matplotlib, its limits final.
      renderer: of the canvas, for the size of texts.
    """

    def __init__(self, axes: Any, renderer: Any) -> None:
        self.axes, self.renderer = axes, renderer
        self.boxes = np.zeros((0, 4))
        self.weights = np.zeros(0)

    def block_line(self, data: Any, weight: float) -> None:
        """What is drawn along the points [n, 2], in data coordinates; the weight is the cost of hiding it."""
        points = self.axes.transData.transform(np.reshape(data, (-1, 2)))
        low, high = self._frame()
        inside = [
            _cut(start, end, low, high) for start, end in itertools.pairwise(points)
        ]  # a line may go on for miles
        for piece in filter(None, inside):
            self._block(_beads(np.array(piece)), weight)

    def place(
        self, text: str, anchors: Any, style: dict[str, Any], directions: Any = AROUND, gaps: Sequence[float] = GAPS
    ) -> None:
        """Write the text beside the best of the anchors, with a thin line to it.

        Args:
          text: may have several lines.
          anchors: [n, 2], data coordinates, where the line or point that is named can be pointed at.
          style: of the text.
          directions: (x, y) from an anchor to the label, in half sizes of the label.
          gaps: pixels between label and anchor to be tried.
        """
        artist = self.axes.text(0, 0, text, ha="center", va="center", transform=self.axes.transAxes, zorder=6, **style)
        extent = artist.get_window_extent(self.renderer)
        half = np.array([extent.width, extent.height]) / 2 + PAD
        points = np.clip(self.axes.transData.transform(np.reshape(anchors, (-1, 2))), *self._frame())
        center, anchor = self._best(points, half, np.asarray(directions, float), np.asarray(gaps, float))
        artist.set_position(self.axes.transAxes.inverted().transform(center))
        self._block(np.concatenate([center - half, center + half])[None], 4.0)
        ends = self.axes.transAxes.inverted().transform(np.array([_edge(center, half - PAD, anchor), anchor]))
        self.axes.plot(*ends.T, transform=self.axes.transAxes, color=style["color"], linewidth=0.6, zorder=2.5)

    def _frame(self) -> tuple[np.ndarray, np.ndarray]:
        """Left and bottom, right and top of the axes."""
        extent = self.axes.get_window_extent(self.renderer)
        return np.array([extent.x0, extent.y0]), np.array([extent.x1, extent.y1])

    def _best(self, points: np.ndarray, half: np.ndarray, directions: np.ndarray, gaps: np.ndarray) -> Any:
        """(center, anchor) of the cheapest place inside the axes."""
        low, high = self._frame()
        low, high = low + half, high - half
        outward = directions / np.abs(directions).max(axis=1, keepdims=True)
        offsets = directions[:, None] * half + gaps[:, None] * outward[:, None]
        wanted = (points[:, None, None] + offsets).reshape(-1, 2)
        anchors = np.broadcast_to(points[:, None, None], (len(points), *offsets.shape)).reshape(-1, 2)
        centers = np.clip(wanted, low, high)
        distance = np.broadcast_to(gaps, (len(points), len(directions), len(gaps))).reshape(-1)
        cost = FAR * distance + 3 * np.abs(centers - wanted).sum(axis=1)
        cost = cost + self._hidden(np.concatenate([centers - half, centers + half], axis=1))
        finalists = np.argsort(cost, kind="stable")[:FINALISTS]
        leaders = [(_edge(centers[i], half, anchors[i]), anchors[i]) for i in finalists]
        best = finalists[int(np.argmin(cost[finalists] + self._crossed(leaders)))]
        return centers[best], anchors[best]

    def _block(self, boxes: np.ndarray, weight: float) -> None:
        self.boxes = np.concatenate([self.boxes, boxes])
        self.weights = np.concatenate([self.weights, np.full(len(boxes), weight)])

    def _hidden(self, boxes: np.ndarray) -> np.ndarray:
        """[n]: weighted square pixels of what is there already that each of the boxes [n, 4] covers."""
        left, bottom, right, top = boxes.T[:, :, None]
        low_x, low_y, high_x, high_y = self.boxes.T
        width = np.maximum(np.minimum(right, high_x) - np.maximum(left, low_x), 0)
        return (width * np.maximum(np.minimum(top, high_y) - np.maximum(bottom, low_y), 0)) @ self.weights

    def _crossed(self, leaders: Sequence[Any]) -> np.ndarray:
        """The same along each of the leaders (start, end), less its end, which touches what it points at."""
        beads = [_beads(np.array(leader), radius=2.0)[:-3] for leader in leaders]
        owner = np.repeat(np.arange(len(beads)), [len(part) for part in beads])
        return np.bincount(owner, self._hidden(np.concatenate(beads)), minlength=len(beads))


def _cut(start: np.ndarray, end: np.ndarray, low: np.ndarray, high: np.ndarray) -> tuple[Any, Any] | None:
    """The part of a straight line that is inside a box, or None."""
    first, last = 0.0, 1.0
    for at, way, least, most in zip(start, end - start, low, high, strict=True):
        if way == 0:
            if not least <= at <= most:
                return None
            continue
        one, other = sorted(((least - at) / way, (most - at) / way))
        first, last = max(first, one), min(last, other)
    return (start + first * (end - start), start + last * (end - start)) if first <= last else None


def _edge(center: np.ndarray, half: np.ndarray, anchor: np.ndarray) -> np.ndarray:
    """The point of the label's box that is nearest to the anchor."""
    return np.clip(anchor, center - half, center + half)


def _beads(points: np.ndarray, radius: float = 3.0) -> np.ndarray:
    """Small boxes [n, 4] (left, bottom, right, top) along a polyline."""
    parts = []
    for start, end in itertools.pairwise(points):
        steps = max(1, int(np.hypot(*(end - start)) / STEP))
        parts.append(start + (end - start) * np.linspace(0, 1, steps + 1)[:, None])
    centers = np.concatenate(parts) if parts else points
    return np.concatenate([centers - radius, centers + radius], axis=1)
