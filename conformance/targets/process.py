# SPDX-License-Identifier: Apache-2.0
"""A target that is a child process: `process:COMMAND`, any language, JSON lines on its standard input and output.

A child that dies or stays silent while it performs a call is a finding about the driver (`OOPS`, `HANG`), and the next
`reset` starts it anew.  A child that cannot be started, says no proper welcome or answers with something else than was
asked is a `TargetError`.
"""

from __future__ import annotations

import contextlib
import os
import select
import shlex
import signal
import subprocess
import tempfile
from collections.abc import Mapping
from typing import IO, TypeVar

import msgspec

from .interface import Call, Observation, System, TargetError
from .protocol import (
    PROTOCOL,
    Answer,
    Close,
    Hello,
    Left,
    Leftovers,
    Observed,
    Perform,
    Problem,
    Question,
    Ready,
    Reset,
    Welcome,
)

A = TypeVar("A", bound=msgspec.Struct)

TIMEOUT = 10.0  # seconds; the option `timeout`
LONGEST_LINE = 1 << 20  # bytes


class Died(Exception):
    """The child ended."""


class Silent(Exception):
    """The child did not answer in time."""


class Process:
    """The child that `command` starts (a command line as a shell would split it, run without a shell).

    `timeout` is how many seconds it may stay silent before it counts as hung.  Raises TargetError if it cannot be
    started.
    """

    def __init__(self, command: str, machine: str, revision: str, options: Mapping[str, str] | None = None) -> None:
        self.command, self._options = command, dict(options or {})
        self._timeout = seconds(self._options.pop("timeout", str(TIMEOUT)))
        self._hello = Hello(PROTOCOL, machine, revision, self._options)
        self._child: subprocess.Popen[bytes] | None = None
        self._errors: IO[bytes] | None = None
        self._rest = b""
        self._decode = msgspec.json.Decoder(Answer).decode
        self._welcome = self._start()

    @property
    def name(self) -> str:
        """As in `Target`."""
        return self._welcome.name

    @property
    def operations(self) -> frozenset[str] | None:
        """As in `Target`."""
        return None if self._welcome.operations is None else frozenset(self._welcome.operations)

    @property
    def failures(self) -> frozenset[str] | None:
        """As in `Target`."""
        return None if self._welcome.failures is None else frozenset(self._welcome.failures)

    def reset(self, system: System) -> Mapping[str, str]:
        """As in `Target`; starts the child again if it has died."""
        if self._child is None:
            self._start()
        ready = self._must(Reset(system), Ready)
        return system.cells if ready.cells is None else ready.cells

    def perform(self, call: Call) -> Observation:
        """As in `Target`."""
        try:
            return self._ask(Perform(call), Observed).observation
        except Died as death:
            return Observation("OOPS", alarms=(str(death),))
        except Silent as silence:
            return Observation("HANG", alarms=(str(silence),))

    def leftovers(self) -> Mapping[str, int]:
        """As in `Target`."""
        return self._must(Leftovers(), Left).counts

    def close(self) -> None:
        """As in `Target`: asks the child to exit, and kills it if it does not."""
        child = self._child
        if child is not None and child.stdin is not None:
            with contextlib.suppress(OSError, subprocess.TimeoutExpired):
                child.stdin.write(msgspec.json.encode(Close()) + b"\n")
                child.stdin.close()
                child.wait(timeout=self._timeout)
            self._end()

    def _start(self) -> Welcome:
        try:
            words = shlex.split(self.command)
        except ValueError as error:
            raise TargetError(f"process:{self.command} is no command line: {error}") from error
        if not words:
            raise TargetError("process: names no command: write process:COMMAND, for example process:./my_driver")
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115
        try:
            self._child = subprocess.Popen(
                words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors, start_new_session=True
            )
        except OSError as error:
            self._errors.close()
            raise TargetError(f"process:{self.command} cannot be started: {error.strerror or error}") from error
        self._rest = b""
        welcome = self._must(self._hello, Welcome)
        if welcome.protocol != PROTOCOL:
            self._end()
            raise TargetError(f"{self.command} speaks {welcome.protocol}; this accelspec speaks {PROTOCOL}")
        return welcome

    def _must(self, question: Question, kind: type[A]) -> A:
        """Ask outside a call: then death and silence say nothing about a driver."""
        try:
            return self._ask(question, kind)
        except (Died, Silent) as failure:
            raise TargetError(f"{self.command}: asked {type(question).__name__.lower()}, {failure}") from failure

    def _ask(self, question: Question, kind: type[A]) -> A:
        line = self._exchange(msgspec.json.encode(question) + b"\n")
        try:
            answer = self._decode(line)
        except msgspec.DecodeError as error:
            self._end()
            raise TargetError(
                f"{self.command} answered a line that is no message of {PROTOCOL}: {error}: {shown(line)}"
            ) from error
        if isinstance(answer, Problem):
            raise TargetError(f"{self.command}: {answer.text}")
        if not isinstance(answer, kind):
            self._end()
            got, asked = type(answer).__name__.lower(), type(question).__name__.lower()
            raise TargetError(
                f"{self.command} answered {asked} with {got}; {kind.__name__.lower()} is the answer to it"
            )
        return answer

    def _exchange(self, line: bytes) -> bytes:
        child = self._child
        if child is None or child.stdin is None or child.stdout is None:
            raise TargetError(f"{self.command} is not running: reset it first")
        try:
            child.stdin.write(line)
            child.stdin.flush()
        except OSError:
            raise Died(self._post_mortem()) from None
        while b"\n" not in self._rest:
            if not select.select([child.stdout], [], [], self._timeout)[0]:
                self._end()
                raise Silent(f"no answer within {self._timeout:g} s")
            if not (piece := os.read(child.stdout.fileno(), 1 << 16)):
                raise Died(self._post_mortem())
            self._rest += piece
            if len(self._rest) > LONGEST_LINE:
                self._end()
                raise TargetError(f"{self.command} answered with a line of more than {LONGEST_LINE} bytes")
        answer, _, self._rest = self._rest.partition(b"\n")
        return answer

    def _post_mortem(self) -> str:
        """How the child ended, with the last lines that it wrote to standard error."""
        child, errors = self._child, self._errors
        assert child is not None
        assert errors is not None
        try:
            status = child.wait(timeout=self._timeout)
        except subprocess.TimeoutExpired:
            status = None
        errors.seek(max(0, errors.seek(0, os.SEEK_END) - 2000))
        last = errors.read().decode(errors="replace").strip().splitlines()[-5:]
        self._end()
        how = (
            "it closed its standard output"
            if status is None
            else f"it was killed by signal {-status}"
            if status < 0
            else f"it exited with status {status}"
        )
        return how + (": " + " | ".join(last) if last else "")

    def _end(self) -> None:
        child, self._child = self._child, None
        if child is not None:
            if child.poll() is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(child.pid, signal.SIGKILL)  # with whatever it has started: it leads a session of its own
            child.wait()
            for pipe in (child.stdin, child.stdout):
                with contextlib.suppress(OSError):  # what was still to be written has no reader
                    if pipe is not None:
                        pipe.close()
        if self._errors is not None:
            self._errors.close()


def seconds(text: str) -> float:
    """The option `timeout`.  Raises TargetError unless it is a positive number."""
    try:
        if (value := float(text)) > 0:
            return value
    except ValueError:
        pass
    raise TargetError(f"the option timeout is {text!r}; it is a positive number of seconds, for example timeout=5")


def shown(line: bytes) -> str:
    """The beginning of a line, for a message."""
    text = line.decode(errors="replace")
    return repr(text if len(text) <= 80 else text[:80] + "...")
