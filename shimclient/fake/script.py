"""What a fake shim is told to do: read from files, the environment and annotations, and merged."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from shimclient.fake.actions import Term
from shimclient.fake.failpoints import (
    EVENTS_POINT,
    POINTS,
    FailpointError,
    parse_duration_ms,
    parse_failpoints,
)
from shimclient.skeleton.errors import SetupError

#: An environment variable and an annotation of config.json that hold a script in JSON.
SCRIPT_VARIABLE: Final = "SHIM_FAKE_SCRIPT"
SCRIPT_ANNOTATION: Final = "shimclient.fake/script"
_FILE_BYTES_MAX: Final = 1 << 20


class ScriptError(SetupError):
    """A script that cannot be read; the text says where it stands and what is wrong."""


@dataclass(frozen=True, slots=True)
class Script:
    """How a fake shim behaves.

    In JSON: ``{"times": {"pause": "50ms"}, "failpoints": "pause=1*hang", "processes": false,
    "silent_topics": ["/tasks/paused"], "write_every": "100ms"}``. All keys may be left out.
    """

    #: How long operations take, holding the VM; milliseconds by method in lower case.
    times_ms: Mapping[str, int] = field(default_factory=dict)
    failpoints: Mapping[str, tuple[Term, ...]] = field(default_factory=dict)
    #: Whether each task has a real, sleeping process, so that its pid is alive (containerd looks).
    processes: bool = True
    #: Topics that are never sent. CubeSandbox's shim, for one, sends no paused and resumed events.
    silent_topics: frozenset[str] = frozenset()
    #: How often a running VM writes a page of its memory; 0 for never.
    write_every_ms: int = 100


def load_script(bundle: Path, environ: Mapping[str, str]) -> Script:
    """The script for a bundle: its file, then the environment, then the annotation.

    Each is laid over the last. Raises ScriptError.
    """
    script = Script()
    for where, fields in _sources(bundle, environ):
        script = merged(script, fields, where=where)
    return script


def merged(script: Script, fields: object, *, where: str) -> Script:
    """The script with the fields of one source over it; raises ScriptError."""
    if not isinstance(fields, dict):
        raise ScriptError(f"{where}: expected an object, found {type(fields).__name__}")
    for key, value in fields.items():
        read = _FIELDS.get(key)
        if read is None:
            raise ScriptError(f"{where}: unknown key {key!r}; expected {', '.join(_FIELDS)}")
        try:
            script = read(script, value)
        except (FailpointError, TypeError) as error:
            raise ScriptError(f"{where}: {key}: {error}") from error
    return script


def parse_times(value: object) -> dict[str, int]:
    """Durations by operation, in ms; raises TypeError and FailpointError."""
    times: dict[str, int] = {}
    for name, text in _expect(dict, value).items():
        if name not in POINTS or name == EVENTS_POINT:
            raise FailpointError(f"no operation {name!r}; expected one of {', '.join(POINTS[:-1])}")
        times[name] = parse_duration_ms(_expect(str, text))
    return times


def annotation(bundle: Path, name: str) -> str:
    """An annotation of the bundle's config.json; "" where there is none. Raises ScriptError."""
    path = bundle / "config.json"
    text = _read(path)
    config = None if text is None else _parsed(json.loads, text, path)
    annotations = config.get("annotations") if isinstance(config, dict) else None
    value = annotations.get(name, "") if isinstance(annotations, dict) else ""
    if not isinstance(value, str):
        raise ScriptError(f"{path}: annotation {name}: expected a text")
    return value


def _sources(bundle: Path, environ: Mapping[str, str]) -> list[tuple[str, object]]:
    sources = []
    for name, parse in (("fake.json", json.loads), ("fake.toml", tomllib.loads)):
        if (text := _read(bundle / name)) is not None:
            sources.append((str(bundle / name), _parsed(parse, text, bundle / name)))
    if text := environ.get(SCRIPT_VARIABLE):
        sources.append((SCRIPT_VARIABLE, _parsed(json.loads, text, SCRIPT_VARIABLE)))
    if text := annotation(bundle, SCRIPT_ANNOTATION):
        sources.append((SCRIPT_ANNOTATION, _parsed(json.loads, text, SCRIPT_ANNOTATION)))
    return sources


def _parsed(parse: Any, text: str, where: object) -> object:
    try:
        return parse(text)
    except (ValueError, RecursionError) as error:
        raise ScriptError(f"{where}: {error}") from error


def _read(path: Path) -> str | None:
    try:
        if path.stat().st_size > _FILE_BYTES_MAX:
            raise ScriptError(f"{path} is over the limit of {_FILE_BYTES_MAX} bytes")
        return path.read_text()
    except FileNotFoundError:
        return None


def _expect(kind: type, value: Any) -> Any:
    if not isinstance(value, kind):
        raise TypeError(f"expected {kind.__name__}, found {type(value).__name__}")
    return value


def _topics(value: object) -> frozenset[str]:
    return frozenset(_expect(str, topic) for topic in _expect(list, value))


_FIELDS: Final = {
    "times": lambda script, value: replace(
        script, times_ms={**script.times_ms, **parse_times(value)}
    ),
    "failpoints": lambda script, value: replace(
        script, failpoints={**script.failpoints, **parse_failpoints(_expect(str, value))}
    ),
    "processes": lambda script, value: replace(script, processes=_expect(bool, value)),
    "silent_topics": lambda script, value: replace(script, silent_topics=_topics(value)),
    "write_every": lambda script, value: replace(
        script, write_every_ms=parse_duration_ms(_expect(str, value))
    ),
}
