# SPDX-License-Identifier: Apache-2.0
"""Solvers in processes that can be killed.

z3 does not always honour its own limits, so whoever must be able to stop it runs it elsewhere.  A worker is a fresh
interpreter (no fork: the parent may have threads; not multiprocessing's spawn: it would run the parent's script
again) and is given the specification as data.  It ends with its task, when it is killed, and when its parent ends,
however that ends; Ctrl-C does not reach it.
"""

from __future__ import annotations

import io
import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from enum import Enum
from multiprocessing.connection import Connection, wait
from pathlib import Path
from types import TracebackType
from typing import Any

import accelspec
from accelspec.spec.language.specification import Specification

from ..verdict import Budget

POLL = 0.05  # seconds between two looks at the budget

Message = tuple[str, Any]  # what it is ("verdict", "depth", ...), and plain data
Tell = Callable[[str, Any], None]


class WorkerFailed(RuntimeError):
    """A worker met an error of its own, which is an internal error of this program; the text says which."""


class Worker:
    """One task in a process of its own: a function of tasks.py, by name, with the specification and plain arguments.

    Usable as a context manager: at its end the process is gone.
    """

    def __init__(self, task: str, spec: Specification, **arguments: Any) -> None:
        self.task = task
        self._ended = False
        theirs, ours = os.pipe()  # their input; it ends when we do
        self._control = Connection(ours, readable=False)
        back, out = os.pipe()
        self._messages = Connection(back, writable=False)
        root = str(Path(accelspec.__file__).parent.parent)
        paths = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH", "")]))
        self._process = subprocess.Popen(
            [sys.executable, "-m", "accelspec.model.smt.worker", str(theirs), str(out)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=(theirs, out),
            env={**os.environ, "PYTHONPATH": paths},
            start_new_session=True,
        )
        os.close(theirs)
        os.close(out)
        with suppress(BrokenPipeError):  # if it died at once, the first look at its messages says so
            self._control.send_bytes(packed((task, spec, arguments)))

    @property
    def pid(self) -> int:
        """The process."""
        return self._process.pid

    def receive(self) -> Message | None:
        """The next message; None at the end.

        "gave up" is one of them: the solver ran out of memory, or the system ended the process.  Raises WorkerFailed.
        """
        if self._ended:
            return None
        try:
            message: Message = pickle.loads(self._messages.recv_bytes())
        except EOFError:
            self._ended, code = True, self._process.wait()
            if code < 0:
                return "gave up", f"the process of {self.task} was ended by {signal.Signals(-code).name}"
            if code:
                raise WorkerFailed(f"the process of {self.task} ended with exit code {code}") from None
            return None
        if message[0] == "error":
            raise WorkerFailed(f"{self.task}: {message[1]}")
        return message

    def kill(self) -> None:
        """End the process now."""
        self._process.kill()
        self._process.wait()
        self._control.close()
        self._messages.close()

    def __enter__(self) -> Worker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()


def listen(workers: Sequence[Worker], budget: Budget) -> Iterator[tuple[Worker, Message | None]]:
    """The messages of all workers as they come, None at the end of each; ends early when the budget is spent.

    Raises WorkerFailed.
    """
    by_pipe = {w._messages: w for w in workers}
    while by_pipe and not budget.spent:
        for pipe in wait(list(by_pipe), POLL):
            assert isinstance(pipe, Connection)
            message = by_pipe[pipe].receive()
            yield by_pipe[pipe], message
            if message is None:
                del by_pipe[pipe]


# ---------------------------------------------------------------------- a specification as data


class _Pickler(pickle.Pickler):
    """Takes Enums along by their names: the module that defines one may be a file that nobody else can import."""

    def reducer_override(self, x: Any) -> Any:
        if isinstance(x, type) and issubclass(x, Enum) and _is_foreign(x):
            return _enum, (x.__name__, tuple(x.__members__))
        if isinstance(x, Enum) and _is_foreign(type(x)):
            return getattr, (type(x), x.name)
        return NotImplemented


def _is_foreign(t: type) -> bool:
    return not t.__module__.startswith(("accelspec.spec.language.", "accelspec.model.verdict"))


def _enum(name: str, members: Sequence[str]) -> Any:
    return Enum(name, {m: m for m in members})


def packed(x: Any) -> bytes:
    """Anything made of specifications and plain data, for another process."""
    out = io.BytesIO()
    _Pickler(out, pickle.HIGHEST_PROTOCOL).dump(x)
    return out.getvalue()
