"""The group `cubecli`: global options, and commands that are imported when they are called.

Imports take longer than most commands, so that `--help` and a misspelt command must not pay for
what only a call needs, and a call on the local socket not for gRPC.
"""

from __future__ import annotations

import importlib
import sys
from typing import Any

import click

from cubelet.cli.failure import Failure
from cubelet.cli.settings import Settings

#: Name and first line of help of every command, in the order in which they are shown.
COMMANDS = {
    "run": "Make a sandbox, start it and print its id.",
    "ps": "List sandboxes.",
    "inspect": "Show all that is known of sandboxes.",
    "explain": "Say why a sandbox is in its state, and what happens next.",
    "pause": "Freeze sandboxes.",
    "resume": "Let paused sandboxes run again.",
    "snapshot": "Take snapshots of sandboxes, go back to them, list them.",
    "journal": "Show what was written of a sandbox, or of all.",
    "reconcile": "Ask a sandbox's shim now, and follow what it says.",
    "repair": "Put a DIVERGED sandbox's processes in the state its shim says.",
    "rm": "End and remove sandboxes, in whatever state they are.",
    "info": "Show how the agent fares.",
    "doctor": "Find what is left on this host of sandboxes that no record owns.",
    "backup": "Copy the agent's store to a file while the agent goes on.",
    "version": "Show the versions of cubecli and of the agent.",
}

EPILOG = """
\b
Exit codes:
  0    done
  1    failed
  2    the command line, or a value in it, is wrong
  3    no such sandbox, snapshot, template or runtime
  4    no answer in time; the operation may still go on
  5    the agent cannot be reached, or is too busy
  6    not in this state, or something else came first
  7    no permission
  8    doctor: orphans are left
  130  interrupted
Of several sandboxes that fail, the first decides.
"""


class Commands(click.Group):
    """Finds a command's file by its name."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All names, without an import."""
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command, imported now."""
        del ctx
        if cmd_name not in COMMANDS:
            return None
        command = importlib.import_module(f"cubelet.cli.commands.{cmd_name}").command
        assert isinstance(command, click.Command)  # noqa: S101  # What the package promises.
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The help's list of commands, from the table above."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def invoke(self, ctx: click.Context) -> Any:
        """As always; a Failure is shown, and an interrupt ends quietly with the shell's code."""
        try:
            return super().invoke(ctx)
        except Failure as failure:
            failure.show()
            ctx.exit(failure.exit_code)
        except KeyboardInterrupt:
            ctx.exit(INTERRUPTED)


#: 128 + SIGINT, as shells have it.
INTERRUPTED = 130


@click.group(cls=Commands, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "-a",
    "--address",
    envvar="CUBELET_ADDRESS",
    default="",
    metavar="SOCKET|HOST:PORT",
    help="Where the agent listens: ttrpc is spoken to a SOCKET that ends in .ttrpc, gRPC to any "
    "other. Default: $CUBELET_ADDRESS, else the agent's default .ttrpc socket.",
)
@click.option(
    "--timeout",
    "timeout_s",
    type=click.FloatRange(min=0, min_open=True, max=86_400),
    default=60.0,
    show_default=True,
    metavar="SECONDS",
    help="How long to wait for an answer.",
)
@click.pass_context
def cli(ctx: click.Context, address: str, timeout_s: float) -> None:
    """Run, pause, resume and remove the sandboxes of this machine's Cubelet agent."""
    ctx.obj = Settings(address=address, timeout_s=timeout_s)


def main() -> None:
    """The console script's entry."""
    try:
        cli(prog_name="cubecli")
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
