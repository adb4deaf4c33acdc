"""How long a new agent takes over the sandboxes of one that was killed, whose shims go on.

First a thousand sandboxes, then as many as are asked for. Each has its record in a real store, its
folder, and a task of a fake shim that answers; see herd.py. A real agent process is started on
them, and timed from the start of the process:
 * serving: until its socket has answered a List;
 * listed: until all pages of a List have shown every sandbox;
 * relisted: until the shim of each has been asked and has answered, by the stamp on the answer.

In the same run an agent starts with no sandbox, and a plain client connects to each shim and asks
it once, 64 at a time: what nobody can go below.
"""

from __future__ import annotations

import argparse
import asyncio
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
import uvloop

from cubelet.api.v1 import sandboxes_pb2 as api
from cubelet.core.inputs import Cause
from cubelet.core.model import Record
from scripts.benchmarks.herd import RUNTIME, ask_all, herd
from scripts.in_venv import ROOT
from shimclient.client import Client
from shimclient.errors import ConnectFailed

FEW = 1000
#: In which all of the FEW are to be relisted.
FEW_RELISTED_S = 2.0
#: How long relisting may take, start and all, against the start alone and the plain questions.
RATIO_MAX = 3.0
#: File descriptors that the agent has besides those for its sandboxes, and more.
_MORE_FILES = 300
_PATIENCE_S = 120.0
#: A look at all costs the agent as much as some questions, so it is not made often.
_LOOK_AFTER_S_EACH = 0.0003


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `scripts/bench restart`."""
    parser.add_argument(
        "--sandboxes", type=int, default=10_000, help="sandboxes, after 1,000 (default 10000)"
    )


def run(args: argparse.Namespace) -> int:
    """Measure, print, compare; 0 if what was promised holds."""
    files = _allow_files() - _MORE_FILES
    if args.sandboxes > files:
        print(f"restart: {args.sandboxes} connections are more than {files} files (ulimit -Hn)")
        return 2
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        empty = runner.run(_measure(0, files))
        print(f"     0 sandboxes: serving after {empty.serving_s:.2f} s")
        found = [runner.run(_measure(size, files)) for size in sorted({FEW, args.sandboxes})]
    wrong = [one for times in found for one in times.judged(empty)]
    for one in wrong:
        print(f"WRONG: {one}")
    told = "; ".join(times.line(empty) for times in found)
    print(f"restart: {told}: {'NOT AS PROMISED' if wrong else 'ok'}")
    return 1 if wrong else 0


@dataclass(frozen=True, slots=True)
class Times:
    """Seconds since the start of the agent's process; of the plain client, what it took in all."""

    sandboxes: int
    serving_s: float
    listed_s: float = 0.0
    relisted_s: float = 0.0
    plain_s: float = 0.0

    def ratio(self, empty: Times) -> float:
        """How long it took beside a start with nothing and the plain questions."""
        return self.relisted_s / (empty.serving_s + self.plain_s)

    def judged(self, empty: Times) -> list[str]:
        """What is not as it was promised."""
        wrong = []
        if self.sandboxes == FEW and self.relisted_s > FEW_RELISTED_S:
            wrong.append(f"{FEW} are relisted after {self.relisted_s:.2f} s, not {FEW_RELISTED_S}")
        if self.ratio(empty) > RATIO_MAX:
            wrong.append(
                f"{self.sandboxes} are relisted x{self.ratio(empty):.2f} as late as they could be"
            )
        return wrong

    def line(self, empty: Times) -> str:
        """All of it."""
        return (
            f"{self.sandboxes} sandboxes serving after {self.serving_s:.2f} s"
            f" (x{self.serving_s / empty.serving_s:.2f} of none), listed {self.listed_s:.2f} s,"
            f" relisted {self.relisted_s:.2f} s (x{self.ratio(empty):.2f} of a start with none"
            f" and {self.plain_s:.2f} s of plain questions, limit x{RATIO_MAX:g})"
        )


