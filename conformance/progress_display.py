# SPDX-License-Identifier: Apache-2.0
"""Progress on standard error: a bar and a line for each running task on a terminal, plain lines elsewhere."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import IO, Protocol

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, SpinnerColumn, Task, TaskID, TextColumn, TimeElapsedColumn
from rich.progress_bar import ProgressBar
from rich.text import Text

PLAIN_EVERY = 10.0  # seconds between two plain lines of one task
WIDTH = 100


class Display(Protocol):
    """Who is told how far the work is."""

    def started(self, title: str) -> None:
        """A task has begun."""

    def told(self, title: str, text: str) -> None:
        """A task says how far it is."""

    def ended(self, title: str, text: str) -> None:
        """A task has ended; `text` says in a few words what it found."""

    def note(self, text: str) -> None:
        """Something that a reader wants to see at once."""

    def aside(self) -> contextlib.AbstractContextManager[None]:
        """While standard output is written to."""
        ...

    def close(self) -> None:
        """All is done."""


class Silent:
    """Nobody is told."""

    def started(self, title: str) -> None:
        """Nothing."""

    def told(self, title: str, text: str) -> None:
        """Nothing."""

    def ended(self, title: str, text: str) -> None:
        """Nothing."""

    def note(self, text: str) -> None:
        """Nothing."""

    def aside(self) -> contextlib.AbstractContextManager[None]:
        """Nothing."""
        return contextlib.nullcontext()

    def close(self) -> None:
        """Nothing."""


class Plain(Silent):
    """Whole lines, for a log."""

    def __init__(self, stream: IO[str], clock: Clock) -> None:
        self._stream, self._clock = stream, clock
        self._last: dict[str, float] = {}
        self._began = clock()

    def _line(self, text: str) -> None:
        with contextlib.suppress(OSError, ValueError):  # nobody reads the progress any more
            print(f"{self._clock() - self._began:6.1f} s  {text}", file=self._stream, flush=True)

    def started(self, title: str) -> None:
        """A line."""
        self._last[title] = self._clock()
        self._line(f"{title} ...")

    def told(self, title: str, text: str) -> None:
        """A line, if the last one of this task was a while ago."""
        if self._clock() - self._last.get(title, 0.0) >= PLAIN_EVERY:
            self._last[title] = self._clock()
            self._line(f"{title}: {text}")

    def ended(self, title: str, text: str) -> None:
        """A line."""
        self._line(f"{title}: {text}")

    def note(self, text: str) -> None:
        """A line."""
        self._line(text)


class _Bar(BarColumn):
    """A bar for all tasks together; a single one does not know how far it is."""

    def render(self, task: Task) -> ProgressBar | Text:  # type: ignore[override]
        return Text() if task.total is None else super().render(task)


class Live(Silent):
    """A bar over all tasks, and a line for each that runs."""

    def __init__(self, console: Console, tasks: int) -> None:
        self._console = console
        self._progress = Progress(
            SpinnerColumn(style="dim"),
            TimeElapsedColumn(),
            TextColumn("{task.description}"),
            _Bar(bar_width=24, complete_style="green", finished_style="green"),
            console=console,
            transient=True,
        )
        self._tasks = tasks
        self._all = self._progress.add_task(f"0 of {tasks}", total=tasks)
        self._done = 0
        self._lines: dict[str, TaskID] = {}
        self._progress.start()

    def started(self, title: str) -> None:
        """A new line."""
        self._lines[title] = self._progress.add_task(escape(title), total=None)

    def told(self, title: str, text: str) -> None:
        """The line of the task changes."""
        if title in self._lines:
            shown = text.splitlines()[0] if text else ""
            self._progress.update(self._lines[title], description=escape(f"{title}: {shown}"[:WIDTH]))

    def ended(self, title: str, text: str) -> None:
        """The line goes, a plain one stays above the bar."""
        if title in self._lines:
            self._progress.remove_task(self._lines.pop(title))
        self._done += 1
        self._progress.update(self._all, advance=1, description=f"{self._done} of {self._tasks}")
        self.note(f"{title}: {text}")

    def note(self, text: str) -> None:
        """A line above the bar."""
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)

    @contextlib.contextmanager
    def aside(self) -> Iterator[None]:
        """The bar makes way."""
        self._progress.stop()
        try:
            yield
        finally:
            self._progress.start()

    def close(self) -> None:
        """The bar goes."""
        self._progress.stop()


class Clock(Protocol):
    """Gives seconds."""

    def __call__(self) -> float:
        """Seconds since some moment."""
        ...


def display(stream: IO[str], tasks: int, clock: Clock, *, quiet: bool = False) -> Display:
    """The display for a stream: a bar on a terminal that can draw one, plain lines elsewhere."""
    if quiet:
        return Silent()
    console = Console(file=stream)
    if console.is_terminal and not console.is_dumb_terminal:
        return Live(console, tasks)
    return Plain(stream, clock)
