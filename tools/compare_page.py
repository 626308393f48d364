#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Write docs/machines/MACHINE-changes.md for machines of the catalogue: `python tools/compare_page.py [MACHINE]...`.

Run it again when a specification has changed, and `tools/machine_page.py` after it where a page is new; a slow test
compares the pages with what it would write.
"""

from __future__ import annotations

import sys
from pathlib import Path

from accelspec.conformance.report.changes_page import changes_page
from accelspec.spec.catalogue import MACHINES
from accelspec.spec.language import compile_machine

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "machines"


def head(machine: str) -> str:
    """What stands behind the title."""
    return (
        "Made by `tools/compare_page.py`; nothing here was typed by hand. Each revision is compared with the earlier "
        f"one from which it differs in the fewest rows, or with the base that it names ([{machine}]({machine}.md) "
        "lists what differs). Shown is a shortest sequence of calls and answers that one of the two allows and the "
        "other one does not, whatever fails and is chosen there. Calls run one after the other: what only calls at "
        "the same time can see is found by the laws, not here. A call that only one of the two has is not counted as "
        "a difference."
    )


def main(machines: list[str]) -> None:
    """Write the pages of these machines, or of all."""
    for machine in machines or MACHINES:
        specs = [compile_machine(c) for c in MACHINES[machine].values()]
        (FOLDER / f"{machine}-changes.md").write_text(changes_page(specs, head(machine)), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
