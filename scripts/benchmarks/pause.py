"""What the agent adds to a pause and a resume, against the bare call to the same kind of shim.

Three sandboxes of the same runtime. Two belong to an agent process: one is paused through its local
door (ttrpc), the other through its gRPC door, each with the agent's two transactions. The third's
shim is called straight over ttrpc, by the same kind of client as the local door. All take turns in
one run, so that whatever else the machine does weighs on all. In between, a call that does nothing
shows what each way to the agent and back costs by itself; what is left is the agent's own work.

The limit is for the local door, which local callers and cubecli use. What gRPC adds on its own way
is shown beside it and not judged.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import shutil
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import grpc.aio
from google.protobuf.message import Message

from cubelet.api.v1 import node_pb2
from cubelet.api.v1 import sandboxes_pb2 as api
from cubelet.api.v1.node_pb2_grpc import NodeStub
from cubelet.api.v1.sandboxes_pb2_grpc import SandboxesStub
from cubelet.core.model import Handle, Record
from cubelet.core.spec import Spec
from cubelet.runtime.config import RuntimeConfig
from cubelet.runtime.events import EventPump
from cubelet.runtime.registry import build_runtimes
from shimclient.client import Client
from shimclient.task import Task
from tests.support.agent_process import AgentProcess
from tests.support.rootfs import build_rootfs

#: For the whole way from the caller and back, through the local door.
ADDED_MS_MAX = 2.0
#: Until then the agent's write-ahead log still grows, which makes each sync dearer; a log in use is
#: written over from its beginning.
WARM_UP = 100
_IDLE = ("/bin/sh", "-c", "while :; do sleep 1; done")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `scripts/bench pause`."""
    default = "shimv2" if os.geteuid() == 0 and shutil.which("runc") else "process"
    parser.add_argument("--runtime", default=default, help=f"runtime (default here: {default})")
    parser.add_argument("--cycles", type=int, default=100, help="cycles measured (default 100)")
    parser.add_argument(
        "--added-ms-max",
        type=float,
        default=ADDED_MS_MAX,
        metavar="MS",
        help="fail where the agent adds more at the median, through its local door"
        f" (default {ADDED_MS_MAX:g})",
    )


