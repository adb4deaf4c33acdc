"""A long List lets others have their turn."""

from __future__ import annotations

import asyncio

from cubelet.rpc.compat.listing import list_sandboxes
from cubelet.services.cubebox.v1 import cubebox_pb2 as pb
from tests.unit.rpc.fakes import FakeAgent


async def test_a_long_list_blocks_nobody() -> None:
    agent = FakeAgent()
    for n in range(1000):
        agent.add(f"s{n}")
    listing = asyncio.ensure_future(list_sandboxes(agent, pb.ListCubeSandboxRequest()))
    turns = 0
    while not listing.done():
        await asyncio.sleep(0)
        turns += 1
        agent.records.clear()
    assert turns >= 10
    assert len(listing.result().items) == 1000
