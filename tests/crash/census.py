"""All crash points of the code, found in its syntax trees: a new one cannot be forgotten."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cubelet

_HOME = Path(cubelet.__file__).parent


@dataclass(frozen=True, slots=True, order=True)
class Point:
    """One call of `reach`: its name, "" where that is no literal, and where it stands."""

    name: str
    room: str
    file: str
    line: int


def census() -> list[Point]:
    """Every call of `crashpoints.reach`, by name."""
    return sorted(point for path in _HOME.rglob("*.py") for point in _points_in(path))


def names() -> frozenset[str]:
    """The names of all points."""
    return frozenset(point.name for point in census())


def _points_in(path: Path) -> Iterator[Point]:
    inside = path.relative_to(_HOME)
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and _called(node.func) == "reach":
            name = ""
            match node.args:
                case [ast.Constant(value=str(literal))] if not node.keywords:
                    name = literal
            yield Point(name, inside.with_suffix("").parts[0], str(inside), node.lineno)


def _called(function: ast.expr) -> str:
    match function:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
    return ""
