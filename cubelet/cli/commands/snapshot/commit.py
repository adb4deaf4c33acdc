"""cubecli snapshot commit."""

from __future__ import annotations

import time

import click

from cubelet.api.v1.sandboxes_pb2 import CommitRequest
from cubelet.cli.client import connected
from cubelet.cli.documents import output_option
from cubelet.cli.requests import key_option
from cubelet.cli.snapshots import shown


@click.command("commit")
@key_option
@output_option("table")
@click.argument("sandbox_id", metavar="ID")
@click.argument("name")
def command(*, key: str, output: str, sandbox_id: str, name: str) -> None:
    """Take a snapshot of a running sandbox, under a NAME that no other has; it runs on."""
    request = CommitRequest(id=sandbox_id, snapshot_id=name, idempotency_key=key)
    with connected() as agent:
        snapshot = agent.sandboxes.Commit(request).snapshot
    click.echo(shown(snapshot, output, now_ns=time.time_ns()))
