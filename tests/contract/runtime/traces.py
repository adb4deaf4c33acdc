"""What is left of sandboxes on a rig, made and looked at."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from pathlib import Path

from cubelet.core.model import Record
from cubelet.engine.ports import Trace
from cubelet.runtime.mounts import unmount_below
from cubelet.runtime.places import Place, place_of
from tests.contract.runtime.rig import Rig, handle_of, processes


def place(rig: Rig, sandbox_id: str) -> Place:
    return place_of(rig.config.state_dir, sandbox_id)


async def the_trace(rig: Rig) -> Trace:
    """The only one, seen as the next agent sees it, which knows of nothing."""
    (trace,) = await rig.another().traces()
    return trace


async def cleared(rig: Rig, record: Record) -> None:
    """By an agent that knows of nothing; nothing is left, and a second time is fine."""
    runtime = rig.another()
    trace = await the_trace(rig)
    assert (trace.sandbox_id, trace.runtime) == (record.id, rig.kind)
    await runtime.clear(trace)
    assert rig.leftovers(record) == []
    assert await runtime.traces() == []
    await runtime.clear(trace)
    await runtime.close()


async def killed(record: Record) -> None:
    shim, _ = processes(handle_of(record))
    assert shim.kill()
    assert await shim.ended(5)


async def without_folder(rig: Rig, record: Record) -> None:
    """As somebody does who tidies up by hand, while the sandbox writes into it."""
    bundle = place(rig, record.id).bundle
    unmount_below(bundle)
    while bundle.exists():
        shutil.rmtree(bundle, ignore_errors=True)
        await asyncio.sleep(0)


def mount(point: Path) -> None:
    """Something of no interest."""
    subprocess.run(["mount", "-t", "tmpfs", "none", point], check=True)


def make_group(path: str) -> Path:
    """A control group, in one hierarchy."""
    folder = Path(f"/sys/fs/cgroup/pids{path}")
    folder.mkdir(parents=True)
    return folder


async def stranger(*command: str, cwd: Path) -> asyncio.subprocess.Process:
    """Somebody else's process, and the leader of a group of its own."""
    return await asyncio.create_subprocess_exec(*command, cwd=cwd, start_new_session=True)
