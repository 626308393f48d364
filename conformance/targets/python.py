# SPDX-License-Identifier: Apache-2.0
"""A target written in Python: `python:MODULE:FACTORY`, and the base class that does everything but the operations.

The factory is called with the revision and the options of the command line and answers a `Target`.  A subclass of
`Driver` is one::

    class Queue(Driver):
        failures = frozenset({"get_queue"})

        def begin(self, system: System) -> None:
            self.free = 1

        def do_open(self, process: str, fd: str, device: str, fails: Mapping[str, str]) -> str:
            return fails.get("get_queue", "OK")

`python:my_driver:Queue` then holds `my_driver.py` of the current folder to a specification.
"""

from __future__ import annotations

import errno
import importlib
import inspect
import sys
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path

from msgspec.structs import replace

from .interface import Call, Observation, System, Target, TargetError


class Driver:
    """A driver model in Python: a method `do_OPERATION` for every operation that it offers.

    A method gets the arguments of the call by position, each a name, and the injected failures if it has a parameter
    `fails`.  It answers None or 0 for success, a negative errno as a kernel function does, the name of an outcome, or
    an `Observation` if there is more to say; an `OSError` it raises is its errno.  Any other exception is a crash of
    the driver: the outcome `OOPS`.
    """

    failures: frozenset[str] | None = frozenset()

    def __init__(self, revision: str = "", options: Mapping[str, str] | None = None) -> None:
        self.revision, self.options = revision, dict(options or {})
        self._methods: dict[str, tuple[Callable[..., object], int, bool]] = {}

    @property
    def name(self) -> str:
        """As in `Target`."""
        return f"{type(self).__module__}:{type(self).__qualname__}"

    @property
    def operations(self) -> frozenset[str] | None:
        """As in `Target`."""
        return frozenset(name.removeprefix("do_") for name in dir(self) if name.startswith("do_"))

    def begin(self, system: System) -> Mapping[str, str] | None:
        """Begin again with a fresh system: the one method to be written besides the operations.

        Answers the initial cells if they are not the wished ones.
        """
        raise NotImplementedError

    def state(self) -> Mapping[str, str]:
        """Cells of the specification's state that can be seen; compared after every call."""
        return {}

    def leftovers(self) -> Mapping[str, int]:
        """How many objects of each kind exist."""
        return {}

    def close(self) -> None:
        """Nothing to end."""

    def reset(self, system: System) -> Mapping[str, str]:
        """As in `Target`."""
        try:
            cells = self.begin(system)
        except NotImplementedError:
            raise TargetError(f"{self.name} has no method begin(system), which makes a fresh system") from None
        return system.cells if cells is None else cells

    def perform(self, call: Call) -> Observation:
        """As in `Target`."""
        method, arguments, wants_fails = self._method(call.operation)
        if len(call.args) != arguments:
            takes = f"{self.name}.do_{call.operation} takes {arguments} arguments"
            raise TargetError(f"{takes}; the specification's {call} has {len(call.args)}")
        try:
            try:
                answer = method(*call.args, **({"fails": call.fails} if wants_fails else {}))
                seen = answer if isinstance(answer, Observation) else Observation(outcome(answer))
            except OSError as error:
                seen = Observation(errno_name(error.errno or 0))
            state = self.state()
        except Exception as error:
            return Observation("OOPS", alarms=(crash(error),))
        return replace(seen, state={**state, **seen.state}) if state else seen

    def _method(self, operation: str) -> tuple[Callable[..., object], int, bool]:
        """The method of an operation, how many arguments it takes, and whether it wants the injected failures."""
        if operation not in self._methods:
            method = getattr(self, f"do_{operation}", None)
            if method is None:
                raise TargetError(f"{self.name} has no method do_{operation}")
            names = inspect.signature(method).parameters
            self._methods[operation] = method, len(names) - ("fails" in names), "fails" in names
        return self._methods[operation]


def outcome(answer: object) -> str:
    """The name of an outcome that a driver's method returned."""
    if answer is None:
        return "OK"
    if isinstance(answer, str):
        return answer
    if isinstance(answer, int) and answer <= 0:
        return errno_name(-answer)
    raise TypeError(f"an operation answered {answer!r}: neither None, an outcome's name, 0, nor a negative errno")


def errno_name(number: int) -> str:
    """The kernel's name of a Linux error number; 0 is OK."""
    if number == errno.EOPNOTSUPP:
        return "EOPNOTSUPP"  # Python prefers the other name that user space has for it
    return "OK" if number == 0 else errno.errorcode.get(number, f"errno {number}")


def crash(error: Exception) -> str:
    """One line about an exception: what, and the innermost place."""
    frames = traceback.extract_tb(error.__traceback__)
    at = f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    return f"{type(error).__name__}: {error}{at}"


def from_factory(text: str, revision: str, options: Mapping[str, str]) -> Target:
    """The target that `MODULE:FACTORY` makes; a module may lie in the current folder, as for `python -m`.

    Raises TargetError if there is no such module or factory, or if what it makes is no target.
    """
    module_name, _, factory_name = text.partition(":")
    if not module_name or not factory_name:
        raise TargetError(
            f"python:{text} names no factory: write python:MODULE:FACTORY, for example python:my_driver:Queue"
        )
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        module = importlib.import_module(module_name)
    except Exception as error:
        raise TargetError(f"the module {module_name} cannot be imported: {crash(error)}") from error
    factory = getattr(module, factory_name, None)
    if not callable(factory):
        have = ", ".join(
            name for name, value in vars(module).items() if inspect.isclass(value) or inspect.isfunction(value)
        )
        raise TargetError(f"the module {module_name} has no factory {factory_name}; it has {have or 'none'}")
    try:
        made = factory(revision, options)
    except TargetError:
        raise
    except Exception as error:
        raise TargetError(f"{text} failed while it made the target: {crash(error)}") from error
    if not isinstance(made, Target):
        missing = [
            name
            for name in ("name", "operations", "failures", "reset", "perform", "leftovers", "close")
            if not hasattr(made, name)
        ]
        raise TargetError(f"{text} made a {type(made).__name__}, which is no target: it has no {', '.join(missing)}")
    return made
