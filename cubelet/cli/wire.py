"""What the two ways to the agent have in common."""

from __future__ import annotations

from typing import Protocol

from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass


class Wire(Protocol):
    """One way to the agent. It connects with the first call, and anew where that was lost."""

    def call(self, method: MethodDescriptor, request: Message) -> Message:
        """The reply of a unary method; raises Failure."""
        ...

    def close(self) -> None:
        """End the connection, if there is one."""
        ...


def reply_type(method: MethodDescriptor) -> type[Message]:
    """The class of a method's reply."""
    return GetMessageClass(method.output_type)
