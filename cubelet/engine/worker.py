"""One worker per sandbox: a task with a bounded inbox, and the only writer of its record.

Callers, shims and timers post inputs and wait on futures. One input at a time is decided, committed
and made visible; only then do its effects run, as tasks of their own that post what came of them.
So nothing is awaited between a check and its change but the store, during which no other input of
this sandbox is looked at.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import structlog

from cubelet.core import calls
from cubelet.core.bindings import Snapshot
from cubelet.core.effects import (
    Arm,
    CallRuntime,
    Complete,
    CompleteDeletes,
    Decision,
    Destroy,
    Effect,
    Forget,
    Heal,
    Join,
    Query,
    Replay,
)
from cubelet.core.faults import Code, CubeletError, Fault, Reason, error
from cubelet.core.inputs import (
    Asked,
    CallReturned,
    Cause,
    DeleteRequested,
    Input,
    LookRequested,
    Observed,
    Recovered,
    Request,
    Ticked,
)
from cubelet.core.machine import step
from cubelet.core.model import Call, Key, Record, State
from cubelet.core.policy import backoff_s
from cubelet.crashpoints import reach
from cubelet.engine.alarm import Alarm
from cubelet.engine.errands import Errands, RuntimeEffect
from cubelet.engine.executor import Executor
from cubelet.engine.hints import Hints
from cubelet.engine.ports import Chance, Change, Clock, Store
from cubelet.engine.questions import Questions
from cubelet.engine.supervisor import Supervisor
from cubelet.engine.transitions import TransitionLog
from cubelet.engine.waiters import Waiters

_log = structlog.get_logger("cubelet.worker")

#: How many inputs may wait. Requests over it are refused; the worker's own reports always fit:
#: each comes from one of its few effects. So do the one look that events ask for, and the one tick.
INBOX_MAX = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What all workers share."""

    store: Store
    clock: Clock
    chance: Chance
    executor: Executor
    supervisor: Supervisor
    #: Called whenever a worker's record has changed, and when the worker has ended.
    publish: Callable[[Worker], None]
    log: TransitionLog
    #: Called with each snapshot that is in the catalog from now on.
    catalogue: Callable[[Snapshot], None]


