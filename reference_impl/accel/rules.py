# SPDX-License-Identifier: Apache-2.0
"""Where revisions and historical bugs of the memory half differ: one switch for each; Linux 6.12 by default."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

Report = Callable[[str, str], None]  # a broken rule, and how: `Findings.report`
Take = Callable[[str], int | None]  # a result injected for a named step, if any: `Injector.take`

INJECTABLE = ("mem_pool", "mem_pack", "mem_idr", "mem_map", "pin", "scrub", "alloc:cb", "cb_map")


def silent(rule: str, text: str) -> None:
    """Report to nobody."""


def nothing(name: str) -> int | None:
    """Inject no failure."""
    return None


@dataclass(frozen=True, slots=True)
class MemoryRules:
    """One way to keep memory. What is ours alone is off: `intended` turns it on."""

    # device memory
    free_tests_owner: bool = False  # FREE of somebody else's handle is -EPERM, as MAP is; no kernel does it
    free_refuses_mapped: bool = True
    map_tests_owner: bool = True
    # what becomes of SHARED memory whose owner ends while others have it mapped
    orphan: Literal["freed under its users", "freed at the last unmap"] = "freed under its users"
    scrub_skips_clean: bool = False  # where nobody had a page there is nothing that could fail; the kernel scrubs it
    # address spaces
    unmap_invalidates: bool = True  # no translation survives its mapping
    # command buffers
    handle: Literal["until destroy", "until the last put"] = "until the last put"  # the first: before 5.19
    destroy_once: bool = True  # since 6.2 (B15)
    close_skips_destroyed: bool = False  # the last close puts no buffer that DESTROY has put; no kernel asks
