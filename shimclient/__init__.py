"""ttrpc and containerd's shim v2 for Python: what a program needs to drive a shim, or be one."""

from __future__ import annotations

from shimclient.client import Client
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
from shimclient.server import CallContext, Counters, Method, Server

__all__ = [
    "BootstrapError",
    "CallContext",
    "Client",
    "Code",
    "ConnectFailed",
    "Counters",
    "Exhausted",
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
    "ShimError",
    "StatusError",
    "TooLarge",
    "TransportLost",
    "Unimplemented",
]
