# SPDX-License-Identifier: Apache-2.0
"""Carrying out tasks for a command: run them, show progress, print results as they come, write files."""

from __future__ import annotations

import datetime
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

import accelspec
from accelspec.model.verdict import Status
from accelspec.spec.language.specification import Specification

from ..baseline import NOTHING, Baseline
from ..collecting import Collector
from ..judging import Said
from ..loading import BadInput, Entry
from ..output import OutputFile, say
from ..progress_display import Display, display
from ..report import render, text
from ..report.traces import calls
from ..report.words import plural, seconds
from ..results import Exit, Exploration, ResultFile, exit_code
from ..tasks import Engine, Failed, Refused, Task, Told
from ..workers import Ended, Event, Pool, Started


@dataclass
class Work:
    """What a command wants done, and where the result goes."""

    command: str
    specs: Mapping[str, Specification]
    tasks: Sequence[Task]
    jobs: int
    seconds: float
    seed: int | None = None
    form: str = "text"
    outputs: Sequence[OutputFile] = ()
    quiet: bool = False
    only: frozenset[str] | None = None
    spoken: bool = False  # only properties that an engine spoke about
    shown: Callable[[ResultFile], str] | None = None  # the text form, if it is not the report revision by revision
    accepted: Baseline = NOTHING


def compiled(entries: Sequence[Entry]) -> dict[str, Specification]:
    """Every specification by its full name.

    Raises:
        SpecError: one of them cannot be compiled.
        BadInput: two of them have the same name.
    """
    specs: dict[str, Specification] = {}
    for e in entries:
        if e.name in specs:
            raise BadInput(f"{e.name} is named twice, by {e.reference} too", "Give your revision a name of its own.")
        specs[e.name] = e.compile()
    return specs


def carry_out(work: Work) -> Exit:
    """Do the work.  An interrupt ends it within a second; what was found so far is shown and written."""
    clock = time.monotonic
    began = clock()
    file = ResultFile(
        version=accelspec.__version__,
        command=work.command,
        started=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        seed=work.seed,
    )
    collector = Collector(work.specs, work.tasks, file, work.only, not work.spoken, work.accepted)
    pool = Pool(work.tasks, work.jobs, _shares(work, began + work.seconds))
    shows = display(sys.stderr, len(work.tasks), clock, quiet=work.quiet)
    streams = work.form == "text" and work.shown is None
    printer = _Printer(collector, shows)
    try:
        with _interruptible(pool, file):
            tallies: dict[Task, Counter[Status]] = {}
            for task, event in pool.events():
                if isinstance(event, Refused):
                    raise BadInput(event.what, event.remedy)
                collector.take(task, event)
                _show(shows, collector, tallies.setdefault(task, Counter()), task, event)
                if streams and isinstance(event, (Ended, Failed)):
                    printer.print_closed()
        collector.finish()
        file.elapsed = round(clock() - began, 3)
    finally:
        shows.close()
    if streams:
        printer.print_closed()
        say(text.closing(file))
    else:
        say(work.shown(file) if work.shown is not None and work.form == "text" else render(file, work.form))
    for out in work.outputs:
        out.write(render(file, out.form))
        if not work.quiet:
            print(f"wrote {out.path}", file=sys.stderr)
    return exit_code(file)


@dataclass
class _Printer:
    """Prints each revision when all before it are closed: the order is the same on every run."""

    collector: Collector
    display: Display
    _printed: int = 0

    def print_closed(self) -> None:
        names = list(self.collector.specs)
        while self._printed < len(names) and self.collector.closed(names[self._printed]):
            self.collector.sort()
            with self.display.aside():
                say(text.section(self.collector.file, self.collector.revision(names[self._printed])) + "\n")
            self._printed += 1


def _show(shows: Display, collector: Collector, tally: Counter[Status], task: Task, event: Event) -> None:
    match event:
        case Started():
            shows.started(task.title)
        case Told(text=line):
            shows.told(task.title, line)
        case Said(property=property, word=word, trace=steps):
            tally[word.verdict] += 1
            if word.verdict is Status.VIOLATED and collector.first_violation(task.name, property):
                listed = "as listed" if property in collector.specs[task.name].known else "NOT listed as known"
                shows.note(f"{task.name}: {property} violated in {plural(calls(steps), 'call')}, {listed}")
        case Exploration(states=states, complete=complete):
            shows.told(task.title, plural(states, "state") + ("" if complete else ", not all"))
        case Failed(what=what):
            shows.ended(task.title, f"internal error: {what}")
        case Ended(elapsed=elapsed, overran=overran):
            counts = ", ".join(f"{n} {status.value.replace('_', ' ')}" for status, n in tally.items())
            late = ", killed: it did not heed its budget" if overran else ""
            shows.ended(task.title, f"{counts or 'done'} ({seconds(elapsed)}){late}")


WEIGHTS = {Engine.PROVE: 0.2, Engine.FUZZ: 1.0}
ALL_OF_IT = 8.0  # the weight of a proof of which nothing is known to fail: all of it has to succeed
OF_A_SCOPE = 4.0  # what exploring weighs, for each scope


def _shares(work: Work, deadline: float) -> Callable[[Sequence[Task]], float | None]:
    """How long the first of the waiting tasks may work: its share of what is left, at least a second."""

    def weight(t: Task) -> float:
        spec = work.specs[t.name]
        if t.engine is Engine.EXPLORE:
            return OF_A_SCOPE * (1 if t.scope else max(1, len(spec.scopes)))
        return ALL_OF_IT if t.engine is Engine.PROVE and not spec.known else WEIGHTS[t.engine]

    def share(waiting: Sequence[Task]) -> float | None:
        left = deadline - time.monotonic()
        weights = [weight(t) for t in waiting]
        return max(1.0, left * min(1.0, work.jobs * weights[0] / sum(weights)))

    return share


@contextmanager
def _interruptible(pool: Pool, file: ResultFile) -> Iterator[None]:
    """An interrupt stops the pool; a second one does not wait."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(_: int, __: FrameType | None) -> None:
        if not file.complete:
            raise KeyboardInterrupt
        file.complete = False
        pool.stop()

    before = {s: signal.signal(s, stop) for s in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for s, handler in before.items():
            signal.signal(s, handler)
