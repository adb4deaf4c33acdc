"""The note beside a sandbox: it says what it was told, or nothing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from cubelet.core.model import Handle
from cubelet.runtime import answers
from cubelet.runtime.answers import init_of, shim_of
from cubelet.runtime.identity import boot_id
from cubelet.runtime.note import Note, read_address, read_note, write_note
from cubelet.runtime.places import Place
from tests.support.records import CREATED, HANDLE


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


NOTE = Note.of(CREATED, HANDLE)


def test_it_tells_the_record_as_it_was_created_with_the_shim_that_it_knows(place: Place) -> None:
    write_note(place, NOTE)
    found = read_note(place)
    assert found == NOTE
    assert found.told == replace(CREATED, open=None, handle=HANDLE)
    assert found.incarnation == CREATED.incarnation
    write_note(place, Note.of(CREATED))
    early = read_note(place)
    assert early is not None
    assert early.told == replace(CREATED, open=None)


def test_no_flaw_of_a_bit_makes_it_say_something_else(place: Place) -> None:
    write_note(place, NOTE)
    whole = place.note.read_bytes()
    for bit in range(len(whole) * 8):
        flawed = bytearray(whole)
        flawed[bit // 8] ^= 1 << bit % 8
        place.note.write_bytes(flawed)
        found = read_note(place)
        assert found is None or found == NOTE, bit


def test_a_note_that_was_cut_off_says_nothing(place: Place) -> None:
    assert read_note(place) is None
    write_note(place, NOTE)
    whole = place.note.read_bytes()
    for length in range(len(whole)):
        place.note.write_bytes(whole[:length])
        assert read_note(place) is None, length


def test_that_of_an_older_agent_tells_the_shim_alone(place: Place) -> None:
    bare = {"incarnation": "first", "handle": msgspec.to_builtins(HANDLE)}
    place.note.write_bytes(msgspec.json.encode(bare))
    found = read_note(place)
    assert found == Note("first", HANDLE)
    assert found.told is None
    place.note.write_bytes(msgspec.json.encode(NOTE))
    assert read_note(place) is None


def test_a_shim_that_only_its_own_file_tells_of(place: Place) -> None:
    assert read_address(place) is None
    (place.bundle / "address").write_text("unix:///run/s\n")
    found = read_address(place)
    assert found is not None
    assert (found.address, found.pid) == ("unix:///run/s", 0)


def test_a_process_of_another_boot_is_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pids and start times come again with every boot: they must not be killed for an older one."""
    handle = replace(HANDLE, boot_id=boot_id())
    assert boot_id()
    assert (shim_of(handle).start_ticks, init_of(handle).start_ticks) == (1, 2)
    before = replace(handle, boot_id="another")
    assert (shim_of(before).alive, shim_of(before).start_ticks) == (False, 0)
    assert init_of(before).start_ticks == 0
    unknown: Handle = replace(handle, boot_id="")
    assert init_of(unknown).start_ticks == 2
    monkeypatch.setattr(answers, "boot_id", lambda: "")
    assert init_of(before).start_ticks == 2
