"""One runtime on a scratch state directory, with real shim processes, and a look past it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from cubelet.core.evidence import Alive, Evidence, Status
from cubelet.core.inputs import Cause
from cubelet.core.model import Handle, Record, State
from cubelet.core.spec import Spec
from cubelet.engine.ports import CallFailed
from cubelet.runtime.adapter import ShimRuntime
from cubelet.runtime.cgroups import Cgroup
from cubelet.runtime.config import RuntimeConfig
from cubelet.runtime.events import MEANINGS, EventPump
from cubelet.runtime.identity import Identity, find_by_cwd
from cubelet.runtime.kinds import FAKE, KINDS, PROCESS, SHIMV2
from cubelet.runtime.mounts import mounts_below
from cubelet.runtime.places import cgroups_of, place_of
from shimclient import Client
from shimclient.task import Task
from tests.support.polling import eventually

COUNT = "i=0; while :; do i=$((i+1)); echo $i > count.new; mv count.new count; done"
SLEEP = ("/bin/sleep", "1000")
_CONTAINERS = [pytest.param(SHIMV2, marks=pytest.mark.real)]
KINDS_ALL = [FAKE, PROCESS, *_CONTAINERS]
#: For what only a real program can show, and what only a container can.
with_programs = pytest.mark.parametrize("deaf_rig", [PROCESS, *_CONTAINERS], indirect=True)
with_containers = pytest.mark.parametrize("deaf_rig", _CONTAINERS, indirect=True)
#: Long against a counter's step of well under a millisecond.
WATCH_S = 0.1


@dataclass
class Rig:
    """A runtime, its sandboxes, and the hints that their events gave."""

    kind: str
    config: RuntimeConfig
    template: str = ""
    hints: list[tuple[str, Cause, State | None]] = field(default_factory=list)
    records: list[Record] = field(default_factory=list)
    runtime: ShimRuntime = field(init=False)

    def __post_init__(self) -> None:
        self.runtime = self.another()

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        """Receive events, as an agent does while it lives."""
        pump = EventPump(self.config.events_socket, self._hint)
        await pump.start()
        try:
            yield
        finally:
            await pump.close()

    def another(self) -> ShimRuntime:
        """The runtime as another agent on the same state directory would have it."""
        return ShimRuntime(KINDS[self.kind](self.config), self.config)

    def record(self, *args: str, **annotations: str) -> Record:
        """A record of a sandbox that is to be created; its remains are removed after the test."""
        spec = Spec(
            runtime=self.kind,
            template=self.template,
            args=args or SLEEP,
            annotations={name.replace("__", "/"): text for name, text in annotations.items()},
        )
        name = f"t-{uuid.uuid4().hex[:12]}"
        record = Record(id=name, namespace="contract", incarnation=name[::-1], spec=spec)
        self.records.append(record)
        return record

    async def created(self, *args: str) -> Record:
        """The record of a running sandbox."""
        record = self.record(*args)
        return replace(record, handle=await self.runtime.create(record))

    async def counting(self) -> Record:
        """The record of a sandbox that counts."""
        record = await self.created("/bin/sh", "-c", COUNT)
        await self.goes_on(record)
        return record

    async def count(self, record: Record) -> int:
        """What it has counted to, told by the kernel or the simulated VM, not by State."""
        handle = handle_of(record)
        if self.kind == FAKE:
            client = await Client.connect(handle.address)
            try:
                stats = await Task(client).stats(record.id, local_timeout_s=5)
            finally:
                await client.close()
            return int(json.loads(stats.value)["ticks"])
        return _number(Path(f"/proc/{handle.pid}/cwd/count"))

    async def stands_still(self, record: Record) -> bool:
        """Whether it counted nothing while we watched."""
        before = await self.count(record)
        await asyncio.sleep(WATCH_S)
        return await self.count(record) == before

    async def goes_on(self, record: Record) -> bool:
        """Whether it counts; waits for it."""
        before = await self.count(record)
        async with asyncio.timeout(10):
            while await self.count(record) <= before:  # noqa: ASYNC110 - another process counts.
                await asyncio.sleep(0.01)
        return True

    async def hinted(self, record: Record, topic: str) -> None:
        """Wait until an event of this sandbox has hinted."""
        hint = (record.id, *MEANINGS[topic])
        await eventually(lambda: hint in self.hints, what=f"{topic} of {record.id}")

    def _hint(self, sandbox_id: str, cause: Cause, *, told: State | None) -> None:
        self.hints.append((sandbox_id, cause, told))

    def leftovers(self, record: Record) -> list[str]:
        """Everything of a removed sandbox that is still there, looked for by other means."""
        bundle = place_of(self.config.state_dir, record.id).bundle
        left = [f"process {one.pid}" for one in find_by_cwd(bundle, record.id)]
        if record.handle is not None:
            left += [f"process {one.pid}" for one in processes(record.handle) if one.alive]
            left += [path for path in [record.handle.address[7:]] if Path(path).exists()]
        left += mounts_below(bundle)
        groups = cgroups_of(self.config.state_dir)
        left += [f"cgroup process {pid}" for pid in Cgroup(f"{groups}/{record.id}").pids()]
        left += [str(path) for path in Path("/sys/fs/cgroup").glob(f"*{groups}/{record.id}")]
        left += [str(path) for path in self.config.state_dir.rglob(f"*{record.id}*")]
        return left

    async def close(self) -> None:
        """Remove every sandbox, by whatever means it takes, and show what cannot be."""
        for record in self.records:
            for process in find_by_cwd(
                place_of(self.config.state_dir, record.id).bundle, record.id
            ):
                with suppress(ProcessLookupError):
                    os.kill(process.pid, signal.SIGCONT)
            with suppress(CallFailed):
                await self.runtime.destroy(record)
            assert self.leftovers(record) == []
        await self.runtime.close()


def _number(path: Path) -> int:
    return int(path.read_text()) if path.exists() else 0


def freezer_file(rig: Rig, record: Record) -> Path:
    """Where the kernel says it, and takes orders."""
    group = f"{cgroups_of(rig.config.state_dir)}/{record.id}"
    return Path(f"/sys/fs/cgroup/freezer{group}/freezer.state")


def freezer_state(rig: Rig, record: Record) -> str:
    """What the kernel says of a container's control group (version 1)."""
    return freezer_file(rig, record).read_text().strip()


def handle_of(record: Record) -> Handle:
    """The handle that a created sandbox's record has."""
    assert record.handle is not None
    return record.handle


def processes(handle: Handle) -> tuple[Identity, Identity]:
    """The shim and the first process."""
    shim = Identity(handle.shim_pid, handle.shim_start_ticks)
    return shim, Identity(handle.pid, handle.pid_start_ticks)


def alive(rig: Rig, record: Record, status: Status, *, generation: int = 0) -> Alive:
    """What is said of a sandbox that lives, with all that its runtime can tell."""
    handle = handle_of(record)
    counted = generation if rig.runtime.capabilities.snapshots else None
    return Alive(
        status=status, pid=handle.pid, start_ticks=handle.pid_start_ticks, generation=counted
    )


async def state(runtime: ShimRuntime, record: Record) -> Evidence:
    """Its status, within the time that the engine gives."""
    async with asyncio.timeout(5):
        return await runtime.state(record)


def is_container(rig: Rig) -> bool:
    """Whether the rig's sandboxes are containers."""
    return rig.kind == SHIMV2
