# SPDX-License-Identifier: Apache-2.0
"""Sources: who says so.  A source is a checked value, never a comment, and is never empty."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum


class Mark(Enum):
    """How a fact is known."""

    STATED = "stated"  # a document or a mail says so
    READ = "read"  # read in code
    DEDUCED = "deduced"  # ours
    KERNEL = "kernel"  # general kernel knowledge, unchecked


@dataclass(frozen=True)
class Source:
    """One source: the mark, the place (a function, a section), an argument, and the document that the place is in.

    An empty `document` means the document of the revision that the row is written in.  `inherited` is empty for a row
    that the revision states itself; else it says on what ground the revision takes the row over.
    """

    mark: Mark
    place: str
    argument: str = ""
    document: str = ""
    inherited: str = ""

    def __post_init__(self) -> None:
        if not self.place.strip():
            raise ValueError(f"a source of mark {self.mark.value!r} names nothing")

    def in_document(self, document: str) -> Source:
        """The source with a document, if it has none of its own."""
        return self if self.document else replace(self, document=document)

    def taken_over(self, ground: str) -> Source:
        """The source as a revision cites it that takes a row over on this ground."""
        return replace(self, inherited=ground)

    def __str__(self) -> str:
        at = f" in {self.document}" if self.document and self.mark in (Mark.READ, Mark.STATED) else ""
        why = f": {self.argument}" if self.argument else ""
        by = f" ({self.inherited})" if self.inherited else ""
        return f"[{self.mark.value}] {self.place}{at}{why}{by}"


def stated(place: str, argument: str = "", *, document: str = "") -> Source:
    """A document or a mail says so: `stated("section 4.3, S-01")`."""
    return Source(Mark.STATED, place, argument, document)


def read(place: str, argument: str = "", *, document: str = "") -> Source:
    """Read in code: `read("uacce_fops_open")`; the document is the revision's own unless another is named."""
    return Source(Mark.READ, place, argument, document)


def deduced(argument: str) -> Source:
    """Our own deduction: `deduced("the slot is cleared before the region is freed")`."""
    return Source(Mark.DEDUCED, argument)


def kernel(place: str, argument: str = "") -> Source:
    """General kernel knowledge, unchecked: `kernel("fdget")`."""
    return Source(Mark.KERNEL, place, argument)
