"""Snapshots as people read them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cubelet.api.v1.sandboxes_pb2 import Snapshot
from cubelet.cli.documents import rendered
from cubelet.cli.sandboxes import stamp_text
from cubelet.cli.tables import age, table

HEADER = ("ID", "SANDBOX", "RUNTIME", "MODE", "BASE", "CREATED")


def row(snapshot: Snapshot, *, now_ns: int) -> Sequence[str]:
    """The cells below HEADER."""
    return (
        snapshot.id,
        snapshot.sandbox_id,
        snapshot.runtime,
        snapshot.mode,
        snapshot.base_id,
        age((now_ns - snapshot.created_at.ToNanoseconds()) / 1e9),
    )


def document(snapshot: Snapshot) -> dict[str, Any]:
    """Everything, by the names that the API has."""
    return {
        "id": snapshot.id,
        "kind": snapshot.kind,
        "runtime": snapshot.runtime,
        "sandbox_id": snapshot.sandbox_id,
        "mode": snapshot.mode,
        "base_id": snapshot.base_id,
        "generation": snapshot.generation,
        "created_at": stamp_text(snapshot.created_at),
        "path": snapshot.path,
    }


def shown(snapshot: Snapshot, output: str, *, now_ns: int) -> str:
    """One snapshot in the form that -o asks for."""
    if output == "table":
        return table(HEADER, [row(snapshot, now_ns=now_ns)])
    return rendered(document(snapshot), output)
