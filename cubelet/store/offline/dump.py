"""A store's rows for people and for grep: one JSON object a line, bodies opened, secrets masked."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from cubelet.store import schema
from cubelet.store.offline import readonly
from cubelet.store.offline.rows import TABLES
from cubelet.store.problems import fault_of

#: What stands in the place of a secret.
MASK = "***"
#: Objects in a body whose values are secrets: the environment, and the headers of hooks.
_SECRET = frozenset({"env", "headers"})


def dump(path: Path, tables: Collection[str], *, lines: int | None, secrets: bool) -> Iterator[str]:
    """A line for each row of these tables, of the journal only the newest `lines` (None: all).

    Raises CubeletError, maybe in the middle, where the file cannot be read or is not ours.
    """
    with readonly.opened(path) as db:
        try:
            schema.refuse_foreign(db, path)
            for table in (name for name in TABLES if name in tables):
                _, order = TABLES[table]
                skipped = max(0, db[table].count - lines) if table == "journal" and lines else 0
                for row in db[table].rows_where(order_by=order, offset=skipped, limit=-1):
                    yield json.dumps(_shown(table, row, secrets=secrets))
        except sqlite3.Error as problem:
            raise fault_of(problem, path, doing="read") from problem


def _shown(table: str, row: dict[str, Any], *, secrets: bool) -> dict[str, Any]:
    """The row under its table's name, its body as the JSON that it is."""
    shown = {"table": table, **row}
    if "body" in row:
        shown["body"] = _opened(str(row["body"]), secrets=secrets)
    return shown


def _opened(body: str, *, secrets: bool) -> object:
    try:
        found: object = json.loads(body)
    except (ValueError, RecursionError):
        return body if secrets else f"{MASK} no JSON, {len(body)} characters"
    return found if secrets else _masked(found)


def _masked(value: object) -> object:
    if isinstance(value, list):
        return [_masked(one) for one in value]
    if not isinstance(value, dict):
        return value
    return {
        key: dict.fromkeys(inner, MASK)
        if key in _SECRET and isinstance(inner, dict)
        else _masked(inner)
        for key, inner in value.items()
    }
