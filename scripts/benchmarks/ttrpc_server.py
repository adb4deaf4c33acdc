"""The other process of scripts/bench ttrpc: serves until it is terminated."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Mapping
from typing import cast

import uvloop

from shimclient import CallContext, Method, Server
from shimclient.api.task_pb2 import StateRequest, StateResponse, Status

#: Event loops by name.
LOOPS: Mapping[str, Callable[[], asyncio.AbstractEventLoop]] = {
    "asyncio": asyncio.new_event_loop,
    "uvloop": uvloop.new_event_loop,
}


async def _state(request: StateRequest, _context: CallContext) -> StateResponse:
    return StateResponse(id=request.id, bundle="/run/bundle", pid=4711, status=Status.PAUSED)


class Echo(asyncio.Protocol):
    """What asyncio costs without any framing or protobuf."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Send it back."""
        self._transport.write(data)


async def main(kind: str, path: str) -> None:
    """Serve `kind` at the path; say so on stdout."""
    task = {"State": Method(StateRequest, _state)}
    ttrpc = Server({"containerd.task.v2.Task": task})
    if kind == "ttrpc":
        await ttrpc.serve_path(path)
        bare = None
    else:
        bare = await asyncio.get_running_loop().create_unix_server(Echo, path)
    print("listening", flush=True)
    await asyncio.Event().wait()
    del bare  # Held until here: asyncio does not keep a server alive by itself.


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=LOOPS[sys.argv[3]]) as runner:
        runner.run(main(sys.argv[1], sys.argv[2]))
