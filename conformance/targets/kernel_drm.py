# SPDX-License-Identifier: Apache-2.0
"""Devices of DRM in the guest, and the machine drm_master: `device0` is vkms, with a display, `device1` is vgem."""

from __future__ import annotations

import stat
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from ..machine import Guest
from ..machine.system_calls import FIRST_FD, Buffer, Direction, Number, SystemCall, ioctl_number
from ..machine.wire import Step
from .interface import Call, System
from .kernel_adapter import Adapter
from .kernel_book import Book, index
from .kernel_descriptors import Descriptors, lowest

MAJOR, NO_RENDER = 226, 129  # a minor for a render node that nobody has
CLIENTS = ("/sys/kernel/debug/dri/1/clients", "/sys/kernel/debug/dri/0/clients")  # by device
NODES = {
    ("device0", "PRIMARY"): b"/dev/dri/card1\0",
    ("device0", "RENDER"): b"/dev/dri/renderD%d\0" % NO_RENDER,
    ("device1", "PRIMARY"): b"/dev/dri/card0\0",
    ("device1", "RENDER"): b"/dev/dri/renderD128\0",
}
CELLS = {"device0": {"modeset": "True", "render": "False"}, "device1": {"modeset": "False", "render": "True"}}
READ_WRITE, EXCLUSIVE = 0o2, 0o200
SCRATCH = 31  # a slot that no scope uses


def drm(direction: Direction, number: int, size: int = 0) -> int:
    """The number of an ioctl of DRM."""
    return ioctl_number(direction, "d", number, size)


GET_MAGIC, AUTH_MAGIC = drm(Direction.READ, 0x02, 4), drm(Direction.WRITE, 0x11, 4)
SET_MASTER, DROP_MASTER = drm(Direction.NONE, 0x1E), drm(Direction.NONE, 0x1F)
BLOCK, FINISH, ATTACH_MODE = drm(Direction.BOTH, 0x12, 4), drm(Direction.WRITE, 0x2C, 8), drm(Direction.BOTH, 0xA8, 72)
GET_RESOURCES, CREATE_LEASE, REVOKE_LEASE = (
    drm(Direction.BOTH, number, size) for number, size in ((0xA0, 64), (0xC6, 24), (0xC9, 4))
)
LEASE = struct.Struct("<QIIII")  # the list, how many, flags; the lease, its descriptor
LEASE_FD = 20
UNKNOWN_NUMBER = 0x7FFF
LEASES_END = {"close", "discard"}
CAPABILITIES_3, ALL, SYS_ADMIN = 0x20080522, 0xFFFFFFFF, 1 << 21


def ioctl(
    process: str,
    fd: str,
    number: int,
    data: bytes | Buffer = b"",
    answer_at: int | None = None,
    slot: int | None = None,
) -> Step:
    """An ioctl of a process, with the struct that it points to."""
    given = data if isinstance(data, Buffer) else Buffer(data)
    arguments = (FIRST_FD + index(fd), number, given if given.data else 0)
    first = 1 if given.data else 2
    return Step.system_call(index(process), SystemCall(Number.IOCTL, arguments, answer_at, slot, first=first))


@dataclass
class DrmBook(Descriptors):
    """What both machines have: nodes are opened."""

    def do_open(self, process: str, fd: str, device: str, node: str, excl: str = "False") -> Step:
        flags = READ_WRITE | (EXCLUSIVE if excl == "True" else 0)
        call = SystemCall(Number.OPEN, (Buffer(NODES[device, node]), flags), slot=index(fd))
        return Step.system_call(index(process), call)

    def did_open(self, process: str, fd: str, device: str, node: str, excl: str = "False") -> None:
        self.opened(process, fd)


class Drm(Adapter):
    """Clients of vkms and vgem."""

    kinds: ClassVar[Mapping[str, int]] = {"Device": len(CLIENTS), "Fd": SCRATCH}
    maps: ClassVar[bool] = False
    cells: ClassVar[tuple[str, ...]] = ("render",)  # of a device that the machine knows

    def prepare(self, system: System) -> dict[str, str]:
        """As in `Adapter`; what a device can do is what its driver can."""
        named = super().prepare(system)
        for n in range(system.scope["Device"]):
            named |= {f"device{n}.{cell}": CELLS[f"device{n}"][cell] for cell in self.cells}
        return named

    def begin(self, guest: Guest) -> str:
        """As in `Adapter`; there has to be a node without a device behind it."""
        left = super().begin(guest)
        mode, device = stat.S_IFCHR | 0o600, MAJOR << 8 | NO_RENDER
        guest.steps([Step.system_call(0, SystemCall(Number.MKNOD, (Buffer(NODES["device0", "RENDER"]), mode, device)))])
        return left

    def leftovers(self, guest: Guest) -> Mapping[str, int]:
        """As in `Adapter`, and clients of the devices: each has a line below the heading."""
        clients = sum(len(guest.read(path).strip().splitlines()[1:]) for path in CLIENTS)
        return {**super().leftovers(guest), "Client": clients}


# ---------------------------------------------------------------------- masters


