"""Pages over a list that changes meanwhile.

A page begins after the *place* of the last sandbox of the page before, not at a number, so that
nothing is left out when others come and go. Places only ever move towards the end (a sandbox ends),
so that at worst one is shown twice.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from google.protobuf.message import Message

from cubelet.core.model import Record
from cubelet.rpc.validate import bad

PAGE_SIZE_MAX = 500
#: A page ends early rather than grow beyond this: a reply over ttrpc has at most 4 MiB, which is
#: also what gRPC's clients take unless told otherwise. One sandbox has some 500 KiB at most.
PAGE_BYTES_MAX = 3 << 20

#: What pages are sorted by; of sandboxes: ended ones last, newest first, then by id.
Place = tuple[bool, int, str]

T = TypeVar("T")
M = TypeVar("M", bound=Message)


def place(record: Record) -> Place:
    """Where a sandbox stands in every listing."""
    return (bool(record.finished_at_ns), -record.created_at_ns, record.id)


def page(
    items: Iterable[T],
    *,
    at: Callable[[T], Place],
    wire: Callable[[T], M],
    size: int,
    token: str,
) -> tuple[Sequence[M], str]:
    """At most `size` items (0: PAGE_SIZE_MAX) after the token, and the next token, "" at the end.

    `wire` gives the message of an item; all together have at most PAGE_BYTES_MAX. A larger size is
    cut to PAGE_SIZE_MAX; a negative one or a token that we never gave is refused.
    """
    if size < 0:
        raise bad("page_size", size, f"use 1 to {PAGE_SIZE_MAX}, or 0 for the most")
    limit = min(size or PAGE_SIZE_MAX, PAGE_SIZE_MAX)
    after = _read(token) if token else None
    rest = sorted((item for item in items if after is None or at(item) > after), key=at)
    shown = _fitting(map(wire, rest[:limit]))
    return shown, _token(at(rest[len(shown) - 1])) if len(rest) > len(shown) else ""


def _fitting(messages: Iterable[M]) -> list[M]:
    """Those that fit a page, at least one if there are any: else nobody could ever turn it."""
    fitting: list[M] = []
    total_bytes = 0
    for message in messages:
        total_bytes += message.ByteSize()
        if fitting and total_bytes > PAGE_BYTES_MAX:
            break
        fitting.append(message)
    return fitting


def _token(last: Place) -> str:
    ended, newest, sandbox_id = last
    return base64.urlsafe_b64encode(f"{int(ended)}:{newest}:{sandbox_id}".encode()).decode()


def _read(token: str) -> Place:
    try:
        ended, newest, sandbox_id = base64.urlsafe_b64decode(token).decode().split(":", 2)
        return (bool(int(ended)), int(newest), sandbox_id)
    except (binascii.Error, ValueError) as failed:
        rule = "use the next_page_token of the page before, or none for the first"
        raise bad("page_token", token, rule) from failed
