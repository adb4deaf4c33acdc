"""cubecli rm."""

from __future__ import annotations

import click

from cubelet.api.v1.sandboxes_pb2 import DeleteRequest
from cubelet.cli.client import connected
from cubelet.cli.failure import for_each
from cubelet.cli.requests import key_option


@click.command
@click.option("--all", "all_", is_flag=True, help="All there are, instead of IDs.")
@key_option
@click.argument("ids", nargs=-1, metavar="[ID...]")
def command(*, all_: bool, key: str, ids: tuple[str, ...]) -> None:
    """End and remove sandboxes, in whatever state they are; prints the id of each that is gone."""
    if all_ == bool(ids):
        raise click.UsageError("name the sandboxes to remove, or say --all")
    with connected() as agent:

        def remove(sandbox_id: str) -> None:
            agent.sandboxes.Delete(DeleteRequest(id=sandbox_id, idempotency_key=key))
            click.echo(sandbox_id)

        code = for_each(ids or [sandbox.id for sandbox in agent.list()], remove)
    raise click.exceptions.Exit(code)
