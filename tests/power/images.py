"""Images of a recorded life: all its power cuts, in order, each with the ways to lose something."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

from tests.power import python_os, sqlite_os
from tests.power.disk import Cut, Disk, Image
from tests.power.history import History
from tests.power.recorder import Op, Recorder
from tests.power.workload import Life, write_old
from tests.sim.dice import dice_of

#: Batches of changes in one life.
BATCHES = 60
#: Images of one power cut.
CASES = 4
_UNSURE = (Cut.TORN, Cut.REORDERED, Cut.SCATTERED)


@dataclass(frozen=True, slots=True)
class Recorded:
    """What a life did to the disk, and what it was told."""

    seed: int
    ops: list[Op]
    history: History
    #: How many of the operations laid out what was there before.
    before: int = 0

    @property
    def count(self) -> int:
        """How many cases there are."""
        return (len(self.ops) - self.before) * CASES


@dataclass(frozen=True, slots=True)
class Case:
    """One image: which operation was the last, and how the power went."""

    seed: int
    at: int
    cut: Cut
    image: Image


def record(seed: int, root: Path, *, batches: int = BATCHES) -> Recorded:
    """Live the life of this seed in a new directory; every other begins with an old file there."""
    root.mkdir(parents=True)
    if seed % 2 == 0:
        write_old(root / "store.db")
    recorder = Recorder(root)
    before = len(recorder.ops)
    life = Life(root.resolve() / "store.db", recorder, dice_of(seed))
    with _chance_of(seed), python_os.watched(recorder), sqlite_os.watched(recorder):
        asyncio.run(life.live(batches=batches))
    _check_all_was_seen(recorder, root)
    return Recorded(seed, recorder.ops, life.history, before)


def cases(recorded: Recorded, numbers: range) -> Iterator[Case]:
    """Those of these numbers, in order. Each operation has `CASES` of them.

    All lost that may be, nothing lost, and twice something by chance.
    """
    disk = Disk()
    for at, op in enumerate(recorded.ops, start=1):
        disk.apply(op)
        for which in range(CASES):
            number = (at - 1 - recorded.before) * CASES + which
            if number in numbers:
                dice = dice_of(f"{recorded.seed} {number}")
                cut = (Cut.LOST, Cut.KEPT)[which] if which < 2 else dice.choice(_UNSURE)
                yield Case(recorded.seed, at, cut, disk.image(cut, dice))


@contextmanager
def _chance_of(seed: int) -> Iterator[None]:
    """Let what is drawn below the store follow from the seed too."""
    dice = dice_of(seed)
    sqlite_os.seed_chance(seed or 1)
    try:
        with patch.object(secrets, "token_hex", lambda count: dice.randbytes(count).hex()):
            yield
    finally:
        sqlite_os.seed_chance(0)


def _check_all_was_seen(recorder: Recorder, root: Path) -> None:
    disk = Disk()
    for op in recorder.ops:
        disk.apply(op)
    seen = disk.image(Cut.KEPT, dice_of(0))
    real = {
        str(path.relative_to(root)): None if path.is_dir() else path.read_bytes()
        for path in root.rglob("*")
    }
    assert seen == real, f"something was written unseen: {sorted(seen)} is not {sorted(real)}"
