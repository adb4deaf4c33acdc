"""Sandboxes as people read them: documents with plain values, and rows of the list."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from cubelet.api.v1.sandboxes_pb2 import (
    Binding,
    Bindings,
    Condition,
    HttpHook,
    Sandbox,
    Spec,
    State,
)
from cubelet.cli.documents import rendered
from cubelet.cli.tables import age, table

HEADER = ("ID", "STATE", "RUNTIME", "CREATED", "PAUSED-SINCE", "PID", "EXIT", "CONDITIONS")
_PREFIX = "STATE_"
#: The states by the names that people use.
STATES = {name.removeprefix(_PREFIX): number for name, number in State.items() if number}
_NAMES: dict[int, str] = {number: name for name, number in STATES.items()}
#: What `ps` shows without --all.
LIVE = [STATES[name] for name in ("CREATED", "RUNNING", "PAUSING", "PAUSED", "RESUMING")]


def state_name(state: int) -> str:
    """The state's name; the number of one that only a newer agent knows."""
    return _NAMES.get(state, str(state))


def shown(sandbox: Sandbox, output: str, *, now_ns: int) -> str:
    """One sandbox in the form that -o asks for; as a table, a line as `ps` has it."""
    if output == "table":
        return table(HEADER, [row(sandbox, now_ns=now_ns)])
    return rendered(document(sandbox), output)


def row(sandbox: Sandbox, *, now_ns: int) -> Sequence[str]:
    """The cells below HEADER, each a single word."""
    return (
        sandbox.id,
        state_name(sandbox.state),
        sandbox.spec.runtime,
        _age(sandbox, "created_at", now_ns=now_ns),
        _age(sandbox, "paused_at", now_ns=now_ns),
        str(sandbox.pid or ""),
        str(sandbox.exit_code) if sandbox.HasField("exit_code") else sandbox.exit_reason,
        ",".join(condition.kind for condition in sandbox.conditions),
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
        "conditions": [condition_document(it) for it in sandbox.conditions],
        "operation": _operation(sandbox),
        "last_observation": _observation(sandbox),
        "bindings": _bindings(sandbox.bindings) if sandbox.HasField("bindings") else None,
        "labels": dict(sorted(sandbox.labels.items())),
        "spec": _spec(sandbox.spec),
    }


def condition_document(condition: Condition) -> dict[str, Any]:
    """A condition of a sandbox, or of the node."""
    return {
        "kind": condition.kind,
        "since": stamp_text(condition.since),
        "evidence": condition.evidence,
    }


def _operation(sandbox: Sandbox) -> dict[str, Any] | None:
    if not sandbox.HasField("operation"):
        return None
    it = sandbox.operation
    return {
        "id": it.id,
        "kind": it.kind,
        "started_at": stamp_text(it.started_at),
        "in_flight": it.in_flight,
        "failure": it.failure,
        "call": it.call,
        "caller_answered": it.caller_answered,
        "attempt": it.attempt,
        "snapshot_id": it.snapshot_id,
    }


def _observation(sandbox: Sandbox) -> dict[str, Any] | None:
    if not sandbox.HasField("last_observation"):
        return None
    it = sandbox.last_observation
    return {"evidence": it.evidence, "cause": it.cause, "at": stamp_text(it.at)}


def _bindings(bindings: Bindings) -> dict[str, Any]:
    return {
        "runtime": _binding(bindings.runtime) if bindings.HasField("runtime") else None,
        "restore": _binding(bindings.restore) if bindings.HasField("restore") else None,
        "generation": bindings.generation,
    }


def _binding(binding: Binding) -> dict[str, Any]:
    return {
        "snapshot_id": binding.snapshot_id,
        "attached_at": stamp_text(binding.attached_at),
        "unproven": binding.unproven,
    }


def _spec(spec: Spec) -> dict[str, Any]:
    return {
        "runtime": spec.runtime,
        "template": spec.template,
        "snapshot": spec.snapshot,
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
    return stamp_text(getattr(sandbox, field)) if sandbox.HasField(field) else None


def stamp_text(stamp: Timestamp) -> str:
    """The stamp as RFC 3339 has it, in UTC."""
    return stamp.ToJsonString()


def _age(sandbox: Sandbox, field: Any, *, now_ns: int) -> str:
    if not sandbox.HasField(field):
        return ""
    stamp: Timestamp = getattr(sandbox, field)
    return age((now_ns - stamp.ToNanoseconds()) / 1e9)
