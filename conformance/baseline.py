# SPDX-License-Identifier: Apache-2.0
"""A baseline: the result of an earlier run, whose findings are accepted.  Only what is new, or gone, fails."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from msgspec.structs import replace

from .loading import BadInput
from .results import Disagreement, Judgement, Result, ResultFile, decode


@dataclass(frozen=True)
class Baseline:
    """What an earlier run found that was not as expected."""

    results: frozenset[tuple[str, str, str, str]]  # machine, revision, property, verdict
    disagreements: frozenset[tuple[str, str, str]]  # machine, revision, what about

    def signatures(self, machine: str, revision: str) -> tuple[str, ...]:
        """The accepted disagreements of a revision."""
        return tuple(sorted(about for m, r, about in self.disagreements if (m, r) == (machine, revision)))

    def result(self, r: Result) -> Result:
        """The result, marked if it is not as expected and the baseline has it too."""
        accepted = r.judgement is not Judgement.AS_EXPECTED and _key(r) in self.results
        return replace(r, judgement=Judgement.ACCEPTED) if accepted else r

    def disagreement(self, d: Disagreement) -> Disagreement:
        """The disagreement, marked if the baseline has it too."""
        return replace(d, accepted=(d.machine, d.revision, d.about) in self.disagreements)

    def gone(self, file: ResultFile) -> list[str]:
        """What the baseline has and a run has not found, though it had the occasion to."""
        found = {_key(r) for r in file.results}
        looked_at = {key[:3] for key in found}
        return [
            f"{m}@{r}: {p} {verdict.replace('_', ' ')}"
            for m, r, p, verdict in sorted(self.results - found)
            if (m, r, p) in looked_at
        ] + [f"{c.name_of_revision}: {signature}" for c in file.campaigns for signature in c.vanished]


def _key(r: Result) -> tuple[str, str, str, str]:
    return r.machine, r.revision, r.property, r.verdict.value


NOTHING = Baseline(frozenset(), frozenset())


def read_result_file(path: str) -> ResultFile:
    """A result file that was written earlier.

    Raises:
        BadInput: it cannot be read, or is none.
    """
    try:
        return decode(Path(path).read_bytes())
    except OSError as e:
        raise BadInput(f"{path} cannot be read: {(e.strerror or str(e)).lower()}") from e
    except ValueError as e:
        remedy = "Make one with: accelspec verify -o result.json"
        raise BadInput(f"{path} is no result file of accelspec: {e}", remedy) from e


def read_baseline(path: str) -> Baseline:
    """The baseline in a result file.

    Raises:
        BadInput: as `read_result_file`.
    """
    return baseline_of(read_result_file(path))


def baseline_of(file: ResultFile) -> Baseline:
    """What a run found that was not as expected, accepted or not."""
    return Baseline(
        frozenset(_key(r) for r in file.results if r.judgement is not Judgement.AS_EXPECTED),
        frozenset((d.machine, d.revision, d.about) for d in file.disagreements),
    )
