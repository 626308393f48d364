# SPDX-License-Identifier: Apache-2.0
"""A small machine for tests: a printer whose jobs own a tray, in one right and one broken revision."""

from __future__ import annotations

from enum import Enum

from accelspec.spec.language import (
    DONE,
    EBADF,
    EBUSY,
    EINVAL,
    ENOMEM,
    OK,
    STATE,
    Machine,
    Object,
    Result,
    Unique,
    always,
    check,
    deduced,
    event,
    fails,
    free,
    kernel,
    operation,
    read,
    replaces,
    require,
    sometimes,
    violates,
)


class JobState(Enum):
    INIT = "holds a tray"
    STARTED = "printing"
    ZOMBIE = "its tray was taken away"


INIT, STARTED, ZOMBIE = JobState


class Tray(Object, always=True):
    """What there is few of."""


class Process(Object, always=True):
    """Who prints."""

    job: Unique[Job | None] = None


class Job(Object):
    """One open printer."""

    state: JobState = INIT
    tray: Unique[Tray | None] = None


class Printer(Machine):
    """A printer: open, start, put, close."""

    machine = "printer"
    revision = "2"
    document = "printer.c, second edition"
    scopes = {"two": {"Process": 2, "Job": 2}}

    def job_of(self, p: Process) -> Job:
        j = p.job
        if j is None:
            raise EBADF("no_job", kernel("fdget"))
        return j

    @operation
    def open(self, p: Process, t: Tray) -> Result:
        require(p.job is None)
        if any(j.tray is t for j in Job):
            return EBUSY("busy", read("printer_open"))
        if fails("alloc"):
            return ENOMEM("no_memory", read("printer_open"))
        j = Job()
        j.tray = t
        p.job = j
        return OK("ok", read("printer_open"))

    @operation
    def start(self, p: Process) -> Result:
        j = self.job_of(p)
        if j.state is not INIT:
            return EINVAL("not_init", read("printer_start"))
        assert j.tray is not None, "printer.P01"
        j.state = STARTED
        return OK("ok", read("printer_start"))

    @operation
    def put(self, p: Process) -> Result:
        j = self.job_of(p)
        if j.state is ZOMBIE:
            return EINVAL("dead", read("printer_put"))
        j.state = ZOMBIE
        j.tray = None
        return OK("ok", read("printer_put"))

    @operation
    def close(self, p: Process) -> Result:
        j = self.job_of(p)
        p.job = None
        free(j)
        return OK("ok", read("printer_release"))

    @event
    def jam(self, j: Job) -> Result:
        require(j.state is STARTED)
        j.state = ZOMBIE
        j.tray = None
        return DONE("jammed", deduced("paper does that"))

    @check("printer.P01", STATE, deduced("section 1"))
    def nothing_starts_without_a_tray(self) -> None:
        """A job that starts holds a tray."""

    @always("printer.P02", STATE, deduced("section 2"))
    def whoever_prints_has_a_tray(self) -> bool:
        """A started job holds a tray."""
        return all(j.state is not STARTED or j.tray is not None for j in Job)

    @sometimes("printer.P03", deduced("section 3"))
    def somebody_prints(self) -> bool:
        """It is possible to print at all."""
        return any(j.state is STARTED for j in Job)


class First(Printer):
    """The first edition: put may be undone by start, and the tray is gone."""

    revision = "1"
    document = "printer.c, first edition"
    unchanged = read("printer.c", "compared line by line")
    known = (violates("printer.P01", "start.ok", "start does not look at the state", read("printer_start")),)

    @replaces("start.not_init")
    def restart(self, j: Job) -> None:
        if j.state is STARTED:
            raise EINVAL("not_init", read("printer_start"))
