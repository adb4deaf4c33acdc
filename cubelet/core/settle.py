"""How evidence settles an open operation: by the converge rule of its direction, for every path."""

from __future__ import annotations

from dataclasses import replace
from typing import assert_never

from cubelet.core import keys
from cubelet.core.calls import reached
from cubelet.core.converge import Judgement, Verdict, converge
from cubelet.core.edges import keep, write
from cubelet.core.effects import Arm, Complete, Decision, Effect
from cubelet.core.endings import ended
from cubelet.core.evidence import Evidence, describe
from cubelet.core.faults import Code, Fault, Reason
from cubelet.core.inputs import Cause, Observed
from cubelet.core.model import Now, Operation, Outcome, Record
from cubelet.core.policy import Policy, backoff_s


def judge(
    before: Record, seen: Record, happened: Observed, *, now: Now, policy: Policy
) -> Decision:
    """Settle the open operation by one answer, or ask again a little later; answer its caller.

    `before` is the record as it is on disk, `seen` the one with the answer noted in it.
    """
    op = seen.open
    assert op is not None  # noqa: S101 - only an open operation is judged.
    judgement = converge(op, happened.evidence, now, policy)
    after = _settled(seen, op, judgement, happened.evidence, now)
    return conclude(
        before,
        after,
        verdict=judgement.verdict,
        cause=happened.cause,
        evidence=happened.evidence,
        now=now,
        policy=policy,
    )


def conclude(
    before: Record,
    after: Record,
    *,
    verdict: Verdict,
    cause: Cause,
    evidence: Evidence,
    now: Now,
    policy: Policy,
) -> Decision:
    """Write what is settled, tell the caller once, and ask again where it stays open."""
    op = before.open
    assert op is not None  # noqa: S101 - it concludes an operation.
    effects: tuple[Effect, ...] = ()
    outcomes: tuple[Outcome, ...] = ()
    known = op.failure is not None or verdict is not Verdict.OPEN
    tells = known and not op.answered
    fault = _told(op, after, verdict)
    if tells:
        effects = (Complete(op_id=op.op_id, fault=fault),)
    if known and not op.noted:
        outcomes = keys.answers(op, sandbox_id=after.id, now=now, fault=fault, record=after)
    if after.open is not None:
        effects = (*effects, Arm(delay_s=_delay_s(after, op, now, policy)))
        asked = replace(after.open, attempt=op.attempt + 1, answered=op.answered or tells)
        after = replace(after, open=replace(asked, noted=op.noted or known))
    told = tells or bool(outcomes)
    if after.open is not None and not told and after.bindings == before.bindings:
        return keep(after, *effects)
    return write(
        before,
        after,
        now=now,
        cause=cause,
        detail=_detail(op, verdict, evidence),
        op_id=op.op_id,
        effects=effects,
        outcomes=outcomes,
    )


def _detail(op: Operation, verdict: Verdict, evidence: Evidence) -> str:
    """What was seen, and what the call itself had come to: once it is settled nobody else knows."""
    seen = f"{op.kind.lower()} {verdict.value}: {describe(evidence)}"
    return f"{seen}; its call had failed: {op.failure.message}" if op.failure else seen


def _delay_s(after: Record, op: Operation, now: Now, policy: Policy) -> float:
    """Doubling from settle_first_s up to settle_max_s; it never gives up.

    What has to be seen twice settle_s apart is asked for when that time is over.
    """
    delay_s = backoff_s(op.attempt, policy)
    first_s = after.open.contradicted_mono_s if after.open else None
    if after.diverged is not None:
        first_s = after.diverged.since.mono_s
    second_in_s = policy.settle_max_s if first_s is None else first_s + policy.settle_s - now.mono_s
    if second_in_s <= 0:
        return delay_s
    return min(delay_s, max(second_in_s, policy.settle_first_s))


def _told(op: Operation, after: Record, verdict: Verdict) -> Fault | None:
    """What the caller is told: a failed call is a failure, whatever is known to be so since.

    Only of an operation that a restart of the agent cut short no failure is known, and the target
    being reached is its success.
    """
    if op.failure is None and verdict is Verdict.REACHED:
        return None
    failure = op.failure or restarted(op)
    known = (
        f"it is {after.state}"
        if after.open is None
        else f"its outcome is open and it shows as {after.state} until the shim tells"
    )
    message = f"{op.kind.lower()} of sandbox {after.id} failed: {failure.message}; {known}"
    return replace(failure, message=message)


def restarted(op: Operation) -> Fault:
    """The failure of an operation that another agent began and did not end."""
    return Fault(
        code=Code.ABORTED,
        reason=Reason.AGENT_RESTARTED,
        message=f"the agent was restarted during the {op.kind.lower()}",
    )


def _settled(
    record: Record, op: Operation, judgement: Judgement, evidence: Evidence, now: Now
) -> Record:
    match judgement.verdict:
        case Verdict.REACHED:
            return reached(record, op, now)
        case Verdict.NOT_REACHED:
            return replace(record, open=None)
        case Verdict.ENDED:
            return ended(record, evidence, now)
        case Verdict.OPEN:
            still = replace(op, contradicted_mono_s=judgement.contradicted_mono_s)
            return replace(record, open=still)
        case _ as unreachable:
            assert_never(unreachable)
