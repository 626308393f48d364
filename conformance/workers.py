# SPDX-License-Identifier: Apache-2.0
"""Tasks in processes of their own: several at a time, their messages as they come, stopped within a second.

A worker leads a process group, so that the solvers and targets that it starts end with it; it ends by itself if its
parent is gone.
"""

from __future__ import annotations

import contextlib
import math
import multiprocessing
import os
import signal
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerContext, ForkServerProcess

from .loading import refusal
from .tasks import Failed, Means, Message, Refused, Task, Told, run

GRACE = 0.6  # seconds that a worker has to hand over what it found, once it is told to stop
PRELOAD = ("conformance.workers", "model.prove", "model.explore")  # imported once, before the workers are forked
LOOK = 0.1  # seconds between two looks at whether to stop; a signal's handler does not end a wait
PATIENCE, SLACK = 1.25, 5.0  # an engine that heeds its budget too little is killed: so many times, and seconds, later
TELL_EVERY = 0.1  # seconds between two lines of progress of one worker


@dataclass(frozen=True)
class Started:
    """A task has begun."""


@dataclass(frozen=True)
class Ended:
    """A task has ended after `elapsed` seconds: by itself, or because it `overran` its budget and was killed."""

    elapsed: float
    overran: bool = False


Event = Message | Failed | Refused | Started | Ended


@dataclass
class _Worker:
    task: Task
    process: ForkServerProcess
    inbox: Connection
    began: float
    latest: float  # when it must have ended


class Pool:
    """Runs tasks, at most `jobs` at a time, in their order.

    `share` says, of the tasks that wait, how many seconds the first may have; it is asked when that one starts.
    `events` yields (task, event); closing it (or an exception at its `yield`) kills what still runs.  After `stop` the
    workers have GRACE seconds to hand over what they found.
    """

    def __init__(
        self, tasks: Sequence[Task], jobs: int, share: Callable[[Sequence[Task]], float | None] = lambda _: None
    ) -> None:
        self._waiting = deque(tasks)
        self._jobs, self._share = max(1, jobs), share
        self._running: list[_Worker] = []
        self._context: ForkServerContext = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload([f"accelspec.{m}" for m in PRELOAD])
        self._stop = self._context.Event()
        self._deadline: float | None = None

    def stop(self) -> None:
        """Start no further task, and ask those that run to end."""
        self._waiting.clear()
        self._stop.set()
        self._deadline = time.monotonic() + GRACE

    def events(self) -> Iterator[tuple[Task, Event]]:
        """What the tasks say, as they say it."""
        try:
            while self._waiting or self._running:
                while self._waiting and len(self._running) < self._jobs:
                    yield self._start(self._waiting.popleft())
                if self._deadline is not None and time.monotonic() >= self._deadline:
                    break
                ready = wait([w.inbox for w in self._running], LOOK)
                for worker in [w for w in self._running if w.inbox in ready]:
                    yield worker.task, self._next(worker)
                now = time.monotonic()
                for worker in [w for w in self._running if w.latest < now and w.inbox not in ready]:
                    self._end(worker)
                    yield worker.task, Ended(now - worker.began, overran=True)
        finally:
            for worker in self._running:
                _kill(worker)
            self._running.clear()

    def _start(self, task: Task) -> tuple[Task, Event]:
        inbox, outbox = self._context.Pipe(duplex=False)
        ordered = replace(task, seconds=self._share([task, *self._waiting]))
        process = self._context.Process(target=_work, args=(ordered, outbox, self._stop), name=task.title)
        process.start()
        outbox.close()
        now = time.monotonic()
        latest = math.inf if ordered.seconds is None else now + ordered.seconds * PATIENCE + SLACK
        self._running.append(_Worker(task, process, inbox, now, latest))
        return task, Started()

    def _next(self, worker: _Worker) -> Event:
        try:
            event: Event | None = worker.inbox.recv()
        except (EOFError, OSError):
            worker.process.join(1)
            code = worker.process.exitcode
            how = f"signal {-code}" if code is not None and code < 0 else f"status {code}"
            event = Failed(f"its process ended with {how}", "")
        if event is None or isinstance(event, (Failed, Refused)):
            self._end(worker)
        return Ended(time.monotonic() - worker.began) if event is None else event

    def _end(self, worker: _Worker) -> None:
        self._running.remove(worker)
        _kill(worker)


def _kill(worker: _Worker) -> None:
    """End a worker and all that it has started."""
    pid = worker.process.pid
    if pid is not None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGKILL)
    worker.process.kill()
    worker.process.join(1)
    worker.inbox.close()


def _work(task: Task, outbox: Connection, stop: threading.Event) -> None:
    """The worker's side."""
    os.setpgid(0, 0)  # an interrupt at the terminal is for the parent, which asks us to stop
    threading.Thread(target=_end_with_parent, daemon=True).start()
    last = 0.0

    def tell(text: str) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= TELL_EVERY:
            last = now
            outbox.send(Told(text))

    try:
        for message in run(task, Means(stop.is_set, tell)):
            outbox.send(message)
        outbox.send(None)
    except BrokenPipeError:
        pass  # nobody listens any more
    except Exception as e:
        outbox.send(failure(e))


def failure(error: Exception) -> Failed | Refused:
    """What ended a task: the user's mistake, or an internal error in one line and where it came from."""
    mistake = refusal(error)
    if mistake is not None:
        return Refused(mistake.what, mistake.remedy)
    return Failed(f"{type(error).__name__}: {error}", "".join(traceback.format_exception(error)))


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os.killpg(0, signal.SIGKILL)
