"""cubecli snapshot: one file per command, as in the package above."""

from __future__ import annotations

import click

from cubelet.cli.commands.snapshot import commit, ls, rollback


@click.group
def command() -> None:
    """Take snapshots of sandboxes, go back to them, list them."""


for _one in (commit, rollback, ls):
    command.add_command(_one.command)
