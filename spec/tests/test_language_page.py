# SPDX-License-Identifier: Apache-2.0
"""What docs/language.md shows is what happens."""

from __future__ import annotations

import doctest
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

from accelspec.spec.language import Machine, SpecError, compile_machine
from accelspec.spec.tests.loading import blocks, page


@pytest.fixture(scope="module")
def module(tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    return page(tmp_path_factory.mktemp("page"))


def machines(module: ModuleType) -> list[type[Machine]]:
    own = [c for c in vars(module).values() if isinstance(c, type) and issubclass(c, Machine) and c is not Machine]
    return [c for c in own if c.machine]


def test_every_machine_compiles(module: ModuleType) -> None:
    assert len([compile_machine(c) for c in machines(module)]) == 12


def test_what_is_shown_is_printed(module: ModuleType) -> None:
    examples = doctest.DocTestParser().get_doctest("\n".join(blocks("pycon")), vars(module), "page", None, 0)
    assert len(examples.examples) == 6
    said: list[str] = []
    failed = doctest.DocTestRunner(verbose=False).run(examples, out=said.append)
    assert failed.failed == 0, "".join(said)


def test_the_error_is_the_one_that_is_shown(module: ModuleType, tmp_path: Path) -> None:
    (wrong,), (shown,) = blocks("python wrong"), blocks("text")
    path = tmp_path / "wrong.py"
    path.write_text(wrong)
    spec = importlib.util.spec_from_file_location("page_wrong", path)
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    vars(made).update({n: v for n, v in vars(module).items() if not n.startswith("__")})
    sys.modules["page_wrong"] = made
    spec.loader.exec_module(made)
    with pytest.raises(SpecError) as e:
        compile_machine(made.Loop)
    assert str(e.value).replace(str(path), "FILE") == shown.rstrip()


def test_every_word_is_explained() -> None:
    """Whatever a machine file imports is on the page, but for the errnos."""
    from accelspec.spec import language
    from accelspec.spec.tests.loading import PAGE

    text = PAGE.read_text(encoding="utf-8")
    not_for_authors = {"Answer", "Mark", "Source", "Specification", "SpecError"}
    words = {n for n in language.__all__ if not n.startswith("E") or n == "Errno"} - not_for_authors
    assert not {w for w in words if w not in text}
