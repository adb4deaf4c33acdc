"""What a dump shows, and what it does not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cubelet.core.faults import CubeletError
from cubelet.store.offline.dump import MASK, dump
from cubelet.store.offline.rows import TABLES
from tests.support.lives import HIDDEN, LIVED
from tests.unit.store.files import spoil


def dumped(path: Path, *tables: str, lines: int | None = None, secrets: bool = False) -> list[Any]:
    text = list(dump(path, tables or TABLES, lines=lines, secrets=secrets))
    assert all(line.isprintable() and line.isascii() for line in text)
    return [json.loads(line) for line in text]


def test_every_row_is_a_line_that_names_its_table(store: Path) -> None:
    found = dumped(store)
    assert {row["table"] for row in found} == set(TABLES)
    (box,) = (row for row in found if row["table"] == "sandboxes" and row["id"] == "box")
    assert box["state"] == "PAUSED"
    assert box["body"]["value"]["spec"]["args"] == ["count", "é\x1b😀"]


def test_only_the_tables_that_are_asked_for(store: Path) -> None:
    assert {row["table"] for row in dumped(store, "meta", "snapshots")} == {"meta", "snapshots"}


def test_the_newest_lines_of_the_journal_oldest_first(store: Path) -> None:
    entries = [entry for change in LIVED for entry in change.entries]
    numbers = [row["seq"] for row in dumped(store, "journal", lines=3)]
    assert numbers == [len(entries) - 2, len(entries) - 1, len(entries)]
    assert (
        len(dumped(store, "journal", lines=1000)) == len(dumped(store, "journal")) == len(entries)
    )


def test_secrets_are_masked_wherever_a_spec_is(store: Path) -> None:
    assert HIDDEN not in json.dumps(dumped(store))
    specs = [row["body"]["value"]["spec"] for row in dumped(store, "sandboxes")]
    specs += [
        row["body"]["value"]["record"]["spec"]
        for row in dumped(store, "operations")
        if row["body"]["value"]["record"]
    ]
    assert len(specs) > len(dumped(store, "sandboxes"))
    assert {spec["env"]["TOKEN"] for spec in specs} == {MASK}
    assert {spec["prestop"][0]["headers"]["Authorization"] for spec in specs} == {MASK}


def test_secrets_are_shown_to_who_asks_for_them(store: Path) -> None:
    (box, _) = dumped(store, "sandboxes", secrets=True)
    assert box["body"]["value"]["spec"]["env"] == {"TOKEN": HIDDEN}


def test_a_body_that_is_damaged_gives_away_nothing(store: Path) -> None:
    spoil(store, "UPDATE sandboxes SET body = '{' || body WHERE id = 'box'")
    (box, _) = dumped(store, "sandboxes")
    assert MASK in box["body"]
    assert HIDDEN not in box["body"]
    (box, _) = dumped(store, "sandboxes", secrets=True)
    assert HIDDEN in box["body"]


def test_a_file_that_is_damaged_is_an_error(store: Path) -> None:
    store.write_bytes(store.read_bytes()[:5000])
    with pytest.raises(CubeletError, match="cannot read"):
        dumped(store)


def test_a_newer_store_is_refused(store: Path) -> None:
    spoil(store, "UPDATE meta SET value = '999' WHERE key = 'format'")
    with pytest.raises(CubeletError, match="format '999'"):
        dumped(store)
