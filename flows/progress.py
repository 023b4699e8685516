"""Progress of a run, from where the work is done to whoever watches: a terminal, a Prefect artifact.

Watchers are kept in a context variable, not in the flow's parameters, because Prefect stores parameters.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

_LINE_EVERY_S = 5.0


@dataclass(frozen=True)
class Step:
    """How far one step of a run is."""

    name: str
    done: int
    total: int | None
    """None while it is not yet known."""
    note: str = ""


Watcher = Callable[[Step], None]

_watchers: ContextVar[tuple[Watcher, ...]] = ContextVar("watchers", default=())


@contextmanager
def watching(watcher: Watcher) -> Iterator[None]:
    """Hand every `report` in the block to `watcher` too, besides the existing watchers."""
    token = _watchers.set((*_watchers.get(), watcher))
    try:
        yield
    finally:
        _watchers.reset(token)


def report(step: Step) -> None:
    """Tell all watchers."""
    for watcher in _watchers.get():
        watcher(step)


class Bars:
    """A watcher that draws a bar per step on stderr; if that is not a terminal, a line every few seconds."""

    def __init__(self) -> None:
        self.console = Console(file=sys.stderr, highlight=False)
        self._live = self.console.is_terminal
        self._progress = Progress(
            TextColumn("{task.description:<22}"),
            BarColumn(bar_width=28),
            TextColumn("{task.fields[count]:>7}"),
            TimeElapsedColumn(),
            TextColumn("[dim]{task.fields[note]}"),
            console=self.console,
        )
        self._tasks: dict[str, TaskID] = {}
        self._printed: dict[str, float] = {}

    def __call__(self, step: Step) -> None:
        """Draw the step; one with nothing to do is not shown."""
        if step.total == 0:
            return
        if not self._live:
            self._line(step)
            return
        if step.name not in self._tasks:
            self._tasks[step.name] = self._progress.add_task(step.name, total=step.total, note="", count="")
        task = self._tasks[step.name]
        self._progress.update(task, completed=step.done, total=step.total, note=step.note, count=_count(step))

    def __enter__(self) -> Bars:
        if self._live:
            self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live:
            self._progress.stop()

    def _line(self, step: Step) -> None:
        now, ended = time.monotonic(), step.done == step.total
        if not ended and now - self._printed.get(step.name, -_LINE_EVERY_S) < _LINE_EVERY_S:
            return
        if ended and self._printed.get(step.name) == float("inf"):
            return
        self._printed[step.name] = float("inf") if ended else now
        self.console.print(f"{step.name}: {_count(step)}  {step.note}".rstrip(), soft_wrap=True)


def _count(step: Step) -> str:
    if step.total == 1 and not step.note:
        return "done" if step.done else "…"
    return str(step.done) if step.total is None else f"{step.done}/{step.total}"


@contextmanager
def step(name: str) -> Iterator[None]:
    """A step that is either running or done, such as starting a server."""
    report(Step(name, 0, 1))
    yield
    report(Step(name, 1, 1))
