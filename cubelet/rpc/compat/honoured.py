"""What a field asks for is done or refused by name, never passed over."""

from __future__ import annotations

from collections.abc import Container, Iterator

from google.protobuf.message import Message

from cubelet.rpc.compat.answers import refuse


def unhonoured(message: Message, honoured: Container[str]) -> Iterator[str]:
    """Names of the fields that ask for something else; an empty message asks for nothing."""
    for field, value in message.ListFields():
        says = not isinstance(value, Message) or value.ByteSize()
        if says and field.name not in honoured:
            yield field.name


def refuse_fields(*names: str) -> None:
    """Refuse the request if there are any."""
    if names:
        raise refuse(f"this agent cannot do what {', '.join(names)} asks for: leave it out")
