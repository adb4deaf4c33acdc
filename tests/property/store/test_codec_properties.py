from __future__ import annotations

import enum
import types
from collections.abc import Mapping
from dataclasses import fields
from typing import Any, Union, get_args, get_origin, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cubelet.core.bindings import Snapshot
from cubelet.core.model import Outcome, Record
from cubelet.store import codec

PLAIN: dict[type, st.SearchStrategy[Any]] = {
    str: st.text(max_size=8),
    int: st.integers(-(2**63), 2**64 - 1),
    float: st.floats(allow_nan=False, allow_infinity=False),
    bool: st.booleans(),
    types.NoneType: st.none(),
}


def values(kind: Any) -> st.SearchStrategy[Any]:
    """Any value of a type of the core, by its annotations: a new field is tried by itself."""
    inner = get_args(kind)
    if kind in PLAIN:
        return PLAIN[kind]
    if get_origin(kind) in (Union, types.UnionType):
        return st.one_of(*map(values, inner))
    if get_origin(kind) is tuple:
        return st.lists(values(inner[0]), max_size=2).map(tuple)
    if get_origin(kind) is Mapping:
        return st.dictionaries(values(inner[0]), values(inner[1]), max_size=2)
    if issubclass(kind, enum.Enum):
        return st.sampled_from(kind)
    hints = get_type_hints(kind)
    return st.builds(kind, **{one.name: values(hints[one.name]) for one in fields(kind)})


@given(values(Record))
def test_any_record_comes_back_exactly(record: Record) -> None:
    assert codec.decode(codec.encode(record), codec.RECORD) == record


@given(values(Outcome))
def test_any_outcome_comes_back_exactly(outcome: Outcome) -> None:
    assert codec.decode(codec.encode(outcome), codec.OUTCOME) == outcome


@given(values(Snapshot))
def test_any_snapshot_comes_back_exactly(snapshot: Snapshot) -> None:
    assert codec.decode(codec.encode(snapshot), codec.SNAPSHOT) == snapshot


@given(st.binary(max_size=40) | st.text(max_size=40))
def test_what_cannot_be_read_is_unreadable_and_nothing_else(data: bytes | str) -> None:
    with pytest.raises(codec.Unreadable) as caught:
        codec.decode(data, codec.RECORD)
    assert "\n" not in str(caught.value)
