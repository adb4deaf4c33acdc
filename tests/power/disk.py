"""A disk that may lose its power: what is on it for certain, and what may or may not be.

The rules are those of POSIX, with nothing that a file system gives beyond them. What a file's last
sync covers is there. Of what was written later each sector of 512 bytes has the contents of some
time since, whichever, apart from the others; the size likewise. A name, new or gone, is certain
only once its directory was synced; until then each change of a name is there or not, apart from the
others, also before ones that came first. Three things are taken as given, as SQLite takes them: a
sector is written whole or not at all, with what a write does not touch left as it was ("powersafe
overwrite"); a rename within one directory is one change; and one into another directory does not
lose the file, though it may leave both names, since every file system with a journal promises that
and no program can do without.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from random import Random

from tests.power.recorder import ROOT, Link, Op, Rename, Resize, Sync, Unlink, Write

SECTOR_BYTES = 512
#: How often a file that has grown over a place that nothing reached has rubbish there, not zeros.
JUNK = 0.25

#: The files of a disk, and its directories (None), by their path.
Image = dict[str, bytes | None]
#: Whether the n-th write since the sync has reached a sector.
_Reached = Callable[[int, int], bool]


class Cut(enum.Enum):
    """What a power cut does with all that was not synced."""

    LOST = "lost"
    KEPT = "kept"
    #: All up to some write is there, and of that a part.
    TORN = "torn"
    #: Each write is there or not.
    REORDERED = "reordered"
    #: Each sector is from a time of its own.
    SCATTERED = "scattered"


@dataclass(slots=True)
class _File:
    synced: bytes = b""
    since: list[Write | Resize] = field(default_factory=list)


class Disk:
    """Takes operations in order; makes images of what a power cut now may leave."""

    def __init__(self) -> None:
        self._files: dict[int, _File] = {}
        self._dirs: dict[int, dict[str, int]] = {ROOT: {}}
        #: Changes of names that are not certain, oldest first.
        self._names: list[Link | Unlink | Rename] = []

    def apply(self, op: Op) -> None:
        """The next operation."""
        match op:
            case Write() | Resize():
                self._files[op.file].since.append(op)
            case Sync(node) if node in self._files:
                file = self._files[node]
                file.synced, file.since = _played(file, lambda *_: True), []
            case Sync(node):
                self._names = list(self._still_unsure(node))
            case Link():
                if op.is_dir:
                    self._dirs.setdefault(op.node, {})
                else:
                    self._files.setdefault(op.node, _File())
                self._names.append(op)
            case _:
                self._names.append(op)

    def image(self, cut: Cut, dice: Random) -> Image:
        """One of the many disks that such a cut may leave."""
        dirs = {node: dict(names) for node, names in self._dirs.items()}
        for op in self._names:
            there, gone = _falls(op, cut, dice)
            _rename_in(dirs, op, there=there, gone=gone)
        return dict(self._walk(dirs, ROOT, "", cut, dice))

    def _walk(
        self, dirs: dict[int, dict[str, int]], at: int, path: str, cut: Cut, dice: Random
    ) -> Iterator[tuple[str, bytes | None]]:
        for name, node in sorted(dirs[at].items()):
            if node in dirs:
                yield f"{path}{name}", None
                yield from self._walk(dirs, node, f"{path}{name}/", cut, dice)
            else:
                yield f"{path}{name}", _content(self._files[node], cut, dice)

    def _still_unsure(self, synced: int) -> Iterator[Link | Unlink | Rename]:
        """Make certain what was done to the names of one directory; what is left of the others."""
        for op in self._names:
            if not isinstance(op, Rename):
                if op.directory == synced:
                    _rename_in(self._dirs, op, there=True, gone=True)
                else:
                    yield op
            elif synced == op.source:
                _rename_in(self._dirs, op, there=True, gone=True)
            elif synced == op.target:
                _rename_in(self._dirs, op, there=True, gone=False)
                yield Unlink(op.source, op.source_name)
            else:
                yield op


def _rename_in(
    dirs: dict[int, dict[str, int]],
    op: Link | Unlink | Rename,
    *,
    there: bool,
    gone: bool,
) -> None:
    """Change the names: the new one, if it is `there`; the old one, if it is `gone`."""
    if isinstance(op, Link) and there:
        dirs[op.directory][op.name] = op.node
    if isinstance(op, Unlink) and gone:
        dirs[op.directory].pop(op.name, None)
    if isinstance(op, Rename) and there:
        dirs[op.target][op.target_name] = op.node
    if isinstance(op, Rename) and gone:
        dirs[op.source].pop(op.source_name, None)


def _falls(op: Link | Unlink | Rename, cut: Cut, dice: Random) -> tuple[bool, bool]:
    """Whether the new name is there, and the old one gone."""
    if cut in {Cut.LOST, Cut.KEPT}:
        return cut is Cut.KEPT, cut is Cut.KEPT
    there = dice.random() < 0.5
    if isinstance(op, Rename) and op.source != op.target:
        return there, there and dice.random() < 0.5
    return there, there


def _content(file: _File, cut: Cut, dice: Random) -> bytes:
    count = len(file.since)
    if not count or cut is Cut.LOST:
        return file.synced
    filler = dice.randbytes if dice.random() < JUNK and cut is not Cut.KEPT else bytes
    return _played(file, _reached(cut, count, dice), filler)


def _reached(cut: Cut, count: int, dice: Random) -> _Reached:
    if cut is Cut.KEPT:
        return lambda *_: True
    if cut is Cut.TORN:
        torn, part = dice.randrange(count), [dice.random() < 0.5 for _ in range(8)]
        return lambda nth, sector: nth < torn or (nth == torn and part[sector % 8])
    if cut is Cut.REORDERED:
        kept = [dice.random() < 0.5 for _ in range(count)]
        return lambda nth, _: kept[nth]
    until: dict[int, int] = {}
    return lambda nth, sector: nth < until.setdefault(sector, dice.randint(0, count))


def _played(file: _File, reached: _Reached, filler: Callable[[int], bytes] = bytes) -> bytes:
    """The file with those writes that have reached their sectors.

    `filler` makes what is read where a file has grown over a place that nothing was written to.
    """
    data = bytearray(file.synced)
    for nth, op in enumerate(file.since):
        if isinstance(op, Resize):
            if reached(nth, -1):
                data[op.size :] = filler(max(0, op.size - len(data)))
            continue
        for sector, begin, end in _sectors(op):
            if reached(nth, sector):
                if begin > len(data):
                    data += filler(begin - len(data))
                data[begin:end] = op.data[begin - op.at : end - op.at]
    return bytes(data)


def _sectors(op: Write) -> Iterator[tuple[int, int, int]]:
    """Each sector that the write touches: its number, and from where to where in the file."""
    end = op.at + len(op.data)
    for sector in range(op.at // SECTOR_BYTES, -(-end // SECTOR_BYTES)):
        begin = sector * SECTOR_BYTES
        yield sector, max(begin, op.at), min(begin + SECTOR_BYTES, end)
