"""cubecli ps."""

from __future__ import annotations

import time
from collections.abc import Sequence

import click

from cubelet.api.v1.sandboxes_pb2 import Sandbox
from cubelet.cli import sandboxes
from cubelet.cli.client import connected
from cubelet.cli.documents import output_option, rendered
from cubelet.cli.tables import table
from cubelet.cli.values import KeyValue


@click.command
@click.option("-a", "--all", "all_", is_flag=True, help="Those that have ended, too.")
@click.option("-q", "--quiet", is_flag=True, help="Only ids, one a line.")
@click.option(
    "--state",
    multiple=True,
    type=click.Choice(list(sandboxes.STATES), case_sensitive=False),
    help="Only those in this state; may be given again.",
)
@click.option("--label", multiple=True, type=KeyValue(), help="Only those with this label.")
@output_option("table")
def command(
    *,
    all_: bool,
    quiet: bool,
    state: tuple[str, ...],
    label: tuple[tuple[str, str], ...],
    output: str,
) -> None:
    """List sandboxes, newest first: those that live, paused ones too, or --all."""
    everywhere = [] if all_ else sandboxes.LIVE
    states = [sandboxes.STATES[name.upper()] for name in state] or everywhere
    with connected() as agent:
        found = list(agent.list(states=states, labels=dict(label)))
    if quiet:
        for sandbox in found:
            click.echo(sandbox.id)
    elif output == "table":
        click.echo(_table(found))
    else:
        click.echo(rendered([sandboxes.document(sandbox) for sandbox in found], output))


def _table(found: Sequence[Sandbox]) -> str:
    now_ns = time.time_ns()
    return table(sandboxes.HEADER, [sandboxes.row(sandbox, now_ns=now_ns) for sandbox in found])
