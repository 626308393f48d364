# SPDX-License-Identifier: Apache-2.0
"""A worked example: a model of a driver's queue in Python, held to uacce with

    accelspec fuzz uacce@6.12.117 --target python:accelspec.conformance.targets.examples.queue_driver:QueueDriver

It offers the seven operations that it knows, and the campaign makes no others. Write your own in the same way: one
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
    """What one open made."""

    device: str
    state: str = "INIT"
    users: int = 1  # descriptors


class QueueDriver(Driver):
    """Devices that come and go, and queues that are opened, started, stopped and closed."""

    failures = frozenset({"get_queue", "start_queue"})

    def begin(self, system: System) -> None:
        """A machine without devices; how many hardware queues each will have is the campaign's choice."""
        owners = [device for cell, device in system.cells.items() if cell.startswith("hwQueue")]
        self.capacity = {device: owners.count(device) for device in owners}
        self.life: dict[str, str] = {}
        self.fds: dict[tuple[str, str], Queue] = {}

    def do_alloc(self, device: str) -> None:
        self.life[device] = "ALLOCATED"

    def do_register(self, device: str) -> None:
        self.life[device] = "REGISTERED"

    def do_remove(self, device: str) -> str:
        self.life[device] = "REMOVED"
        for queue in self.queues(device):
            queue.state = "ZOMBIE"
        return "DONE"

    def queues(self, device: str) -> list[Queue]:
        return [queue for queue in {id(q): q for q in self.fds.values()}.values() if queue.device == device]

    def do_open(self, process: str, fd: str, device: str, kept: str, fails: Mapping[str, str]) -> str:
        if self.life.get(device) != "REGISTERED":
            still_open = kept == "True" and self.queues(device)
            return "ENODEV" if still_open else "ENXIO"
        if len(self.queues(device)) == self.capacity.get(device, 0):
            return "EBUSY"
        if "get_queue" in fails:
            return fails["get_queue"]
        self.fds[process, fd] = Queue(device)
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
