# SPDX-License-Identifier: Apache-2.0
"""Tests: explore visited."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from accelspec.model.explore import visited
from accelspec.model.explore.visited import Visited

words = st.integers(0, 3) | st.integers(0, (1 << 63) - 1)


@given(st.integers(1, 3).flatmap(lambda n: st.lists(st.lists(st.tuples(*[words] * n), min_size=1), min_size=1)))
def test_is_a_set(batches: list[list[tuple[int, ...]]]) -> None:
    n = len(batches[0][0])
    seen, expected = Visited(n), set[tuple[int, ...]]()
    for batch in batches:
        new = seen.add(tuple(np.array([s[w] for s in batch], np.uint64) for w in range(n)))
        got = list(zip(*(w.tolist() for w in new), strict=True))
        assert sorted(got) == sorted(set(batch) - expected)
        expected |= set(batch)
    assert len(seen) == len(expected)


def test_grows_and_forgets_nothing() -> None:
    seen = Visited(1)
    before = seen.places
    states = np.arange(3 * before, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15) >> np.uint64(1)
    assert seen.add((states,))[0].size == states.size
    assert seen.places >= visited.FULL * states.size
    assert seen.add((states,))[0].size == 0
    assert seen.bytes == 8 * seen.places
    assert seen.bytes_with(0) == seen.bytes
    assert seen.bytes_with(seen.places) > 2 * seen.bytes
