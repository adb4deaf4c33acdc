"""Where an agent keeps its things and listens, unless it is told otherwise.

The agent's configuration and cubecli must agree on it. Standard library only: cubecli imports this
and not the configuration, which takes it longer than its call.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

#: What the name of the local door's socket ends in. It tells callers to speak ttrpc there, and not
#: gRPC, as containerd's own `containerd.sock.ttrpc` does.
LOCAL_SUFFIX: Final = ".ttrpc"

#: Bytes in a unix socket's path: sun_path less its closing NUL (unix(7)).
SOCKET_PATH_BYTES_MAX: Final = 107


#: The store's file in the state directory.
STORE_NAME: Final = "cubelet.db"


class NoStateDir(Exception):
    """There is no place for a state directory unless one is named."""


def default_state_dir(*, env: Mapping[str, str], uid: int) -> str:
    """The state directory of an agent that is told none. Raises NoStateDir."""
    if uid == 0:
        return "/var/lib/cubelet"
    if env.get("XDG_STATE_HOME"):
        return f"{env['XDG_STATE_HOME']}/cubelet"
    if env.get("HOME"):
        return f"{env['HOME']}/.local/state/cubelet"
    raise NoStateDir("no state_dir is set, and neither XDG_STATE_HOME nor HOME; set state_dir")


def grpc_socket(state_dir: str) -> str:
    """Where the gRPC door is."""
    return str(Path(state_dir) / "run" / "cubelet.sock")


def local_socket(state_dir: str) -> str:
    """Where the local door is."""
    return str(Path(state_dir) / "run" / f"cubelet{LOCAL_SUFFIX}")
