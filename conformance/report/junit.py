# SPDX-License-Identifier: Apache-2.0
"""A result file as JUnit XML: a suite for each revision, a case for each property."""

from __future__ import annotations

import re

from junitparser import Error, Failure, JUnitXml, Skipped, TestCase, TestSuite

from accelspec.model.verdict import Status

from ..results import Judgement, Result, ResultFile, Revision
from . import text
from .words import phrase

# XML 1.0 knows no way to write these; a name from a user's file may contain them.
_FORBIDDEN = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def xml(file: ResultFile) -> str:
    """The file as JUnit XML.  A known violation passes; what is undecided, or violated but not known, fails."""
    report = JUnitXml("accelspec")
    for revision in file.revisions:
        report.add_testsuite(_suite(file, revision))
    if not file.complete:
        report.add_testsuite(_alone("interrupted", "the run was interrupted: this is what was found so far"))
    return report.tostring().decode()  # type: ignore[no-untyped-call, no-any-return]


def _suite(file: ResultFile, revision: Revision) -> TestSuite:
    suite = TestSuite(_plain(revision.name_of_revision))
    of = (revision.machine, revision.revision)
    for r in file.of(*of):
        suite.add_testcase(_case(r))
    for f in (f for f in file.findings if (f.machine, f.revision) == of):
        case = TestCase(_plain(f"{f.file}:{f.line}"), _plain(f"{revision.name_of_revision}.lint"))
        if f.severity == "error":
            case.result = [Failure(_plain(f.what), "lint")]
        else:
            case.system_out = _plain(f"{f.severity}: {f.what}")
        suite.add_testcase(case)
    for c in (c for c in file.campaigns if (c.machine, c.revision) == of):
        case = TestCase(_plain(f"{c.target}, seed {c.seed}"), _plain(f"{revision.name_of_revision}.fuzz"), c.elapsed)
        case.system_out = _plain("\n".join(text.campaign(c)))
        suite.add_testcase(case)
    for d in (d for d in file.disagreements if (d.machine, d.revision) == of):
        case = TestCase(_plain(d.about), _plain(f"{revision.name_of_revision}.disagreement"))
        failure = Failure(_plain(f"{' and '.join(d.parties)} disagree"), "disagreement")
        failure.text = _plain("\n".join(text.disagreement(d)))
        case.result = [failure]
        suite.add_testcase(case)
    for e in (e for e in file.failures if (e.machine, e.revision) == of):
        case = TestCase(_plain(e.task), _plain(f"{revision.name_of_revision}.internal"))
        error = Error(_plain(e.what), "internal")
        error.text = _plain(e.details)
        case.result = [error]
        suite.add_testcase(case)
    return suite


def _case(r: Result) -> TestCase:
    case = TestCase(_plain(f"{r.property} {r.name}"), _plain(r.name_of_revision))
    if r.judgement is not Judgement.AS_EXPECTED:
        failure = Failure(_plain(f"{r.judgement.value}: {phrase(r)}"), r.judgement.name.lower())
        failure.text = _plain("\n".join(text.result_lines(r)))
        case.result = [failure]
    elif r.verdict is Status.NOT_APPLICABLE or r.expected is None:
        case.result = [Skipped(_plain(r.reason or phrase(r)))]
    else:
        known = f" (known: {r.known.why})" if r.known else ""
        case.system_out = _plain(f"{r.engine}: {phrase(r)}{known}")
    return case


def _alone(name: str, what: str) -> TestSuite:
    suite = TestSuite(name)
    case = TestCase(name, "accelspec")
    case.result = [Error(what, name)]
    suite.add_testcase(case)
    return suite


def _plain(text: str) -> str:
    return _FORBIDDEN.sub("\N{REPLACEMENT CHARACTER}", text)
