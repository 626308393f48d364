# SPDX-License-Identifier: Apache-2.0
"""What is wrong with a specification, where, and what to do about it."""

from __future__ import annotations


class SpecError(Exception):
    """A specification that cannot be read: file, line, what was wrong, and the remedy, each as an attribute.

    >>> print(SpecError("bad.py", 7, "`whilst` is not known here", "Known: p, n."))
    bad.py:7: `whilst` is not known here
        Known: p, n.
    """

    def __init__(self, file: str, line: int, what: str, remedy: str = "") -> None:
        super().__init__(f"{file}:{line}: {what}" + (f"\n    {remedy}" if remedy else ""))
        self.file, self.line, self.what, self.remedy = file, line, what, remedy
