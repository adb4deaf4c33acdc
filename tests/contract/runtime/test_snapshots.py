"""Commit, rollback and create from a snapshot, by the adapter over a real fake shim."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from cubelet.core.bindings import INVALID_BASE, CommitPlan, Mode, Snapshot
from cubelet.core.evidence import Alive, Status
from cubelet.core.faults import Code, CubeletError, Reason
from cubelet.core.model import Call, Record
from cubelet.engine.ports import CallFailed, Committed
from cubelet.runtime.config import RuntimeConfig
from cubelet.runtime.kinds import FAKE, PROCESS
from cubelet.runtime.registry import build_runtimes
from shimclient import Client
from shimclient.api import fake_pb2
from shimclient.fake.images import load_image
from shimclient.fake.memory import Image
from shimclient.fake.protocol import SNAPSHOT_ANNOTATION, true_status
from tests.contract.runtime.rig import Rig, alive, handle_of, state, with_programs
from tests.support.polling import eventually, until

QUIET = '{"write_every": "0ms"%s}'


@pytest.fixture
async def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Rig]:
    """The fake runtime, whose VMs write nothing of their own accord."""
    monkeypatch.setenv("SHIM_FAKE_SCRIPT", QUIET % "")
    rig = Rig(FAKE, RuntimeConfig(state_dir=tmp_path, templates_dir=tmp_path, ask_timeout_s=1.0))
    async with rig.listening():
        yield rig
        await rig.close()


def full(name: str) -> CommitPlan:
    return CommitPlan(snapshot_id=name, mode=Mode.FULL)


def upon(base: str, name: str, *, mode: Mode, generation: int) -> CommitPlan:
    return CommitPlan(snapshot_id=name, mode=mode, base_id=base, generation=generation)


def entry(record: Record, name: str, committed: Committed) -> Snapshot:
    """What the catalog would have of it."""
    return Snapshot(
        id=name,
        runtime=FAKE,
        sandbox_id=record.id,
        incarnation=record.incarnation,
        path=committed.path,
        mode=Mode.FULL,
        generation=committed.generation,
        created_at_ns=1,
    )


def image(rig: Rig, name: str) -> Image:
    return load_image(rig.config.snapshots_dir / name)


async def truth(record: Record) -> fake_pb2.StatusReply:
    """What the VM really does and holds."""
    client = await Client.connect(handle_of(record).address)
    try:
        return await true_status(client, record.id, local_timeout_s=5)
    finally:
        await client.close()


async def writing(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> Record:
    """A sandbox that has written some of its memory, and soon writes more."""
    monkeypatch.setenv("SHIM_FAKE_SCRIPT", '{"write_every": "1ms"}')
    record = await rig.counting()
    await wrote(record)
    return record


async def wrote(record: Record) -> None:
    """Wait until the sandbox has written to its memory."""
    before = (await truth(record)).digest

    async def changed() -> bool:
        return (await truth(record)).digest != before

    await until(changed, what="its memory changes")


async def refused(call: object) -> tuple[Code, Reason, Call]:
    with pytest.raises(CallFailed) as failure:
        await call  # type: ignore[misc]
    return failure.value.fault.code, failure.value.fault.reason, failure.value.call


async def test_a_sandbox_starts_from_a_snapshot_of_another(
    fake: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = await writing(fake, monkeypatch)
    committed = await fake.runtime.commit(first, full("t1"))
    assert committed == Committed(path=str(fake.config.snapshots_dir / "t1"), generation=0)
    monkeypatch.setenv("SHIM_FAKE_SCRIPT", QUIET % "")
    second = fake.record()
    second = replace(second, spec=replace(second.spec, snapshot="t1"))
    fake.runtime.check(second.spec)
    second = replace(second, handle=await fake.runtime.create(second))
    assert (await truth(second)).digest == image(fake, "t1").digest
    for mode in (Mode.SOFT_DIRTY, Mode.INCREMENTAL):
        await fake.runtime.commit(second, upon("t1", mode, mode=mode, generation=0))
        assert image(fake, mode).pages == image(fake, "t1").pages
    assert await state(fake.runtime, second) == alive(fake, second, Status.RUNNING)


async def test_a_rollback_brings_the_memory_back_and_says_its_generation(
    fake: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = await writing(fake, monkeypatch)
    committed = await fake.runtime.commit(first, full("t1"))
    monkeypatch.setenv("SHIM_FAKE_SCRIPT", QUIET % "")
    second = await fake.created()
    assert (await truth(second)).digest != image(fake, "t1").digest
    snapshot = entry(first, "t1", committed)
    for generation in (1, 2):
        assert await fake.runtime.rollback(second, snapshot) == generation
    assert (await truth(second)).digest == image(fake, "t1").digest
    running = alive(fake, second, Status.RUNNING, generation=2)
    assert await state(fake.runtime, second) == running
    plan = upon("t1", "t2", mode=Mode.SOFT_DIRTY, generation=2)
    assert (await fake.runtime.commit(second, plan)).generation == 2


async def test_a_commit_upon_a_base_that_another_commit_has_moved_is_refused(
    fake: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as one that came after its caller had given it up: the generation does not tell."""
    record = await writing(fake, monkeypatch)
    await fake.runtime.commit(record, full("t1"))
    await wrote(record)
    await fake.runtime.commit(record, full("unknown"))
    plan = upon("t1", "t2", mode=Mode.SOFT_DIRTY, generation=0)
    stale = (Code.FAILED_PRECONDITION, Reason.STALE_BASE, Call.ANSWERED)
    assert await refused(fake.runtime.commit(record, plan)) == stale
    await fake.runtime.commit(record, upon("unknown", "t2", mode=Mode.SOFT_DIRTY, generation=0))


