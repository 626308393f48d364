# SPDX-License-Identifier: Apache-2.0
"""Proofs for any number of objects against exploring: the design that is to hold, of machines that have one.

Both in the same run: the seconds until everything that can be proved is, and those that the explorer takes for every
state of the author's scopes, which says less.
"""

from __future__ import annotations

import time

from accelspec.model.explore import explore
from accelspec.model.prove import proving
from accelspec.model.verdict import Status
from accelspec.spec.catalogue import MACHINES
from accelspec.spec.language import compile_machine

REVISION = "intended"


def main() -> None:
    """Measure, and print one line a machine."""
    print("  times in seconds; `x` is explore / prove")
    print("  " + f"{'design':24}" + "".join(f"{h:>12}" for h in ("proved", "prove", "states", "explore", "x")))
    for revisions in MACHINES.values():
        if REVISION not in revisions:
            continue
        spec = compile_machine(revisions[REVISION])
        began = time.perf_counter()
        verdicts = list(proving(spec, only_unbounded=True))
        between = time.perf_counter()
        states = sum(explore(spec, scope).states for scope in spec.scopes.values())
        prove, search = between - began, time.perf_counter() - between
        proved = sum(v.status is Status.PROVED and v.scope is None for v in verdicts)
        print(f"  {spec.name:24}{proved:12,}{prove:12.2f}{states:12,}{search:12.2f}{search / prove:12.1f}")