def run(args: argparse.Namespace) -> int:
    """Measure, print, compare; 0 if the agent adds no more than it may."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        times = asyncio.run(_measure(Path(folder), args.runtime, args.cycles))
    for name in _OPS:
        print(f"{name}: " + "; ".join(f"{who} {times.line(who, name)}" for who in _CALLERS))
    added = {who: {name: times.added_ms(who, name) for name in _OPS} for who in _DOORS}
    good = all(added_ms <= args.added_ms_max for added_ms in added["local"].values())
    bare = ", ".join(f"{name} {times.median_ms('bare', name):.2f} ms" for name in _OPS)
    doors = "; ".join(_door(times, who, added[who]) for who in _DOORS)
    print(
        f"pause: runtime {args.runtime}, {args.cycles} cycles; bare {bare}; {doors};"
        f" limit +{args.added_ms_max:g} ms for local: {'ok' if good else 'TOO MUCH'}"
    )
    return 0 if good else 1


#: Who is called: the shim itself, or the agent through one of its doors.
_DOORS = ("local", "grpc")
_CALLERS = ("bare", *_DOORS)
_OPS = ("pause", "resume")


def _door(times: Times, who: str, added: Mapping[str, float]) -> str:
    empty_ms = times.median_ms(who, "empty")
    ops = ", ".join(
        f"{name} +{ms:.2f} ms (x{1 + ms / times.median_ms('bare', name):.2f})"
        for name, ms in added.items()
    )
    return f"{who} {ops}, empty call {empty_ms:.2f} ms"


@dataclass
class Times:
    """Seconds by who was called and what for."""

    taken_s: dict[tuple[str, str], list[float]] = field(default_factory=dict)

    def add(self, who: str, name: str, begun_s: float) -> None:
        """Note what has passed since then."""
        self.taken_s.setdefault((who, name), []).append(time.perf_counter() - begun_s)

    def median_ms(self, who: str, name: str) -> float:
        """The median without the warm-up."""
        return 1000 * statistics.median(self.taken_s[who, name][WARM_UP:])

    def added_ms(self, who: str, name: str) -> float:
        """What the median is above that of the bare call."""
        return self.median_ms(who, name) - self.median_ms("bare", name)

    def line(self, who: str, name: str) -> str:
        """Median and 95th percentile, for people."""
        ordered = sorted(self.taken_s[who, name][WARM_UP:])
        p95 = 1000 * ordered[int(0.95 * (len(ordered) - 1))]
        return f"p50 {self.median_ms(who, name):.2f} ms p95 {p95:.2f} ms"


async def _measure(folder: Path, runtime: str, cycles: int) -> Times:
    template = str(build_rootfs(folder / "template")) if runtime == "shimv2" else ""
    agent_dir, bare_dir = folder / "a", folder / "b"
    agent_dir.mkdir(mode=0o750)
    bare_dir.mkdir(mode=0o750)
    agent = AgentProcess(agent_dir, f'[runtime]\ndefault = "{runtime}"\n')
    agent.start()
    try:
        spec = api.Spec(args=_IDLE, template=template)
        for who in _DOORS:
            agent.api.Create(api.CreateRequest(id=who, spec=spec), timeout=60)
        return await _beside_bare_shim(agent, bare_dir, runtime, template, cycles=cycles)
    finally:
        agent.close()


async def _beside_bare_shim(
    agent: AgentProcess, state_dir: Path, name: str, template: str, *, cycles: int
) -> Times:
    config = RuntimeConfig(state_dir=state_dir, templates_dir=state_dir, default=name)
    runtime = build_runtimes(config)[name]
    spec = Spec(runtime=name, template=template, args=_IDLE)
    record = Record(id="bare", namespace="bench", incarnation="bench", spec=spec)
    # Without somebody who takes its events a shim becomes slow: its queue fills up.
    events = EventPump(config.events_socket, lambda *_, **__: None)
    await events.start()
    try:
        handle = await runtime.create(record)
        return await _take_turns(agent, handle, cycles)
    finally:
        await runtime.destroy(record)
        await runtime.close()
        await events.close()


Call = Callable[[], Awaitable[object]]


async def _take_turns(agent: AgentProcess, handle: Handle, cycles: int) -> Times:
    shim, local = (
        await Client.connect(handle.address),
        await Client.connect(str(agent.local_socket)),
    )
    async with grpc.aio.insecure_channel(f"unix:{agent.socket}") as channel:
        calls: dict[str, Mapping[str, Call]] = {
            "bare": _of_shim(Task(shim, version=handle.version)),
            "local": _of_local(local),
            "grpc": _of_grpc(channel),
        }
        times = Times()
        order, dice = list(_CALLERS), random.Random(1)  # noqa: S311  # No secret hangs on it.
        for _ in range(WARM_UP + cycles):
            for name in _OPS:
                dice.shuffle(order)  # Nobody profits, or suffers, from whom it follows.
                for who in order:
                    await _timed(times, who, name, calls[who][name])
            for who in _DOORS:
                # Cold, as the others are: a call to the agent that follows runc's work.
                await calls["bare"]["pause"]()
                await calls["bare"]["resume"]()
                await _timed(times, who, "empty", calls[who]["empty"])
    await shim.close()
    await local.close()
    return times


async def _timed(times: Times, who: str, name: str, call: Call) -> None:
    begun_s = time.perf_counter()
    await call()
    times.add(who, name, begun_s)


def _of_shim(task: Task) -> Mapping[str, Call]:
    return {
        "pause": lambda: task.pause("bare", local_timeout_s=30),
        "resume": lambda: task.resume("bare", local_timeout_s=30),
    }


def _of_local(client: Client) -> Mapping[str, Call]:
    def call(service: str, method: str, request: Message, reply: type[Message]) -> Call:
        return lambda: client.call(
            f"cubelet.api.v1.{service}", method, request, reply, local_timeout_s=30
        )

    return {
        "empty": call("Node", "Version", node_pb2.VersionRequest(), node_pb2.VersionResponse),
        "pause": call("Sandboxes", "Pause", api.PauseRequest(id="local"), api.PauseResponse),
        "resume": call("Sandboxes", "Resume", api.ResumeRequest(id="local"), api.ResumeResponse),
    }


def _of_grpc(channel: grpc.aio.Channel) -> Mapping[str, Call]:
    sandboxes, node = SandboxesStub(channel), NodeStub(channel)
    return {
        "empty": lambda: node.Version(node_pb2.VersionRequest(), timeout=30),
        "pause": lambda: sandboxes.Pause(api.PauseRequest(id="grpc"), timeout=30),
        "resume": lambda: sandboxes.Resume(api.ResumeRequest(id="grpc"), timeout=30),
    }
