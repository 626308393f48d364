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
        "pieces": {"Qm": 0, "Vma": 2, "Waiter": 0, "Message": 0},
        "two queues": {
            "Fd": 2,
            "File": 2,
            "Queue": 2,
            "Qm": 0,
            "Waiter": 0,
            "Message": 0,
            "exec()": 0,
            "exit()": 0,
            "munmap()": 0,
        },
        "two processes": {"Process": 2, "Mm": 2, "Qm": 0, "Vma": 0},
        "two address spaces": {
            "Process": 2,
            "Mm": 2,
            "Vma": 2,
            "Qm": 0,
            "Waiter": 0,
            "Message": 0,
            "exec()": 0,
            "remove()": 0,
            "munmap()": 0,
        },
        "isolation": {"Vma": 0, "Waiter": 0, "Message": 0, "exec()": 0, "exit()": 0},
    }
