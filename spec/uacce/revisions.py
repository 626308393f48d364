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
    scope = {"Fd": 2, "File": 2, "Queue": 2, "Vma": 2, "HwQueue": 2}
