# SPDX-License-Identifier: Apache-2.0
"""Sharing a buffer once, against its bare table look-ups and list operations; and copying through a peer's mapping."""

from collections import deque
from time import process_time
from typing import Any

import numpy as np

from ..dmabuf import Kind, System
from ..kernel import PAGE
from .timing import HEAD, compare

CYCLE_GOAL = 10.0
COPY_GOAL = 1.2
ROUNDS = 30
TIMES = 100  # cycles in one round
PAGES = 16
COPIED = 64 << 20


class Ours:
    """Export, attach, map, unmap, detach, close, as a program makes them."""

    def __init__(self, design: str) -> None:
        self.system = System(design)
        system = self.system
        self.n = system.open(0, 0)
        self.address = system.mem_map(0, self.n, system.mem_alloc(0, self.n, PAGES * PAGE))

    def cycles(self) -> None:
        """One round."""
        system, n, address = self.system, self.n, self.address
        for _ in range(TIMES):
            fd = system.export(0, n, address, PAGES * PAGE)
            t = system.attach(0, fd, Kind.DYNAMIC_P2P)
            assert system.map(t) == 0
            assert system.unmap(t) == 0
            assert system.detach(t) == 0
            assert system.close(0, fd) == 0


class Bare:
    """The same on bare tables: what the calls look up, insert, remove and list, and nothing besides.

    Left out are errors, steps, the owners of locks, states, designs, and layers of calls. Objects are lists and dicts.
    """

    def __init__(self) -> None:
        self.processes: dict[int, dict[str, Any]] = {0: {"files": {}, "tasks": set(), "reserved": set()}}
        self.live: dict[int, str] = {}
        self.injected: dict[str, deque[int]] = {}
        self.files: dict[int, dict[str, Any]] = {}
        self.buffers: dict[int, dict[str, Any]] = {}
        self.debug_list: dict[int, None] = {}
        self.listed: dict[int, None] = {}
        self.imports: dict[int, tuple[int, dict[str, Any]]] = {}
        self.domain: dict[tuple[int, int], int] = {}
        self.calls = dict.fromkeys(("export", "attach", "map", "unmap", "detach", "close"))
        self.held: list[int] = []
        self.edges: dict[str, dict[str, str]] = {}
        self.serial = 0
        pages = [0x2000_0000_1000 + i * PAGE for i in range(PAGES)]
        self.context = {"mappings": {1 << 40: {"pages": pages, "exports": 0}}, "refs": 1}
        self.processes[0]["files"][0] = {"context": self.context, "refs": 1}

    def _enter(self, name: str) -> dict[str, Any]:
        assert name in self.calls
        process = self.processes[0]
        process["tasks"].add(name)
        return process

    def _allocate(self, kind: str) -> int:
        self.injected.get(kind)
        self.serial += 1
        self.live[self.serial] = kind
        return self.serial

    def _locked(self, lock: int) -> None:
        self.held.append(lock)
        self.held.remove(lock)

    def export(self, n: int, address: int, size: int) -> int:
        """As ours: guards, the page walk, a buffer, its lists, a descriptor."""
        process = self._enter("export")
        file = process["files"][n]
        file["refs"] += 1
        mapping = file["context"]["mappings"][address]
        for page in mapping["pages"]:
            assert page + PAGE <= 1 << 48
        fd = 0
        while fd in process["files"] or fd in process["reserved"]:
            fd += 1
        process["reserved"].add(fd)
        wrapper = self._allocate("export")
        self.injected.get("dma_buf_export")
        serial = self._allocate("dmabuf")
        made: dict[str, Any] = {"refs": 1, "serial": serial, "wrapper": wrapper}
        self.files[serial] = made
        buffer = {
            "file": made, "mapping": mapping, "size": size, "attachments": [], "fences": [], "slots": [None, None],
        }  # fmt: skip
        made["buffer"] = buffer
        self.buffers[serial] = buffer
        self._locked(1)
        self.debug_list[serial] = None
        self._locked(2)
        self.listed[serial] = None
        mapping["exports"] += 1
        process["reserved"].discard(fd)
        process["files"][fd] = made
        file["refs"] -= 1
        process["tasks"].discard("export")
        return fd

    def attach(self, n: int) -> int:
        """As ours."""
        process = self._enter("attach")
        file = process["files"][n]
        file["refs"] += 1
        serial = self._allocate("attachment")
        attachment = {"buffer": file["buffer"], "pins": 0, "mappings": [], "serial": serial}
        self._locked(3)
        file["buffer"]["attachments"].insert(0, attachment)
        self.serial += 1
        self.imports[self.serial] = 0, attachment
        process["tasks"].discard("attach")
        return self.serial

    def map(self, t: int) -> None:
        """As ours: the address list of the pages, into the table of what the peer reaches."""
        process = self._enter("map")
        attachment = self.imports[t][1]
        self._locked(3)
        segments: list[tuple[int, int]] = []
        start = length = 0
        for page in attachment["buffer"]["mapping"]["pages"]:
            if length and page == start + length:
                length += PAGE
            else:
                if length:
                    segments.append((start, length))
                start, length = page, PAGE
        segments.append((start, length))
        serial = self._allocate("mapping")
        cover = attachment["buffer"]["mapping"]["pages"][0:PAGES]
        attachment["mappings"].append({"segments": segments, "cover": cover, "serial": serial})
        for segment in segments:
            self.domain[segment] = self.domain.get(segment, 0) + 1
        process["tasks"].discard("map")

    def unmap(self, t: int) -> None:
        """As ours."""
        process = self._enter("unmap")
        attachment = self.imports[t][1]
        self._locked(3)
        mapping = attachment["mappings"].pop()
        for segment in mapping["segments"]:
            if self.domain[segment] == 1:
                del self.domain[segment]
            else:
                self.domain[segment] -= 1
        del self.live[mapping["serial"]]
        process["tasks"].discard("unmap")

    def detach(self, t: int) -> None:
        """As ours."""
        process = self._enter("detach")
        attachment = self.imports.pop(t)[1]
        self._locked(3)
        attachment["buffer"]["attachments"].remove(attachment)
        del self.live[attachment["serial"]]
        attachment["buffer"]["file"]["refs"] -= 1
        process["tasks"].discard("detach")

    def close(self, n: int) -> None:
        """As ours: the last reference, and the release."""
        process = self._enter("close")
        file = process["files"].pop(n)
        file["refs"] -= 1
        work = [file]
        while work:
            file = work.pop()
            self._locked(1)
            serial = file["serial"]
            self.debug_list.pop(serial)
            self._locked(2)
            self.listed.pop(serial)
            file["buffer"]["mapping"]["exports"] -= 1
            file["buffer"]["fences"].clear()
            del self.live[file["wrapper"]]
            del self.live[serial]
            del self.buffers[serial]
            del self.files[serial]
        process["tasks"].discard("close")

    def cycles(self) -> None:
        """One round."""
        for _ in range(TIMES):
            fd = self.export(0, 1 << 40, PAGES * PAGE)
            t = self.attach(fd)
            self.map(t)
            self.unmap(t)
            self.detach(t)
            self.close(fd)


