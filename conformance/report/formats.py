# SPDX-License-Identifier: Apache-2.0
"""The formats of a report, by name."""

from __future__ import annotations

from collections.abc import Callable

from ..results import ResultFile, encode


def _text(file: ResultFile) -> str:
    from .text import report

    return report(file)


def _json(file: ResultFile) -> str:
    return encode(file).decode()


def _html(file: ResultFile) -> str:
    from .html import page

    return page(file)


def _junit(file: ResultFile) -> str:
    from .junit import xml

    return xml(file)


def _markdown(file: ResultFile) -> str:
    from .markdown import document

    return document(file)


# What one of them needs (templates, an XML library) is imported only when it is asked for.
FORMATS: dict[str, Callable[[ResultFile], str]] = {
    "text": _text,
    "json": _json,
    "html": _html,
    "junit": _junit,
    "markdown": _markdown,
}


def render(file: ResultFile, form: str) -> str:
    """The result file in one of `FORMATS`; the same for the same file."""
    return FORMATS[form](file)
