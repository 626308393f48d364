# SPDX-License-Identifier: Apache-2.0
"""Numbers of ioctls: type 'H' and 1 to 6 in the misc days, the DRM type and its driver range from 6.7 on.

The size and direction bits of the ABI are left away: a number here is ``type << 8 | number``.
"""

from typing import Final

from ..kernel import Errno
from .arguments import Ioctl
from .behaviour import Behaviour

MISC: Final = ord("H") << 8
DRM: Final = ord("d") << 8 | 0x3F  # the driver range begins at 0x40, which is INFO
_KNOWN: Final = {int(kind): kind for kind in Ioctl}


def number(behaviour: Behaviour, kind: Ioctl) -> int:
    """Return the number that a user passes for an ioctl."""
    return (DRM if behaviour.drm_core else MISC) + kind


def ioctl_of(behaviour: Behaviour, cmd: int, *, control: bool) -> Ioctl | Errno:
    """Return the ioctl of a number; -ENOTTY (another type, or not for the control node), or unknown."""
    base = DRM if behaviour.drm_core else MISC
    if cmd >> 8 != base >> 8:
        return Errno.ENOTTY
    if control:
        return Ioctl.INFO if cmd == base + Ioctl.INFO else Errno.ENOTTY
    return _KNOWN.get(cmd - base, behaviour.unknown_number)
