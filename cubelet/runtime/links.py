"""The one connection to each sandbox's shim, and the reading end of its log.

A connection is never closed while its sandbox lives: containerd's runc shim takes the end of a
connection for the end of the calls on it, and kills runc in the middle of a freeze.
"""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass

import structlog

from cubelet.runtime.places import Place
from shimclient import BootstrapError, Client
from shimclient.logpipe import LogPipe
from shimclient.task import Task

_log = structlog.get_logger("cubelet.shim")

#: Of a shim's lines, those that its people should see; only how loudly they are told depends on it.
_TROUBLE = re.compile(r"\blevel=(?:warn|err|crit|fatal|panic)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Shim:
    """A shim that is connected: its Task service, and whatever else it serves."""

    client: Client
    task: Task


class Link:
    """The way to one shim: dialled when it is first needed, and again after it was lost."""

    def __init__(self, sandbox_id: str, place: Place) -> None:
        self._id = sandbox_id
        self._place = place
        self._dialling = asyncio.Lock()
        self._shim: Shim | None = None
        self._pipe: LogPipe | None = None

    def read_log(self) -> None:
        """Take what the shim logs, so that it never waits for a reader; before it is started."""
        if self._pipe is None:
            self._pipe = LogPipe(self._place.bundle, self._logged)

    async def shim(self, address: str, version: int) -> Shim:
        """The shim over a living connection. Raises ConnectFailed.

        Many may ask at once: one of them dials. The version that a shim turned out to speak is
        kept for the next connection to it.
        """
        async with self._dialling:
            if self._shim is not None and not self._shim.client.closed:
                return self._shim
            if self._shim is not None:
                await self._shim.client.close()
                version = self._shim.task.version
            client = await Client.connect(address)
            self._shim = Shim(client, Task(client, version=version))
            self._read_log_again()
            return self._shim

    async def task(self, address: str, version: int) -> Task:
        """Its Task service alone."""
        return (await self.shim(address, version)).task

    async def close(self) -> None:
        """Hang up, and let go of the log."""
        if self._shim is not None:
            await self._shim.client.close()
        if self._pipe is not None:
            self._pipe.close()
            self._pipe = None

    def _read_log_again(self) -> None:
        """After a restart of the agent; a bundle that cannot be read must not cost the sandbox."""
        try:
            self.read_log()
        except (OSError, BootstrapError) as error:
            _log.warning("shim_log_unreadable", sandbox=self._id, reason=str(error))

    def _logged(self, line: str) -> None:
        say = _log.warning if _TROUBLE.search(line) else _log.debug
        say("shim_said", sandbox=self._id, line=line)


class Links:
    """All links of one runtime, by sandbox."""

    def __init__(self) -> None:
        self._links: dict[str, Link] = {}

    def of(self, sandbox_id: str, place: Place) -> Link:
        """The sandbox's link; a new one, not dialled yet, where there was none."""
        link = self._links.get(sandbox_id)
        if link is None:
            link = self._links[sandbox_id] = Link(sandbox_id, place)
        return link

    async def drop(self, sandbox_id: str) -> None:
        """Close the sandbox's link, if it has one."""
        link = self._links.pop(sandbox_id, None)
        if link is not None:
            await link.close()

    async def close(self) -> None:
        """Close all of them."""
        for sandbox_id in list(self._links):
            await self.drop(sandbox_id)
