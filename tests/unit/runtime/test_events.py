from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from google.protobuf.message import Message

from cubelet.core.faults import CubeletError
from cubelet.core.inputs import Cause
from cubelet.core.model import State
from cubelet.runtime.events import EventPump
from shimclient import Client
from shimclient.api import events_pb2, task_pb2
from shimclient.events import EVENTS_SERVICE, pack_event
from tests.support.polling import eventually

Hints = list[tuple[str, Cause, State | None]]


class Shim:
    """Forwards events as a shim does."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def says(self, message: Message) -> None:
        envelope = pack_event(message, namespace="any", at_ns=1)
        request = events_pb2.ForwardRequest(envelope=envelope)
        await self._client.call(
            EVENTS_SERVICE, "Forward", request, task_pb2.Empty, local_timeout_s=5
        )


@pytest.fixture
def hints() -> Hints:
    return []


@pytest.fixture
async def shim(tmp_path: Path, hints: Hints) -> AsyncIterator[Shim]:
    def hint(sandbox_id: str, cause: Cause, *, told: State | None) -> None:
        if sandbox_id == "bad":
            raise RuntimeError("a bug of the engine's")
        hints.append((sandbox_id, cause, told))

    path = tmp_path / "run" / "events.sock"
    pump = EventPump(path, hint)
    await pump.start()
    client = await Client.connect(f"unix://{path}")
    yield Shim(client)
    await client.close()
    await pump.close()


async def test_lost_events_are_a_gap_that_is_told_once(tmp_path: Path) -> None:
    gaps: list[str] = []
    seen: list[str] = []

    def hint(sandbox_id: str, cause: Cause, *, told: State | None) -> None:
        seen.append(sandbox_id)

    pump = EventPump(tmp_path / "events.sock", hint, gaps.append, queue_max=1)
    await pump.start()
    client = await Client.connect(f"unix://{tmp_path / 'events.sock'}")
    shim = Shim(client)
    crowd = [shim.says(events_pb2.TaskPaused(container_id=f"sb{i}")) for i in range(50)]
    await asyncio.gather(*crowd)
    await eventually(lambda: pump.dropped + len(seen) == 50, what="every event seen or lost")
    await shim.says(events_pb2.TaskPaused(container_id="last"))
    await eventually(lambda: "last" in seen, what="the last event")
    assert pump.dropped > 0
    told = sum(int(gap.split()[0]) for gap in gaps)
    assert told == pump.dropped
    await client.close()
    await pump.close()


async def test_what_happens_to_a_sandbox_hints(shim: Shim, hints: Hints) -> None:
    await shim.says(events_pb2.TaskPaused(container_id="sb"))
    await shim.says(events_pb2.TaskResumed(container_id="sb"))
    await shim.says(events_pb2.TaskOOM(container_id="sb"))
    await shim.says(events_pb2.TaskExit(container_id="sb", id="sb"))
    expected = [
        ("sb", Cause.EVENT, State.PAUSED),
        ("sb", Cause.EVENT, State.RUNNING),
        ("sb", Cause.EXIT, None),
        ("sb", Cause.EXIT, None),
    ]
    await eventually(lambda: hints == expected, what="four hints")


async def test_what_happens_to_an_exec_or_by_ourselves_does_not(shim: Shim, hints: Hints) -> None:
    await shim.says(events_pb2.TaskExit(container_id="sb", id="exec-1"))
    await shim.says(events_pb2.TaskCreate(container_id="sb"))
    await shim.says(events_pb2.TaskStart(container_id="sb"))
    await shim.says(events_pb2.TaskPaused(container_id="last"))
    await eventually(lambda: bool(hints), what="the last one's hint")
    assert hints == [("last", Cause.EVENT, State.PAUSED)]


async def test_a_hint_that_fails_does_not_stop_the_others(shim: Shim, hints: Hints) -> None:
    await shim.says(events_pb2.TaskPaused(container_id="bad"))
    await shim.says(events_pb2.TaskPaused(container_id="good"))
    expected = [("good", Cause.EVENT, State.PAUSED)]
    await eventually(lambda: hints == expected, what="the good one's hint")


async def test_a_path_too_long_for_a_socket_says_by_how_much(tmp_path: Path) -> None:
    path = tmp_path / ("x" * (110 - len(str(tmp_path))))
    excess = len(str(path)) - 107
    with pytest.raises(CubeletError, match=f"{excess} bytes too long"):
        await EventPump(path, lambda *_, **__: None).start()
