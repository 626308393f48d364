# SPDX-License-Identifier: Apache-2.0
"""A small machine for proofs: clients lease engines that may be unplugged, and start work on them."""

from __future__ import annotations

from enum import Enum
from typing import Annotated, ClassVar

from accelspec.spec.language import (
    COUNT,
    DONE,
    EAGAIN,
    EBADF,
    EBUSY,
    ENODEV,
    ENOMEM,
    OK,
    STATE,
    STEP,
    Errno,
    Ghost,
    Machine,
    Object,
    Range,
    Result,
    Rigid,
    Unique,
    after,
    always,
    check,
    deduced,
    event,
    fails,
    free,
    implies,
    lemma,
    old,
    operation,
    replaces,
    require,
    sometimes,
    violates,
)

TEST = deduced("a machine for tests")


class LeaseState(Enum):
    IDLE = "may start"
    RUNNING = "works"
    LOST = "its engine is gone"


IDLE, RUNNING, LOST = LeaseState


class Client(Object, always=True):
    lease: Unique[Lease | None]


class Engine(Object, always=True):
    present: bool = True


class Lease(Object):
    engine: Rigid[Engine]
    state: LeaseState = IDLE
    running: Ghost[Annotated[int, Range(0, 1)]] = 0


class Leases(Machine):
    """Engines are leased to clients."""

    machine = "leases"
    revision = "good"
    document = "nothing"
    scopes: ClassVar = {"two of each": {"Client": 2, "Engine": 2, "Lease": 2}}

    @operation
    def acquire(self, c: Client, e: Engine) -> Result:
        if c.lease is not None:
            return EBUSY("has_one", TEST)
        if not e.present:
            return ENODEV("gone", TEST)
        if any(x.engine is e for x in Lease):
            return EAGAIN("taken", TEST)
        if fails("memory"):
            return ENOMEM("no_memory", TEST)
        x = Lease(engine=e)
        c.lease = x
        return OK("ok", TEST)

    @operation
    def start(self, c: Client) -> Result:
        x = c.lease
        if x is None:
            return EBADF("none", TEST)
        if x.state is LOST:
            return ENODEV("lost", TEST)
        if x.state is RUNNING:
            return EBUSY("running", TEST)
        assert x.engine.present, "leases.I03"
        x.state = RUNNING
        x.running += 1
        return OK("ok", TEST)

    @event
    def finish(self, x: Lease) -> Result:
        require(x.state is RUNNING)
        x.state = IDLE
        x.running -= 1
        return DONE("ok", TEST)

    @operation
    def release(self, c: Client) -> Result:
        x = c.lease
        if x is None:
            return EBADF("none", TEST)
        if x.state is RUNNING:
            return EBUSY("running", TEST)
        c.lease = None
        free(x)
        return OK("ok", TEST)

    @event
    def unplug(self, e: Engine) -> Result:
        require(e.present)
        for x in Lease:
            if x.engine is e:
                x.state = LOST
                x.running = 0
        e.present = False
        return DONE("ok", TEST)

    @always("leases.I01", STATE, TEST)
    def an_engine_has_one_lease(self) -> bool:
        """No engine is leased twice."""
        return all(x is y for x in Lease for y in Lease if x.engine is y.engine)

    @lemma(TEST)
    def lost_means_gone(self) -> bool:
        return all((x.state is LOST) == (not x.engine.present) for x in Lease)

    @check("leases.I03", STATE, TEST)
    def nothing_starts_on_a_missing_engine(self) -> None:
        """Work is started only on an engine that is there."""

    @always("leases.I04", STEP, TEST)
    def lost_stays_lost(self) -> bool:
        """A lost lease stays lost."""
        return all(x.state is LOST for x in Lease if old(x).state is LOST)

    @after("start", "leases.I05", STEP, TEST)
    def started_means_running(self, c: Client, result: Errno) -> bool:
        """A start that succeeds leaves the lease running."""
        return implies(result is OK, c.lease is not None and c.lease.state is RUNNING)

    @always("leases.I06", COUNT, TEST)
    def running_is_counted(self) -> bool:
        """A lease counts one start while it runs, and none otherwise."""
        return all((x.running == 1) == (x.state is RUNNING) for x in Lease)

    @sometimes("leases.R01", TEST)
    def a_lease_may_be_lost(self) -> bool:
        """A lease outlives its engine."""
        return any(x.state is LOST for x in Lease)


class Hasty(Leases):
    """Starts without asking whether the engine is still there."""

    revision = "hasty"
    known = (violates("leases.I03", "start.ok", "the engine may be gone", TEST),)

    @replaces("start.lost")
    def start_lost(self, x: Lease) -> None:
        if x.state is LOST and not x.engine.present and fails("probe"):
            raise ENODEV("lost", TEST)


class Forgetful(Leases):
    """Frees the lease and keeps the reference."""

    revision = "forgetful"

    @replaces("release.ok")
    def release_ok(self, c: Client, x: Lease) -> Result:
        free(x)
        return OK("ok", TEST)
