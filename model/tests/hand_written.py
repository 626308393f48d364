# SPDX-License-Identifier: Apache-2.0
"""uacce 6.12.117 written down a second time, by hand: one of everything, from the decision tables and the fact sheet.

It knows nothing of the language, of the compiled form or of the interpreter.  The scope: one process, descriptor
number, description, mapping, queue, hardware queue, device and minor; no messages, sleepers in poll or hardware units;
at most one open, one mmap and one remove in flight, and nothing else that takes several steps (so munmap of a whole
mapping, the tail of one, and an exit that has something to close are not offered).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

MMIO, DUS = "MMIO", "DUS"
OTHER_REGIONS = ("DKO", "SS", "UNKNOWN", "BEFORE")


@dataclass(frozen=True)
class Queue:
    """A queue; a half-built one is a zombie that has its hardware."""

    state: str = "ZOMBIE"
    described: bool = False  # it has its description
    hw: bool = True
    bonded: bool = False
    slots: frozenset[str] = frozenset()  # regions that are marked as mapped
    listed: bool = False
    mutex: bool = False
    ready: bool = False
    built: bool = False
    puts: int = 0
    running: int = 0


@dataclass(frozen=True)
class Mapping:
    """The mapping, or what is left of it."""

    base: int
    offset: int  # all that its close looks at; 2 stands for no region
    whole: bool = True
    entries: bool = True


@dataclass(frozen=True)
class State:
    """Everything."""

    life: str = "ABSENT"  # of the device
    sva: bool = False
    cdev: bool = False
    device_mutex: bool = False
    running: bool = True  # the process
    fd: bool = False  # its number leads to the description
    busy: bool = False
    mmap_lock: bool = False
    in_call: bool = False  # an mmap holds the description
    queue: Queue | None = None
    mapping: Mapping | None = None
    opening: str = ""  # how far the open in flight has come
    mapping_call: tuple[str, str, bool] | None = None  # the mmap in flight: how far, region, private
    removing: str = ""  # how far the remove in flight has come

    @property
    def in_table(self) -> bool:
        """Does the minor lead to the device?"""
        return self.life in ("ALLOCATED", "REGISTERED")


Move = tuple[
    str, str, State
]  # the call with its arguments, the row (or the law that an assert found broken), the state


def moves(s: State) -> Iterator[Move]:
    """Everything that can happen."""
    yield from device(s)
    yield from opens(s)
    yield from descriptor(s)
    yield from maps(s)
    yield from mapped(s)


# ---------------------------------------------------------------- the device


def device(s: State) -> Iterator[Move]:
    """Probing and removal, an attribute, and the hardware."""
    if s.life == "ABSENT":
        yield "alloc", "no_memory", s
        for sva in (False, True):
            yield "alloc", "ok", replace(s, life="ALLOCATED", sva=sva)
    if s.life == "ALLOCATED":
        yield "register", "no_cdev", s
        yield "register", "broken uacce.I07", s  # the character device is lost
        yield "register", "device_add_fails", s
        yield "register", "ok", replace(s, life="REGISTERED", cdev=True)
    if s.life == "REGISTERED":
        yield "read_available", "no_callback", s
        yield "read_available", "ok", s
    if s.queue and s.queue.hw:
        if s.queue.built:
            yield "complete", "ok", replace(s, queue=replace(s.queue, ready=True))
        else:
            yield "complete", "broken uacce.I23", s
    yield from remove(s)


def remove(s: State) -> Iterator[Move]:
    """One listed queue after the other is put under its mutex; then, still under the device's, it is unmapped."""
    q = s.queue
    to_put = q is not None and q.listed and q.state != "ZOMBIE"
    if not s.removing and s.in_table and not s.device_mutex:
        if to_put:
            yield "remove", "waits for q.mutex", replace(s, device_mutex=True, removing="waits")
        else:
            yield "remove", "ok", removed(s)
    if s.removing == "waits" and q is not None and not q.mutex:
        yield "remove...", "put_but_mapped", replace(s, queue=given_up(q), removing="put")
    if s.removing == "put" and q is not None:
        m = replace(s.mapping, entries=False) if s.mapping else None
        yield "remove...", "ok", removed(replace(s, queue=replace(q, bonded=False), mapping=m))


def removed(s: State) -> State:
    """The device is freed once nothing pins it."""
    return replace(s, life="REMOVED" if s.queue else "FREED", device_mutex=False, removing="")


def given_up(q: Queue) -> Queue:
    """Stopped if it runs, put if it has not been."""
    if q.state == "STARTED":
        assert q.hw
        q = replace(q, running=q.running - 1)
    if q.state != "ZOMBIE":
        assert q.hw
        assert (q.running, q.puts) == (0, 0)
        q = replace(q, hw=False, puts=1)
    return replace(q, state="ZOMBIE")


# ---------------------------------------------------------------- open


def opens(s: State) -> Iterator[Move]:
    """By the path; or by an inode that somebody kept, which also works after removal."""
    if s.running and not s.fd and not s.busy and s.life != "ABSENT":
        for kept in (False, True):
            if s.life == "REGISTERED" or (kept and s.queue):
                if not s.busy and not s.opening:
                    yield f"open {kept}", "looked_up", replace(s, busy=True, opening="looked_up")
            else:
                yield f"open {kept}", "no_node", s
    over = replace(s, busy=False, opening="")
    if s.opening == "looked_up":
        if s.in_table:
            yield "open...", "no_memory", over
            yield "open...", "allocated", replace(s, opening="allocated")
        else:
            yield "open...", "no_id", over
    if s.opening == "allocated" and not s.device_mutex:
        if not s.in_table:
            yield "open...", "device_removed", over
            return
        if s.sva:
            yield "open...", "bind_fails", over
            yield "open...", "no_pasid", over
        if s.queue and s.queue.hw:
            yield "open...", "all_in_use", over
            return
        yield "open...", "get_queue_fails", over
        if not s.queue:
            new = Queue(bonded=s.sva)
            yield "open...", "got_queue", replace(s, queue=new, device_mutex=True, opening="got_queue")
    if s.opening == "got_queue" and s.queue and not s.fd:
        whole = replace(s.queue, built=True, state="INIT", listed=True, described=True)
        yield "open...", "ok", replace(over, queue=whole, fd=True, device_mutex=False)


