"""docs/configuration.md has every key, and each duration with the default that is so."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import msgspec
import pytest

from cubelet.config import Log, Orphans, Runtime, Server
from cubelet.core.policy import Policy

DOCS = Path(__file__).resolve().parents[3] / "docs" / "configuration.md"
ROWS = dict(re.findall(r"^\| `([a-z_.]+)` \| (.*?) \|", DOCS.read_text(), re.MULTILINE))


def test_every_key_is_there_and_no_other() -> None:
    sections: dict[str, type[msgspec.Struct]] = {
        "server": Server,
        "runtime": Runtime,
        "orphans": Orphans,
        "log": Log,
    }
    known = {
        f"{section}.{field.name}"
        for section, kind in sections.items()
        for field in msgspec.structs.fields(kind)
    }
    assert set(ROWS) == {"state_dir", *known, *(f"policy.{one.name}" for one in fields(Policy))}


@pytest.mark.parametrize("name", [field.name for field in fields(Policy)])
def test_a_duration_has_its_default(name: str) -> None:
    assert ROWS[f"policy.{name}"] == f"{getattr(Policy(), name):g}"
