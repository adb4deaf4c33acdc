"""A shim's server process: from a listening socket to the end of the process."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from shimclient.server import Server
from shimclient.skeleton.flags import Action, Flags
from shimclient.skeleton.publisher import Publisher
from shimclient.skeleton.reaper import Reaper, become_subreaper
from shimclient.skeleton.service import ShimContext, TaskService, services_of
from shimclient.skeleton.statefile import StateFile

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from google.protobuf.message import Message

    from shimclient.task import Exit

_GRACE_S: Final = 1.0
STATE_FILE_NAME: Final = "shim-state.json"


@dataclass(frozen=True, slots=True)
class Program:
    """One shim: what is its own about it."""

    #: As in the binary's name, containerd-shim-NAME-v1; shown in the help.
    name: str
    #: One line for the help.
    summary: str
    #: Makes the service, in the server process's running loop.
    service: Callable[[ShimContext], TaskService]
    #: The work of `delete`: end what a dead shim left running, and say how the task ended.
    cleanup: Callable[[Flags, Path], Exit]


async def serve_shim(
    program: Program, flags: Flags, listener: socket.socket, ready: Callable[[], None]
) -> None:
    """Serve until Shutdown or SIGTERM; then answer what is in flight, and remove the socket.

    `ready` is called when calls are served. Events go to the address in TTRPC_ADDRESS.
    """
    _log_to_stderr(debug=flags.debug)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    become_subreaper()
    reaper = Reaper()
    reaper.install()
    publisher = Publisher(os.environ.get("TTRPC_ADDRESS", ""), namespace=flags.namespace)
    publisher.start()
    service = program.service(_context(flags, publisher, reaper, stop))
    server = Server(services_of(service))
    await service.begin()
    await server.serve_socket(listener)
    ready()
    await stop.wait()
    await server.close(grace_s=_GRACE_S)
    await service.end()
    await publisher.close(grace_s=_GRACE_S)
    reaper.uninstall()


def _context(
    flags: Flags, publisher: Publisher, reaper: Reaper, stop: asyncio.Event
) -> ShimContext:
    bundle = Path(flags.bundle).absolute()

    def publish(message: Message) -> None:
        publisher.publish(message, at_ns=time.time_ns())

    return ShimContext(
        namespace=flags.namespace,
        id=flags.id,
        bundle=bundle,
        debug=flags.debug,
        publish=publish,
        reaper=reaper,
        state=StateFile(_state_path(flags, bundle)),
        stop=stop.set,
    )


def _state_path(flags: Flags, bundle: Path) -> Path:
    """In the bundle; beside its socket for a shim that stands alone, as it has no bundle."""
    if flags.action is Action.SERVE:
        return Path(f"{flags.address}.state.json")
    return bundle / STATE_FILE_NAME


def _log_to_stderr(*, debug: bool) -> None:
    """Log one line each; a full log pipe loses lines, it never stops the shim."""
    logging.raiseExceptions = False
    logging.basicConfig(
        level=logging.DEBUG if debug else logging.INFO,
        format='time="%(asctime)s" level=%(levelname)s logger=%(name)s msg="%(message)s"',
    )