class Worker:
    """Drives one sandbox from its first input to its last; ends by itself once it is forgotten."""

    def __init__(self, sandbox_id: str, record: Record | None, around: Surroundings) -> None:
        self.id = sandbox_id
        self.record = record
        #: Set when there is no record (any more) and nothing in line that could make one.
        self.ended = False
        self.questions = Questions(
            spawn=partial(around.supervisor.spawn, name=f"question-{sandbox_id}"),
            hint=partial(self.hint, Cause.SETTLE),
        )
        self._around = around
        self._inbox: asyncio.Queue[Input] = asyncio.Queue()
        self._waiters = Waiters()
        self._quiet = asyncio.Event()
        self._errands = Errands(
            executor=around.executor,
            supervisor=around.supervisor,
            questions=self.questions,
            report=self.post,
            ended=self._note_quiet,
        )
        self._look_again = Alarm(partial(self._look_because, Cause.SETTLE))
        self._hints = Hints(record=lambda: self.record, look=self._look_because)
        self._ticked = False
        self._refusals = 0  # Of the store, since it last took a change.
        around.supervisor.spawn(self._run(), name=f"worker-{sandbox_id}")

    async def request(self, happened: Request) -> Record | None:
        """Post a request and wait for its answer; leaving early cancels nothing.

        The answer to a delete is None; to every other request it is a record.
        """
        self._admit()
        if isinstance(happened, DeleteRequested):
            answer = self._waiters.deleter(happened.op_id)
        else:
            answer = self._waiters.caller(happened.op_id)
        self.post(happened)
        return await answer

    async def look(self) -> None:
        """Ask the shim now, and wait for its answer; return at once where that says nothing."""
        if self.ended or self.record is None or self._in_flight:
            return
        self._admit()
        looked = self._waiters.looker()
        self.post(LookRequested(cause=Cause.RPC))
        await looked

    @property
    def doubtful(self) -> bool:
        """Whether a look may change what a request meets: open outcome, or witnesses differ."""
        record = self.record
        return record is not None and (record.open is not None or record.diverged is not None)

    @property
    def look_in_s(self) -> float | None:
        """When the settle loop asks next; None where nothing is to be settled."""
        return self._look_again.due_in_s

    def hint(self, cause: Cause, told: State | None = None) -> None:
        """Something suggests a look, a moment later: one look for all hints until then.

        `told` is the state that it speaks of, None where it names none.
        """
        self._hints.take(cause, told)

    def tick(self) -> None:
        """Take the round's tick; one that has not been looked at yet stands for the next too."""
        if not self._ticked and not self.ended:
            self._ticked = True
            self.post(Ticked())

    def store_works(self) -> None:
        """Try now what the store had refused, and not in its turn."""
        if self._refusals and not self.ended:
            self._refusals = 0
            self._look_because(Cause.SETTLE)
            self.tick()

    def post(self, happened: Input) -> None:
        """Put an input in line; never waits."""
        self._quiet.clear()
        self._inbox.put_nowait(happened)

    async def quiet(self) -> None:
        """Return when no input waits and nothing runs that a caller or the disk waits for."""
        await self._quiet.wait()

    def _look_because(self, cause: Cause) -> None:
        if not self.ended:
            self.post(LookRequested(cause=cause))

    @property
    def _in_flight(self) -> bool:
        op = self.record.open if self.record else None
        return op is not None and op.call is Call.IN_FLIGHT

    def _admit(self) -> None:
        if self.ended:
            message = f"sandbox {self.id} was deleted meanwhile"
            raise error(Code.NOT_FOUND, Reason.SANDBOX_NOT_FOUND, message)
        if self._inbox.qsize() >= INBOX_MAX:
            message = f"sandbox {self.id} has {INBOX_MAX} requests in line; try again later"
            raise error(Code.RESOURCE_EXHAUSTED, Reason.TOO_BUSY, message)

    async def _run(self) -> None:
        while not self.ended:
            happened = await self._inbox.get()
            self._ticked = self._ticked and not isinstance(happened, Ticked)
            await self._apply(happened)
            self.ended = self.record is None and self._inbox.empty()
            if self.ended:
                self._around.publish(self)
            self._note_quiet()

    def _note_quiet(self) -> None:
        op = self.record.open if self.record else None
        owed = op is not None and not op.answered and (self._in_flight or op.failure is not None)
        if self._inbox.empty() and not owed and not self._errands.changing:
            self._quiet.set()

    async def _apply(self, happened: Input) -> None:
        try:
            if isinstance(happened, Asked) and happened.key is not None:
                happened = await self._remembering(happened, happened.key)
            decision = self._decide(happened)
        except CubeletError as refused:
            self._fail_request(happened, refused.fault)
            return
        except Exception as bug:  # noqa: BLE001 - a broken rule changes nothing and hangs nobody.
            self._broken(happened, bug)
            return
        if decision.persist and not await self._write(happened, decision):
            return
        self._become(decision.record)
        for effect in decision.effects:
            self._perform(effect)
        asks = any(isinstance(effect, Query) for effect in decision.effects)
        if isinstance(happened, Observed) or (isinstance(happened, LookRequested) and not asks):
            self._waiters.wake_lookers()
        self._hints.follow()

    async def _remembering(self, happened: Request, key: Key) -> Request:
        """A request with a key, and what the store knows of that: in its turn, so nothing slips."""
        told = await self._around.store.outcome(self.id, key.value)
        return replace(happened, remembered=told)

    def _decide(self, happened: Input) -> Decision:
        around = self._around
        return step(self.record, happened, around.clock.now(), around.executor.policy)

    def _become(self, record: Record | None) -> None:
        if record is None or record.open is None:
            self._look_again.disarm()
        if record is not self.record:
            self.record = record
            self._around.publish(self)

    async def _write(self, happened: Input, decision: Decision) -> bool:
        """Commit the decision; where the store refuses, nothing is acknowledged."""
        change = Change(
            id=self.id,
            record=decision.record,
            entries=decision.entries,
            outcomes=decision.outcomes,
            snapshots=decision.snapshots,
            synced=decision.synced,
        )
        try:
            reach("engine.commit.begin")
            await self._around.store.commit(change)
        except CubeletError as refused:
            self._not_written(happened, decision, refused.fault)
            return False
        reach("engine.commit.written")
        self._refusals = 0
        for snapshot in decision.snapshots:
            self._around.catalogue(snapshot)
        self._around.log.written(decision.entries)
        return True

    def _not_written(self, happened: Input, decision: Decision, fault: Fault) -> None:
        """Tell whoever waits for this change that the store refused it, and try again later.

        A disk that fails hits every sandbox: the store's health logs it, once for all.
        """
        level = logging.DEBUG if fault.retryable else logging.ERROR
        _log.log(level, "change_not_written", sandbox=self.id, reason=fault.message)
        record = self.record
        if isinstance(happened, CallReturned) and record is not None:
            record = calls.not_written(record, happened, fault)
            if record.open is not None:
                self._waiters.complete(record.open.op_id, None, record.open.failure)
        self._become(record)
        self._fail_request(happened, fault)
        for effect in decision.effects:
            match effect:
                case Complete(op_id=op_id):
                    self._waiters.complete(op_id, None, fault)
                case CompleteDeletes():
                    self._waiters.complete_deletes(fault)
                case _:
                    pass  # It was to follow a change that is not there.
        again_s = backoff_s(self._refusals, self._around.executor.policy)
        if isinstance(happened, Recovered):
            # Nothing else would ever tell it that the host was restarted.
            asyncio.get_running_loop().call_later(again_s, self.post, happened)
        elif record is not None and record.open is not None and not self._in_flight:
            self._look_again.arm(again_s)
        self._refusals += 1

    def _broken(self, happened: Input, bug: Exception) -> None:
        _log.error("decision_broken", sandbox=self.id, input=type(happened).__name__, exc_info=bug)
        message = f"the agent broke at {type(happened).__name__} of sandbox {self.id}; see its log"
        self._fail_request(happened, Fault(code=Code.INTERNAL, reason=Reason.BUG, message=message))

    def _fail_request(self, happened: Input, fault: Fault) -> None:
        if isinstance(happened, Asked):
            self._waiters.complete(happened.op_id, None, fault)
        else:
            self._waiters.wake_lookers()

    def _perform(self, effect: Effect) -> None:
        match effect:
            case Complete(op_id=op_id, fault=fault):
                reach("engine.answer.begin")
                self._waiters.complete(op_id, self.record, fault)
            case CompleteDeletes(fault=fault):
                reach("engine.deleted.begin")
                self._waiters.complete_deletes(fault)
            case Replay(op_id=op_id, outcome=outcome):
                reach("engine.replay.begin")
                self._waiters.complete(op_id, outcome.record, outcome.fault)
            case Join(op_id=op_id, to_op_id=to_op_id):
                self._waiters.join(op_id, to_op_id)
            case Arm(delay_s=delay_s):
                self._look_again.arm(delay_s * (1 - 0.2 * self._around.chance.fraction()))
            case Forget():
                self._waiters.wake_lookers()
            case CallRuntime() | Query() | Heal() | Destroy():
                self._start(effect)

    def _start(self, effect: RuntimeEffect) -> None:
        record = self.record
        assert record is not None  # noqa: S101 - an effect on the runtime comes with a record.
        epoch = effect.epoch if isinstance(effect, CallRuntime) else record.epoch
        started = self._errands.start(effect, record, wanted=partial(self._is_open, epoch))
        if not started and isinstance(effect, Heal) and effect.op_id:
            # The only caller whom what is under way already does not answer.
            message = f"sandbox {self.id} is being repaired already; look again when that has ended"
            fault = Fault(code=Code.ABORTED, reason=Reason.REPAIR_IN_PROGRESS, message=message)
            self._waiters.complete(effect.op_id, None, fault)

    def _is_open(self, epoch: int) -> bool:
        op = self.record.open if self.record else None
        return op is not None and op.epoch == epoch
