"""What happens at a crash point, and what is noted of it."""

from __future__ import annotations

import errno
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cubelet import crashpoints
from tests.crash.grammar import parse
from tests.crash.points import Points


@pytest.fixture(autouse=True)
def disarmed() -> Iterator[None]:
    yield
    crashpoints.arm(None)


def test_a_point_does_nothing_unless_it_is_armed() -> None:
    crashpoints.reach("a.b.c")
    crashpoints.arm(Points(parse("a.b.c=error")))
    with pytest.raises(OSError, match=r"a\.b\.c"):
        crashpoints.reach("a.b.c")
    crashpoints.arm(None)
    crashpoints.reach("a.b.c")


def test_terms_are_used_in_turn_and_the_point_is_off_then() -> None:
    points = Points(parse("a.b.c=2*off->1*error"))
    points("a.b.c")
    points("a.b.c")
    with pytest.raises(OSError, match=r"an armed crash point") as caught:
        points("a.b.c")
    assert caught.value.errno == errno.EIO
    points("a.b.c")


def test_a_term_without_a_count_is_used_for_ever() -> None:
    points = Points(parse("a.b.c=error"))
    for _ in range(3):
        with pytest.raises(OSError, match=r"an armed crash point"):
            points("a.b.c")


def test_an_error_of_the_disk_is_told_as_sqlite_does() -> None:
    points = Points(parse("a.b.c=ioerr"))
    with pytest.raises(sqlite3.OperationalError, match=r"a\.b\.c") as caught:
        points("a.b.c")
    assert caught.value.sqlite_errorcode == sqlite3.SQLITE_IOERR


def test_a_delay_holds_whoever_comes_there() -> None:
    points = Points(parse("a.b.c=1*delay(20ms)"))
    begin_s = time.monotonic()
    points("a.b.c")
    assert time.monotonic() - begin_s >= 0.02


def test_what_was_reached_is_noted_once(tmp_path: Path) -> None:
    points = Points(parse("d.e.f=error"), tmp_path / "reached")
    points("a.b.c")
    points("a.b.c")
    with pytest.raises(OSError, match=r"an armed crash point"):
        points("d.e.f")
    assert (tmp_path / "reached").read_text().splitlines() == ["a.b.c", "d.e.f"]


def test_kill_leaves_no_time_for_anything(tmp_path: Path) -> None:
    """Not from another thread either; but what was reached is on the disk."""
    program = (
        "import atexit, sys, threading, pathlib\n"
        "from tests.crash.grammar import parse\n"
        "from tests.crash.points import Points\n"
        "atexit.register(lambda: print('an end'))\n"
        "points = Points(parse('a.b.c=kill'), pathlib.Path(sys.argv[1]))\n"
        "thread = threading.Thread(target=points, args=['a.b.c'])\n"
        "thread.start(); thread.join(); print('lives on')\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "reached")],
        env={**os.environ, "PYTHONPATH": "."},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (ended.returncode, ended.stdout) == (-signal.SIGKILL, "")
    assert (tmp_path / "reached").read_text() == "a.b.c\n"
