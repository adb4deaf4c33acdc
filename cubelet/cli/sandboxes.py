"""Sandboxes as people read them: documents with plain values, and rows of the list."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from cubelet.api.v1.sandboxes_pb2 import HttpHook, Sandbox, Spec, State
from cubelet.cli.tables import age

HEADER = ("ID", "STATE", "RUNTIME", "CREATED", "PAUSED-SINCE", "PID", "EXIT")
_PREFIX = "STATE_"
#: The states by the names that people use.
STATES = {name.removeprefix(_PREFIX): number for name, number in State.items() if number}
_NAMES: dict[int, str] = {number: name for name, number in STATES.items()}
#: What `ps` shows without --all.
LIVE = [STATES[name] for name in ("CREATED", "RUNNING", "PAUSING", "PAUSED", "RESUMING")]


def state_name(state: int) -> str:
    """The state's name; the number of one that only a newer agent knows."""
    return _NAMES.get(state, str(state))


def row(sandbox: Sandbox, *, now_ns: int) -> Sequence[str]:
    """The cells below HEADER."""
    return (
        sandbox.id,
        state_name(sandbox.state),
        sandbox.spec.runtime,
        _age(sandbox, "created_at", now_ns=now_ns),
        _age(sandbox, "paused_at", now_ns=now_ns),
        str(sandbox.pid or ""),
        str(sandbox.exit_code) if sandbox.HasField("exit_code") else sandbox.exit_reason,
    )


def document(sandbox: Sandbox) -> dict[str, Any]:
    """Everything, by the names that the API has; what is absent is null."""
    return {
        "id": sandbox.id,
        "namespace": sandbox.namespace,
        "state": state_name(sandbox.state),
        "pid": sandbox.pid or None,
        "epoch": sandbox.epoch,
        "revision": sandbox.revision,
        "created_at": _stamp(sandbox, "created_at"),
        "started_at": _stamp(sandbox, "started_at"),
        "paused_at": _stamp(sandbox, "paused_at"),
        "finished_at": _stamp(sandbox, "finished_at"),
        "exit_code": sandbox.exit_code if sandbox.HasField("exit_code") else None,
        "exit_reason": sandbox.exit_reason,
        "operation": _operation(sandbox),
        "last_observation": _observation(sandbox),
        "spec": _spec(sandbox.spec),
    }


def _operation(sandbox: Sandbox) -> dict[str, Any] | None:
    if not sandbox.HasField("operation"):
        return None
    it = sandbox.operation
    return {
        "id": it.id,
        "kind": it.kind,
        "started_at": _text(it.started_at),
        "in_flight": it.in_flight,
        "failure": it.failure,
    }


def _observation(sandbox: Sandbox) -> dict[str, Any] | None:
    if not sandbox.HasField("last_observation"):
        return None
    it = sandbox.last_observation
    return {"evidence": it.evidence, "cause": it.cause, "at": _text(it.at)}


def _spec(spec: Spec) -> dict[str, Any]:
    return {
        "runtime": spec.runtime,
        "template": spec.template,
        "args": list(spec.args),
        "env": dict(spec.env),
        "cwd": spec.cwd,
        "resources": {
            "cpu_milli": spec.resources.cpu_milli,
            "memory_bytes": spec.resources.memory_bytes,
        },
        "labels": dict(spec.labels),
        "annotations": dict(spec.annotations),
        "prestop": [_hook(hook) for hook in spec.prestop],
    }


def _hook(hook: HttpHook) -> dict[str, Any]:
    return {
        "host": hook.host,
        "port": hook.port,
        "path": hook.path,
        "headers": dict(hook.headers),
        "timeout_s": hook.timeout.ToNanoseconds() / 1e9,
    }


def _stamp(sandbox: Sandbox, field: Any) -> str | None:
    return _text(getattr(sandbox, field)) if sandbox.HasField(field) else None


def _text(stamp: Timestamp) -> str:
    return stamp.ToJsonString()


def _age(sandbox: Sandbox, field: Any, *, now_ns: int) -> str:
    if not sandbox.HasField(field):
        return ""
    stamp: Timestamp = getattr(sandbox, field)
    return age((now_ns - stamp.ToNanoseconds()) / 1e9)
