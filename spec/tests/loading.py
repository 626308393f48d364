# SPDX-License-Identifier: Apache-2.0
"""Machine files made from text, for tests; and the code of docs/language.md."""

from __future__ import annotations

import importlib.util
import itertools
import re
import sys
from pathlib import Path
from types import ModuleType

PAGE = Path(__file__).resolve().parents[2] / "docs" / "language.md"
_serial = itertools.count()


def blocks(kind: str) -> list[str]:
    """The code blocks of the page on the language that begin with this word."""
    return re.findall(rf"^```{kind}\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def page(folder: Path) -> ModuleType:
    """The Python of the page, as one machine file."""
    return load(folder, "\n\n".join(blocks("python")))


def load(folder: Path, text: str) -> ModuleType:
    """The text as a module of its own.  Raises what importing it raises."""
    path = folder / f"machine_file_{next(_serial)}.py"
    path.write_text(text, encoding="utf-8")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module  # where the annotations of its classes are looked up
    spec.loader.exec_module(module)
    return module
