"""What is known of the request that the current task answers, for logs and metrics."""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass

from cubelet.engine.ports import Ids

_REQUEST_ID_CHARACTERS_MAX = 128


@dataclass(slots=True, kw_only=True)
class CallInfo:
    """One request. `outcome` is OK, CANCELLED or the name of a reason; a handler may set it."""

    method: str
    ids: Ids
    #: What its caller calls it; empty until somebody needs a name.
    name: str = ""
    outcome: str = "OK"
    message: str = ""

    @property
    def request_id(self) -> str:
        """Its name; where the caller gave none, one that is made now, mostly after the answer."""
        if not self.name:
            self.name = self.ids.new_id()
        return self.name


CURRENT: ContextVar[CallInfo | None] = ContextVar("cubelet_rpc_call", default=None)


def usable_id(text: str) -> bool:
    """Whether a caller's own request id can go into a header and a log as it is."""
    fits = 0 < len(text) <= _REQUEST_ID_CHARACTERS_MAX
    return fits and text.isascii() and text.isprintable()


def named(request_id: str) -> None:
    """Call the current request by the id that its body carries, if that is usable."""
    call = CURRENT.get()
    if call is not None and usable_id(request_id):
        call.name = request_id


def failed(outcome: str, message: str) -> None:
    """Count the current request as failed although gRPC will say OK."""
    call = CURRENT.get()
    if call is not None:
        call.outcome = outcome
        call.message = message
