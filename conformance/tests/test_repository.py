# SPDX-License-Identifier: Apache-2.0
"""The laws of the repository itself: licence lines, layers, lengths, and nothing in it that belongs to one machine.

Each law is a function from a tree of files to its violations. The repository must have none; and a small tree that
breaks the law must be found out, so that no law is kept only because its check is blind.
"""

import ast
import importlib.metadata
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import settings

import accelspec

ROOT = Path(__file__).resolve().parents[2]

# Which of the four packages each may import. Conformance reaches the reference implementation through its target
# alone; tests may use it directly, as they have to break it.
MAY_IMPORT = {
    "spec": set[str](),
    "model": {"spec"},
    "reference_impl": set[str](),
    "conformance": {"spec", "model"},
}
REFERENCE_TARGET = re.compile(r"conformance/(targets/reference\w*|(\w+/)*tests/\w+)\.py")

LONGEST_MODULE = 450
# Modules that are longer on purpose, each with the reason.
LONG_MODULES: dict[str, str] = {}

# Folders of one machine and hosts of package registries, put together from pieces so that this file has none.
MACHINE_WORDS = re.compile(
    "|".join(
        (
            r"(?<![\w.~$})>-])/(?:" + r"work|root|farm|Users|home/\w+)/",
            r"(?<![\w.~$})>-])/tmp/" + r"\w",
            r"(?:pypi|python" + r"hosted)\.org",
            r"\w+\.debian" + r"\.org",
            r"registry\.npm" + r"js\.org",
        )
    )
)


@dataclass(frozen=True)
class Tree:
    """Text files by their path from the root, ``/`` between folders."""

    files: dict[str, str]

    def python(self) -> Iterator[tuple[str, str]]:
        """The Python files."""
        return ((path, text) for path, text in self.files.items() if path.endswith((".py", ".pyi")))

    def packages(self) -> Iterator[tuple[str, str, ast.Module]]:
        """The Python files of the four packages: path, package, syntax tree."""
        for path, text in self.python():
            if (package := path.split("/")[0]) in MAY_IMPORT:
                yield path, package, ast.parse(text, filename=path)


def without_licence(tree: Tree) -> list[str]:
    """Sources whose first two lines (the first may be ``#!``) hold no SPDX line."""
    sources = re.compile(r".*\.(py|pyi|sh|toml|c|h)|(.*/)?Makefile|\.ci/run")
    line = re.compile(r"SPDX-License-Identifier: (Apache-2\.0|GPL-2\.0-only)\b")
    return [
        path
        for path, text in tree.files.items()
        if sources.fullmatch(path) and not any(map(line.search, text.splitlines()[:2]))
    ]


def without_docstring(tree: Tree) -> list[str]:
    """Python modules that do not say in their first sentence what they are."""
    return [path for path, text in tree.python() if not ast.get_docstring(ast.parse(text, filename=path))]


def imports(path: str, module: ast.Module) -> Iterator[tuple[int, str]]:
    """The line and absolute name of everything imported, also inside functions and by ``import_module("...")``."""
    package = ["accelspec", *path.split("/")[:-1]]
    for node in ast.walk(module):
        match node:
            case ast.Import(names=names):
                yield from ((node.lineno, name.name) for name in names)
            case ast.ImportFrom(module=name, names=names, level=level):
                base = package[: len(package) - level + 1] if level else []
                origin = ".".join([*base, name] if name else base)
                if origin == "accelspec":
                    yield from ((node.lineno, f"accelspec.{name.name}") for name in names)
                else:
                    yield node.lineno, origin
            case ast.Call(
                func=ast.Name(id="import_module" | "__import__") | ast.Attribute(attr="import_module"),
                args=[ast.Constant(value=str(name)), *_],
            ):
                yield node.lineno, name


