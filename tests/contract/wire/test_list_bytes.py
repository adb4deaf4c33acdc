"""List, spoken in field numbers."""

from __future__ import annotations

import json
from dataclasses import replace

import grpc.aio
import pytest

from cubelet.core.model import State
from cubelet.core.spec import Resources, Spec
from tests.contract.wire.conftest import Caller
from tests.contract.wire.raw import blob, decode, entry, mapping, message, number, signed
from tests.unit.rpc.fakes import START_NS, FakeAgent

ID, FILTER, OPTION = 1, 2, 3
STATE, SELECTOR = 1, 2
CREATED, RUNNING, EXITED, PAUSING, PAUSED = 0, 1, 2, 4, 5


def with_state(state: int) -> bytes:
    return blob(FILTER, blob(STATE, number(1, state)))


def items(reply: bytes) -> list[bytes]:
    return [item for item in decode(reply).get(1, []) if isinstance(item, bytes)]


def ids(reply: bytes) -> list[str]:
    return [message(item, 1).decode() for item in items(reply)]


def integer(data: bytes, field: int) -> int:
    return signed(decode(data).get(field, [0])[0])


async def test_one_running_sandbox_to_the_byte(call: Caller, agent: FakeAgent) -> None:
    spec = Spec(runtime="fake", template="img", args=("x",), resources=Resources(cpu_milli=500))
    agent.add("s1", State.RUNNING, spec)
    stamp = bytes.fromhex("8080a8b1e39fe7cb17")
    assert number(3, START_NS) == b"\x18" + stamp
    labels = (
        (b"io.kubernetes.cri.container-type", b"sandbox"),
        (b"io.kubernetes.cri.container-name", b"s1"),
        (b"io.kubernetes.cri.sandbox-id", b"s1"),
    )
    head = b"\x0a\x02s1" + b"\x12\x03img" + b"\x1a\x07sandbox" + b"\x22\x06\x0a\x04500m"
    container = head + b"\x28\x01" + b"\x30" + stamp
    reply = await call("List", b"")
    (item,) = items(reply)
    assert item.startswith(b"\x0a\x02s1" + b"\x12\x07default" + b"\x18" + stamp + b"\x22")
    inner = message(item, 4)
    assert inner.startswith(container)
    rest = b"".join(sorted(blob(8, blob(1, key) + blob(2, value)) for key, value in labels))
    assert b"".join(sorted(blob(8, v) for v in decode(inner)[8] if isinstance(v, bytes))) == rest
    assert len(inner) == len(container) + len(rest)


@pytest.mark.parametrize(
    ("state", "shown", "paused_at"),
    [
        (State.CREATED, CREATED, 0),
        (State.RUNNING, RUNNING, 0),
        (State.PAUSING, PAUSING, START_NS + 3),
        (State.PAUSED, PAUSED, START_NS + 2),
        (State.RESUMING, PAUSED, START_NS + 2),
        (State.EXITED, EXITED, 0),
    ],
)
async def test_how_a_state_is_shown(
    call: Caller, agent: FakeAgent, state: State, shown: int, paused_at: int
) -> None:
    agent.add("s1", state)
    (item,) = items(await call("List", b""))
    container = message(item, 4)
    assert integer(container, 5) == shown
    assert integer(item, 8) == integer(container, 9) == paused_at
    assert integer(container, 7) == (START_NS + 4 if state is State.EXITED else 0)
    assert ids(await call("List", with_state(shown))) == ["s1"]
    assert ids(await call("List", with_state(3))) == []


async def test_an_accepted_deletion_is_not_listed(call: Caller, agent: FakeAgent) -> None:
    agent.add("s1", State.DELETED)
    assert await call("List", b"") == b""
    assert await call("List", blob(ID, "s1")) == b""


async def test_an_id_makes_the_filter_void(call: Caller, agent: FakeAgent) -> None:
    agent.add("s1")
    agent.add("s2")
    assert ids(await call("List", blob(ID, "s1") + with_state(PAUSED))) == ["s1"]
    assert await call("List", blob(ID, "s")) == b""
    assert len(ids(await call("List", blob(ID, "")))) == 2


async def test_selectors_see_the_labels_of_sandbox_and_container(
    call: Caller, agent: FakeAgent
) -> None:
    agent.add("s1", spec=Spec(runtime="fake", args=("x",), labels={"team": "red"}))
    agent.add("s2", spec=Spec(runtime="fake", args=("x",), labels={"team": "blue"}))
    red = entry(SELECTOR, "team", "red")
    own = entry(SELECTOR, "io.kubernetes.cri.sandbox-id", "s1")
    other = entry(SELECTOR, "io.kubernetes.cri.sandbox-id", "s2")
    assert ids(await call("List", blob(FILTER, red + own))) == ["s1"]
    assert ids(await call("List", blob(FILTER, red + other))) == []
    assert ids(await call("List", blob(FILTER, red + blob(3, "nonsense")))) == ["s1"]
    (item,) = items(await call("List", blob(FILTER, red)))
    assert mapping(item, 6) == {"team": b"red"}


async def test_living_first_then_newest_first_then_cut(call: Caller, agent: FakeAgent) -> None:
    for n in range(5002):
        record = agent.add(f"s{n}", State.EXITED if n == 5001 else State.RUNNING)
        agent.records[f"s{n}"] = replace(record, created_at_ns=START_NS + n)
    listed = ids(await call("List", b""))
    assert len(listed) == 5000
    assert listed[:2] == ["s5000", "s4999"]
    assert "s5001" not in listed
    assert ids(await call("List", with_state(EXITED))) == ["s5001"]


async def test_the_whole_record_only_on_demand(call: Caller, agent: FakeAgent) -> None:
    agent.add("s1")
    (plain,) = items(await call("List", b""))
    assert 9 not in decode(plain)
    (item,) = items(await call("List", blob(OPTION, number(1, 1))))
    stored = message(item, 9)
    assert json.loads(stored)["created_at_ns"] == START_NS
    assert b'\n  "id": "s1"' in stored


async def test_an_exception_in_list_is_a_grpc_error(call: Caller, agent: FakeAgent) -> None:
    agent.failures["view"] = RuntimeError("the secret is hunter2")
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call("List", b"")
    assert caught.value.code() is grpc.StatusCode.INTERNAL
    assert caught.value.details() == "internal error"
