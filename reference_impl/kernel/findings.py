# SPDX-License-Identifier: Apache-2.0
"""What the kernel noticed about itself that should not be: reported where it happens, collected in order."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """One observation. `rule` is a property id ("uacce.I03") or a kernel rule ("double free", "lock order")."""

    rule: str
    text: str

    def __str__(self) -> str:
        return f"{self.rule}: {self.text}"


class Findings:
    """All findings of a run; the same one is kept once."""

    def __init__(self) -> None:
        self._found: dict[Finding, None] = {}

    def report(self, rule: str, text: str) -> None:
        """Note that `rule` is broken, and how."""
        self._found[Finding(rule, text)] = None

    @property
    def all(self) -> list[Finding]:
        """The findings in the order of their first occurrence."""
        return list(self._found)

    @property
    def rules(self) -> set[str]:
        """The rules that were broken."""
        return {finding.rule for finding in self._found}
