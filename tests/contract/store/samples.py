"""Records and entries for the store's tests: every optional part filled, every text awkward."""

from __future__ import annotations

from cubelet.core.effects import Entry
from cubelet.core.faults import Code, Fault, Reason
from cubelet.core.inputs import Cause
from cubelet.core.model import Call, Handle, LastSeen, Now, Operation, OpKind, Record, State
from cubelet.core.spec import HttpHook, Resources, Spec
from cubelet.engine.ports import Change

AWKWARD = "'; DROP TABLE sandboxes; --\n\x00\x7fé😀\u2028\""


def record(sandbox_id: str = "box", *, revision: int = 1) -> Record:
    fault = Fault(code=Code.UNAVAILABLE, reason=Reason.RUNTIME_LOST, message=AWKWARD)
    now = Now(wall_ns=1_700_000_000_000_000_001, mono_s=1234.5678901234567)
    return Record(
        id=sandbox_id,
        namespace="default",
        incarnation="0f" * 16,
        spec=Spec(
            runtime="process",
            template="t",
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
        open=Operation(
            op_id="op",
            kind=OpKind.PAUSE,
            epoch=7,
            call=Call.ABANDONED,
            started_at=now,
            failure=fault,
            answered=True,
            contradicted_mono_s=0.1,
        ),
        delete_failure=fault,
        last_seen=LastSeen(evidence="shim says PAUSED", cause="rpc", at=now),
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
