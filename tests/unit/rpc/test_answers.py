"""Every reason has its code in each of the four tables. A new reason fails here first."""

from __future__ import annotations

import pytest

from cubelet.core.faults import Code, Fault, Reason, error
from cubelet.rpc.compat.answers import CREATE, DESTROY, PAUSE, RESUME, answering
from cubelet.services.cubebox.v1 import cubebox_pb2 as pb
from tests.unit.rpc.fakes import CountingIds

BAD, STATE, BUG, OK = 130483, 130490, -1, 200
BUSY = 130480
P, R, C, D = 130588, 130589, 130507, 130506

CODES = {
    Reason.BAD_REQUEST: (BAD, BAD, BAD, BAD),
    Reason.UNKNOWN_RUNTIME: (P, R, BAD, D),
    Reason.TEMPLATE_NOT_FOUND: (P, R, 130456, D),
    Reason.SANDBOX_NOT_FOUND: (BAD, BAD, BAD, OK),
    Reason.AMBIGUOUS_ID: (BAD, BAD, BAD, BAD),
    Reason.SANDBOX_EXISTS: (P, R, 130409, D),
    Reason.UNREADABLE_RECORD: (P, R, C, D),
    Reason.STALE_EPOCH: (P, R, C, D),
    Reason.ALREADY_PAUSED: (STATE, R, C, D),
    Reason.ALREADY_RUNNING: (P, STATE, C, D),
    Reason.NOT_RUNNING: (STATE, R, C, D),
    Reason.CREATE_IN_PROGRESS: (P, R, C, D),
    Reason.PAUSE_IN_PROGRESS: (STATE, R, C, D),
    Reason.RESUME_IN_PROGRESS: (P, R, C, D),
    Reason.DELETE_IN_PROGRESS: (STATE, R, C, D),
    Reason.RUNTIME_DEADLINE: (P, R, C, D),
    Reason.RUNTIME_REFUSED: (P, R, C, D),
    Reason.RUNTIME_LOST: (P, R, C, D),
    Reason.RUNTIME_UNREACHABLE: (P, R, C, D),
    Reason.AGENT_RESTARTED: (P, R, C, D),
    Reason.DELETED_MEANWHILE: (P, R, C, OK),
    Reason.STORE_FAILED: (P, R, C, D),
    Reason.TOO_BUSY: (P, R, BUSY, BUSY),
    Reason.SHUTTING_DOWN: (P, R, C, D),
    # These three end the agent before it serves; no request meets them.
    Reason.BAD_CONFIG: (P, R, C, D),
    Reason.STATE_DIR_TAKEN: (P, R, C, D),
    Reason.STATE_DIR_UNUSABLE: (P, R, C, D),
    Reason.BUG: (BUG, BUG, BUG, BUG),
}


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_in_every_table(reason: Reason) -> None:
    found = tuple(table[reason].code for table in (PAUSE, RESUME, CREATE, DESTROY))
    assert found == CODES[reason]


@pytest.mark.parametrize("reason", Reason)
async def test_no_reason_leaves_ret_or_its_text_out(reason: Reason) -> None:
    async def work() -> None:
        raise error(Code.INTERNAL, reason, "the runtime's text")

    for table in (PAUSE, RESUME, CREATE, DESTROY):
        request, reply = pb.UpdateCubeSandboxRequest(), pb.UpdateCubeSandboxResponse()
        done = await answering(
            "Update", request, reply, ids=CountingIds(), table=table, work=work()
        )
        assert done.HasField("ret")
        assert done.ret.ret_code not in (0, OK) or table[reason].code == OK
        assert bool(done.ret.ret_msg) is (table[reason].code != OK)


def test_the_failed_call_speaks_for_itself() -> None:
    fault = Fault(code=Code.INTERNAL, reason=Reason.RUNTIME_REFUSED, message="x")
    assert all(t[fault.reason].message is None for t in (PAUSE, RESUME, CREATE, DESTROY))
