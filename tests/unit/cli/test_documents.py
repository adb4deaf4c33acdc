from __future__ import annotations

import json
from typing import Any

import pytest
import yaml as pyyaml
from hypothesis import example, given
from hypothesis import strategies as st

from cubelet.cli.documents import rendered
from cubelet.cli.documents import yaml as to_yaml
from cubelet.cli.tables import age, escaped, table

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64)
    | st.floats(allow_nan=False, allow_infinity=False, min_value=-1e15, max_value=1e15)
    | st.text()
)
documents: st.SearchStrategy[Any] = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(documents)
@example([5e-324, 1e16, -1e-5, 0.1, -0.0])
@example({"\x7f\ufeff\u2028": "\x85😀"})
def test_yaml_reads_back_as_it_was(document: Any) -> None:
    assert pyyaml.safe_load(to_yaml(document)) == document


@given(documents)
def test_json_reads_back_as_it_was_and_commands_no_terminal(document: Any) -> None:
    text = rendered(document, "json")
    assert json.loads(text) == document
    assert all(one.isprintable() or one == "\n" for one in text)


def test_yaml_looks_as_people_write_it() -> None:
    document = [{"id": "a", "spec": {"args": ["sh", "no"], "env": {}, "n": None}}, 5, []]
    assert to_yaml(document).splitlines() == [
        '- "id": "a"',
        '  "spec":',
        '    "args":',
        '      - "sh"',
        '      - "no"',
        '    "env": {}',
        '    "n": null',
        "- 5",
        "- []",
    ]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-5, "0s"),
        (0, "0s"),
        (59.4, "59s"),
        (59.9, "59s"),
        (60, "1m"),
        (3599, "59m"),
        (3600, "1h"),
        (172_799, "47h"),
        (172_800, "2d"),
        (1e9, "11574d"),
    ],
)
def test_an_age_is_in_the_largest_unit_it_fills(seconds: float, text: str) -> None:
    assert age(seconds) == text


@given(st.text())
def test_an_escaped_text_is_one_printable_line(text: str) -> None:
    assert escaped(text).isprintable()


def test_columns_line_up_and_none_is_empty() -> None:
    assert table(("A", "LONG"), [("long", ""), ("x", "y")]).splitlines() == [
        "A     LONG",
        "long  -",
        "x     y",
    ]