# ---------------------------------------------------------------- calls on the descriptor


def descriptor(s: State) -> Iterator[Move]:
    """Close, exit, ioctl, poll."""
    if not s.running:
        return
    if not (s.busy or s.mmap_lock or s.mapping or s.fd):
        yield "exit", "ok", replace(s, running=False)
    q = s.queue
    if not s.fd or q is None:
        for call in ("close", "send", "start", "put_q", "driver_ioctl", "poll False", "poll True"):
            yield call, "bad_fd", s
        return
    without = replace(s, fd=False)
    if referenced(without):
        yield "close", "ok", without
    elif not s.device_mutex:
        yield "close", "ok", released(without)
    if not s.device_mutex:
        yield from ioctls(s, q)
    if not q.mutex:
        if q.state == "ZOMBIE":
            yield "poll False", "dead_queue", s  # one that blocks would sleep
        elif q.ready:
            for block in (False, True):
                yield f"poll {block}", "ready", replace(s, queue=replace(q, ready=False))
        else:
            yield "poll False", "nothing", s


def ioctls(s: State, q: Queue) -> Iterator[Move]:
    """START, PUT_Q, and what goes to the driver, under the device's mutex."""
    if q.state == "ZOMBIE":
        yield "start", "dead_queue", s
        yield "put_q", "dead_queue", s
    elif q.state == "INIT":
        yield "start", "start_fails", s
        yield "start", "ok", replace(s, queue=replace(q, state="STARTED", running=q.running + 1))
        yield "put_q", "idle", s
    else:
        yield "start", "not_init", s
        yield "put_q", "ok", replace(s, queue=replace(q, state="INIT", running=q.running - 1))
    if not s.mmap_lock:
        for row in ("dead_queue",) if q.state == "ZOMBIE" else ("no_callback", "driver_refuses", "ok"):
            yield "driver_ioctl", row, s


def referenced(s: State) -> bool:
    """Does anything still hold the description?"""
    return s.fd or s.mapping is not None or s.in_call


def released(s: State) -> State:
    """The last reference is gone: the queue is given up and freed, and with it, after removal, the device."""
    assert s.queue
    assert not given_up(s.queue).hw
    return replace(s, queue=None, life="FREED" if s.life == "REMOVED" else s.life)


# ---------------------------------------------------------------- mmap


def maps(s: State) -> Iterator[Move]:
    """Two checks under the queue's mutex, the driver, and only then, without it, the mapping itself."""
    q = s.queue
    if s.running and not s.fd:
        for r in (MMIO, DUS, *OTHER_REGIONS):
            for private in (False, True):
                yield f"mmap {r} {private}", "bad_fd", s
    if s.running and s.fd and q and not s.in_call:
        for private in (False, True):
            for r in OTHER_REGIONS:
                yield f"mmap {r} {private}", "bad_region", s
            for r in (MMIO, DUS):
                yield f"mmap {r} {private}", "no_memory", s
                if s.busy or s.mmap_lock or q.mutex:
                    continue
                if q.state == "ZOMBIE":
                    yield f"mmap {r} {private}", "dead_queue", s
                elif r in q.slots:
                    yield f"mmap {r} {private}", "occupied", s
                elif s.mapping_call is None:
                    held = replace(s, busy=True, mmap_lock=True, in_call=True, queue=replace(q, mutex=True))
                    yield f"mmap {r} {private}", "checked", replace(held, mapping_call=("checked", r, private))
    if s.mapping_call is None or q is None:
        return
    step, r, private = s.mapping_call
    if step == "checked":
        free = replace(s, mmap_lock=False, queue=replace(q, mutex=False))
        over = replace(free, busy=False, in_call=False, mapping_call=None)
        for row in ("no_callback", "driver_refuses"):
            if referenced(over):
                yield "mmap...", row, over
            elif not s.device_mutex:
                yield "mmap...", row, released(over)
        marked = replace(q, mutex=False, slots=q.slots | {r})
        yield "mmap...", "not_linked", replace(free, queue=marked, mapping_call=("not_linked", r, private))
    elif s.mapping is None:
        base = 0 if r == MMIO else 1
        m = Mapping(base, 2 if private and r == MMIO else base)
        yield "mmap...", "ok", replace(s, mapping=m, busy=False, in_call=False, mapping_call=None)


# ---------------------------------------------------------------- what becomes of the mapping


def mapped(s: State) -> Iterator[Move]:
    """Splitting, moving and touching it."""
    m, q = s.mapping, s.queue
    if m is None or q is None or not s.running:
        return
    yield "mremap_dont_unmap", "dont_unmap", s
    yield "touch", "ok" if m.entries else "no_entries", s
    if m.whole:
        yield "mremap_grow", "dont_expand", s
    if s.mmap_lock:
        return
    region = (MMIO, DUS, "")[m.offset]
    yield "mremap_move", "broken uacce.I07" if region in q.slots else "refused", s
    if m.whole:
        rest = replace(m, offset=min(m.offset + 1, 2), whole=False)
        yield "munmap_head", "ok", replace(s, mapping=rest, queue=replace(q, slots=q.slots - {region}))
