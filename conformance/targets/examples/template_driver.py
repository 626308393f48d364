# SPDX-License-Identifier: Apache-2.0
"""A template for a target in Python. Copy it, then `accelspec fuzz MACHINE --target python:my_driver:MyDriver`."""

from __future__ import annotations

from collections.abc import Mapping

from accelspec.conformance.targets import Driver, Observation, System


class MyDriver(Driver):
    """One method `do_OPERATION` for every operation that you want to have tested; the others are left out."""

    failures = frozenset({"get_queue"})  # what you can make fail: the names in `fails("...")` of the specification

    def begin(self, system: System) -> None:
        """Make a fresh system. `system.scope` says how many there are of each kind, `system.cells` what they are like.

        If you cannot have it so, return the cells as they are: {"device0.sva": "False"}.
        """

    def do_open(self, process: str, fd: str, device: str, kept: str, fails: Mapping[str, str]) -> str | Observation:
        """Every argument is a name. Answer "OK", an errno name, or -errno; leave `fails` out if nothing can fail."""
        if "get_queue" in fails:
            return fails["get_queue"]  # the errno that the failing function is to answer
        # If you offer calls that speak about what this call creates (`munmap(vma)`), give it a name:
        # return Observation("OK", created=("vma0",))
        return "OK"

    def state(self) -> Mapping[str, str]:
        """Cells of the specification that you can see, compared after every call: {"device0.life": "REGISTERED"}."""
        return {}

    def leftovers(self) -> Mapping[str, int]:
        """How many objects of a kind exist, asked when everything was given back: {"File": 0}."""
        return {}
