"""A small root for containers: a few programs of this host, with the libraries they need."""

from __future__ import annotations

import re
import shutil
import subprocess
import tarfile
from pathlib import Path

_PROGRAMS = ("sh", "sleep", "cat", "ls", "mkdir", "mv", "rm", "touch", "true", "false", "id")
_FOLDERS = ("proc", "sys", "dev", "tmp", "etc", "root", "run")
_LIBRARY = re.compile(r"(/\S+) \(0x")


def build_rootfs(folder: Path) -> Path:
    """Fill an empty or new folder with a root; the folder."""
    for name in _FOLDERS:
        (folder / name).mkdir(parents=True, exist_ok=True)
    (folder / "tmp").chmod(0o1777)
    for name in _PROGRAMS:
        program = Path(shutil.which(name) or name).resolve()
        _copy(program, folder / "bin" / name)
        for library in _libraries(program):
            _copy(Path(library), folder / library.lstrip("/"))
    return folder


def build_rootfs_tar(path: Path) -> Path:
    """The same as a tar, compressed where the name ends in gz; the tar."""
    folder = build_rootfs(path.parent / f".{path.name}.root")
    with tarfile.open(path, "w:gz" if path.name.endswith("gz") else "w") as archive:
        for entry in sorted(folder.iterdir()):
            archive.add(entry, arcname=entry.name)
    shutil.rmtree(folder)
    return path


def _libraries(program: Path) -> list[str]:
    listing = subprocess.run(["ldd", program], capture_output=True, text=True, check=False)
    return _LIBRARY.findall(listing.stdout)


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if not target.exists():
        shutil.copy(source, target)
