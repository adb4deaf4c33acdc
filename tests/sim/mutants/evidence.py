"""Answers that are believed though they prove nothing, or are about something else."""

from __future__ import annotations

from dataclasses import replace

from cubelet.core import divergence, observe, sweep
from cubelet.core.edges import keep, write
from cubelet.core.effects import Decision, Destroy, Heal, Query
from cubelet.core.evidence import Alive, Contradicted, Evidence, Gone, NoAnswer
from cubelet.core.inputs import Cause, Observed
from cubelet.core.model import Call, Now, OpKind, Record
from cubelet.core.policy import Policy
from tests.sim.mutants.base import Change, mutant, unchecked


@mutant("R5", "I5")
def silence_ends() -> tuple[Change, ...]:
    """A question without an answer counts as the end of the sandbox."""
    real = observe.of_this_process

    def fatal(record: Record, evidence: Evidence) -> Evidence:
        found = real(record, evidence)
        return Gone(why=found.why) if isinstance(found, NoAnswer) else found

    return (Change(observe, "of_this_process", fatal),)


@mutant("R4", "I5", "I11")
def unknown_counts_as_answer() -> tuple[Change, ...]:
    """A status of UNKNOWN, which containerd gives for a silent shim, counts as the end."""
    real = observe.of_this_process

    def fatal(record: Record, evidence: Evidence) -> Evidence:
        unknown = isinstance(evidence, NoAnswer) and "UNKNOWN" in evidence.why
        return Gone(why="status UNKNOWN") if unknown else real(record, evidence)

    return (Change(observe, "of_this_process", fatal),)


@mutant("R15", "I11")
def start_time_not_compared() -> tuple[Change, ...]:
    """An answer about another process that has our process id by now is believed."""
    real = observe.of_this_process

    def lax(record: Record, evidence: Evidence) -> Evidence:
        known = replace(evidence, start_ticks=0) if isinstance(evidence, Alive) else evidence
        return real(record, known)

    return (Change(observe, "of_this_process", lax),)


@mutant("R15", "R4", "I11")
def pid_not_compared() -> tuple[Change, ...]:
    """A status that comes with process id 0 is believed."""
    real = observe.of_this_process

    def lax(record: Record, evidence: Evidence) -> Evidence:
        if isinstance(evidence, Alive) and evidence.pid == 0:
            return evidence
        return real(record, evidence)

    return (Change(observe, "of_this_process", lax),)


@mutant("R6", "R11", "I11")
def stale_answer_applied() -> tuple[Change, ...]:
    """An answer is applied whatever has happened since the question."""
    return (Change(observe, "_is_fresh", lambda *_: True),)


@mutant("R11", "I11")
def epoch_not_compared() -> tuple[Change, ...]:
    """The newest answer is applied, though an operation has begun or ended since the question."""
    real = observe._is_fresh

    def lax(record: Record, happened: Observed) -> bool:
        call = record.open.call if record.open else None
        return real(record, replace(happened, epoch=record.epoch, call=call))

    return (Change(observe, "_is_fresh", lax),)


@mutant("R6", "I11")
def overtaken_answer_applied() -> tuple[Change, ...]:
    """An answer is applied though a question that was asked later has been answered before it."""
    real = observe._is_fresh

    def lax(record: Record, happened: Observed) -> bool:
        return real(record, replace(happened, asked_mono_s=1e12))

    return (Change(observe, "_is_fresh", lax),)


@mutant("R16", "I3")
def shim_believed_over_kernel() -> tuple[Change, ...]:
    """Where shim and second witness disagree, the shim is believed."""
    real = observe.of_this_process

    def trusting(record: Record, evidence: Evidence) -> Evidence:
        found = real(record, evidence)
        if not isinstance(found, Contradicted):
            return found
        return Alive(status=found.says, pid=found.pid)

    return (Change(observe, "of_this_process", trusting),)


@mutant("R16", "I21")
def divergence_not_shown() -> tuple[Change, ...]:
    """A disagreement of shim and second witness is noted, and never shown."""
    real = divergence._shown

    def silent(*args: object, **rest: object) -> Decision:
        return real(*args, **(rest | {"lasting": False}))  # type: ignore[arg-type]

    return (Change(divergence, "_shown", silent),)


