"""What a store did to its directory, in order, with the numbers of files in the place of names."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from pathlib import Path

from tests.power.watch import Watch

#: The number of the directory that is watched. It is on the disk from the beginning.
ROOT = 0


@dataclass(frozen=True, slots=True)
class Write:
    """Bytes at a place of a file."""

    file: int
    at: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Resize:
    """A file is cut, or filled up with zeros."""

    file: int
    size: int


@dataclass(frozen=True, slots=True)
class Sync:
    """All that was done to a file, or to the names in a directory, is on the disk."""

    node: int


@dataclass(frozen=True, slots=True)
class Link:
    """A name for a file or directory, in the place of what had it."""

    directory: int
    name: str
    node: int
    is_dir: bool = False


@dataclass(frozen=True, slots=True)
class Unlink:
    """A name is gone."""

    directory: int
    name: str


@dataclass(frozen=True, slots=True)
class Rename:
    """A name is gone, and another is there."""

    source: int
    source_name: str
    target: int
    target_name: str
    node: int


Op = Write | Resize | Sync | Link | Unlink | Rename


class Recorder(Watch):
    """Keeps each operation. Files that are there at the beginning count as synced."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.ops: list[Op] = []
        self._numbers = itertools.count(ROOT + 1)
        self._names: dict[Path, int] = {self.root: ROOT}
        for path in sorted(self.root.rglob("*")):
            self._begin_with(path)

    def opened(self, path: str) -> int:
        known = self._names.get(Path(path))
        if known is None:
            known = self._name(path, is_dir=False)
        return known

    def wrote(self, file: int, at: int, data: bytes) -> None:
        self.ops.append(Write(file, at, data))

    def resized(self, file: int, size: int) -> None:
        self.ops.append(Resize(file, size))

    def synced(self, file: int) -> None:
        self.ops.append(Sync(file))

    def synced_dir(self, path: str) -> None:
        self.ops.append(Sync(self._names[Path(path)]))

    def made_dir(self, path: str) -> None:
        self._name(path, is_dir=True)

    def removed(self, path: str) -> None:
        del self._names[Path(path)]
        self.ops.append(Unlink(*self._place(path)))

    def linked(self, source: str, target: str) -> None:
        self._names[Path(target)] = self._names[Path(source)]
        self.ops.append(Link(*self._place(target), self._names[Path(source)]))

    def renamed(self, source: str, target: str) -> None:
        old, new = Path(source), Path(target)
        for path in list(self._names):
            if path.is_relative_to(old):
                self._names[new / path.relative_to(old)] = self._names.pop(path)
        self.ops.append(Rename(*self._place(source), *self._place(target), self._names[new]))

    def spoil(self, path: Path, at: int, data: bytes) -> None:
        """Change a file past the store, and let everything be on the disk."""
        with path.open("r+b") as file:
            file.seek(at)
            file.write(data)
        number = self._names[path]
        self.wrote(number, at, data)
        self.synced(number)
        self.synced_dir(str(path.parent))

    def _name(self, path: str, *, is_dir: bool) -> int:
        number = next(self._numbers)
        self._names[Path(path)] = number
        self.ops.append(Link(*self._place(path), number, is_dir))
        return number

    def _begin_with(self, path: Path) -> None:
        number = self._name(str(path), is_dir=path.is_dir())
        if path.is_file():
            self.ops.append(Write(number, 0, path.read_bytes()))
            self.ops.append(Sync(number))
        self.ops.append(Sync(self._names[path.parent]))

    def _place(self, path: str) -> tuple[int, str]:
        it = Path(path)
        return self._names[it.parent], it.name
