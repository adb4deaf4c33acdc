"""Never lost: whichever commit the store refuses, nothing is acknowledged that is not on disk.

One scenario with all kinds of requests runs once for each commit that it makes, with that one
refused, and once for each with all from there on refused until the store heals.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from cubelet.core.effects import Entry
from cubelet.core.faults import CubeletError
from cubelet.core.model import Key, State
from cubelet.engine.engine import Engine
from cubelet.engine.ports import Capabilities, StoreFailed
from tests.support.engine import SPEC, ToyRuntime, Tube, loses_connection, refuses, takes
from tests.support.virtual_time import in_virtual_time, run_virtual

FULL = StoreFailed("disk full", cause="SQLITE_FULL")
CALM_S = 100
Ask = Callable[[Engine], Awaitable[object]]


def key(name: str) -> Key:
    return Key(value=name, digest=name)


REQUESTS: list[tuple[str, Ask, list[object]]] = [
    ("create", lambda e: e.create(SPEC, sandbox_id="sb", namespace="", key=key("c")), []),
    ("pause", lambda e: e.pause("sb", key=key("p1")), []),
    ("resume", lambda e: e.resume("sb", key=key("r1")), []),
    ("commit", lambda e: e.commit("sb", snapshot_id="one", key=key("s1")), []),
    ("failing pause", lambda e: e.pause("sb", key=key("p2")), [refuses("runc said no")]),
    ("lost pause", lambda e: e.pause("sb"), [loses_connection]),
    ("rollback", lambda e: e.rollback("sb", snapshot_id="one"), []),
    ("failing create", lambda e: e.create(SPEC, sandbox_id="no", namespace=""), [refuses("no")]),
    ("delete", lambda e: e.delete("sb", key=key("d")), []),
    ("create again", lambda e: e.create(SPEC, sandbox_id="sb", namespace=""), []),
]


async def scenario(tube: Tube, engine: Engine) -> None:
    """Each request in turn; what is acknowledged must be on disk at that very moment."""
    for name, ask, plans in REQUESTS:
        tube.toy.plans.clear()
        tube.toy.plans.extend(plans)  # type: ignore[arg-type]
        try:
            async with asyncio.timeout(200):
                await ask(engine)
        except CubeletError:
            pass
        else:
            check_visible(tube, engine, name)
        await asyncio.sleep(1)
    await deleted_while_created(tube, engine)


async def deleted_while_created(tube: Tube, engine: Engine) -> None:
    tube.toy.plans.clear()
    tube.toy.plans.append(takes(2))
    create = asyncio.create_task(engine.create(SPEC, sandbox_id="brief", namespace=""))
    await asyncio.sleep(1)
    async with asyncio.timeout(200):
        outcomes = await asyncio.gather(create, engine.delete("brief"), return_exceptions=True)
    assert isinstance(outcomes[0], CubeletError) or outcomes[1] is not None


def check_visible(tube: Tube, engine: Engine, name: str) -> None:
    view = {record.id: record for record in engine.view()}
    disk = tube.store.records
    assert {key: record.revision for key, record in view.items()} == {
        key: record.revision for key, record in disk.items()
    }, f"after {name}"
    assert {key: record.state for key, record in view.items()} == {
        key: record.state for key, record in disk.items()
    }, f"after {name}"


def check_journal(entries: list[Entry]) -> None:
    """Each change follows the one before it, for each life of each sandbox."""
    last: dict[tuple[str, str], tuple[int, State]] = {}
    for entry in entries:
        life = (entry.sandbox_id, entry.incarnation)
        revision, state = last.get(life, (0, None))
        assert entry.revision == revision + 1, entry
        assert entry.before is state, entry
        last[life] = (entry.revision, entry.after)


async def one_run(refused: Callable[[int], bool]) -> int:
    """The scenario over a store that refuses these commits; how many were asked for."""
    toy = ToyRuntime(capabilities=Capabilities(snapshots=True, opaque_restore=True))
    tube = Tube(toy=toy)
    tube.store.refuse = lambda number: FULL if refused(number) else None
    engine = tube.engine()
    await engine.start()
    await scenario(tube, engine)
    asked = tube.store.commits
    tube.store.refuse = lambda _: None
    toy.plans.clear()
    await asyncio.sleep(CALM_S)
    check_visible(tube, engine, "the calm")
    check_journal(tube.store.entries)
    settled = {State.RUNNING, State.PAUSED, State.EXITED}
    assert all(record.state in settled for record in engine.view()), list(engine.view())
    for record in list(engine.view()):
        await engine.delete(record.id)
    assert tube.store.records == {}
    await engine.close()
    return asked


@in_virtual_time
async def test_never_lost_without_a_failure() -> None:
    assert await one_run(lambda _: False) > len(REQUESTS) * 2


def test_never_lost_whichever_commit_is_refused_once() -> None:
    count = run_virtual(one_run(lambda _: False))
    for nth in range(1, count + 1):
        run_virtual(one_run(lambda number, nth=nth: number == nth))  # type: ignore[misc]


def test_never_lost_whichever_commit_is_the_first_of_many_that_are_refused() -> None:
    count = run_virtual(one_run(lambda _: False))
    for nth in range(1, count + 1):
        run_virtual(one_run(lambda number, nth=nth: number >= nth))  # type: ignore[misc]


def test_never_lost_by_an_agent_that_starts_over_a_refusing_store() -> None:
    """What was in flight is undone or settled once the store works, and deletes end."""

    async def main() -> None:
        tube = Tube()
        engine = tube.engine()
        await engine.start()
        tube.toy.plans.append(takes(1000))
        create = asyncio.create_task(engine.create(SPEC, sandbox_id="sb", namespace=""))
        await asyncio.sleep(1)
        await engine.close()
        create.cancel()
        again = tube.restarted()
        again.store.refuse = lambda number: FULL if number <= 3 else None
        engine = again.engine()
        await engine.start()
        await asyncio.sleep(CALM_S)
        assert (list(engine.view()), again.store.records) == ([], {})
        await engine.create(SPEC, sandbox_id="sb", namespace="")
        await engine.close()

    run_virtual(main())
