"""What every shim does with a task in fair weather: states, refusals, events."""

from __future__ import annotations

import asyncio
import os

import pytest

from shimclient.api import events_pb2
from shimclient.errors import NotFound, Refused
from shimclient.skeleton.sockets import CONTAINERD_SOCKET_DIR, socket_name
from shimclient.task import Status
from tests.support.labs import PATIENCE_S, ShimLab
from tests.support.polling import eventually, until


async def status(lab: ShimLab) -> Status:
    return (await lab.task.state(lab.id, local_timeout_s=PATIENCE_S)).status


async def test_a_whole_life_and_its_events(lab: ShimLab) -> None:
    pid = await lab.create()
    os.kill(pid, 0)  # containerd needs the pid of a living process.
    state = await lab.task.state(lab.id, local_timeout_s=PATIENCE_S)
    assert (state.status, state.pid, state.exited_at_ns) == (Status.CREATED, pid, None)
    assert state.bundle == str(lab.bundle)
    assert await lab.task.start(lab.id, local_timeout_s=PATIENCE_S) == pid
    assert await status(lab) is Status.RUNNING
    for _ in range(2):
        await lab.task.pause(lab.id, local_timeout_s=PATIENCE_S)
        assert await status(lab) is Status.PAUSED
        await lab.task.resume(lab.id, local_timeout_s=PATIENCE_S)
        assert await status(lab) is Status.RUNNING
    await lab.task.kill(lab.id, 9, local_timeout_s=PATIENCE_S)
    ended = await lab.task.wait(lab.id, local_timeout_s=PATIENCE_S)
    assert (ended.exit_status, ended.exited_at_ns is None) == (137, False)
    assert await status(lab) is Status.STOPPED
    assert (await lab.task.delete(lab.id, local_timeout_s=PATIENCE_S)).exit_status == 137
    with pytest.raises(NotFound):
        await status(lab)

    events = await lab.events_until("/tasks/delete")
    assert [event.topic.removeprefix("/tasks/") for event in events] == [
        *("create", "start", "paused", "resumed", "paused", "resumed", "exit", "delete")
    ]
    assert {(event.namespace, event.container_id, event.exec_id) for event in events} == {
        ("contract", lab.id, "")
    }
    exited = events[-2].message
    assert isinstance(exited, events_pb2.TaskExit)
    assert (exited.pid, exited.exit_status) == (pid, 137)
    assert [event.at_ns for event in events] == sorted(event.at_ns for event in events)


async def refusals(lab: ShimLab, *operations: str) -> None:
    """Each of the operations is answered with code 2 and changes nothing."""
    before = await status(lab)
    for operation in operations:
        with pytest.raises(Refused) as caught:
            await getattr(lab.task, operation)(lab.id, local_timeout_s=PATIENCE_S)
        assert (operation, caught.value.code) == (operation, 2)
        assert await status(lab) is before


async def test_what_a_state_does_not_allow_is_code_2(lab: ShimLab) -> None:
    await lab.create()
    await refusals(lab, "pause", "resume")
    await lab.task.start(lab.id, local_timeout_s=PATIENCE_S)
    await refusals(lab, "resume", "start", "delete")
    await lab.task.pause(lab.id, local_timeout_s=PATIENCE_S)
    await refusals(lab, "pause", "start", "delete")
    await lab.task.kill(lab.id, 9, local_timeout_s=PATIENCE_S)
    await lab.task.wait(lab.id, local_timeout_s=PATIENCE_S)
    await refusals(lab, "pause", "resume", "start")
    with pytest.raises(NotFound):
        await lab.task.kill(lab.id, 9, local_timeout_s=PATIENCE_S)


async def test_an_unknown_id_is_code_5(lab: ShimLab) -> None:
    await lab.run()
    for operation in ("state", "pause", "resume", "wait", "delete"):
        with pytest.raises(NotFound):
            await getattr(lab.task, operation)("nobody", local_timeout_s=PATIENCE_S)
    with pytest.raises(NotFound):
        await lab.task.kill("nobody", 9, local_timeout_s=PATIENCE_S)


async def moves(lab: ShimLab) -> None:
    """The task's progress grows."""
    start = await lab.progress()

    async def moved() -> bool:
        return await lab.progress() > start

    await until(moved, what="the task moves")


async def test_a_paused_task_stands_still_and_goes_on_after(lab: ShimLab) -> None:
    await lab.run()
    await moves(lab)
    await lab.task.pause(lab.id, local_timeout_s=PATIENCE_S)
    seen = [await lab.progress()]
    for _ in range(10):
        await asyncio.sleep(0.02)
        seen.append(await lab.progress())
    assert len(set(seen)) == 1
    await lab.task.resume(lab.id, local_timeout_s=PATIENCE_S)
    await moves(lab)


async def test_killing_a_paused_task_ends_it_with_137_and_no_resumed_event(lab: ShimLab) -> None:
    await lab.run()
    await lab.task.pause(lab.id, local_timeout_s=PATIENCE_S)
    await lab.task.kill(lab.id, 9, local_timeout_s=PATIENCE_S)
    assert (await lab.task.wait(lab.id, local_timeout_s=PATIENCE_S)).exit_status == 137
    topics = [event.topic for event in await lab.events_until("/tasks/exit")]
    assert topics == ["/tasks/create", "/tasks/start", "/tasks/paused", "/tasks/exit"]


async def test_the_socket_has_the_name_that_containerd_computes(lab: ShimLab) -> None:
    name = socket_name(str(lab.bundle), "contract", lab.id)
    folder, _, found = lab.address.address.removeprefix("unix://").rpartition("/")
    assert found == name
    assert (folder == CONTAINERD_SOCKET_DIR) is (os.geteuid() == 0)
    assert (lab.bundle / "address").read_text() == lab.address.address
    await lab.create()


async def test_a_second_start_answers_the_address_of_the_first(lab: ShimLab) -> None:
    await lab.run()
    assert (await lab.start_again()).address == lab.address.address
    assert (await lab.task.connect(lab.id, local_timeout_s=PATIENCE_S)).shim_pid == lab.shim_pid


async def test_a_task_whose_process_is_killed_from_outside_has_exited(lab: ShimLab) -> None:
    pid = await lab.run()
    os.kill(pid, 9)
    ended = await lab.task.wait(lab.id, local_timeout_s=PATIENCE_S)
    assert ended.exit_status == 137
    assert (await lab.events_until("/tasks/exit"))[-1].container_id == lab.id


async def test_shutdown_with_a_task_does_nothing_and_without_one_ends_the_process(
    lab: ShimLab,
) -> None:
    await lab.run()
    await lab.task.shutdown(lab.id, local_timeout_s=PATIENCE_S)
    assert await status(lab) is Status.RUNNING
    await lab.task.kill(lab.id, 9, local_timeout_s=PATIENCE_S)
    await lab.task.wait(lab.id, local_timeout_s=PATIENCE_S)
    await lab.task.delete(lab.id, local_timeout_s=PATIENCE_S)
    await lab.task.shutdown(lab.id, local_timeout_s=PATIENCE_S)
    async with asyncio.timeout(PATIENCE_S):
        await lab.client.wait_closed()
    socket_path = lab.address.address.removeprefix("unix://")
    await eventually(lambda: not os.path.exists(socket_path), what="the socket is removed")  # noqa: PTH110
