"""ttrpc and containerd's shim v2 for Python: what a program needs to drive a shim, or be one.

It stands alone: asyncio and protobuf, nothing of Cubelet, no gRPC. Everybody may import it.

* `Client` calls one ttrpc server over a unix socket. `local_timeout_s` bounds our waiting and is
  told to nobody. `wire_timeout_s` travels with the call, and makes containerd's runc shim kill runc
  when it is over, so it is never sent unless asked for. A lost connection fails every call that
  waits, and is never made anew behind the caller's back.
* `BlockingClient` is the same for programs that are not asynchronous.
* `Server` serves unary methods: a task for each request, which no dropped connection cancels; bad
  frames are answered and end nothing; what goes over a limit is refused and counted.
* `Task` is a shim's Task service (v2, or v3 where the shim is newer), `start_shim` and
  `delete_shim` run a shim's binary, and `EventsServer` takes the events that shims send.
* Errors are values: every one is a `ShimError`, and its `may_have_run` says whether the shim may
  have carried the call out, or may still do so.
* `shimclient.wire` is the codec alone, without any I/O. `shimclient.skeleton` is what a shim
  process in Python starts from, and `shimclient.fake` is one for tests and drills.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Final

from shimclient.errors import (
    BootstrapError,
    Code,
    ConnectFailed,
    Exhausted,
    LocalDeadline,
    LocalLimit,
    NeverSent,
    NotConnected,
    NotFound,
    ProtocolBroken,
    Refused,
    RemoteDeadline,
    ReplyTooLarge,
    RequestTooLarge,
    ShimError,
    StatusError,
    TooLarge,
    TransportLost,
    Unimplemented,
)

if TYPE_CHECKING:
    from shimclient.blocking import BlockingClient
    from shimclient.bootstrap import ShimAddress, delete_shim, parse_start_answer, start_shim
    from shimclient.client import Client
    from shimclient.events import EventsServer, TaskEvent
    from shimclient.server import CallContext, Counters, Method, Server
    from shimclient.task import Exit, ShimInfo, Status, Task, TaskState

__all__ = [
    "BlockingClient",
    "BootstrapError",
    "CallContext",
    "Client",
    "Code",
    "ConnectFailed",
    "Counters",
    "EventsServer",
    "Exhausted",
    "Exit",
    "LocalDeadline",
    "LocalLimit",
    "Method",
    "NeverSent",
    "NotConnected",
    "NotFound",
    "ProtocolBroken",
    "Refused",
    "RemoteDeadline",
    "ReplyTooLarge",
    "RequestTooLarge",
    "Server",
    "ShimAddress",
    "ShimError",
    "ShimInfo",
    "Status",
    "StatusError",
    "Task",
    "TaskEvent",
    "TaskState",
    "TooLarge",
    "TransportLost",
    "Unimplemented",
    "delete_shim",
    "parse_start_answer",
    "start_shim",
]

#: The modules that are imported when one of their names is first asked for: a program that makes
#: one blocking call would wait longer for asyncio than for its answer.
_HOMES: Final = {
    "shimclient.blocking": ("BlockingClient",),
    "shimclient.bootstrap": ("ShimAddress", "delete_shim", "parse_start_answer", "start_shim"),
    "shimclient.client": ("Client",),
    "shimclient.events": ("EventsServer", "TaskEvent"),
    "shimclient.server": ("CallContext", "Counters", "Method", "Server"),
    "shimclient.task": ("Exit", "ShimInfo", "Status", "Task", "TaskState"),
}
_HOME_OF: Final = {name: home for home, names in _HOMES.items() for name in names}

if not TYPE_CHECKING:  # A checker would take it for a promise of every name there is.

    def __getattr__(name: str) -> object:
        """Import what is asked for, once."""
        if name not in _HOME_OF:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = globals()[name] = getattr(import_module(_HOME_OF[name]), name)
        return value
