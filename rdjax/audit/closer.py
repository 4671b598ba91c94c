"""Budgets between those that families are tried at, so that an answer is about a tenth above the cheapest at most.

The budgets of a family are far apart, as each takes fitting. What they leave between the last that does not keep the
target and the first that does is halved for the family that wins, until they are a tenth apart; every other is asked at
a tenth less than the best so far, and takes over if that keeps the target. All choices are made on the fit queries, as
everywhere.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from rdjax.audit.answer import disk
from rdjax.audit.families import Trial
from rdjax.audit.frontier import Bench
from rdjax.audit.result import Point, Setting

CLOSE = 1.1  # how far apart, as a ratio, budgets may stay
TRIES = 2  # of a family that does not win: codes that do not keep the target, or cannot be fitted
DEAR = 4  # of its codes that take more than was reckoned, which is known without a look


@dataclass(frozen=True)
class Contest:
    """What an answer looks for: the cheapest code of a side and of some classes that keeps the target on fit.

    `price(point)` is what it costs, and `per_bit` how much more a further bit per item does, at least.
    """

    side: str
    classes: str
    price: Callable[[Point], float]
    per_bit: float


def contests(setting: Setting) -> tuple[Contest, ...]:
    """Those of the answer: bits of documents and their bytes on disk, bits of queries of a blind encoder."""
    packed = lambda point: float(point.bits.packed.lower)
    asked = lambda point: float(point.chosen_bits.lower)
    sent = lambda point: asked(point) if asked(point) > 0 else point.budget  # neither has seen an audited query
    return (
        Contest("documents", "BC", packed, 1.0),  # first: it tells what the files of codes take
        Contest("documents", "BC", lambda point: disk(point, setting), setting.documents / 8),
        Contest("queries", "C", sent, 1.0),
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
        vain, dear, ceiling, asked = 0, 0, math.inf, set[float]()
        while vain < TRIES and dear < DEAR and (bits := self._next(trial, ceiling)) is not None and bits not in asked:
            asked.add(bits)
            wins = self._wins(trial)
            point = self._measured(trial, bits)
            if point is None:
                ceiling, vain = bits, vain + 1
                continue
            self.found.append(point)
            self._points.append(point)
            looked = float(point.chosen_by.lower) > -math.inf
            dear += not looked
            vain += looked and not wins and not self._sufficient(point)

    def _measured(self, trial: Trial, bits: float) -> Point | None:
        """The point at a budget, looked at on the fit queries if it may be the best; None where there is no code."""
        make = trial.at(bits) if trial.at else None
        outcomes = self.bench.measure(trial, make) if make else []
        if make is None or not outcomes:
            return None
        point = self.bench.point(trial, outcomes, None)
        if trial.side == "documents" and self.contest.price(point) >= self._least(self._points):
            return point
        return self.bench.point(trial, outcomes, self.bench.look(trial, make))

    def _next(self, trial: Trial, ceiling: float) -> float | None:
        """The budget to ask a family at, below `ceiling`; None where none between can be cheaper by a tenth."""
        best, own, unit = self._least(self._points), self._of(trial), trial.unit
        if best == math.inf:
            return None
        high = min([p.budget for p in own if self._sufficient(p)] + [ceiling, trial.most + unit])
        low = max((p.budget for p in self._points if self._fails(p, trial) and p.budget < high), default=0.0)
        half = lambda end: math.sqrt(max(low, end / 4) * end)
        first, last = low // unit + 1, math.ceil(high / unit) - 1 if high < math.inf else math.inf
        if self._wins(trial):
            steps, far = min(max(half(high) // unit, first), last), high > CLOSE * low
        else:
            steps = min(min(self._budget_at(best / CLOSE, own), half(ceiling)) // unit, last)
            far = steps * unit >= CLOSE * low
        return steps * unit if far and first <= steps <= last else None

    def _budget_at(self, price: float, own: list[Point]) -> float:
        """The budget at which a family costs so much, about: along the line through the nearest two of its points."""
        known = sorted((point.budget, self.contest.price(point)) for point in own)
        cheap = sum(spent <= price for _, spent in known)
        near = known[max(0, min(cheap - 1, len(known) - 2)) :][:2]
        if not near:
            return price / self.contest.per_bit
        (budget, spent), (further, more) = near[0], near[-1]
        if len(near) == 1 and spent > price:
            return budget * price / spent
        slope = (more - spent) / (further - budget) if further > budget else 0.0
        return budget + (price - spent) / max(slope, self.contest.per_bit)

    def _wins(self, trial: Trial) -> bool:
        return self.least(trial) == self._least(self._points)

    def _of(self, trial: Trial) -> list[Point]:
        return [p for p in self._points if (p.family, p.code_class) == (trial.family, trial.code_class)]

    def _fails(self, point: Point, trial: Trial) -> bool:
        """Whether it was looked at in vain; what class B, fitted on what it codes, cannot do, class C cannot either."""
        alike = point.family == trial.family and point.code_class <= trial.code_class
        return alike and -math.inf < float(point.chosen_by.lower) < self.bench.target

    def _sufficient(self, point: Point) -> bool:
        return float(point.chosen_by.lower) >= self.bench.target

    def _least(self, points: Iterable[Point]) -> float:
        return min((self.contest.price(point) for point in points if self._sufficient(point)), default=math.inf)
