# SPDX-License-Identifier: Apache-2.0
"""A task that is asked for one property looks at no more than that property needs."""

from __future__ import annotations

import pytest

from accelspec.conformance.judging import Said
from accelspec.conformance.results import Exploration, Finding
from accelspec.conformance.tasks import Engine, Means, Task, run


@pytest.mark.parametrize(
    ("revision", "property", "scopes"),
    [
        ("drm_auth", "I06", ["one client"]),  # violated in the smallest scope: no other one is looked at
        ("proposal", "I05", ["one client", "two processes", "two clients"]),  # it takes two clients
        ("habanalabs", "I05", ["one client"]),  # not listed as violated
    ],
)
def test_one_property_is_looked_for_in_as_few_scopes_as_it_takes(
    revision: str, property: str, scopes: list[str]
) -> None:
    name = f"ownership@{revision}"
    task = Task(name, name, Engine.EXPLORE, only=(f"ownership.{property}",))
    messages = list(run(task, Means()))
    assert [m.name for m in messages if isinstance(m, Exploration)] == scopes
    assert {m.property for m in messages if isinstance(m, Said)} == {f"ownership.{property}"}
    assert not any(isinstance(m, Finding) for m in messages)


def test_all_properties_are_looked_at_in_all_scopes() -> None:
    task = Task("ownership@habanalabs", "ownership@habanalabs", Engine.EXPLORE)
    messages = list(run(task, Means()))
    assert len({m.name for m in messages if isinstance(m, Exploration)}) == 3
    assert len({m.property for m in messages if isinstance(m, Said)}) > 30
