"""Options of commands that change a sandbox: what must be so, and what the request is called."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from cubelet.cli.sandboxes import STATES

_UINT64_MAX = 2**64 - 1

key_option = click.option(
    "--key",
    default="",
    help="A name for this request; sent again with it, it is answered again and not done again.",
)


def expect_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options --expect-state, which comes as the state's number, and --expect-epoch."""
    state = click.option(
        "--expect-state",
        type=click.Choice(list(STATES), case_sensitive=False),
        default=None,
        callback=lambda _context, _option, name: STATES[name] if name else 0,
        help="Refuse unless it is in this state.",
    )
    epoch = click.option(
        "--expect-epoch",
        type=click.IntRange(1, _UINT64_MAX),
        default=None,
        help="Refuse if anything was done to it since this epoch.",
    )
    return state(epoch(command))
