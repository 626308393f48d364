# SPDX-License-Identifier: Apache-2.0
"""Packed states: the codes of all objects in one word or a few."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Words = tuple[NDArray[np.uint64], ...]  # packed states, word by word

WORD = 63  # bits of a word that are used: the hash table needs one value that no state has


@dataclass(frozen=True)
class Slot:
    """Where an object's code lies: `word // weight % size`; both are powers of two if the states fit so."""

    word: int
    weight: int
    size: int

    def read(self, words: Words) -> NDArray[np.int64]:
        """The object's code in every state."""
        w = words[self.word]
        if self.weight & (self.weight - 1) == 0 and self.size & (self.size - 1) == 0:
            shift = np.uint64(self.weight.bit_length() - 1)
            return ((w >> shift) & np.uint64(self.size - 1)).view(np.int64)
        return ((w // np.uint64(self.weight)) % np.uint64(self.size)).view(np.int64)


def pack(sizes: Sequence[int]) -> list[Slot]:
    """Slots for codes of these sizes: in bits if one word holds them, else in mixed radix, else in several words."""
    bits = [(n - 1).bit_length() for n in sizes]
    if sum(bits) <= WORD:
        return [Slot(0, 1 << sum(bits[:o]), 1 << b) for o, b in enumerate(bits)]
    if math.prod(sizes) <= 1 << WORD:
        return [Slot(0, math.prod(sizes[:o]), n) for o, n in enumerate(sizes)]
    room: list[int] = []  # first fit, the largest first
    slots: dict[int, Slot] = {}
    for o in sorted(range(len(sizes)), key=lambda o: -bits[o]):
        word = next((w for w, used in enumerate(room) if used + bits[o] <= WORD), len(room))
        if word == len(room):
            room.append(0)
        slots[o] = Slot(word, 1 << room[word], 1 << bits[o])
        room[word] += bits[o]
    return [slots[o] for o in range(len(sizes))]
