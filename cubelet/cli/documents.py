"""Answers as documents: plain dictionaries, printed as JSON or as block YAML."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import click

#: What a document consists of.
Value = None | bool | int | float | str | list[Any] | dict[str, Any]

FORMATS = ("table", "json", "yaml")


def output_option(default: str) -> Callable[[Any], Any]:
    """The option -o; the command gets it as `output`."""
    return click.option(
        "-o",
        "--output",
        type=click.Choice(FORMATS),
        default=default,
        show_default=True,
        help="The form of the answer.",
    )


def rendered(document: Value, output: str) -> str:
    """The document as JSON or YAML."""
    return yaml(document) if output == "yaml" else _json(document)


def _json(document: Value) -> str:
    """Indented; what a terminal would obey stands as an escape, as in ASCII-only JSON."""
    text = json.dumps(document, indent=2, ensure_ascii=False)
    return "".join(
        one if one.isprintable() or one == "\n" else json.dumps(one)[1:-1] for one in text
    )


def yaml(document: Value) -> str:
    """Block YAML 1.2. Every string is quoted, so that none can be taken for something else."""
    return "\n".join(_lines(document))


def _lines(value: Value) -> Iterator[str]:
    if isinstance(value, dict) and value:
        for key, below in value.items():
            yield from _entry(f"{_scalar(key)}:", below)
    elif isinstance(value, list) and value:
        for below in value:
            first, *rest = _lines(below)
            yield f"- {first}"
            yield from (f"  {line}" for line in rest)
    else:
        yield _scalar(value)


def _entry(label: str, value: Value) -> Iterator[str]:
    if isinstance(value, dict | list) and value:
        yield label
        yield from (f"  {line}" for line in _lines(value))
    else:
        yield f"{label} {_scalar(value)}"


def _scalar(value: Value) -> str:
    """JSON's form, which YAML reads too, but for characters that a YAML stream may not hold."""
    text = json.dumps(value, ensure_ascii=False)
    if isinstance(value, float) and "." not in text:
        return text.replace("e", ".0e")  # YAML 1.1 takes 1e-05 for a string.
    return "".join(one if one.isprintable() else f"\\U{ord(one):08x}" for one in text)
