# SPDX-License-Identifier: Apache-2.0
"""The command report: a result file in another format."""

from __future__ import annotations

from collections.abc import Sequence

import click

from ..baseline import read_result_file
from ..output import say
from ..report import render
from ..results import exit_code
from .engines import FORMS, verify
from .options import open_outputs, outputs


@click.command()
@click.argument("names", nargs=-1, metavar="RESULT.json | [MACHINE[@REVISION] | FILE.py]...")
@outputs(*FORMS)
@click.pass_context
def report(ctx: click.Context, names: Sequence[str], form: str | None, paths: Sequence[str]) -> int:
    """One HTML file (or another format) of a result that `accelspec verify -o result.json` has written.

    Given machines instead, they are verified first. Without -o it is accelspec-report.html.
    The exit code is that of the run.
    """
    if not paths and form in (None, "html"):
        paths, form = ["accelspec-report.html"], "html"
    if len(names) == 1 and names[0].endswith(".json"):
        file = read_result_file(names[0])
        outs = open_outputs(paths, form)
        for out in outs:
            out.write(render(file, out.form))
        if not outs and form:
            say(render(file, form))
        return exit_code(file).value
    code: int = ctx.invoke(verify, names=names, form=form, paths=paths)
    return code
