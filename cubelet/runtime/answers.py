"""What a shim's answer proves. Pure, but for the identities it is given.

A status counts only with a living pid beside it; everything else that is no exit is "no answer".
"""

from __future__ import annotations

from cubelet.core.evidence import Alive, Contradicted, Ended, Evidence, Gone, NoAnswer, Status
from cubelet.core.model import Handle
from cubelet.runtime.identity import Identity, boot_id
from shimclient import ConnectFailed, NotFound, ShimError, TransportLost
from shimclient.task import Status as TaskStatus
from shimclient.task import TaskState

_LIVING = {
    TaskStatus.CREATED: Status.CREATED,
    TaskStatus.RUNNING: Status.RUNNING,
    TaskStatus.PAUSING: Status.PAUSING,
    TaskStatus.PAUSED: Status.PAUSED,
}


def shim_of(handle: Handle) -> Identity:
    """The shim process of a handle."""
    return _here(handle, Identity(handle.shim_pid, handle.shim_start_ticks))


def init_of(handle: Handle) -> Identity:
    """The first process of a handle's sandbox."""
    return _here(handle, Identity(handle.pid, handle.pid_start_ticks))


def evidence_of(state: TaskState) -> Evidence:
    """The meaning of an answer that came."""
    if state.status is TaskStatus.STOPPED:
        return Ended(exit_code=state.exit_status, finished_at_ns=state.exited_at_ns or 0)
    status = _LIVING.get(state.status)
    if status is None:
        return NoAnswer(why=f"the shim answered the status {state.status.name}")
    if not state.pid:
        return NoAnswer(why=f"the shim says {status} without a process")
    return Alive(status=status, pid=state.pid)


def unless_contradicted(alive: Alive, *, frozen: bool | None) -> Alive | Contradicted:
    """A shim's word against that of the kernel's freezer, which says nothing where it is None.

    A runc that was killed in the middle leaves its shim with the old state: RUNNING over frozen
    processes, or PAUSED over running ones (seen with containerd 1.6).
    """
    says_frozen = {Status.PAUSED: True, Status.RUNNING: False}.get(alive.status)
    if frozen is None or says_frozen is None or frozen is says_frozen:
        return alive
    return Contradicted(says=alive.status, frozen=frozen, pid=alive.pid)


def evidence_without_state(error: ShimError, handle: Handle) -> Evidence:
    """The meaning of a question that was not answered.

    Gone needs both: that the shim has no task (or is no more), and that its process is no more.
    """
    match error:
        case NotFound():
            return _gone_unless(init_of(handle), "the shim knows no such task")
        case ConnectFailed() | TransportLost():
            shim = shim_of(handle)
            if shim.alive:
                return NoAnswer(why=f"shim {shim.pid} lives but cannot be reached: {error}")
            return _gone_unless(init_of(handle), f"shim {shim.pid} is gone")
        case _:
            return NoAnswer(why=str(error))


def _here(handle: Handle, process: Identity) -> Identity:
    """The process, unless it was one of another boot: nobody is that process any more."""
    now = boot_id()
    return process if handle.boot_id in {"", now} or not now else Identity(process.pid, 0)


def _gone_unless(init: Identity, why: str) -> Evidence:
    if init.alive:
        return NoAnswer(why=f"{why}, its process {init.pid} lives")
    return Gone(why=f"{why}, its process {init.pid} has ended")
