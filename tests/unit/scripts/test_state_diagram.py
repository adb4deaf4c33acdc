"""The diagram in docs is the table of the core, and a difference is noticed."""

from __future__ import annotations

from pathlib import Path

import pytest

from cubelet.core.inputs import Cause
from cubelet.core.model import State
from cubelet.core.table import EDGES, REQUESTS
from scripts.diagrams import states

PAGE = Path(__file__).resolve().parents[3] / "docs" / "concepts.md"


def test_the_page_is_as_the_tables_say() -> None:
    assert states.rewritten(PAGE.read_text()) == PAGE.read_text()


def test_every_edge_and_every_rule_is_on_the_page() -> None:
    page = PAGE.read_text()
    assert page.count(" --> ") == len(EDGES) + 1
    names = {state.value for state in State}
    lines = [line.split(" | ") for line in page.splitlines() if line.startswith("| ")]
    rows = [cells for cells in lines if len(cells) == 5 and cells[0].removeprefix("| ") in names]
    assert len(rows) * 4 == len(REQUESTS)


def test_an_edge_more_or_less_changes_the_page(monkeypatch: pytest.MonkeyPatch) -> None:
    page = PAGE.read_text()
    more = {**EDGES, (State.EXITED, State.RUNNING): frozenset({Cause.EVENT})}
    monkeypatch.setattr(states, "EDGES", more)
    assert "    EXITED --> RUNNING: event\n" in states.rewritten(page)
    less = {edge: causes for edge, causes in EDGES.items() if edge[1] is not State.RESUMING}
    monkeypatch.setattr(states, "EDGES", less)
    assert states.rewritten(page) != page


@pytest.mark.parametrize("page", ["", "<!-- states: written by scripts/state_diagram -->"])
def test_a_page_without_its_markers_is_refused(page: str) -> None:
    with pytest.raises(states.NoMarkers, match="it needs the lines"):
        states.rewritten(page)
