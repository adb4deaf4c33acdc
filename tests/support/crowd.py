"""Many sandboxes of one agent process, each with a fake shim; some are made to hang."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import signal
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import psutil
from google.protobuf.message import Message

from cubelet.api.v1 import sandboxes_pb2 as api
from cubelet.runtime.note import read_note
from cubelet.runtime.places import place_of
from shimclient.api import fake_pb2
from shimclient.client import Client
from shimclient.errors import ConnectFailed, NotFound, StatusError, TransportLost
from shimclient.fake.protocol import CONTROL_SERVICE
from shimclient.skeleton.zygote import COMMAND as ZYGOTE
from shimclient.task import Status
from tests.support.agent_process import AgentProcess

#: More than any operation takes that ends at all; who meets it has found a deadlock.
PATIENCE_S = 300.0
AT_ONCE = 16
_PAGE = 500
_MANY_FILES = 65536
_MANY_CALLS = 1_000_000

M = TypeVar("M", bound=Message)
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Census:
    """What the agent's process has of the kernel. Its pool keeps threads, so they do not count."""

    files: int
    zombies: int


class Crowd:
    """An agent on a folder of its own, and sandboxes named s0000 and so on."""

    def __init__(self, folder: Path, config: str = "") -> None:
        self.folder = folder
        self.agent = AgentProcess(folder, f'[runtime]\ndefault = "fake"\n{config}')
        self.hung: list[asyncio.Task[object]] = []
        self._client: Client | None = None

    async def open(self) -> None:
        """Start the agent, and have it do everything once that it keeps what it needs for."""
        _allow_files()
        await self._start()
        await self.create(["warm"])
        await self.delete("warm")

    async def restart(self) -> None:
        """Kill -9 the agent, and start it again on what it has left; calls under way are lost."""
        self.agent.kill()
        if self._client is not None:
            await self._client.close()
        await self._start()

    async def close(self) -> None:
        """Delete all sandboxes, end the agent; on the way out of a failure too."""
        try:
            self.wake()
            async with asyncio.timeout(PATIENCE_S):
                await self.each(self.delete, list(await self.states()))
                await asyncio.gather(*self.hung, return_exceptions=True)
        finally:
            if self._client is not None:
                await self._client.close()
            await asyncio.to_thread(self.agent.terminate)
            for process in self.processes():
                process.kill()

    async def create(self, ids: Sequence[str]) -> None:
        """Make sandboxes, several at once."""
        await self.each(self._create, ids)

    async def pause(self, sandbox_id: str) -> None:
        await self._ask("Pause", api.PauseRequest(id=sandbox_id), api.PauseResponse)

    async def resume(self, sandbox_id: str) -> None:
        await self._ask("Resume", api.ResumeRequest(id=sandbox_id), api.ResumeResponse)

    async def get(self, sandbox_id: str) -> None:
        await self._ask("Get", api.GetRequest(id=sandbox_id), api.GetResponse)

    async def delete(self, sandbox_id: str) -> None:
        await self._ask("Delete", api.DeleteRequest(id=sandbox_id), api.DeleteResponse)

    async def page(self, token: str = "") -> api.ListResponse:
        """One page of the list, as large as pages can be."""
        request = api.ListRequest(page_size=_PAGE, page_token=token)
        return await self._ask("List", request, api.ListResponse)

    async def states(self) -> dict[str, str]:
        """What the list says of all sandboxes."""
        found: dict[str, str] = {}
        token = ""
        while True:
            page = await self.page(token)
            for one in page.sandboxes:
                found[one.id] = api.State.Name(one.state).removeprefix("STATE_")
            token = page.next_page_token
            if not token:
                return found

    async def truth(self, sandbox_id: str) -> str:
        """What the sandbox's VM does, as its shim's control service says; "" for none."""
        address = place_of(self.folder, sandbox_id).bundle / "address"
        with contextlib.suppress(FileNotFoundError, ConnectFailed, TransportLost, NotFound):
            request = fake_pb2.StatusRequest(id=sandbox_id)
            reply = await self._control(address, "Status", request, fake_pb2.StatusReply)
            return Status(reply.status).name
        return ""

    async def differences(self, ids: Sequence[str]) -> list[str]:
        """Sandboxes of which the list does not say what their VMs do; both know what is gone."""
        listed = await self.states()
        truths = await self.each(self.truth, ids)
        return [
            f"{name}: listed {listed.get(name, '')!r}, in truth {truth!r}"
            for name, truth in zip(ids, truths, strict=True)
            if listed.get(name, "") != truth
        ]

    async def hang(self, *, stopped: Sequence[str], held: Sequence[str]) -> None:
        """Begin a pause of each, which does not end: the shim is stopped, or its VM is held."""
        for name in stopped:
            os.kill(self._shim_pid(name), signal.SIGSTOP)
        await self.each(self._hold, held)
        for name in (*stopped, *held):
            self.hung.append(asyncio.create_task(self.pause(name)))

    def wake(self) -> None:
        """Let stopped shims go on."""
        for process in self.processes():
            with contextlib.suppress(psutil.NoSuchProcess):
                process.resume()

    def processes(self) -> list[psutil.Process]:
        """Whatever works below the folder: shims, their tasks, the zygote."""
        return [
            process
            for process in psutil.process_iter(["cwd", "cmdline", "status"])
            if process.info["status"] != psutil.STATUS_ZOMBIE
            and Path(process.info["cwd"] or "/").is_relative_to(self.folder)
        ]

    def zygotes(self) -> list[psutil.Process]:
        """Those of them that fork shims; and what they have forked just now."""
        return [one for one in self.processes() if ZYGOTE in one.info["cmdline"]]

    def census(self) -> Census:
        """Count what the agent has open."""
        agent = psutil.Process(self.agent.pid)
        zombies = [one for one in agent.children() if one.status() == psutil.STATUS_ZOMBIE]
        return Census(agent.num_fds(), len(zombies))

    async def each(self, work: Callable[[str], Awaitable[T]], ids: Iterable[str]) -> list[T]:
        """Do it to each, several at once; where one fails, no more are begun."""
        turns = asyncio.Semaphore(AT_ONCE)

        async def one(name: str) -> T:
            async with turns:
                return await work(name)

        tasks = [asyncio.create_task(one(name)) for name in ids]
        try:
            return await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _start(self) -> None:
        await asyncio.to_thread(self.agent.start)
        # The limits that are to be met are the agent's, not those of its caller.
        self._client = await Client.connect(str(self.agent.local_socket), pending_max=_MANY_CALLS)

    async def _create(self, sandbox_id: str) -> None:
        request = api.CreateRequest(id=sandbox_id, spec=api.Spec(args=["idle"]))
        await self._ask("Create", request, api.CreateResponse)

    async def _hold(self, sandbox_id: str) -> None:
        address = place_of(self.folder, sandbox_id).bundle / "address"
        request = fake_pb2.SetRequest(failpoints="pause=1*hang")
        await self._control(address, "Set", request, fake_pb2.ScriptReply)

    async def _ask(self, method: str, request: Message, reply: type[M]) -> M:
        assert self._client is not None
        service = "cubelet.api.v1.Sandboxes"
        return await self._client.call(service, method, request, reply, local_timeout_s=PATIENCE_S)

    async def _control(self, address: Path, method: str, request: Message, reply: type[M]) -> M:
        client = await Client.connect(await asyncio.to_thread(address.read_text))
        try:
            return await client.call(
                CONTROL_SERVICE, method, request, reply, local_timeout_s=PATIENCE_S
            )
        finally:
            await client.close()

    def _shim_pid(self, sandbox_id: str) -> int:
        note = read_note(place_of(self.folder, sandbox_id))
        assert note is not None
        assert note.handle is not None
        return note.handle.shim_pid


def names(size: int) -> list[str]:
    """The ids of so many sandboxes."""
    return [f"s{number:04}" for number in range(size)]


async def settled(task: asyncio.Task[object]) -> int:
    """The status code that a call ended with; 0 for none."""
    try:
        await task
    except StatusError as failed:
        return failed.code
    return 0


def _allow_files() -> None:
    """Let this process and the agent have as many files as may be: three for each sandbox."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, _MANY_FILES), most))
