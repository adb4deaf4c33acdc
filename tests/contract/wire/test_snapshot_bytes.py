"""CommitSandbox, RollbackSandbox and the local catalog, spoken in field numbers."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cubelet.core.bindings import INVALID_BASE, bound_to
from cubelet.core.faults import Code, Reason, error
from cubelet.core.model import State
from tests.contract.wire.conftest import Caller
from tests.contract.wire.raw import blob, decode, entry, mapping, message, number, signed
from tests.unit.rpc.fakes import START_NS, FakeAgent, make_snapshot

REQUEST_ID, SANDBOX_ID, NAME, RET = 1, 2, 3, 2
SNAPSHOT_DIR = 4
ROOTFS_VOL, MEMORY_VOL, META_DIR, NEW_GEN, DESIRED_SIZE = 4, 5, 6, 7, 8
COMMIT_BACKEND, ROLLBACK_BACKEND = 5, 9
HEAD = blob(REQUEST_ID, "r-1")
SUCCESS = b"\x12\x03\x08\xc8\x01"


def of(sandbox_id: str, name: str) -> bytes:
    return HEAD + blob(SANDBOX_ID, sandbox_id) + blob(NAME, name)


def rollback_of(sandbox_id: str, name: str, new_gen: int = 1) -> bytes:
    return of(sandbox_id, name) + number(NEW_GEN, new_gen)


def ret(reply: bytes) -> tuple[int, str]:
    assert RET in decode(reply)
    inner = message(reply, RET)
    return signed(decode(inner).get(1, [0])[0]), message(inner, 2).decode()


async def test_a_commit_to_the_byte(call: Caller, agent: FakeAgent) -> None:
    agent.add("s1")
    reply = await call("CommitSandbox", of("s1", "snap"))
    ids = b"\x1a\x02s1" + b"\x22\x04snap"
    assert reply == b"\x0a\x03r-1" + SUCCESS + ids + b"\x2a\x0f/snapshots/snap"
    assert agent.calls == [("commit", "s1")]


async def test_a_rollback_to_the_byte(call: Caller, agent: FakeAgent) -> None:
    agent.add("s1")
    agent.catalog.append(make_snapshot("snap"))
    reply = await call("RollbackSandbox", rollback_of("s1", "snap", 300))
    assert reply == b"\x0a\x03r-1" + SUCCESS + b"\x1a\x02s1" + b"\x22\x04snap" + b"\x40\xac\x02"
    assert agent.calls == [("rollback", "s1")]


async def test_the_catalog_to_the_byte(call: Caller, agent: FakeAgent) -> None:
    agent.catalog += [make_snapshot("one"), make_snapshot("two")]

    def info(name: bytes) -> bytes:
        head = b"\x0a\x03" + name + b"\x22\x0e/snapshots/" + name
        return head + b"\x5a\x162023-11-14T22:13:20.5Z" + b"\x72\x10runtime_snapshot"

    one, two = info(b"one"), info(b"two")
    listed = await call("ListLocalSnapshots", HEAD)
    assert listed == b"\x0a\x03r-1" + SUCCESS + blob(3, one) + blob(3, two)
    got = await call("GetLocalSnapshot", HEAD + blob(2, "two"))
    assert got == b"\x0a\x03r-1" + SUCCESS + blob(3, two)


async def test_an_empty_catalog_is_a_success(call: Caller) -> None:
    assert await call("ListLocalSnapshots", b"") == SUCCESS


@pytest.mark.parametrize(
    ("request_bytes", "answer"),
    [
        (blob(SANDBOX_ID, "s1"), (130483, "must provide templateID")),
        (blob(NAME, "snap"), (130483, "must provide sandboxID")),
        (of("s1", "a/b"), (130483, "templateID 'a/b' is not an id")),
        (of("s1", ".."), (130483, "templateID '..' is not an id")),
        (of("s1", INVALID_BASE), (130483, "templateID is 'invalid-runtime-restore-base'")),
        (of("../x", "snap"), (130483, "sandboxID '../x' is not an id")),
        (of("s1", "snap") + blob(SNAPSHOT_DIR, "/d"), (130483, "what snapshot_dir asks for")),
        (of("s1", "snap") + blob(COMMIT_BACKEND, "s3"), (130483, "what backend asks for")),
    ],
)
async def test_a_commit_that_is_wrong_in_itself(
    call: Caller, agent: FakeAgent, request_bytes: bytes, answer: tuple[int, str]
) -> None:
    agent.add("s1")
    code, text = ret(await call("CommitSandbox", request_bytes))
    assert (code, answer[1] in text) == (answer[0], True)
    assert agent.calls == []


@pytest.mark.parametrize(
    ("request_bytes", "answer"),
    [
        (blob(NAME, "snap") + number(NEW_GEN, 1), (130483, "must provide sandboxID")),
        (blob(SANDBOX_ID, "s1") + number(NEW_GEN, 1), (130483, "must provide snapshotID")),
        (rollback_of("s1", "a/b"), (130483, "snapshotID 'a/b' is not an id")),
        (rollback_of("s1", INVALID_BASE), (130483, "snapshotID is 'invalid-runtime-restore-base'")),
        (of("s1", "snap"), (130483, "new_gen is 0: use more than 0")),
        (
            rollback_of("s1", "snap") + blob(ROOTFS_VOL, "v") + blob(META_DIR, "/m"),
            (130568, "rootfs_vol, meta_dir is set: set all of"),
        ),
        (
            rollback_of("s1", "snap")
            + blob(ROOTFS_VOL, "v")
            + blob(MEMORY_VOL, "v")
            + blob(META_DIR, "/m"),
            (130568, "leave all three empty"),
        ),
        (rollback_of("s1", "snap") + number(DESIRED_SIZE, 1), (130483, "what desired_size asks")),
        (rollback_of("s1", "snap") + blob(ROLLBACK_BACKEND, "s3"), (130483, "what backend asks")),
    ],
)
async def test_a_rollback_that_is_wrong_in_itself(
    call: Caller, agent: FakeAgent, request_bytes: bytes, answer: tuple[int, str]
) -> None:
    agent.add("s1")
    agent.catalog.append(make_snapshot("snap"))
    code, text = ret(await call("RollbackSandbox", request_bytes))
    assert (code, answer[1] in text) == (answer[0], True)
    assert agent.calls == []


@pytest.mark.parametrize("state", [State.PAUSED, State.PAUSING, State.EXITED, State.CREATED])
async def test_only_what_runs_is_committed(call: Caller, agent: FakeAgent, state: State) -> None:
    agent.add("s1", state)
    reply = await call("CommitSandbox", of("s1", "snap"))
    assert ret(reply) == (130568, "sandbox s1 is not running")
    assert message(reply, 3) == b"s1"


@pytest.mark.parametrize(
    ("state", "code"),
    [
        (State.EXITED, 130490),
        (State.DELETED, 130490),
        (State.PAUSED, 130568),
        (State.PAUSING, 130568),
        (State.RESUMING, 130568),
    ],
)
async def test_what_has_ended_never_goes_back_and_what_stands_still_not_yet(
    call: Caller, agent: FakeAgent, state: State, code: int
) -> None:
    agent.add("s1", state)
    agent.catalog.append(make_snapshot("snap"))
    found, text = ret(await call("RollbackSandbox", rollback_of("s1", "snap")))
    assert (found, bool(text)) == (code, True)
    if code == 130490:
        assert text == "sandbox is not running"


async def test_what_is_not_there(call: Caller, agent: FakeAgent) -> None:
    agent.add("s1")
    assert ret(await call("CommitSandbox", of("s2", "snap"))) == (130483, "key not found")
    assert ret(await call("RollbackSandbox", rollback_of("s2", "snap"))) == (
        130483,
        "key not found",
    )
    assert ret(await call("RollbackSandbox", rollback_of("s1", "none")))[0] == 130568
    missing = await call("GetLocalSnapshot", HEAD + blob(2, "none"))
    assert ret(missing) == (130568, "snapshot none not found")
    assert ret(await call("GetLocalSnapshot", HEAD)) == (130483, "must provide snapshotID")
    assert ret(await call("GetLocalSnapshot", blob(2, "../x")))[0] == 130483


@pytest.mark.parametrize(
    ("kind", "why", "code"),
    [
        (Code.ALREADY_EXISTS, Reason.SNAPSHOT_EXISTS, 130409),
        (Code.ABORTED, Reason.SNAPSHOT_IN_PROGRESS, 130409),
        (Code.FAILED_PRECONDITION, Reason.STALE_BASE, 130568),
        (Code.FAILED_PRECONDITION, Reason.DIVERGED, 130568),
        (Code.FAILED_PRECONDITION, Reason.SNAPSHOTS_UNSUPPORTED, 130568),
        (Code.INVALID_ARGUMENT, Reason.KEY_REUSED, 130483),
        (Code.DEADLINE_EXCEEDED, Reason.RUNTIME_DEADLINE, 130500),
    ],
)
async def test_a_failure_speaks_for_itself(
    call: Caller, agent: FakeAgent, kind: Code, why: Reason, code: int
) -> None:
    agent.add("s1")
    agent.failures["commit"] = agent.failures["rollback"] = error(kind, why, "the whole story")
    assert ret(await call("CommitSandbox", of("s1", "snap"))) == (code, "the whole story")
    answer = ret(await call("RollbackSandbox", rollback_of("s1", "snap")))
    assert answer == (code, "the whole story")


@pytest.mark.parametrize(
    ("rpc", "method", "request_bytes"),
    [
        ("CommitSandbox", "commit", of("s1", "snap")),
        ("RollbackSandbox", "rollback", rollback_of("s1", "snap")),
        ("ListLocalSnapshots", "snapshots", HEAD),
        ("GetLocalSnapshot", "snapshots", HEAD + blob(2, "snap")),
    ],
)
async def test_an_exception_still_has_a_ret(
    call: Caller, agent: FakeAgent, rpc: str, method: str, request_bytes: bytes
) -> None:
    agent.failures[method] = RuntimeError("the secret is hunter2")
    reply = await call(rpc, request_bytes)
    code, text = ret(reply)
    assert (code, text.startswith(f"{rpc} panic info: incident ")) == (-1, True)
    assert b"hunter2" not in reply


async def test_the_bindings_are_labels_in_list(call: Caller, agent: FakeAgent) -> None:
    at_ns = START_NS + 120_000_000
    bound = bound_to("snap", at_ns=at_ns, generation=1).invalidated(at_ns)
    agent.records["s1"] = replace(agent.add("s1"), bindings=bound)
    (item,) = (i for i in decode(await call("List", b""))[1] if isinstance(i, bytes))
    expected = {
        "cube.master.runtime.snapshot.id": b"invalid-runtime-restore-base",
        "cube.master.runtime.snapshot.attached_at": b"2023-11-14T22:13:20.12Z",
        "cube.master.runtime.restore.snapshot.id": b"invalid-runtime-restore-base",
        "cube.master.runtime.restore.snapshot.attached_at": b"2023-11-14T22:13:20.12Z",
    }
    assert mapping(item, 6) == expected
    assert mapping(message(item, 4), 8).items() >= expected.items()
    selector = entry(2, "cube.master.runtime.snapshot.id", INVALID_BASE)
    assert await call("List", blob(2, selector)) != b""
    assert await call("List", blob(2, entry(2, "cube.master.runtime.snapshot.id", "snap"))) == b""
