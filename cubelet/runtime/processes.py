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
    """A process that a shim has started on the host itself: its child, or one with its mark."""

    identity: Identity
    sandbox_id: str
    name: str


def find_processes(sandboxes: Path, address: str) -> tuple[list[ShimProcess], list[Member]]:
    """All of them on this host; reads all of /proc, so it blocks for some milliseconds.

    `sandboxes` is the folder of all bundles, there or deleted; `address` is what our shims are told
    of their agent.
    """
    shims: list[ShimProcess] = []
    others: list[Member] = []
    for identity, below in _working_in(f"{sandboxes}/"):
        sandbox_id, _, deeper = below.partition("/")
        if not is_id(sandbox_id):
            continue
        shim = _as_shim(identity, sandbox_id, address)
        if shim is not None and not deeper:
            shims.append(shim)
        else:
            others.append(Member(identity, sandbox_id, _name_of(identity.pid)))
    parents = {(shim.identity.pid, shim.sandbox_id) for shim in shims}
    return shims, [
        one
        for one in others
        if (_parent_of(one.identity.pid), one.sandbox_id) in parents
        or _is_marked(one.identity.pid, one.sandbox_id)
    ]


def _working_in(inside: str) -> Iterator[tuple[Identity, str]]:
    """Every process that works there, and where."""
    with os.scandir(_PROC) as entries:
        pids = [int(entry.name) for entry in entries if entry.name.isdigit()]
    for pid in pids:
        if _folder_of(pid).startswith(inside):
            # Read again behind the identity: a pid that changed hands in between fits nobody.
            identity = identify(pid)
            folder = _folder_of(pid)
            if identity is not None and folder.startswith(inside):
                yield identity, folder.removeprefix(inside)


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


def _parent_of(pid: int) -> int:
    """The fourth field of its line in stat, whose second may hold anything; 0: it is gone."""
    fields = _read(pid, "stat").rpartition(b")")[2].split()
    return int(fields[1]) if fields else 0


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
