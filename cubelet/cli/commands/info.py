"""cubecli info."""

from __future__ import annotations

import time
from typing import Any

import click

from cubelet.api.v1.node_pb2 import StatusRequest, StatusResponse
from cubelet.cli.client import connected
from cubelet.cli.documents import output_option, rendered
from cubelet.cli.explanations import block, conditions
from cubelet.cli.sandboxes import STATES, condition_document
from cubelet.cli.tables import age


@click.command
@output_option("table")
def command(*, output: str) -> None:
    """Show how the agent fares: its conditions, and how many sandboxes there are by state.

    Asks no shim and no disk, so that it answers whatever is wrong with them.
    """
    with connected() as agent:
        status = agent.node.Status(StatusRequest())
    if output == "table":
        click.echo(_text(status, now_ns=time.time_ns()))
    else:
        click.echo(rendered(_document(status), output))


def _document(status: StatusResponse) -> dict[str, Any]:
    return {
        "conditions": [condition_document(it) for it in status.conditions],
        "sandboxes": _counts(status),
        "unreadable": dict(sorted(status.unreadable.items())),
        "unreadable_more": status.unreadable_more,
        "relist_age_s": _relist_age_s(status),
    }


def _text(status: StatusResponse, *, now_ns: int) -> str:
    asked = f"the last round over all sandboxes ended {age(_relist_age_s(status))} ago"
    unreadable = sorted(status.unreadable.items())
    if status.unreadable_more:
        unreadable.append(("and more", f"{status.unreadable_more} that are not shown here"))
    blocks = (
        conditions(status.conditions, now_ns=now_ns) or block("CONDITIONS", [("none",)]),
        block("SANDBOXES", [(state, str(count)) for state, count in _counts(status).items()])
        or block("SANDBOXES", [("none",)]),
        block("UNREADABLE RECORDS", unreadable),
        block("ROUNDS", [(asked,)]),
    )
    return "\n\n".join("\n".join(lines) for lines in blocks if lines)


def _counts(status: StatusResponse) -> dict[str, int]:
    """In the order of a sandbox's life; states that only a newer agent knows at the end."""
    known = [state for state in STATES if state in status.sandboxes]
    others = sorted(set(status.sandboxes) - set(known))
    return {state: status.sandboxes[state] for state in (*known, *others)}


def _relist_age_s(status: StatusResponse) -> float:
    return status.relist_age.ToNanoseconds() / 1e9
