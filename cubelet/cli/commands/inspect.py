"""cubecli inspect."""

from __future__ import annotations

import json
from typing import Any

import click

from cubelet.api.v1.sandboxes_pb2 import GetRequest, Sandbox
from cubelet.cli.client import Client, connected
from cubelet.cli.documents import output_option, rendered
from cubelet.cli.failure import for_each
from cubelet.cli.sandboxes import document
from cubelet.cli.tables import table


@click.command
@output_option("json")
@click.argument("ids", nargs=-1, required=True, metavar="ID...")
def command(*, output: str, ids: tuple[str, ...]) -> None:
    """Show all that is known of sandboxes, as a list of documents.

    An ID may be cut short to the part that only one sandbox begins with.
    """
    found: list[dict[str, Any]] = []
    with connected() as agent:
        code = for_each(ids, lambda one: found.append(document(_get(agent, one))))
    _print(found, output)
    raise click.exceptions.Exit(code)


def _get(agent: Client, sandbox_id: str) -> Sandbox:
    return agent.sandboxes.Get(GetRequest(id=sandbox_id)).sandbox


def _print(found: list[dict[str, Any]], output: str) -> None:
    if output != "table":
        click.echo(rendered(found, output))
        return
    for one in found:
        click.echo(table(("FIELD", "VALUE"), [(key, _cell(value)) for key, value in one.items()]))


def _cell(value: object) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
