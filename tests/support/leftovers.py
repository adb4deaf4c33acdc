"""What an agent that failed in a test has left on the machine, found by its state directory."""

from __future__ import annotations

import asyncio
import contextlib
import os
from pathlib import Path

import psutil

from cubelet.runtime.cgroups import Cgroup
from cubelet.runtime.mounts import mounts_below, unmount_below
from cubelet.runtime.places import cgroups_of

_KILL_TIMEOUT_S = 5.0


def clear(state_dir: Path) -> list[str]:
    """End and unmount whatever is left of the sandboxes in it; what that was."""
    found = remains_of(state_dir)
    shims = _working_in(state_dir)
    for shim in shims:
        with contextlib.suppress(psutil.NoSuchProcess):
            shim.kill()
    psutil.wait_procs(shims, timeout=_KILL_TIMEOUT_S)
    for group in _groups_of(state_dir):
        asyncio.run(_remove(group))
    unmount_below(state_dir)
    Cgroup(cgroups_of(state_dir)).drop()  # A killed agent leaves its own group, empty.
    return found


def remains_of(state_dir: Path) -> list[str]:
    """A line for each process, control group and mount of its sandboxes."""
    return [
        *(
            f"process {shim.pid} ({' '.join(shim.info['cmdline'] or ())})"
            for shim in _working_in(state_dir)
        ),
        *(f"control group {group.path}" for group in _groups_of(state_dir)),
        *mounts_below(state_dir),
    ]


def _groups_of(state_dir: Path) -> list[Cgroup]:
    """Those of its sandboxes."""
    groups = cgroups_of(state_dir)
    return [Cgroup(f"{groups}/{sandbox_id}") for sandbox_id in sorted(Cgroup(groups).below())]


def _working_in(folder: Path) -> list[psutil.Process]:
    """Processes whose working directory is there: an agent's shims, which outlive it."""
    return [
        process
        for process in psutil.process_iter(["cwd", "cmdline"])
        if (cwd := process.info["cwd"]) and Path(cwd).is_relative_to(folder)
        if process.pid != os.getpid()
    ]


async def _remove(group: Cgroup) -> None:
    await group.kill(_KILL_TIMEOUT_S)
    await group.remove(_KILL_TIMEOUT_S)
