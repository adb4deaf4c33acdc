"""What shims' answers and errors mean to the core: the whole tables."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest

import shimclient
from cubelet.core.evidence import Alive, Contradicted, Ended, Evidence, Gone, NoAnswer, Status
from cubelet.core.faults import Code, Reason
from cubelet.core.model import Call, Handle
from cubelet.runtime.answers import evidence_of, evidence_without_state, unless_contradicted
from cubelet.runtime.faults import call_failed
from cubelet.runtime.identity import identify
from shimclient.errors import ShimError
from shimclient.task import Status as TaskStatus
from shimclient.task import TaskState

STATE = TaskState("sb", "/b", 7, TaskStatus.RUNNING, 0, None)
DEAD = Handle(
    address="unix:///s", version=2, shim_pid=1, shim_start_ticks=1, pid=1, pid_start_ticks=1
)


def test_every_status_has_its_meaning() -> None:
    expected: dict[TaskStatus, Evidence | None] = {
        TaskStatus.UNKNOWN: None,
        TaskStatus.CREATED: Alive(status=Status.CREATED, pid=7),
        TaskStatus.RUNNING: Alive(status=Status.RUNNING, pid=7),
        TaskStatus.PAUSED: Alive(status=Status.PAUSED, pid=7),
        TaskStatus.PAUSING: Alive(status=Status.PAUSING, pid=7),
        TaskStatus.STOPPED: Ended(exit_code=3, finished_at_ns=9),
    }
    assert set(expected) == set(TaskStatus)
    for status, evidence in expected.items():
        said = replace(STATE, status=status, exit_status=3, exited_at_ns=9)
        seen = evidence_of(said)
        assert isinstance(seen, NoAnswer) if evidence is None else seen == evidence
        without_pid = evidence_of(replace(said, pid=0))
        assert isinstance(without_pid, Ended if status is TaskStatus.STOPPED else NoAnswer)


@pytest.mark.parametrize("status", Status)
@pytest.mark.parametrize("frozen", [True, False, None])
def test_a_shim_and_the_freezer_must_not_say_opposite_things(
    *, status: Status, frozen: bool | None
) -> None:
    opposite = {(Status.RUNNING, True), (Status.PAUSED, False)}
    alive = Alive(status=status, pid=7)
    expected: Evidence = alive
    if frozen is not None and (status, frozen) in opposite:
        expected = Contradicted(says=status, frozen=frozen, pid=7)
    assert unless_contradicted(alive, frozen=frozen) == expected


def living(*, shim: bool, init: bool) -> Handle:
    """A handle whose processes are this one, or none."""
    us = identify(os.getpid())
    assert us is not None
    return replace(
        DEAD,
        shim_pid=us.pid,
        pid=us.pid,
        shim_start_ticks=us.start_ticks if shim else 1,
        pid_start_ticks=us.start_ticks if init else 1,
    )


@pytest.mark.parametrize(
    ("error", "shim", "init", "gone"),
    [
        (shimclient.ConnectFailed("x"), False, False, True),
        (shimclient.ConnectFailed("x"), False, True, False),
        (shimclient.ConnectFailed("x"), True, False, False),
        (shimclient.TransportLost("x"), False, False, True),
        (shimclient.TransportLost("x"), False, True, False),
        (shimclient.TransportLost("x"), True, True, False),
        (shimclient.NotFound(5, "x"), True, False, True),
        (shimclient.NotFound(5, "x"), True, True, False),
        (shimclient.Refused(2, "x"), False, False, False),
        (shimclient.LocalDeadline("x"), False, False, False),
        (shimclient.ProtocolBroken("x"), False, False, False),
    ],
)
def test_gone_needs_the_end_of_shim_and_process(
    *, error: ShimError, shim: bool, init: bool, gone: bool
) -> None:
    evidence = evidence_without_state(error, living(shim=shim, init=init))
    assert isinstance(evidence, Gone if gone else NoAnswer)


@pytest.mark.parametrize(
    ("error", "code", "reason", "call"),
    [
        (
            shimclient.ConnectFailed("x"),
            Code.UNAVAILABLE,
            Reason.RUNTIME_UNREACHABLE,
            Call.ANSWERED,
        ),
        (
            shimclient.NotConnected("x"),
            Code.UNAVAILABLE,
            Reason.RUNTIME_UNREACHABLE,
            Call.ANSWERED,
        ),
        (shimclient.NeverSent("x"), Code.DEADLINE_EXCEEDED, Reason.RUNTIME_DEADLINE, Call.ANSWERED),
        (shimclient.LocalDeadline("x"), Code.DEADLINE_EXCEEDED, Reason.RUNTIME_DEADLINE, Call.LOST),
        (shimclient.LocalLimit("x"), Code.RESOURCE_EXHAUSTED, Reason.TOO_BUSY, Call.ANSWERED),
        (
            shimclient.RequestTooLarge("x"),
            Code.RESOURCE_EXHAUSTED,
            Reason.RUNTIME_REFUSED,
            Call.ANSWERED,
        ),
        (shimclient.TransportLost("x"), Code.UNAVAILABLE, Reason.RUNTIME_LOST, Call.LOST),
        (shimclient.ProtocolBroken("x"), Code.UNAVAILABLE, Reason.RUNTIME_LOST, Call.LOST),
        (shimclient.ReplyTooLarge("x"), Code.ABORTED, Reason.RUNTIME_REFUSED, Call.ANSWERED),
        (shimclient.Refused(2, "x"), Code.ABORTED, Reason.RUNTIME_REFUSED, Call.ANSWERED),
        (shimclient.NotFound(5, "x"), Code.ABORTED, Reason.RUNTIME_REFUSED, Call.ANSWERED),
        (shimclient.Unimplemented(12, "x"), Code.ABORTED, Reason.RUNTIME_REFUSED, Call.ANSWERED),
        (shimclient.RemoteDeadline(4, "x"), Code.ABORTED, Reason.RUNTIME_REFUSED, Call.ANSWERED),
        (
            shimclient.Exhausted(8, "x"),
            Code.RESOURCE_EXHAUSTED,
            Reason.RUNTIME_REFUSED,
            Call.ANSWERED,
        ),
    ],
)
def test_every_error_has_its_fault(
    error: ShimError, code: Code, reason: Reason, call: Call
) -> None:
    failure = call_failed(error, "cannot pause sb")
    assert (failure.fault.code, failure.fault.reason, failure.call) == (code, reason, call)


def test_what_a_shim_says_stays_on_one_short_line() -> None:
    failure = call_failed(shimclient.Refused(2, "a\n\x1b[31mb\r" + "c" * 9999), "cannot pause sb")
    assert failure.fault.message.startswith("cannot pause sb: a [31mb c")
    assert failure.fault.message.isprintable()
    assert len(failure.fault.message) < 600
