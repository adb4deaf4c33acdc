"""cubecli doctor."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import click

from cubelet.api.v1.node_pb2 import DoctorRequest, DoctorResponse, Orphan
from cubelet.cli.client import connected
from cubelet.cli.documents import output_option, rendered
from cubelet.cli.failure import Exit
from cubelet.cli.tables import escaped


@click.command
@click.option(
    "--fix",
    is_flag=True,
    help="Kill all of it that lives, and remove all of it. Look without --fix first.",
)
@output_option("table")
@click.pass_context
def command(ctx: click.Context, *, fix: bool, output: str) -> None:
    """Find what is left on this host of sandboxes that no record owns.

    Looked at is what this agent may have made. Each orphan is told with all that is there of it;
    what lives, and --fix would kill, comes first. Ends with exit code 8 where orphans are left.
    """
    with connected() as agent:
        found = agent.node.Doctor(DoctorRequest(fix=fix))
    left = found.more + sum(not orphan.removed for orphan in found.orphans)
    if output == "table":
        for line in _lines(found, fix=fix, left=left):
            click.echo(escaped(line))
    else:
        click.echo(rendered(_document(found), output))
    ctx.exit(Exit.ORPHANS if left else 0)


def _lines(found: DoctorResponse, *, fix: bool, left: int) -> Iterator[str]:
    for orphan in found.orphans:
        name = orphan.sandbox_id or "snapshot"
        yield f"{name}  {orphan.runtime or '-'}  {_outcome(orphan)}"
        yield from (f"  {line}" for line in orphan.found)
    if found.more:
        yield f"and {found.more} more, which are told of when these are gone"
    if not left:
        yield "nothing is left" if found.orphans else "no orphans"
    elif fix:
        yield f"{left} left; run it again, or see the reasons above"
    else:
        yield f"{left} left; `cubecli doctor --fix` kills what lives of them and removes it all"


def _outcome(orphan: Orphan) -> str:
    if orphan.removed:
        return "removed"
    if orphan.failure:
        return f"not removed: {orphan.failure}"
    return "no record owns it" if orphan.sandbox_id else "no catalog has it"


def _document(found: DoctorResponse) -> dict[str, Any]:
    return {
        "orphans": [
            {
                "sandbox_id": orphan.sandbox_id,
                "runtime": orphan.runtime,
                "found": list(orphan.found),
                "removed": orphan.removed,
                "failure": orphan.failure,
            }
            for orphan in found.orphans
        ],
        "more": found.more,
    }
