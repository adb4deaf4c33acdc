"""The crash points of the code: enough of them, each with a name of its own, all to be found."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import cubelet
from tests.crash.census import census

POINTS_MIN = 60
ROOMS = {"app", "engine", "rpc", "runtime", "store"}
HOME = Path(cubelet.__file__).parent


def test_there_are_enough_of_them() -> None:
    assert len(census()) >= POINTS_MIN


def test_each_has_a_literal_name_of_its_own() -> None:
    assert [point for point in census() if not point.name] == []
    names = Counter(point.name for point in census())
    assert [name for name, count in names.items() if count > 1] == []


def test_names_say_the_room_the_thing_and_the_moment() -> None:
    for point in census():
        assert re.fullmatch(r"[a-z]+(\.[a-z_]+){2}", point.name), point
        assert point.name.split(".")[0] == point.room, point
    assert {point.room for point in census()} == ROOMS


def test_the_shipped_agent_reads_no_variable_for_them_and_arms_nothing() -> None:
    texts = {path: path.read_text() for path in HOME.rglob("*.py")}
    assert [path for path, text in texts.items() if "CUBELET_CRASHPOINTS" in text] == []
    arms = [path for path, text in texts.items() if re.search(r"crashpoints\.arm|import arm", text)]
    assert arms == []


def test_crash_list_names_them_all() -> None:
    listed = subprocess.run(
        [sys.executable, "scripts/crash", "--list"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert [line.split()[0] for line in listed.stdout.splitlines()] == [
        point.name for point in census()
    ]
