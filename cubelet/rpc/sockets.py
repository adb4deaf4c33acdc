"""Where the server may listen: unix sockets in a closed directory, and loopback."""

from __future__ import annotations

import ipaddress
import os
import socket
import stat
from dataclasses import dataclass
from pathlib import Path

from cubelet.places import SOCKET_PATH_BYTES_MAX
from shimclient.listen import bind_unix

SOCKET_MODE = 0o660
DIRECTORY_MODE = 0o750


class CannotListen(Exception):
    """The server cannot or must not listen there; the message says why and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listen:
    """Where each door is: gRPC at `socket_path` and on `tcp`, ttrpc at `local_path`.

    `tcp` is an address of the loopback, such as 127.0.0.1:9999 or [::1]:9999; empty: no TCP.
    """

    socket_path: Path
    local_path: Path
    tcp: str = ""


def prepare_directory(socket_path: Path) -> None:
    """Make the socket's directory, or refuse one that lets others at the socket.

    The directory is what keeps others out: a socket's own mode can only be set once it is bound.
    """
    if len(os.fsencode(socket_path)) > SOCKET_PATH_BYTES_MAX:
        raise CannotListen(
            f"socket path {socket_path} is longer than {SOCKET_PATH_BYTES_MAX} bytes; "
            "use a shorter one"
        )
    directory = socket_path.parent
    try:
        directory.mkdir(mode=DIRECTORY_MODE, exist_ok=True)
        found = directory.stat()
    except OSError as failed:
        raise CannotListen(f"cannot make {directory}: {failed.strerror}") from failed
    _check_owner_and_mode(directory, found)


def bind_socket(path: Path) -> socket.socket:
    """A bound socket of mode SOCKET_MODE; raises CannotListen.

    The socket file of a server that died is replaced; the agent's lock says that it was ours.
    """
    try:
        bound = bind_unix(str(path.absolute()))
    except OSError as failed:
        raise CannotListen(f"cannot listen on {path}: {failed.strerror}") from failed
    path.chmod(SOCKET_MODE)
    return bound


def _check_owner_and_mode(directory: Path, found: os.stat_result) -> None:
    if found.st_uid != os.geteuid():
        raise CannotListen(
            f"directory {directory} belongs to user {found.st_uid}, not to {os.geteuid()} as which "
            "the agent runs; give it to the agent or choose another"
        )
    mode = stat.S_IMODE(found.st_mode)
    if mode & ~DIRECTORY_MODE:
        raise CannotListen(
            f"directory {directory} has mode {mode:04o}, which is looser than "
            f"{DIRECTORY_MODE:04o}; run: chmod {DIRECTORY_MODE:o} {directory}"
        )


def loopback(tcp: str) -> str:
    """The address to bind for HOST:PORT on the loopback; anything else raises CannotListen.

    There is no authentication on TCP, so that an address others can reach is a mistake. "localhost"
    is not looked up: what /etc/hosts says of it is not ours to trust.
    """
    host, colon, port = tcp.rpartition(":")
    host = "127.0.0.1" if host == "localhost" else host
    try:
        address = ipaddress.ip_address(host.removeprefix("[").removesuffix("]"))
    except ValueError as failed:
        raise CannotListen(f"{tcp!r} is not ADDRESS:PORT; use 127.0.0.1:9999") from failed
    if not colon or not (port.isascii() and port.isdigit()) or int(port) > 65535:  # noqa: PLR2004
        raise CannotListen(f"{tcp!r} has no port between 0 and 65535; use 127.0.0.1:9999")
    if not address.is_loopback:
        raise CannotListen(
            f"{tcp} can be reached from other machines, and the agent has no authentication on "
            "TCP; listen on 127.0.0.1 or [::1] only"
        )
    return f"{host}:{port}"
