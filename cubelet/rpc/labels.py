"""The labels of a sandbox as both wires show them: its creator's, and those of its bindings."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from cubelet.core.bindings import (
    RESTORE_AT_KEY,
    RESTORE_ID_KEY,
    RUNTIME_AT_KEY,
    RUNTIME_ID_KEY,
    Binding,
)
from cubelet.core.model import Record

_NANOS = 1_000_000_000


def labels_of(record: Record) -> dict[str, str]:
    """The spec's labels, and for each binding its snapshot and since when."""
    bindings = record.bindings
    return {
        **record.spec.labels,
        **dict(_pair(bindings.runtime, RUNTIME_ID_KEY, RUNTIME_AT_KEY)),
        **dict(_pair(bindings.restore, RESTORE_ID_KEY, RESTORE_AT_KEY)),
    }


def _pair(binding: Binding, id_key: str, at_key: str) -> Iterator[tuple[str, str]]:
    if binding.snapshot_id:
        yield id_key, binding.snapshot_id
        yield at_key, rfc3339_nano(binding.attached_at_ns)


def rfc3339_nano(at_ns: int) -> str:
    """A stamp as Go's time.RFC3339Nano writes it in UTC: no more digits than are needed."""
    seconds, nanos = divmod(at_ns, _NANOS)
    whole = datetime.fromtimestamp(seconds, tz=UTC).strftime("%Y-%m-%dT%H:%M:%S")
    fraction = f".{nanos:09d}".rstrip("0").rstrip(".")
    return f"{whole}{fraction}Z"
