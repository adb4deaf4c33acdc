"""Sandboxes as a store sees them: records of a usual size, and what their operations write."""

from __future__ import annotations

import hashlib
import itertools
import time
from collections.abc import Iterator

from cubelet.core.inputs import (
    CallReturned,
    CreateRequested,
    Input,
    PauseRequested,
    ResumeRequested,
)
from cubelet.core.machine import step
from cubelet.core.model import Call, Handle, Key, Now, OpKind, Record
from cubelet.core.policy import Policy
from cubelet.core.spec import Resources, Spec
from cubelet.engine.ports import Change

#: What a pause or resume commits: first that it is meant, not synced, then how it ended, synced.
Transition = tuple[Change, ...]

_POLICY = Policy()
_numbers = itertools.count()


def spec(runtime: str) -> Spec:
    """A sandbox that runs a small service, as callers ask for one."""
    return Spec(
        runtime=runtime,
        template="python-3.11-slim",
        args=("/usr/local/bin/python", "-m", "sandbox.server", "--port", "49983"),
        env={
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": "/home/user",
            "LANG": "C.UTF-8",
            "SANDBOX_TENANT": "tenant-00042",
        },
        cwd="/home/user",
        resources=Resources(cpu_milli=2000, memory_bytes=512 << 20),
        labels={"app": "agent", "tenant": "tenant-00042", "template": "python-3.11"},
    )


class Sandbox:
    """One sandbox that is paused and resumed in turn; the agent's own core decides what to write.

    Without a handle it gets one that stands for no process.
    """

    def __init__(
        self, number: int, *, runtime: str, handle: Handle | None = None, boot_id: str = ""
    ) -> None:
        self.id = f"bench-{number:05}"
        self._record: Record | None = None
        inputs = self._inputs_of_create(runtime, handle or _HANDLE, boot_id)
        self.created = tuple(self._decide(inputs))

    @property
    def record(self) -> Record:
        """What the store has of it after all that it was given."""
        assert self._record is not None  # noqa: S101  # It is created in the constructor.
        return self._record

    def transition(self) -> Transition:
        """The changes of its next pause or resume, each with a key, as callers send it."""
        paused = bool(self.record.paused_at_ns)
        return tuple(self._decide(self._inputs_of_resume() if paused else self._inputs_of_pause()))

    def _inputs_of_create(self, runtime: str, handle: Handle, boot_id: str) -> Iterator[Input]:
        yield CreateRequested(
            op_id=_id("op"),
            key=_key(),
            id=self.id,
            namespace="default",
            incarnation=_id("incarnation"),
            spec=spec(runtime),
            boot_id=boot_id,
        )
        yield self._returned(OpKind.CREATE, handle=handle)

    def _inputs_of_pause(self) -> Iterator[Input]:
        yield PauseRequested(op_id=_id("op"), key=_key())
        yield self._returned(OpKind.PAUSE)

    def _inputs_of_resume(self) -> Iterator[Input]:
        yield ResumeRequested(op_id=_id("op"), key=_key())
        yield self._returned(OpKind.RESUME)

    def _returned(self, kind: OpKind, *, handle: Handle | None = None) -> CallReturned:
        return CallReturned(epoch=self.record.epoch, kind=kind, call=Call.ANSWERED, handle=handle)

    def _decide(self, inputs: Iterator[Input]) -> Iterator[Change]:
        for happened in inputs:
            now = Now(wall_ns=time.time_ns(), mono_s=time.monotonic())
            decision = step(self._record, happened, now, _POLICY)
            self._record = decision.record
            yield Change(
                id=self.id,
                record=decision.record,
                entries=decision.entries,
                outcomes=decision.outcomes,
                synced=decision.synced,
            )


_HANDLE = Handle(
    address="unix:///run/containerd/s/5f2b7a0d3c9e4f1b8a6d5c4e3f2a1b0c9d8e7f6a5b4c3d2e1f0a9b8c7d6e5f4a",
    version=2,
    shim_pid=1_234_567,
    shim_start_ticks=987_654_321,
    pid=1_234_579,
    pid_start_ticks=987_654_399,
)


def _key() -> Key:
    return Key(value=_id("key"), digest=_id("digest"))


def _id(kind: str) -> str:
    """A fresh id of the length of a real one."""
    return hashlib.sha256(f"{kind} {next(_numbers)}".encode()).hexdigest()[:32]