@dataclass
class MasterBook(DrmBook):
    """The calls of the machine drm_master."""

    # lease -> the description that gave it, the one that has it, and its number among the living leases of the former
    leases: dict[str, tuple[int, int, int]] = field(default_factory=dict)
    objects: ClassVar[dict[str, int]] = {}  # of the display: crtc, connector, encoder

    def do_set_master(self, process: str, fd: str) -> Step:
        return ioctl(process, fd, SET_MASTER)

    def do_drop_master(self, process: str, fd: str) -> Step:
        return ioctl(process, fd, DROP_MASTER)

    def do_attach_mode(self, process: str, fd: str) -> Step:
        return ioctl(process, fd, ATTACH_MODE, bytes(72))

    def do_finish(self, process: str, fd: str) -> Step:
        return ioctl(process, fd, FINISH, bytes(8))

    def do_block(self, process: str, fd: str) -> Step:
        return ioctl(process, fd, BLOCK, bytes(4))

    def do_get_magic(self, process: str, fd: str) -> Step:
        return ioctl(process, fd, GET_MAGIC, bytes(4))

    def do_auth_magic(self, process: str, fd: str, magic: str) -> Step:
        return ioctl(process, fd, AUTH_MAGIC, struct.pack("<I", int(magic)))

    def do_create_lease(self, process: str, fd: str, other: str, asked: str) -> Step:
        crtc, connector, encoder = (self.objects[name] for name in ("crtc", "connector", "encoder"))
        wanted = {
            "DISPLAY": (crtc, connector),
            "CRTC": (crtc,),
            "TWICE": (crtc, connector, crtc),
            "ENCODER": (crtc, connector, encoder),
            "UNKNOWN": (crtc, connector, UNKNOWN_NUMBER),
        }.get(asked, ())
        links = ((0, Buffer(struct.pack(f"<{len(wanted)}I", *wanted))),) if wanted else ()
        data = Buffer(LEASE.pack(0, len(wanted), int(asked == "BAD_FLAGS"), 0, 0), links)
        return ioctl(process, fd, CREATE_LEASE, data, answer_at=LEASE_FD, slot=index(other))

    def did_create_lease(self, process: str, fd: str, other: str, asked: str) -> str:
        lessor = self.leads[process, fd]
        number = lowest(n for by, to, n in self.leases.values() if by == lessor and self.alive(to))
        self.leases[name := self.give("lease")] = (lessor, self.opened(process, other), number)
        return name

    def may_meet(self, calls: Sequence[Call]) -> bool:
        """As in `Book`: no lease begins while another one may end."""
        operations = {call.operation for call in calls}
        return not ("create_lease" in operations and operations & LEASES_END)

    def do_revoke_lease(self, process: str, fd: str, lease: str) -> Step:
        return ioctl(process, fd, REVOKE_LEASE, struct.pack("<I", self.leases[lease][2]))

    def do_revoke_unknown(self, process: str, fd: str) -> Step:
        return ioctl(process, fd, REVOKE_LEASE, struct.pack("<I", UNKNOWN_NUMBER))

    def do_lose_admin(self, process: str) -> Step:
        return effective(process, ALL & ~SYS_ADMIN)

    def do_regain_admin(self, process: str) -> Step:
        return effective(process, ALL)


def effective(process: str, low: int) -> Step:
    """capset: all capabilities permitted, these (of the lower 32) in effect."""
    data = struct.pack("<6I", low, ALL, 0, ALL, ALL, 0)
    head = struct.pack("<Ii", CAPABILITIES_3, 0)
    return Step.system_call(index(process), SystemCall(Number.CAPSET, (Buffer(head), Buffer(data))))


class DrmMaster(Drm):
    """Masters of vkms and vgem."""

    book_of: ClassVar[type[Book]] = MasterBook
    cells: ClassVar[tuple[str, ...]] = ("modeset", "render")

    def prepare(self, system: System) -> dict[str, str]:
        """As in `Adapter`; all processes begin as administrators."""
        devices, processes = (range(system.scope[kind]) for kind in ("Device", "Process"))
        return super().prepare(system) | {f"device{d}.admin[process{p}]": "True" for d in devices for p in processes}

    def begin(self, guest: Guest) -> str:
        """As in `Adapter`; the numbers of what can be leased are asked for once."""
        left = super().begin(guest)
        if not left and not MasterBook.objects:
            MasterBook.objects.update(display(guest))
        return left


def display(guest: Guest) -> dict[str, int]:
    """The first CRTC, connector and encoder of vkms: MODE_GETRESOURCES with room for one at a time."""
    book, scratch = DrmBook(), f"fd{SCRATCH}"
    guest.steps([book.do_open("process0", scratch, "device0", "PRIMARY")])
    found = {}
    for n, name in ((1, "crtc"), (2, "connector"), (3, "encoder")):
        head = bytearray(64)  # four pointers, four counts, sizes; the number that is asked for comes behind it
        struct.pack_into("<I", head, 32 + 4 * n, 1)
        data = Buffer(bytes(head), ((8 * n, Buffer(bytes(8))),))
        answers, _ = guest.steps([ioctl("process0", scratch, GET_RESOURCES, data, answer_at=64)])
        found[name] = answers[0].result
    guest.steps([book.do_close("process0", scratch)])
    return found
