"""Keys of requests: what makes a request the same one when it is sent again."""

from __future__ import annotations

import hashlib
import re

from google.protobuf.message import Message

from cubelet.core.model import Key
from cubelet.rpc.validate import bad

KEY_CHARACTERS_MAX = 128
_VISIBLE = re.compile(r"[!-~]*")


def native_key(method: str, request: Message, key: str) -> Key | None:
    """The key of a request that has it in `idempotency_key`, checked; None where it has none."""
    if len(key) > KEY_CHARACTERS_MAX or not _VISIBLE.fullmatch(key):
        rule = f"use at most {KEY_CHARACTERS_MAX} visible ASCII characters"
        raise bad("idempotency_key", key, rule)
    if not key:
        return None
    full_name = f"cubelet.api.v1.Sandboxes.{method}"
    return Key(value=key, digest=digest(full_name, request, without="idempotency_key"))


def compat_key(method: str, request: Message, request_id: str) -> Key | None:
    """The key that a requestID is, of whatever characters; None where it is empty.

    It is one for each method: a master may use one requestID for all that it does for one of its
    own callers, such as a Create and the Destroy that cleans up after it.
    """
    if not request_id:
        return None
    full_name = f"cubelet.services.cubebox.v1.CubeboxMgr.{method}"
    usable = len(request_id) <= KEY_CHARACTERS_MAX and _VISIBLE.fullmatch(request_id)
    name = request_id if usable else hashlib.sha256(request_id.encode()).hexdigest()
    return Key(value=f"{method}:{name}", digest=digest(full_name, request, without="requestID"))


def digest(method: str, request: Message, *, without: str) -> str:
    """SHA-256 in hex of the method's full name and all of the request but one field.

    Maps are sorted, so that equal requests have equal digests. Fields that only a newer caller
    knows count too.
    """
    rest = type(request)()
    rest.CopyFrom(request)
    rest.ClearField(without)
    content = rest.SerializeToString(deterministic=True)
    return hashlib.sha256(method.encode() + b"\0" + content).hexdigest()
