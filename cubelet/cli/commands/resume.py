"""cubecli resume."""

from __future__ import annotations

import click

from cubelet.api.v1.sandboxes_pb2 import ResumeRequest
from cubelet.cli.client import connected
from cubelet.cli.failure import for_each


@click.command
@click.argument("ids", nargs=-1, required=True, metavar="ID...")
def command(*, ids: tuple[str, ...]) -> None:
    """Let paused sandboxes run again; prints the id of each once it is RUNNING."""
    with connected() as agent:

        def resume(sandbox_id: str) -> None:
            request = ResumeRequest(id=sandbox_id)
            click.echo(agent.sandboxes.Resume(request).sandbox.id)

        code = for_each(ids, resume)
    raise click.exceptions.Exit(code)
