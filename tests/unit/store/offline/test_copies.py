"""A backup brought back: the same store, which says that it may not know everything."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from cubelet.core.faults import CubeletError
from cubelet.store.damage import has_a_log
from cubelet.store.offline.imports import import_store
from cubelet.store.offline.verify import verify
from tests.support.lives import LIVED
from tests.unit.store.files import open_store, spoil


@pytest.fixture
def target(tmp_path: Path) -> Path:
    (tmp_path / "new").mkdir()
    return tmp_path / "new" / "cubelet.db"


async def test_a_backup_that_was_made_in_use_comes_back(path: Path, target: Path) -> None:
    store = await open_store(path)
    for change in LIVED:
        await store.commit(change)
    await store.completed()
    made = await store.backup("one")
    before = await store.load()
    journal = await store.journal("", limit=100)
    await store.close()
    counts = import_store(Path(made.path), target)
    assert counts == verify(Path(made.path)).counts
    assert list(target.parent.iterdir()) == [target]
    back = await open_store(target)
    loaded = await back.load()
    assert await back.journal("", limit=100) == journal
    await back.close()
    assert before.incomplete == ""
    assert loaded == replace(before, incomplete="it was made of a copy, which has nothing newer")


async def test_what_waits_in_the_log_of_a_copy_comes_along(path: Path, target: Path) -> None:
    running = await open_store(path)
    for change in LIVED:
        await running.commit(change)
    (path.parent / "killed").mkdir()
    for one in path.parent.glob(f"{path.name}*"):
        shutil.copy(one, path.parent / "killed")
    await running.close()
    counts = import_store(path.parent / "killed" / path.name, target)
    assert counts["sandboxes"] == 2
    assert verify(target).problems == ()
    assert not has_a_log(target)
    assert list(target.parent.iterdir()) == [target]


@pytest.mark.parametrize(
    ("statement", "why"),
    [
        ("UPDATE sandboxes SET body = 'x'", "has 2 problem"),
        ("UPDATE meta SET value = '999' WHERE key = 'format'", "format '999'"),
    ],
)
def test_a_backup_with_a_problem_makes_no_store(
    store: Path, target: Path, statement: str, why: str
) -> None:
    spoil(store, statement)
    with pytest.raises(CubeletError, match=why) as caught:
        import_store(store, target)
    assert caught.value.fault.message.endswith("; nothing was imported")
    assert list(target.parent.iterdir()) == []


def test_only_its_owner_may_read_what_was_made(store: Path, target: Path) -> None:
    store.chmod(0o644)
    import_store(store, target)
    assert target.stat().st_mode & 0o777 == 0o600
