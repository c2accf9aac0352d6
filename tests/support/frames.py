"""Builds what upstreams send, frame by frame, for tests of streams."""

import json
from typing import Any

DONE = b"data: [DONE]\n\n"


def chunk(delta: dict[str, Any] | None = None, finish: str | None = None, **top: Any) -> bytes:
    """One OpenAI chunk; without a delta one with no choices."""
    choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": finish}]
    body = {"id": "up-1", "object": "chat.completion.chunk", "created": 1, "model": "glm-4.6", "choices": choices}
    return data(body | top)


def call(
    index: int | None = 0, arguments: str | None = None, *, name: str | None = None, call_id: str | None = None
) -> dict[str, Any]:
    """One fragment of a tool call, for a delta's `tool_calls`."""
    function = {key: value for key, value in (("name", name), ("arguments", arguments)) if value is not None}
    fragment: dict[str, Any] = {"function": function}
    if index is not None:
        fragment["index"] = index
    if call_id is not None:
        fragment |= {"id": call_id, "type": "function"}
    return fragment


def calls(*fragments: dict[str, Any]) -> bytes:
    """One chunk with fragments of tool calls."""
    return chunk({"tool_calls": list(fragments)})


def data(body: Any) -> bytes:
    """A frame without a name."""
    return b"data: " + json.dumps(body, ensure_ascii=False).encode() + b"\n\n"


def event(kind: str, **fields: Any) -> bytes:
    """One Anthropic event."""
    body = json.dumps({"type": kind, **fields}, ensure_ascii=False).encode()
    return b"event: " + kind.encode() + b"\ndata: " + body + b"\n\n"


def message_start(**usage: Any) -> bytes:
    """The first event of an Anthropic stream."""
    usage = usage or {"input_tokens": 3, "output_tokens": 1}
    head = {"id": "msg_up", "type": "message", "role": "assistant", "model": "glm-4.6", "content": []}
    return event("message_start", message=head | {"stop_reason": None, "stop_sequence": None, "usage": usage})


def block_start(index: int, kind: str, **fields: Any) -> bytes:
    """A block that starts, with the fields its kind has when it is empty."""
    empty = {"text": {"text": ""}, "thinking": {"thinking": "", "signature": ""}, "tool_use": {"input": {}}}
    return event("content_block_start", index=index, content_block={"type": kind, **empty.get(kind, {}), **fields})


def block_delta(index: int, kind: str, **fields: Any) -> bytes:
    """A fragment of a block."""
    return event("content_block_delta", index=index, delta={"type": kind, **fields})


def block_stop(index: int) -> bytes:
    """A block that ends."""
    return event("content_block_stop", index=index)


def text_block(index: int, *texts: str) -> bytes:
    """A whole text block."""
    deltas = b"".join(block_delta(index, "text_delta", text=text) for text in texts)
    return block_start(index, "text") + deltas + block_stop(index)


def tool_block(index: int, call_id: str, name: str, *fragments: str) -> bytes:
    """A whole tool call."""
    deltas = b"".join(block_delta(index, "input_json_delta", partial_json=text) for text in fragments)
    return block_start(index, "tool_use", id=call_id, name=name) + deltas + block_stop(index)


def message_end(reason: str | None = "end_turn", *, sequence: str | None = None, **usage: Any) -> bytes:
    """The last two events of an Anthropic stream."""
    delta = {"stop_reason": reason, "stop_sequence": sequence}
    usage = usage or {"output_tokens": 9}
    return event("message_delta", delta=delta, usage=usage) + event("message_stop")
