# SPDX-License-Identifier: Apache-2.0
"""Reports: a result file as text, JSON, HTML, JUnit XML or Markdown.  Nothing here runs an engine."""

from .formats import FORMATS, render

__all__ = ["FORMATS", "render"]