def imports_up_the_layers(tree: Tree) -> list[str]:
    """Imports of a layer that the importing one must not know, and in ``spec`` any outside the standard library."""
    found = []
    for path, package, module in tree.packages():
        for line, name in imports(path, module):
            top, _, below = name.partition(".")
            layer = below.partition(".")[0]
            if top in MAY_IMPORT:
                found.append(f"{path}:{line} imports {name}, whose name is accelspec.{name}")
            elif top == "accelspec" and layer in MAY_IMPORT.keys() - MAY_IMPORT[package] - {package}:
                if not (layer == "reference_impl" and REFERENCE_TARGET.fullmatch(path)):
                    found.append(f"{path}:{line} imports {name}, a layer that {package} must not know")
            elif package == "spec" and "/tests/" not in path and top not in {*sys.stdlib_module_names, "accelspec"}:
                found.append(f"{path}:{line} imports {name}, not of the standard library")
    return found


def modules_with_two_names(tree: Tree) -> list[str]:
    """Imports that would load a module a second time under another name.

    Code imports its own package relatively, for checkers that are given its real path; but a machine file and a
    worked example import what they need as a reader's own file does. Tests import by full name: to pytest their parent
    is ``spec``, not ``accelspec.spec``.
    """
    found = []
    for path, package, module in tree.packages():
        is_readers = (package == "spec" and not path.startswith("spec/language/")) or "/examples/" in path
        for node in ast.walk(module):
            if not isinstance(node, ast.ImportFrom):
                continue
            if "/tests/" in path and node.level:
                found.append(f"{path}:{node.lineno} imports relatively; a test says accelspec.{package}")
            if "/tests/" not in path and not is_readers and f"{node.module}.".startswith(f"accelspec.{package}."):
                found.append(f"{path}:{node.lineno} imports {node.module}; its own package is imported relatively")
    return found


def machine_words(tree: Tree) -> list[str]:
    """Lines that name a folder of one machine or the host of a package registry."""
    return [
        f"{path}:{number} has {match[0]!r}"
        for path, text in tree.files.items()
        for number, line in enumerate(text.splitlines(), start=1)
        if (match := MACHINE_WORDS.search(line))
    ]


def long_modules(tree: Tree) -> list[str]:
    """Python files, tests apart, of more than ``LONGEST_MODULE`` lines without a reason, and reasons without need."""
    lengths = {path: len(text.splitlines()) for path, text in tree.python()}
    too_long = {path for path, length in lengths.items() if length > LONGEST_MODULE and "/tests/" not in path}
    unexplained = sorted(too_long - LONG_MODULES.keys())
    outdated = sorted(LONG_MODULES.keys() - too_long)
    return [f"{path} has {lengths[path]} lines" for path in unexplained] + [f"{path} is short now" for path in outdated]


def broken_links(tree: Tree) -> list[str]:
    """Relative links in Markdown files that lead to no file or folder of the tree."""
    found = []
    folders = {str(parent) for path in tree.files for parent in Path(path).parents}
    for path, text in tree.files.items():
        if not path.endswith(".md") or path.startswith("docs/facts/"):
            continue
        for target in re.findall(r"\]\(([^)\s#]+)[^)]*\)", text):
            if "://" in target or target.startswith("mailto:"):
                continue
            place = "/".join(normalised((Path(path).parent / target).parts)) or "."
            if place not in tree.files and place not in folders:
                found.append(f"{path} links to {target}")
    return found


def normalised(parts: tuple[str, ...]) -> list[str]:
    """A path's parts with every ``..`` carried out."""
    kept: list[str] = []
    for part in parts:
        if part == ".." and kept:
            kept.pop()
        else:
            kept.append(part)
    return kept


