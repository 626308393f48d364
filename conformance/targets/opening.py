# SPDX-License-Identifier: Apache-2.0
"""From the text of `--target` to a target."""

from __future__ import annotations

from collections.abc import Mapping

from .interface import Target, TargetError

FORMS = "reference, kernel, python:MODULE:FACTORY or process:COMMAND"


def open_target(text: str, machine: str, revision: str, options: Mapping[str, str] | None = None) -> Target:
    """The target that `text` names: `reference`, `kernel`, `python:MODULE:FACTORY` or
    `process:COMMAND`.

    `options` are the target's own: `faults` (names, a comma between them) for the reference, `timeout` (seconds) for a
    process, and whatever a factory or a child understands.  Raises TargetError.
    """
    scheme, _, rest = text.partition(":")
    match scheme:
        case "reference" if not rest:
            from .reference import open_reference

            return open_reference(machine, revision, options)
        case "kernel" if not rest:
            from .kernel import open_kernel

            return open_kernel(machine, revision, options)
        case "python":
            from .python import from_factory

            return from_factory(rest, revision, options or {})
        case "process":
            from .process import Process

            return Process(rest, machine, revision, options)
    raise TargetError(f"there is no target {text!r}: write {FORMS}")
