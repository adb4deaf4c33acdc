"""How a shim's events get out, or do not, in virtual time."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from shimclient.api import events_pb2, task_pb2
from shimclient.errors import Code, StatusError
from shimclient.events import EVENTS_SERVICE, decode_event
from shimclient.server import CallContext, Method, Server
from shimclient.skeleton.publisher import Publisher
from tests.support.virtual_time import in_virtual_time


class Sink:
    """An events server that notes what came when, and does what it is told with each."""

    def __init__(self) -> None:
        self.came: list[tuple[str, float]] = []
        self.times: dict[str, int] = {}
        self.metadata: list[str] = []
        self.refuse: Callable[[str], bool] = lambda _: False
        self.silent = False

    async def forward(
        self, request: events_pb2.ForwardRequest, call: CallContext
    ) -> task_pb2.Empty:
        event = decode_event(request.envelope)
        self.came.append((event.container_id, round(asyncio.get_running_loop().time(), 3)))
        self.times[event.container_id] = event.at_ns
        self.metadata = call.metadata["containerd-namespace-ttrpc"]
        if self.silent:
            await asyncio.Event().wait()
        if self.refuse(event.container_id):
            raise StatusError(Code.UNAVAILABLE, "no")
        return task_pb2.Empty()


@contextlib.asynccontextmanager
async def serving(sink: Sink, path: str) -> AsyncIterator[Server]:
    method = Method(events_pb2.ForwardRequest, sink.forward)
    server = Server({EVENTS_SERVICE: {"Forward": method}})
    await server.serve_path(path)
    yield server
    await server.close(grace_s=0)


def publish(publisher: Publisher, *names: str) -> None:
    for name in names:
        publisher.publish(events_pb2.TaskPaused(container_id=name), at_ns=42)


@in_virtual_time
async def test_events_go_out_in_order_with_their_own_time(tmp_path: Path) -> None:
    path, sink = str(tmp_path / "s"), Sink()
    async with serving(sink, path):
        publisher = Publisher(path, namespace="ns")
        publisher.start()
        publish(publisher, "a", "b", "c")
        await publisher.close(grace_s=1)
        assert [name for name, _ in sink.came] == ["a", "b", "c"]
        assert (sink.times["a"], sink.metadata, publisher.sent) == (42, ["ns"], 3)


@in_virtual_time
async def test_a_refused_event_is_repeated_five_times_and_others_overtake_it(
    tmp_path: Path,
) -> None:
    path, sink = str(tmp_path / "s"), Sink()
    sink.refuse = lambda name: name == "bad"
    async with serving(sink, path):
        publisher = Publisher(path, namespace="ns")
        publisher.start()
        publish(publisher, "bad", "good")
        await publisher.close(grace_s=60)
        assert sink.came == [
            *(("bad", 0.0), ("good", 0.0), ("bad", 1.0), ("bad", 3.0)),
            *(("bad", 6.0), ("bad", 10.0), ("bad", 15.0)),
        ]
        assert (publisher.sent, publisher.given_up) == (1, 1)


@in_virtual_time
async def test_a_full_queue_drops_its_oldest_and_never_waits(tmp_path: Path) -> None:
    path, sink = str(tmp_path / "s"), Sink()
    async with serving(sink, path):
        publisher = Publisher(path, namespace="ns", queue_max=2)
        publisher.start()
        publish(publisher, "a", "b", "c", "d")
        await publisher.close(grace_s=1)
        assert [name for name, _ in sink.came] == ["c", "d"]
        assert (publisher.sent, publisher.overflowed) == (2, 2)


@in_virtual_time
async def test_a_silent_sink_costs_five_seconds_an_event_and_no_more(tmp_path: Path) -> None:
    path, sink = str(tmp_path / "s"), Sink()
    sink.silent = True
    async with serving(sink, path):
        publisher = Publisher(path, namespace="ns")
        publisher.start()
        publish(publisher, "a")
        await asyncio.sleep(100)
        assert [at for _, at in sink.came] == [0, 6, 13, 21, 30, 40]
        assert (publisher.sent, publisher.given_up) == (0, 1)
        await publisher.close(grace_s=0)


@in_virtual_time
async def test_a_sink_that_comes_back_gets_what_was_kept(tmp_path: Path) -> None:
    path, sink = str(tmp_path / "s"), Sink()
    publisher = Publisher(path, namespace="ns")
    publisher.start()
    publish(publisher, "early")
    await asyncio.sleep(2)
    async with serving(sink, path):
        await asyncio.sleep(2)
        assert [name for name, _ in sink.came] == ["early"]
    publish(publisher, "later")
    async with serving(sink, path):
        publish(publisher, "last")
        await publisher.close(grace_s=30)
        assert {name for name, _ in sink.came} == {"early", "later", "last"}
    assert (publisher.sent, publisher.given_up) == (3, 0)


@in_virtual_time
async def test_a_lost_connection_is_dialled_again_at_once(tmp_path: Path) -> None:
    path, sink = str(tmp_path / "s"), Sink()
    publisher = Publisher(path, namespace="ns")
    publisher.start()
    async with serving(sink, path):
        publish(publisher, "a")
        await asyncio.sleep(1)
    async with serving(sink, path):
        publish(publisher, "b")
        await asyncio.sleep(0.5)
        assert sink.came == [("a", 0.0), ("b", 1.0)]
        await publisher.close(grace_s=0)


@in_virtual_time
async def test_what_is_left_at_the_end_is_counted_as_lost(tmp_path: Path) -> None:
    path, sink = str(tmp_path / "s"), Sink()
    sink.silent = True
    async with serving(sink, path):
        publisher = Publisher(path, namespace="ns")
        publisher.start()
        publish(publisher, "a", "b", "c")
        await publisher.close(grace_s=2)
        assert (publisher.given_up, publisher.sent) == (3, 0)
        assert asyncio.get_running_loop().time() == 2


@in_virtual_time
async def test_without_a_sink_nothing_is_kept() -> None:
    publisher = Publisher("", namespace="ns")
    publisher.start()
    publish(publisher, "a")
    await publisher.close(grace_s=5)
    assert asyncio.get_running_loop().time() == 0
