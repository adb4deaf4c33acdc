"""Where a shim listens: the name, the folder and the exclusive binding of its socket."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import posixpath
import socket
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Final

from shimclient.listen import bind_unix
from shimclient.skeleton.errors import SetupError

if TYPE_CHECKING:
    from collections.abc import Mapping

#: A unix socket's path has 108 bytes in the kernel, the last one a zero.
SOCKET_PATH_BYTES_MAX: Final = 107
#: Where containerd's shims put their sockets.
CONTAINERD_SOCKET_DIR: Final = "/run/containerd/s"
#: Overrides the folder; for tests and for agents that keep their sockets together.
SOCKET_DIR_VARIABLE: Final = "SHIM_SOCKET_DIR"
#: Annotations that put several tasks into one shim (containerd's runc v2 shim).
_GROUP_ANNOTATIONS: Final = ("io.containerd.runc.v2.group", "io.kubernetes.cri.sandbox-id")
_BACKLOG: Final = 128


class SocketError(SetupError):
    """No socket can be bound here; the text says why."""


def socket_name(address: str, namespace: str, group: str) -> str:
    """The file name of a shim's socket, as containerd 1.6's shim package computes it."""
    joined = posixpath.normpath("/".join(part for part in (address, namespace, group) if part))
    return hashlib.sha256(joined.encode()).hexdigest()


def group_of(bundle: Path, task_id: str) -> str:
    """The id that tasks of one shim share: an annotation of config.json, else the task's own id."""
    try:
        config = json.loads((bundle / "config.json").read_bytes())
    except FileNotFoundError:
        return task_id
    except ValueError as error:
        raise SocketError(f"{bundle / 'config.json'} is no JSON: {error}") from error
    annotations = (config.get("annotations") if isinstance(config, dict) else None) or {}
    for name in _GROUP_ANNOTATIONS:
        if group := annotations.get(name):
            return str(group)
    return task_id


def socket_dir(wanted: str, environ: Mapping[str, str]) -> Path:
    """The folder for sockets, made if absent: the wanted one, else the first that suits the user.

    Root shares containerd's folder; another user gets a private one that is short enough for a name
    of 64 characters to fit.
    """
    chosen = wanted or environ.get(SOCKET_DIR_VARIABLE, "")
    if not chosen and os.geteuid() == 0:
        chosen = CONTAINERD_SOCKET_DIR
    if chosen:
        Path(chosen).mkdir(mode=0o711, parents=True, exist_ok=True)
        return Path(chosen)
    runtime_dir = environ.get("XDG_RUNTIME_DIR", "")
    fits = runtime_dir and len(os.fsencode(runtime_dir)) <= 30  # noqa: PLR2004 - 107 - 64 - "/shims/"
    private = Path(runtime_dir, "shims") if fits else Path(f"/tmp/shims-{os.geteuid()}")  # noqa: S108
    private.mkdir(mode=0o700, exist_ok=True)
    facts = private.lstat()
    if not stat.S_ISDIR(facts.st_mode) or facts.st_uid != os.geteuid() or facts.st_mode & 0o022:
        raise SocketError(f"{private} is not a private folder of user {os.geteuid()}; remove it")
    return private


def bind_exclusively(path: Path) -> socket.socket | None:
    """A listening socket (mode 0600) at the path; None where a living shim listens there already.

    The socket of a dead shim is replaced. Two starters of one name are kept apart by a lock on the
    folder, so that neither can remove the other's fresh socket.
    """
    if len(os.fsencode(path)) > SOCKET_PATH_BYTES_MAX:
        raise SocketError(
            f"socket path of {len(os.fsencode(path))} bytes is over the kernel's limit of"
            f" {SOCKET_PATH_BYTES_MAX}: {path}"
        )
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        listener = None if is_live(path) else bind_unix(os.fspath(path))
        if listener is not None:
            listener.listen(_BACKLOG)
    except OSError as error:
        raise SocketError(f"cannot bind {path}: {error.strerror}") from error
    finally:
        os.close(folder)
    return listener


def is_live(path: Path) -> bool:
    """Whether somebody listens at the path; a full backlog counts, as somebody must own it."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        result = probe.connect_ex(os.fspath(path))
    return result in {0, errno.EAGAIN, errno.EINPROGRESS}
