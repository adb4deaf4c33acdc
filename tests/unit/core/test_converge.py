"""The two converge rules, row by row."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cubelet.core.converge import Judgement, Verdict, converge_pause, converge_resume
from cubelet.core.evidence import Alive, Ended, Evidence, Gone, NoAnswer, Status
from cubelet.core.model import Call, Operation, OpKind
from cubelet.core.policy import Policy
from tests.support.records import T0, at, op

POLICY = Policy()


def judge(
    kind: OpKind,
    evidence: Evidence | Status,
    call: Call,
    *,
    after_s: float = 1,
    first_s: float | None = None,
) -> Judgement:
    rule = converge_pause if kind is OpKind.PAUSE else converge_resume
    opened: Operation = op(kind, call)
    if first_s is not None:
        opened = replace(opened, contradicted_mono_s=T0.mono_s + first_s)
    seen = Alive(status=evidence, pid=2) if isinstance(evidence, Status) else evidence
    return rule(opened, seen, at(after_s), POLICY)


TARGETS = [(OpKind.PAUSE, Status.PAUSED), (OpKind.RESUME, Status.RUNNING)]
BACK = [
    (OpKind.PAUSE, Status.RUNNING),
    (OpKind.PAUSE, Status.CREATED),
    (OpKind.RESUME, Status.PAUSED),
]
NEITHER = [
    (OpKind.PAUSE, Status.PAUSING),
    (OpKind.RESUME, Status.PAUSING),
    (OpKind.RESUME, Status.CREATED),
]
OVER = [Call.ABANDONED, Call.LOST, Call.ANSWERED]


@pytest.mark.parametrize("call", OVER)
@pytest.mark.parametrize(("kind", "status"), TARGETS)
def test_the_target_settles_whatever_became_of_the_call(
    kind: OpKind, status: Status, call: Call
) -> None:
    assert judge(kind, status, call).verdict is Verdict.REACHED


@pytest.mark.parametrize(("kind", "status"), BACK)
def test_after_an_answered_error_the_first_honest_answer_settles(
    kind: OpKind, status: Status
) -> None:
    assert judge(kind, status, Call.ANSWERED).verdict is Verdict.NOT_REACHED


@pytest.mark.parametrize("call", [Call.ABANDONED, Call.LOST])
@pytest.mark.parametrize(("kind", "status"), BACK)
def test_one_contradiction_of_a_call_that_may_still_happen_settles_nothing(
    kind: OpKind, status: Status, call: Call
) -> None:
    judgement = judge(kind, status, call, after_s=70)
    assert judgement == Judgement(Verdict.OPEN, T0.mono_s + 70)


@pytest.mark.parametrize(
    ("call", "first_s", "after_s", "verdict"),
    [
        (Call.LOST, 1, 10.9, Verdict.OPEN),
        (Call.LOST, 1, 11, Verdict.NOT_REACHED),
        (Call.ABANDONED, 31, 59.9, Verdict.OPEN),
        (Call.ABANDONED, 31, 60, Verdict.NOT_REACHED),
        (Call.LOST, 59, 60, Verdict.NOT_REACHED),
    ],
)
@pytest.mark.parametrize(("kind", "status"), BACK)
def test_two_contradictions_settle_when_nothing_can_overtake_them(
    kind: OpKind, status: Status, call: Call, first_s: float, after_s: float, verdict: Verdict
) -> None:
    judgement = judge(kind, status, call, first_s=first_s, after_s=after_s)
    assert judgement.verdict is verdict
    if verdict is Verdict.OPEN:
        assert judgement.contradicted_mono_s == T0.mono_s + first_s


@pytest.mark.parametrize("call", OVER)
@pytest.mark.parametrize(("kind", "status"), NEITHER)
def test_a_state_in_between_says_ask_again(kind: OpKind, status: Status, call: Call) -> None:
    assert judge(kind, status, call, after_s=600, first_s=5) == Judgement(
        Verdict.OPEN, T0.mono_s + 5
    )


@pytest.mark.parametrize("call", OVER)
@pytest.mark.parametrize("kind", [OpKind.PAUSE, OpKind.RESUME])
def test_no_answer_is_never_a_state(kind: OpKind, call: Call) -> None:
    judgement = judge(kind, NoAnswer(why="silence"), call, after_s=10_000, first_s=1)
    assert judgement.verdict is Verdict.OPEN


@pytest.mark.parametrize("evidence", [Ended(exit_code=0, finished_at_ns=0), Gone(why="gone")])
@pytest.mark.parametrize("kind", [OpKind.PAUSE, OpKind.RESUME])
def test_positive_evidence_ends(kind: OpKind, evidence: Evidence) -> None:
    assert judge(kind, evidence, Call.ABANDONED).verdict is Verdict.ENDED
