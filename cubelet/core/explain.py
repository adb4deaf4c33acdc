"""Why a sandbox is in its state, as a value: facts, what was asked and answered, what is next."""

from __future__ import annotations

from dataclasses import dataclass
from typing import assert_never

from cubelet.core.conditions import Condition, ConditionKind, conditions
from cubelet.core.effects import Arm, Effect, Entry, Heal
from cubelet.core.evidence import Evidence, describe
from cubelet.core.inputs import Cause, Observed
from cubelet.core.model import Call, Now, Operation, Record, State
from cubelet.core.observe import observed
from cubelet.core.policy import Policy, call_limit_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """Something that will happen by itself; `in_s` None: when something else has ended."""

    what: str
    in_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """Everything that a person needs to see why, newest journal entry last.

    `why` is one sentence that follows from the facts; `ways_out` are commands that help, where
    something is wrong that does not mend itself.
    """

    record: Record
    why: str
    conditions: tuple[Condition, ...]
    next_steps: tuple[Step, ...]
    ways_out: tuple[str, ...]
    journal: tuple[Entry, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """What a reconcile would do now: the answer of the shim, and what would follow from it."""

    evidence: str
    before: State
    after: State
    #: One line for each thing that would be written or done; empty: nothing.
    would: tuple[str, ...]


def explain(
    record: Record,
    *,
    now: Now,
    policy: Policy,
    journal: tuple[Entry, ...],
    look_in_s: float | None,
    round_in_s: float | None,
    node: tuple[Condition, ...] = (),
) -> Explanation:
    """Put it together; the times say when the shim is asked next, by timer and by round.

    `node` are conditions of the whole agent that concern every sandbox.
    """
    found = (*conditions(record, now, policy), *node)
    return Explanation(
        record=record,
        why=_why(record, now) + _remade(record),
        conditions=found,
        next_steps=_next_steps(record, policy, look_in_s=look_in_s, round_in_s=round_in_s),
        ways_out=_ways_out(record, found),
        journal=journal,
    )


def forecast(record: Record, evidence: Evidence, now: Now, policy: Policy) -> Forecast:
    """What this answer would change if it were applied now."""
    op = record.open
    answer = Observed(
        cause=Cause.RPC,
        epoch=record.epoch,
        incarnation=record.incarnation,
        call=op.call if op else None,
        evidence=evidence,
    )
    decision = observed(record, answer, now, policy)
    lines = [f"write {entry.before} -> {entry.after}: {entry.detail}" for entry in decision.entries]
    lines += [text for effect in decision.effects if (text := _effect_line(effect))]
    return Forecast(
        evidence=describe(evidence),
        before=record.state,
        after=decision.record.state if decision.record else record.state,
        would=tuple(lines),
    )


def _why(record: Record, now: Now) -> str:
    op = record.open
    if record.tombstone_at_ns:
        return "it was deleted, and what it left is being removed"
    if record.finished_at_ns:
        code = "an unknown code" if record.exit_code is None else f"exit code {record.exit_code}"
        return f"it has ended with {code}" + (
            f": {record.exit_reason}" if record.exit_reason else ""
        )
    if op is not None:
        return f"a {op.kind.lower()} was asked for {_age(op, now)} ago, and {_standing(op)}"
    if record.diverged is not None and record.diverged.shown:
        frozen = "frozen" if record.diverged.frozen else "running"
        return f"the shim says {record.diverged.says}, its processes are {frozen}: one of them lies"
    if record.paused_at_ns:
        return "it was seen paused, and nothing has been seen to resume it"
    return "it was started, and was last seen running"


def _remade(record: Record) -> str:
    if not record.remade_why:
        return ""
    return f"; its record was made anew from what is on the host ({record.remade_why})"


def _standing(op: Operation) -> str:
    failure = f": {op.failure.message}" if op.failure else ""
    match op.call:
        case Call.IN_FLIGHT:
            return "the runtime has not answered yet"
        case Call.ABANDONED:
            return f"nobody waits for the runtime's answer any more, it may still come{failure}"
        case Call.LOST:
            return f"the answer is lost, whether it happened is not known{failure}"
        case Call.ANSWERED:
            return f"the runtime answered with a failure{failure}"
        case _ as unreachable:
            assert_never(unreachable)


def _next_steps(
    record: Record, policy: Policy, *, look_in_s: float | None, round_in_s: float | None
) -> tuple[Step, ...]:
    op = record.open
    if record.tombstone_at_ns:
        return (Step(what="its removal is tried again", in_s=round_in_s),)
    if record.finished_at_ns:
        goes = Step(what=f"its record goes {policy.dead_ttl_s:g} s after its end")
        removal = Step(what="what it left on disk is removed", in_s=round_in_s)
        return (removal, goes) if record.leftovers else (goes,)
    if op is not None and op.call is Call.IN_FLIGHT:
        limit_s = call_limit_s(op.kind, policy)
        return (Step(what=f"the runtime answers, or its {limit_s:g} s are over and it is asked"),)
    steps = []
    if op is not None:
        steps.append(Step(what="the shim is asked whether it happened", in_s=look_in_s))
    steps.append(Step(what="the shim is asked in the round over all", in_s=round_in_s))
    return tuple(steps)


def _ways_out(record: Record, found: tuple[Condition, ...]) -> tuple[str, ...]:
    kinds = {condition.kind for condition in found}
    ways = []
    if ConditionKind.DIVERGED in kinds:
        ways.append(f"cubecli repair {record.id}")
    if kinds & {ConditionKind.OVERDUE, ConditionKind.UNSEEN}:
        ways.append(f"cubecli reconcile {record.id}")
        ways.append(f"cubecli rm {record.id}")
    return tuple(ways)


def _effect_line(effect: Effect) -> str:
    match effect:
        case Arm(delay_s=delay_s):
            return f"ask the shim again in {delay_s:g} s"
        case Heal(frozen=frozen):
            return f"{'freeze' if frozen else 'thaw'} it past its shim"
        case _:
            return ""


def _age(op: Operation, now: Now) -> str:
    return f"{max(0.0, now.mono_s - op.started_at.mono_s):.0f} s"
