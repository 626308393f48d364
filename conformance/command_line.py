# SPDX-License-Identifier: Apache-2.0
"""The command `accelspec`.

Results go to standard output, progress to standard error.  Bad input is answered with one line and what to do about it,
and exit code 2; an internal error with one line (a traceback with `--debug`) and exit code 3.
"""

from __future__ import annotations

import importlib
import os
import sys
import traceback
from collections.abc import Sequence

import click

import accelspec

from .loading import refusal
from .results import Exit

# Commands are imported when they are asked for: `accelspec list` does not wait for a solver to be loaded.
COMMANDS = {
    "verify": "engines",
    "prove": "engines",
    "explore": "engines",
    "fuzz": "driving",
    "replay": "driving",
    "kernel": "kernel",
    "matrix": "engines",
    "explain": "engines",
    "compare": "looking",
    "list": "looking",
    "show": "looking",
    "report": "reporting",
}


class Commands(click.Group):
    """The commands, in the order in which a reader wants to know of them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Their names."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """One of them, imported now."""
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"accelspec.conformance.commands.{COMMANDS[cmd_name]}")
        command: click.Command = getattr(module, "list_" if cmd_name == "list" else cmd_name)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does, but an unknown command is answered with the nearest one."""
        from .loading import did_you_mean

        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            hint = did_you_mean(args[0], list(COMMANDS)) or f"Known: {', '.join(COMMANDS)}."
            raise click.UsageError(f"there is no command {args[0]!r}. {hint}", ctx)
        return super().resolve_command(ctx, args)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(accelspec.__version__, prog_name="accelspec", message="%(prog)s %(version)s")
@click.option("--debug", is_flag=True, help="Show the traceback of an internal error.")
def cli(debug: bool) -> None:  # `run` looks for --debug itself
    """What Linux accelerator drivers must do, as a specification that runs.

    A name is a machine (uacce), a revision of one (uacce@6.12.117), or a Python file of your own.
    """


def main(args: Sequence[str] | None = None) -> None:
    """Run the command and leave with its exit code."""
    sys.exit(run(sys.argv[1:] if args is None else list(args)))


def run(args: Sequence[str]) -> int:
    """Run the command; the exit code.  Raises nothing."""
    debug = "--debug" in args and args[0] != "kernel"  # which has another one
    if debug:
        args = [a for a in args if a != "--debug"]  # wherever it stands
    try:
        code = cli.main(args=args, prog_name="accelspec", standalone_mode=False)
        sys.stdout.flush()
        return code if isinstance(code, int) else Exit.AS_EXPECTED.value
    except click.UsageError as e:
        where = f"\n    Try: {e.ctx.command_path} --help" if e.ctx else ""
        _complain(e.format_message() + where)
        return Exit.USAGE.value
    except (click.exceptions.Abort, KeyboardInterrupt):
        _complain("interrupted")
        return Exit.INTERRUPTED.value
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # so that nothing is flushed into it at exit
        return Exit.AS_EXPECTED.value
    except Exception as e:
        mistake = refusal(e)
        if mistake is not None:
            _complain(str(mistake))
            return Exit.USAGE.value
        if debug:
            traceback.print_exc()
        hint = (
            ""
            if debug
            else "\n    accelspec --debug ... shows where. This is our mistake, not yours: please report it."
        )
        _complain(f"internal error: {type(e).__name__}: {e}{hint}")
        return Exit.INTERNAL.value


def _complain(text: str) -> None:
    print(f"accelspec: {text}", file=sys.stderr)


if __name__ == "__main__":
    main()
