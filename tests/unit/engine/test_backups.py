"""What a backup is called."""

from __future__ import annotations

import pytest

from cubelet.core.faults import CubeletError
from cubelet.core.ids import check_id
from cubelet.core.model import Now
from cubelet.engine.backups import backup_name

NOW = Now(wall_ns=1_700_000_000_042_999_999, mono_s=1.0)


def test_a_name_of_the_caller_is_taken() -> None:
    assert backup_name("before-upgrade.2", NOW) == "before-upgrade.2"


def test_without_one_it_says_when_to_the_millisecond() -> None:
    name = backup_name("", NOW)
    assert name == "20231114T221320.042Z"
    assert check_id(name, "name") == name


@pytest.mark.parametrize("name", ["../up", "a/b", ".hidden", "a..b", "x" * 77, "é", " "])
def test_a_name_that_could_be_another_place_is_refused(name: str) -> None:
    with pytest.raises(CubeletError, match=r"backup name .* is not an id"):
        backup_name(name, NOW)
