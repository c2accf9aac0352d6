"""Writes an answer the way the upstream's Anthropic endpoint does, as a batch body or as events of a stream. Pure."""

import types
from collections.abc import Iterator
from itertools import chain, zip_longest
from typing import Final

import msgspec

from services.simulator.answer import Answer, Part, Reasoning, Text, ToolCall
from services.simulator.openai_wire import argument_text, fragments
from services.simulator.script import Script

_STOP: Final = types.MappingProxyType({"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use"})
_encode = msgspec.json.encode

Event = tuple[str, bytes]  # the event's name and its payload


def batch(answer: Answer, script: Script) -> bytes:
    """Return the body of an answer that is not streamed."""
    body: dict[str, object] = {
        "id": f"msg_{answer.id}",
        "type": "message",
        "role": "assistant",
        "model": answer.model,
        "content": [_whole(part, script) for part in answer.parts],
        "stop_reason": _stop(answer),
        "stop_sequence": None,
    }
    if script.usage not in {"none", "null"}:
        body["usage"] = _usage(answer)
    return _encode(body)


def stream(answer: Answer, script: Script) -> list[Event]:
    """Return the events of a stream, `message_stop` included."""
    events = [_event("message_start", message=_opening(answer, script))]
    events += _content(answer, script)
    ending: dict[str, object] = {"delta": {"stop_reason": _stop(answer), "stop_sequence": None}}
    if script.usage not in {"none", "null"}:
        ending["usage"] = _usage(answer)
    elif script.usage == "null":
        ending["usage"] = None
    events.append(_event("message_delta", **ending))
    if "no-done" not in script.quirks:
        events.append(_event("message_stop"))
    if "pings" in script.quirks:
        ping = _event("ping")
        events = list(chain.from_iterable((event, ping) if at % 2 else (event,) for at, event in enumerate(events)))
    return events


def _opening(answer: Answer, script: Script) -> dict[str, object]:
    message: dict[str, object] = {
        "id": f"msg_{answer.id}",
        "type": "message",
        "role": "assistant",
        "model": answer.model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
    }
    match script.usage:
        case "none" | "finish":
            pass
        case "null":
            message["usage"] = None
        case "estimate":
            # Seen in the wild: the whole prompt counted as uncached at first, corrected at the end.
            message["usage"] = {"input_tokens": answer.tokens.input * 2, "output_tokens": 0}
        case _:
            message["usage"] = _usage(answer) | {"output_tokens": 0}
    return message


def _content(answer: Answer, script: Script) -> list[Event]:
    first = 1 if "index-from-1" in script.quirks else 0
    blocks = [list(_block(index, part, script)) for index, part in enumerate(answer.parts, first)]
    if script.tool_form != "interleaved":
        return list(chain.from_iterable(blocks))
    calls = [block for block, part in zip(blocks, answer.parts, strict=True) if isinstance(part, ToolCall)]
    others = [block for block, part in zip(blocks, answer.parts, strict=True) if not isinstance(part, ToolCall)]
    turns = (event for turn in zip_longest(*calls) for event in turn if event is not None)
    return [*chain.from_iterable(others), *turns]


def _block(index: int, part: Part, script: Script) -> Iterator[Event]:
    block: dict[str, object]
    deltas: list[dict[str, str]]
    match part:
        case Text():
            block = {"type": "text", "text": ""}
            deltas = [{"type": "text_delta", "text": piece} for piece in part.pieces]
        case Reasoning():
            block = {"type": "thinking", "thinking": "", "signature": ""}
            if "no-signature" in script.quirks:
                del block["signature"]
            deltas = [{"type": "thinking_delta", "thinking": piece} for piece in part.pieces]
        case ToolCall():
            on_start = script.tool_form == "on-start"
            tool_input = msgspec.Raw(part.arguments.encode()) if on_start else {}
            block = {"type": "tool_use", "id": part.id, "name": part.name, "input": tool_input}
            pieces = [] if on_start else fragments(argument_text(part, script), script)
            deltas = [{"type": "input_json_delta", "partial_json": piece} for piece in pieces if piece]
    yield _event("content_block_start", index=index, content_block=block)
    for delta in deltas:
        yield _event("content_block_delta", index=index, delta=delta)
    yield _event("content_block_stop", index=index)


def _whole(part: Part, script: Script) -> dict[str, object]:
    match part:
        case Text():
            return {"type": "text", "text": "".join(part.pieces)}
        case Reasoning():
            block: dict[str, object] = {"type": "thinking", "thinking": "".join(part.pieces)}
            return block if "no-signature" in script.quirks else block | {"signature": ""}
        case ToolCall():
            # A batch answer holds an object, so broken arguments cannot be shown in it.
            empty = script.tool_form == "empty"
            tool_input = msgspec.Raw(b"{}" if empty else part.arguments.encode())
            return {"type": "tool_use", "id": part.id, "name": part.name, "input": tool_input}


def _event(name: str, **fields: object) -> Event:
    return name, _encode({"type": name, **fields})


def _stop(answer: Answer) -> str | None:
    return None if answer.finish is None else _STOP.get(answer.finish, answer.finish)


def _usage(answer: Answer) -> dict[str, object]:
    tokens = answer.tokens
    return {
        "input_tokens": tokens.input - tokens.cached,
        "cache_read_input_tokens": tokens.cached,
        "cache_creation_input_tokens": 0,
        "output_tokens": tokens.output,
    }
