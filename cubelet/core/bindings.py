"""Which snapshot a sandbox's memory is an increment of, and what a commit may build on.

A binding names the snapshot that the runtime's dirty tracking counts from. A restore that no
catalog knows (a resume of a paused VM) makes both useless, and from then on they name the sentinel;
removing them instead would let the lookup fall through to the annotation of the create, which is a
wrong base. Names, sentinel and the choice of the base are those of CubeSandbox's Cubelet.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

#: The id in both bindings after an opaque restore. No snapshot may have it.
INVALID_BASE: Final = "invalid-runtime-restore-base"

RUNTIME_ID_KEY: Final = "cube.master.runtime.snapshot.id"
RUNTIME_AT_KEY: Final = "cube.master.runtime.snapshot.attached_at"
RESTORE_ID_KEY: Final = "cube.master.runtime.restore.snapshot.id"
RESTORE_AT_KEY: Final = "cube.master.runtime.restore.snapshot.attached_at"
TEMPLATE_ID_KEY: Final = "cube.master.appsnapshot.template.id"
#: Labels that only the agent writes.
LABEL_KEYS: Final = frozenset({RUNTIME_ID_KEY, RUNTIME_AT_KEY, RESTORE_ID_KEY, RESTORE_AT_KEY})


class Mode(enum.StrEnum):
    """What a commit writes: pages dirty since the last snapshot, since the last restore, or all."""

    SOFT_DIRTY = "soft-dirty"
    INCREMENTAL = "incremental"
    FULL = "full"


@dataclass(frozen=True, slots=True, kw_only=True)
class Binding:
    """One bound snapshot; "" where there is none. Stamp in wall nanoseconds.

    `proven` False: a commit of that name was begun and has not ended well. It is never a base, also
    if another sandbox's snapshot gets the name later.
    """

    snapshot_id: str = ""
    attached_at_ns: int = 0
    proven: bool = True

    @property
    def invalid(self) -> bool:
        """Whether it is the sentinel."""
        return self.snapshot_id == INVALID_BASE


@dataclass(frozen=True, slots=True, kw_only=True)
class Bindings:
    """Both bindings, and the runtime's restore generation at which they were made."""

    runtime: Binding = field(default_factory=Binding)
    restore: Binding = field(default_factory=Binding)
    generation: int = 0

    @property
    def invalid(self) -> bool:
        """Whether a restore has made both useless."""
        return self.runtime.invalid and self.restore.invalid

    def invalidated(self, at_ns: int) -> Bindings:
        """Both at the sentinel, since then; once for each restore that nobody has bound since."""
        if self.invalid:
            return self
        gone = Binding(snapshot_id=INVALID_BASE, attached_at_ns=at_ns)
        return replace(self, runtime=gone, restore=gone)


def bound_to(snapshot_id: str, *, at_ns: int, generation: int) -> Bindings:
    """Both at one snapshot: after a create from it, or a rollback to it."""
    binding = Binding(snapshot_id=snapshot_id, attached_at_ns=at_ns)
    return Bindings(runtime=binding, restore=binding, generation=generation)


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """One entry of the catalog: a snapshot that was taken and can be restored or built upon."""

    id: str
    #: "runtime_snapshot", as the compatible API names what CommitSandbox makes.
    kind: str = "runtime_snapshot"
    runtime: str
    sandbox_id: str
    incarnation: str
    #: Where the runtime keeps it; opaque to everybody else.
    path: str
    mode: Mode
    base_id: str = ""
    generation: int = 0
    created_at_ns: int


Catalog = Mapping[str, Snapshot]


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitPlan:
    """How to take a snapshot: its name, what to write, upon which base ("" for a full one).

    `generation` is that of the bindings: the runtime compares it with its own and refuses a commit
    upon a base of another generation. None for a full one, which has no base to be wrong about.
    """

    snapshot_id: str
    mode: Mode
    base_id: str = ""
    generation: int | None = None


def plan_commit(
    snapshot_id: str, bindings: Bindings, annotations: Mapping[str, str], catalog: Catalog
) -> CommitPlan:
    """The cheapest correct way: upon the last snapshot, else upon the last restore, else all."""
    created_from = annotations.get(RUNTIME_ID_KEY, "") or annotations.get(TEMPLATE_ID_KEY, "")
    restored_from = annotations.get(RESTORE_ID_KEY, "") or created_from
    for mode, binding, fallback in (
        (Mode.SOFT_DIRTY, bindings.runtime, created_from),
        (Mode.INCREMENTAL, bindings.restore, restored_from),
    ):
        base_id = binding.snapshot_id or fallback
        if binding.proven and base_id in catalog and base_id != INVALID_BASE:
            return CommitPlan(
                snapshot_id=snapshot_id,
                mode=mode,
                base_id=base_id,
                generation=bindings.generation,
            )
    return CommitPlan(snapshot_id=snapshot_id, mode=Mode.FULL)
