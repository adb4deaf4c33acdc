"""Update, spoken in field numbers: every code, every message, and `ret` on every path."""

from __future__ import annotations

import pytest

from cubelet.core.faults import Code, CubeletError, Reason, error
from cubelet.core.model import State
from tests.contract.wire.conftest import Caller
from tests.contract.wire.raw import blob, decode, entry, mapping, message, number, signed, varint
from tests.unit.rpc.fakes import FakeAgent

ACTION = "cube.master.update_action"
REQUEST_ID, SANDBOX_ID, ANNOTATIONS = 1, 2, 3
RET, EXT_INFO = 2, 3
RET_CODE, RET_MSG = 1, 2


def update(sandbox_id: str, action: str | None) -> bytes:
    request = blob(REQUEST_ID, "r-1") + blob(SANDBOX_ID, sandbox_id)
    return request if action is None else request + entry(ANNOTATIONS, ACTION, action)


def ret(reply: bytes) -> tuple[int, str]:
    """Code and text; the field itself must be there, because absent means success."""
    assert RET in decode(reply)
    inner = message(reply, RET)
    return signed(decode(inner).get(RET_CODE, [0])[0]), message(inner, RET_MSG).decode()


def reason(reply: bytes) -> str:
    return mapping(reply, EXT_INFO).get("reason", b"").decode()


async def test_a_pause_and_a_resume_to_the_byte(call: Caller, agent: FakeAgent) -> None:
    agent.add("s1")
    success = b"\x0a\x03r-1" + b"\x12\x03\x08\xc8\x01"
    for action, state in (("pause", State.PAUSED), ("resume", State.RUNNING)):
        assert await call("Update", update("s1", action)) == success
        assert agent.records["s1"].state is state


async def test_a_refusal_to_the_byte(call: Caller, agent: FakeAgent) -> None:
    agent.add("s1", State.PAUSED)
    code = b"\x08\xba\xfb\x07"  # 130490
    text = b"\x12\x19sandbox is already paused"
    entry_bytes = b"\x0a\x06reason" + b"\x12\x0eALREADY_PAUSED"
    golden = b"\x0a\x03r-1" + b"\x12\x1f" + code + text + b"\x1a\x18" + entry_bytes
    assert await call("Update", update("s1", "pause")) == golden


@pytest.mark.parametrize(
    ("request_bytes", "text"),
    [
        (b"", "must provide container name"),
        (entry(ANNOTATIONS, ACTION, "fly"), "must provide container name"),
        (blob(SANDBOX_ID, "none"), "must provide Annotations"),
        (blob(SANDBOX_ID, "none") + entry(ANNOTATIONS, "k", "v"), "must provide update action"),
        (update("none", ""), "must provide update action"),
        (update("none", "fly"), "key not found"),
        (update("none", "addDevice"), "key not found"),
        (update("none", "pause"), "key not found"),
        (update("../etc", "resume"), "key not found"),
        (update("s", "pause"), "key not found"),
        (
            update("s1", "addDevice"),
            "cloud disk hotplug is not supported in the open source build",
        ),
        (
            update("s1", "removeDevice"),
            "cloud disk hotplug is not supported in the open source build",
        ),
        (update("s1", "fly"), "invalid update action"),
    ],
)
async def test_the_checks_in_their_order(
    call: Caller, agent: FakeAgent, request_bytes: bytes, text: str
) -> None:
    agent.add("s1")
    assert ret(await call("Update", request_bytes)) == (130483, text)
    assert agent.calls == []


