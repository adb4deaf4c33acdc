"""What is read out of /proc, from a /proc made of files and from the real one."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from cubelet.shims.process.identity import Identity, identify, parse_stat, send
from cubelet.shims.process.tree import Process, Walk, look, walk


def line(pid: int, *, state: str = "S", parent: int = 1, start: int = 7, name: str = "x") -> bytes:
    middle = " ".join(["0"] * 17)
    return f"{pid} ({name}) {state} {parent} {middle} {start} 0 0\n".encode()


def add(
    proc: Path,
    pid: int,
    *,
    parent: int = 1,
    threads: Mapping[int, str] | None = None,
    children: Sequence[int] | None = (),
) -> None:
    """One process; its children are listed by its last thread, or nowhere where None."""
    states = threads or {pid: "S"}
    folder = proc / str(pid)
    folder.mkdir()
    (folder / "stat").write_bytes(line(pid, state=next(iter(states.values())), parent=parent))
    for number, thread in enumerate(states, 1):
        task = folder / "task" / str(thread)
        task.mkdir(parents=True)
        (task / "stat").write_bytes(line(thread, state=states[thread]))
        if children is not None:
            mine = children if number == len(states) else ()
            (task / "children").write_text(" ".join(map(str, mine)))


@pytest.mark.parametrize("name", ["x", "a b", ") R 1 (", "new\nline", "((("])
def test_a_stat_line_is_read_whatever_the_command_is_called(name: str) -> None:
    stat = parse_stat(line(42, state="T", parent=7, start=123, name=name))
    assert (stat.identity, stat.state, stat.parent_pid) == (Identity(42, 123), "T", 7)


@pytest.mark.parametrize("lists", [True, False])
def test_a_tree_is_walked_parents_first(tmp_path: Path, lists: bool) -> None:  # noqa: FBT001
    def listed(*pids: int) -> Sequence[int] | None:
        return pids if lists else None

    add(tmp_path, 1, parent=0, children=listed(10, 99))
    add(tmp_path, 10, children=listed(11, 13))
    add(tmp_path, 99, children=listed())
    add(tmp_path, 13, parent=10, threads={13: "S", 14: "D"}, children=listed(12))
    add(tmp_path, 11, parent=10, children=listed())
    add(tmp_path, 12, parent=13, children=listed())

    found = walk(10, proc=tmp_path)

    assert found.whole
    assert [process.identity.pid for process in found.processes] == [11, 13, 12]
    assert [process.parent for process in found.processes] == [None, None, Identity(13, 7)]
    assert found.processes[1].threads in {"SD", "DS"}


def test_a_listed_process_that_has_gone_makes_the_walk_a_part(tmp_path: Path) -> None:
    add(tmp_path, 10, children=[11, 12])
    add(tmp_path, 11, parent=10)
    found = walk(10, proc=tmp_path)
    assert not found.whole
    assert not found.still
    assert [process.identity.pid for process in found.processes] == [11]


@pytest.mark.parametrize(
    ("threads", "dead", "stopped"),
    [
        ("S", False, False),
        ("T", False, True),
        ("tT", False, True),
        ("TS", False, False),
        ("Z", True, False),
        ("ZT", False, True),  # The first thread has ended, the second one stands still.
        ("ZR", False, False),
        ("ZX", True, False),
    ],
)
def test_a_process_is_what_all_its_threads_are(threads: str, dead: bool, stopped: bool) -> None:  # noqa: FBT001
    process = Process(Identity(1, 1), None, threads)
    assert (process.dead, process.stopped) == (dead, stopped)


def test_a_still_tree_may_hold_corpses() -> None:
    states = [Process(Identity(pid, 1), None, state) for pid, state in enumerate("TZt")]
    assert Walk(tuple(states), whole=True).still
    assert not Walk(tuple(states), whole=False).still


@pytest.fixture
def sleeper() -> Iterator[Identity]:
    with subprocess.Popen(["sleep", "60"]) as process:
        found = identify(process.pid)
        assert found is not None
        yield found
        process.kill()


def test_both_ways_through_the_real_proc_find_the_same(
    sleeper: Identity, monkeypatch: pytest.MonkeyPatch
) -> None:
    by_files = walk(os.getpid())
    monkeypatch.setattr("cubelet.shims.process.tree._kernel_lists_children", lambda *_: False)
    by_scan = walk(os.getpid())
    assert sleeper in by_files.identities
    assert by_files.identities == by_scan.identities


@pytest.mark.parametrize("handles", [True, False])
def test_only_the_very_process_is_signalled(
    sleeper: Identity,
    monkeypatch: pytest.MonkeyPatch,
    handles: bool,  # noqa: FBT001
) -> None:
    if not handles:
        monkeypatch.setattr(os, "pidfd_open", _no_handles)
    assert not send(Identity(sleeper.pid, sleeper.start_ticks + 1), signal.SIGKILL)
    process = look(sleeper.pid)
    assert process is not None
    assert not process.dead
    assert send(sleeper, signal.SIGKILL)
    os.waitid(os.P_PID, sleeper.pid, os.WEXITED | os.WNOWAIT)
    after = look(sleeper.pid)
    assert after is not None
    assert after.dead


def test_nobody_is_signalled_where_nobody_is() -> None:
    with subprocess.Popen(["true"]) as process:
        gone = identify(process.pid)
    assert gone is not None
    assert identify(gone.pid) != gone
    assert not send(gone, signal.SIGKILL)


def _no_handles(pid: int) -> int:
    raise OSError(38, f"no handle for {pid}: the kernel is too old")
