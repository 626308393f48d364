# SPDX-License-Identifier: Apache-2.0
"""uacce in the kernels that shipped it."""

from __future__ import annotations

from .laws import Laws
from .queue import Queues


class Uacce(Queues, Laws):
    """The hardware queue's life as Linux 6.12.117 has it."""

    machine = "uacce"
    revision = "6.12.117"
    document = "linux 6.12.117 drivers/misc/uacce/uacce.c"
    scopes = {
        "one of each": {"Qm": 0},
        "pieces": {"Qm": 0, "Vma": 2},
        "two queues": {"Qm": 0, "Fd": 2, "File": 2, "Queue": 2, "HwQueue": 2, "exec()": 0, "exit()": 0, "munmap()": 0},
        "two processes": {"Qm": 0, "Process": 2, "Mm": 2, "munmap()": 0},
        "two devices": {
            "Qm": 0,
            "Device": 2,
            "Fd": 2,
            "File": 2,
            "Queue": 2,
            "HwQueue": 2,
            "Vma": 0,
            "exec()": 0,
            "exit()": 0,
        },
        "isolation": {"Vma": 0, "exec()": 0, "exit()": 0},
    }
