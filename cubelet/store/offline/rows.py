"""Each table's row as a value with checked types, and as one line of an export."""

from __future__ import annotations

from typing import Annotated

import msgspec

from cubelet.store import chain

#: What a column of SQLite holds.
Integer = Annotated[int, msgspec.Meta(ge=-(1 << 63), le=(1 << 63) - 1)]


class _Row(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="table"):
    """The columns, by their names."""


class MetaRow(_Row, frozen=True, tag="meta"):
    """A fact about the file itself."""

    key: str
    value: str


class SnapshotRow(_Row, frozen=True, tag="snapshots"):
    """An entry of the catalog."""

    seq: Integer
    id: str
    sandbox_id: str
    created_at_ns: Integer
    body: str


class SandboxRow(_Row, frozen=True, tag="sandboxes"):
    """A record."""

    id: str
    incarnation: str
    state: str
    revision: Integer
    body: str


class OperationRow(_Row, frozen=True, tag="operations"):
    """What a request with a key was answered."""

    seq: Integer
    sandbox_id: str
    key: str
    op_id: str
    at_ns: Integer
    body: str


class JournalRow(_Row, frozen=True, tag="journal"):
    """A line of the journal; `hash` is "" where the file's format has none."""

    seq: Integer
    sandbox_id: str
    incarnation: str
    revision: Integer
    epoch: Integer
    at_ns: Integer
    cause: str
    before: str | None
    after: str
    op_id: str
    detail: str
    hash: str = ""


Row = MetaRow | SnapshotRow | SandboxRow | OperationRow | JournalRow

#: In this order they are read: what is referred to comes first. With each the column of the order.
TABLES: dict[str, tuple[type[Row], str]] = {
    "meta": (MetaRow, "key"),
    "snapshots": (SnapshotRow, "seq"),
    "sandboxes": (SandboxRow, "id"),
    "operations": (OperationRow, "seq"),
    "journal": (JournalRow, "seq"),
}


def columns_of(line: JournalRow) -> chain.Line:
    """What the line's hash is over."""
    return msgspec.structs.astuple(line)[:-1]


def name_of(row: Row) -> str:
    """The table that the row is of."""
    return str(row.__struct_config__.tag)
