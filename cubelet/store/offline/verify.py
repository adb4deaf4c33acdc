"""Everything that can be checked of a store's file, each thing that is wrong as a value."""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec
from sqlite_utils import Database

from cubelet.core.faults import Code, CubeletError, Reason, error
from cubelet.store import damage, schema
from cubelet.store.offline import readonly
from cubelet.store.offline.audit import Audit
from cubelet.store.offline.problem import RESTORE, Problem
from cubelet.store.offline.rows import TABLES
from cubelet.store.problems import fault_of

#: Problems that are kept in a report; what is beyond is counted.
PROBLEMS_MAX = 1000
#: Lines of SQLite's own check, which can be long for one broken page.
_INTEGRITY_MAX = 20
_DAMAGED = f"{RESTORE}, or start the agent: it keeps the damaged one and asks the shims"


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What is wrong (the first `PROBLEMS_MAX` of `found`), rows by table, and what meta says."""

    problems: tuple[Problem, ...]
    found: int
    counts: Mapping[str, int]
    meta: Mapping[str, str]


def verify(path: Path, *, boot_id: str = "") -> Report:
    """Check the whole file; CubeletError where there is none or it cannot be read at all.

    With the host's boot id also whether all is there that was answered since the host began.
    Nobody may write to it meanwhile. 10,000 records and 190,000 lines of the journal take 6 s.
    """
    audit = Audit()
    with readonly.opened(path) as db:
        problems = _problems(db, path, audit, boot_id)
        first = tuple(itertools.islice(problems, PROBLEMS_MAX))
        found = len(first) + sum(1 for _ in problems)
    return Report(problems=first, found=found, counts=audit.counts, meta=audit.meta)


def verify_sound(path: Path, *, otherwise: str) -> Report:
    """Check it, and raise FAILED_PRECONDITION where anything is wrong; ends with `otherwise`."""
    report = verify(path)
    if report.found:
        message = (
            f"{path} has {report.found} problem(s), the first: {report.problems[0]}; {otherwise}"
        )
        raise error(Code.FAILED_PRECONDITION, Reason.STORE_FAILED, message)
    return report


def _problems(db: Database, path: Path, audit: Audit, boot_id: str) -> Iterator[Problem]:
    try:
        yield from _integrity(db)
        schema.refuse_foreign(db, path)
        if misfit := schema.misfit(db):
            yield Problem("file", misfit, _DAMAGED)
        for table in TABLES:
            yield from _table(db, table, audit)
        if missing := damage.missing(db.conn, path, boot_id):
            yield Problem("file", missing, _DAMAGED)
    except CubeletError as refused:
        yield Problem("file", str(refused), "nothing in it was checked")
    except (sqlite3.Error, UnicodeDecodeError) as problem:  # Its messages may quote the file.
        if not damage.is_damage(problem):
            raise fault_of(problem, path, doing="read") from problem
        yield Problem("file", f"what follows cannot be read: {problem}", _DAMAGED)
    else:
        yield from audit.end()


def _integrity(db: Database) -> Iterator[Problem]:
    for (line,) in db.conn.execute(f"PRAGMA integrity_check({_INTEGRITY_MAX})"):
        if line != "ok":
            yield Problem("file", f"SQLite's check: {line}", _DAMAGED)


def _table(db: Database, table: str, audit: Audit) -> Iterator[Problem]:
    kind, order = TABLES[table]
    if table not in db.table_names():
        yield Problem(f"table {table}", "it is missing", _DAMAGED)
        return
    for values in db[table].rows_where(order_by=order):
        try:
            row = msgspec.convert(values, kind)
        except msgspec.ValidationError as why:
            yield Problem(f"table {table}, {order} {values.get(order)!r}", str(why), _DAMAGED)
        else:
            yield from audit.row(row)
