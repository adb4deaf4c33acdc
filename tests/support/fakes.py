"""A fake shim inside the test's own loop: the service and its server, no process."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

from google.protobuf.message import Message

from shimclient.client import Client
from shimclient.fake.script import Script, merged
from shimclient.fake.service import FakeService
from shimclient.server import Server
from shimclient.skeleton.reaper import Reaper
from shimclient.skeleton.service import ShimContext, services_of
from shimclient.skeleton.statefile import StateFile
from shimclient.task import CreateRequest, Task


@dataclass
class InLoopShim:
    """One fake shim, a Task client of it, and what it published and asked of its process."""

    service: FakeService
    client: Client
    task: Task
    events: list[Message] = field(default_factory=list)
    stops: list[str] = field(default_factory=list)

    async def run(self, task_id: str) -> None:
        """Create and start a task."""
        await self.task.create(CreateRequest(id=task_id, bundle="/b"), local_timeout_s=None)
        await self.task.start(task_id, local_timeout_s=None)

    def topics(self) -> list[str]:
        """The names of the published events."""
        return [event.DESCRIPTOR.name for event in self.events]


@contextlib.asynccontextmanager
async def in_loop_shim(folder: Path, **script: object) -> AsyncIterator[InLoopShim]:
    """A fake shim with this script; its tasks have no processes."""
    events: list[Message] = []
    stops: list[str] = []
    context = ShimContext(
        namespace="ns",
        id="shim",
        bundle=folder,
        debug=False,
        publish=events.append,
        reaper=Reaper(),
        state=StateFile(folder / "state.json"),
        stop=lambda: stops.append("stop"),
        wall_ns=lambda: 1_000_000_000,
    )
    fields = {"processes": False, **script}
    service = FakeService(
        context,
        script=merged(Script(), fields, where="test"),
        crash=lambda: stops.append("crash"),
    )
    server = Server(services_of(service))
    await service.begin()
    path = str(folder / "shim.sock")
    await server.serve_path(path)
    client = await Client.connect(path)
    try:
        yield InLoopShim(service, client, Task(client), events, stops)
    finally:
        await client.close()
        await server.close(grace_s=0)
        await service.end()
