"""cubecli pause."""

from __future__ import annotations

import click

from cubelet.api.v1.sandboxes_pb2 import PauseRequest
from cubelet.cli.client import connected
from cubelet.cli.failure import for_each


@click.command
@click.argument("ids", nargs=-1, required=True, metavar="ID...")
def command(*, ids: tuple[str, ...]) -> None:
    """Freeze sandboxes; prints the id of each once it is PAUSED and that is on disk."""
    with connected() as agent:

        def pause(sandbox_id: str) -> None:
            request = PauseRequest(id=sandbox_id)
            click.echo(agent.sandboxes.Pause(request).sandbox.id)

        code = for_each(ids, pause)
    raise click.exceptions.Exit(code)
