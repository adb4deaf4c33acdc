"""Limits of memory and CPU for a tree, where this user can set any."""

from __future__ import annotations

import contextlib
import logging
from typing import TYPE_CHECKING, Final

from cubelet.shims.process.cgroups import Hierarchy, hierarchies, join_group, make_group

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from cubelet.shims.process.bundle import Limits

_PERIOD_US: Final = 100_000
_log = logging.getLogger(__name__)


def apply_limits(limits: Limits, *, name: str, pid: int) -> tuple[Path, ...]:
    """Put the process into groups with its limits; the groups that were made.

    A limit that cannot be set is a log line: this runtime runs everywhere, limits do not.
    """
    if not limits.any:
        return ()
    made = []
    left = set(_wanted(limits, version=1)) | set(_wanted(limits, version=2))
    for hierarchy in hierarchies():
        wanted = _wanted(limits, version=hierarchy.version)
        here = {key: files for key, files in wanted.items() if _is_home(hierarchy, key)}
        group = hierarchy.group(name)
        if here and _apply(group, here, pid):
            made.append(group)
            left -= here.keys()
    if left:
        _log.warning(
            "no limit of %s: no cgroup for it can be written here", ", ".join(sorted(left))
        )
    return tuple(made)


def _is_home(hierarchy: Hierarchy, controller: str) -> bool:
    if hierarchy.version == 1:
        return controller in hierarchy.controllers
    return controller in (hierarchy.own / "cgroup.subtree_control").read_text().split()


def _wanted(limits: Limits, *, version: int) -> dict[str, dict[str, str]]:
    """By controller: what to write into which file."""
    period = limits.cpu_period_us or _PERIOD_US
    memory, cpu = {}, {}
    if limits.memory_bytes is not None:
        file = "memory.limit_in_bytes" if version == 1 else "memory.max"
        memory[file] = str(limits.memory_bytes)
    if limits.cpu_quota_us is not None:
        if version == 1:
            cpu["cpu.cfs_period_us"] = str(period)
            cpu["cpu.cfs_quota_us"] = str(limits.cpu_quota_us)
        else:
            cpu["cpu.max"] = f"{limits.cpu_quota_us} {period}"
    if limits.cpu_shares is not None:
        if version == 1:
            cpu["cpu.shares"] = str(limits.cpu_shares)
        else:
            cpu["cpu.weight"] = str(_weight_of(limits.cpu_shares))
    return {name: files for name, files in (("memory", memory), ("cpu", cpu)) if files}


def _weight_of(shares: int) -> int:
    """Version 1's 2..262144 onto version 2's 1..10000, linearly, as runc and systemd do."""
    return 1 + (min(max(shares, 2), 262_144) - 2) * 9_999 // 262_142


def _apply(group: Path, wanted: dict[str, dict[str, str]], pid: int) -> bool:
    try:
        make_group(group, owner=pid)
        _hand_down(group.parent, wanted)
        for files in wanted.values():
            for file, value in files.items():
                (group / file).write_text(value)
        join_group(group, pid)
    except OSError as error:
        _log.info("no limits in %s: %s", group, error)
        with contextlib.suppress(OSError):  # It holds the freezer of version 2, perhaps.
            group.rmdir()
        return False
    return True


def _hand_down(parent: Path, controllers: Iterable[str]) -> None:
    """Version 2 has a controller's files only where the group above hands it down."""
    control = parent / "cgroup.subtree_control"
    if control.exists():
        control.write_text(" ".join(f"+{name}" for name in controllers))
