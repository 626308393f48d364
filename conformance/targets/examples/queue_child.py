#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A worked example and a template: a target that is a child process, in plain Python without accelspec.

    accelspec fuzz uacce@6.12.117 --scope Device=1,Fd=2,File=3,Queue=3 --target "process:python3 queue_child.py"

It reads one JSON object a line and answers with one (`accelspec.target-1.schema.json` has the schema), so it could be
in any language and behind it could be anything: a simulator, a driver in a virtual machine, hardware. With the argument
`wrong` it forgets that a removed device's queues are dead; with `crash` it dies when a queue is started twice.
"""

# ruff: noqa: D102, D103

from __future__ import annotations

import json
import sys
from typing import Any

Json = dict[str, Any]

FLAWS = set(sys.argv[1:])


class Driver:
    """The system under test."""

    def __init__(self, system: Json) -> None:
        owners = [device for cell, device in system.get("cells", {}).items() if cell.startswith("hwQueue")]
        self.capacity = {device: owners.count(device) for device in owners}
        self.registered: set[str] = set()
        self.queues: dict[tuple[str, str], list[str]] = {}  # (process, fd) -> [device, state]

    def alloc(self, fails: Json, device: str) -> str:
        return "OK"

    def register(self, fails: Json, device: str) -> str:
        self.registered.add(device)
        return "OK"

    def remove(self, fails: Json, device: str) -> str:
        self.registered.discard(device)
        for queue in self.queues.values():
            if queue[0] == device and "wrong" not in FLAWS:
                queue[1] = "ZOMBIE"
        return "DONE"

    def open(self, fails: Json, process: str, fd: str, device: str, kept: str) -> str:
        used = sum(queue[0] == device for queue in self.queues.values())
        if device not in self.registered:
            return "ENODEV" if kept == "True" and used else "ENXIO"
        if used == self.capacity.get(device, 0):
            return "EBUSY"
        if "get_queue" in fails:
            return str(fails["get_queue"])
        self.queues[process, fd] = [device, "INIT"]
        return "OK"

    def close(self, fails: Json, process: str, fd: str) -> str:
        return "OK" if self.queues.pop((process, fd), None) else "EBADF"

    def start(self, fails: Json, process: str, fd: str) -> str:
        queue = self.queues.get((process, fd))
        if queue is None:
            return "EBADF"
        if queue[1] != "INIT":
            if queue[1] == "STARTED" and "crash" in FLAWS:
                sys.exit("started twice: cannot go on")
            return "ENXIO" if queue[1] == "ZOMBIE" else "EINVAL"
        queue[1] = "STARTED"
        return "OK"


OPERATIONS = ["alloc", "register", "remove", "open", "close", "start"]


def answer(driver: Driver, question: Json) -> tuple[Json, Driver]:
    """The answer to one question, and the driver from now on."""
    kind = question["type"]
    if kind == "hello":
        if question["protocol"] != "accelspec.target/1" or question["machine"] != "uacce":
            return {"type": "problem", "text": "this is a uacce queue, spoken to in accelspec.target/1"}, driver
        welcome = {"type": "welcome", "protocol": "accelspec.target/1", "name": "queue_child.py"}
        return {**welcome, "operations": OPERATIONS, "failures": ["get_queue"]}, driver
    if kind == "reset" and question["system"]["scope"]["Device"] > 1:
        return {"type": "problem", "text": "this model has one device: add --scope Device=1"}, driver
    if kind == "reset":
        return {"type": "ready"}, Driver(question["system"])
    if kind == "perform":
        call = question["call"]
        result = getattr(driver, call["operation"])(call.get("fails", {}), *call.get("args", []))
        return {"type": "observed", "observation": {"result": result}}, driver
    if kind == "leftovers":
        return {"type": "left", "counts": {"Queue": len(driver.queues)}}, driver
    return {"type": "problem", "text": f"what is {kind}?"}, driver


def main() -> None:
    driver = Driver({})
    for line in sys.stdin:
        question = json.loads(line)
        if question["type"] == "close":
            break
        reply, driver = answer(driver, question)
        print(json.dumps(reply), flush=True)


if __name__ == "__main__":
    main()
