"""How much is in a store, in words."""

from __future__ import annotations

from collections.abc import Mapping

_NAMES = {
    "sandboxes": ("sandbox", "sandboxes"),
    "snapshots": ("snapshot", "snapshots"),
    "operations": ("kept answer", "kept answers"),
    "journal": ("journal line", "journal lines"),
}


def counted(counts: Mapping[str, int]) -> str:
    """The rows of each table: 2 sandboxes, 0 snapshots, 1 kept answer, 12 journal lines."""
    found = [(counts.get(table, 0), names) for table, names in _NAMES.items()]
    return ", ".join(f"{count} {one if count == 1 else many}" for count, (one, many) in found)
