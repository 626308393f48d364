# SPDX-License-Identifier: Apache-2.0
"""The command `kernel`: build and boot the machine of the target `kernel`; and the options that name its parts."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence

import click

from ..campaign import roomy_scope
from ..loading import select_one
from ..machine import Image, build
from ..output import say
from ..targets import Call, System, TargetError
from ..targets.kernel import DEBUG, Kernel, parts_of

PARTS = {
    "kernel-image": "A kernel image of your own; it has to take the distribution's modules, or yours (--module).",
    "module": "A module that is loaded after ours, or instead of the one of its name; may be repeated.",
    "uacce-source": "A uacce.c of your own, built as a module instead of the distribution's.",
    "provider": "A hardware driver of your own instead of conformance/machine/provider/provider.c.",
}

LOOKS_AT_ITSELF = "A kernel with KASAN, lockdep, kmemleak and fault injection, compiled here; for runs at night."


def kernel_parts(f: click.decorators.FC) -> click.decorators.FC:
    """`--kernel-image`, `--module`, `--uacce-source`, `--provider`, `--debug`: they become options of the target."""

    def keep(context: click.Context, parameter: click.Parameter, value: tuple[str, ...]) -> None:
        if value:
            name = str(parameter.name).replace("_", "-")
            given = context.meta.setdefault("accelspec.parts", {})
            given[name] = ":".join(value)

    def keep_debug(context: click.Context, parameter: click.Parameter, value: bool) -> None:
        if value:
            context.meta.setdefault("accelspec.parts", {})[DEBUG] = "yes"

    f = click.option(f"--{DEBUG}", is_flag=True, callback=keep_debug, expose_value=False, help=LOOKS_AT_ITSELF)(f)
    for name, text in reversed(PARTS.items()):
        path = click.Path(exists=True, dir_okay=False, resolve_path=True)
        f = click.option(
            f"--{name}", multiple=True, type=path, metavar="FILE", callback=keep, expose_value=False, help=text
        )(f)
    return f


def given_parts() -> dict[str, str]:
    """What those options were given in this call of the command."""
    found: dict[str, str] = click.get_current_context().meta.get("accelspec.parts", {})
    return found


@click.group()
def kernel() -> None:
    """The virtual machine of the target `kernel`, made from the distribution's packages."""


def _tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _build() -> Image:
    return build(parts_of(given_parts()), _tell)


@kernel.command("build")
@kernel_parts
def build_(**_: object) -> int:
    """Make kernel, modules and initial file system, in the user's cache folder."""
    began = time.monotonic()
    image = _build()
    say(f"Linux {image.release.name} in {image.folder} ({time.monotonic() - began:.0f} s)\n")
    return 0


@kernel.command()
@kernel_parts
@click.argument("machine", default="uacce@6.12.117", required=False, metavar="[MACHINE@REVISION]")
def boot(machine: str, **_: object) -> int:
    """Boot it and make calls of a machine by hand: `OPERATION ARGUMENT...` as in a trace, one a line."""
    entry = select_one(machine)
    target = Kernel(entry.machine, entry.revision, given_parts())
    try:
        scope = roomy_scope(entry.compile())
        cells = {f"hwQueue{n}.device": "device0" for n in range(scope.get("HwQueue", 0))}
        target.reset(System(entry.machine, entry.revision, scope, cells))
        _tell(f"{target.name}: calls of {entry.name}, such as `close process0 fd0`; read PATH; quit")
        shell(lambda words: answered(target, words), sys.stdin.readline)
    finally:
        target.close()
    return 0


def answered(target: Kernel, words: Sequence[str]) -> str:
    """What the guest answers to a line: a call, or a file of its own."""
    if words[0] == "read":
        return target.read(words[1] if len(words) > 1 else "/proc/version").rstrip()
    if words[0] not in (target.operations or ()):
        raise TargetError(f"there is no operation {words[0]}; there is {', '.join(sorted(target.operations or ()))}")
    try:
        seen = target.perform(Call(words[0], tuple(words[1:])))
    except (TypeError, ValueError, KeyError, IndexError) as error:
        raise TargetError(f"{' '.join(words)}: {error}") from error
    state = (f"    {cell} = {value}" for cell, value in seen.state.items() if value not in ("False", "0", "ABSENT"))
    return "\n".join([" ".join([seen.result, *seen.created]), *state, *(f"    !! {alarm}" for alarm in seen.alarms)])


def shell(answer: Callable[[Sequence[str]], str], read_line: Callable[[], str]) -> None:
    """Read lines and answer them, until the end or `quit`."""
    while True:
        if sys.stdin.isatty():
            print("> ", end="", file=sys.stderr, flush=True)
        line = read_line()
        words = line.split()
        if not line or words == ["quit"]:
            return
        if words:
            try:
                say(answer(words) + "\n")
            except TargetError as error:
                say(f"{error}\n")
