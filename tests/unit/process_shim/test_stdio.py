"""The standard streams: what can be named, and that nothing stays open."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from cubelet.shims.process.errors import BundleError
from cubelet.shims.process.stdio import open_stdio


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_nothing_named_is_nothing() -> None:
    before = open_files()
    with open_stdio(stdin="", stdout="", stderr="") as stdio:
        for descriptor in (stdio.stdin, stdio.stdout, stdio.stderr):
            assert os.path.samestat(os.fstat(descriptor), Path(os.devnull).stat())
    assert open_files() == before


def test_files_are_appended_to_and_private(tmp_path: Path) -> None:
    out = tmp_path / "a b"
    for text in (b"one\n", b"two\n"):
        with open_stdio(stdin="", stdout=f"file://{tmp_path}/a%20b", stderr=str(out)) as stdio:
            os.write(stdio.stdout, text)
            os.write(stdio.stderr, text)
    assert out.read_text() == "one\none\ntwo\ntwo\n"
    assert stat.S_IMODE(out.stat().st_mode) == 0o600


def test_a_fifo_waits_for_nobody_and_its_end_comes_when_the_keeper_goes(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    with open_stdio(stdin=str(fifo), stdout=str(fifo), stderr="") as stdio:
        os.write(stdio.stdout, b"x")
        reader = os.dup(stdio.stdin)
    os.set_blocking(reader, False)
    assert os.read(reader, 9) == b"x"
    with pytest.raises(BlockingIOError):
        os.read(reader, 9)
    stdio.keeper.close()
    stdio.keeper.close()
    assert os.read(reader, 9) == b""
    os.close(reader)


@pytest.mark.parametrize(
    ("stdin", "stdout", "words"),
    [
        ("", "binary:///usr/bin/logger", "stdout: .* is neither a path nor file:///path"),
        ("", "file://host/path", "neither a path"),
        ("", "here", "'here' is not absolute"),
        ("/no/such/file", "", "/no/such/file: No such file"),
        ("", "/no/such/folder/file", "No such file"),
    ],
)
def test_what_cannot_be_opened_is_said_and_nothing_stays_open(
    stdin: str, stdout: str, words: str
) -> None:
    before = open_files()
    with (
        pytest.raises(BundleError, match=words),
        open_stdio(stdin=stdin, stdout=stdout, stderr=""),
    ):
        pass
    assert open_files() == before
