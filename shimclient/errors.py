"""What can go wrong between us and a shim, as values that say what is known.

Each error answers the two questions a caller has: *may the call have run?* and *what kind of
failure is it?* Nothing here is told apart by its text. Who raises what:

* the client: ConnectFailed, TransportLost (NotConnected), LocalDeadline (NeverSent), LocalLimit,
  RequestTooLarge, ReplyTooLarge, ProtocolBroken;
* the peer, by the code of its answer: Refused, NotFound, Unimplemented, Exhausted, RemoteDeadline.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from collections.abc import Sequence


class Code(enum.IntEnum):
    """The status codes of google.rpc.Code that shims use."""

    OK = 0
    CANCELLED = 1
    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    OUT_OF_RANGE = 11
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14


class ShimError(Exception):
    """Base of all errors of a call to a shim; never raised itself."""

    #: Whether the shim may have carried the call out, or may still do so.
    may_have_run: ClassVar[bool] = True
    #: Whether the shim itself answered this call: it is over there, whatever it did.
    answered: ClassVar[bool] = False

    def __init__(self, message: str, *, code: int | None = None) -> None:
        """Keep the text for people, and the peer's status code where it sent one."""
        super().__init__(message)
        self.message = message
        self.code = code


class ConnectFailed(ShimError):
    """No connection could be made: nobody listens at the address. The call did not run."""

    may_have_run = False


class TransportLost(ShimError):
    """The connection ended before the answer came. The call may have run, or may still run."""


class NotConnected(TransportLost):
    """The connection had ended before the call was sent. The call did not run."""

    may_have_run = False


class LocalDeadline(ShimError):
    """We stopped waiting. The peer was told nothing and may still carry the call out."""


class NeverSent(LocalDeadline):
    """We stopped waiting while the peer still did not take our bytes. The call did not run."""

    may_have_run = False


class LocalLimit(ShimError):
    """A limit of our own client refused the call before a byte of it was sent."""

    may_have_run = False


class ProtocolBroken(ShimError):
    """The peer sent something that is no answer to this call."""


class TooLarge(ShimError):
    """A message is over the 4 MiB limit of a frame."""


class RequestTooLarge(TooLarge):
    """Our own request is over the limit: it was never sent, so the call did not run."""

    may_have_run = False


class ReplyTooLarge(TooLarge):
    """The peer's answer was over the limit and was skipped: the call has run."""

    answered = True


class StatusError(ShimError):
    """The peer answered with an error status. Also what a server's handler raises to answer one."""

    answered = True

    def __init__(self, code: int, message: str, details: Sequence[Any] = ()) -> None:
        """Take the code first: it is what a caller decides by.

        `details` are google.protobuf.Any messages; shims send none.
        """
        super().__init__(message, code=code)
        self.code: int = code
        self.details = details


class Refused(StatusError):
    """An error status without a class of its own; from containerd's shims mostly code 2."""


class RemoteDeadline(StatusError):
    """Code 4: the time that was sent along ran out at the peer."""


class NotFound(StatusError):
    """Code 5: the peer has no such task or process (any more)."""

    may_have_run = False


class Unimplemented(StatusError):
    """Code 12: the peer has no such service or method. The call did not run."""

    may_have_run = False


class Exhausted(StatusError, TooLarge):
    """Code 8: too large or too many. The peer skipped our request, or could not send its answer."""


_BY_CODE: dict[int, type[StatusError]] = {
    Code.DEADLINE_EXCEEDED: RemoteDeadline,
    Code.NOT_FOUND: NotFound,
    Code.RESOURCE_EXHAUSTED: Exhausted,
    Code.UNIMPLEMENTED: Unimplemented,
}


def error_from_status(code: int, message: str, details: Sequence[Any] = ()) -> StatusError:
    """The error for a status that a peer sent; Refused where the code has no class of its own."""
    return _BY_CODE.get(code, Refused)(code, message, details)


class BootstrapError(Exception):
    """A shim binary could not be started or gave an answer that is none; the text says which."""
