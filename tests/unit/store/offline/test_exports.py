"""An export comes back as it was, and nothing else comes in."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cubelet.core.faults import Code, CubeletError
from cubelet.store.offline.exports import export
from cubelet.store.offline.imports import import_store
from cubelet.store.offline.reader import LINE_BYTES_MAX, ExportReader
from cubelet.store.offline.verify import verify
from tests.unit.store.files import open_store, spoil

NOW_NS = 1_700_000_000 * 10**9


@pytest.fixture
def exported(store: Path, tmp_path: Path) -> Path:
    target = tmp_path / "store.jsonl"
    export(store, target, now_ns=NOW_NS)
    return target


@pytest.fixture
def target(tmp_path: Path) -> Path:
    (tmp_path / "new").mkdir()
    return tmp_path / "new" / "cubelet.db"


def rows(path: Path) -> dict[str, list[Any]]:
    conn = sqlite3.connect(path)
    names = ("meta", "sandboxes", "snapshots", "operations", "journal")
    selects = {name: f"SELECT * FROM {name} ORDER BY 1" for name in names}  # noqa: S608
    found = {name: conn.execute(select).fetchall() for name, select in selects.items()}
    conn.close()
    return found


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def written(path: Path, documents: list[dict[str, Any]]) -> None:
    """The lines as an export, with an end that fits them."""
    body = b"".join(msgspec.json.encode(document) + b"\n" for document in documents)
    end = {"table": "end", "lines": len(documents), "sha256": hashlib.sha256(body).hexdigest()}
    path.write_bytes(body + msgspec.json.encode(end) + b"\n")


def refusal(source: Path, target: Path) -> CubeletError:
    """Why the import is refused; nothing is there then."""
    with pytest.raises(CubeletError) as caught:
        import_store(source, target)
    assert list(target.parent.iterdir()) == []
    return caught.value


def test_everything_comes_back(store: Path, exported: Path, target: Path) -> None:
    counts = import_store(exported, target)
    before, after = rows(store), rows(target)
    facts = dict(after.pop("meta"))
    assert "imported: an export of 2023-11-14T22:13:20Z" in facts.pop("incomplete")
    assert facts.pop("opened") == ""
    assert facts.items() <= dict(before.pop("meta")).items()
    assert after == before
    assert counts == verify(store).counts
    assert verify(target).problems == ()
    assert target.stat().st_mode & 0o777 == 0o600
    assert list(target.parent.iterdir()) == [target]


async def test_an_agent_finds_the_same(store: Path, exported: Path, target: Path) -> None:
    import_store(exported, target)
    one, two = await open_store(store), await open_store(target)
    loaded = await two.load()
    assert replace(loaded, incomplete="") == replace(await one.load(), incomplete="")
    assert loaded.incomplete
    assert await one.journal("", limit=1000) == await two.journal("", limit=1000)
    assert await one.outcome("gone", "k") == await two.outcome("gone", "k") is not None
    await one.close()
    await two.close()


def test_an_export_of_an_import_differs_in_what_it_says_of_itself_only(
    exported: Path, target: Path, tmp_path: Path
) -> None:
    import_store(exported, target)
    export(target, tmp_path / "again.jsonl", now_ns=NOW_NS)
    kinds = ("snapshots", "sandboxes", "operations", "journal")
    one, two = (
        [line for line in lines(path) if line["table"] in kinds]
        for path in (exported, tmp_path / "again.jsonl")
    )
    assert one == two


def test_it_says_what_it_is_and_only_its_owner_may_read_it(exported: Path) -> None:
    first, *_, last = lines(exported)
    assert (first["table"], first["version"]) == ("export", 1)
    assert first["made_at"] == "2023-11-14T22:13:20Z"
    assert last["table"] == "end"
    assert last["lines"] == len(lines(exported)) - 1
    assert exported.stat().st_mode & 0o777 == 0o600


def test_a_file_that_is_there_is_not_written_over(store: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")
    with pytest.raises(CubeletError, match="exists already"):
        export(store, tmp_path / "mine", now_ns=NOW_NS)
    assert (tmp_path / "mine").read_text() == "mine"


def test_a_store_with_a_problem_is_not_exported(store: Path, tmp_path: Path) -> None:
    spoil(store, "UPDATE sandboxes SET body = 'x' WHERE id = 'box'")
    with pytest.raises(CubeletError, match=r"has 1 problem.*sandbox box"):
        export(store, tmp_path / "out", now_ns=NOW_NS)
    assert [one.name for one in tmp_path.iterdir()] == [store.name]


def test_a_store_of_an_older_format_is_not_exported(store: Path, tmp_path: Path) -> None:
    spoil(store, "ALTER TABLE journal DROP COLUMN hash")
    spoil(store, "UPDATE meta SET value = '1' WHERE key = 'format'")
    spoil(store, "DELETE FROM _sqlite_migrations WHERE name = 'm002_chain'")
    with pytest.raises(CubeletError, match="start this version's agent with it once"):
        export(store, tmp_path / "out", now_ns=NOW_NS)
    assert [one.name for one in tmp_path.iterdir()] == [store.name]


def test_where_nothing_can_be_written_nothing_is_left(store: Path, tmp_path: Path) -> None:
    with pytest.raises(CubeletError, match="No such file or directory"):
        export(store, tmp_path / "no" / "out", now_ns=NOW_NS)
    assert [one.name for one in tmp_path.iterdir()] == [store.name]


def test_a_store_that_is_there_stays(store: Path, exported: Path) -> None:
    before = store.read_bytes()
    with pytest.raises(CubeletError, match="there is a store already") as caught:
        import_store(exported, store)
    assert caught.value.fault.code is Code.ALREADY_EXISTS
    assert store.read_bytes() == before


def test_a_log_alone_is_a_store_too(exported: Path, target: Path) -> None:
    log = target.with_name(f"{target.name}-wal")
    log.write_bytes(b"what was acknowledged last")
    with pytest.raises(CubeletError, match="there is a store already"):
        import_store(exported, target)
    assert list(target.parent.iterdir()) == [log]


def test_where_a_damaged_store_is_being_replaced_that_comes_first(
    exported: Path, target: Path
) -> None:
    new = target.with_name(f"{target.name}.new.20261123T080000Z")
    new.write_bytes(b"an agent died when it had this to do")
    with pytest.raises(CubeletError, match="there is a store already"):
        import_store(exported, target)
    assert list(target.parent.iterdir()) == [new]


def test_what_an_import_that_was_killed_left_is_in_nobodys_way(
    exported: Path, target: Path
) -> None:
    target.with_name(f"{target.name}.part").write_bytes(b"half of it")
    import_store(exported, target)
    assert list(target.parent.iterdir()) == [target]


def test_an_export_that_ends_anywhere_before_its_end_is_refused(
    exported: Path, target: Path
) -> None:
    whole = exported.read_bytes()
    ends = [number for number, byte in enumerate(whole) if byte == ord("\n")][:-1]
    for end in [0, len(whole) - 2, *(place + more for place in ends for more in (0, 1, 9))]:
        exported.write_bytes(whole[:end])
        fault = refusal(exported, target).fault
        # A line that only lost its newline is whole, and the next one is missing.
        numbers = [whole[:end].count(b"\n") + more for more in (1, 2)]
        assert any(f", line {number}: " in fault.message for number in numbers), end
        assert fault.code is Code.INVALID_ARGUMENT


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_bit_that_flipped_anywhere_is_refused(
    data: st.DataObject, exported: Path, target: Path
) -> None:
    whole = exported.read_bytes()
    place = data.draw(st.integers(0, len(whole) - 2))  # The last newline ends nothing.
    flipped = bytearray(whole)
    flipped[place] ^= 1 << data.draw(st.integers(0, 7))
    damaged = exported.with_name("damaged")
    damaged.write_bytes(flipped)
    refusal(damaged, target)


Documents = list[dict[str, Any]]


def changed(number: int, **values: object) -> Callable[[Documents], object]:
    return lambda documents: documents[number].update(values)


def without_format(documents: Documents) -> None:
    documents[:] = [one for one in documents if one.get("key") != "format"]


#: What is done to an export whose checksum is right then, and the line and reason that are told.
WRONG: dict[str, tuple[Callable[[Documents], object], str]] = {
    "rows in no order": (lambda it: it.append(it[1]), "table meta comes before journal"),
    "no header": (lambda it: it.pop(0), ", line 1: not a line of an export"),
    "a version of nobody": (changed(0, version=0), ", line 1: no version 0"),
    "a number for a text": (changed(1, key=7), ", line 2: not a line of an export: Expected `str`"),
    "a column too many": (changed(1, more=1), ", line 2: not a line of an export: Object contains"),
    "an unknown table": (changed(1, table="x"), ", line 2: not a line of an export: Invalid value"),
    "a number too large": (changed(-1, seq=1 << 63), "not a line of an export: Expected `int` <="),
    "a row twice": (lambda it: it.insert(1, it[1]), ", line 3: UNIQUE constraint failed"),
    "a journal line gone": (lambda it: it.pop(-2), "those between are missing"),
    "the last line gone": (lambda it: it.pop(), "sandbox other: its record is RUNNING"),
    "a column that is not the body's": (changed(-18, revision=77), "columns are not those"),
    "a journal line changed": (changed(-3, detail=""), "journal line 12: its hash does not fit"),
    "an anchor of nobody": (changed(1, key="anchor"), "the line before it"),
    "no format": (without_format, "meta says format None"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_an_export_that_says_what_cannot_be_is_refused_at_its_line(
    exported: Path, target: Path, kind: str
) -> None:
    change, why = WRONG[kind]
    documents = lines(exported)[:-1]
    change(documents)
    written(exported, documents)
    message = refusal(exported, target).fault.message
    assert why in message
    assert message.startswith(f"{exported}, line ")
    assert message.endswith("; nothing was imported")


@pytest.mark.parametrize("newer", [{"version": 2}, {"format": 999}, {"version": 2, "new": [1]}])
def test_a_newer_export_is_refused_by_its_number(
    exported: Path, target: Path, newer: dict[str, object]
) -> None:
    documents = lines(exported)[:-1]
    documents[0].update(newer, cubelet="7.1")
    documents[1] = {"table": "moons", "phase": 3}
    written(exported, documents)
    fault = refusal(exported, target).fault
    assert fault.code is Code.FAILED_PRECONDITION
    assert "was written by Cubelet 7.1" in fault.message


def test_more_behind_the_end_is_refused(exported: Path, target: Path) -> None:
    with exported.open("ab") as file:
        file.write(b"\n")
    assert "more behind the last line" in refusal(exported, target).fault.message


def test_a_line_without_end_does_not_fill_the_memory(exported: Path) -> None:
    with exported.open("wb") as file:
        file.truncate(LINE_BYTES_MAX * 3)
    with exported.open("rb") as file:
        with pytest.raises(CubeletError, match="line 1: not a line of an export"):
            list(ExportReader(exported, file).rows())
        assert file.tell() == LINE_BYTES_MAX


def test_an_export_that_is_not_there(tmp_path: Path, target: Path) -> None:
    assert "No such file or directory" in refusal(tmp_path / "no", target).fault.message
