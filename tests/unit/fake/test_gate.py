"""What the events failpoint does to a row of events."""

from __future__ import annotations

import pytest
from google.protobuf.message import Message

from shimclient.api.events_pb2 import TaskOOM
from shimclient.fake.failpoints import parse_failpoints
from shimclient.fake.gate import EventGate
from shimclient.fake.points import LivePoints


@pytest.mark.parametrize(
    ("script", "sent"),
    [
        ("", "abcd"),
        ("events=1*drop", "bcd"),
        ("events=drop", ""),
        ("events=1*off->1*repeat(2)", "abbbcd"),
        ("events=1*reorder(1)", "bacd"),
        ("events=1*reorder(2)", "bcad"),
        ("events=1*reorder(4)", "bcd"),
        ("events=2*reorder(2)", "cdab"),
        ("events=1*reorder(1)->1*drop", "cad"),
    ],
)
def test_what_is_sent_of_four_events(script: str, sent: str) -> None:
    out: list[Message] = []
    gate = EventGate(out.append, LivePoints(parse_failpoints(script)))
    for name in "abcd":
        gate.publish(TaskOOM(container_id=name))
    gate.close()
    assert out == [TaskOOM(container_id=name) for name in sent]
