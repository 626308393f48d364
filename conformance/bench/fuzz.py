# SPDX-License-Identifier: Apache-2.0
"""Steps a second of a campaign against the reference implementation, beside a walk of the interpreter alone.

A campaign draws a call, makes it, judges the answer against every state that explains the run so far, and steers; the
walk takes any move of one state.  Their ratio is what judging and steering cost on top of knowing the moves.
"""

from __future__ import annotations

import time
from random import Random

from accelspec.model.evaluate import Interpreter
from accelspec.spec.catalogue import MACHINES
from accelspec.spec.language import Specification, compile_machine

from ..campaign import fuzz, roomy_scope
from ..targets import open_target

MACHINE, REVISIONS, STEPS, LENGTH = "uacce", ("6.12.117", "intended"), 1_000, 50


def walk(spec: Specification) -> float:
    """The seconds that a walk of as many steps takes, a new one every `LENGTH`."""
    machine, random = Interpreter(spec, roomy_scope(spec)), Random(1)
    starts = list(machine.initial())
    began = time.perf_counter()
    state = starts[0]
    for n in range(STEPS):
        moves = [m for m in machine.moves(state) if not m.failed and not m.case.crashes] if n % LENGTH else []
        state = random.choice(moves).after if moves else random.choice(starts)
    return time.perf_counter() - began


def main() -> None:
    """Measure, and print one line a revision."""
    print("  steps a second; `x` is campaign / walk, in time")
    print("  " + f"{'target':24}" + "".join(f"{h:>12}" for h in ("campaign", "walk", "x")))
    for revision in REVISIONS:
        spec = compile_machine(MACHINES[MACHINE][revision])
        target = open_target("reference", MACHINE, revision, {})
        began = time.perf_counter()
        try:
            done = fuzz(spec, target, seed=1, max_steps=STEPS)
        finally:
            target.close()
        seconds = (time.perf_counter() - began) / done.steps
        alone = walk(spec) / STEPS
        print(f"  {spec.name:24}{1 / seconds:12,.0f}{1 / alone:12,.0f}{seconds / alone:12.1f}")
