"""How the shims of one kind are started: forked from a zygote where that works, else executed.

A zygote only makes it faster. One that fails, however, costs nothing but time: what it did not
begin is done by the shim's binary, and the next start after a rest gets a new zygote.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import structlog

from cubelet.crashpoints import reach
from cubelet.runtime.kinds import Kind
from shimclient.bootstrap import run_binary
from shimclient.zygote import Zygote, ZygoteFailed

_log = structlog.get_logger("cubelet.starter")

#: How long shims are executed after a zygote failed. Where each fails, this many seconds pass
#: between two attempts, which a create may have to wait for.
REST_S: Final = 5.0


class Starter:
    """The one zygote of a kind, if it can have one: started by the first create, kept till the end.

    `forked` counts shims that came from a zygote, `fallbacks` those that should have.
    """

    def __init__(self, kind: Kind, folder: Path) -> None:
        """Make it; the zygote will work in this folder."""
        self._kind = kind
        self._folder = folder
        self._starting = asyncio.Lock()
        self._zygote: Zygote | None = None
        self._rests_until_s = 0.0
        self.forked = 0
        self.fallbacks = 0

    async def run(
        self,
        command: Sequence[str],
        *,
        cwd: Path,
        env: Mapping[str, str],
        files: Sequence[int],
        timeout_s: float,
    ) -> int:
        """Run the command that starts a shim; see `shimclient.bootstrap.Run`."""
        if self._kind.forks:
            try:
                status = await self._fork(command, cwd, env, files, timeout_s)
            except ZygoteFailed as failed:
                self.fallbacks += 1
                _log.warning("zygote_failed", kind=self._kind.name, reason=str(failed))
            else:
                self.forked += 1
                return status
        return await run_binary(command, cwd=cwd, env=env, files=files, timeout_s=timeout_s)

    async def close(self) -> None:
        """End the zygote; the shims go on."""
        zygote, self._zygote = self._zygote, None
        if zygote is not None:
            await zygote.close()

    async def _fork(
        self,
        command: Sequence[str],
        cwd: Path,
        env: Mapping[str, str],
        files: Sequence[int],
        timeout_s: float,
    ) -> int:
        zygote = await self._living()
        try:
            return await zygote.run(command, cwd=cwd, env=env, files=files, timeout_s=timeout_s)
        except ZygoteFailed:
            await self._give_up(zygote)
            raise

    async def _living(self) -> Zygote:
        """The zygote, a new one where there is none; raises ZygoteFailed."""
        async with self._starting:
            if self._zygote is not None:
                if self._zygote.alive:
                    return self._zygote
                await self._zygote.kill()  # It died in its sleep, which says nothing of the next.
                self._zygote = None
            if asyncio.get_running_loop().time() < self._rests_until_s:
                raise ZygoteFailed("the last one failed a moment ago")
            reach("runtime.zygote.begin")
            self._zygote = await Zygote.start(self._kind.command, cwd=self._folder)
            reach("runtime.zygote.started")
            return self._zygote

    async def _give_up(self, zygote: Zygote) -> None:
        """End a zygote that failed; of several starts that saw it fail, the first one does."""
        if self._zygote is zygote:
            self._zygote = None
            self._rests_until_s = asyncio.get_running_loop().time() + REST_S
        await zygote.kill()
