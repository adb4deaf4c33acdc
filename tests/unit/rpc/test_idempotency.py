"""Keys: which are allowed, and what makes two requests the same."""

from __future__ import annotations

import hashlib

import pytest

from cubelet.api.v1 import sandboxes_pb2 as native
from cubelet.core.faults import CubeletError
from cubelet.core.model import Key
from cubelet.rpc.idempotency import compat_key, native_key
from cubelet.services.cubebox.v1 import cubebox_pb2 as compat


def pause(**fields: object) -> native.PauseRequest:
    return native.PauseRequest(**{"id": "s1", "idempotency_key": "k", **fields})  # type: ignore[arg-type]


def key_of(request: native.PauseRequest, method: str = "Pause") -> Key:
    key = native_key(method, request, request.idempotency_key)
    assert key is not None
    return key


def test_the_digest_is_over_name_and_content() -> None:
    content = b"cubelet.api.v1.Sandboxes.Pause\0" + b"\x0a\x02s1"
    assert key_of(pause()) == Key(value="k", digest=hashlib.sha256(content).hexdigest())


def test_the_key_itself_does_not_count_and_the_request_stays_whole() -> None:
    first, second = pause(), pause(idempotency_key="other")
    assert key_of(first).digest == key_of(second).digest
    assert (first.idempotency_key, second.idempotency_key) == ("k", "other")


@pytest.mark.parametrize(
    "other",
    [pause(id="s2"), pause(expected_epoch=1), pause(expected_state=native.STATE_RUNNING)],
    ids=str,
)
def test_everything_else_counts(other: native.PauseRequest) -> None:
    assert key_of(other).digest != key_of(pause()).digest


def test_the_method_counts() -> None:
    assert key_of(pause(), "Resume").digest != key_of(pause()).digest


def test_fields_that_only_newer_callers_know_count() -> None:
    newer = pause()
    newer.MergeFromString(b"\xf8\x3f\x01")
    assert key_of(newer).digest != key_of(pause()).digest


def test_the_order_of_a_map_does_not_count() -> None:
    names = [f"label-{number}" for number in range(50)]
    digests = set()
    for order in (names, names[::-1]):
        request = native.CreateRequest(spec=native.Spec(labels=dict.fromkeys(order, "v")))
        key = native_key("Create", request, "k")
        assert key is not None
        digests.add(key.digest)
    assert len(digests) == 1


@pytest.mark.parametrize("text", ["k" * 128, "!~", "a/b:c"])
def test_keys_that_are_allowed(text: str) -> None:
    assert key_of(pause(idempotency_key=text)).value == text


@pytest.mark.parametrize("text", ["k" * 129, "a b", "a\n", "\x7f", "é"])
def test_keys_that_are_not(text: str) -> None:
    with pytest.raises(CubeletError, match=r"idempotency_key is .*: use at most 128 visible"):
        native_key("Pause", pause(), text)


def test_no_key_is_none() -> None:
    assert native_key("Pause", pause(), "") is None
    assert compat_key("Update", compat.UpdateCubeSandboxRequest(), "") is None


def update(request_id: str) -> Key:
    request = compat.UpdateCubeSandboxRequest(requestID=request_id, sandboxID="s1")
    key = compat_key("Update", request, request_id)
    assert key is not None
    return key


def test_a_request_id_is_a_key_of_its_method() -> None:
    content = b"cubelet.services.cubebox.v1.CubeboxMgr.Update\0" + b"\x12\x02s1"
    assert update("r-1") == Key(value="Update:r-1", digest=hashlib.sha256(content).hexdigest())
    destroy = compat.DestroyCubeSandboxRequest(requestID="r-1", sandboxID="s1")
    other = compat_key("Destroy", destroy, "r-1")
    assert other is not None
    assert (other.value, other.digest == update("r-1").digest) == ("Destroy:r-1", False)


@pytest.mark.parametrize("request_id", ["a b", "é", "x\n", "x" * 129])
def test_a_request_id_of_any_form_is_a_key(request_id: str) -> None:
    value = update(request_id).value
    assert value == f"Update:{hashlib.sha256(request_id.encode()).hexdigest()}"
    assert update(request_id) == update(request_id)
