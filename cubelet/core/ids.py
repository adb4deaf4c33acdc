"""One grammar for ids and namespaces, checked at every door."""

from __future__ import annotations

import re

from cubelet.core.faults import Code, Reason, error

#: The grammar and the length that containerd has for its identifiers, so that a sandbox's id can be
#: a container's id, a directory's name and part of a label without any quoting.
ID_CHARACTERS_MAX = 76
#: Where a sandbox is whose caller names no namespace.
DEFAULT_NAMESPACE = "default"
_GRAMMAR = re.compile(r"[A-Za-z0-9]+(?:[._-][A-Za-z0-9]+)*")


def is_id(text: str) -> bool:
    """Whether it is one."""
    return len(text) <= ID_CHARACTERS_MAX and _GRAMMAR.fullmatch(text) is not None


def check_id(text: str, what: str) -> str:
    """Give `text` back if it is an id, else raise INVALID_ARGUMENT; `what` names it for people."""
    if is_id(text):
        return text
    message = (
        f"{what} {text[:100]!r} is not an id: use letters and digits, with single . _ - between "
        f"them, at most {ID_CHARACTERS_MAX} characters"
    )
    raise error(Code.INVALID_ARGUMENT, Reason.BAD_REQUEST, message)
