# SPDX-License-Identifier: Apache-2.0
"""Running calls: one at a time to its end, asleep until woken, or in steps of the caller's choice."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import count
from typing import Any, Literal

from .faults import with_faults
from .kernel import Call, Kernel, Mm, Outcome, Task, UsageError, answer
from .kernel.files import Inode
from .kernel.process import Process
from .uacce import BEHAVIOURS, CALLBACKS, Behaviour, Framework, Provider, UacceFops, exit_puts_queues

INJECTABLE = (*CALLBACKS, "alloc:queue", "alloc:region", "alloc:uacce", "copy_from_user", "id_alloc", "pm_get")

FIRST_MAPPING = 1 << 16  # mapping numbers begin here, so that no other positive answer looks like one

Actor = Literal["process", "mapping", "driver"]

STEPPED: dict[str, Actor] = {  # calls that can be run in steps, and what their first argument says about who makes them
    **dict.fromkeys(("open", "close", "dup", "pass_fd", "start", "put_q", "driver_ioctl", "poll", "mmap"), "process"),
    **dict.fromkeys(("fork", "exec", "exit"), "process"),
    **dict.fromkeys(("munmap", "mprotect", "mremap"), "mapping"),
    "remove": "driver",
}


@dataclass(slots=True)
class Mapping:
    """What a mapping number stands for: a range of pages in an address space of a process."""

    process: int
    mm: Mm
    start: int
    pages: int


class Calls:
    """A kernel with uacce in it, and the calls that are on their way."""

    def __init__(
        self,
        behaviour: str | Behaviour = "6.12.117",
        *,
        faults: Iterable[str] = (),
        provider: Callable[..., Provider] = Provider,
        hardware: dict[str, Any] | None = None,
        reuse_ids: bool = False,
    ) -> None:
        if isinstance(behaviour, str):
            if behaviour not in BEHAVIOURS:
                raise UsageError(f"no behaviour is called {behaviour!r}; there are: {', '.join(BEHAVIOURS)}")
            behaviour = BEHAVIOURS[behaviour]
        self.behaviour = with_faults(behaviour, faults)
        self.kernel = Kernel(INJECTABLE)
        self.framework = Framework(self.kernel, self.behaviour, reuse_ids=reuse_ids)
        self.framework.fops = UacceFops(self.framework)
        if self.behaviour.exit_puts_queues:
            self.kernel.mm_exit = exit_puts_queues(self.framework)
        self.providers: dict[int, Provider] = {}  # by device number, the last one of that number
        self.mappings: dict[int, Mapping] = {}
        self.mapping_of_call: dict[int, int] = {}  # by the number that the pieces of a map carry
        self._make_provider = provider
        self._hardware = dict(hardware or {})
        self._inodes: dict[int, Inode] = {}
        self._mapping_numbers = count(FIRST_MAPPING)
        self._asleep: list[tuple[int, int, Call]] = []
        self._woken: list[tuple[int, int, int]] = []
        self._stuck: list[Call] = []  # they wait for a lock for ever, and hold what they hold

    def call(self, name: str, *args: Any, **kwargs: Any) -> Call:
        """Prepare the call that the method `name` makes, for a Scheduler or run_threads; nothing runs yet.

        The names are in `STEPPED`; arguments after the first two may have to be given by position.

        >>> Scheduler([system.call("open", 0, 0, 3), system.call("remove", 0)]).run(choose)
        """
        actor = STEPPED.get(name)
        if actor is None:
            raise UsageError(f"no call is named {name!r}; there are: {', '.join(STEPPED)}")
        if actor == "driver":
            task = Task(f"{name}({args[0]})")
        else:
            task = self._process(args[0] if actor == "process" else self._mapping(args[0]).process).task(name)
        body = getattr(self, f"_{name}")(task, *args, **kwargs)
        return Call(task, self.kernel.syscall(task, body), self.kernel.findings.report)

    def _run(self, name: str, *args: Any, **kwargs: Any) -> int:
        call = self.call(name, *args, **kwargs)
        result = call.run()
        if not call.done:
            if call.at is not None and call.at.kind == "lock":
                self._stuck.append(call)
                return Outcome.DEADLOCK
            self._asleep.append((args[0], args[1], call))
        self.settle()
        return answer(result)

    def settle(self) -> None:
        """Let every sleeping call that was woken go on; what they returned is in `woken()`."""
        while ready := [entry for entry in self._asleep if entry[2].ready]:
            for entry in ready:
                who, what, call = entry
                call.run()
                if call.done:
                    self._asleep.remove(entry)
                    if call.task.process is not None:
                        self._woken.append((who, what, answer(call.result)))

    def sleeping(self) -> list[tuple[int, int]]:
        """Return (process, descriptor) of every poll that sleeps."""
        return [(who, what) for who, what, call in self._asleep if call.task.process is not None]

    def woken(self) -> list[tuple[int, int, int]]:
        """Return (process, descriptor, result) of every poll that ended since the last time."""
        woken, self._woken = self._woken, []
        return woken

    def _process(self, p: int) -> Process:
        process = self.kernel.processes.get(p)
        if process is None:
            return self.kernel.spawn(p)
        if not process.alive:
            raise UsageError(f"process {p} has exited; spawn({p}) starts another one")
        return process

    def _mapping(self, m: int) -> Mapping:
        mapping = self.mappings.get(m)
        if mapping is None:
            raise UsageError(f"there is no mapping {m}")
        return mapping
