"""How a tree can stand still, and which way works here."""

from __future__ import annotations

import enum
import logging
from typing import TYPE_CHECKING, Final, Protocol

from cubelet.shims.process.cgroups import Hierarchy, hierarchies, join_group, make_group
from cubelet.shims.process.errors import BundleError, FreezeFailed
from cubelet.shims.process.freeze_cgroup import V1, V2, CgroupFreezer
from cubelet.shims.process.freeze_signals import SignalFreezer

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_PROBE_S_MAX: Final = 1.0
_log = logging.getLogger(__name__)


class Freezer(Protocol):
    """Stops and continues all processes of one sandbox."""

    @property
    def name(self) -> str:
        """As in the annotation: cgroup_v1, cgroup_v2 or signals."""

    @property
    def groups(self) -> tuple[Path, ...]:
        """The cgroups that the whole tree is in, by it."""

    async def freeze(self) -> None:
        """Return when everything *provably* stands still; raise FreezeFailed with all going on."""

    async def thaw(self) -> None:
        """Let go what `freeze` stopped; harmless where nothing is."""

    async def remove(self) -> None:
        """Leave nothing behind, after the tree is dead."""


class Choice(enum.Enum):
    """What the annotation may ask for."""

    AUTO = "auto"
    CGROUP = "cgroup"
    CGROUP_V1 = "cgroup_v1"
    CGROUP_V2 = "cgroup_v2"
    SIGNALS = "signals"


_VERSIONS: Final = {
    Choice.AUTO: (1, 2),
    Choice.CGROUP: (1, 2),
    Choice.CGROUP_V1: (1,),
    Choice.CGROUP_V2: (2,),
    Choice.SIGNALS: (),
}


async def choose(choice: Choice, *, name: str, pid: int, root: int) -> Freezer:
    """The first way that works: really tried, with the first process `pid` before it starts.

    `name` is the group's name. Raises BundleError where a cgroup is asked for and none works, and
    CgroupBusy where a group of that name is in use: that is a clash of ids, never a reason for
    another way.
    """
    reasons = []
    for hierarchy in _with_freezer(hierarchies(), _VERSIONS[choice]):
        freezer = CgroupFreezer(
            hierarchy.group(name), V1 if hierarchy.version == 1 else V2, root=root
        )
        try:
            await _prove(freezer, pid, hierarchy)
        except (OSError, FreezeFailed) as error:
            reasons.append(f"{freezer.name}: {error}")
        else:
            return freezer
    if choice in {Choice.AUTO, Choice.SIGNALS}:
        if choice is Choice.AUTO:
            _log.info("no cgroup freezer here, stopping by signals: %s", "; ".join(reasons))
        return SignalFreezer(root)
    raise BundleError(
        f"freezer {choice.value!r} does not work here ({'; '.join(reasons) or 'none is mounted'});"
        " ask for 'signals' or 'auto'"
    )


def _with_freezer(found: Sequence[Hierarchy], versions: Sequence[int]) -> list[Hierarchy]:
    """Version 1 first, where both are mounted: then the host's own tools look there too."""
    usable = [h for h in found if h.version in versions]
    return sorted(
        (h for h in usable if h.version != 1 or "freezer" in h.controllers),
        key=lambda hierarchy: hierarchy.version,
    )


async def _prove(freezer: CgroupFreezer, pid: int, hierarchy: Hierarchy) -> None:
    """Move the process in, freeze, thaw; on failure it is moved back and the group is removed."""
    make_group(freezer.path, owner=pid)
    try:
        join_group(freezer.path, pid)
        await freezer.freeze(within_s=_PROBE_S_MAX)
        await freezer.thaw()
    except (OSError, FreezeFailed):
        join_group(hierarchy.own, pid)
        await freezer.remove()
        raise
