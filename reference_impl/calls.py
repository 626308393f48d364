# SPDX-License-Identifier: Apache-2.0
"""Running calls: one at a time to its end, asleep until woken, or in steps of the caller's choice."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import count
from typing import Any, Literal

from .faults import with_faults
from .kernel import Call, Kernel, Mm, Task, UsageError
from .kernel.files import Inode
from .running import Running
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


class Calls(Running):
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
        super().__init__(Kernel(INJECTABLE))
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
        return self._enter(task, body)

    def _run(self, name: str, *args: Any, **kwargs: Any) -> int:
        return self._finish(self.call(name, *args, **kwargs), args[0], args[1] if len(args) > 1 else 0)

    def _mapping(self, m: int) -> Mapping:
        mapping = self.mappings.get(m)
        if mapping is None:
            raise UsageError(f"there is no mapping {m}")
        return mapping
