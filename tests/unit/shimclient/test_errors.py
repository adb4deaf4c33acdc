from __future__ import annotations

import pytest

from shimclient import errors
from shimclient.errors import ShimError, StatusError


@pytest.mark.parametrize(
    ("kind", "may_have_run"),
    [
        (errors.ConnectFailed, False),
        (errors.TransportLost, True),
        (errors.NotConnected, False),
        (errors.LocalDeadline, True),
        (errors.NeverSent, False),
        (errors.LocalLimit, False),
        (errors.ProtocolBroken, True),
        (errors.RequestTooLarge, False),
        (errors.ReplyTooLarge, True),
    ],
)
def test_each_error_says_whether_the_call_may_have_run(
    kind: type[ShimError], *, may_have_run: bool
) -> None:
    assert kind("text").may_have_run is may_have_run


@pytest.mark.parametrize(
    ("code", "may_have_run"), [(2, True), (4, True), (5, False), (8, True), (12, False)]
)
def test_each_status_says_whether_the_call_may_have_run(code: int, *, may_have_run: bool) -> None:
    error = errors.error_from_status(code, "text")
    assert isinstance(error, StatusError)
    assert error.answered
    assert error.may_have_run is may_have_run
