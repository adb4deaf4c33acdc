"""Whom scripts/bench store compares: our store, and those that stand for what can be had."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sqlite3
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from cubelet.store import codec
from cubelet.store.sqlite import SqliteStore
from cubelet.store.writer import Writer
from scripts.benchmarks.workload import Transition

T = TypeVar("T")

#: Where Debian puts Go packages, and what is needed of them.
GO_PATH = Path("/usr/share/gocode")
_BBOLT = GO_PATH / "src/go.etcd.io/bbolt"
HOW_TO_GET_BBOLT = "apt-get install golang-go golang-github-coreos-bbolt-dev"

#: For each writer what it has to commit, in order.
Work = Sequence[Sequence[Transition]]


@dataclass(frozen=True, slots=True)
class Taken:
    """How long each transition took, and all of them together; seconds."""

    each_s: Sequence[float]
    all_s: float

    @property
    def rate(self) -> float:
        """Transitions a second."""
        return len(self.each_s) / self.all_s

    def ms(self, part: float) -> float:
        """What this part of them stayed below."""
        return 1000 * sorted(self.each_s)[int(part * (len(self.each_s) - 1))]


class OneByOne(Writer):
    """A transaction and a sync for each write, at once and in the caller's own thread."""

    def __init__(self, conn: sqlite3.Connection) -> None:
        super().__init__(lambda: conn)
        self._conn = conn

    async def write(self, run: Callable[[sqlite3.Connection], T], *, synced: bool = True) -> T:
        """Run it in a transaction, which is on the disk when this returns, however it was meant."""
        del synced
        self._conn.execute("BEGIN IMMEDIATE")
        value = run(self._conn)
        self._conn.execute("COMMIT")
        return value

    async def close(self) -> None:
        """Close the connection."""
        self._conn.close()


async def grouping(path: Path) -> SqliteStore:
    """The agent's store, as the agent opens it."""
    return await SqliteStore.open(path, boot_id="bench", now_ns=time.time_ns())


async def one_by_one(path: Path) -> SqliteStore:
    """The same store with another writer: a transaction and a sync for each change."""
    store = await grouping(path)
    await store.writer.close()
    conn = sqlite3.connect(path, isolation_level=None)
    conn.executescript(
        "PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL"
    )
    store.writer = OneByOne(conn)
    return store


async def commit(store: SqliteStore, work: Work) -> Taken:
    """Have each writer commit its transitions one after the other, all writers at once."""
    each_s: list[float] = []

    async def write(transitions: Sequence[Transition]) -> None:
        for transition in transitions:
            begun_s = time.perf_counter()
            for change in transition:
                await store.commit(change)
            each_s.append(time.perf_counter() - begun_s)

    begun_s = time.perf_counter()
    await asyncio.gather(*(write(transitions) for transitions in work))
    return Taken(each_s, time.perf_counter() - begun_s)


class Bare:
    """Nothing but the bytes and their sync, written over a file that has its size already.

    Each sync carries one transition of every writer, which no store can outdo.
    """

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        os.pwrite(self._fd, bytes(1 << 20), 0)
        os.fsync(self._fd)

    def commit(self, work: Work) -> Taken:
        """Write as many transitions of that size."""
        each_s: list[float] = []
        writers, size = len(work), sum(sizes(work[0][0]).values())
        data = os.urandom(size * writers)
        begun_s = time.perf_counter()
        for _ in work[0]:
            turn_s = time.perf_counter()
            os.pwrite(self._fd, data, 0)
            os.fdatasync(self._fd)
            each_s += [time.perf_counter() - turn_s] * writers
        return Taken(each_s, time.perf_counter() - begun_s)

    def close(self) -> None:
        """Close the file."""
        os.close(self._fd)


class Bbolt:
    """Go's bbolt in a process of its own; three buckets take what our tables take."""

    def __init__(self, program: Path, path: Path, how: str) -> None:
        self._program = program
        self._path = path
        self._how = how

    def commit(self, work: Work) -> Taken:
        """Have as many goroutines commit as many transitions of that size."""
        options = {
            "file": self._path,
            "how": self._how,
            "writers": len(work),
            "transitions": len(work[0]),
            **sizes(work[0][0]),
        }
        command = [str(self._program), *(f"-{name}={value}" for name, value in options.items())]
        told = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
        return Taken([ns / 1e9 for ns in told["each_ns"]], told["all_ns"] / 1e9)


def build_bbolt(folder: Path) -> Path | None:
    """The program, built with Debian's Go; None where that, or bbolt, is not installed."""
    if shutil.which("go") is None or not _BBOLT.is_dir():
        return None
    program = folder / "bbolt_peer"
    source = Path(__file__).with_name("bbolt_peer.go")
    environment = {
        **os.environ,
        "GO111MODULE": "off",
        "GOPATH": str(GO_PATH),
        "GOCACHE": str(folder / "go-cache"),
    }
    subprocess.run(["go", "build", "-o", program, source], env=environment, check=True)
    return program


def sizes(transition: Transition) -> dict[str, int]:
    """Bytes of what it writes: the record at first and at last, a journal line, the outcome."""
    first, last = transition
    assert first.record is not None and last.record is not None  # noqa: S101, PT018
    return {
        "intent": len(codec.encode(first.record)),
        "record": len(codec.encode(last.record)),
        "journal": len(json.dumps([str(value) for value in _fields(last.entries[0])])),
        "outcome": sum(len(codec.encode(outcome)) for outcome in last.outcomes),
    }


def _fields(entry: object) -> list[object]:
    return [getattr(entry, name) for name in getattr(type(entry), "__slots__", ())]
