"""What a command ends with when it did not work: one line on stderr and an exit code."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable

import click

from cubelet.cli.tables import escaped


class Exit(enum.IntEnum):
    """The exit codes that the epilog of --help explains."""

    FAILED = 1
    USAGE = 2
    NOT_FOUND = 3
    DEADLINE = 4
    UNAVAILABLE = 5
    CONFLICT = 6
    PERMISSION = 7
    ORPHANS = 8


class Failure(Exception):
    """Ends the command, or the work on one of several sandboxes."""

    def __init__(self, message: str, exit_code: Exit) -> None:
        super().__init__(message)
        self.message = message
        self.exit_code = exit_code

    def show(self) -> None:
        """One line, whatever the message has in it."""
        click.echo(f"cubecli: {escaped(self.message)}", err=True)


def for_each(ids: Iterable[str], do: Callable[[str], None]) -> int:
    """Do it for every id, going on after a failure; the exit code, which is that of the first."""
    codes: list[int] = []
    for sandbox_id in ids:
        try:
            do(sandbox_id)
        except Failure as failure:
            failure.show()
            codes.append(failure.exit_code)
    return codes[0] if codes else 0
