"""Control groups of either version: where ours belong, and the few files of one."""

from __future__ import annotations

import asyncio
import contextlib
import errno
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cubelet.shims.process.errors import CgroupBusy
from cubelet.shims.process.identity import PROC

#: All our groups are in this one, which is a child of the group that the shim is in.
PARENT_NAME: Final = "cubelet-process"
_REMOVE_TRIES_MAX: Final = 50
_REMOVE_PAUSE_S: Final = 0.01


@dataclass(frozen=True, slots=True)
class Hierarchy:
    """One mounted cgroup tree and the group in it that this process is in."""

    version: int
    controllers: frozenset[str]
    own: Path

    def group(self, name: str) -> Path:
        """The folder of a sandbox's group."""
        return self.own / PARENT_NAME / name


def hierarchies(*, proc: Path = PROC) -> list[Hierarchy]:
    """All cgroup trees that are mounted here; empty where there are none."""
    paths = _own_paths((proc / "self/cgroup").read_text())
    found = []
    for line in (proc / "self/mountinfo").read_text().splitlines():
        left, _, right = line.partition(" - ")
        root, mount = left.split()[3:5]
        kind, _, options = right.split()[:3]
        if kind not in {"cgroup", "cgroup2"}:
            continue
        unified = kind == "cgroup2"
        names = frozenset({""} if unified else options.split(",")) & paths.keys()
        if names:
            below = paths[min(names)].removeprefix(root.rstrip("/")).lstrip("/")
            found.append(Hierarchy(2 if unified else 1, names - {""}, Path(mount) / below))
    return found


def _own_paths(text: str) -> dict[str, str]:
    """The groups that /proc/self/cgroup names, by controller; version 2's has the empty name."""
    paths = {}
    for line in text.splitlines():
        _, names, path = line.split(":", 2)
        for name in names.split(","):
            paths[name] = path
    return paths


def make_group(path: Path, *, owner: int) -> None:
    """Make the group of the sandbox whose first process is `owner`; an empty one is taken over.

    Raises CgroupBusy where others are in it, and OSError.
    """
    path.mkdir(parents=True, exist_ok=True)
    if pids := pids_of(path) - {owner}:
        raise CgroupBusy(f"cgroup {path} has {len(pids)} processes already; another sandbox's?")


def pids_of(path: Path) -> frozenset[int]:
    """The processes in a group; none where there is no such group."""
    try:
        return frozenset(int(word) for word in (path / "cgroup.procs").read_text().split())
    except FileNotFoundError:
        return frozenset()
    except OSError as error:
        if error.errno == errno.ENODEV:  # It was removed between opening and reading.
            return frozenset()
        raise


def join_group(path: Path, pid: int) -> None:
    """Move a process, and with it all that it will start, into the group."""
    (path / "cgroup.procs").write_text(str(pid))


async def remove_group(path: Path) -> bool:
    """Remove a group whose processes are dead; False where the kernel still says that it is in use.

    A group stays in use for some moments after its last process was reaped. The common parent is
    removed with its last group.
    """
    for _ in range(_REMOVE_TRIES_MAX):
        try:
            path.rmdir()  # noqa: ASYNC240 - no disk is behind it
        except FileNotFoundError:
            return True
        except OSError:
            await asyncio.sleep(_REMOVE_PAUSE_S)
        else:
            with contextlib.suppress(OSError):
                path.parent.rmdir()
            return True
    return False
