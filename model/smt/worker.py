# SPDX-License-Identifier: Apache-2.0
"""A worker's own side: `python -m accelspec.model.smt.worker CONTROL OUT` does one task; see process.py."""

from __future__ import annotations

import os
import pickle
import sys
import threading
import traceback
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any

import z3

from .process import packed
from .tasks import TASKS

MEMORY = 2048  # MiB that the solver may use


def main(control: int, out: int) -> None:
    """Read one task, do it, and send what it says.  The end of the control pipe ends the process."""
    given, back = Connection(control, writable=False), Connection(out, readable=False)
    task, spec, arguments = pickle.loads(given.recv_bytes())
    threading.Thread(target=_die_with_parent, args=(given,), daemon=True).start()
    z3.set_param("memory_max_size", MEMORY)

    def tell(kind: str, data: Any) -> None:
        back.send_bytes(packed((kind, data)))

    try:
        TASKS[task](spec, tell, **arguments)
    except BrokenPipeError:  # the parent does not listen any more
        os._exit(1)
    except (z3.Z3Exception, MemoryError) as e:
        tell("gave up", f"the solver gave up: {e}")
    except Exception:
        tell("error", traceback.format_exc())


def _die_with_parent(control: Connection) -> None:
    with suppress(EOFError, OSError):
        control.recv_bytes()
    os._exit(1)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:3]))
