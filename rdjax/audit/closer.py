"""Budgets between those that families are tried at: an answer that is within a tenth of the cheapest.

The budgets of a family are far apart, as each takes fitting. What they leave between the last that does not keep the
target and the first that does is halved for the family that wins; every other is asked once at a tenth less than the
best so far, and takes over if that keeps the target. All choices are made on the fit queries, as everywhere.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from rdjax.audit.answer import disk
from rdjax.audit.families import Trial
from rdjax.audit.frontier import Bench
from rdjax.audit.result import Point, Setting

CLOSE = 1.1  # how far apart, as a ratio, budgets may stay
TRIES = 2  # of a family whose code takes more than was reckoned


@dataclass(frozen=True)
class Contest:
    """What an answer looks for: the cheapest code of a side and of some classes that keeps the target on fit.

    `price(point)` is what it costs, and `per_bit` how much more a further bit per item does.
    """

    side: str
    classes: str
    price: Callable[[Point], float]
    per_bit: float


def contests(setting: Setting) -> tuple[Contest, ...]:
    """Those of the answer: bits of documents and their bytes on disk, bits of queries of a blind encoder."""
    packed = lambda point: float(point.bits.packed.lower)
    asked = lambda point: float(point.chosen_bits.lower)
    return (
        Contest("documents", "BC", packed, 1.0),  # first: it tells what the files of codes take
        Contest("documents", "BC", lambda point: disk(point, setting), setting.documents / 8),
        Contest("queries", "C", lambda point: asked(point) if asked(point) > 0 else packed(point), 1.0),
    )


def settle(
    bench: Bench,
    contest: Contest,
    trials: Iterable[Trial],
    points: Iterable[Point],
    advance: Callable[[Trial], None] = lambda trial: None,
) -> list[Point]:
    """The further points that settle a contest.

    Args:
      bench: that measured `points`, and measures these.
      contest: what is looked for.
      trials: families to ask; those with one budget are not.
      points: all that is known so far.
      advance: called with each family that is asked.

    Returns:
      points at budgets between, in the order in which they were measured; none where nothing keeps the target.
    """
    race = _Race(bench, contest, list(points))
    asked = [t for t in trials if t.at is not None and t.side == contest.side and t.code_class in contest.classes]
    for trial in sorted(asked, key=race.least):
        advance(trial)
        race.ask(trial)
    return race.found


class _Race:
    """The points of a contest so far, and those that are `found` in it."""

    def __init__(self, bench: Bench, contest: Contest, points: list[Point]):
        self.bench, self.contest, self.found = bench, contest, list[Point]()
        self._points = [p for p in points if p.side == contest.side and p.code_class in contest.classes]

    def least(self, trial: Trial) -> float:
        """What the cheapest sufficient code of a family costs, infinite if there is none."""
        return self._least(self._of(trial))

    def ask(self, trial: Trial) -> None:
        """Measure a family at budgets that may be cheaper than the best, until none can be by more than a tenth."""
        asked: set[float] = set()
        dear = 0
        while dear < TRIES and (bits := self._next(trial)) is not None and bits not in asked:
            asked.add(bits)
            make = trial.at(bits) if trial.at else None
            outcomes = self.bench.measure(trial, make) if make else []
            if make is None or not outcomes:
                return
            point = self.bench.point(trial, outcomes, None)
            if self.contest.price(point) < self._least(self._points):
                point = self.bench.point(trial, outcomes, self.bench.look(trial, make))
            else:
                dear += 1
            self.found.append(point)
            self._points.append(point)

    def _next(self, trial: Trial) -> float | None:
        """The budget to ask a family at; None where none between can be cheaper by a tenth."""
        best, own = self._least(self._points), self._of(trial)
        if best == math.inf:
            return None
        high = min((p.budget for p in own if self._sufficient(p)), default=math.inf)
        low = max((p.budget for p in own if -math.inf < float(p.chosen_by.lower) and p.budget < high), default=0.0)
        if self._least(own) == best:
            bits = math.sqrt(max(low, high / 4) * high)
            far = high > CLOSE * low
        else:
            bits, far = self._budget_at(best / CLOSE, own), True
        bits = min(bits, trial.most) // trial.unit * trial.unit
        return bits if far and low < bits < high else None

    def _budget_at(self, price: float, own: list[Point]) -> float:
        """The budget at which a family costs so much, about: further bits beside the nearest point, or from nothing."""
        near = min(own, key=lambda point: abs(self.contest.price(point) - price), default=None)
        budget, spent = (near.budget, self.contest.price(near)) if near else (0.0, 0.0)
        return budget + (price - spent) / self.contest.per_bit

    def _of(self, trial: Trial) -> list[Point]:
        return [p for p in self._points if (p.family, p.code_class) == (trial.family, trial.code_class)]

    def _sufficient(self, point: Point) -> bool:
        return float(point.chosen_by.lower) >= self.bench.target

    def _least(self, points: Iterable[Point]) -> float:
        return min((self.contest.price(point) for point in points if self._sufficient(point)), default=math.inf)
