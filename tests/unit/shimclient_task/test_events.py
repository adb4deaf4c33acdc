"""Receiving events: decoded by type, answered before anything else, bounded."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from google.protobuf.message import Message

from shimclient.api import events_pb2, task_pb2
from shimclient.client import Client
from shimclient.events import (
    EVENT_TYPES,
    EVENTS_SERVICE,
    EventsServer,
    TaskEvent,
    UndecodableEvent,
    decode_event,
    pack_event,
)


@pytest.mark.parametrize(("topic", "kind"), EVENT_TYPES.items())
@pytest.mark.parametrize("prefix", ["", "type.googleapis.com/"])
def test_every_task_event_is_decoded_with_and_without_a_prefix(
    topic: str, kind: type[Message], prefix: str
) -> None:
    message = kind(container_id="box")
    envelope = pack_event(message, namespace="ns", at_ns=1_000_000_007)
    assert "/" not in envelope.event.type_url
    envelope.event.type_url = prefix + envelope.event.type_url
    event = decode_event(envelope)
    assert event.message == message
    assert (event.topic, event.namespace, event.container_id, event.at_ns) == (
        *(topic, "ns", "box", 1_000_000_007),
    )


@pytest.mark.parametrize(
    ("message", "exec_id"),
    [
        (events_pb2.TaskExit(container_id="box", id="box"), ""),
        (events_pb2.TaskExit(container_id="box", id="ls"), "ls"),
        (events_pb2.TaskDelete(container_id="box", id="ls"), "ls"),
        (events_pb2.TaskDelete(container_id="box", id="box"), ""),
        (events_pb2.TaskExecAdded(container_id="box", exec_id="ls"), "ls"),
        (events_pb2.TaskExecStarted(container_id="box", exec_id="ls"), "ls"),
        (events_pb2.TaskPaused(container_id="box"), ""),
    ],
)
def test_an_exec_is_told_from_its_container(message: Message, exec_id: str) -> None:
    event = decode_event(pack_event(message, namespace="ns", at_ns=0))
    assert (event.container_id, event.exec_id) == ("box", exec_id)


def test_what_is_no_task_event_is_named() -> None:
    with pytest.raises(UndecodableEvent, match=r"containerd\.events\.ImageCreate"):
        decode_event(envelope_of("containerd.events.ImageCreate", b""))
    with pytest.raises(UndecodableEvent, match="TaskPaused"):
        decode_event(envelope_of("containerd.events.TaskPaused", b"\xff"))
    with pytest.raises(UndecodableEvent):
        decode_event(events_pb2.Envelope())


def envelope_of(type_url: str, value: bytes) -> events_pb2.Envelope:
    envelope = events_pb2.Envelope(namespace="ns", topic="/t")
    envelope.event.type_url, envelope.event.value = type_url, value
    return envelope


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[EventsServer]:
    server = EventsServer(queue_max=3)
    await server.serve_path(str(tmp_path / "events.sock"))
    yield server
    await server.close()


async def forward(client: Client, envelope: events_pb2.Envelope) -> None:
    request = events_pb2.ForwardRequest(envelope=envelope)
    await client.call(EVENTS_SERVICE, "Forward", request, task_pb2.Empty, local_timeout_s=5)


def paused(number: int) -> events_pb2.Envelope:
    return pack_event(events_pb2.TaskPaused(container_id=f"box{number}"), namespace="n", at_ns=1)


async def test_forward_is_answered_though_nobody_reads_and_the_oldest_are_dropped(
    server: EventsServer, tmp_path: Path
) -> None:
    client = await Client.connect(str(tmp_path / "events.sock"))
    for number in range(5):
        await forward(client, paused(number))
    assert (server.received, server.dropped) == (5, 2)
    assert [(await server.next()).container_id for _ in range(3)] == ["box2", "box3", "box4"]
    await client.close()


async def test_an_unknown_event_is_answered_and_counted(
    server: EventsServer, tmp_path: Path
) -> None:
    client = await Client.connect(str(tmp_path / "events.sock"))
    await forward(client, envelope_of("containerd.events.ImageCreate", b""))
    await forward(client, paused(1))
    assert (await server.next()).container_id == "box1"
    assert (server.received, server.undecodable, server.dropped) == (2, 1, 0)
    await client.close()


async def test_a_reader_that_waits_gets_the_next_event(
    server: EventsServer, tmp_path: Path
) -> None:
    waiting: asyncio.Task[TaskEvent] = asyncio.create_task(server.next())
    client = await Client.connect(str(tmp_path / "events.sock"))
    await forward(client, paused(7))
    assert (await waiting).container_id == "box7"
    await client.close()
