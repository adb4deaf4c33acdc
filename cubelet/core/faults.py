"""Errors as values: a code, a stable reason, a sentence, and whether trying again can help."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Code(enum.StrEnum):
    """The kind of failure, by the names that gRPC gives them; rpc maps them one to one."""

    INVALID_ARGUMENT = "INVALID_ARGUMENT"
    NOT_FOUND = "NOT_FOUND"
    ALREADY_EXISTS = "ALREADY_EXISTS"
    FAILED_PRECONDITION = "FAILED_PRECONDITION"
    ABORTED = "ABORTED"
    RESOURCE_EXHAUSTED = "RESOURCE_EXHAUSTED"
    DEADLINE_EXCEEDED = "DEADLINE_EXCEEDED"
    UNAVAILABLE = "UNAVAILABLE"
    INTERNAL = "INTERNAL"


class Reason(enum.StrEnum):
    """Why, for programs. Stable: a client may decide by it, a message is for people only."""

    BAD_REQUEST = "BAD_REQUEST"
    UNKNOWN_RUNTIME = "UNKNOWN_RUNTIME"
    TEMPLATE_NOT_FOUND = "TEMPLATE_NOT_FOUND"
    SANDBOX_NOT_FOUND = "SANDBOX_NOT_FOUND"
    AMBIGUOUS_ID = "AMBIGUOUS_ID"
    SANDBOX_EXISTS = "SANDBOX_EXISTS"
    UNREADABLE_RECORD = "UNREADABLE_RECORD"
    STALE_EPOCH = "STALE_EPOCH"
    UNEXPECTED_STATE = "UNEXPECTED_STATE"
    KEY_REUSED = "KEY_REUSED"
    ALREADY_PAUSED = "ALREADY_PAUSED"
    ALREADY_RUNNING = "ALREADY_RUNNING"
    NOT_RUNNING = "NOT_RUNNING"
    CREATE_IN_PROGRESS = "CREATE_IN_PROGRESS"
    PAUSE_IN_PROGRESS = "PAUSE_IN_PROGRESS"
    RESUME_IN_PROGRESS = "RESUME_IN_PROGRESS"
    DELETE_IN_PROGRESS = "DELETE_IN_PROGRESS"
    REPAIR_IN_PROGRESS = "REPAIR_IN_PROGRESS"
    SNAPSHOT_IN_PROGRESS = "SNAPSHOT_IN_PROGRESS"
    SNAPSHOT_EXISTS = "SNAPSHOT_EXISTS"
    SNAPSHOT_NOT_FOUND = "SNAPSHOT_NOT_FOUND"
    SNAPSHOTS_UNSUPPORTED = "SNAPSHOTS_UNSUPPORTED"
    STALE_BASE = "STALE_BASE"
    DIVERGED = "DIVERGED"
    NOT_DIVERGED = "NOT_DIVERGED"
    HEAL_UNSUPPORTED = "HEAL_UNSUPPORTED"
    RUNTIME_DEADLINE = "RUNTIME_DEADLINE"
    RUNTIME_REFUSED = "RUNTIME_REFUSED"
    RUNTIME_LOST = "RUNTIME_LOST"
    RUNTIME_UNREACHABLE = "RUNTIME_UNREACHABLE"
    AGENT_RESTARTED = "AGENT_RESTARTED"
    DELETED_MEANWHILE = "DELETED_MEANWHILE"
    STORE_FAILED = "STORE_FAILED"
    BACKUP_EXISTS = "BACKUP_EXISTS"
    STATE_DIR_TAKEN = "STATE_DIR_TAKEN"
    STATE_DIR_UNUSABLE = "STATE_DIR_UNUSABLE"
    BAD_CONFIG = "BAD_CONFIG"
    TOO_BUSY = "TOO_BUSY"
    SHUTTING_DOWN = "SHUTTING_DOWN"
    BUG = "BUG"


#: Codes of failures that may go away by themselves.
_RETRYABLE = frozenset(
    {Code.ABORTED, Code.RESOURCE_EXHAUSTED, Code.DEADLINE_EXCEEDED, Code.UNAVAILABLE}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One failure. `message` is one line: what happened, to what, and what to do next."""

    code: Code
    reason: Reason
    message: str

    @property
    def retryable(self) -> bool:
        """Whether the same request can succeed later without anybody changing anything."""
        return self.code in _RETRYABLE


class CubeletError(Exception):
    """Carries a fault across a call; raised by the engine's public methods and by its ports."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.message)
        self.fault = fault


def error(code: Code, reason: Reason, message: str) -> CubeletError:
    """The exception for a fault, in one line."""
    return CubeletError(Fault(code=code, reason=reason, message=message))
