# SPDX-License-Identifier: Apache-2.0
"""What the kernel itself does around a driver: descriptors, mappings, processes.  Parts of machines, not machines."""

from .objects import Fd, File, Mm, Process, Sleeper, Vma
from .processes import Processes

__all__ = ["Fd", "File", "Mm", "Process", "Processes", "Sleeper", "Vma"]
