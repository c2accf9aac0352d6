"""What an Anthropic-format upstream answers: the events of a stream and the body of a batch. Only the fields read."""

from typing import Any, Final

import msgspec

from services.gateway.wire.mend import BROKEN, mended


class Block(msgspec.Struct, gc=False):
    """A content block, whole or as it starts."""

    type: str = ""
    id: str | None = None
    name: str | None = None
    text: str | None = None
    thinking: str | None = None
    signature: str | None = None
    data: str | None = None  # of redacted_thinking
    input: msgspec.Raw = msgspec.Raw()


class Delta(msgspec.Struct, gc=False):
    """A fragment of a block, or the end of the message."""

    type: str = ""
    text: str | None = None
    thinking: str | None = None
    partial_json: str | None = None
    signature: str | None = None
    stop_reason: str | None = None
    stop_sequence: str | None = None
    stop_details: Any = None


class MessageHead(msgspec.Struct, gc=False):
    """The message as it starts."""

    id: str | None = None
    model: str | None = None
    usage: Any = None


class StreamEvent(msgspec.Struct, gc=False):
    """Any event of a stream; which fields are there depends on the type."""

    type: str | None = None
    index: int = 0
    delta: Delta | None = None
    content_block: Block | None = None
    message: MessageHead | None = None
    usage: Any = None
    error: Any = None
    code: Any = None


class Message(msgspec.Struct, gc=False):
    """A batch answer, or an error in its place."""

    id: str | None = None
    model: str | None = None
    content: list[Block] | None = None
    stop_reason: str | None = None
    stop_sequence: str | None = None
    stop_details: Any = None
    usage: Any = None
    error: Any = None


_events: Final = msgspec.json.Decoder(StreamEvent)
_messages: Final = msgspec.json.Decoder(Message)
decode_strictly: Final = _events.decode


def decode_event(data: bytes) -> StreamEvent:
    """Read one event of a stream. Raises one of `BROKEN`."""
    try:
        return decode_strictly(data)
    except BROKEN:
        return decode_strictly(mended(data))


def decode_message(data: bytes) -> Message:
    """Read a batch answer. Raises one of `BROKEN`."""
    try:
        return _messages.decode(data)
    except BROKEN:
        return _messages.decode(mended(data))
