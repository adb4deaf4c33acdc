"""One shim process of each kind, started as containerd starts it, with everything to try it by."""

from __future__ import annotations

import abc
import asyncio
import contextlib
import json
import os
import shutil
import sys
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import psutil

from shimclient.api import fake_pb2, task_pb2
from shimclient.bootstrap import ShimAddress, delete_shim, start_shim
from shimclient.client import Client
from shimclient.errors import NotFound
from shimclient.events import EventsServer, TaskEvent
from shimclient.fake.protocol import CONTROL_SERVICE
from shimclient.logpipe import LogPipe
from shimclient.task import CreateRequest, Exit, Task, runc_options
from tests.support.oci import TICKER, write_bundle
from tests.support.polling import eventually

#: More than any healthy call takes; a test that meets it fails.
PATIENCE_S = 20.0
_RUNC_WRAPPER = """#!/bin/sh
for word in "$@"; do
  if [ "$word" = pause ] && [ -e "{delay}" ]; then sleep "$(cat "{delay}")"; fi
done
exec {runc} "$@"
"""


class ShimLab(abc.ABC):
    """A shim that was started for one task, whose id is `id`."""

    def __init__(self, folder: Path) -> None:
        self.command: list[str] = []
        self.id = f"box-{uuid.uuid4().hex[:12]}"
        # The delete of containerd's runc shim finds the bundle by this name.
        self.bundle = folder / self.id
        self.bundle.mkdir()
        self.events = EventsServer()
        self.address = ShimAddress("", 0, "")
        self.log: list[str] = []
        self.shim_pid = 0
        self._client: Client | None = None

    @property
    def client(self) -> Client:
        assert self._client is not None
        return self._client

    @property
    def task(self) -> Task:
        return Task(self.client, version=self.address.version)

    async def start_again(self) -> ShimAddress:
        """What `start` answers; the daemon's address is the bundle, so sockets never clash."""
        return await start_shim(
            self.command,
            namespace="contract",
            id=self.id,
            bundle=self.bundle,
            events_address=str(self.bundle / "events.sock"),
            containerd_address=str(self.bundle),
            timeout_s=PATIENCE_S,
        )

    async def open(self) -> None:
        await self.events.serve_path(str(self.bundle / "events.sock"))
        self.address = await self.start_again()
        self._client = await Client.connect(self.address.address)

    async def create(self) -> int:
        pid = await self.task.create(self.request(), local_timeout_s=PATIENCE_S)
        self.shim_pid = (await self.task.connect(self.id, local_timeout_s=PATIENCE_S)).shim_pid
        return pid

    async def run(self) -> int:
        """Create and start; the task's pid."""
        await self.create()
        return await self.task.start(self.id, local_timeout_s=PATIENCE_S)

    async def event(self) -> TaskEvent:
        async with asyncio.timeout(PATIENCE_S):
            return await self.events.next()

    async def events_until(self, topic: str) -> list[TaskEvent]:
        """All events up to the first of a topic, that one included."""
        seen = [await self.event()]
        while seen[-1].topic != topic:
            seen.append(await self.event())
        return seen

    async def clean_up(self) -> Exit:
        return await delete_shim(
            self.command,
            namespace="contract",
            id=self.id,
            bundle=self.bundle,
            containerd_address=str(self.bundle),
            timeout_s=PATIENCE_S,
        )

    async def close(self) -> None:
        """End whatever is left; nothing of the shim and its task may run then."""
        polite = self._client is not None and not self.client.closed
        if polite:
            await self._end_politely()
        if self._client is not None:
            await self.client.close()
        if self.shim_pid:
            await eventually(lambda: not runs(self.shim_pid), what="the shim's process ends")
        await self.events.close()
        if self._socket().exists():  # It was killed; others remove their socket.
            await self.clean_up()
            self._socket().unlink(missing_ok=True)

    def _socket(self) -> Path:
        return Path(self.address.address.removeprefix("unix://"))

    async def _end_politely(self) -> None:
        with contextlib.suppress(NotFound):
            await self.task.kill(self.id, 9, local_timeout_s=PATIENCE_S)
        with contextlib.suppress(NotFound):
            await self.task.wait(self.id, local_timeout_s=PATIENCE_S)
            await self.task.delete(self.id, local_timeout_s=PATIENCE_S)
        await self.task.shutdown(self.id, local_timeout_s=PATIENCE_S)

    def request(self) -> CreateRequest:
        return CreateRequest(id=self.id, bundle=str(self.bundle))

    @abc.abstractmethod
    async def slow_pauses(self, delay_s: float) -> None:
        """From now on each pause takes so long."""

    @abc.abstractmethod
    async def progress(self) -> int:
        """Something that grows while the task runs."""


class FakeLab(ShimLab):
    """Our fake shim, as a process."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.command = [str(fake_binary(folder))]

    async def slow_pauses(self, delay_s: float) -> None:
        request = fake_pb2.SetRequest(times={"pause": f"{delay_s * 1000:.0f}ms"})
        await self.client.call(
            CONTROL_SERVICE, "Set", request, fake_pb2.ScriptReply, local_timeout_s=PATIENCE_S
        )

    async def progress(self) -> int:
        stats = await self.task.stats(self.id, local_timeout_s=PATIENCE_S)
        return int(json.loads(stats.value)["ticks"])


class RuncLab(ShimLab):
    """containerd's own shim around real runc; a wrapper makes its pauses slow."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.command = ["containerd-shim-runc-v2"]

    async def open(self) -> None:
        runc = shutil.which("runc")
        wrapper = self.bundle / "runc-wrapper"
        wrapper.write_text(_RUNC_WRAPPER.format(delay=self.bundle / "delay", runc=runc))
        wrapper.chmod(0o755)
        write_bundle(self.bundle, TICKER, cgroup=f"/cubelet-test/{self.id}")
        await super().open()

    def request(self) -> CreateRequest:
        options = task_pb2.RuncOptions(
            binary_name=str(self.bundle / "runc-wrapper"), root=str(self.bundle / "runc-root")
        )
        request = super().request()
        request.options.CopyFrom(runc_options(options))
        return request

    async def slow_pauses(self, delay_s: float) -> None:
        (self.bundle / "delay").write_text(str(delay_s))

    async def progress(self) -> int:
        out = self.bundle / "out" / "n"
        return out.stat().st_size if out.exists() else 0


@contextlib.asynccontextmanager
async def shim_lab(kind: type[ShimLab], folder: Path) -> AsyncIterator[ShimLab]:
    """A running shim of this kind; afterwards nothing of it is left."""
    lab = kind(folder)
    with LogPipe(lab.bundle, lab.log.append):
        try:
            await lab.open()
            yield lab
        finally:
            await lab.close()


def fake_binary(folder: Path) -> Path:
    """The fake shim as an executable of the name that containerd looks for; runs anywhere."""
    binary = folder / "containerd-shim-fake-v1"
    python_path = os.pathsep.join(path for path in (str(Path.cwd()), *sys.path) if path)
    binary.write_text(
        f'#!/bin/sh\nPYTHONPATH="{python_path}" exec {sys.executable} -m shimclient.fake "$@"\n'
    )
    binary.chmod(0o755)
    return binary


def runs(pid: int) -> bool:
    """Whether a process lives; a zombie does not."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def stands_still(pid: int) -> bool:
    """Whether every thread of a process is stopped: SIGSTOP reaches them one by one."""
    threads = Path(f"/proc/{pid}/task").iterdir()
    states = [(thread / "stat").read_text().rpartition(") ")[2][0] for thread in threads]
    return set(states) == {"T"}
