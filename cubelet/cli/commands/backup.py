"""cubecli backup."""

from __future__ import annotations

import click

from cubelet.api.v1.node_pb2 import BackupRequest
from cubelet.cli.client import connected
from cubelet.cli.documents import output_option, rendered
from cubelet.cli.tables import escaped


@click.command
@output_option("table")
@click.argument("name", metavar="[NAME]", default="")
def command(*, output: str, name: str) -> None:
    """Copy the agent's store to a new file in its state directory, and print where that is.

    The agent goes on meanwhile. Without a NAME it is called by the time.
    """
    with connected() as agent:
        made = agent.node.Backup(BackupRequest(name=name))
    if output == "table":
        click.echo(escaped(made.path))
    else:
        click.echo(rendered({"path": made.path, "bytes": made.bytes}, output))
