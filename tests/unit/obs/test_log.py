"""One JSON object per line, whoever wrote it and whatever a user put into it."""

from __future__ import annotations

import errno
import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from cubelet.obs.log import configure

HOSTILE = 'a\nb\r\nc\x00\x1b[31m\u2028\x85"} {"event":"forged\udcff'


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield io.StringIO()
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)


def test_no_text_of_a_user_begins_a_line(stream: io.StringIO) -> None:
    configure("info", stream)
    structlog.get_logger("cubelet").info("request", message=HOSTILE, **{HOSTILE: 1})
    logging.getLogger("asyncio").warning("from a library: %s", HOSTILE)
    ours, theirs = (json.loads(line) for line in stream.getvalue().splitlines())
    assert stream.getvalue().isascii()
    assert ours["message"] == HOSTILE
    assert (ours["event"], ours["level"], ours[HOSTILE]) == ("request", "info", 1)
    assert theirs["event"] == f"from a library: {HOSTILE}"
    assert theirs["level"] == "warning"
    assert ours["timestamp"].endswith("Z")


def test_a_traceback_stays_on_its_line(stream: io.StringIO) -> None:
    configure("info", stream)
    structlog.get_logger().error("bug", exc_info=ValueError(HOSTILE))
    (line,) = stream.getvalue().splitlines()
    assert "ValueError" in json.loads(line)["exception"]


def test_the_level_holds_for_both(stream: io.StringIO) -> None:
    configure("error", stream)
    structlog.get_logger().warning("quiet")
    logging.getLogger("grpc").warning("quiet")
    assert stream.getvalue() == ""


def test_a_level_that_is_none(stream: io.StringIO) -> None:
    with pytest.raises(ValueError, match="'loud' is not one of debug, info, warning, error"):
        configure("loud", stream)


class FullDisk(io.StringIO):
    """Has no room for a single character."""

    def write(self, text: str) -> int:
        raise OSError(errno.ENOSPC, "no space left on device")

    def flush(self) -> None:
        raise OSError(errno.ENOSPC, "no space left on device")


@pytest.mark.usefixtures("stream")
def test_a_log_that_cannot_be_written_stops_nobody(capfd: pytest.CaptureFixture[str]) -> None:
    full = FullDisk()
    configure("info", full)
    structlog.get_logger("cubelet").error("lost")
    logging.getLogger("asyncio").warning("lost too")
    assert (full.getvalue(), capfd.readouterr().err) == ("", "")
