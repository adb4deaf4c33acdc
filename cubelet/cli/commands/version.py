"""cubecli version."""

from __future__ import annotations

import platform
from typing import Any

import click

import cubelet
from cubelet.api.v1.node_pb2 import VersionRequest, VersionResponse
from cubelet.cli.client import connected
from cubelet.cli.documents import output_option, rendered
from cubelet.cli.failure import Failure
from cubelet.cli.tables import table


@click.command
@output_option("table")
def command(*, output: str) -> None:
    """Show the versions of cubecli and, where it can be reached, of the agent."""
    agent, why_not = _ask()
    if output == "table":
        click.echo(_table(agent, why_not))
    else:
        document = {"cubecli": _client(), "agent": _document(agent), "unreachable": why_not}
        click.echo(rendered(document, output))


def _ask() -> tuple[VersionResponse | None, str]:
    try:
        with connected() as agent:
            return agent.node.Version(VersionRequest()), ""
    except Failure as failure:
        return None, failure.message


def _client() -> dict[str, str]:
    from importlib import metadata  # noqa: PLC0415  # Slow, and most ask for the table.

    return {
        "version": cubelet.__version__,
        "python": platform.python_version(),
        "grpcio": metadata.version("grpcio"),
    }


def _document(agent: VersionResponse | None) -> dict[str, Any] | None:
    if agent is None:
        return None
    names = ("version", "python", "grpcio", "protobuf", "sqlite")
    return {name: getattr(agent, name) for name in names} | {"runtimes": list(agent.runtimes)}


def _table(agent: VersionResponse | None, why_not: str) -> str:
    rows = [("cubecli", cubelet.__version__), ("agent", agent.version if agent else why_not)]
    if agent is not None:
        rows.append(("runtimes", ", ".join(agent.runtimes)))
    return table(("WHAT", "VERSION"), rows)
