# SPDX-License-Identifier: Apache-2.0
"""The set of visited states: a hash table with open addressing, for whole arrays of states at once."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .packing import Words

FULL = 2  # the table has at least this many places for every state
SCRAMBLE = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xD6E8FEB86659FD93)
REHASHED = 1 << 18  # states that are moved at once when the table grows


class Visited:
    """States that were seen.  Word 0 is stored plus 1, so that 0 is an empty place: it must be less than 2**64 - 1."""

    def __init__(self, words: int) -> None:
        self._tables = [np.zeros(1 << 14, np.uint64) for _ in range(words)]
        self.count = 0

    def __len__(self) -> int:
        return self.count

    @property
    def places(self) -> int:
        """How many places the table has."""
        return self._tables[0].size

    @property
    def bytes(self) -> int:
        """The memory of the table."""
        return sum(t.nbytes for t in self._tables)

    def bytes_with(self, more: int) -> int:
        """The memory that adding so many states may need while the table grows."""
        places = self.places
        while (self.count + more) * FULL > places:
            places *= 2
        return self.bytes if places == self.places else self.bytes + places * 8 * len(self._tables)

    def add(self, states: Words) -> Words:
        """Add states; returns the new ones, each once."""
        keys = (states[0] + np.uint64(1), *states[1:])
        new = self._differs(keys, self._home(keys)).nonzero()[0]
        if not new.size:
            return tuple(s[:0] for s in states)
        keys = _distinct(tuple(k.take(new) for k in keys))
        self._grow(keys[0].size)
        keys = self._put(keys)
        self.count += keys[0].size
        return (keys[0] - np.uint64(1), *keys[1:])

    def _home(self, keys: Words) -> NDArray[np.int64]:
        x = keys[0] * SCRAMBLE[0]
        for k in keys[1:]:
            x ^= x >> np.uint64(29)
            x += k
            x *= SCRAMBLE[1]
        x ^= x >> np.uint64(32)
        x *= SCRAMBLE[1]
        x ^= x >> np.uint64(29)
        x &= np.uint64(self.places - 1)
        return x.view(np.int64)

    def _differs(self, keys: Words, places: NDArray[np.int64]) -> NDArray[np.bool_]:
        out: NDArray[np.bool_] = self._tables[0].take(places) != keys[0]
        for t, k in zip(self._tables[1:], keys[1:], strict=True):
            out |= t.take(places) != k
        return out

    def _put(self, keys: Words) -> Words:
        """Put distinct keys; returns those that were not there."""
        places, mask = self._home(keys), self.places - 1
        got: list[Words] = []
        while keys[0].size:
            empty = (self._tables[0].take(places) == 0).nonzero()[0]
            if empty.size:
                at = places.take(empty)
                mine = tuple(k.take(empty) for k in keys)
                for t, k in zip(self._tables, mine, strict=True):
                    t[at] = k  # of several that want one place the last one wins, in every word
                won = (~self._differs(mine, at)).nonzero()[0]
                got.append(tuple(k.take(won) for k in mine))
            on = self._differs(keys, places).nonzero()[0]
            keys = tuple(k.take(on) for k in keys)
            places = (places.take(on) + 1) & mask
        return _joined(got, len(self._tables))

    def _grow(self, more: int) -> None:
        places = self.places
        while (self.count + more) * FULL > places:
            places *= 2
        if places == self.places:
            return
        old = self._tables
        self._tables = [np.zeros(places, np.uint64) for _ in old]
        for i in range(0, old[0].size, REHASHED):
            part = tuple(t[i : i + REHASHED] for t in old)
            used = part[0].nonzero()[0]
            self._put(tuple(t.take(used) for t in part))


def _distinct(keys: Words) -> Words:
    """Each key once."""
    if len(keys) == 1:
        k = np.sort(keys[0])
        first = np.empty(k.size, np.bool_)
        first[0] = True
        np.not_equal(k[1:], k[:-1], out=first[1:])
        return (k[first],)
    order = np.lexsort(keys)
    keys = tuple(k.take(order) for k in keys)
    first = np.zeros(order.size, np.bool_)
    first[0] = True
    for k in keys:
        first[1:] |= k[1:] != k[:-1]
    return tuple(k[first] for k in keys)


def _joined(parts: list[Words], words: int) -> Words:
    if not parts:
        return tuple(np.empty(0, np.uint64) for _ in range(words))
    return parts[0] if len(parts) == 1 else tuple(np.concatenate([p[w] for p in parts]) for w in range(words))
