# SPDX-License-Identifier: Apache-2.0
"""Mappings that munmap and mprotect split: their calls in the guest, for machines that name every piece."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from ..machine.wire import Op, Step
from .kernel_book import Book, index

PAGES = 2  # of every mapping


@dataclass(frozen=True)
class Piece:
    """A piece of a mapping: which mapping, from which page on, how many, and in whose address space."""

    mapping: int
    first: int
    pages: int
    process: int


@dataclass
class PiecesBook(Book):
    """The calls on a piece of a mapping."""

    pieces: dict[str, Piece] = field(default_factory=dict)
    mappings: int = 0

    def new_piece(self, process: str, pages: int = PAGES) -> str:
        """The name of a mapping that has been made: the next one, of its process."""
        self.pieces[name := self.give("vma")] = Piece(self.mappings, 0, pages, index(process))
        self.mappings += 1
        return name

    def of_piece(self, op: Op, vma: str, first: int = 0, pages: int | None = None) -> Step:
        """A step on a piece of a mapping, or on some pages of it."""
        p = self.pieces[vma]
        return Step(op, p.process, p.first + first, p.pages if pages is None else pages, p.mapping)

    def do_munmap(self, vma: str) -> Step:
        return self.of_piece(Op.MUNMAP, vma)

    def did_munmap(self, vma: str) -> None:
        del self.pieces[vma]

    def do_munmap_head(self, vma: str) -> Step:
        return self.of_piece(Op.MUNMAP, vma, pages=1)

    def did_munmap_head(self, vma: str) -> None:
        p = self.pieces[vma]
        self.pieces[vma] = replace(p, first=p.first + 1, pages=p.pages - 1)

    def do_munmap_tail(self, vma: str) -> Step:
        return self.of_piece(Op.MUNMAP, vma, self.pieces[vma].pages - 1, 1)

    def did_munmap_tail(self, vma: str) -> None:
        p = self.pieces[vma]
        self.pieces[vma] = replace(p, pages=p.pages - 1)

    def do_mprotect_tail(self, vma: str) -> Step:
        return self.of_piece(Op.MPROTECT, vma, self.pieces[vma].pages - 1, 1)

    def did_mprotect_tail(self, vma: str) -> str:
        p = self.pieces[vma]
        self.pieces[vma] = replace(p, pages=p.pages - 1)
        self.pieces[name := self.give("vma")] = replace(p, first=p.first + p.pages - 1, pages=1)
        return name

    def do_mremap_grow(self, vma: str) -> Step:
        return self.of_piece(Op.GROW, vma)

    def do_mremap_move(self, vma: str) -> Step:
        return self.of_piece(Op.MOVE, vma)

    def do_mremap_dont_unmap(self, vma: str) -> Step:
        return self.of_piece(Op.DONT_UNMAP, vma)

    def do_touch(self, vma: str) -> Step:
        return self.of_piece(Op.TOUCH, vma)
