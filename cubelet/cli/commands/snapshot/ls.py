"""cubecli snapshot ls."""

from __future__ import annotations

import time

import click

from cubelet.cli.client import connected
from cubelet.cli.documents import output_option, rendered
from cubelet.cli.snapshots import HEADER, document, row
from cubelet.cli.tables import table


@click.command("ls")
@output_option("table")
def command(*, output: str) -> None:
    """List all snapshots, oldest first."""
    with connected() as agent:
        found = list(agent.snapshots())
    if output == "table":
        now_ns = time.time_ns()
        click.echo(table(HEADER, [row(snapshot, now_ns=now_ns) for snapshot in found]))
    else:
        click.echo(rendered([document(snapshot) for snapshot in found], output))
