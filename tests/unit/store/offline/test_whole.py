"""A file that is there whole and on the disk, or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from cubelet.store import files
from cubelet.store.offline.whole import whole_file


def test_it_is_synced_before_it_has_its_name_and_the_name_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "made"
    synced: list[tuple[str, bool]] = []
    monkeypatch.setattr(files, "sync", lambda one: synced.append((one.name, target.exists())))
    with whole_file(target) as part:
        part.write_text("all of it")
    assert synced == [("made.part", False), (tmp_path.name, True)]
    assert target.read_text() == "all of it"


def test_nothing_is_left_of_one_that_failed(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), whole_file(tmp_path / "made") as part:
        part.write_text(str(1 // 0))
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_one_left_is_in_nobodys_way(tmp_path: Path) -> None:
    (tmp_path / "made.part").write_text("half")
    with whole_file(tmp_path / "made") as part:
        assert part.read_text() == ""
        assert part.stat().st_mode & 0o777 == 0o600
    assert [one.name for one in tmp_path.iterdir()] == ["made"]
