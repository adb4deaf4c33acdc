"""cubecli snapshot rollback."""

from __future__ import annotations

import time

import click

from cubelet.api.v1.sandboxes_pb2 import RollbackRequest
from cubelet.cli.client import connected
from cubelet.cli.documents import output_option
from cubelet.cli.requests import key_option
from cubelet.cli.sandboxes import shown


@click.command("rollback")
@key_option
@output_option("table")
@click.argument("sandbox_id", metavar="ID")
@click.argument("name")
def command(*, key: str, output: str, sandbox_id: str, name: str) -> None:
    """Put a running sandbox back to the snapshot NAME; what it did since then is lost."""
    request = RollbackRequest(id=sandbox_id, snapshot_id=name, idempotency_key=key)
    with connected() as agent:
        sandbox = agent.sandboxes.Rollback(request).sandbox
    click.echo(shown(sandbox, output, now_ns=time.time_ns()))
