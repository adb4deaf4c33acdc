"""Everything that can be asked of a store, while its disk fails; and what must hold then.

What was answered is there, now and after the next opening; what was refused is there whole or not
at all; each refusal says what, where and why; and once the disk is well, so is the store.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

from cubelet.core.faults import Code, CubeletError
from cubelet.core.model import Record
from cubelet.engine.ports import Change, StoreFailed
from cubelet.store.sqlite import SqliteStore
from tests.contract.store.samples import change, entry, outcome, record, snapshot
from tests.power import python_os, sqlite_os
from tests.power.faults import Faults
from tests.power.history import View, view_of
from tests.power.workload import open_store

T = TypeVar("T")

OLD = ("old 1", "old 2", "old 3")
_LATER_NS = entry().at_ns + 2 * 86_400 * 10**9


class Wrong(AssertionError):
    """A promise is broken."""


def _changes() -> list[Change]:
    """One of each kind: each is for a record of its own, so that it can be looked for by itself."""
    kinds: list[Change] = [
        change("new"),
        replace(change("unsynced"), synced=False),
        change(OLD[0], revision=2),
        Change(id=OLD[1], record=None, entries=(entry(OLD[1], revision=2),)),
        replace(change("answered"), outcomes=(outcome("key", "answered"),)),
        replace(change("snapped"), snapshots=(snapshot("snap"),)),
    ]
    big = record("big")
    spec = replace(big.spec, annotations={"filler": "x" * 20_000})
    return [*kinds, replace(change("big"), record=replace(big, spec=spec))]


async def make_old(path: Path) -> None:
    """A store as a killed agent leaves it: some records, and lines that are too many by now."""
    living = path.parent / "living" / path.name
    living.parent.mkdir()
    store = await open_store(living)
    await store.completed()
    for _ in range(5):
        for name in OLD:
            await store.commit(change(name))
    _copy_files(living.parent, path.parent)
    await store.close()
    shutil.rmtree(living.parent)


@dataclass(slots=True)
class Errand:
    """One round of all calls on one store."""

    path: Path
    faults: Faults
    #: What the store held before; None of a record that is not there.
    before: dict[str, Record | None]
    told: dict[str, Change] = field(default_factory=dict)
    refused: dict[str, Change] = field(default_factory=dict)
    refusals: list[str] = field(default_factory=list)
    backups: dict[str, set[str]] = field(default_factory=dict)

    async def run(self) -> None:
        """All calls while the disk fails, then while it does not, then after an opening."""
        with python_os.watched(self.faults), sqlite_os.watched(self.faults):
            store = await self._asked(self._open)
            if store is not None:
                await self._all_calls(store)
            self.faults.heal()
            if store is not None:
                if self.faults.passes:
                    await self._is_well(store)
                await store.close()
            await self._opens_again()

    async def _open(self) -> SqliteStore:
        return await open_store(self.path)

    async def _all_calls(self, store: SqliteStore) -> None:
        await self._asked(store.load)
        for one in _changes():
            await self._commit(store, one)
        await self._look(store)
        await self._asked(lambda: store.retain(_LATER_NS))
        await self._asked(store.probe)
        await self._back_up(store, "ill")
        await self._asked(store.completed)

    async def _commit(self, store: SqliteStore, one: Change) -> None:
        self.refused[one.id] = one
        if await self._asked(lambda: _done(store.commit(one))):
            self.told[one.id] = self.refused.pop(one.id)

    async def _back_up(self, store: SqliteStore, name: str) -> None:
        told = set(self.told)
        if await self._asked(lambda: store.backup(name)):
            self.backups[name] = told
        elif (self.path.parent / "backups" / f"{name}.db").exists():
            # Its name could not be synced, and then not be taken away. At least it is whole.
            self.backups[name] = told

    async def _look(self, store: SqliteStore) -> None:
        view = await self._asked(lambda: view_of(store, [("answered", "key")]))
        if view is not None:
            self._holds(view, "while the disk failed")

    async def _is_well(self, store: SqliteStore) -> None:
        count = len(self.refusals)
        await self._commit(store, change("healed"))
        await self._look(store)
        await self._asked(store.probe)
        await self._back_up(store, "well")
        if len(self.refusals) > count:
            raise Wrong(f"still refused when the disk was well: {self.refusals[count:]}")

    async def _opens_again(self) -> None:
        store = await open_store(self.path)
        self._holds(await view_of(store, [("answered", "key")]), "after an opening")
        await store.close()
        for name, told in self.backups.items():
            copy = await open_store(self.path.parent / "backups" / f"{name}.db")
            loaded = await copy.load()
            await copy.close()
            held = {one.id for one in loaded.records}
            if not told - {OLD[1]} <= held or loaded.unreadable:
                raise Wrong(f"backup {name} has {held}, not {told}")

    def _holds(self, view: View, when: str) -> None:
        if not self.faults.passes and [*self.path.parent.glob(f"quarantine/*/{self.path.name}")]:
            # It was taken for damaged and is kept; what came later is in a new one.
            self.before = dict.fromkeys(self.before)
        for name in {*self.told, *self.refused, *self.before}:
            one = self.told.get(name) or self.refused.get(name)
            states = [_absent(view, name, self.before.get(name), one)]
            if one is not None:
                states.append(_whole(view, one))
            if not states[-1 if name in self.told else 0] and not (
                name in self.refused and states[-1]
            ):
                raise Wrong(f"{when}: {name} is neither as it was nor as it was to be")
        if view.unreadable:
            raise Wrong(f"{when}: {sorted(view.unreadable)} unreadable")

    async def _asked(self, call: Callable[[], Awaitable[T]]) -> T | None:
        """Its answer; None where it was refused, with a reason that helps."""
        try:
            return await call()
        except CubeletError as problem:
            text = problem.fault.message
            self.refusals.append(text)
            known = isinstance(problem, StoreFailed) and problem.cause != "OTHER"
            clear = known or "the copy is damaged" in text
            if not clear or problem.fault.code is not Code.UNAVAILABLE:
                raise Wrong(f"refused, but not clearly: {problem.fault}") from problem
            if str(self.path.parent) not in text:
                raise Wrong(f"a refusal that does not say where: {text}") from problem
            return None
        except (OSError, sqlite3.Error) as problem:
            raise Wrong(f"no refusal but {problem!r}") from problem


async def _done(work: Awaitable[None]) -> bool:
    await work
    return True


def _whole(view: View, one: Change) -> bool:
    return (
        view.records.get(one.id) == one.record
        and all(line in view.lines for line in one.entries)
        and all((told.sandbox_id, told.key.value) in view.outcomes for told in one.outcomes)
        and all(snap.id in view.snapshots for snap in one.snapshots)
    )


def _absent(view: View, name: str, before: Record | None, one: Change | None) -> bool:
    if view.records.get(name) != before:
        return False
    return one is None or (
        not any(line in view.lines for line in one.entries)
        and not any((told.sandbox_id, told.key.value) in view.outcomes for told in one.outcomes)
        and not any(snap.id in view.snapshots for snap in one.snapshots)
    )


async def run_errand(template: Path, faults: Faults) -> None:
    """One round over a copy of `template` in the place of the faults.

    Wrong where a promise is broken.
    """
    shutil.rmtree(faults.root, ignore_errors=True)
    shutil.copytree(template, faults.root)
    path = faults.root / "store.db"
    used = os.path.exists(path)  # noqa: ASYNC240, PTH110 - nothing else runs beside it.
    before = {name: change(name).record if used else None for name in OLD}
    errand = Errand(path, faults, before=before)
    try:
        await errand.run()
    except Wrong as problem:
        raise Wrong(f"{faults.described}: {problem}") from problem


def _copy_files(source: Path, target: Path) -> None:
    for one in source.iterdir():
        shutil.copyfile(one, target / one.name)
