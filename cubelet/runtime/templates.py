"""Templates: the roots that sandboxes begin with, from a folder or from a tar of one.

A tar is unpacked once, into a cache entry that is named by what the file was (device, inode, size,
time of change), and moved into place whole: an entry that is there is complete. Entries are never
changed or removed while the agent lives, as overlays of running sandboxes may stand on them.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
import tarfile
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from cubelet.core.faults import Code, CubeletError, Reason, error
from cubelet.crashpoints import reach

_TAR_ENDINGS: Final = (".tar", ".tar.gz", ".tgz")
_UNFINISHED: Final = ".unpacking-"
_BYTES_MAX: Final = 64 << 30
_MEMBERS_MAX: Final = 2_000_000
#: These have a meaning in an overlay's options and cannot be said there.
_NOT_IN_OPTIONS: Final = frozenset(":,\\")


@dataclass(slots=True)
class Templates:
    """Finds templates by name in `folder`, or by absolute path; unpacks tars into `cache`."""

    folder: Path
    cache: Path
    _unpacking: dict[Path, asyncio.Task[Path]] = field(default_factory=dict)

    def find(self, name: str) -> Path:
        """The folder or tar that is meant. Raises INVALID_ARGUMENT where there is none."""
        if not name:
            raise _not_found("this runtime needs a template: name one, or give an absolute path")
        if not name.startswith("/") and ("/" in name or name in {".", ".."}):
            raise _not_found(
                f"template {name[:100]!r} is neither a plain name nor an absolute path"
            )
        base = self.folder / name
        for path in (base, *(base.with_name(base.name + ending) for ending in _TAR_ENDINGS)):
            if _is_template(path):
                return _usable(path.resolve())
        raise _not_found(
            f"no template {name[:200]!r}: neither a folder {base} nor a tar of it"
            f" ({', '.join(_TAR_ENDINGS)}) is there"
        )

    async def lower(self, name: str) -> Path:
        """The folder to lay below a sandbox; unpacks it where that has not been done.

        Those who want the same tar at the same time wait for one unpacking, which goes on if one
        of them is cancelled. Raises CubeletError.
        """
        path = self.find(name)
        if path.is_dir():
            return path
        entry = _usable(self.cache.resolve() / _entry_name(path))
        if entry.is_dir():
            return entry
        task = self._unpacking.get(entry)
        if task is None:
            task = asyncio.create_task(asyncio.to_thread(_unpack, path, entry))
            self._unpacking[entry] = task
            task.add_done_callback(lambda done: self._unpacked(entry, done))
        try:
            return await asyncio.shield(task)
        except (tarfile.TarError, OSError, EOFError) as failure:
            raise error(
                Code.INVALID_ARGUMENT,
                Reason.TEMPLATE_NOT_FOUND,
                f"template {path} cannot be unpacked: {failure}",
            ) from failure

    def _unpacked(self, entry: Path, task: asyncio.Task[Path]) -> None:
        del self._unpacking[entry]
        if not task.cancelled():
            task.exception()  # Those who wait have it; nobody may be left who does.


def clear_unfinished(cache: Path) -> None:
    """Remove what a killed agent has left half unpacked; before this one unpacks anything."""
    for beside in cache.glob(f"{_UNFINISHED}*"):
        reach("runtime.template.cleared")
        shutil.rmtree(beside, ignore_errors=True)


def _is_template(path: Path) -> bool:
    try:
        return path.is_dir() or (path.is_file() and path.name.endswith(_TAR_ENDINGS))
    except OSError:  # A name too long, or a folder that we may not look into.
        return False


def _usable(path: Path) -> Path:
    if _NOT_IN_OPTIONS & set(str(path)):
        raise _not_found(
            f"{path}: an overlay's path cannot have one of {' '.join(_NOT_IN_OPTIONS)}"
        )
    return path


def _entry_name(tar: Path) -> str:
    facts = tar.stat()
    identity = (facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns)
    digest = hashlib.sha256(repr(identity).encode()).hexdigest()[:16]
    return f"{tar.name.split('.')[0]}-{digest}"


def _unpack(tar: Path, entry: Path) -> Path:
    """Unpack beside, then rename: the entry is never there half."""
    entry.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    beside = Path(tempfile.mkdtemp(prefix=_UNFINISHED, dir=entry.parent))
    try:
        root = beside / "root"
        root.mkdir(mode=0o755)
        with tarfile.open(tar) as archive:
            # Debian 12's Python has no filters yet; newer ones must not put theirs in our place.
            archive.extraction_filter = _as_it_is
            reach("runtime.template.begin")
            archive.extractall(root, _Gate(root).admitted(archive))  # noqa: S202 - checked by the gate.
        reach("runtime.template.unpacked")
        root.rename(entry)
        reach("runtime.template.renamed")
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return entry


def _as_it_is(member: tarfile.TarInfo, _folder: str) -> tarfile.TarInfo:
    return member


class _Gate:
    """Lets members of a tar in, or refuses the whole tar.

    Unlike tarfile's own filters it keeps modes and owners, as a root without setuid programs and
    a writable /tmp is none; what it has in common with them is that nothing leaves the folder.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = str(folder)
        self._members = 0
        self._bytes = 0

    def admitted(self, archive: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
        """Each member when its turn has come, so that it is checked against what is there by then.

        Left out are devices, which the sandbox gets anew.
        """
        for member in archive:
            self._check(member)
            if not member.isdev() or member.isfifo():
                yield member

    def _check(self, member: tarfile.TarInfo) -> None:
        """Refuse a member that leads out; an absolute name is one in the folder."""
        self._members += 1
        self._bytes += member.size
        if self._members > _MEMBERS_MAX or self._bytes > _BYTES_MAX:
            raise tarfile.TarError(
                f"more than {_MEMBERS_MAX} files or {_BYTES_MAX} bytes: that is no template"
            )
        member.name = member.name.lstrip("/")
        _check_inside(self._folder, member.name)
        if member.islnk():
            _check_inside(self._folder, member.linkname)


def _check_inside(folder: str, name: str) -> None:
    """Follow what is unpacked already: a link in the tar may point anywhere, a write may not."""
    inside = os.path.realpath(folder)
    target = os.path.realpath(os.path.join(folder, name))  # noqa: PTH118 - strings, for speed
    if target != inside and not target.startswith(f"{inside}/"):
        raise tarfile.TarError(f"{name!r} leads out of the template")


def _not_found(message: str) -> CubeletError:
    return error(Code.INVALID_ARGUMENT, Reason.TEMPLATE_NOT_FOUND, message)
