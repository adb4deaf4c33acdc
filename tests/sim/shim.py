"""One simulated sandbox with its shim: the truth about it, its mutex, and what it says of itself.

Everything here runs in callbacks of the world, so that neither the agent's death nor its standing
still changes what the shim does.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from cubelet.core.bindings import Mode as PlanMode
from cubelet.core.evidence import Status
from cubelet.core.faults import Code, Fault, Reason
from cubelet.core.model import Call, Handle
from cubelet.engine.ports import CallFailed, Committed
from shimclient.fake.memory import Image, Memory, Mode
from tests.sim.calls import ShimCall
from tests.sim.world import World

#: A lie, or a hang of the whole shim, lasts so long at most; the calm ends both.
LIE_S_MAX = 40.0


@dataclass(frozen=True, slots=True)
class Truth:
    """From `at_s` on the sandbox stood still, or ran, or had ended."""

    at_s: float
    what: str


@dataclass(slots=True)
class Host:
    """What the shims of one runtime share: kind, images on disk, and who hears their events."""

    world: World
    freezer: bool
    status_waits: bool
    counts_generations: bool
    publish: Callable[[Shim, str], None]
    images: dict[str, Image] = field(default_factory=dict)


class Shim:
    """`paused` is what the shim believes, `frozen` what is true; only a freezer's can differ."""

    def __init__(self, host: Host, sandbox_id: str, incarnation: str, pid: int) -> None:
        self.host = host
        self.world = host.world
        self.id = sandbox_id
        self.incarnation = incarnation
        self.handle = Handle(
            address=f"sim:{sandbox_id}",
            version=3,
            shim_pid=pid,
            shim_start_ticks=pid * 10,
            pid=pid + 1,
            pid_start_ticks=pid * 10 + 1,
        )
        self.born_s = self.world.now_s
        self.started = False
        self.paused = False
        self.frozen = False
        #: The shim and the sandbox's processes are gone.
        self.gone = False
        self.exit_code: int | None = None
        self.memory = Memory(seed=pid)
        self.private: Image | None = None
        #: Whether nothing was restored behind the catalog's back since the last commit or rollback.
        self.bound = False
        self.calls: list[ShimCall] = []
        self.history: list[Truth] = []
        #: From then on every question could have been answered, in time and truly.
        self.honest_since_s = 0.0
        #: Who froze or thawed it past its shim: "", "trace" of our own call, "stranger".
        self.split_by = ""
        self.split_at_s = 0.0
        self.split_end_s = -1.0
        #: When it last said something else than it believes.
        self.lied_at_s = -1.0
        self._queue: deque[ShimCall] = deque()
        self._current: ShimCall | None = None
        self._hung_until_s = 0.0
        self._held: list[Callable[[], None]] = []
        self._askers: list[Callable[[], None]] = []
        self._lie: tuple[Status, float] | None = None

    # -- what is true ------------------------------------------------------------------------

    @property
    def alive(self) -> bool:
        """Whether the sandbox's own process lives."""
        return self.started and not self.gone and self.exit_code is None

    @property
    def truth(self) -> str:
        """PAUSED, RUNNING or ENDED."""
        if not self.alive:
            return "ENDED"
        return "PAUSED" if self.frozen else "RUNNING"

    @property
    def generation(self) -> int:
        """How often it was restored, as far as its runtime counts that."""
        return self.memory.generation if self.host.counts_generations else 0

    @property
    def split(self) -> bool:
        """Whether the shim's belief and the kernel differ."""
        return self.alive and self.frozen != self.paused

    @property
    def busy(self) -> bool:
        """Whether it cannot be asked now: hung, or its mutex held where the status waits for it."""
        return self.hung or (self.host.status_waits and self._current is not None)

    @property
    def hung(self) -> bool:
        """Whether the whole shim stands still."""
        return self.world.now_s < self._hung_until_s

    @property
    def honestly(self) -> Status:
        """What it believes itself."""
        return Status.PAUSED if self.paused else Status.RUNNING

    @property
    def says(self) -> Status:
        """What it answers, be it true or not."""
        if self._lie is not None and self.world.now_s < self._lie[1] and not self.world.swarm.over:
            return self._lie[0]
        return self.honestly

    def was(self, what: str, since_s: float) -> bool:
        """Whether that was true at some instant since then."""
        for truth in reversed(self.history):
            if truth.what == what:
                return True
            if truth.at_s <= since_s:
                return False
        return False

    def note_truth(self) -> None:
        """Something may have changed; remember when."""
        what = self.truth
        if not self.history or self.history[-1].what != what:
            self.history.append(Truth(self.world.now_s, what))
            self.world.note(f"{self.id} is {what}")
        if not self.split and self.split_by:
            self.split_by, self.split_end_s = "", self.world.now_s

    def tainted(self, until_s: float | None = None) -> None:
        """Up to now, or until then, somebody who asks may get no true answer."""
        until_s = self.world.now_s if until_s is None else until_s
        self.honest_since_s = max(self.honest_since_s, until_s)

    # -- what is done to it ------------------------------------------------------------------

    def start(self) -> None:
        """Its first process runs."""
        self.started = True
        self.note_truth()

    def lie(self, status: Status, for_s: float) -> None:
        """Say something else than is true for a while."""
        until_s = self.world.now_s + self.world.work_time(for_s)
        self._lie = (status, until_s)
        self.tainted(until_s)

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

    def set_frozen(self, frozen: bool, *, by: str) -> None:  # noqa: FBT001 - the state itself.
        """Freeze or thaw past the shim."""
        if not self.alive or frozen == self.frozen:
            return
        self.touch()
        self.frozen = frozen
        if self.split:
            self.split_by, self.split_at_s = by, self.world.now_s
        self.note_truth()

    def by_stranger(self, kind: str) -> None:
        """Somebody else pauses or resumes it, through the shim."""
        self.touch()
        if kind == "pause":
            self._pause_now()
        else:
            self._resume_now()

    def touch(self) -> None:
        """What the running sandbox has written to its memory since somebody looked."""
        if self.alive and not self.frozen:
            rng = self.world.rng
            for _ in range(rng.randrange(3)):
                self.memory.write(rng.randrange(12), rng.getrandbits(40))

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
        if self.hung or self._current is not None:
            return
        if self._queue:
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

    def _pause(self, _: ShimCall) -> None:
        self._must(running=True, doing="pause")
        self.touch()
        self._pause_now()

    def _resume(self, _: ShimCall) -> int:
        self._must(running=False, doing="resume")
        self._resume_now()
        return self.generation

    def _pause_now(self) -> None:
        self.paused = self.frozen = True
        if not self.host.freezer:
            self.private = self.memory.private_image()
        self._changed("paused")

    def _resume_now(self) -> None:
        self.paused = self.frozen = False
        if not self.host.freezer:
            assert self.private is not None
            self.memory.restore(self.private)
            self.bound = False
        self._changed("resumed")

    def _commit(self, call: ShimCall) -> Committed:
        self._must(running=True, doing="commit")
        plan = call.plan
        assert plan is not None
        self.touch()
        counts = self.host.counts_generations
        if counts and plan.generation not in {None, self.memory.generation}:
            raise _refused("the base is of another restore", Reason.STALE_BASE)
        base = self.host.images.get(plan.base_id) if plan.base_id else None
        if plan.mode is not PlanMode.FULL and base is None:
            raise _refused("no such base", Reason.SNAPSHOT_NOT_FOUND)
        mode = Mode(plan.mode.value)
        self.world.judge.committing(self, plan, mode, base)
        image = self.memory.checkpoint(mode, base)
        self.host.images[plan.snapshot_id] = image
        self.bound = True
        self.world.judge.committed(self, plan, image)
        return Committed(path=f"/images/{plan.snapshot_id}", generation=self.generation)

    def _rollback(self, call: ShimCall) -> int:
        self._must(running=True, doing="rollback")
        assert call.snapshot is not None
        image = self.host.images.get(call.snapshot.id)
        if image is None:
            raise _refused("no such snapshot", Reason.SNAPSHOT_NOT_FOUND)
        self.memory.rollback(image)
        self.bound = True
        return self.generation

    def _must(self, *, running: bool, doing: str) -> None:
        if not self.alive:
            raise _refused(f"cannot {doing}: it has ended")
        if self.split or self.paused is running:
            raise _refused(f"cannot {doing}: it is {self.says}")

    def _changed(self, what: str) -> None:
        self._lie = None
        self.note_truth()
        self.host.publish(self, what)

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


def _refused(text: str, reason: Reason = Reason.RUNTIME_REFUSED) -> CallFailed:
    fault = Fault(code=Code.FAILED_PRECONDITION, reason=reason, message=text)
    return CallFailed(fault, call=Call.ANSWERED)
