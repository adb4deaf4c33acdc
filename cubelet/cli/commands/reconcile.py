"""cubecli reconcile."""

from __future__ import annotations

import time
from typing import Any

import click

from cubelet.api.v1.sandboxes_pb2 import Forecast, ReconcileRequest
from cubelet.cli.client import connected
from cubelet.cli.documents import output_option, rendered
from cubelet.cli.sandboxes import shown, state_name
from cubelet.cli.tables import columns


@click.command
@click.option("--dry-run", is_flag=True, help="Only say what would be done; change nothing.")
@output_option("table")
@click.argument("sandbox_id", metavar="ID")
def command(*, dry_run: bool, output: str, sandbox_id: str) -> None:
    """Ask a sandbox's shim now, follow what it says, and show the sandbox after that."""
    with connected() as agent:
        request = ReconcileRequest(id=sandbox_id, dry_run=dry_run)
        reply = agent.sandboxes.Reconcile(request)
    if not dry_run:
        click.echo(shown(reply.sandbox, output, now_ns=time.time_ns()))
    elif output == "table":
        click.echo(_text(reply.forecast))
    else:
        click.echo(rendered(_document(reply.forecast), output))


def _text(forecast: Forecast) -> str:
    before, after = state_name(forecast.before), state_name(forecast.after)
    rows = [
        ("answer", forecast.evidence),
        ("state", before if before == after else f"{before} -> {after}"),
        *(("would", line) for line in forecast.would or ("do nothing",)),
    ]
    return "\n".join(columns(rows))


def _document(forecast: Forecast) -> dict[str, Any]:
    return {
        "evidence": forecast.evidence,
        "before": state_name(forecast.before),
        "after": state_name(forecast.after),
        "would": list(forecast.would),
    }
