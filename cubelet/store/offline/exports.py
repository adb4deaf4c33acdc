"""All of a store as lines of JSON that say what they are: to read, to carry away, to bring back.

The first line is a Header, then comes a line for each row in the order of `rows.TABLES`, and the
last is an End with the checksum of all bytes before it. A body is there as the text that it is, so
that its own checksum still holds.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import msgspec

import cubelet
from cubelet.core.faults import Code, Reason, error
from cubelet.store import meta, schema
from cubelet.store.offline import readonly
from cubelet.store.offline.rows import TABLES, Row
from cubelet.store.offline.verify import verify_sound
from cubelet.store.offline.whole import whole_file
from cubelet.store.problems import fault_of

#: Grows when an older Cubelet would misread what is written.
VERSION = 1


class Header(msgspec.Struct, frozen=True, tag_field="table", tag="export", kw_only=True):
    """What the file is. Every version has these fields; what a newer one adds is passed over."""

    version: int
    #: That of the tables; `cubelet.store.schema`.
    format: int
    made_at: Annotated[datetime, msgspec.Meta(tz=True)]
    cubelet: str


class End(msgspec.Struct, frozen=True, tag_field="table", tag="end", kw_only=True):
    """That nothing is missing: lines before this one, and the SHA-256 of their bytes, in hex."""

    lines: int
    sha256: str


def export(store: Path, target: Path, *, now_ns: int) -> Mapping[str, int]:
    """Write all of the store to a new file (mode 0600); how many rows of each table that were.

    CubeletError, and no file: ALREADY_EXISTS; FAILED_PRECONDITION where the store has a problem
    or is of an older format, which no import takes; UNAVAILABLE where a file is out of reach.
    """
    if target.exists():
        message = f"{target} exists already; name another file"
        raise error(Code.ALREADY_EXISTS, Reason.BAD_REQUEST, message)
    report = verify_sound(store, otherwise="nothing was written")
    if report.meta[meta.FORMAT] != str(schema.FORMAT):
        message = (
            f"{store} has format {report.meta[meta.FORMAT]}, and only format {schema.FORMAT} is "
            "exported; start this version's agent with it once; nothing was written"
        )
        raise error(Code.FAILED_PRECONDITION, Reason.STORE_FAILED, message)
    try:
        with whole_file(target) as part, part.open("wb") as file:
            for line in _lines(store, now_ns=now_ns):
                file.write(line + b"\n")
    except OSError as problem:
        raise fault_of(problem, target, doing="write") from problem
    return report.counts


def _lines(store: Path, *, now_ns: int) -> Iterator[bytes]:
    made_at = datetime.fromtimestamp(now_ns // 10**9, UTC)
    header = Header(
        version=VERSION, format=schema.FORMAT, made_at=made_at, cubelet=cubelet.__version__
    )
    digest, count = hashlib.sha256(), 0
    for it in (header, *_rows(store)):
        line = msgspec.json.encode(it)
        digest.update(line + b"\n")
        count += 1
        yield line
    yield msgspec.json.encode(End(lines=count, sha256=digest.hexdigest()))


def _rows(store: Path) -> Iterator[Row]:
    with readonly.opened(store) as db:
        try:
            for table, (kind, order) in TABLES.items():
                for values in db[table].rows_where(order_by=order):
                    yield msgspec.convert(values, kind)
        except sqlite3.Error as problem:
            raise fault_of(problem, store, doing="read") from problem
