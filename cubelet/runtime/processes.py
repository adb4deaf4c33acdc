"""Which of the host's processes belong to sandboxes of ours: by where they work and what they are.

Nobody is taken for ours by one of the two alone: a person's shell may stand in a sandbox's folder,
and a command line may say anything.
"""

from __future__ import annotations

import contextlib
import itertools
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cubelet.core.ids import is_id
from cubelet.runtime.identity import Identity, identify

_PROC: Final = Path("/proc")
#: What the kernel puts behind the name of a folder that is there no more.
_DELETED: Final = " (deleted)"
#: A shim's program that only cleans up, and ends by itself.
_CLEANING: Final = "delete"
#: How the variable begins that the process shim gives to all of a sandbox's processes; its value is
#: NAMESPACE.ID.
_MARK: Final = b"CUBELET_SANDBOX_"


@dataclass(frozen=True, slots=True)
class ShimProcess:
    """A shim that was started by an agent on this state directory."""

    identity: Identity
    sandbox_id: str
    namespace: str
    command: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Member:
    """A process that a shim has started on the host itself."""

    identity: Identity
    sandbox_id: str
    name: str


def find_processes(sandboxes: Path, address: str) -> Iterator[ShimProcess | Member]:
    """All of them on this host; reads all of /proc, so it blocks for some milliseconds.

    `sandboxes` is the folder of all bundles, there or deleted; `address` is what our shims are told
    of their agent.
    """
    inside = f"{sandboxes}/"
    with os.scandir(_PROC) as entries:
        pids = [int(entry.name) for entry in entries if entry.name.isdigit()]
    for pid in pids:
        if _folder_of(pid).startswith(inside):
            # Read again behind the identity: a pid that changed hands in between fits nobody.
            identity = identify(pid)
            folder = _folder_of(pid)
            if identity is not None and folder.startswith(inside):
                found = _looked_at(identity, folder.removeprefix(inside), address)
                if found is not None:
                    yield found


def _looked_at(identity: Identity, below: str, address: str) -> ShimProcess | Member | None:
    """What a process is that works there; None where it is not ours."""
    sandbox_id, _, deeper = below.partition("/")
    if not is_id(sandbox_id):
        return None
    if not deeper and (shim := _as_shim(identity, sandbox_id, address)):
        return shim
    if _is_marked(identity.pid, sandbox_id):
        return Member(identity, sandbox_id, _name_of(identity.pid))
    return None


def _as_shim(identity: Identity, sandbox_id: str, address: str) -> ShimProcess | None:
    """By the flags with which every shim is started (containerd's shim v2 protocol)."""
    words = [os.fsdecode(word) for word in _read(identity.pid, "cmdline").split(b"\0") if word]
    flags = dict(itertools.pairwise(words))
    ours = flags.get("-id") == sandbox_id and flags.get("-address") == address
    if not ours or words[-1] == _CLEANING:
        return None
    return ShimProcess(identity, sandbox_id, flags.get("-namespace", ""), tuple(words))


def _is_marked(pid: int, sandbox_id: str) -> bool:
    variables = _read(pid, "environ").split(b"\0")
    value = b"." + os.fsencode(sandbox_id)
    return any(one.startswith(_MARK) and one.endswith(value) for one in variables)


def _name_of(pid: int) -> str:
    return os.fsdecode(_read(pid, "comm")).strip()


def _folder_of(pid: int) -> str:
    """Where a process works, also if that is deleted; "" where it is gone, or not to be asked."""
    with contextlib.suppress(OSError):
        return os.readlink(f"{_PROC}/{pid}/cwd").removesuffix(_DELETED)  # noqa: PTH115 - many, fast
    return ""


def _read(pid: int, name: str) -> bytes:
    with contextlib.suppress(OSError):
        return (_PROC / str(pid) / name).read_bytes()
    return b""
