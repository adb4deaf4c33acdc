"""After the store was lost all that lives here is listed, asked, and known again; nothing else is.

Beside it: what a restart of the host ends, and that its leftovers go.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace

from cubelet.core.bindings import Mode, Snapshot
from cubelet.core.conditions import ConditionKind
from cubelet.core.evidence import Gone, NoAnswer, Status
from cubelet.core.faults import Code, Reason, error
from cubelet.core.inputs import Cause
from cubelet.core.model import Key, Record, State
from cubelet.engine.engine import Engine
from cubelet.engine.ports import Loaded, Trace
from tests.support.engine import HANDLE, SPEC, ToyRuntime, Tube, hangs
from tests.support.rack import Rack
from tests.support.stores import RecordingStore
from tests.support.virtual_time import run_virtual
from tests.unit.engine.test_operations import fault_of

LOST = "the file was damaged"


def beside(sandbox_id: str, *, boot_id: str = "") -> Record:
    """The record that lies beside a sandbox, as it was created."""
    return Record(
        id=sandbox_id,
        namespace="default",
        incarnation=f"first-{sandbox_id}",
        spec=SPEC,
        epoch=1,
        revision=1,
        handle=HANDLE,
        created_at_ns=5,
        boot_id=boot_id,
    )


@dataclass
class Host:
    """A host on which sandboxes live, and a store that knows nothing of them."""

    rack: Rack = field(default_factory=Rack)
    store: RecordingStore = field(default_factory=lambda: store(Loaded(incomplete=LOST)))
    boot_id: str = ""

    def living(self, sandbox_id: str, status: Status = Status.RUNNING) -> ToyRuntime:
        toy = self.rack.toys[sandbox_id]
        toy.status, toy.alive = status, True
        self.traced(sandbox_id, beside(sandbox_id))
        return toy

    def traced(self, sandbox_id: str, record: Record | None) -> None:
        trace = Trace(sandbox_id=sandbox_id, runtime="toy", what=("bundle /b",), record=record)
        self.rack.toys[sandbox_id].left.append(trace)

    async def start(self) -> Engine:
        engine = Tube(rack=self.rack, store=self.store, boot_id=self.boot_id).engine()
        await engine.start()
        return engine


def store(loaded: Loaded) -> RecordingStore:
    return RecordingStore(loaded)


def states(engine: Engine) -> dict[str, State]:
    return {record.id: record.state for record in engine.view()}


def test_everybody_who_answers_is_known_again_and_then_the_store_is_complete() -> None:
    async def main() -> None:
        host = Host()
        host.living("sb1")
        host.living("sb2", Status.PAUSED)
        host.traced("sb3", beside("sb3"))
        engine = await host.start()
        assert (states(engine), len(engine.status().unreadable)) == ({}, 3)
        (condition,) = engine.status().conditions
        assert (condition.kind, LOST in condition.evidence) == (ConditionKind.REBUILDING, True)
        await asyncio.sleep(1)
        assert states(engine) == {
            "sb1": State.RUNNING,
            "sb2": State.PAUSED,
            "sb3": State.EXITED,
        }
        assert (engine.status().unreadable, engine.status().conditions) == ({}, ())
        assert all(record.bindings.invalid for record in engine.view())
        assert {entry.cause for entry in host.store.entries} == {Cause.RECOVERY}
        assert all(LOST in entry.detail for entry in host.store.entries)
        assert (await host.store.load()).incomplete == ""
        assert (await engine.pause("sb1")).state is State.PAUSED
        await engine.delete("sb2")
        assert (await fault_of(engine.get("sb2"))).reason is Reason.SANDBOX_NOT_FOUND
        await engine.close()

    run_virtual(main())


def test_who_does_not_answer_is_listed_with_the_reason_and_asked_again() -> None:
    async def main() -> None:
        host = Host()
        toy = host.living("sb")
        toy.evidence = NoAnswer(why="the shim is busy")
        engine = await host.start()
        await asyncio.sleep(1)
        refused = await fault_of(engine.get("sb"))
        assert (refused.reason, refused.retryable) == (Reason.UNREADABLE_RECORD, True)
        assert "the shim is busy" in refused.message
        taken = await fault_of(engine.create(SPEC, sandbox_id="sb", namespace=""))
        assert taken.code is Code.ALREADY_EXISTS
        assert (states(engine), host.store.changes) == ({}, [])
        assert (await host.store.load()).incomplete == LOST
        toy.evidence = None
        await asyncio.sleep(10)
        assert states(engine) == {"sb": State.RUNNING}
        assert (await host.store.load()).incomplete == ""
        await engine.close()

    run_virtual(main())


def test_a_shim_that_hung_is_asked_at_once_when_it_can_answer_again() -> None:
    async def main() -> None:
        host = Host()
        toy = host.living("sb")
        toy.silent = True
        engine = await host.start()
        await asyncio.sleep(7)
        assert states(engine) == {}
        toy.awakes()
        await asyncio.sleep(0.1)
        assert states(engine) == {"sb": State.RUNNING}
        await engine.close()

    run_virtual(main())


def test_one_that_never_answers_can_be_deleted_under_a_key() -> None:
    async def main() -> None:
        host = Host()
        host.living("sb").silent = True
        engine = await host.start()
        await asyncio.sleep(1)
        key = Key(value="k", digest="d")
        await engine.delete("sb", key=key)
        assert "destroy" in host.rack.toys["sb"].calls
        assert (states(engine), engine.status().unreadable) == ({}, {})
        await engine.delete("sb", key=key)
        await asyncio.sleep(10)
        assert (await host.store.load()).incomplete == ""
        assert states(engine) == {}
        await engine.close()

    run_virtual(main())


def test_a_create_cut_short_is_undone() -> None:
    async def main() -> None:
        host = Host()
        host.traced("sb", replace(beside("sb"), handle=None))
        engine = await host.start()
        await asyncio.sleep(1)
        assert (states(engine), host.rack.toys["sb"].calls[-1]) == ({}, "destroy")
        assert engine.status().unreadable == {}
        await engine.close()

    run_virtual(main())


def test_what_says_nothing_of_itself_stays_listed_until_people_have_removed_it() -> None:
    async def main() -> None:
        host = Host()
        host.traced("sb", None)
        engine = await host.start()
        await asyncio.sleep(61)
        assert "cubecli doctor" in engine.status().unreadable["sb"]
        refused = await fault_of(engine.delete("sb"))
        assert (refused.reason, refused.retryable) == (Reason.UNREADABLE_RECORD, False)
        host.rack.toys["sb"].left.clear()
        await asyncio.sleep(71)
        assert engine.status().unreadable == {}
        assert (await host.store.load()).incomplete == ""
        await engine.close()

    run_virtual(main())


def test_a_store_that_refuses_is_tried_again() -> None:
    async def main() -> None:
        host = Host()
        host.living("sb")
        full = error(Code.UNAVAILABLE, Reason.STORE_FAILED, "no space left")
        host.store.refuse = lambda number: full if number == 1 else None
        engine = await host.start()
        await asyncio.sleep(1)
        assert (states(engine), len(engine.status().unreadable)) == ({}, 1)
        await asyncio.sleep(10)
        assert states(engine) == {"sb": State.RUNNING}
        await engine.close()

    run_virtual(main())


def test_a_new_agent_goes_on_where_the_last_one_ended() -> None:
    async def main() -> None:
        host = Host()
        host.living("sb1")
        host.living("sb2").silent = True
        engine = await host.start()
        await asyncio.sleep(1)
        assert states(engine) == {"sb1": State.RUNNING}
        known = engine.view()[0].revision
        await engine.close()
        host.store = host.store.reopened()
        engine = await host.start()
        assert (states(engine), list(engine.status().unreadable)) == (
            {"sb1": State.RUNNING},
            ["sb2"],
        )
        await asyncio.sleep(1)
        assert engine.view()[0].revision == known
        await engine.close()

    run_virtual(main())


def test_one_damaged_record_is_made_anew_and_the_others_are_left_alone() -> None:
    async def main() -> None:
        host = Host(store=store(Loaded(unreadable={"sb1": "bit 7", "sb2": "bit 9"})))
        host.living("sb1")
        host.living("stranger")
        engine = await host.start()
        await asyncio.sleep(1)
        assert states(engine) == {"sb1": State.RUNNING}
        assert engine.view()[0].remade_why == "bit 7"
        assert engine.status().unreadable == {"sb2": "bit 9"}
        assert engine.status().conditions == ()
        await engine.close()

    run_virtual(main())


def test_snapshots_of_the_lost_catalog_keep_their_names() -> None:
    async def main() -> None:
        host = Host()
        known = Snapshot(
            id="known",
            runtime="toy",
            sandbox_id="sb",
            incarnation="first",
            path="/toy/known",
            mode=Mode.FULL,
            created_at_ns=1,
        )
        host.store = store(Loaded(incomplete=LOST, snapshots=(known,)))
        host.rack.capabilities = replace(host.rack.capabilities, snapshots=True)
        host.living("sb")
        for name in ("old", "known"):
            trace = Trace(sandbox_id="", runtime="toy", what=("a folder",), snapshot_id=name)
            host.rack.toys["sb"].left.append(trace)
        engine = await host.start()
        await asyncio.sleep(1)
        refused = await fault_of(engine.commit("sb", snapshot_id="old"))
        assert refused.reason is Reason.SNAPSHOT_EXISTS
        assert (await host.store.load()).incomplete == LOST
        host.rack.toys["sb"].left.clear()
        await asyncio.sleep(71)
        assert (await host.store.load()).incomplete == ""
        await engine.close()

    run_virtual(main())


class BlindRack(Rack):
    """Cannot look at the host."""

    async def traces(self, but: Collection[str] = frozenset()) -> Sequence[Trace]:
        raise OSError("proc is not mounted")


def test_an_agent_that_is_blind_does_not_serve_from_nothing() -> None:
    async def main() -> None:
        refused = await fault_of(Host(rack=BlindRack()).start())
        assert "this host cannot be looked over" in refused.message
        damaged = Host(rack=BlindRack(), store=store(Loaded(unreadable={"sb": "bit 7"})))
        engine = await damaged.start()
        assert engine.status().unreadable == {"sb": "bit 7"}
        await engine.close()

    run_virtual(main())


def test_one_look_may_fail_at_the_start() -> None:
    class StoppedRack(Rack):
        looks = 0

        async def traces(self, but: Collection[str] = frozenset()) -> Sequence[Trace]:
            self.looks += 1
            if self.looks == 1:
                await hangs(self.toys["sb"])
            return await super().traces(but)

    async def main() -> None:
        host = Host(rack=StoppedRack())
        host.living("sb")
        engine = await host.start()
        await asyncio.sleep(1)
        assert states(engine) == {"sb": State.RUNNING}
        await engine.close()

    run_virtual(main())


def test_a_look_that_hangs_does_not_hang_the_start_for_ever() -> None:
    class HungRack(Rack):
        async def traces(self, but: Collection[str] = frozenset()) -> Sequence[Trace]:
            await hangs(self.toys["sb"])
            return []

    async def main() -> None:
        refused = await fault_of(Host(rack=HungRack()).start())
        assert "it took longer than 20 s" in refused.message

    run_virtual(main())


def test_a_look_or_a_note_that_fails_later_is_tried_again() -> None:
    class Faltering(RecordingStore):
        tries = 0

        async def completed(self) -> None:
            self.tries += 1
            if self.tries == 1:
                raise error(Code.UNAVAILABLE, Reason.STORE_FAILED, "no space left")
            await super().completed()

    async def main() -> None:
        host = Host(store=Faltering(Loaded(incomplete=LOST)))
        host.traced("sb", None)
        engine = await host.start()
        seeing = host.rack.traces
        host.rack.traces = BlindRack().traces  # type: ignore[method-assign]
        host.rack.toys["sb"].left.clear()
        await asyncio.sleep(71)
        assert list(engine.status().unreadable) == ["sb"]
        host.rack.traces = seeing  # type: ignore[method-assign]
        await asyncio.sleep(71)
        assert engine.status().unreadable == {}
        await asyncio.sleep(10)
        assert (await host.store.load()).incomplete == ""
        await engine.close()

    run_virtual(main())


def test_a_restart_of_the_host_ends_all_that_lived_and_its_leftovers_go() -> None:
    async def main() -> None:
        tube = Tube(boot_id="boot1")
        engine = await tube.running()
        await engine.pause("sb")
        await engine.close()
        tube.toy.evidence = Gone(why="never asked")
        tube.toy.calls.clear()
        again = replace(tube.restarted(), boot_id="boot2")
        engine = again.engine()
        await engine.start()
        await asyncio.sleep(1)
        (record,) = engine.view()
        assert (record.state, record.exit_reason) == (
            State.EXITED,
            "gone: the host was restarted",
        )
        assert (tube.toy.calls, record.leftovers) == (["destroy"], False)
        why = await engine.explain("sb")
        assert "the host was restarted" in why.why
        assert why.journal[0].detail == "create requested"
        await engine.close()

    run_virtual(main())


def test_an_end_that_the_store_refused_to_write_is_written_later() -> None:
    async def main() -> None:
        tube = Tube(boot_id="boot1")
        engine = await tube.running()
        await engine.close()
        again = replace(tube.restarted(), boot_id="boot2")
        full = error(Code.UNAVAILABLE, Reason.STORE_FAILED, "no space left")
        again.store.refuse = lambda number: full if number < 4 else None
        again.toy.silent = True
        engine = again.engine()
        await engine.start()
        await asyncio.sleep(0.1)
        assert states(engine) == {"sb": State.RUNNING}
        await asyncio.sleep(4)
        assert states(engine) == {"sb": State.EXITED}
        await engine.close()

    run_virtual(main())


def test_a_first_start_is_no_loss() -> None:
    async def main() -> None:
        host = Host(store=store(Loaded(incomplete="there was no file")))
        engine = await host.start()
        assert engine.status().conditions == ()
        await asyncio.sleep(1)
        assert (await host.store.load()).incomplete == ""
        await engine.close()

    run_virtual(main())


def test_a_deletion_joins_the_removal_that_is_under_way() -> None:
    async def main() -> None:
        tube = Tube(boot_id="boot1")
        engine = await tube.running()
        await engine.close()
        again = replace(tube.restarted(), boot_id="boot2")
        may_end, destroying = asyncio.Event(), again.toy.destroy

        async def slowly(record: Record) -> None:
            await destroying(record)
            await may_end.wait()

        again.toy.destroy = slowly  # type: ignore[method-assign]
        engine = again.engine()
        await engine.start()
        await asyncio.sleep(1)
        deletion = asyncio.create_task(engine.delete("sb"))
        await asyncio.sleep(1)
        assert (again.toy.calls.count("destroy"), deletion.done()) == (1, False)
        may_end.set()
        await deletion
        assert states(engine) == {}
        await engine.close()

    run_virtual(main())
