"""The commands of a shim binary: start, delete, and serve for one that stands alone."""

from __future__ import annotations

import asyncio
import os
import socket
import stat
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from google.protobuf.message import DecodeError

from shimclient.api import bootstrap_pb2, task_pb2
from shimclient.skeleton import zygote
from shimclient.skeleton.daemon import run_in_background
from shimclient.skeleton.errors import SetupError
from shimclient.skeleton.flags import Action, Flags, UsageError, parse_flags
from shimclient.skeleton.serve import Program, serve_shim
from shimclient.skeleton.sockets import (
    SocketError,
    bind_exclusively,
    group_of,
    is_live,
    socket_dir,
    socket_name,
)
from shimclient.skeleton.statefile import replace_file
from shimclient.stamps import set_stamp

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_STDIN_BYTES_MAX: Final = 4 << 20
#: The Task service's version that we announce: v2 is understood by every containerd, and v3 is
#: answered all the same.
_ANNOUNCED_VERSION: Final = 2
_USAGE: Final = """\
usage: {name} -namespace NS -id ID [-address A] [-bundle DIR] [-debug] start|delete
       {name} serve -address SOCKET [-namespace NS] [-id ID] [-bundle DIR] [-debug]
       {name} zygote ROOM

{summary}

start   Start the shim's server in the background and print its address. The current
        folder is the bundle; events go to the ttrpc socket in TTRPC_ADDRESS.
delete  Clean up after a dead shim and print how its task ended (protobuf).
serve   Serve at SOCKET in the foreground until SIGTERM or Shutdown.
zygote  Fork what starts shims, as the socket on stdin asks; for agents.
"""


def main(program: Program, arguments: Sequence[str] | None = None) -> int:
    """Run one command; the process's exit status. Errors go to stderr in one line."""
    words = sys.argv[1:] if arguments is None else list(arguments)
    name = f"containerd-shim-{program.name}-v1"
    if {"-h", "-help", "--help"} & set(words):
        sys.stdout.write(_USAGE.format(name=name, summary=program.summary))
        return 0
    try:
        if words[:1] == [zygote.COMMAND]:
            zygote.serve_zygote(partial(main, program))
            return 0
        flags = parse_flags(words)
        flags = replace(flags, bundle=flags.bundle or str(Path.cwd()))
        _COMMANDS[flags.action](program, flags)
    except UsageError as error:
        sys.stderr.write(f"{name}: {error}; see --help\n")
        return 2
    except (SetupError, OSError) as error:
        sys.stderr.write(f"{name}: {error}\n")
        return 1
    return 0


def _start(program: Program, flags: Flags) -> None:
    params = _read_params(flags)
    if params and not os.environ.get("TTRPC_ADDRESS"):
        os.environ["TTRPC_ADDRESS"] = params.containerd_ttrpc_address
    bundle = Path(flags.bundle)
    if not bundle.is_dir():
        raise SetupError(f"the bundle {bundle} is no folder")
    folder = socket_dir(params.socket_dir if params else "", os.environ)
    path = folder / socket_name(flags.address, flags.namespace, group_of(bundle, flags.id))
    address = f"unix://{path}"
    listener = bind_exclusively(path)
    # containerd 1.x finds a running shim again by this file.
    replace_file(bundle / "address", address.encode(), sync=False)
    if listener is not None:
        try:
            _serve_in_background(program, flags, listener)
        except SetupError:
            path.unlink(missing_ok=True)
            (bundle / "address").unlink(missing_ok=True)
            raise
    _answer(address, as_protobuf=params is not None)


def _serve_in_background(program: Program, flags: Flags, listener: socket.socket) -> None:
    def serve(ready: Callable[[], None]) -> None:
        asyncio.run(serve_shim(program, flags, listener, ready))

    with listener:
        run_in_background(serve, Path(flags.bundle) / "log")


def _read_params(flags: Flags) -> bootstrap_pb2.BootstrapParams | None:
    """What containerd 2.3 and newer writes to stdin; None for older ones.

    Those write runtime options or nothing. Options parse as BootstrapParams too,
    so it is one only if its ids are those of the flags.
    """
    if sys.stdin is None or stat.S_ISCHR(os.fstat(sys.stdin.fileno()).st_mode):
        return None
    data = sys.stdin.buffer.read(_STDIN_BYTES_MAX)
    try:
        params = bootstrap_pb2.BootstrapParams.FromString(data)
    except DecodeError:
        return None
    same = (params.instance_id, params.namespace) == (flags.id, flags.namespace)
    return params if same else None


def _answer(address: str, *, as_protobuf: bool) -> None:
    if as_protobuf:
        result = bootstrap_pb2.BootstrapResult(
            version=_ANNOUNCED_VERSION, address=address, protocol="ttrpc"
        )
        sys.stdout.buffer.write(result.SerializeToString())
    else:
        sys.stdout.write(address)
    sys.stdout.flush()


def _delete(program: Program, flags: Flags) -> None:
    bundle = Path(flags.bundle)
    ended = program.cleanup(flags, bundle)
    name = socket_name(flags.address, flags.namespace, group_of(bundle, flags.id))
    path = socket_dir("", os.environ) / name
    if not is_live(path):
        path.unlink(missing_ok=True)
    reply = task_pb2.DeleteResponse(pid=ended.pid, exit_status=ended.exit_status)
    set_stamp(reply.exited_at, ended.exited_at_ns)
    sys.stdout.buffer.write(reply.SerializeToString())
    sys.stdout.flush()


def _serve(program: Program, flags: Flags) -> None:
    path = Path(flags.address.removeprefix("unix:").replace("//", "/", 1)).absolute()
    listener = bind_exclusively(path)
    if listener is None:
        raise SocketError(f"somebody serves at {path} already")
    with listener:
        alone = replace(flags, address=str(path))
        asyncio.run(serve_shim(program, alone, listener, lambda: None))


_COMMANDS: Final = {Action.START: _start, Action.DELETE: _delete, Action.SERVE: _serve}
