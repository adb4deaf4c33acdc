"""One look over the host: what lies under our roots, by sandbox.

Everything else is left alone, as it is a stranger's: other agents have another state directory, and
with it other folders, another control group, and shims that were told another address.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from cubelet.core.ids import is_id
from cubelet.runtime.cgroups import Cgroup
from cubelet.runtime.config import RuntimeConfig
from cubelet.runtime.launch import containerd_address
from cubelet.runtime.mounts import mounts_below
from cubelet.runtime.places import cgroups_of, place_of, sandboxes_in
from cubelet.runtime.processes import find_processes
from cubelet.runtime.sighting import Sighting
from shimclient.skeleton.errors import SetupError
from shimclient.skeleton.sockets import socket_dir


def survey(config: RuntimeConfig) -> dict[str, Sighting]:
    """Everything under our roots by its name, whoever owns it; blocks for disk and /proc.

    Takes some 20 ms for 1,000 sandboxes; `finish` takes ten times that.
    """
    look = _Look(config)
    look.at_folders()
    look.at_processes()
    look.at_mounts()
    look.at_groups()
    look.at_states()
    return dict(sorted(look.seen.items()))


def finish(config: RuntimeConfig, sightings: Iterable[Sighting]) -> None:
    """Add what is found sandbox by sandbox; blocks for the disk."""
    address = containerd_address(config)
    folder, there = _sockets()
    for one in sightings:
        one.finish(address, folder, there)


class _Look:
    """What was seen so far."""

    def __init__(self, config: RuntimeConfig) -> None:
        self.seen: dict[str, Sighting] = {}
        self._config = config
        self._sandboxes = sandboxes_in(config.state_dir)

    def at_folders(self) -> None:
        """Bundles."""
        for one in self._of_all(_folders_in(self._sandboxes)):
            one.bundle = True

    def at_processes(self) -> None:
        """Shims, and what they have started on the host itself."""
        shims, members = find_processes(self._sandboxes, containerd_address(self._config))
        for shim in shims:
            for one in self._of_all([shim.sandbox_id]):
                one.shims.append(shim)
        for member in members:
            for one in self._of_all([member.sandbox_id]):
                one.members.append(member)

    def at_mounts(self) -> None:
        """What is mounted in bundles; one on the folder of all of them is no sandbox's."""
        for point in mounts_below(self._sandboxes):
            name = point.removeprefix(f"{self._sandboxes}/").partition("/")[0]
            for one in self._of_all([name]):
                one.mounts.append(point)

    def at_groups(self) -> None:
        """Control groups of containers."""
        groups = cgroups_of(self._config.state_dir)
        for one in self._of_all(Cgroup(groups).below()):
            one.group = Cgroup(f"{groups}/{one.sandbox_id}")

    def at_states(self) -> None:
        """What runc keeps of containers."""
        for namespace in _folders_in(self._config.runc_root):
            folder = self._config.runc_root / namespace
            for one in self._of_all(_folders_in(folder)):
                one.states.append(folder / one.sandbox_id)

    def _of_all(self, names: Iterable[str]) -> Iterator[Sighting]:
        """Those of these names that are ids."""
        for name in filter(is_id, names):
            if name not in self.seen:
                self.seen[name] = Sighting(name, place_of(self._config.state_dir, name))
            yield self.seen[name]


def _folders_in(folder: Path) -> list[str]:
    """The names of the folders in there that are ids; what else lies there is not ours."""
    with suppress(FileNotFoundError), os.scandir(folder) as entries:
        return [
            entry.name
            for entry in entries
            if is_id(entry.name) and entry.is_dir(follow_symlinks=False)
        ]
    return []


def _sockets() -> tuple[Path, frozenset[str]]:
    """The folder in which shims have theirs, and the names in there."""
    try:
        folder = socket_dir("", os.environ)
        return folder, frozenset(os.listdir(folder))  # noqa: PTH208 - names are what is wanted.
    except (SetupError, OSError):
        return Path("/"), frozenset()