@pytest.mark.parametrize(
    ("state", "action", "code", "text", "why"),
    [
        (State.PAUSED, "pause", 130490, "sandbox is already paused", "ALREADY_PAUSED"),
        (State.PAUSING, "pause", 130490, "sandbox is already paused", "PAUSE_IN_PROGRESS"),
        (State.EXITED, "pause", 130490, "sandbox is not running", "NOT_RUNNING"),
        (State.DELETED, "pause", 130490, "sandbox is not running", "DELETE_IN_PROGRESS"),
        (
            State.RESUMING,
            "pause",
            130588,
            "sandbox s1 has a resume whose outcome is not known yet; try again later",
            "RESUME_IN_PROGRESS",
        ),
        (
            State.CREATED,
            "pause",
            130588,
            "sandbox s1 is still being created; try again when it runs",
            "CREATE_IN_PROGRESS",
        ),
        (State.RUNNING, "resume", 130490, "sandbox already running", "ALREADY_RUNNING"),
        (
            State.PAUSING,
            "resume",
            130589,
            "sandbox not resumable in state=CONTAINER_PAUSING",
            "PAUSE_IN_PROGRESS",
        ),
        (
            State.CREATED,
            "resume",
            130589,
            "sandbox not resumable in state=CONTAINER_CREATED",
            "CREATE_IN_PROGRESS",
        ),
        (
            State.EXITED,
            "resume",
            130589,
            "sandbox not resumable in state=CONTAINER_EXITED",
            "NOT_RUNNING",
        ),
        (
            State.DELETED,
            "resume",
            130589,
            "sandbox not resumable in state=CONTAINER_EXITED",
            "DELETE_IN_PROGRESS",
        ),
    ],
)
async def test_a_state_that_refuses(
    call: Caller, agent: FakeAgent, state: State, action: str, code: int, text: str, why: str
) -> None:
    agent.add("s1", state)
    reply = await call("Update", update("s1", action))
    assert (*ret(reply), reason(reply)) == (code, text, why)
    assert agent.records["s1"].state is state


@pytest.mark.parametrize(("action", "code"), [("pause", 130588), ("resume", 130589)])
@pytest.mark.parametrize(
    ("kind", "why"),
    [
        (Code.DEADLINE_EXCEEDED, Reason.RUNTIME_DEADLINE),
        (Code.INTERNAL, Reason.RUNTIME_REFUSED),
        (Code.UNAVAILABLE, Reason.RUNTIME_LOST),
        (Code.UNAVAILABLE, Reason.STORE_FAILED),
    ],
)
async def test_a_failure_is_told_in_the_runtimes_words(
    call: Caller, agent: FakeAgent, action: str, code: int, kind: Code, why: Reason
) -> None:
    agent.add("s1")
    agent.failures[action] = error(kind, why, "runc: cgroup is busy\n; it is PAUSED now")
    reply = await call("Update", update("s1", action))
    assert (*ret(reply), reason(reply)) == (code, "runc: cgroup is busy\n; it is PAUSED now", why)


@pytest.mark.parametrize("action", ["pause", "resume", "resolve"])
async def test_an_exception_still_has_a_ret(call: Caller, agent: FakeAgent, action: str) -> None:
    agent.add("s1")
    agent.failures[action] = RuntimeError("the secret is hunter2")
    reply = await call("Update", update("s1", "resume" if action == "resolve" else action))
    code, text = ret(reply)
    assert code == -1
    assert text.startswith("Update panic info:")
    assert b"hunter2" not in reply
    assert reason(reply) == "BUG"
    assert mapping(reply, EXT_INFO).keys() == {"reason"}
    minus_one = b"\x08" + b"\xff" * 9 + b"\x01"
    assert message(reply, RET).startswith(minus_one)


async def test_a_typed_bug_has_a_ret_too(call: Caller, agent: FakeAgent) -> None:
    agent.add("s1")
    agent.failures["pause"] = error(Code.INTERNAL, Reason.BUG, "worker fell over")
    assert ret(await call("Update", update("s1", "pause"))) == (-1, "worker fell over")


async def test_text_that_utf8_cannot_say_is_told_all_the_same(
    call: Caller, agent: FakeAgent
) -> None:
    agent.add("s1")
    agent.failures["pause"] = error(Code.INTERNAL, Reason.RUNTIME_REFUSED, "bad \udcff byte")
    assert ret(await call("Update", update("s1", "pause"))) == (130588, "bad ? byte")


async def test_late_fields_and_unknown_ones_do_no_harm(call: Caller, agent: FakeAgent) -> None:
    agent.add("s1")
    unknown = blob(4, number(1, 1)) + number(4095, 7)
    assert ret(await call("Update", update("s1", "pause") + unknown)) == (200, "")


def test_the_ruler_itself() -> None:
    assert varint(-1) == b"\xff" * 9 + b"\x01"
    assert varint(300) == b"\xac\x02"
    assert signed(decode(number(1, -1))[1][0]) == -1
    assert isinstance(error(Code.ABORTED, Reason.BUG, ""), CubeletError)
