# SPDX-License-Identifier: Apache-2.0
"""When a device that makes errors is to be left alone: the HiSilicon driver's count of errors within an hour.

Isolation is advice to user code and never ends. The error that isolates is the one after the threshold was reached: a
threshold of n isolates at error n + 1. A reset that fails isolates whatever the threshold is.
"""

from dataclasses import dataclass, field
from typing import Final

from ..kernel import Errno

HOUR: Final = 3600  # seconds


@dataclass(slots=True)
class ErrorHistory:
    """Errors of one physical function. A virtual function reads those of its physical function and sets nothing."""

    threshold: int = 0  # 0: errors alone never isolate
    isolated: bool = False
    errors: list[int] = field(default_factory=list[int])  # times in seconds

    def record(self, now: int) -> None:
        """Count an error at `now`: isolate if at least `threshold` earlier ones are at most an hour old."""
        if self.isolated or not self.threshold:
            return
        self.errors = [then for then in self.errors if now - then <= HOUR]
        earlier = len(self.errors)
        self.errors.append(now)
        self.isolated = earlier >= self.threshold

    def reset_failed(self) -> None:
        """Isolate at once."""
        self.isolated = True

    def set_threshold(self, threshold: int, is_vf: bool) -> int:
        """Change the threshold and forget all errors; 0, or -EPERM for a virtual function or once isolated."""
        if is_vf or self.isolated:
            return Errno.EPERM
        self.threshold = threshold
        self.errors.clear()
        return 0
