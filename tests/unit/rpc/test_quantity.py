"""Quantities, against what Kubernetes' own parser gives for the same text."""

from __future__ import annotations

from fractions import Fraction

import pytest

from cubelet.core.faults import CubeletError, Reason
from cubelet.rpc.compat.quantity import parse, positive

MILLI = Fraction(1, 1000)
BYTE = Fraction(1)


@pytest.mark.parametrize(
    ("text", "unit", "count"),
    [
        ("2", MILLI, 2000),
        ("500m", MILLI, 500),
        ("0.5", MILLI, 500),
        (".5", MILLI, 500),
        ("1.", MILLI, 1000),
        ("+1", MILLI, 1000),
        ("100u", MILLI, 1),
        ("1n", MILLI, 1),
        ("1100n", MILLI, 1),
        ("512Mi", BYTE, 512 << 20),
        ("1.5Gi", BYTE, 3 << 29),
        ("1Ki", BYTE, 1024),
        ("1k", BYTE, 1000),
        ("128e6", BYTE, 128_000_000),
        ("128E6", BYTE, 128_000_000),
        ("1E", BYTE, 10**18),
        ("1e+3", BYTE, 1000),
        ("1500e-3", BYTE, 2),
        ("1Ti", BYTE, 1 << 40),
        ("1Pi", BYTE, 1 << 50),
        ("1Ei", BYTE, 1 << 60),
        ("1M", BYTE, 10**6),
        ("1G", BYTE, 10**9),
        ("1T", BYTE, 10**12),
        ("1P", BYTE, 10**15),
        ("9223372036854775807", BYTE, (1 << 63) - 1),
    ],
)
def test_a_quantity(text: str, unit: Fraction, count: int) -> None:
    assert positive("cpu", text, unit=unit) == count


@pytest.mark.parametrize(
    "text",
    [
        *("", " 1", "1 ", "1\n", "one", "1Mib", "1mi", "1K", "1e", "1e1.5", "1e1k", "--1"),
        *("1,5", "\u0661", "0x10", "NaN", "inf", ".", "1e9999999999", "1" * 65, "1Mim"),
    ],
)
def test_what_is_none(text: str) -> None:
    with pytest.raises(CubeletError, match=r"^mem is .*Kubernetes quantity"):
        parse("mem", text)


@pytest.mark.parametrize("text", ["0", "-1", "0Mi", "-1n", "-.5"])
def test_nothing_is_no_limit_and_is_refused(text: str) -> None:
    with pytest.raises(CubeletError, match="above 0") as caught:
        positive("mem", text, unit=BYTE)
    assert caught.value.fault.reason is Reason.BAD_REQUEST


@pytest.mark.parametrize("text", ["9223372036854775808", "16Ei", "1e999"])
def test_more_than_the_wire_holds(text: str) -> None:
    with pytest.raises(CubeletError, match="smaller"):
        positive("mem", text, unit=BYTE)
