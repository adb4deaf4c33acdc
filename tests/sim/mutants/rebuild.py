"""A store that was lost and a host that was restarted: guessing, forgetting, and beginning anew."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

from cubelet.core import endings, recovery, rediscovery
from cubelet.core.bindings import bound_to
from cubelet.core.effects import Decision
from cubelet.core.evidence import Evidence, Gone, NoAnswer
from cubelet.core.faults import CubeletError
from cubelet.core.inputs import DestroyEnded, Recovered
from cubelet.core.model import Now, Record
from cubelet.core.policy import Policy
from cubelet.engine.fleet import Fleet
from cubelet.engine.ports import Loaded
from cubelet.engine.rebuild import Rebuild
from cubelet.engine.worker import Worker
from tests.sim.mutants.base import Change, mutant


@mutant("I2", "I7")
def silent_start_from_empty() -> tuple[Change, ...]:
    """A new agent takes an empty store for an empty host."""
    real = Rebuild.begin

    async def blind(self: Rebuild, loaded: Loaded) -> None:
        await real(self, replace(loaded, incomplete=""))

    return (Change(Rebuild, "begin", blind),)


@mutant("I2")
def damaged_record_never_made_anew() -> tuple[Change, ...]:
    """One record that cannot be read stays so, though its shim answers."""
    real = Rebuild.begin

    async def blind(self: Rebuild, loaded: Loaded) -> None:
        await real(self, replace(loaded, unreadable={}))

    return (Change(Rebuild, "begin", blind),)


@mutant("I2")
def complete_after_the_first_look() -> tuple[Change, ...]:
    """The store counts as complete once every shim was asked, whoever has not answered."""
    real = Rebuild._ask

    async def hasty(self: Rebuild, lost: object) -> None:
        await real(self, lost)  # type: ignore[arg-type]
        with suppress(CubeletError):
            await self._store.completed()

    return (Change(Rebuild, "_ask", hasty),)


@mutant("I2")
def never_complete_again() -> tuple[Change, ...]:
    """What is known again is not noted, so that the store stays incomplete for ever."""

    async def forgetful(_: Rebuild) -> bool:
        return True

    return (Change(Rebuild, "_completed", forgetful),)


@mutant("I2", "I7")
def silent_shims_given_up() -> tuple[Change, ...]:
    """A shim that does not answer the first question after the loss is not asked again."""
    real = Rebuild._ask

    async def once(self: Rebuild, lost: object) -> None:
        await real(self, lost)  # type: ignore[arg-type]
        self._lost.pop(lost.record.id, None)  # type: ignore[attr-defined]

    return (Change(Rebuild, "_ask", once),)


@mutant("I5")
def silence_at_the_rebuild_is_an_end() -> tuple[Change, ...]:
    """A shim that does not answer after the loss is taken for gone."""
    real = rediscovery._as_seen

    def rash(anew: Record, evidence: Evidence, now: Now) -> Record | None:
        gone = Gone(why="no answer") if isinstance(evidence, NoAnswer) else evidence
        return real(anew, gone, now)

    return (Change(rediscovery, "_as_seen", rash),)


@mutant("I4", "B9")
def lineage_guessed_after_the_loss() -> tuple[Change, ...]:
    """A record that is made anew is bound to the snapshot that the sandbox was created from."""
    real = rediscovery._anew

    def guessing(found: Record, why: str, now: Now) -> Record:
        generation = found.handle.generation if found.handle else 0
        origin = bound_to(found.spec.snapshot, at_ns=now.wall_ns, generation=generation)
        return replace(real(found, why, now), bindings=origin)

    return (Change(rediscovery, "_anew", guessing),)


@mutant("I14", "I12")
def counts_begin_anew_after_the_loss() -> tuple[Change, ...]:
    """A record that is made anew has the epoch and revision that it was created with."""
    real = rediscovery._anew

    def anew(found: Record, why: str, now: Now) -> Record:
        return replace(real(found, why, now), epoch=found.epoch, revision=found.revision)

    return (Change(rediscovery, "_anew", anew),)


@mutant("I7")
def create_cut_short_is_left_after_the_loss() -> tuple[Change, ...]:
    """A sandbox whose create nobody was told of is waited for, and never undone."""
    return (Change(rediscovery, "_never_ran", lambda *_: False),)


@mutant("I7")
def what_runs_is_undone_after_the_loss() -> tuple[Change, ...]:
    """Every sandbox without a record is taken for a create that was cut short."""
    return (Change(rediscovery, "_never_ran", lambda *_: True),)


@mutant("I2", "I7")
def ids_of_the_lost_are_free() -> tuple[Change, ...]:
    """While a shim has not answered, its sandbox's id is given to another one."""
    return (Change(Fleet, "refuse_unreadable", lambda *_: None),)


@mutant("I9")
def names_of_lost_snapshots_are_free() -> tuple[Change, ...]:
    """A commit overwrites a snapshot of the catalog that was lost."""
    real = Rebuild._keep_name

    def lax(self: Rebuild, snapshot_id: str) -> None:
        real(self, snapshot_id)
        self._catalog._unreadable.discard(snapshot_id)

    return (Change(Rebuild, "_keep_name", lax),)


@mutant("I5")
def every_start_is_a_restart_of_the_host() -> tuple[Change, ...]:
    """A new agent takes what lived for ended, whatever boot it is."""
    return (Change(recovery, "of_another_boot", lambda *_: True),)


@mutant("I20")
def age_of_another_boot_is_kept() -> tuple[Change, ...]:
    """The age of a dead record is counted by the clock of a boot that is over."""
    real = recovery.recovered

    def kept(record: Record, happened: Recovered, now: Now, policy: Policy) -> Decision:
        decided = real(record, happened, now, policy)
        if not record.finished_at_ns or decided.record is None:
            return decided
        aged = replace(decided.record, finished_mono_s=record.finished_mono_s)
        return replace(decided, record=aged)

    return (Change(recovery, "recovered", kept),)


@mutant("I7")
def leftovers_of_the_host_stay() -> tuple[Change, ...]:
    """What a restart of the host left on disk is not removed where the first try failed."""
    real = endings._swept

    def once(record: Record, happened: DestroyEnded, now: Now) -> Decision:
        return real(record, replace(happened, failure=None), now)

    return (Change(endings, "_swept", once),)


@mutant("R10", "I1")
def end_with_the_host_not_tried_again() -> tuple[Change, ...]:
    """Where the store refuses to write that the host was restarted, nobody writes it later."""
    real = Worker.post

    def once(self: Worker, happened: object) -> None:
        if not isinstance(happened, Recovered) or self._refusals == 0:
            real(self, happened)  # type: ignore[arg-type]

    return (Change(Worker, "post", once),)
