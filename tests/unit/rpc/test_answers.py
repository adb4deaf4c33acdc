"""Every reason has its code in each of the seven tables. A new reason fails here first."""

from __future__ import annotations

import pytest

from cubelet.core.faults import Code, Fault, Reason, error
from cubelet.rpc.compat.answers import answering
from cubelet.rpc.compat.tables import CATALOG, COMMIT, CREATE, DESTROY, PAUSE, RESUME, ROLLBACK
from cubelet.services.cubebox.v1 import cubebox_pb2 as pb
from tests.unit.rpc.fakes import CountingIds

TABLES = (PAUSE, RESUME, CREATE, DESTROY, COMMIT, ROLLBACK, CATALOG)

BAD, STATE, BUG, OK = 130483, 130490, -1, 200
BUSY, CONFLICT, UNMET = 130480, 130409, 130568
P, R, C, D, G = 130588, 130589, 130507, 130506, 130500

CODES = {
    Reason.BAD_REQUEST: (BAD, BAD, BAD, BAD, BAD, BAD, BAD),
    Reason.UNKNOWN_RUNTIME: (P, R, BAD, D, G, G, G),
    Reason.TEMPLATE_NOT_FOUND: (P, R, 130456, D, G, G, G),
    Reason.SANDBOX_NOT_FOUND: (BAD, BAD, BAD, OK, BAD, BAD, BAD),
    Reason.AMBIGUOUS_ID: (BAD, BAD, BAD, BAD, BAD, BAD, BAD),
    Reason.SANDBOX_EXISTS: (P, R, CONFLICT, D, G, G, G),
    Reason.UNREADABLE_RECORD: (P, R, C, D, G, G, G),
    Reason.STALE_EPOCH: (P, R, C, D, G, G, G),
    Reason.UNEXPECTED_STATE: (P, R, C, D, UNMET, UNMET, UNMET),
    Reason.KEY_REUSED: (BAD, BAD, BAD, BAD, BAD, BAD, BAD),
    Reason.ALREADY_PAUSED: (STATE, R, C, D, G, G, G),
    Reason.ALREADY_RUNNING: (P, STATE, C, D, G, G, G),
    Reason.NOT_RUNNING: (STATE, R, C, D, UNMET, STATE, G),
    Reason.CREATE_IN_PROGRESS: (P, R, C, D, UNMET, UNMET, G),
    Reason.PAUSE_IN_PROGRESS: (STATE, R, C, D, UNMET, UNMET, G),
    Reason.RESUME_IN_PROGRESS: (P, R, C, D, UNMET, UNMET, G),
    Reason.DELETE_IN_PROGRESS: (STATE, R, C, D, UNMET, STATE, G),
    Reason.SNAPSHOT_IN_PROGRESS: (P, R, C, D, CONFLICT, CONFLICT, CONFLICT),
    Reason.SNAPSHOT_EXISTS: (P, R, C, D, CONFLICT, CONFLICT, CONFLICT),
    Reason.SNAPSHOT_NOT_FOUND: (P, R, 130498, D, UNMET, UNMET, UNMET),
    Reason.SNAPSHOTS_UNSUPPORTED: (P, R, UNMET, D, UNMET, UNMET, UNMET),
    Reason.STALE_BASE: (P, R, C, D, UNMET, UNMET, UNMET),
    Reason.DIVERGED: (P, R, C, D, UNMET, UNMET, UNMET),
    Reason.RUNTIME_DEADLINE: (P, R, C, D, G, G, G),
    Reason.RUNTIME_REFUSED: (P, R, C, D, G, G, G),
    Reason.RUNTIME_LOST: (P, R, C, D, G, G, G),
    Reason.RUNTIME_UNREACHABLE: (P, R, C, D, G, G, G),
    Reason.AGENT_RESTARTED: (P, R, C, D, G, G, G),
    Reason.DELETED_MEANWHILE: (P, R, C, OK, G, G, G),
    Reason.STORE_FAILED: (P, R, C, D, G, G, G),
    Reason.TOO_BUSY: (P, R, BUSY, BUSY, BUSY, BUSY, BUSY),
    Reason.SHUTTING_DOWN: (P, R, C, D, G, G, G),
    # Only a repair of the native API meets these three.
    Reason.REPAIR_IN_PROGRESS: (P, R, C, D, G, G, G),
    Reason.NOT_DIVERGED: (P, R, C, D, G, G, G),
    Reason.HEAL_UNSUPPORTED: (P, R, C, D, G, G, G),
    # Only a backup of the native API meets this one.
    Reason.BACKUP_EXISTS: (P, R, C, D, G, G, G),
    # These three end the agent before it serves; no request meets them.
    Reason.BAD_CONFIG: (P, R, C, D, G, G, G),
    Reason.STATE_DIR_TAKEN: (P, R, C, D, G, G, G),
    Reason.STATE_DIR_UNUSABLE: (P, R, C, D, G, G, G),
    Reason.BUG: (BUG, BUG, BUG, BUG, BUG, BUG, BUG),
}


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_in_every_table(reason: Reason) -> None:
    assert tuple(table[reason].code for table in TABLES) == CODES[reason]


@pytest.mark.parametrize("reason", Reason)
async def test_no_reason_leaves_ret_or_its_text_out(reason: Reason) -> None:
    async def work() -> None:
        raise error(Code.INTERNAL, reason, "the runtime's text")

    for table in TABLES:
        request, reply = pb.UpdateCubeSandboxRequest(), pb.UpdateCubeSandboxResponse()
        done = await answering(
            "Update", request, reply, ids=CountingIds(), table=table, work=work()
        )
        assert done.HasField("ret")
        assert done.ret.ret_code not in (0, OK) or table[reason].code == OK
        assert bool(done.ret.ret_msg) is (table[reason].code != OK)


def test_the_failed_call_speaks_for_itself() -> None:
    fault = Fault(code=Code.INTERNAL, reason=Reason.RUNTIME_REFUSED, message="x")
    assert all(table[fault.reason].message is None for table in TABLES)
