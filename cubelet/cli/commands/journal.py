"""cubecli journal."""

from __future__ import annotations

import click

from cubelet.api.v1.sandboxes_pb2 import JournalRequest
from cubelet.cli.client import connected
from cubelet.cli.documents import output_option, rendered
from cubelet.cli.journals import HEADER, document, row
from cubelet.cli.tables import table

_LIMIT_MAX = 1000


@click.command
@click.option(
    "-n",
    "--limit",
    type=click.IntRange(1, _LIMIT_MAX),
    default=100,
    show_default=True,
    help="The newest so many lines.",
)
@output_option("table")
@click.argument("sandbox_id", metavar="[ID]", default="")
def command(*, limit: int, output: str, sandbox_id: str) -> None:
    """Show what was written of a sandbox, oldest first, or of all.

    The ID is a whole one; it may be that of a sandbox that is gone.
    """
    with connected() as agent:
        request = JournalRequest(id=sandbox_id, limit=limit)
        entries = agent.sandboxes.Journal(request).entries
    if output == "table":
        click.echo(table(HEADER, [row(entry) for entry in entries]))
    else:
        click.echo(rendered([document(entry) for entry in entries], output))
