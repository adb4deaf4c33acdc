"""What the programmes about the store's file share: several processes, and a place for disks."""

from __future__ import annotations

import multiprocessing
import os
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

#: A file system in memory, where there is one: what is on it need not be synced.
_MEMORY = Path("/dev/shm")  # noqa: S108 - a directory of its own is made in it.


@dataclass(frozen=True, slots=True)
class Share:
    """Each `of`-th case, from the `first` on."""

    first: int
    of: int

    def has(self, number: int) -> bool:
        """Whether this case is one of it."""
        return number % self.of == self.first


def spread(work: Callable[[int, int, Share], T], count: int, seed: int) -> list[T]:
    """What each process makes of its share of so many cases, a process for each core."""
    jobs = os.cpu_count() or 1
    shares = [Share(first, jobs) for first in range(jobs)]
    # Watching SQLite changes the whole process, so each begins anew.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, mp_context=context) as pool:
        return list(pool.map(work, [count] * jobs, [seed] * jobs, shares))


@contextmanager
def scratch() -> Iterator[Path]:
    """A place for disks; gone afterwards."""
    with tempfile.TemporaryDirectory(dir=_MEMORY if _MEMORY.is_dir() else None) as name:
        yield Path(name).resolve()
