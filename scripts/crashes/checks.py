"""What must be so after each restart: all that was acknowledged, no false end, every view true."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import psutil

from cubelet.api.v1 import sandboxes_pb2 as api
from cubelet.runtime.places import place_of
from scripts.crashes.lives import NONE, Answer, Life
from scripts.crashes.load import Broken, Load, lasting, name_of
from scripts.crashes.rig import Refused, Rig
from shimclient.address import socket_path
from shimclient.client import Client
from shimclient.errors import ConnectFailed, NotFound, ShimError
from shimclient.fake.protocol import true_status
from shimclient.task import Status, Task
from tests.support import leftovers

CONVERGED_S: Final = 2.0
#: The agent's own limit for a removal.
REMOVED_S: Final = 30.0
_LOOK_S: Final = 0.02
_ASK_S: Final = 5.0
_AT_ONCE: Final = 32
_REPEATED_MAX: Final = 200
_JOURNALS_MAX: Final = 60
_JOURNAL_LINES: Final = 1000
_TRANSIENT: Final = frozenset({"CREATED", "PAUSING", "RESUMING"})


async def verify(load: Load, *, within_s: float = CONVERGED_S) -> float:
    """Check everything; the seconds from serving until each view is true. Raises Broken, Died."""
    took_s = await converged(load, within_s=within_s)
    await _repeat(load)
    await _journals(load)
    await _snapshots(load)
    return took_s


async def converged(load: Load, *, within_s: float) -> float:
    """Wait until List says of each sandbox what its shim does, and nothing is under way.

    A removal that goes on is no untrue view; it has its own time, and the seconds are without it.
    """
    took_s: float | None = None
    while True:
        listed = await load.rig.listed()
        never = [_never_so(life, listed.get(life.id)) for life in load.lives]
        if wrong := [why for why in never if why]:
            raise Broken("; ".join(wrong[:5]))
        removing = [name for name, one in listed.items() if name_of(one) == "DELETED"]
        differ = await _differences(load, listed)
        age_s = time.monotonic() - load.rig.served_s
        if not differ and took_s is None:
            took_s = age_s
        if took_s is not None and not removing:
            return took_s
        if age_s > (within_s if took_s is None else REMOVED_S):
            what = [*differ, *(f"{name} is still being removed" for name in removing)]
            raise Broken(f"not so {age_s:.2f} s after the start: {'; '.join(what[:5])}")
        await asyncio.sleep(_LOOK_S)


def _never_so(life: Life, shown: api.Sandbox | None) -> str:
    """What is wrong already, however soon after the start; "" for nothing."""
    if shown is None:
        missing = NONE not in life.allowed
        return f"{life.id} was {life.state}, and is missing" if missing else ""
    if name_of(shown) == "EXITED" and not life.may_end:
        return f"{life.id} shows as EXITED ({shown.exit_reason}), and nobody has ended it"
    if shown.revision < life.revision:
        return f"{life.id} is at revision {shown.revision}, and {life.revision} was acknowledged"
    if life.allowed == {NONE}:
        return f"{life.id} is there as {name_of(shown)}, and its end was acknowledged"
    return ""


async def _differences(load: Load, listed: Mapping[str, api.Sandbox]) -> list[str]:
    """What is not yet as it must be."""
    known = {life.id for life in load.lives}
    differ = [f"nobody asked for {name}" for name in listed.keys() - known]
    shown = [life for life in load.lives if life.id in listed]
    turns = asyncio.Semaphore(_AT_ONCE)

    async def truth(life: Life) -> str:
        async with turns:
            return await _truth(load.rig, life)

    truths = await asyncio.gather(*(truth(life) for life in shown))
    for life, true in zip(shown, truths, strict=True):
        sandbox = listed[life.id]
        says = name_of(sandbox)
        if says == "DELETED" or (says == "EXITED" and life.may_end):
            continue
        if says in _TRANSIENT or sandbox.HasField("operation"):
            differ.append(f"{life.id} is still {says}")
        elif says not in life.allowed:
            differ.append(f"{life.id} shows as {says}, and was to be {life.allowed}")
        elif says != true:
            differ.append(f"{life.id} shows as {says}, its shim says {true or 'nothing'}")
    folders = {path.name for path in (load.rig.folder / "sandboxes").glob("*")}
    differ += [
        f"the folder of {name} is there, and no such sandbox" for name in folders - set(listed)
    ]
    return differ


async def _truth(rig: Rig, life: Life) -> str:
    """What its shim says, or for a fake one what its VM does; "" for nothing."""
    try:
        address = (place_of(rig.folder, life.id).bundle / "address").read_text()
        rig.sockets.add(socket_path(address))
        client = await Client.connect(address)
    except (FileNotFoundError, ConnectFailed):
        return ""
    try:
        if life.spec.runtime == "fake":
            status = (await true_status(client, life.id, local_timeout_s=_ASK_S)).status
            return Status(status).name
        return (await Task(client).state(life.id, local_timeout_s=_ASK_S)).status.name
    except (NotFound, ShimError):
        return ""
    finally:
        await client.close()


async def _repeat(load: Load) -> None:
    """Send again what was answered: the same key gets the same answer."""
    asks = []
    for life in load.lives:
        fresh = life.answers[life.repeated :]
        life.repeated = len(life.answers)
        old = load.dice.sample(life.answers, min(1, len(life.answers)))
        asks += [(life, answer) for answer in (*fresh, *old)]
    for life, answer in load.dice.sample(asks, min(_REPEATED_MAX, len(asks))):
        again = await _again(load.rig, answer)
        if again != answer:
            raise Broken(
                f"{life.id}: {answer.ask.verb} {answer.ask.request.idempotency_key} was answered"
                f" {answer}, and now {again}"
            )


async def _again(rig: Rig, answer: Answer) -> Answer:
    ask = answer.ask
    try:
        reply = await rig.ask(ask.verb, ask.request, ask.reply, over_grpc=ask.over_grpc)
    except Refused as refused:
        return Answer(ask, refusal=(refused.code, refused.message))
    return Answer(ask, lasting(reply))


async def _journals(load: Load) -> None:
    """Revisions without a gap, each change from where the last one led, and all that was told."""
    lives = [life for life in load.lives if life.answers]
    for life in load.dice.sample(lives, min(_JOURNALS_MAX, len(lives))):
        request = api.JournalRequest(id=life.id, limit=_JOURNAL_LINES)
        lines = (await load.rig.ask("Journal", request, api.JournalResponse)).entries
        for earlier, later in itertools.pairwise(lines):
            if earlier.incarnation != later.incarnation:
                continue
            if later.revision != earlier.revision + 1 or later.before != earlier.after:
                raise Broken(f"the journal of {life.id} has a gap: {earlier} {later}")
        written = {(line.revision, line.after) for line in lines}
        for answer in life.answers:
            if answer.reply is None or answer.ask.verb == "Delete":
                continue
            told = answer.reply.sandbox
            if (told.revision, told.state) not in written:
                raise Broken(f"the journal of {life.id} has no line of what was told: {told}")


async def _snapshots(load: Load) -> None:
    """Each that was acknowledged is in the catalog and on the disk."""
    wanted = {name for life in load.lives for name in life.snapshots}
    found: set[str] = set()
    token = ""
    while True:
        request = api.ListSnapshotsRequest(page_token=token)
        page = await load.rig.ask("ListSnapshots", request, api.ListSnapshotsResponse)
        found |= {one.id for one in page.snapshots if _there(one)}
        token = page.next_page_token
        if not token:
            break
    if lost := wanted - found:
        raise Broken(f"snapshots are lost: {sorted(lost)[:5]}")


def _there(snapshot: api.Snapshot) -> bool:
    return Path(snapshot.path).is_dir()


async def nothing_left(rig: Rig, *, within_s: float = 5.0) -> None:
    """After all was deleted and the agent has ended: no process, mount, group, folder or socket."""
    end_s = time.monotonic() + within_s
    while left := await asyncio.to_thread(_left, rig):
        if time.monotonic() > end_s:
            raise Broken(f"left behind: {'; '.join(left[:8])}")
        await asyncio.sleep(_LOOK_S)


def _left(rig: Rig) -> list[str]:
    left = [*leftovers.remains_of(rig.folder), *filter(os.path.exists, rig.sockets)]
    for folder in ("sandboxes", "snapshots/.attempts", "runc/default"):
        left += [str(path) for path in (rig.folder / folder).glob("*")]
    with contextlib.suppress(psutil.NoSuchProcess):
        left += [
            f"process {one.pid} {one.info['cmdline']}"
            for one in psutil.process_iter(["cmdline"])
            if str(rig.folder) in " ".join(one.info["cmdline"] or ())
        ]
    return left
