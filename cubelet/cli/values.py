"""Kinds of values on the command line, each with an error that says what would do."""

from __future__ import annotations

import decimal
import re

import click

_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
_UNITS |= {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40}
_BYTES = re.compile(r"([0-9]+)(|[KMGT]i?)")
_INT64_MAX = 2**63 - 1
_MILLI = 1000


class KeyValue(click.ParamType[tuple[str, str]]):
    """KEY=VALUE; the value may be empty and may hold more of =."""

    name = "KEY=VALUE"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, str]:
        """The pair."""
        key, equals, rest = str(value).partition("=")
        if not key or not equals:
            self.fail(f"{value!r} is not KEY=VALUE", param, ctx)
        return key, rest


class Cpus(click.ParamType[int]):
    """A number of cores such as 0.5; comes as thousandths."""

    name = "CORES"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        """Thousandths of a core."""
        try:
            milli = decimal.Decimal(str(value)) * _MILLI
        except decimal.InvalidOperation:
            milli = decimal.Decimal("NaN")
        if not milli.is_finite() or milli != milli.to_integral_value() or not milli > 0:
            self.fail(f"{value!r} is no number of cores, such as 2 or 0.5", param, ctx)
        if milli > _INT64_MAX:
            self.fail(f"{value!r} is too many", param, ctx)
        return int(milli)


class Bytes(click.ParamType[int]):
    """An amount of memory such as 256Mi."""

    name = "BYTES"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        """Bytes."""
        match = _BYTES.fullmatch(str(value))
        if match is None:
            self.fail(f"{value!r} is no amount of memory, such as 256Mi or 2G", param, ctx)
        number = int(match[1]) * _UNITS[match[2]]
        if not 0 < number <= _INT64_MAX:
            self.fail(f"{value!r} is too little or too much", param, ctx)
        return number
