# SPDX-License-Identifier: Apache-2.0
"""A worked example: a model of a driver's queue in Python, held to uacce with

    accelspec fuzz uacce@6.12.117 --target python:accelspec.conformance.targets.examples.queue_driver:QueueDriver

It offers the eight operations that it knows, and the campaign makes no others. Write your own in the same way: one
method for each operation of `accelspec show MACHINE`, its arguments by name. `wrong` in the options shows what a
finding looks like.
"""

# ruff: noqa: D102

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from accelspec.conformance.targets import Driver, System


@dataclass
class Queue:
    """What one open made: it works on a device, and keeps alive the one whose node it was opened by."""

    device: str
    node: str
    state: str = "INIT"


class QueueDriver(Driver):
    """Devices that come and go, and queues that are opened, started, stopped and closed."""

    failures = frozenset({"get_queue", "start_queue"})

    def begin(self, system: System) -> None:
        """A machine without devices; how many hardware queues each will have is the campaign's choice."""
        owners = [device for cell, device in system.cells.items() if cell.startswith("hwQueue")]
        self.capacity = {device: owners.count(device) for device in owners}
        self.minors = list(range(system.scope["Minor"]))  # free ones
        self.minor: dict[str, int] = {}
        self.life: dict[str, str] = {}
        self.fds: dict[tuple[str, str], Queue] = {}

    def do_alloc(self, device: str) -> str:
        if not self.minors:
            return "EBUSY"
        self.minor[device] = self.minors.pop(0)
        self.life[device] = "ALLOCATED"
        return "OK"

    def do_register(self, device: str) -> None:
        self.life[device] = "REGISTERED"

    def do_remove(self, device: str) -> str:
        self.life[device] = "REMOVED"
        self.minors.append(self.minor[device])
        for queue in self.queues():
            if queue.device == device:
                queue.state = "ZOMBIE"
        return "DONE"

    def queues(self) -> list[Queue]:
        return list({id(queue): queue for queue in self.fds.values()}.values())

    def do_open(self, process: str, fd: str, device: str, kept: str, fails: Mapping[str, str]) -> str:
        kept_open = kept == "True" and any(queue.node == device for queue in self.queues())
        if self.life.get(device) != "REGISTERED" and not kept_open:
            return "ENXIO"
        alive = [d for d, life in self.life.items() if life != "REMOVED" and self.minor[d] == self.minor[device]]
        if not alive:
            return "ENODEV"
        used = sum(queue.device == alive[0] and queue.state != "ZOMBIE" for queue in self.queues())
        if used == self.capacity.get(alive[0], 0):
            return "EBUSY"
        if "get_queue" in fails:
            return fails["get_queue"]
        self.fds[process, fd] = Queue(alive[0], device)
        return "OK"

    def do_close(self, process: str, fd: str) -> str:
        return "OK" if self.fds.pop((process, fd), None) else "EBADF"

    def do_dup(self, process: str, fd: str, other: str) -> str:
        queue = self.fds.get((process, fd))
        if queue is None:
            return "EBADF"
        self.fds[process, other] = queue
        return "OK"

    def do_start(self, process: str, fd: str, fails: Mapping[str, str]) -> str:
        queue = self.fds.get((process, fd))
        if queue is None:
            return "EBADF"
        if queue.state == "ZOMBIE" and "dead" not in self.options.get("wrong", ""):
            return "ENXIO"
        if queue.state != "INIT":
            return "EINVAL"
        if "start_queue" in fails:
            return fails["start_queue"]
        queue.state = "STARTED"
        return "OK"

    def do_put_q(self, process: str, fd: str) -> str:
        queue = self.fds.get((process, fd))
        if queue is None:
            return "EBADF"
        if queue.state == "ZOMBIE":
            return "ENXIO"
        queue.state = "INIT"
        return "OK"

    def state(self) -> Mapping[str, str]:
        """What can be seen without asking: compared after every call."""
        return {f"{device}.life": life for device, life in self.life.items() if life != "REMOVED"}
