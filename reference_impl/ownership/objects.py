# SPDX-License-Identifier: Apache-2.0
"""What ownership is made of: tokens, clients, commands on their way, buffers given away; and the numbers of calls."""

from dataclasses import dataclass, field
from enum import Enum, IntEnum, IntFlag
from typing import TYPE_CHECKING, Final

from ..accel.idr import Idr
from ..kernel.process import Process

if TYPE_CHECKING:
    from ..kernel.files import OpenFile


class Node(Enum):
    """The kinds of device node."""

    PRIMARY = "cardN"
    RENDER = "renderDN"
    ACCEL = "accelN"


class Command(IntEnum):
    """The commands that matter here. Those of DRM have its numbers; SUBMIT is a driver's own, flagged as most."""

    GET_MAGIC = 0x02
    FLINK = 0x0A
    AUTH_MAGIC = 0x11
    SET_MASTER = 0x1E
    DROP_MASTER = 0x1F
    EXPORT = 0x2D  # PRIME_HANDLE_TO_FD
    SUBMIT = 0x40
    MODE_SET = 0xA2
    CREATE_LEASE = 0xC6


class Flag(IntFlag):
    """What DRM asks of the caller of a command before it runs."""

    NOTHING = 0
    AUTH = 1  # an authenticated client
    MASTER = 2  # the current master
    RENDER_ALLOW = 4  # nothing of a render client


FLAGS: Final = {
    Command.GET_MAGIC: Flag.NOTHING,
    Command.FLINK: Flag.AUTH,
    Command.AUTH_MAGIC: Flag.MASTER,
    Command.SET_MASTER: Flag.NOTHING,
    Command.DROP_MASTER: Flag.NOTHING,
    Command.EXPORT: Flag.RENDER_ALLOW,
    Command.SUBMIT: Flag.AUTH | Flag.RENDER_ALLOW,
    Command.MODE_SET: Flag.MASTER,
    Command.CREATE_LEASE: Flag.MASTER,
}


@dataclass(slots=True, eq=False)
class Token:
    """Ownership as something to hold: a struct drm_master. `exports` counts the buffers that pin it.

    A lease is a token with a `lessor`. `dropped` tells that its file was closed while something held it (habanalabs).
    `magics` has the clients of this token's group that asked to be authenticated.
    """

    serial: int
    refs: int = 1
    exports: int = 0
    dropped: bool = False
    lessor: "Token | None" = None
    magics: "Idr[Client | None]" = field(default_factory=Idr)


@dataclass(slots=True, eq=False)
class Client:
    """A struct drm_file. `founder` has a token of its own (is_master), else `token` is that of whom it found."""

    file: "OpenFile"
    node: Node
    opener: Process | None
    authenticated: bool
    token: Token | None = None
    founder: bool = False
    was_owner: bool = False
    magic: int = 0
    freed: bool = False


@dataclass(slots=True, eq=False)
class Job:
    """A command that the device has not finished."""

    serial: int
    client: Client


@dataclass(slots=True, eq=False)
class Export:
    """A buffer behind a descriptor (dma-buf). `token` is what it pins, `keeps` the description that it holds open."""

    serial: int
    client: Client
    token: Token | None
    file: "OpenFile"
    keeps: "OpenFile | None" = None
