"""Sandboxes that an agent has left behind: their records, their folders, and shims that answer.

A shim process of its own for each of ten thousand sandboxes is more than a small machine holds. So
each fake shim has many tasks. The agent cannot see that: of each sandbox it knows a handle, a
folder with a note, and it has a connection of its own to each.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from cubelet.core.model import Handle, Record
from cubelet.runtime.identity import identify
from cubelet.runtime.note import Note, write_note
from cubelet.runtime.places import place_of
from cubelet.store.sqlite import SqliteStore
from scripts.benchmarks.workload import Sandbox
from scripts.in_venv import ROOT
from shimclient.api.task_pb2 import CreateRequest
from shimclient.client import Client
from shimclient.errors import ConnectFailed
from shimclient.fake.task import FakeTask, saved_task
from shimclient.task import Status, Task

#: Well below the number of connections that a shim's server holds.
TASKS_EACH = 200
RUNTIME = "process"
_AT_ONCE = 64
_READY_WITHIN_S = 60.0
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@asynccontextmanager
async def herd(
    folder: Path, state_dir: Path, size: int, *, logs: int
) -> AsyncIterator[Sequence[Record]]:
    """So many sandboxes that run, in a store and in folders, as an agent that was killed left them.

    Sockets of their shims are in `folder`. Only the first `logs` have a log that can be read: each
    takes the agent a file descriptor more.
    """
    with _processes([["sleep", "infinity"]]) as (sleeper,):
        firsts = range(0, size, TASKS_EACH)
        shims = [folder / f"{first}.sock" for first in firsts]
        for first, path in zip(firsts, shims, strict=True):
            numbers = range(first, min(first + TASKS_EACH, size))
            _write_state(path, state_dir, numbers, pid=sleeper.pid)
        serve = [sys.executable, "-m", "shimclient.fake", "serve", "-address"]
        with _processes([[*serve, str(path)] for path in shims]) as processes:
            await asyncio.gather(*(_serving(path) for path in shims))
            handles = [
                _handle(path, process, sleeper)
                for path, process in zip(shims, processes, strict=True)
            ]
            sandboxes = [
                Sandbox(
                    number,
                    runtime=RUNTIME,
                    handle=handles[number // TASKS_EACH],
                    boot_id=_boot_id(),
                )
                for number in range(size)
            ]
            await _leave(state_dir, sandboxes, logs=logs)
            yield [sandbox.record for sandbox in sandboxes]


async def ask_all(records: Sequence[Record]) -> float:
    """Connect to the shim of each and ask once for the status, as plainly as can be; seconds."""
    turns, clients = asyncio.Semaphore(_AT_ONCE), []

    async def ask(record: Record) -> None:
        assert record.handle is not None  # noqa: S101  # They run.
        async with turns:
            client = await Client.connect(record.handle.address)
            clients.append(client)
            state = await Task(client).state(record.id, local_timeout_s=30)
        assert state.status is Status.RUNNING  # noqa: S101

    begun_s = time.perf_counter()
    await asyncio.gather(*map(ask, records))
    took_s = time.perf_counter() - begun_s
    await asyncio.gather(*(client.close() for client in clients))
    return took_s


async def _leave(state_dir: Path, sandboxes: Sequence[Sandbox], *, logs: int) -> None:
    """Write the store and the folders; all commits at once share their syncs."""
    store = await SqliteStore.open(
        state_dir / "cubelet.db",
        boot_id=_boot_id(),
        now_ns=time.time_ns(),
    )
    for first in range(0, len(sandboxes), TASKS_EACH):
        some = sandboxes[first : first + TASKS_EACH]
        await asyncio.gather(*(store.commit(change) for one in some for change in one.created))
    await store.completed()  # As a store that knows everything; a new one says that it may not.
    await store.close()
    for number, sandbox in enumerate(sandboxes):
        place = place_of(state_dir, sandbox.id)
        place.home.mkdir(parents=True)
        log = place.bundle / "log"
        os.mkfifo(log, 0o600) if number < logs else log.touch()
        write_note(place, Note.of(sandbox.record, sandbox.record.handle))


def _boot_id() -> str:
    return _BOOT_ID.read_text().strip()


def _write_state(path: Path, state_dir: Path, numbers: range, *, pid: int) -> None:
    """What a fake shim at this socket takes up when it starts: running tasks, all of one pid."""
    tasks = []
    for number in numbers:
        name = f"bench-{number:05}"
        bundle = place_of(state_dir, name).bundle
        task = FakeTask(CreateRequest(id=name, bundle=str(bundle)), write_every_ms=0)
        task.pid = pid
        task.vm.start()
        tasks.append(saved_task(task))
    Path(f"{path}.state.json").write_text(json.dumps({"tasks": tasks}))


def _handle(path: Path, shim: subprocess.Popen[bytes], task: subprocess.Popen[bytes]) -> Handle:
    ticks = [found.start_ticks for pid in (shim.pid, task.pid) if (found := identify(pid))]
    shim_ticks, task_ticks = ticks
    return Handle(
        address=f"unix://{path}",
        version=2,
        shim_pid=shim.pid,
        shim_start_ticks=shim_ticks,
        pid=task.pid,
        pid_start_ticks=task_ticks,
    )


async def _serving(path: Path) -> None:
    """Return once the shim at this socket answers."""
    async with asyncio.timeout(_READY_WITHIN_S):
        while True:
            try:
                client = await Client.connect(str(path))
                break
            except ConnectFailed:
                await asyncio.sleep(0.05)
        await Task(client).connect("bench-" + f"{int(path.stem):05}", local_timeout_s=None)
        await client.close()


@contextmanager
def _processes(commands: Sequence[Sequence[str]]) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Processes that end with this."""
    running: list[subprocess.Popen[bytes]] = []
    try:
        running.extend(
            subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL) for command in commands
        )
        yield running
    finally:
        for process in running:
            process.terminate()
        for process in running:
            process.wait()
