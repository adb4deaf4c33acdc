"""Stores whose files were cut or have one wrong bit, and what the store that ships makes of them.

It may serve what was written, name what cannot be read, take the file away and say so, or refuse it
with clear words. It may not serve anything else, nor lose a row in silence.
"""

from __future__ import annotations

import enum
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random

from cubelet.core.faults import CubeletError
from cubelet.engine.ports import Change, Store
from tests.contract.store.samples import change, outcome, snapshot
from tests.power.workload import open_store

SANDBOXES = 30
_FILLER = ("", "x" * 300, "y" * 6000)


class Wrong(AssertionError):
    """The store served something else than was written, or fell over."""


class Verdict(enum.Enum):
    """What became of a damaged store."""

    EXACT = "served exactly"
    NAMED = "named what is unreadable"
    PUT_AWAY = "put the file away"
    REFUSED = "refused the file"


@dataclass(frozen=True, slots=True)
class Damage:
    """What was done to one file of a store: cut to `at` bytes, or the bit `at` is another one."""

    state: str
    name: str
    cut: bool
    at: int

    def do(self, root: Path) -> None:
        """Do it."""
        path = root / self.name
        data = bytearray(path.read_bytes())
        if self.cut:
            del data[self.at :]
        else:
            data[self.at // 8] ^= 1 << self.at % 8
        path.write_bytes(data)

    def __str__(self) -> str:
        what = f"cut to {self.at} bytes" if self.cut else f"bit {self.at} flipped"
        return f"{self.state} {self.name} {what}"


def changes() -> list[Change]:
    """What is written: some of it twice, so that the log has what is not in the file."""
    made = []
    for number in range(2 * SANDBOXES):
        name = f"box {number % SANDBOXES}"
        one = change(name, revision=1 + number // SANDBOXES)
        assert one.record is not None
        spec = replace(one.record.spec, annotations={"filler": _FILLER[number % 3]})
        made.append(
            replace(
                one,
                record=replace(one.record, spec=spec),
                outcomes=(outcome(f"key {number}", name),) if number % 4 == 0 else (),
                snapshots=(snapshot(f"snap {number}"),) if number % 5 == 0 else (),
            )
        )
    return made


async def make(root: Path) -> None:
    """Two stores with the same in them: `closed` in good order, `killed` with a log."""
    for state in ("closed", "killed"):
        (root / state).mkdir(parents=True)
    living = root / "living"
    living.mkdir()
    store = await open_store(living / "store.db")
    await store.completed()
    for number, one in enumerate(changes()):
        if number == SANDBOXES:
            await store.writer.read(lambda conn: conn.execute("PRAGMA wal_checkpoint(RESTART)"))
        await store.commit(one)
    shutil.copytree(living, root / "killed", dirs_exist_ok=True)
    await store.close()
    shutil.copytree(living, root / "closed", dirs_exist_ok=True)
    shutil.rmtree(living)


def draw(root: Path, count: int, dice: Random) -> Iterator[Damage]:
    """So many cuts and so many flips, over all files of both stores."""
    files = [path for state in ("closed", "killed") for path in sorted((root / state).iterdir())]
    for number in range(2 * count):
        path = files[number // 2 % len(files)]
        cut, size = number % 2 == 0, path.stat().st_size
        yield Damage(path.parent.name, path.name, cut, dice.randrange(size if cut else 8 * size))


async def judge(template: Path, damage: Damage, root: Path) -> Verdict:
    """What the store makes of it; Wrong where it may not."""
    _lay_out(template / damage.state, root)
    damage.do(root)
    spoilt = (root / damage.name).read_bytes()
    try:
        store = await open_store(root / "store.db", boot=1)
    except CubeletError as problem:
        _is_clear(problem, root)
        return Verdict.REFUSED
    try:
        verdict = await _served(store, root)
        if verdict is Verdict.PUT_AWAY:
            _is_kept(root, damage.name, spoilt)
        await _goes_on(store, root)
    finally:
        await store.close()
    return verdict


async def _served(store: Store, root: Path) -> Verdict:
    try:
        loaded = await store.load()
    except CubeletError as problem:
        raise Wrong(f"opened, and then: {problem.fault.message}") from problem
    if loaded.incomplete:
        if loaded.records or loaded.snapshots or await store.journal("", limit=1):
            raise Wrong("a new store is not empty")
        return Verdict.PUT_AWAY
    written = changes()
    named = [
        _same(
            {one.id: one.record for one in written},
            {one.id: one for one in loaded.records},
            set(loaded.unreadable),
        ),
        _same(
            {one.id: one for each in written for one in each.snapshots},
            {one.id: one for one in loaded.snapshots},
            set(loaded.unreadable_snapshots),
        ),
        await _same_journal(store, written, root),
        await _same_outcomes(store, written, root),
    ]
    return Verdict.NAMED if any(named) else Verdict.EXACT


def _same(written: Mapping[str, object], seen: Mapping[str, object], named: set[str]) -> bool:
    for name, one in seen.items():
        if written.get(name) != one:
            raise Wrong(f"{name} is another one")
    lost = written.keys() - seen.keys() - named
    if lost:
        raise Wrong(f"{sorted(lost)} are lost in silence")
    return bool(named)


async def _same_journal(store: Store, written: list[Change], root: Path) -> bool:
    lines = [line for one in written for line in one.entries]
    try:
        seen = await store.journal("", limit=10_000)
    except CubeletError as problem:
        _is_clear(problem, root)
        return True
    if list(seen) != lines:
        raise Wrong(f"the journal is another one, {len(seen)} lines of {len(lines)}")
    return False


async def _same_outcomes(store: Store, written: list[Change], root: Path) -> bool:
    unreadable = False
    for told in (told for one in written for told in one.outcomes):
        try:
            seen = await store.outcome(told.sandbox_id, told.key.value)
        except CubeletError as problem:
            _is_clear(problem, root)
            unreadable = True
        else:
            if seen != told:
                raise Wrong(
                    f"the outcome of {told.key.value} is {'gone' if seen is None else seen}"
                )
    return unreadable


async def _goes_on(store: Store, root: Path) -> None:
    """It can be written to, or says why not."""
    try:
        await store.commit(change("later"))
    except CubeletError as problem:
        _is_clear(problem, root)


def _is_clear(problem: CubeletError, root: Path) -> None:
    text = problem.fault.message
    if str(root) not in text or "Error:" in text.replace("DatabaseError", ""):
        raise Wrong(f"not clear: {text}")


def _is_kept(root: Path, name: str, spoilt: bytes) -> None:
    kept = [path for path in (root / "quarantine").rglob(name) if path.read_bytes() == spoilt]
    if not kept:
        raise Wrong(f"{name} was put away, and is gone")


def _lay_out(template: Path, root: Path) -> None:
    shutil.rmtree(root, ignore_errors=True)
    shutil.copytree(template, root)
