"""All descendants of a process, as /proc shows them in one pass.

Seen from a subreaper the tree has no holes: whose parent dies becomes a child of the root.
"""

from __future__ import annotations

import os
from collections import defaultdict, deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cubelet.shims.process.identity import (
    DEAD_STATES,
    PROC,
    STOPPED_STATES,
    Identity,
    parse_stat,
    read_proc,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Process:
    """One process of a tree and the states of its threads, one letter each as in proc(5).

    The first thread may be dead while others run on, so a process is over only with its last one.
    """

    identity: Identity
    #: None for a child of the root.
    parent: Identity | None
    threads: str

    @property
    def dead(self) -> bool:
        """Nothing of it runs again; at most its parent has not yet asked for its exit status."""
        return DEAD_STATES.issuperset(self.threads)

    @property
    def stopped(self) -> bool:
        """Alive, and every living thread stands still."""
        return not self.dead and (DEAD_STATES | STOPPED_STATES).issuperset(self.threads)

    @property
    def blocked(self) -> bool:
        """A thread waits in the kernel where signals do not reach it, as in vfork(2)."""
        return "D" in self.threads


@dataclass(frozen=True, slots=True)
class Walk:
    """One pass over a tree, parents before their children."""

    processes: tuple[Process, ...]
    #: False where a process that was listed had gone before it could be looked at.
    whole: bool

    @property
    def living(self) -> tuple[Process, ...]:
        """The processes that can still run."""
        return tuple(process for process in self.processes if not process.dead)

    @property
    def identities(self) -> frozenset[Identity]:
        """All processes, the dead ones too: a fresh corpse tells of a parent that was missed."""
        return frozenset(process.identity for process in self.processes)

    @property
    def still(self) -> bool:
        """Whether all that was seen stands still, and nothing slipped away while we looked."""
        return self.whole and all(process.stopped for process in self.living)


def walk(root: int, *, proc: Path = PROC) -> Walk:
    """Look at all descendants of `root`, without `root`."""
    parents = None if _kernel_lists_children(root, proc) else _children_by_parent(proc)
    processes: list[Process] = []
    whole = True
    seen = {root}
    queue: deque[tuple[int, Identity | None]] = deque(
        (pid, None) for pid in _children(root, parents, proc)
    )
    while queue:
        pid, parent = queue.popleft()
        if pid in seen:
            continue
        seen.add(pid)
        process = look(pid, parent, proc=proc)
        if process is None:
            whole = False
            continue
        processes.append(process)
        queue.extend((child, process.identity) for child in _children(pid, parents, proc))
    return Walk(tuple(processes), whole)


def look(pid: int, parent: Identity | None = None, *, proc: Path = PROC) -> Process | None:
    """Look at one process; None where nobody has this pid."""
    content = read_proc(f"{proc}/{pid}/stat")
    if not content:
        return None
    states = []
    for thread in _threads(pid, proc):
        line = read_proc(f"{proc}/{pid}/task/{thread}/stat")
        if line:
            states.append(parse_stat(line).state)
    if not states:
        return None
    return Process(parse_stat(content).identity, parent, "".join(states))


def _threads(pid: int, proc: Path) -> list[str]:
    try:
        with os.scandir(f"{proc}/{pid}/task") as entries:
            return [entry.name for entry in entries]
    except (FileNotFoundError, ProcessLookupError):
        return []


def _children(pid: int, parents: Mapping[int, Sequence[int]] | None, proc: Path) -> list[int]:
    """The children of all threads of a process; each thread has its own list in the kernel."""
    if parents is not None:
        return list(parents.get(pid, ()))
    lists = (
        read_proc(f"{proc}/{pid}/task/{thread}/children") or b"" for thread in _threads(pid, proc)
    )
    return [int(word) for words in lists for word in words.split()]


def _kernel_lists_children(root: int, proc: Path) -> bool:
    """Whether this kernel has the children files (CONFIG_PROC_CHILDREN, in most distributions)."""
    return read_proc(f"{proc}/{root}/task/{root}/children") is not None


def _children_by_parent(proc: Path) -> Mapping[int, Sequence[int]]:
    """The same from a pass over all processes of the machine; slower, for kernels without them."""
    children: dict[int, list[int]] = defaultdict(list)
    with os.scandir(proc) as entries:
        pids = [int(entry.name) for entry in entries if entry.name.isdigit()]
    for pid in pids:
        content = read_proc(f"{proc}/{pid}/stat")
        if content:
            children[parse_stat(content).parent_pid].append(pid)
    return children
