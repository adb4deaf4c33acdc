"""The code and message of every reason, for each RPC of the compatible API. Data only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from cubelet.core.faults import Reason
from cubelet.services.errorcode.v1 import errorcode_pb2 as codes


@dataclass(frozen=True, slots=True)
class Answer:
    """`message` None: the fault's own, which for a failed call is the runtime's text.

    In a message, {id} stands for the sandbox's.
    """

    code: codes.ErrorCode.ValueType
    message: str | None = None


Table = Mapping[Reason, Answer]

NOT_FOUND = "key not found"
_INVALID = Answer(codes.InvalidParamFormat)
_NO_SANDBOX = Answer(codes.InvalidParamFormat, NOT_FOUND)
_PAUSED = Answer(codes.TaskStateInvalid, "sandbox is already paused")
_NOT_RUNNING = Answer(codes.TaskStateInvalid, "sandbox is not running")
_NOT_COMMITTABLE = Answer(codes.PreConditionFailed, "sandbox {id} is not running")
_UNMET = Answer(codes.PreConditionFailed)
_BUSY = Answer(codes.ConcurrentLimited)
_GONE = Answer(codes.Success)


def _not_resumable(state: str) -> Answer:
    return Answer(codes.TaskResumeFailed, f"sandbox not resumable in state=CONTAINER_{state}")


def _table(failed: codes.ErrorCode.ValueType, special: Table) -> Table:
    """Every reason's answer: what has no line of its own is a failure of the operation."""
    general = {
        Reason.BAD_REQUEST: _INVALID,
        Reason.SANDBOX_NOT_FOUND: _NO_SANDBOX,
        Reason.AMBIGUOUS_ID: _NO_SANDBOX,
        Reason.KEY_REUSED: _INVALID,
        Reason.BUG: Answer(codes.Unknown),
    }
    return dict.fromkeys(Reason, Answer(failed)) | general | dict(special)


#: A resume that is still open is no state in which a master may take the pause for done.
PAUSE = _table(
    codes.TaskPauseFailed,
    {
        Reason.ALREADY_PAUSED: _PAUSED,
        Reason.PAUSE_IN_PROGRESS: _PAUSED,
        Reason.NOT_RUNNING: _NOT_RUNNING,
        Reason.DELETE_IN_PROGRESS: _NOT_RUNNING,
    },
)
RESUME = _table(
    codes.TaskResumeFailed,
    {
        Reason.ALREADY_RUNNING: Answer(codes.TaskStateInvalid, "sandbox already running"),
        Reason.CREATE_IN_PROGRESS: _not_resumable("CREATED"),
        Reason.PAUSE_IN_PROGRESS: _not_resumable("PAUSING"),
        Reason.NOT_RUNNING: _not_resumable("EXITED"),
        Reason.DELETE_IN_PROGRESS: _not_resumable("EXITED"),
    },
)
#: The template is what the request calls an image, so one that is missing is an image that cannot
#: be had. 130498 would say that a snapshot is missing, which nobody asked for.
CREATE = _table(
    codes.CreateContainerFailed,
    {
        Reason.UNKNOWN_RUNTIME: _INVALID,
        Reason.TEMPLATE_NOT_FOUND: Answer(codes.PullImageFailed),
        Reason.SANDBOX_EXISTS: Answer(codes.Conflict),
        Reason.SNAPSHOT_NOT_FOUND: Answer(codes.AppSnapshotNotExist),
        Reason.SNAPSHOTS_UNSUPPORTED: _UNMET,
        Reason.TOO_BUSY: _BUSY,
    },
)
#: Who deletes what is gone has what they wanted: a retry whose first try worked is a success.
DESTROY = _table(
    codes.RemoveContainerFailed,
    {
        Reason.SANDBOX_NOT_FOUND: _GONE,
        Reason.DELETED_MEANWHILE: _GONE,
        Reason.TOO_BUSY: _BUSY,
    },
)
_SNAPSHOTS: Table = {
    Reason.SNAPSHOT_IN_PROGRESS: Answer(codes.Conflict),
    Reason.SNAPSHOT_EXISTS: Answer(codes.Conflict),
    Reason.SNAPSHOT_NOT_FOUND: _UNMET,
    Reason.SNAPSHOTS_UNSUPPORTED: _UNMET,
    Reason.STALE_BASE: _UNMET,
    Reason.DIVERGED: _UNMET,
    Reason.UNEXPECTED_STATE: _UNMET,
    Reason.TOO_BUSY: _BUSY,
}
#: Only what runs can be committed; which other state it is in makes no difference.
COMMIT = _table(
    codes.GrpcError,
    {
        **_SNAPSHOTS,
        Reason.NOT_RUNNING: _NOT_COMMITTABLE,
        Reason.CREATE_IN_PROGRESS: _NOT_COMMITTABLE,
        Reason.PAUSE_IN_PROGRESS: _NOT_COMMITTABLE,
        Reason.RESUME_IN_PROGRESS: _NOT_COMMITTABLE,
        Reason.DELETE_IN_PROGRESS: _NOT_COMMITTABLE,
    },
)
#: What has ended cannot go back; what is paused or between two states can, later.
ROLLBACK = _table(
    codes.GrpcError,
    {
        **_SNAPSHOTS,
        Reason.NOT_RUNNING: _NOT_RUNNING,
        Reason.DELETE_IN_PROGRESS: _NOT_RUNNING,
        Reason.CREATE_IN_PROGRESS: _UNMET,
        Reason.PAUSE_IN_PROGRESS: _UNMET,
        Reason.RESUME_IN_PROGRESS: _UNMET,
    },
)
CATALOG = _table(codes.GrpcError, _SNAPSHOTS)
