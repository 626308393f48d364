# SPDX-License-Identifier: Apache-2.0
"""A design of one's own for sharing device memory: D0, and a session lasts as long as one of its buffers."""

from accelspec.spec.dmabuf import D0
from accelspec.spec.dmabuf.held import NO_REVOKE
from accelspec.spec.dmabuf.objects import Buffer, Session
from accelspec.spec.language import cost, deduced


class Token(D0):
    """D0, but a session does not end before its last buffer: a buffer is a token of the ownership."""

    revision = "token"
    document = "a proposal"
    unchanged = deduced("D0")
    not_applicable = NO_REVOKE
    costs = {"who is refused": cost("the next opener, with EAGAIN", deduced("open.releasing"))}

    def kept(self, s: Session) -> bool:
        """What keeps a session, whose file is closed, from ending."""
        return any(b.session is s for b in Buffer)
