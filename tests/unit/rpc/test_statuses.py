"""From faults to statuses: every code, the details, and text that fits into a header."""

from __future__ import annotations

import pytest
from google.rpc import code_pb2, error_details_pb2  # type: ignore[import-untyped]

from cubelet.core.faults import Code, Fault, Reason
from cubelet.rpc.statuses import status_of
from cubelet.rpc.texts import MESSAGE_BYTES_MAX, wire_text


@pytest.mark.parametrize("code", Code)
def test_every_code_keeps_its_name_and_its_details(code: Code) -> None:
    fault = Fault(code=code, reason=Reason.STALE_EPOCH, message="why")
    status = status_of(fault, request_id="r")
    assert (code_pb2.Code.Name(status.code), status.message) == (code.name, "why")
    info, retry = error_details_pb2.ErrorInfo(), error_details_pb2.RetryInfo()
    assert status.details[0].Unpack(info)
    assert (info.reason, info.domain) == ("STALE_EPOCH", "cubelet")
    assert dict(info.metadata) == {"request_id": "r"}
    assert (len(status.details) == 2) is fault.retryable
    if fault.retryable:
        assert status.details[1].Unpack(retry)
        assert retry.retry_delay.seconds > 0


@pytest.mark.parametrize(
    "text", ["a" * 5000, "é" * 5000, "a" + "\U0001f600" * 3000, "\udcff" * 3000]
)
def test_long_text_is_cut_between_characters(text: str) -> None:
    cut = wire_text(text)
    assert len(cut.encode()) <= MESSAGE_BYTES_MAX
    assert cut.endswith("…")
    assert cut[:-1] in text.replace("\udcff", "?")


def test_text_that_fits_is_left_alone() -> None:
    assert wire_text("é" * (MESSAGE_BYTES_MAX // 2)) == "é" * (MESSAGE_BYTES_MAX // 2)