async def test_a_commit_upon_a_base_of_another_generation_is_refused_and_writes_nothing(
    fake: Rig,
) -> None:
    record = await fake.created()
    await fake.runtime.commit(record, full("t1"))
    await fake.runtime.pause(record)
    await fake.runtime.resume(record)
    plan = upon("t1", "t2", mode=Mode.SOFT_DIRTY, generation=0)
    stale = (Code.FAILED_PRECONDITION, Reason.STALE_BASE, Call.ANSWERED)
    assert await refused(fake.runtime.commit(record, plan)) == stale
    assert [path.name for path in snapshots(fake)] == ["t1"]
    assert (await fake.runtime.commit(record, full("t2"))).generation == 1


def snapshots(rig: Rig) -> list[Path]:
    """What lies in the snapshots' folder; nothing of an attempt may be left."""
    attempts = rig.config.snapshots_dir / ".attempts"
    assert list(attempts.iterdir()) == []
    return [path for path in rig.config.snapshots_dir.iterdir() if path != attempts]


async def test_what_an_earlier_attempt_left_is_overwritten(
    fake: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = await writing(fake, monkeypatch)
    await fake.runtime.commit(record, full("t1"))
    before = image(fake, "t1")
    (fake.config.snapshots_dir / "t1" / "rest").touch()
    await wrote(record)
    await fake.runtime.commit(record, full("t1"))
    assert image(fake, "t1").digest != before.digest
    assert [path.name for path in (fake.config.snapshots_dir / "t1").iterdir()] == ["memory.json"]
    assert [path.name for path in snapshots(fake)] == ["t1"]


async def test_a_commit_that_comes_late_does_not_touch_a_later_one_of_that_name(fake: Rig) -> None:
    """The late one stands in for another sandbox's that was given up, and its name used again."""
    slow, quick = await fake.created(), await fake.created()
    os.kill(handle_of(slow).shim_pid, signal.SIGSTOP)
    late = asyncio.create_task(fake.runtime.commit(slow, full("t1")))
    attempts = fake.config.snapshots_dir / ".attempts"
    await eventually(lambda: attempts.exists() and any(attempts.iterdir()), what="it has begun")
    await fake.runtime.commit(quick, full("t1"))
    kept = (fake.config.snapshots_dir / "t1" / "memory.json").stat().st_ino
    os.kill(handle_of(slow).shim_pid, signal.SIGCONT)
    assert (await refused(late))[2] is Call.ANSWERED
    assert (fake.config.snapshots_dir / "t1" / "memory.json").stat().st_ino == kept
    assert [path.name for path in snapshots(fake)] == ["t1"]


@pytest.mark.parametrize("failpoint", ["error", "error_after"])
async def test_a_commit_that_fails_leaves_nothing(
    fake: Rig, monkeypatch: pytest.MonkeyPatch, failpoint: str
) -> None:
    script = QUIET % f', "failpoints": "checkpoint=1*{failpoint}"'
    monkeypatch.setenv("SHIM_FAKE_SCRIPT", script)
    record = await fake.created()
    told = await refused(fake.runtime.commit(record, full("t1")))
    assert told == (Code.ABORTED, Reason.RUNTIME_REFUSED, Call.ANSWERED)
    assert snapshots(fake) == []
    await fake.runtime.commit(record, full("t1"))


async def test_a_shim_that_dies_may_have_done_it_all_the_same(fake: Rig) -> None:
    record = await fake.created()
    snapshot = entry(record, "t1", await fake.runtime.commit(record, full("t1")))
    os.kill(handle_of(record).shim_pid, signal.SIGSTOP)
    calls = [
        asyncio.create_task(fake.runtime.commit(record, full("t2"))),
        asyncio.create_task(fake.runtime.rollback(record, snapshot)),
    ]
    await asyncio.wait(calls, timeout=0.1)
    os.kill(handle_of(record).shim_pid, signal.SIGKILL)
    for call in calls:
        assert await refused(call) == (Code.UNAVAILABLE, Reason.RUNTIME_LOST, Call.LOST)


async def test_what_is_no_snapshot_is_refused(fake: Rig) -> None:
    record = await fake.created()
    bad = (Code.INVALID_ARGUMENT, Reason.BAD_REQUEST, Call.ANSWERED)
    for name in (INVALID_BASE, "../up", ".attempts", "", "a~b"):
        assert await refused(fake.runtime.commit(record, full(name))) == bad
    missing = (Code.NOT_FOUND, Reason.SNAPSHOT_NOT_FOUND, Call.ANSWERED)
    plan = upon("gone", "t1", mode=Mode.SOFT_DIRTY, generation=0)
    assert await refused(fake.runtime.commit(record, plan)) == missing
    gone = entry(record, "gone", Committed(path=str(fake.config.state_dir / "gone"), generation=0))
    assert await refused(fake.runtime.rollback(record, gone)) == missing
    for name, reason in (
        ("gone", Reason.SNAPSHOT_NOT_FOUND),
        (INVALID_BASE, Reason.BAD_REQUEST),
        ("../up", Reason.BAD_REQUEST),
    ):
        with pytest.raises(CubeletError) as refusal:
            fake.runtime.check(replace(record.spec, snapshot=name))
        assert refusal.value.fault.reason is reason
    with pytest.raises(CubeletError) as refusal:
        fake.runtime.check(replace(record.spec, annotations={SNAPSHOT_ANNOTATION: "/t1"}))
    assert refusal.value.fault.reason is Reason.BAD_REQUEST
    assert await state(fake.runtime, record) == alive(fake, record, Status.RUNNING)


@with_programs
async def test_where_there_are_no_snapshots_they_are_refused(deaf_rig: Rig) -> None:
    record = await deaf_rig.created()
    unsupported = (Code.FAILED_PRECONDITION, Reason.SNAPSHOTS_UNSUPPORTED, Call.ANSWERED)
    assert not deaf_rig.runtime.capabilities.snapshots
    assert await refused(deaf_rig.runtime.commit(record, full("t1"))) == unsupported
    snapshot = entry(record, "t1", Committed(path="/t1", generation=0))
    assert await refused(deaf_rig.runtime.rollback(record, snapshot)) == unsupported
    with pytest.raises(CubeletError) as refusal:
        deaf_rig.runtime.check(replace(record.spec, snapshot="t1"))
    assert refusal.value.fault.reason is Reason.SNAPSHOTS_UNSUPPORTED
    evidence = await state(deaf_rig.runtime, record)
    assert isinstance(evidence, Alive)
    assert evidence.generation is None


async def test_an_agent_that_comes_after_removes_what_was_half_done(tmp_path: Path) -> None:
    config = RuntimeConfig(state_dir=tmp_path, templates_dir=tmp_path, default=PROCESS)
    (config.snapshots_dir / ".attempts" / "t1~x").mkdir(parents=True)
    (config.snapshots_dir / "t0").mkdir()
    for runtime in build_runtimes(config).values():
        await runtime.close()
    assert [path.name for path in config.snapshots_dir.iterdir()] == ["t0"]
