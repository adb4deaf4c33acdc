"""Records and entries for the store's tests: every optional part filled, every text awkward."""

from __future__ import annotations

from cubelet.core.bindings import Binding, Bindings, Mode, Snapshot
from cubelet.core.effects import Entry
from cubelet.core.evidence import Status
from cubelet.core.faults import Code, Fault, Reason
from cubelet.core.inputs import Cause
from cubelet.core.model import (
    Call,
    Divergence,
    Handle,
    Key,
    LastSeen,
    Now,
    Operation,
    OpKind,
    Outcome,
    Record,
    State,
)
from cubelet.core.spec import HttpHook, Resources, Spec
from cubelet.engine.ports import Change

AWKWARD = "'; DROP TABLE sandboxes; --\n\x00\x7fé😀\u2028\""
FAULT = Fault(code=Code.UNAVAILABLE, reason=Reason.RUNTIME_LOST, message=AWKWARD)


def record(sandbox_id: str = "box", *, revision: int = 1) -> Record:
    now = Now(wall_ns=1_700_000_000_000_000_001, mono_s=1234.5678901234567)
    return Record(
        id=sandbox_id,
        namespace="default",
        incarnation="0f" * 16,
        spec=Spec(
            runtime="process",
            template="t",
            snapshot="snap",
            args=("sh", "-c", AWKWARD),
            env={"A": AWKWARD, "": ""},
            cwd="/",
            resources=Resources(cpu_milli=500, memory_bytes=1 << 40),
            labels={"a": "b"},
            annotations={"c": AWKWARD},
            prestop=(HttpHook(host="h", port=80, headers={"x": "y"}, timeout_s=0.1),),
        ),
        epoch=2**40,
        revision=revision,
        handle=Handle(
            address="unix:///s",
            version=2,
            shim_pid=10,
            shim_start_ticks=2**50,
            pid=11,
            pid_start_ticks=12,
        ),
        created_at_ns=1,
        started_at_ns=2,
        paused_at_ns=3,
        finished_at_ns=0,
        exit_code=None,
        finished_mono_s=1e-9,
        opaque_restore=True,
        bindings=Bindings(
            runtime=Binding(snapshot_id="snap", attached_at_ns=2**62),
            restore=Binding(snapshot_id=AWKWARD, attached_at_ns=4, proven=False),
            generation=9,
        ),
        open=Operation(
            op_id="op",
            kind=OpKind.PAUSE,
            epoch=7,
            call=Call.ABANDONED,
            started_at=now,
            failure=FAULT,
            answered=True,
            contradicted_mono_s=0.1,
            attempt=3,
            keys=(Key(value="k", digest="d"), Key(value=AWKWARD, digest="")),
            snapshot_id="snap",
        ),
        delete_failure=FAULT,
        delete_keys=(Key(value="gone", digest="d"),),
        last_seen=LastSeen(evidence="shim says PAUSED", cause="rpc", at=now),
        unseen_since=now,
        diverged=Divergence(says=Status.RUNNING, frozen=True, since=now, seen=2, shown=True),
    )


def entry(sandbox_id: str = "box", *, revision: int = 1) -> Entry:
    return Entry(
        sandbox_id=sandbox_id,
        incarnation="0f" * 16,
        revision=revision,
        epoch=3,
        at_ns=1_700_000_000_000_000_001,
        cause=Cause.RPC,
        before=None if revision == 1 else State.RUNNING,
        after=State.PAUSING,
        op_id="op",
        detail=AWKWARD,
    )


def change(sandbox_id: str = "box", *, revision: int = 1) -> Change:
    return Change(
        id=sandbox_id,
        record=record(sandbox_id, revision=revision),
        entries=(entry(sandbox_id, revision=revision),),
    )


def outcome(key: str = "key", sandbox_id: str = "box", *, failed: bool = False) -> Outcome:
    return Outcome(
        sandbox_id=sandbox_id,
        key=Key(value=key, digest=AWKWARD),
        op_id="op",
        at_ns=1_700_000_000_000_000_001,
        fault=FAULT if failed else None,
        record=None if failed else record(sandbox_id),
    )


def snapshot(snapshot_id: str, *, created_at_ns: int = 1_700_000_000_000_000_001) -> Snapshot:
    return Snapshot(
        id=snapshot_id,
        runtime="fake",
        sandbox_id="box",
        incarnation="0f" * 16,
        path=AWKWARD,
        mode=Mode.INCREMENTAL,
        base_id="base",
        generation=7,
        created_at_ns=created_at_ns,
    )
