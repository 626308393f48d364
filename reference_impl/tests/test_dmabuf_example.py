# SPDX-License-Identifier: Apache-2.0
"""The example of the documentation prints what it says."""

import runpy
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).resolve().parents[2] / "docs" / "examples" / "share_and_revoke.py"

pytestmark = pytest.mark.skipif(not EXAMPLE.is_file(), reason="installed without the documentation")


def test_the_example_prints_what_it_says(capsys: pytest.CaptureFixture[str]) -> None:
    text = runpy.run_path(str(EXAMPLE))["__doc__"]
    said = [line[4:] for line in text.splitlines() if line.startswith("    ")]
    assert capsys.readouterr().out.splitlines() == said
    assert len(said) == 5
