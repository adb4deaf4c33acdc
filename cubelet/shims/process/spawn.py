"""Starting the first process in two steps: Create holds it, Start lets it become the program."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from cubelet.shims.process.errors import LaunchFailed
from cubelet.shims.process.identity import Identity, identify

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cubelet.shims.process.bundle import Spec
    from cubelet.shims.process.stdio import Stdio
    from shimclient.skeleton.reaper import Child, Reaper

_LAUNCHER: Final = Path(__file__).with_name("launch.py")


@dataclass(slots=True)
class Held:
    """A first process that waits to be let go."""

    identity: Identity
    child: Child
    _gate: int
    _report: int

    async def release(self) -> None:
        """Let it execute its program; returns when that runs. Raises LaunchFailed."""
        os.write(self._gate, b"\n")
        os.close(self._gate)
        words = await _read_to_end(self._report)
        if words:
            raise LaunchFailed(words.decode(errors="replace"))

    async def abandon(self) -> None:
        """Close its gate without a word, upon which it ends by itself; returns when it has."""
        os.close(self._gate)
        os.close(self._report)
        await self.child.exited


def hold(reaper: Reaper, spec: Spec, stdio: Stdio, *, mark: str) -> Held:
    """Start the launcher, which leads a session of its own; `mark` is added to its environment."""
    with ExitStack() as ours_on_failure, ExitStack() as theirs:
        plan = os.memfd_create("plan")
        theirs.callback(os.close, plan)
        os.pwrite(plan, _plan_of(spec, (*spec.env, mark)), 0)
        gate_out, gate = os.pipe()
        theirs.callback(os.close, gate_out)
        ours_on_failure.callback(os.close, gate)
        report, report_in = os.pipe()
        theirs.callback(os.close, report_in)
        ours_on_failure.callback(os.close, report)
        child = reaper.spawn(
            _command(plan, gate_out, report_in),
            env=dict([mark.split("=", 1)]),
            stdin=stdio.stdin,
            stdout=stdio.stdout,
            stderr=stdio.stderr,
            pass_fds=(plan, gate_out, report_in),
        )
        identity = identify(child.pid)
        assert identity is not None, "a child that was not reaped keeps its pid"  # noqa: S101
        ours_on_failure.pop_all()
    return Held(identity, child, gate, report)


def _command(plan: int, gate: int, report: int) -> Sequence[str]:
    words = (plan, gate, report, os.getpid())
    return [sys.executable, "-I", "-S", str(_LAUNCHER), *(str(word) for word in words)]


def _plan_of(spec: Spec, env: Sequence[str]) -> bytes:
    changes_user = os.geteuid() == 0 and (spec.user.uid, spec.user.gid, spec.user.groups) != (
        0,
        0,
        (),
    )
    plan = {
        "args": spec.args,
        "env": env,
        "cwd": spec.cwd,
        "root": str(spec.root) if spec.root else None,
        "uid": spec.user.uid if changes_user else None,
        "gid": spec.user.gid,
        "groups": spec.user.groups,
        "no_new_privileges": spec.no_new_privileges,
    }
    return json.dumps(plan).encode()


async def _read_to_end(descriptor: int) -> bytes:
    """All that comes out of a pipe until its other end is closed."""
    reader = asyncio.StreamReader()
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader),
        os.fdopen(descriptor, "rb", buffering=0),
    )
    try:
        return await reader.read()
    finally:
        transport.close()
