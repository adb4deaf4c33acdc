"""cubecli repair."""

from __future__ import annotations

import time

import click

from cubelet.api.v1.sandboxes_pb2 import RepairRequest
from cubelet.cli.client import connected
from cubelet.cli.documents import output_option
from cubelet.cli.sandboxes import shown


@click.command
@output_option("table")
@click.argument("sandbox_id", metavar="ID")
def command(*, output: str, sandbox_id: str) -> None:
    """Put a DIVERGED sandbox's processes in the state that its shim says, past the shim."""
    with connected() as agent:
        sandbox = agent.sandboxes.Repair(RepairRequest(id=sandbox_id)).sandbox
    click.echo(shown(sandbox, output, now_ns=time.time_ns()))
