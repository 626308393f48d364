#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Write docs/machines/MACHINE.md for every machine of the catalogue: `python tools/machine_page.py [FOLDER]`.

Run it again when a specification has changed; a test compares the pages with what it would write.
"""

from __future__ import annotations

import sys
from pathlib import Path

from accelspec.conformance.report.machine_page import machine_page
from accelspec.spec.catalogue import MACHINES

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "machines"
SHEETS = {  # facts in the sheet of another machine
    "ownership": "habanalabs",
    "fences": "dmabuf",
    "locks": "dmabuf",
    "drm_master": "dmabuf",
    "prime": "dmabuf",
    "dma_heap": "dmabuf",
    "udmabuf": "dmabuf",
    "sync_file": "dmabuf",
}
PLACES = {"fences": "dmabuf/fences.py", "locks": "dmabuf/locks.py"}  # in the folder of another machine


def head(machine: str) -> str:
    """What stands behind the title: how the page came about, and the pages beside it."""
    sheet = SHEETS.get(machine, machine)
    beside = [p for p in sorted(FOLDER.glob(f"{machine}-*.md")) if p.is_file()]
    links = ", ".join(f"[{p.stem.removeprefix(machine + '-').replace('-', ' ')}]({p.name})" for p in beside)
    more = f" Beside it: {links}." if links else ""
    return (
        "Made from the specification by `tools/machine_page.py`; no engine ran, and nothing here was typed by hand. "
        f"Change `spec/{PLACES.get(machine, machine + '/')}` and make it again.{more} What the machine leaves out: "
        "[not modelled](../not-modelled.md). "
        f"Where the grounds contradict one another: [disagreements](../disagreements.md). The facts: "
        f"[{sheet}](../facts/{sheet}.md)."
    )


def main(folder: Path) -> None:
    """Write every page."""
    for machine, revisions in MACHINES.items():
        (folder / f"{machine}.md").write_text(machine_page(list(revisions.values()), head(machine)), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER)
