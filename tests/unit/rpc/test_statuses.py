"""From faults to statuses: every code, the details, and text that fits into a header."""

from __future__ import annotations

import pytest
from google.rpc import error_details_pb2, status_pb2  # type: ignore[import-untyped]

from cubelet.core.faults import Code, Fault, Reason
from cubelet.rpc.statuses import wire_status
from cubelet.rpc.texts import MESSAGE_BYTES_MAX, wire_text


@pytest.mark.parametrize("code", Code)
def test_every_code_keeps_its_name_and_its_details(code: Code) -> None:
    fault = Fault(code=code, reason=Reason.STALE_EPOCH, message="why")
    status = wire_status(fault, metadata={"request_id": "r"})
    assert status.code.name == code.name
    details = status_pb2.Status.FromString(status.details_bin)
    assert (details.code, details.message) == (status.code.value[0], "why")
    info, retry = error_details_pb2.ErrorInfo(), error_details_pb2.RetryInfo()
    assert details.details[0].Unpack(info)
    assert (info.reason, info.domain) == ("STALE_EPOCH", "cubelet")
    assert dict(info.metadata) == {"request_id": "r"}
    assert (len(details.details) == 2) is fault.retryable
    if fault.retryable:
        assert details.details[1].Unpack(retry)
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
