"""cubecli explain."""

from __future__ import annotations

import time

import click

from cubelet.api.v1.sandboxes_pb2 import ExplainRequest
from cubelet.cli.client import connected
from cubelet.cli.documents import output_option, rendered
from cubelet.cli.explanations import document, text


@click.command
@output_option("table")
@click.argument("sandbox_id", metavar="ID")
def command(*, output: str, sandbox_id: str) -> None:
    """Say why a sandbox is in its state, and what happens next and when.

    The ID may be cut short to the part that only one sandbox begins with. Asks no shim, so that a
    hung one is explained too.
    """
    with connected() as agent:
        reply = agent.sandboxes.Explain(ExplainRequest(id=sandbox_id))
    if output == "table":
        click.echo(text(reply, now_ns=time.time_ns()))
    else:
        click.echo(rendered(document(reply), output))
