# SPDX-License-Identifier: Apache-2.0
"""A proposal on top of `legacy`: PUT_Q answers EBUSY while anything of the queue is mapped; and what it still lacks."""

from accelspec.spec.kernel import Vma
from accelspec.spec.language import EBUSY, deduced, inserts
from accelspec.spec.uacce import Legacy
from accelspec.spec.uacce.objects import Queue


class PutQRefuses(Legacy):
    """legacy, but PUT_Q refuses while the queue is mapped."""

    revision = "put-q-refuses"
    unchanged = deduced("legacy, kept as it is")

    @inserts(before="put_q.ok")
    def put_q_mapped(self, q: Queue) -> None:
        """First munmap, then PUT_Q."""
        if any(v.file is q.file for v in Vma):
            raise EBUSY("mapped", deduced("munmap first: the owner of the mapping decides when it ends"))


class PutQRefusesInTime(PutQRefuses):
    """The same, and PUT_Q refuses too while an mmap of the queue is under way."""

    revision = "put-q-refuses-in-time"
    unchanged = deduced("put-q-refuses, kept as it is")

    @inserts(before="put_q.mapped")
    def put_q_being_mapped(self, q: Queue) -> None:
        """A running mmap holds the description."""
        if q.file.in_call:
            raise EBUSY("being_mapped", deduced("mmap has looked at the state, and its mapping is not found yet"))