def copying() -> tuple[Any, Any]:
    """Return a copy of 64 MiB through a peer's mapping, and one between two arrays."""
    system = System("D3b", pages=COPIED // PAGE + 1)
    n = system.open(0, 0)
    address = system.mem_map(0, n, system.mem_alloc(0, n, COPIED))
    t = system.attach(0, system.export(0, n, address, COPIED), Kind.DYNAMIC_P2P)
    assert system.map(t) == 0
    mapping = system.importers[t][1].mapping
    assert mapping is not None
    system.devices[0].memory[:] = 1
    source = np.ones(COPIED, np.uint8)
    here, there = np.zeros(COPIED, np.uint8), np.zeros(COPIED, np.uint8)
    domain = system.importers[t][1].device.domain
    return lambda: domain.copy(mapping.segments, here), lambda: np.copyto(there, source)


def main() -> None:
    """Measure, and print a line each."""
    print(HEAD)
    scale = 1e6 / TIMES
    for design in ("D2c", "D3b", "intended"):
        found = compare(Ours(design).cycles, Bare().cycles, ROUNDS, clock=process_time)
        print(found.line(f"export ... close, {design}", CYCLE_GOAL, "us", scale))
    ours, bare = copying()
    print(compare(ours, bare, ROUNDS, clock=process_time).line("64 MiB through a mapping", COPY_GOAL))