def _allow_files() -> int:
    """Let this process and its children have as many files as may be; how many that is."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    return most


async def _measure(size: int, files: int) -> Times:
    logs = min(size, files - size)
    if logs < size:
        print(f"{size:>6} sandboxes: with {files} files the logs of only {logs} can be read")
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        state_dir = folder / "s"
        state_dir.mkdir(mode=0o750)
        async with herd(folder, state_dir, size, logs=logs) as records:
            if records:
                await ask_all(records)  # Only to have the shims warm.
            times = await _restarted(state_dir, records)
            return times if not records else await _beside_plain(times, records)


async def _beside_plain(times: Times, records: Sequence[Record]) -> Times:
    plain_s = await ask_all(records)
    return Times(
        sandboxes=times.sandboxes,
        serving_s=times.serving_s,
        listed_s=times.listed_s,
        relisted_s=times.relisted_s,
        plain_s=plain_s,
    )


async def _restarted(state_dir: Path, records: Sequence[Record]) -> Times:
    begun_ns = time.time_ns()
    async with _agent(state_dir) as (process, client):
        await _page(client, "")
        serving_s = (time.time_ns() - begun_ns) / 1e9
        shown = await _all(client)
        listed_s = (time.time_ns() - begun_ns) / 1e9
        answered_ns = await _relisted(client, records)
        _check(shown, records)
        used = process.memory_full_info().uss >> 20
        cpu = process.cpu_times()
        times = Times(
            sandboxes=len(records),
            serving_s=serving_s,
            listed_s=listed_s,
            relisted_s=(max(answered_ns, default=begun_ns) - begun_ns) / 1e9,
        )
    if records:
        print(
            f"{len(records):>6} sandboxes: the agent has {used} MiB and used"
            f" {cpu.user + cpu.system:.1f} s of CPU, lists and all"
        )
    return times


def _check(shown: Sequence[api.Sandbox], records: Sequence[Record]) -> None:
    """A benchmark of something that does not work says nothing."""
    if any(one.state != api.STATE_RUNNING for one in shown):
        raise RuntimeError("not all are listed as running")
    if {one.id for one in shown} != {record.id for record in records}:
        raise RuntimeError(f"{len(shown)} sandboxes are listed, there are {len(records)}")


async def _relisted(client: Client, records: Sequence[Record]) -> Sequence[int]:
    """When shims had answered for the first time, by the agent's own stamps, once all have.

    A stamp tells its time also later, so the agent is looked at seldom. Of a sandbox that a round
    has asked again meanwhile, the first stamp is lost; the last ones of all are not among these.
    """
    pause_s = _LOOK_AFTER_S_EACH * len(records)
    shown: list[api.Sandbox] = []
    async with asyncio.timeout(_PATIENCE_S):
        while sum(one.HasField("last_observation") for one in shown) < len(records):
            await asyncio.sleep(pause_s)
            shown = await _all(client)
    seen = [one.last_observation for one in shown]
    for one in seen:
        if "RUNNING" not in one.evidence:
            raise RuntimeError(f"not as it is: {one}")
    return [one.at.ToNanoseconds() for one in seen if one.cause == Cause.RECOVERY]


@asynccontextmanager
async def _agent(state_dir: Path) -> AsyncIterator[tuple[psutil.Process, Client]]:
    """An agent process, and a connection to it as soon as there can be one."""
    process = _start(state_dir)
    try:
        client = await _connected(state_dir / "run" / "cubelet.ttrpc", process)
        try:
            yield psutil.Process(process.pid), client
        finally:
            await client.close()
    finally:
        process.terminate()
        await asyncio.to_thread(process.wait)


def _start(state_dir: Path) -> subprocess.Popen[bytes]:
    config = state_dir / "config.toml"
    config.write_text(f'state_dir = "{state_dir}"\n[runtime]\ndefault = "{RUNTIME}"\n')
    command = [sys.executable, "-m", "cubelet.app", "serve", "--config", str(config)]
    with (state_dir / "agent.log").open("wb") as log:
        return subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log)


async def _connected(socket: Path, process: subprocess.Popen[bytes]) -> Client:
    async with asyncio.timeout(_PATIENCE_S):
        while process.poll() is None:
            try:
                return await Client.connect(str(socket))
            except ConnectFailed:
                await asyncio.sleep(0.005)
    raise RuntimeError((socket.parents[1] / "agent.log").read_text()[-2000:])


async def _all(client: Client) -> list[api.Sandbox]:
    """All pages of the list."""
    found: list[api.Sandbox] = []
    token = ""
    while True:
        page = await _page(client, token)
        found += page.sandboxes
        token = page.next_page_token
        if not token:
            return found


async def _page(client: Client, token: str) -> api.ListResponse:
    request = api.ListRequest(page_token=token)
    return await client.call(
        "cubelet.api.v1.Sandboxes", "List", request, api.ListResponse, local_timeout_s=60
    )
