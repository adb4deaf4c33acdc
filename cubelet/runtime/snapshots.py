"""Snapshots of runtimes that have them: where they lie, and how a shim takes and restores them.

A snapshot is a folder of its own, `STATE_DIR/snapshots/ID`, and is there once it is whole: the shim
writes into a folder of the attempt, which is then renamed. So a checkpoint that comes to its end
long after it was given up writes into a folder that the next attempt has removed, and fails.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cubelet.core.bindings import INVALID_BASE, CommitPlan, Snapshot
from cubelet.core.faults import Code, CubeletError, Reason, error
from cubelet.core.ids import check_id, is_id
from cubelet.core.model import Call, Record
from cubelet.core.spec import Spec
from cubelet.crashpoints import reach
from cubelet.engine.ports import CallFailed, Committed
from cubelet.runtime.faults import failed, not_started
from cubelet.runtime.kinds import Kind
from cubelet.runtime.links import Shim
from cubelet.runtime.reach import Reach
from shimclient import ShimError, StatusError
from shimclient.errors import Code as ShimCode
from shimclient.fake.memory import Mode
from shimclient.fake.protocol import (
    SNAPSHOT_ANNOTATION,
    checkpoint_options,
    rollback_annotations,
    true_status,
)

#: Begins with a dot, so it is no snapshot's id.
_ATTEMPTS: Final = ".attempts"
_FOLDER_MODE: Final = 0o700


@dataclass(frozen=True, slots=True)
class Snapshots:
    """Takes and restores those of one kind of runtime."""

    kind: Kind
    folder: Path
    reach: Reach

    def check(self, spec: Spec) -> None:
        """Raise CubeletError where a spec's snapshot cannot be started from."""
        if SNAPSHOT_ANNOTATION in spec.annotations:
            message = f"annotation {SNAPSHOT_ANNOTATION} is the agent's own: name a snapshot"
            raise error(Code.INVALID_ARGUMENT, Reason.BAD_REQUEST, message)
        if not spec.snapshot:
            return
        self._require()
        _there(folder_of(self.folder, spec.snapshot), spec.snapshot)

    async def commit(self, record: Record, plan: CommitPlan) -> Committed:
        """Take a snapshot; see the port. Waits as long as the shim takes."""
        try:
            self._require()
            folder = folder_of(self.folder, plan.snapshot_id)
            base = folder_of(self.folder, plan.base_id) if plan.base_id else None
            if base is not None:
                _there(base, plan.base_id)
            attempt = await asyncio.to_thread(_begin, folder)
            try:
                reach("runtime.snapshot.begin")
                generation = await self._checkpoint(record, plan, base, attempt)
                reach("runtime.snapshot.taken")
                await asyncio.to_thread(_finish, attempt, folder)
                reach("runtime.snapshot.synced")
            finally:
                shutil.rmtree(attempt, ignore_errors=True)
        except CubeletError as refusal:
            raise CallFailed(refusal.fault, call=Call.ANSWERED) from refusal
        except OSError as trouble:
            raise not_started(trouble, f"cannot keep snapshot {plan.snapshot_id}") from trouble
        return Committed(path=str(folder), generation=generation)

    async def rollback(self, record: Record, snapshot: Snapshot) -> int:
        """Go back to a snapshot; see the port. Waits as long as the shim takes.

        The generation is counted on from the one before, not asked for after: what might restore
        the memory once more in between must not pass for this rollback.
        """

        async def go_back(shim: Shim) -> int:
            before = await true_status(shim.client, record.id, local_timeout_s=None)
            annotations = rollback_annotations(Path(snapshot.path))
            reach("runtime.rollback.begin")
            await shim.task.update(record.id, annotations=annotations, local_timeout_s=None)
            return before.generation + 1

        try:
            self._require()
            _there(Path(snapshot.path), snapshot.id)
        except CubeletError as refusal:
            raise CallFailed(refusal.fault, call=Call.ANSWERED) from refusal
        return await self.reach.call(record, "roll back", go_back)

    async def generation(self, shim: Shim, sandbox_id: str) -> int | None:
        """How often the sandbox's memory was restored; None where nobody counts, or answers.

        Asked after a status, it may be of a moment after that, and only be too new: then bindings
        are dropped a moment early, and none is kept too long.
        """
        if not self.kind.capabilities.snapshots:
            return None
        with suppress(ShimError):
            return (await true_status(shim.client, sandbox_id, local_timeout_s=None)).generation
        return None

    async def _checkpoint(
        self, record: Record, plan: CommitPlan, base: Path | None, attempt: Path
    ) -> int:
        """Let the shim write the image; the generation that it has compared with its own."""

        async def take(shim: Shim) -> int:
            generation = plan.generation
            if generation is None:
                now = await true_status(shim.client, record.id, local_timeout_s=None)
                generation = now.generation
            options = checkpoint_options(
                Mode(plan.mode), base=base, generation=generation, check_base=True
            )
            try:
                await shim.task.checkpoint(
                    record.id, str(attempt), options=options, local_timeout_s=None
                )
            except StatusError as refusal:
                if refusal.code == ShimCode.FAILED_PRECONDITION and plan.generation is not None:
                    raise _stale(record, plan) from refusal
                raise
            return generation

        return await self.reach.call(record, "commit", take)

    def _require(self) -> None:
        if not self.kind.capabilities.snapshots:
            message = f"runtime {self.kind.name} has no snapshots"
            raise error(Code.FAILED_PRECONDITION, Reason.SNAPSHOTS_UNSUPPORTED, message)


