"""cubecli pause."""

from __future__ import annotations

import click

from cubelet.api.v1.sandboxes_pb2 import PauseRequest, State
from cubelet.cli.client import connected
from cubelet.cli.failure import for_each
from cubelet.cli.requests import expect_options, key_option


@click.command
@expect_options
@key_option
@click.argument("ids", nargs=-1, required=True, metavar="ID...")
def command(
    *, expect_state: State.ValueType, expect_epoch: int | None, key: str, ids: tuple[str, ...]
) -> None:
    """Freeze sandboxes; prints the id of each once it is PAUSED and that is on disk."""
    with connected() as agent:

        def pause(sandbox_id: str) -> None:
            request = PauseRequest(
                id=sandbox_id,
                expected_epoch=expect_epoch or 0,
                expected_state=expect_state,
                idempotency_key=key,
            )
            click.echo(agent.sandboxes.Pause(request).sandbox.id)

        code = for_each(ids, pause)
    raise click.exceptions.Exit(code)
