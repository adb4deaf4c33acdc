"""One agent of the test build on a state directory of its own: started, asked, killed."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Final, TypeVar

import grpc.aio
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2  # type: ignore[import-untyped]

from cubelet.api.v1 import sandboxes_pb2 as api
from cubelet.rpc.interceptor import DETAILS_KEY
from shimclient.client import Client
from shimclient.errors import ConnectFailed, LocalDeadline, ShimError, StatusError, TransportLost
from tests.crash.points import LATER, POINTS, REACHED
from tests.support import leftovers

ROOT: Final = Path(__file__).resolve().parents[2]
SANDBOXES: Final = "cubelet.api.v1.Sandboxes"
#: More than anything takes that ends at all.
PATIENCE_S: Final = 120.0
#: Of a host that has other things to do as well.
_START_S: Final = 120.0
_LOOK_S: Final = 0.01
_PAGE: Final = 500
_COMPLAINTS_MAX: Final = 12

M = TypeVar("M", bound=Message)


class Died(Exception):
    """The agent is no more; what was asked of it may have happened."""


class Refused(Exception):
    """The agent answered with an error."""

    def __init__(self, code: int, reason: str, message: str) -> None:
        super().__init__(f"{reason} ({code}): {message}")
        self.code = code
        self.reason = reason
        self.message = message


class Rig:
    """An agent, which may be dead, and both of its doors."""

    def __init__(self, folder: Path, config: str) -> None:
        self.folder = folder
        self.reached = folder.with_name(f"{folder.name}.reached")
        self.later = folder.with_name(f"{folder.name}.later")
        self.log = folder.with_name(f"{folder.name}.log")
        self.starts = 0
        self.started_s = 0.0
        self.served_s = 0.0
        #: Where its shims were seen to listen.
        self.sockets: set[str] = set()
        #: More of its environment, from the next start on.
        self.variables: dict[str, str] = {}
        self._config = folder.with_name(f"{folder.name}.toml")
        self._config.write_text(f'state_dir = "{folder}"\n{config}')
        self._process: subprocess.Popen[bytes] | None = None
        self._client: Client | None = None
        self._channel: grpc.aio.Channel | None = None

    async def start(self, points: str = "") -> bool:
        """Start it with these points armed; False where it died before it served."""
        environment = {**os.environ, **self.variables, POINTS: points}
        environment |= {REACHED: str(self.reached), LATER: str(self.later)}
        self.starts += 1
        self.started_s = time.monotonic()
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: ASYNC220 - it takes a millisecond.
                [sys.executable, "-m", "tests.crash.agent", "serve", "--config", str(self._config)],
                cwd=ROOT,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        try:
            await self._connect()
        except Died:
            return False
        self.served_s = time.monotonic()
        return True

    @property
    def alive(self) -> bool:
        """Whether its process runs."""
        return self._process is not None and self._process.poll() is None

    @property
    def exit_code(self) -> int | None:
        """Of its process, once that has ended; a signal's number below 0."""
        return self._process.poll() if self._process is not None else None

    async def kill(self) -> None:
        """Kill -9, and see it gone."""
        if self._process is not None:
            self._process.kill()
        await self.gone()

    async def arm(self, points: str) -> None:
        """Arm these points in the agent that runs, and none of those before."""
        self.later.write_text(points)
        if self._process is not None:
            self._process.send_signal(signal.SIGUSR1)
        while self.later.exists() and self.alive:  # noqa: ASYNC110 - it is another process.
            await asyncio.sleep(_LOOK_S)

    def terminate(self) -> None:
        """SIGTERM, which lets it end by itself."""
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)

    async def gone(self, within_s: float = PATIENCE_S) -> bool:
        """Wait for its end and hang up; False where it still lives then."""
        end_s = time.monotonic() + within_s
        while self.alive:
            if time.monotonic() > end_s:
                return False
            await asyncio.sleep(_LOOK_S)
        await self._hang_up()
        return True

    async def ask(
        self, method: str, request: Message, reply: type[M], *, over_grpc: bool = False
    ) -> M:
        """Ask the agent. Raises Died where no answer came, Refused where it was an error."""
        return await (self._by_grpc if over_grpc else self._by_ttrpc)(
            SANDBOXES, method, request, reply
        )

    async def ask_node(self, method: str, request: Message, reply: type[M]) -> M:
        """Ask for what concerns the node itself; as `ask`."""
        return await self._by_ttrpc("cubelet.api.v1.Node", method, request, reply)

    async def listed(self) -> dict[str, api.Sandbox]:
        """All sandboxes that the agent shows."""
        found: dict[str, api.Sandbox] = {}
        token = ""
        while True:
            request = api.ListRequest(page_size=_PAGE, page_token=token)
            page = await self.ask("List", request, api.ListResponse)
            found.update((one.id, one) for one in page.sandboxes)
            token = page.next_page_token
            if not token:
                return found

    def points_reached(self) -> set[str]:
        """The names of all points that this rig's agents ever reached."""
        if not self.reached.exists():
            return set()
        return set(self.reached.read_text().split())

    def forget_reached(self) -> None:
        """Begin a new list of points."""
        self.reached.unlink(missing_ok=True)

    async def close(self) -> list[str]:
        """End it by force and remove all that is left; what that was."""
        await self.kill()
        left = await asyncio.to_thread(leftovers.clear, self.folder)
        for path in (self._config, self.reached, self.later):
            path.unlink(missing_ok=True)
        return left

    async def _connect(self) -> None:
        end_s = time.monotonic() + _START_S
        local = str(self.folder / "run" / "cubelet.ttrpc")
        while self._client is None:
            if not self.alive:
                raise Died
            if time.monotonic() > end_s:
                await self.kill()
                raise AssertionError(f"no agent within {_START_S:g} s: {self.complaints()}")
            try:
                self._client = await Client.connect(local)
            except ConnectFailed:
                await asyncio.sleep(_LOOK_S)
        self._channel = grpc.aio.insecure_channel(
            f"unix:{self.folder / 'run' / 'cubelet.sock'}",
            options=[("grpc.use_local_subchannel_pool", 1)],
        )
        await self.ask("List", api.ListRequest(page_size=1), api.ListResponse)

    async def _hang_up(self) -> None:
        client, self._client = self._client, None
        channel, self._channel = self._channel, None
        if client is not None:
            await client.close()
        if channel is not None:
            await channel.close()

    async def _by_ttrpc(self, service: str, method: str, request: Message, reply: type[M]) -> M:
        if self._client is None:
            raise Died
        try:
            return await self._client.call(
                service, method, request, reply, local_timeout_s=PATIENCE_S
            )
        except StatusError as refused:
            raise Refused(refused.code, _reason(refused.details), refused.message) from None
        except LocalDeadline:
            raise AssertionError(f"no answer to {method} {request} in {PATIENCE_S:g} s") from None
        except (TransportLost, ShimError):
            raise Died from None

    async def _by_grpc(self, service: str, method: str, request: Message, reply: type[M]) -> M:
        if self._channel is None:
            raise Died
        call = self._channel.unary_unary(
            f"/{service}/{method}",
            request_serializer=type(request).SerializeToString,
            response_deserializer=reply.FromString,
        )
        try:
            answer: M = await call(request, timeout=PATIENCE_S)
        except grpc.aio.AioRpcError as failed:
            told = (failed.trailing_metadata() or grpc.aio.Metadata()).get(DETAILS_KEY)
            if told is None:  # Not the agent's own word, so the connection's end.
                raise Died from None
            status = status_pb2.Status.FromString(told)
            raise Refused(status.code, _reason(status.details), status.message) from None
        except (asyncio.CancelledError, grpc.aio.UsageError):
            if self.alive and self._channel is not None:
                raise
            raise Died from None
        return answer

    def complaints(self) -> str:
        """The newest lines of its log that are worse than usual."""
        lines = self.log.read_text(errors="replace").splitlines() if self.log.exists() else []
        bad = [line for line in lines if '"level": "info"' not in line]
        return "\n".join(bad[-_COMPLAINTS_MAX:])


def _reason(details: Any) -> str:
    """The reason of an error's first detail, an ErrorInfo."""
    info = error_details_pb2.ErrorInfo()
    for detail in details:
        if detail.Unpack(info):
            return str(info.reason)
    return ""
