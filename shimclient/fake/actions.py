"""What a fake shim can be told to do wrong, as values. The words for them are in failpoints.py."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from shimclient.errors import Code
from shimclient.task import Status

DEFAULT_TEXT: Final = "failpoint"


@dataclass(frozen=True, slots=True)
class Off:
    """Nothing special."""


@dataclass(frozen=True, slots=True)
class Delay:
    """Wait first, holding nothing."""

    ms: int


@dataclass(frozen=True, slots=True)
class Late:
    """Take longer, holding the VM."""

    ms: int


@dataclass(frozen=True, slots=True)
class Hang:
    """Hold the VM for ever."""


@dataclass(frozen=True, slots=True)
class Error:
    """Answer an error; `after` the effect or in its place."""

    code: int = Code.UNKNOWN
    text: str = DEFAULT_TEXT
    after: bool = False


@dataclass(frozen=True, slots=True)
class Lost:
    """Have the effect, and never answer."""


@dataclass(frozen=True, slots=True)
class Crash:
    """End the process at once."""


@dataclass(frozen=True, slots=True)
class Lie:
    """Answer another status than the true one."""

    status: Status


@dataclass(frozen=True, slots=True)
class Drop:
    """Do not send the event."""


@dataclass(frozen=True, slots=True)
class Repeat:
    """Send the event so many times more."""

    times: int


@dataclass(frozen=True, slots=True)
class Reorder:
    """Send the event after so many later ones."""

    behind: int


Action = Off | Delay | Late | Hang | Error | Lost | Crash | Lie | Drop | Repeat | Reorder


@dataclass(frozen=True, slots=True)
class Term:
    """One action and how often it is used; None: for ever."""

    action: Action
    count: int | None = None


Points = Mapping[str, tuple[Term, ...]]
