"""A containerd daemon of a test's own, with our fake shim in its PATH."""

from __future__ import annotations

import asyncio
import json
import os
from asyncio.subprocess import PIPE, STDOUT, Process
from pathlib import Path

import psutil

from shimclient.fake.script import SCRIPT_ANNOTATION
from tests.support.labs import fake_binary, runs
from tests.support.polling import eventually, until

_CONFIG = """\
version = 2
root = "{folder}/root"
state = "{folder}/state"
disabled_plugins = ["io.containerd.grpc.v1.cri"]
[grpc]
  address = "{folder}/c.sock"
[ttrpc]
  address = "{folder}/c.sock.ttrpc"
"""


class Containerd:
    """The daemon, and containerd's own client `ctr` as ours."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._daemon: Process | None = None
        self._events: Process | None = None

    async def start(self) -> None:
        fake_binary(self.folder)
        (self.folder / "config.toml").write_text(_CONFIG.format(folder=self.folder))
        with (self.folder / "daemon.log").open("ab") as log:
            self._daemon = await asyncio.create_subprocess_exec(
                *("containerd", "-c", str(self.folder / "config.toml")),
                env={**os.environ, "PATH": f"{self.folder}:{os.environ['PATH']}"},
                stdout=log,
                stderr=log,
            )
        await until(self._serves, what="containerd serves")

    async def kill(self) -> None:
        """kill -9 of the daemon."""
        assert self._daemon is not None
        self._daemon.kill()
        await self._daemon.wait()

    async def _serves(self) -> bool:
        return (await self.ctr("version"))[0] == 0

    async def ctr(self, *words: str) -> tuple[int, str]:
        """Exit status and output of one ctr command."""
        process = await asyncio.create_subprocess_exec(
            *("ctr", "-a", f"{self.folder}/c.sock", "-n", "test", *words),
            stdout=PIPE,
            stderr=STDOUT,
        )
        output, _ = await process.communicate()
        assert process.returncode is not None
        return process.returncode, output.decode()

    async def ok(self, *words: str) -> str:
        """The output of a ctr command that must succeed."""
        status, output = await self.ctr(*words)
        assert status == 0, (words, output)
        return output

    async def run(self, name: str, script: dict[str, object]) -> None:
        """A started task on the fake shim, which reads its script from an annotation."""
        spec = {
            "ociVersion": "1.0.2",
            "process": {"args": ["none"], "cwd": "/"},
            "root": {"path": "rootfs"},
            "annotations": {SCRIPT_ANNOTATION: json.dumps(script)},
        }
        path = self.folder / f"{name}.json"
        path.write_text(json.dumps(spec))
        await self.ok(
            *("containers", "create", "--config", str(path)),
            *("--runtime", "io.containerd.fake.v1", name),
        )
        await self.ok("tasks", "start", "-d", "--null-io", name)

    async def status(self, name: str) -> str:
        """What `ctr tasks ls` says of a task; "" where there is none."""
        rows = [line.split() for line in (await self.ok("tasks", "ls")).splitlines()]
        return next((row[2] for row in rows if row[0] == name), "")

    async def follow_events(self) -> None:
        """Keep the events from now on; it is proved by one that the subscription stands."""
        with (self.folder / "events.log").open("wb") as log:
            self._events = await asyncio.create_subprocess_exec(
                *("ctr", "-a", f"{self.folder}/c.sock", "-n", "test", "events"),
                stdout=log,
                stderr=log,
            )
        async with asyncio.timeout(20):
            while "/namespaces/" not in (self.folder / "events.log").read_text():
                await self.ok("namespaces", "label", "test", "probe=1")

    def task_events(self) -> list[str]:
        """The topics of all task events that came."""
        words = (self.folder / "events.log").read_text().split()
        return [word.removeprefix("/tasks/") for word in words if word.startswith("/tasks/")]

    def shims(self) -> list[psutil.Process]:
        """The shim processes of this daemon's tasks."""
        return [
            process
            for process in psutil.process_iter(["cmdline"])
            if f"{self.folder}/c.sock" in (process.info["cmdline"] or [])
            and "shimclient.fake" in process.info["cmdline"]
            and runs(process.pid)
        ]

    async def close(self) -> None:
        """End the daemon and all that it left; a shim that is still there was leaked by a test."""
        for process in (self._events, self._daemon):
            if process is not None and process.returncode is None:
                process.terminate()
                await process.wait()
        leaked = self.shims()
        for shim in leaked:
            shim.terminate()  # A fake that is asked to end takes its tasks along.
        await eventually(lambda: not self.shims(), what="leaked shims end")
        assert not leaked
