# SPDX-License-Identifier: Apache-2.0
"""What two series of system calls look up, insert and remove, and nothing besides: a driver without behaviour.

Here are the tables and lists that the reference driver has on the way of these calls (processes, their threads and
descriptors, open files, nodes, what the allocator handed out, injected failures, lists of fds and contexts, numbers,
fences, queues), each read and written as often as there. Left out are errors, steps, locks' owners, states, laws,
revisions and layers of calls. Objects are lists and dicts.
"""

from collections import deque
from heapq import heappop, heappush
from typing import Any

FILE, FD, CONTEXT, NODE = range(4)


class Numbers:
    """Objects by the lowest free number."""

    def __init__(self) -> None:
        self.objects: dict[int, Any] = {}
        self.free: list[int] = []
        self.next = 1


class BareDriver:
    """The tables of one device with one process, and the two series on them. Answers are as of the driver."""

    def __init__(self, queues: int, ring: int) -> None:
        self.ring = ring
        self.calls = {"open": 0, "info": 0, "close": 0, "submit": 0, "wait": 0}
        self.processes: dict[int, dict[str, Any]] = {0: {"files": {}, "tasks": set(), "vmas": []}}
        self.devices: dict[int, dict[str, Any]] = {0: {"name": "accel0", "slot": None, "reset": False, "opens": 0}}
        self.nodes: dict[tuple[int, bool], list[Any]] = {(0, False): []}
        self.ioctls = {0x6440: "INFO", 0x6442: "CS", 0x6443: "WAIT_CS"}
        self.questions = {4}
        self.injected: dict[str, deque[int]] = {}
        self.live: dict[int, str] = {}
        self.serial = 0
        self.files: dict[int, list[Any]] = {}
        self.fds: dict[int, list[Any]] = {}
        self.contexts: dict[int, dict[str, Any]] = {}
        self.asids, self.addresses = Numbers(), Numbers()
        self.packs = Numbers()
        self.queues: list[deque[Any]] = [deque() for _ in range(queues)]
        self.turn = 0
        self.packets = {0: "NOP"}
        self.signals = [0] * 64
        self.executed = [0] * queues
        self.mirror: dict[int, dict[str, Any]] = {}
        self.deferred: deque[Any] = deque()
        self.asleep: list[Any] = []

    # What every call does.

    def _enter(self, name: str) -> dict[str, Any]:
        assert name in self.calls
        process = self.processes[0]
        process["tasks"].add(name)
        return process

    def _leave(self, process: dict[str, Any], name: str) -> None:
        process["tasks"].discard(name)
        if self.asleep or self.deferred:
            self._deferred()

    def _allocate(self, kind: str) -> int:
        self.injected.get(kind)
        self.serial += 1
        self.live[self.serial] = kind
        return self.serial

    @staticmethod
    def _add(numbers: Numbers, item: Any) -> int:
        if numbers.free:
            number = heappop(numbers.free)
        else:
            number = numbers.next
            numbers.next += 1
        numbers.objects[number] = item
        return number

    @staticmethod
    def _remove(numbers: Numbers, number: int) -> None:
        if number in numbers.objects:
            heappush(numbers.free, number)
            del numbers.objects[number]

    def _ioctl(self, process: dict[str, Any], n: int, number: int) -> list[Any]:
        file: list[Any] = process["files"].get(n)
        file[NODE] += 1
        self.ioctls.get(number)
        if self.devices[0]["reset"]:
            return []
        file[NODE] -= 1
        return file

    # The first series.

    def open(self) -> int:
        """Return the lowest free number, for a file with an fd and a context."""
        process = self._enter("open")
        device = self.devices[0]
        files = process["files"]
        n = 0
        while n in files:
            n += 1
        node = self.nodes.get((0, False))
        self.injected.get("alloc:file")
        self.serial += 1
        file: list[Any] = [self.serial, None, None, 1]
        self.files[self.serial] = file
        held = [node]  # the lock of the list of fds
        if device["reset"] or device["slot"] is not None:
            return -16
        handles, buffers = Numbers(), Numbers()
        file[FD] = [self._allocate("fd"), handles, buffers, {}, []]
        context: dict[str, Any] = {
            "memory": self._allocate("context"), "sequence": 1, "ring": [None] * self.ring, "outcomes": {},
            "counters": {"submitted": 0, "dropped": 0}, "mappings": [], "vas": [], "stale": [], "refs": 1,
        }  # fmt: skip
        context["address"] = self._add(self.addresses, context)
        self.injected.get("context_handle")
        context["handle"] = self._add(handles, context)
        context["asid"] = self._add(self.asids, context)
        self.injected.get("page_tables")
        file[CONTEXT] = context
        self.contexts[file[FD][0]] = context
        device["slot"] = context
        device["opens"] += 1
        self.fds[file[FD][0]] = file
        held.pop()
        files[n] = file
        self._leave(process, "open")
        return n

    def info(self, n: int) -> int:
        """Return 0, with an answer."""
        process = self._enter("info")
        file = self._ioctl(process, n, 0x6440)
        self.injected.get("copy_to_user")
        out: dict[str, Any] = {}
        if 4 in self.questions and file:
            out.update({"status": 0})
        self._leave(process, "info")
        return 0

    def close(self, n: int) -> int:
        """Return 0; nothing is left."""
        process = self._enter("close")
        work = [process["files"].pop(n)]
        while work:
            file = work.pop()
            context = file[CONTEXT]
            device = self.devices[0]
            for number in sorted(file[FD][1].objects):
                self._remove(file[FD][1], number)
            for va in list(context["vas"]):
                context["mappings"].pop(va)
            held = [device]  # the lock of the list of fds
            for pack in sorted(self.packs.objects):
                self._remove(self.packs, pack)
            self._remove(self.asids, context["asid"])
            self._remove(self.addresses, context["address"])
            del self.contexts[file[FD][0]], self.live[context["memory"]]
            for number in sorted(file[FD][2].objects):
                self._remove(file[FD][2], number)
            if any(self.queues):
                return -16
            self.injected.get("scrub")
            del self.fds[file[FD][0]]
            device["slot"] = None
            held.pop()
            del self.live[file[FD][0]], self.files[file[FILE]]
        self._leave(process, "close")
        return 0

    # The second series.

    def submit(self, n: int) -> int:
        """Return the sequence of a submission of one packet that does nothing."""
        process = self._enter("submit")
        file = self._ioctl(process, n, 0x6442)
        context = file[CONTEXT]
        context["refs"] += 1
        self.injected.get("context_switch")
        self.injected.get("copy_from_user")
        self.injected.get("alloc:submission")
        seq: int = context["sequence"]
        place = seq % self.ring
        before = context["ring"][place]
        if before is not None and not before[1]:
            return -11
        fence = [self._allocate("fence"), False, 0, 2]
        submission = {
            "memory": self._allocate("submission"), "context": context, "seq": seq, "fence": fence, "buffers": [],
            "group": [], "jobs": 0,
        }  # fmt: skip
        context["ring"][place] = fence
        context["sequence"] = seq + 1
        if before is not None:
            del self.live[before[0]]
        packets = [self.packets[0]]
        jobs = [(0, packets)]
        held = [self.queues]  # the lock of the queues
        wanted: dict[int, int] = {}
        for queue, _ in jobs:
            wanted[queue] = wanted.get(queue, 0) + 1
        for queue in wanted:
            if len(self.queues[queue]) >= 4096:
                return -11
        for queue, todo in jobs:
            self.queues[queue].append([todo, submission, 0])
            submission["jobs"] += 1
        self.mirror[seq] = submission
        context["counters"]["submitted"] += 1
        held.pop()
        self._leave(process, "submit")
        return seq

    def run(self) -> int:
        """Return how many packets the queues did, in turn; what is over leaves the list and tells its fence."""
        did = 0
        while any(self.queues):
            for i in range(self.turn, self.turn + len(self.queues)):
                jobs = self.queues[i % len(self.queues)]
                if jobs:
                    job = jobs[0]
                    self.executed[i % len(self.queues)] += 1
                    if job[0][job[2]] == "WAIT" and not self.signals[0]:
                        continue
                    job[2] += 1
                    did += 1
                    if job[2] == len(job[0]):
                        jobs.popleft()
                        job[1]["jobs"] -= 1
                        self.deferred.append(job[1])
                    self.turn = (i + 1) % len(self.queues)
                    break
        self._deferred()
        return did

    def _deferred(self) -> None:
        while self.deferred:
            submission = self.deferred.popleft()
            first = next(iter(self.mirror), None)
            del self.mirror[submission["seq"]]
            if first == submission["seq"]:
                next(iter(self.mirror), None)
            submission["fence"][1] = True
            submission["buffers"].clear()
            submission["context"]["refs"] -= 1
            del self.live[submission["memory"]]

    def wait(self, n: int, seq: int) -> int:
        """Return 0 for a submission that is over, 1 for one that is not."""
        process = self._enter("wait")
        context = self._ioctl(process, n, 0x6443)[CONTEXT]
        context["refs"] += 1
        if seq >= context["sequence"]:
            return -22
        fence = context["ring"][seq % self.ring]
        fence[3] += 1
        result = int(fence[2]) if fence[1] else 1
        fence[3] -= 1
        context["refs"] -= 1
        self._leave(process, "wait")
        return result
