"""The shim of a simulated sandbox: its mutex, its hangs, and the calls on their way through it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from cubelet.core.evidence import Status
from cubelet.core.faults import Reason
from cubelet.core.model import Call
from cubelet.engine.ports import CallFailed
from tests.sim.calls import ShimCall
from tests.sim.vm import Host, Vm

#: A lie, or a hang of the whole shim, lasts so long at most; the calm ends both.
LIE_S_MAX = 40.0


class Shim(Vm):
    """Does one thing at a time; its status may have to wait for that."""

    def __init__(self, host: Host, sandbox_id: str, incarnation: str, pid: int) -> None:
        super().__init__(host, sandbox_id, incarnation, pid)
        self.calls: list[ShimCall] = []
        #: How the next call is to go wrong, and how late the next answer to a question is.
        self.next_mishap = ""
        self.next_slow_s = 0.0
        self._queue: deque[ShimCall] = deque()
        self._current: ShimCall | None = None
        self._hung_until_s = 0.0
        self._held: list[Callable[[], None]] = []
        self._askers: list[Callable[[], None]] = []

    @property
    def busy(self) -> bool:
        """Whether it cannot be asked now: hung, or its mutex held where the status waits for it."""
        return self.hung or (self.host.status_waits and self._current is not None)

    @property
    def hung(self) -> bool:
        """Whether the whole shim stands still."""
        return self.world.now_s < self._hung_until_s

    def hang(self, for_s: float) -> None:
        """The whole shim stands still, as after SIGSTOP."""
        until_s = self.world.now_s + self.world.work_time(for_s)
        self._hung_until_s = max(self._hung_until_s, until_s)
        self.tainted(self._hung_until_s)
        self.world.after(self._hung_until_s - self.world.now_s, self._unhang)

    def end(self, exit_code: int | None) -> None:
        """The sandbox ends by itself with a code, or None: shim and sandbox are gone at once."""
        if self.gone:
            return
        if exit_code is None:
            self.gone = True
        elif self.alive:
            self.exit_code = exit_code
        self.note_truth()
        if self.gone:
            self._drop_all()
        else:
            self.host.publish(self, "exit")

    def connection_lost(self, life: int) -> None:
        """The agent died. A freezer's shim kills the helper of what it is doing."""
        for call in [call for call in self.calls if call.life == life and not call.over]:
            if not self.host.freezer:
                continue
            call.cut = True
            if call is self._current:
                self.world.swarm.came("helper_killed_by_agents_death")
                self._cut_short(call)

    # -- calls -------------------------------------------------------------------------------

    def receive(self, call: ShimCall) -> None:
        """A request is sent."""
        self.calls.append(call)
        if call.mishap == "unreachable":
            self._end(call)
            call.fail("connection refused", call=Call.ANSWERED, reason=Reason.RUNTIME_UNREACHABLE)
            return
        if call.mishap == "connection_lost_during":
            early_s = self.world.rng.random() * min(40.0, call.arrives_s + call.takes_s)
            self.world.after(self.world.work_time(early_s), self._lose_during, call)
        self.world.after(self.world.work_time(call.arrives_s), self._arrive, call)

    def ask(self, answer: Callable[[], None]) -> None:
        """A question for the status arrives; it waits while the shim cannot answer."""
        if self.busy and not self.gone:
            self.tainted()
            self._askers.append(answer)
        else:
            answer()

    def _arrive(self, call: ShimCall) -> None:
        if self.gone:
            self._end(call)
            call.lose()
            return
        self._queue.append(call)
        self._next()

    def _next(self) -> None:
        if self.hung:
            return
        if self._queue and self._current is None:
            call = self._current = self._queue.popleft()
            self.world.after(self.world.work_time(call.takes_s), self._finish, call)
        self._flush_askers()

    def _finish(self, call: ShimCall) -> None:
        if self._current is not call:
            return
        if self.hung:
            self._held.append(lambda: self._finish(call))
            return
        if call.cut or call.mishap.startswith("helper_killed"):
            self._cut_short(call)
            return
        self._do(call)
        self._release(call)

    def _do(self, call: ShimCall) -> None:
        """The mutex is held: carry it out, answer, or fail on the way."""
        mishap = call.mishap
        if mishap == "error_before_effect":
            call.fail("the shim refused", call=Call.ANSWERED)
            return
        if mishap == "failed_pause_says_paused":
            self.lie(Status.PAUSED, self.world.rng.uniform(0.1, LIE_S_MAX))
            call.fail("the pause failed", call=Call.ANSWERED)
            return
        try:
            value = getattr(self, f"_{call.kind}")(call)
        except CallFailed as refused:
            call.fail(refused.fault.message, call=Call.ANSWERED, reason=refused.fault.reason)
            return
        if mishap == "half_resume_says_paused":
            self.lie(Status.PAUSED, self.world.rng.uniform(0.1, LIE_S_MAX))
        if mishap in {"error_after_effect", "half_resume_says_paused"}:
            call.fail("the shim failed half-way", call=Call.ANSWERED)
        elif mishap == "connection_lost_after":
            call.lose()
        elif mishap != "reply_lost":
            self.world.after(self.world.rng.uniform(0.0005, 0.005), call.answer, value)
            call.notes.append("done")

    def _release(self, call: ShimCall) -> None:
        self._end(call)
        self._current = None
        if self.host.status_waits:
            self.tainted()
        self._next()

    def _end(self, call: ShimCall) -> None:
        call.over = True
        call.over_s = self.world.now_s

    def _lose_during(self, call: ShimCall) -> None:
        """The connection breaks; a freezer's shim kills its helper where that is at work."""
        if not call.over and self.host.freezer:
            call.cut = True
            if call is self._current and not self.hung:
                self._cut_short(call)
        call.lose()

    def _cut_short(self, call: ShimCall) -> None:
        """The helper is killed, before or after it froze or thawed; the shim has the old state."""
        after = call.mishap == "helper_killed_after_effect" or (
            call.cut and self.world.rng.random() < 0.5
        )
        if call.kind in {"pause", "resume"} and after:
            self.set_frozen(call.kind == "pause", by="trace")
        call.lose()
        self._release(call)

    # -- ends of hangs -----------------------------------------------------------------------

    def _unhang(self) -> None:
        if self.hung:
            return
        held, self._held = self._held, []
        for work in held:
            work()
        self._next()

    def _flush_askers(self) -> None:
        if self.busy and not self.gone:
            return
        askers, self._askers = self._askers, []
        for answer in askers:
            answer()

    def _drop_all(self) -> None:
        """Nothing answers any more: every connection ends."""
        self._hung_until_s = 0.0
        self._current = None
        self._queue.clear()
        for call in self.calls:
            if not call.over:
                self._end(call)
            call.lose()
        self._flush_askers()