@mutant("R16", "I21")
def strangers_freeze_healed() -> tuple[Change, ...]:
    """A freeze by a stranger is undone unasked, like a trace of our own."""
    real = divergence._shown

    def eager(
        before: Record, seen: Record, split: object, evidence: Contradicted, **rest: object
    ) -> Decision:
        decided = real(before, seen, split, evidence, **rest)  # type: ignore[arg-type]
        if not rest["lasting"]:
            return decided
        return replace(decided, effects=(Heal(frozen=not evidence.frozen),))

    return (Change(divergence, "_shown", eager),)


@mutant("R16", "I21", "I7")
def diverged_is_removed() -> tuple[Change, ...]:
    """A sandbox whose shim and second witness disagree is removed."""
    real = divergence.contradicted

    def rash(before: Record, seen: Record, evidence: Contradicted, **rest: object) -> Decision:
        if seen.diverged is None or seen.diverged.seen < 2:
            return real(before, seen, evidence, **rest)  # type: ignore[arg-type]
        return keep(seen, Destroy())

    return (Change(divergence, "contradicted", rash),)


@mutant("R5", "I6")
def dead_record_comes_alive() -> tuple[Change, ...]:
    """Dead records are asked about too, and one whose shim still answers is live again."""
    real, tick = observe.observed, sweep.ticked

    def late(record: Record, happened: Observed, now: Now, policy: Policy) -> Decision:
        if not record.finished_at_ns or record.tombstone_at_ns:
            return real(record, happened, now, policy)
        alive = replace(record, finished_at_ns=0, exit_code=None)
        return write(record, alive, now=now, cause=happened.cause, detail="seen again")

    def ticked(record: Record, now: Now, policy: Policy) -> Decision:
        if record.finished_at_ns and not record.tombstone_at_ns:
            return keep(record, Query(cause=Cause.RELIST))
        return tick(record, now, policy)

    return (unchecked(), Change(observe, "observed", late), Change(sweep, "ticked", ticked))


@mutant("R5", "I6")
def dead_record_written_again() -> tuple[Change, ...]:
    """The sweeper sets the stamp of a dead record anew."""
    tick = sweep.ticked

    def ticked(record: Record, now: Now, policy: Policy) -> Decision:
        if not record.finished_at_ns or record.tombstone_at_ns:
            return tick(record, now, policy)
        again = replace(record, finished_at_ns=now.wall_ns)
        return write(record, again, now=now, cause=Cause.SWEEP, detail="still dead")

    return (Change(sweep, "ticked", ticked),)


@mutant("R5", "I5")
def overdue_is_ended_by_the_sweeper() -> tuple[Change, ...]:
    """The sweeper ends a sandbox whose operation is overdue, as PR 404 made it UNKNOWN."""
    tick = sweep.ticked

    def ticked(record: Record, now: Now, policy: Policy) -> Decision:
        decided = tick(record, now, policy)
        if Query(cause=Cause.SWEEP) not in decided.effects:
            return decided
        over = replace(record, open=None, finished_at_ns=now.wall_ns, finished_mono_s=now.mono_s)
        return write(record, over, now=now, cause=Cause.SWEEP, detail="stuck for too long")

    return (Change(sweep, "ticked", ticked),)


@mutant("R5", "I11", "I12")
def operation_in_flight_is_judged() -> tuple[Change, ...]:
    """The round asks about an operation in flight, and the answer settles it."""
    tick, real = sweep.ticked, observe.observed

    def ticked(record: Record, now: Now, policy: Policy) -> Decision:
        op = record.open
        if op is not None and op.kind is not OpKind.CREATE and not record.tombstone_at_ns:
            return keep(record, Query(cause=Cause.RELIST))
        return tick(record, now, policy)

    def judged(record: Record, happened: Observed, now: Now, policy: Policy) -> Decision:
        op = record.open
        if op is not None and op.call is Call.IN_FLIGHT and happened.call is Call.IN_FLIGHT:
            record = replace(record, open=replace(op, call=Call.ANSWERED))
            happened = replace(happened, call=Call.ANSWERED)
        return real(record, happened, now, policy)

    return (Change(sweep, "ticked", ticked), Change(observe, "observed", judged))
