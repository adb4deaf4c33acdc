"""What the agent adds to a pause and a resume, against the bare call to the same kind of shim.

Two sandboxes of the same runtime: one belongs to an agent process and is paused over gRPC, with its
two transactions; the other's shim is called straight over ttrpc. Both take turns in one run, so
that whatever else the machine does weighs on both. In between, a gRPC call that does nothing shows
what the way to the agent and back costs by itself, and what is left is the agent's own work.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from cubelet.api.v1 import node_pb2, node_pb2_grpc
from cubelet.api.v1 import sandboxes_pb2 as api
from cubelet.core.model import Handle, Record
from cubelet.core.spec import Spec
from cubelet.runtime.config import RuntimeConfig
from cubelet.runtime.events import EventPump
from cubelet.runtime.registry import build_runtimes
from shimclient.client import Client
from shimclient.task import Task
from tests.support.agent_process import AgentProcess
from tests.support.rootfs import build_rootfs

#: For the whole way from the caller and back.
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
        help=f"fail where the agent adds more at the median (default {ADDED_MS_MAX:g})",
    )


def run(args: argparse.Namespace) -> int:
    """Measure, print, compare; 0 if the agent adds no more than it may."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        times = asyncio.run(_measure(Path(folder), args.runtime, args.cycles))
    good, parts = True, []
    empty_ms = times.median_ms("agent", "empty")
    for name in _OPS:
        print(f"{name}: bare {times.line('bare', name)}; agent {times.line('agent', name)}")
        bare_ms, agent_ms = times.median_ms("bare", name), times.median_ms("agent", name)
        added_ms = agent_ms - bare_ms
        good &= added_ms <= args.added_ms_max
        parts.append(
            f"{name} bare {bare_ms:.2f} ms, agent +{added_ms:.2f} ms (x{agent_ms / bare_ms:.2f}),"
            f" of that own work {added_ms - empty_ms:.2f} ms"
        )
    verdict = "ok" if good else "TOO MUCH"
    print(
        f"pause: runtime {args.runtime}, {args.cycles} cycles; {'; '.join(parts)};"
        f" empty gRPC call {empty_ms:.2f} ms; limit +{args.added_ms_max:g} ms: {verdict}"
    )
    return 0 if good else 1


_OPS = ("pause", "resume")


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
        agent.api.Create(api.CreateRequest(id="bench", spec=spec), timeout=60)
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
    events = EventPump(config.events_socket, lambda *_: None)
    await events.start()
    try:
        handle = await runtime.create(record)
        return await _take_turns(agent, handle, cycles)
    finally:
        await runtime.destroy(record)
        await runtime.close()
        await events.close()


async def _take_turns(agent: AgentProcess, handle: Handle, cycles: int) -> Times:
    client = await Client.connect(handle.address)
    task = Task(client, version=handle.version)
    times = Times()
    pause, resume = api.PauseRequest(id="bench"), api.ResumeRequest(id="bench")
    node = node_pb2_grpc.NodeStub(agent.channel)
    of_agent: dict[str, Callable[[], object]] = {
        "empty": lambda: node.Version(node_pb2.VersionRequest(), timeout=30),
        "pause": lambda: agent.api.Pause(pause, timeout=30),
        "resume": lambda: agent.api.Resume(resume, timeout=30),
    }
    of_shim = {"pause": task.pause, "resume": task.resume}
    for _ in range(WARM_UP + cycles):
        for name in _OPS:
            begun_s = time.perf_counter()
            await of_shim[name]("bare", local_timeout_s=30)
            times.add("bare", name, begun_s)
            begun_s = time.perf_counter()
            of_agent[name]()
            times.add("agent", name, begun_s)
        await of_shim["pause"]("bare", local_timeout_s=30)
        await of_shim["resume"]("bare", local_timeout_s=30)
        begun_s = time.perf_counter()
        of_agent["empty"]()
        times.add("agent", "empty", begun_s)
    await client.close()
    return times
