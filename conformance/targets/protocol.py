# SPDX-License-Identifier: Apache-2.0
"""The messages between accelspec and a child process that is a target: one JSON object a line, version
`accelspec.target/1`.

accelspec asks on the child's standard input, the child answers each question with one line on its standard output; what
it writes to standard error is kept for the report of a crash.  In order: `hello`/`welcome` once, then for every run
`reset`/`ready` and as many `perform`/`observed` as there are calls, perhaps `leftovers`/`left`, and at the end `close`,
which has no answer: the child exits.  Any question may be answered with `problem`: the child cannot do that.  The JSON
schema is `accelspec.target-1.schema.json` beside this file.
"""

from __future__ import annotations

from typing import Any

import msgspec

from .interface import Call, Observation, System

PROTOCOL = "accelspec.target/1"


class Message(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag=str.lower):
    """One line."""


class Hello(Message, frozen=True):
    """The first question: speak this protocol, and be this machine and revision."""

    protocol: str
    machine: str
    revision: str
    options: dict[str, str] = {}


class Welcome(Message, frozen=True):
    """The child's name, and which operations and injected failures it offers;

    null or absent: every one of the machine.
    """

    protocol: str
    name: str
    operations: list[str] | None = None
    failures: list[str] | None = None


class Reset(Message, frozen=True):
    """Begin again with a fresh system."""

    system: System


class Ready(Message, frozen=True):
    """The initial cells as they are; null or absent: as wished."""

    cells: dict[str, str] | None = None


class Perform(Message, frozen=True):
    """Perform one call and wait for its end."""

    call: Call


class Observed(Message, frozen=True):
    """What was seen of it."""

    observation: Observation


class Leftovers(Message, frozen=True):
    """How many objects of each kind exist?"""


class Left(Message, frozen=True):
    """The numbers, by kind."""

    counts: dict[str, int] = {}


class Close(Message, frozen=True):
    """Exit."""


class Problem(Message, frozen=True):
    """The child cannot do what it was asked, and why."""

    text: str


Question = Hello | Reset | Perform | Leftovers | Close
Answer = Welcome | Ready | Observed | Left | Problem


def schema() -> dict[str, Any]:
    """The JSON schema of both directions: `$defs` has every message, `oneOf` says which a line may be."""
    (questions, answers), definitions = msgspec.json.schema_components(
        (Question, Answer), ref_template="#/$defs/{name}"
    )
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": PROTOCOL,
        "description": (__doc__ or "").split("\n\n")[1].replace("\n", " ").strip(),
        "anyOf": [{"title": "question", **questions}, {"title": "answer", **answers}],
        "$defs": definitions,
    }
