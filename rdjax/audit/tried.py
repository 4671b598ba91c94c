"""The codes that an audit tries: every family at its budgets, then the budgets between that settle the answer."""

from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from typing import TypeVar

import jax

from rdjax.audit.closer import Contest, contests, settle
from rdjax.audit.families import Trial, trials
from rdjax.audit.frontier import Bench, cost
from rdjax.audit.result import Point, Setting
from rdjax.audit.view import Progress
from rdjax.checks import require

Work = TypeVar("Work")


def all_tried(
    bench: Bench, setting: Setting, sides: tuple[str, ...], families: Collection[str] | None, tell: Progress
) -> list[Point]:
    """The points of an audit, family by family and budget by budget.

    Args:
      bench: what they are measured on.
      setting: what is asked for.
      sides: "queries", "documents", or both.
      families: names of those to try, None for the usual ones.
      tell: told how far it is.

    Raises:
      InputError: families of which no code can be fitted.
    """
    documents = bench.views[0].test.documents
    dimension = sum(array.shape[1] for array in documents.values())
    planned = [trial for side in sides for trial in trials(side, dimension, len(documents), families)]
    points = [point for found in at_their_budgets(bench, planned, tell) for point in found]
    words = f"no code of {'; '.join(families or ())} can be fitted on these vectors and queries"
    require(bool(points) or not families, f"{words}; rdjax encode says why, or name another.")
    points += between(bench, contests(setting), planned, points, tell)
    order = {(trial.side, trial.family, trial.code_class): i for i, trial in enumerate(planned)}
    place = lambda point: (order[point.side, point.family, point.code_class], point.budget)
    return sorted(_once(points), key=place)


def at_their_budgets(bench: Bench, planned: list[Trial], tell: Progress) -> Iterator[list[Point]]:
    """The points of every family."""
    total, done, lock = sum(cost(trial) for trial in planned), 0, Lock()

    def work(trial: Trial) -> list[Point]:
        def advance(share: int) -> None:
            nonlocal done
            with lock:
                done += share
                tell(f"{trial.family} for {trial.side}, class {trial.code_class}", done, total)

        return bench.run(trial, advance)

    return _side_by_side(bench, work, planned)


def between(
    bench: Bench, sought: Iterable[Contest], planned: list[Trial], points: list[Point], tell: Progress
) -> list[Point]:
    """The further points that settle contests; those of one side one after the other, as each knows of those before."""
    sides = [[contest for contest in sought if contest.side == side] for side in ("documents", "queries")]
    asked = [t for t in planned if t.at is not None]
    total = sum(t.side == c.side and t.code_class in c.classes for side in sides for c in side for t in asked)
    done, lock = 0, Lock()

    def advance(trial: Trial) -> None:
        nonlocal done
        with lock:
            done += 1  # but codes that each will try nobody knows, so neither when all is done
            what = f"{trial.family} for {trial.side}, class {trial.code_class}"
            tell(f"closer budgets, {done} of {total}: {what}", done, None)

    def work(side: list[Contest]) -> list[Point]:
        found: list[Point] = []
        for contest in side:
            found += settle(bench, contest, asked, [*points, *found], advance)
        return found

    return [point for found in _side_by_side(bench, work, sides) for point in found]


def _once(points: Iterable[Point]) -> list[Point]:
    """One point for each code and budget: the one that was looked at on the fit queries, if one was."""
    kept: dict[tuple[str, str, str, float], Point] = {}
    for point in points:
        key = point.side, point.family, point.code_class, point.budget
        if key not in kept or float(kept[key].chosen_by.lower) < float(point.chosen_by.lower):
            kept[key] = point
    return list(kept.values())


def _side_by_side(bench: Bench, work: Callable[[Work], list[Point]], pieces: list[Work]) -> Iterator[list[Point]]:
    """What `work` gives of each piece; two at a time if memory allows, as most of the time goes into compiling.

    An interruption does not wait for pieces that are being worked on.
    """

    def alone(piece: Work) -> list[Point]:
        with jax.enable_x64(True):  # the setting belongs to a thread
            return work(piece)

    pool = ThreadPoolExecutor(bench.sizes.workers)
    try:
        yield from pool.map(alone, pieces)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
