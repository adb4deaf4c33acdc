"""What was asked of a store and when it answered, and what it may therefore hold later.

Time is counted in operations of the disk. The store's twin in memory goes through the same steps
and says what is there after each.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from cubelet.core.bindings import Snapshot
from cubelet.core.effects import Entry
from cubelet.core.model import Outcome, Record
from cubelet.engine.ports import Change, Loaded, Store
from cubelet.store.limits import Limits
from cubelet.store.memory import MemoryStore

Name = tuple[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """All that a caller can see of a store."""

    records: Mapping[str, Record]
    snapshots: Mapping[str, Snapshot]
    unreadable: frozenset[str]
    lines: Sequence[Entry]
    outcomes: Mapping[Name, Outcome]
    incomplete: bool


async def view_of(store: Store, names: Iterable[Name]) -> View:
    """What it holds now; of the answers those under `names`."""
    loaded = await store.load()
    asked = list(names)
    answers = await asyncio.gather(*(store.outcome(*name) for name in asked))
    return View(
        records={one.id: one for one in loaded.records},
        snapshots={one.id: one for one in loaded.snapshots},
        unreadable=frozenset((*loaded.unreadable, *loaded.unreadable_snapshots)),
        lines=await store.journal("", limit=1_000_000),
        outcomes={name: one for name, one in zip(asked, answers, strict=True) if one is not None},
        incomplete=bool(loaded.incomplete),
    )


async def twin_of(view: View, limits: Limits) -> MemoryStore:
    """A twin that holds the same."""
    twin = MemoryStore(
        Loaded(
            records=tuple(view.records.values()),
            snapshots=tuple(view.snapshots.values()),
            incomplete="it said so" if view.incomplete else "",
        ),
        limits=limits,
    )
    last = Change(id="", record=None, entries=view.lines, outcomes=tuple(view.outcomes.values()))
    await twin.commit(last)
    return twin


def differs(seen: View, least: View, told: View) -> str:
    """How what was seen is not what there was; "" where it is.

    `least` is what retention leaves, `told` all there ever was: of the journal and the answers it
    may have come anywhere in between, oldest first.
    """
    for what in ("records", "snapshots", "unreadable", "incomplete"):
        if getattr(seen, what) != getattr(least, what):
            return f"{what} {_brief(getattr(seen, what))}, not {_brief(getattr(least, what))}"
    count = len(seen.lines)
    if count < len(least.lines) or tuple(seen.lines) != tuple(
        told.lines[len(told.lines) - count :]
    ):
        return f"{count} lines are not the last of {len(told.lines)}, {len(least.lines)} at least"
    missing = [name for name in least.outcomes if name not in seen.outcomes]
    if missing:
        return f"outcomes {missing} are gone"
    wrong = [name for name, one in seen.outcomes.items() if told.outcomes.get(name) != one]
    return f"outcomes {wrong} are others" if wrong else ""


def _brief(what: object) -> str:
    if isinstance(what, Mapping):
        return str({name: getattr(one, "revision", "there") for name, one in what.items()})
    return str(what)


@dataclass(slots=True, kw_only=True)
class Step:
    """One change of what the store holds: when it was asked for, and when it was done."""

    least: View
    told: View
    begun: int
    synced: bool
    done: int | None = None


@dataclass(slots=True, kw_only=True)
class Copy:
    """A backup that was asked for, and the step whose contents it has."""

    step: int
    done: int | None = None


@dataclass(slots=True)
class History:
    """The steps in the order in which a store must keep them; the first is the beginning."""

    steps: list[Step] = field(default_factory=list)
    backups: dict[str, Copy] = field(default_factory=dict)
    names: list[Name] = field(default_factory=list)
    #: Contents that have to be in quarantine, from this operation on.
    damaged: tuple[int, bytes] | None = None
    _twin: MemoryStore = field(default_factory=MemoryStore)
    _lines: list[Entry] = field(default_factory=list)
    _told: dict[Name, Outcome] = field(default_factory=dict)

    async def begin(self, twin: MemoryStore, *, at: int) -> Step:
        """What is there at first, or after all was lost to damage that was told."""
        self._twin = twin
        self._lines, self._told = [], {}
        first = await view_of(twin, self.names)
        self._lines += first.lines
        self._told.update(first.outcomes)
        return await self.step(at=at, synced=True)

    async def commit(self, change: Change, *, at: int) -> Step:
        """A change was asked for."""
        await self._twin.commit(change)
        self._lines += change.entries
        for outcome in change.outcomes:
            name = (outcome.sandbox_id, outcome.key.value)
            self._told[name] = outcome
            self.names.append(name)
        return await self.step(at=at, synced=change.synced)

    async def retain(self, now_ns: int, *, at: int) -> Step:
        """Old rows were to be dropped; a store that did not, holds what it held."""
        await self._twin.retain(now_ns)
        return await self.step(at=at, synced=False)

    async def completed(self, *, at: int) -> Step:
        """It was said that all is known; where it was before, there is nothing to write."""
        news = self.steps[-1].least.incomplete
        await self._twin.completed()
        return await self.step(at=at, synced=news)

    def backup(self, name: str) -> Copy:
        """A copy was asked for while nothing else was."""
        made = self.backups[name] = Copy(step=len(self.steps) - 1)
        return made

    def mismatch_of_backup(self, seen: View, name: str) -> str:
        """How a backup is not what the store held; "" where it is.

        But it says that there may be sandboxes which came after it.
        """
        step = self.steps[self.backups[name].step]
        return differs(seen, replace(step.least, incomplete=True), step.told)

    async def step(self, *, at: int, synced: bool) -> Step:
        """Note what is there now."""
        least = await view_of(self._twin, self._told)
        told = View(
            records=least.records,
            snapshots=least.snapshots,
            unreadable=least.unreadable,
            lines=tuple(self._lines),
            outcomes=dict(self._told),
            incomplete=least.incomplete,
        )
        made = Step(least=least, told=told, begun=at, synced=synced)
        self.steps.append(made)
        return made

    def mismatch(self, seen: View, at: int, *, power: bool) -> str:
        """Why a store that ended after so many operations may not hold that; "" where it may.

        By a power cut it may lose what was not synced; by the end of its process nothing that it
        had answered.
        """
        why = "no step"
        for number in reversed(self.allowed(at, power=power)):
            step = self.steps[number]
            why = differs(seen, step.least, step.told)
            if not why:
                return ""
        return f"{why} (steps {self.allowed(at, power=power)})"

    def allowed(self, at: int, *, power: bool) -> range:
        """The steps whose outcome may be there."""
        first = last = 0
        for number, step in enumerate(self.steps):
            if step.begun <= at:
                last = number
            if step.done is not None and step.done <= at and (step.synced or not power):
                first = number
        return range(first, last + 1)
