# SPDX-License-Identifier: Apache-2.0
"""Steps a second of the target `kernel`: sequences of calls are drawn ahead, sent together, and every answer is judged.

What is timed begins when a sequence is sent and ends when its last answer was judged; drawing is not part of it, and
neither is the fresh system that every sequence begins with.  The processor time of the same (qemu's and ours) says what
a machine gives that does nothing else.
"""

from __future__ import annotations

import time
from random import Random

from accelspec.model.evaluate import Interpreter
from accelspec.spec.catalogue import MACHINES
from accelspec.spec.language import compile_machine

from ..campaign import roomy_scope
from ..coverage import Coverage
from ..machine import Missing
from ..oracle import LostTrack, Oracle
from ..session import Session
from ..steering import Steering
from ..targets import System
from ..targets.kernel import Kernel

REVISION = "6.12.117"
WARM_UP, SEQUENCES, LENGTH = 30, 60, 60
GOAL, FLOOR = 2000, 1000


def main() -> None:
    """Measure, and print; where there is no kernel target, why."""
    try:
        kernel = Kernel("uacce", REVISION)
    except Missing as lack:
        print(f"  skipped: {lack}".replace("\n", ": "))
        return
    spec = compile_machine(MACHINES["uacce"][REVISION])
    session = Session(Oracle.of(Interpreter(spec, roomy_scope(spec)), kernel), kernel, Coverage.of(spec))
    steering, random = Steering(session), Random(1)
    cells = {cell: values[-1] for cell, (_, values) in session.oracle.naming.open_cells.items()}
    system = System(spec.machine, spec.revision, roomy_scope(spec), cells)
    steps, asked, judged, fresh, guest, ours = 0, 0.0, 0.0, 0.0, 0.0, 0.0
    try:
        for number in range(WARM_UP + SEQUENCES):
            if number == WARM_UP:  # the emulator has translated by then what it runs
                steps, asked, judged, fresh, guest, ours = 0, 0.0, 0.0, 0.0, 0.0, 0.0
            fresh -= time.perf_counter()
            session.begin(system)
            fresh += time.perf_counter()
            calls, draft = session.drawn_ahead(lambda: steering.draw(random), LENGTH)
            used, began, worked = kernel.processor_time(), time.perf_counter(), time.process_time()
            seen = draft.send()
            answered = time.perf_counter()
            try:
                made = sum(1 for _ in session.judged(calls, seen))
            except LostTrack:
                continue
            steps += made
            asked += answered - began
            judged += time.perf_counter() - answered
            ours += time.process_time() - worked
            guest += kernel.processor_time() - used
    finally:
        kernel.close()
    machine = kernel.machine
    print(f"  {kernel.name}: boot {machine.booted:.1f} s (0: not needed), restore {machine.restored:.2f} s")
    print(f"  a fresh system: {1000 * fresh / SEQUENCES:.1f} ms; {steps} steps in sequences of {LENGTH}")
    print(f"  checked steps a second: {steps / (asked + judged):,.0f} (goal {GOAL:,}, floor {FLOOR:,}); ", end="")
    print(f"guest {steps / asked:,.0f}, oracle {steps / judged:,.0f}")
    print(f"  by processor time: {steps / (guest + ours):,.0f}; guest {steps / guest:,.0f}, host {steps / ours:,.0f}")