def folder_of(snapshots: Path, snapshot_id: str) -> Path:
    """The folder of one snapshot, there or not. Raises CubeletError for what is no id of one."""
    if snapshot_id == INVALID_BASE:
        message = f"{INVALID_BASE} marks an unusable base, it is no snapshot"
        raise error(Code.INVALID_ARGUMENT, Reason.BAD_REQUEST, message)
    return snapshots / check_id(snapshot_id, "snapshot")


def clear_attempts(snapshots: Path) -> None:
    """Remove what commits of an earlier agent have left half done; before this one makes any."""
    reach("runtime.attempts.begin")
    shutil.rmtree(snapshots / _ATTEMPTS, ignore_errors=True)


def kept(snapshots: Path) -> list[str]:
    """The ids of those that lie here, whole."""
    if not snapshots.is_dir():
        return []
    return sorted(entry.name for entry in snapshots.iterdir() if is_id(entry.name))


def discard(snapshots: Path, snapshot_id: str) -> None:
    """Remove one that nobody knows of; half of it never stands there. Raises OSError."""
    folder = folder_of(snapshots, snapshot_id)
    attempts = snapshots / _ATTEMPTS
    attempts.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)
    beside = Path(tempfile.mkdtemp(prefix=f"{snapshot_id}~", dir=attempts))
    with suppress(FileNotFoundError):
        folder.rename(beside)
    shutil.rmtree(beside)


def _begin(folder: Path) -> Path:
    """A folder for the image of one attempt; those of earlier attempts at this name are gone."""
    attempts = folder.parent / _ATTEMPTS
    attempts.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)
    prefix = f"{folder.name}~"  # No id has that character.
    for earlier in attempts.glob(f"{prefix}*"):
        shutil.rmtree(earlier, ignore_errors=True)
    return Path(tempfile.mkdtemp(prefix=prefix, dir=attempts))


def _finish(attempt: Path, folder: Path) -> None:
    """Make the attempt the snapshot, on the disk too. Raises OSError where it was overtaken."""
    if folder.exists():
        # Nobody has it in a catalog, as a name that is there is not committed to.
        shutil.rmtree(folder)
    attempt.rename(folder)
    reach("runtime.snapshot.renamed")
    for changed in (folder.parent, folder.parent.parent):
        descriptor = os.open(changed, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _there(folder: Path, snapshot_id: str) -> None:
    if not folder.is_dir():
        message = f"snapshot {snapshot_id} is not on the disk: there is no {folder}"
        raise error(Code.NOT_FOUND, Reason.SNAPSHOT_NOT_FOUND, message)


def _stale(record: Record, plan: CommitPlan) -> CallFailed:
    message = (
        f"snapshot {plan.base_id} is no base for sandbox {record.id} any more: its memory was"
        f" restored, or another snapshot of it was taken, since then"
    )
    return failed(Code.FAILED_PRECONDITION, Reason.STALE_BASE, message)
