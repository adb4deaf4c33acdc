"""A part of scripts/crash --corrupt, and proof that it would find what it looks for."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from cubelet.store import damage as looking
from scripts.crashes import damage
from scripts.crashes.shares import Share
from tests.power.damage import Verdict

#: They are long, and the machine may have other work.
pytestmark = pytest.mark.timeout(300)


def test_damaged_files_never_serve_anything_else() -> None:
    totals = damage.check(100, 1, Share(0, 1))
    assert totals.wrong == []
    assert totals.cuts.total() == totals.flips.total() == 100
    assert totals.cuts[Verdict.PUT_AWAY] > 40
    assert totals.flips[Verdict.NAMED] > 5


def sees_nothing(*_: object) -> str:
    return ""


BUGS: dict[str, tuple[object, str, Callable[..., object]]] = {
    "contents are not checked": (looking, "in_contents", sees_nothing),
    "lost ends of the log are not seen": (looking, "missing", sees_nothing),
}


@pytest.mark.parametrize("bug", BUGS)
def test_a_bug_is_found(monkeypatch: pytest.MonkeyPatch, bug: str) -> None:
    monkeypatch.setattr(*BUGS[bug])
    assert damage.check(60, 1, Share(0, 1)).wrong
