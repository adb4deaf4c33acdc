"""The command line of a shim v2 binary, as containerd writes it: pure parsing, clear errors.

containerd's shims use Go's flag package, so ``-id x`` and ``-id=x`` (and two dashes) are taken.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_TEXT_FLAGS = ("namespace", "id", "address", "publish-binary", "bundle")
_BARE_FLAGS = ("debug",)


class Action(enum.Enum):
    """What a shim binary is asked to do."""

    START = "start"
    DELETE = "delete"
    SERVE = "serve"


class UsageError(Exception):
    """A command line that is none of ours; the text says what is wrong and what is expected."""


@dataclass(frozen=True, slots=True)
class Flags:
    """One parsed command line; an empty text means that the flag was not given.

    `address` is the daemon's address for `start` and `delete`, and the socket to listen on for
    `serve`.
    """

    action: Action
    namespace: str = ""
    id: str = ""
    address: str = ""
    publish_binary: str = ""
    bundle: str = ""
    debug: bool = False


def parse_flags(arguments: Sequence[str]) -> Flags:
    """The meaning of the words after the program's name; raises UsageError."""
    texts: dict[str, str] = {}
    debug = False
    actions: list[str] = []
    words = iter(arguments)
    for word in words:
        if not word.startswith("-"):
            actions.append(word)
            continue
        name, has_value, value = word.lstrip("-").partition("=")
        if name in _BARE_FLAGS:
            debug = not has_value or _as_bool(name, value)
        elif name in _TEXT_FLAGS:
            texts[name] = value if has_value else _next_word(words, name)
        else:
            known = ", ".join(f"-{flag}" for flag in (*_TEXT_FLAGS, *_BARE_FLAGS))
            raise UsageError(f"unknown flag {word!r}; expected one of {known}")
    flags = Flags(
        action=_the_action(actions),
        namespace=texts.get("namespace", ""),
        id=texts.get("id", ""),
        address=texts.get("address", ""),
        publish_binary=texts.get("publish-binary", ""),
        bundle=texts.get("bundle", ""),
        debug=debug,
    )
    _check_needed(flags)
    return flags


def _next_word(words: Iterator[str], name: str) -> str:
    value = next(words, None)
    if value is None:
        raise UsageError(f"-{name} needs a value")
    return value


def _as_bool(name: str, value: str) -> bool:
    if value not in {"true", "false"}:
        raise UsageError(f"-{name} is true or false, not {value!r}")
    return value == "true"


def _the_action(actions: Sequence[str]) -> Action:
    expected = ", ".join(action.value for action in Action)
    if len(actions) != 1:
        raise UsageError(f"expected exactly one of {expected}, got {' '.join(actions) or 'none'}")
    try:
        return Action(actions[0])
    except ValueError:
        raise UsageError(f"unknown command {actions[0]!r}; expected one of {expected}") from None


def _check_needed(flags: Flags) -> None:
    """Refuse a command without what it cannot do without."""
    needed = ("address",) if flags.action is Action.SERVE else ("namespace", "id")
    for name in needed:
        if not getattr(flags, name):
            raise UsageError(f"{flags.action.value} needs -{name}")
