"""Tables of plain text: columns by position, two spaces between, nothing that a terminal obeys."""

from __future__ import annotations

from collections.abc import Sequence

_MINUTE_S, _HOUR_S, _DAY_S = 60, 3600, 86_400
_BYTE, _SHORT = 0xFF, 0xFFFF


def escaped(text: str) -> str:
    """The text with everything that is not printable as an escape, so that it stays one line."""
    return "".join(one if one.isprintable() else _escape(one) for one in text)


def _escape(character: str) -> str:
    number = ord(character)
    if number <= _BYTE:
        return f"\\x{number:02x}"
    return f"\\u{number:04x}" if number <= _SHORT else f"\\U{number:08x}"


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Header and rows in columns; an empty cell is a dash, so that every row has every column."""
    return "\n".join(columns([header, *([cell or "-" for cell in row] for row in rows)]))


def columns(rows: Sequence[Sequence[str]]) -> list[str]:
    """The lines of rows that all have the same number of cells, each column as wide as it needs."""
    cells = [[escaped(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in cells
    ]


def age(seconds: float) -> str:
    """How long ago, in the largest unit that it fills: 12s, 5m, 47h, 3d."""
    if seconds < _MINUTE_S:
        return f"{max(seconds, 0) // 1:.0f}s"
    if seconds < _HOUR_S:
        return f"{seconds // _MINUTE_S:.0f}m"
    if seconds < 2 * _DAY_S:
        return f"{seconds // _HOUR_S:.0f}h"
    return f"{seconds // _DAY_S:.0f}d"
