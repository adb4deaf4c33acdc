"""Lines of the journal as people read them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cubelet.api.v1.sandboxes_pb2 import JournalEntry
from cubelet.cli.sandboxes import stamp_text, state_name

HEADER = ("AT", "ID", "EPOCH", "CAUSE", "BEFORE", "AFTER", "DETAIL")


def row(entry: JournalEntry) -> Sequence[str]:
    """The cells below HEADER."""
    return (
        stamp_text(entry.at),
        entry.sandbox_id,
        str(entry.epoch),
        entry.cause,
        before(entry),
        state_name(entry.after),
        entry.detail,
    )


def before(entry: JournalEntry) -> str:
    """The state before, empty where the sandbox began."""
    return state_name(entry.before) if entry.before else ""


def document(entry: JournalEntry) -> dict[str, Any]:
    """Everything, by the names that the API has."""
    return {
        "sandbox_id": entry.sandbox_id,
        "incarnation": entry.incarnation,
        "revision": entry.revision,
        "epoch": entry.epoch,
        "at": stamp_text(entry.at),
        "cause": entry.cause,
        "before": before(entry) or None,
        "after": state_name(entry.after),
        "operation_id": entry.operation_id,
        "detail": entry.detail,
    }
