"""Progress of anything that takes over a second, on stderr: a bar on a terminal, sparse lines elsewhere.

The time that is left is what the rest takes if it goes on as fast as it went so far.
"""

import time
from collections.abc import Callable, Iterable
from types import TracebackType

from rich.console import Console, RenderableType
from rich.progress import BarColumn, Task, TaskID, TextColumn, TimeElapsedColumn
from rich.progress import Progress as RichProgress

PATIENCE = 1.0  # seconds of silence that nobody minds
SPARSE = 15.0  # seconds between lines where there is no terminal


class Progress:
    """Call it as progress(description, done, total) while it is entered; total None where the end is not known.

    A fourth argument is for pieces that are not alike: the share of the work that is done, else done / total.

    Args:
      console: where to show it; None for stderr.
      clock: seconds, for tests.
    """

    def __init__(self, console: Console | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._console = console or Console(stderr=True)
        self._clock = clock
        self._bar = _Late(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=20),
            TextColumn("{task.fields[counted]}"),
            TimeElapsedColumn(),
            console=self._console,
            transient=True,
            refresh_per_second=4,
            get_time=clock,
        )
        self._task: TaskID | None = None
        self._total: int | None = None
        self._said = self._started = self._begun = clock()

    def __enter__(self) -> "Progress":
        self._said = self._started = self._clock()
        if self._console.is_terminal:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._console.is_terminal:  # rich would print an empty line elsewhere
            self._bar.stop()

    def __call__(self, description: str, done: int, total: int | None, share: float | None = None) -> None:
        """Say what is being done and how much of it is done."""
        same = total == self._total
        if not same:
            self._begun, self._total = self._clock(), total
        counted = (
            "" if total is None else f"{done}/{total}{self._left(done / max(total, 1) if share is None else share)}"
        )
        if not self._console.is_terminal:
            self._line(f"{description} {counted}".rstrip())
        elif self._task is not None and same:
            self._bar.update(self._task, description=description, completed=done, counted=counted)
        else:  # another piece of work, with patience of its own
            if self._task is not None:
                self._bar.remove_task(self._task)
            self._task = self._bar.add_task(description, total=total, completed=done, counted=counted)

    def _left(self, share: float) -> str:
        """The time that is left, in words, once there is something to judge by."""
        passed = self._clock() - self._begun
        if not 0 < share < 1 or passed < PATIENCE:
            return ""
        seconds = passed * (1 - share) / share
        return f", about {seconds:.0f} s left" if seconds < 100 else f", about {seconds / 60:.0f} min left"

    def _line(self, text: str) -> None:
        now = self._clock()
        if now - self._said >= SPARSE:
            self._said = now
            self._console.print(f"{text} ({now - self._started:.0f} s)", markup=False, highlight=False, soft_wrap=True)


class _Late(RichProgress):
    """Rich's bars, hidden until they have lasted longer than people's patience."""

    def get_renderables(self) -> Iterable[RenderableType]:
        """The table of the tasks that are worth a bar."""
        slow: list[Task] = [task for task in self.tasks if (task.elapsed or 0.0) >= PATIENCE]
        yield self.make_tasks_table(slow)