@pytest.fixture(scope="module")
def repository() -> Tree:
    """Every text file that git tracks or would add; links, which lead to files that are listed anyway, left out."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        listing = subprocess.run(command, cwd=ROOT, capture_output=True, check=True, text=True).stdout
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("not a git checkout: the laws of the repository hold for one")
    files = {}
    for path in sorted(filter(None, set(listing.split("\0")))):
        place = ROOT / path
        if place.is_file() and not place.is_symlink() and b"\0" not in (data := place.read_bytes()):
            files[path] = data.decode()
    return Tree(files)


Law = Callable[[Tree], list[str]]
LICENCE = "# SPDX-License-Identifier: Apache-2.0\n"

# Every law with small trees that break it, one violation each.
BROKEN: list[tuple[Law, str, str]] = [
    (without_licence, "spec/a.py", '"""Text."""\n'),
    (without_licence, "spec/a.py", f"\n\n{LICENCE}"),
    (without_licence, ".ci/run", "#!/bin/sh\n"),
    (without_docstring, "spec/a.py", LICENCE),
    (imports_up_the_layers, "spec/a.py", "import numpy"),
    (imports_up_the_layers, "spec/a.py", "def f():\n    from accelspec.model import prove"),
    (imports_up_the_layers, "spec/a/b.py", "from ...model import prove"),
    (imports_up_the_layers, "spec/a.py", "import importlib\nimportlib.import_module('accelspec.model')"),
    (imports_up_the_layers, "spec/tests/test_a.py", "from accelspec import model"),
    (imports_up_the_layers, "model/a.py", "from accelspec.conformance import results"),
    (imports_up_the_layers, "model/a.py", "import accelspec.reference_impl.kernel"),
    (imports_up_the_layers, "model/a.py", "from spec import machine"),
    (imports_up_the_layers, "reference_impl/a.py", "from accelspec.spec import errno"),
    (imports_up_the_layers, "conformance/oracle.py", "from accelspec.reference_impl import kernel"),
    (modules_with_two_names, "model/tests/test_a.py", "from ..verdict import Verdict"),
    (modules_with_two_names, "model/a.py", "from accelspec.model.verdict import Verdict"),
    (machine_words, "docs/a.md", "see /ro" + "ot/notes"),
    (machine_words, "lock", "--index-url https://files.python" + "hosted.org/simple"),
    (long_modules, "spec/a.py", "\n" * (LONGEST_MODULE + 1)),
    (broken_links, "docs/a.md", "see [there](../b.md#part)"),
]
LAWS = list(dict.fromkeys(law for law, _, _ in BROKEN))


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
def test_the_repository_keeps(law: Law, repository: Tree) -> None:
    if breaches := law(repository):
        pytest.fail("\n".join([f"{law.__name__.replace('_', ' ')}:", *breaches]), pytrace=False)


@pytest.mark.parametrize(
    ("law", "path", "text"), BROKEN, ids=[f"{law.__name__}-{i}" for i, (law, _, _) in enumerate(BROKEN)]
)
def test_a_broken_tree_is_found_out(law: Law, path: str, text: str) -> None:
    assert len(law(Tree({path: text}))) == 1


def test_what_is_allowed_is_not_reported() -> None:
    tree = Tree(
        {
            "spec/a.py": f'{LICENCE}"""One."""\nimport ast\nfrom .b import c\n',
            "spec/uacce/a.py": f'{LICENCE}"""A machine."""\nfrom accelspec.spec.language import Machine\n',
            "model/a.py": f'{LICENCE}"""Two."""\nimport z3\nfrom accelspec.spec import a\nfrom . import b\n',
            "conformance/targets/reference_a.py": f'{LICENCE}"""Three."""\nimport accelspec.reference_impl as r\n',
            "conformance/tests/test_a.py": f'{LICENCE}"""Four."""\nfrom accelspec.reference_impl import faults\n',
            "README.md": "[one](spec/a.py), [two](model), [three](https://kernel.org/doc), `~/work/a`, docs/work/b",
        }
    )
    assert {law.__name__: law(tree) for law in LAWS if law(tree)} == {}


def test_the_installed_version_is_that_of_the_sources() -> None:
    assert importlib.metadata.version("accelspec") == accelspec.__version__


def test_hypothesis_runs_in_a_profile_of_ours() -> None:
    # Where CI is set, Hypothesis takes its own profile, whose random runs repeat the same cases and keep nothing.
    assert settings.get_current_profile_name() in {"pr", "fuzz"}
