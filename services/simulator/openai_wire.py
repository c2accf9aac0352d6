"""Writes an answer the way the upstream's OpenAI endpoint does: a batch body, or the payloads of a stream. Pure."""

import types
from collections.abc import Iterator, Mapping
from itertools import zip_longest
from typing import Final

import msgspec

from services.simulator.answer import Answer, Reasoning, Text, Tokens, ToolCall
from services.simulator.script import Script

Json = Mapping[str, object]

DONE: Final = b"[DONE]"
_PIECE: Final = 12  # characters of tool arguments in one delta
_FINISH: Final = types.MappingProxyType({"end_turn": "stop", "max_tokens": "length", "tool_use": "tool_calls"})
_encode = msgspec.json.encode


def batch(answer: Answer, script: Script) -> bytes:
    """Return the body of an answer that is not streamed."""
    said = "".join(piece for part in answer.parts if isinstance(part, Text) for piece in part.pieces)
    thought = "".join(piece for part in answer.parts if isinstance(part, Reasoning) for piece in part.pieces)
    calls = [part for part in answer.parts if isinstance(part, ToolCall)]
    message: dict[str, object] = {"role": "assistant", "content": said}
    if thought:
        message["reasoning_content"] = thought
    if calls:
        message["tool_calls"] = [
            {
                "id": call.id,
                "type": "function",
                "index": index,
                "function": {"name": call.name, "arguments": argument_text(call, script)},
            }
            for index, call in enumerate(calls)
        ]
    body: dict[str, object] = {
        "id": f"chatcmpl-{answer.id}",
        "request_id": answer.id,
        "created": answer.created,
        "model": answer.model,
        "choices": [{"index": 0, "message": message, "finish_reason": _finish(answer)}],
    }
    if "no-object" not in script.quirks:
        body["object"] = "chat.completion"
    if script.usage not in {"none", "null"}:
        body["usage"] = _usage(answer.tokens)
    return _encode(body)


def stream(answer: Answer, script: Script) -> list[tuple[None, bytes]]:
    """Return the events of a stream, none of which has a name, `[DONE]` included."""
    writer = _Writer(answer, script)
    payloads = [writer.chunk(delta) for delta in _deltas(answer, script)]
    usage = _encode(_usage(answer.tokens))
    place = "finish" if script.usage in {"default", "estimate", "null", "every"} else script.usage
    finish = _encode(_finish(answer))
    payloads.append(writer.chunk({"role": "assistant", "content": ""}, finish, usage if place == "finish" else None))
    if place == "chunk":
        payloads.append(writer.bare(b"[]", usage))
    if "no-done" not in script.quirks:
        payloads.append(DONE)
    return [(None, payload) for payload in payloads]


def argument_text(call: ToolCall, script: Script) -> str:
    """Return a call's arguments as the script wants them spelled."""
    if script.tool_form == "empty":
        return ""
    if script.tool_form == "broken":
        return call.arguments[: max(1, len(call.arguments) - 2)]
    return call.arguments


def fragments(text: str, script: Script) -> list[str]:
    """Cut arguments into the pieces they are streamed in."""
    if script.tool_form == "whole" or len(text) <= _PIECE:
        return [text]
    return [text[start : start + _PIECE] for start in range(0, len(text), _PIECE)]


class _Writer:
    """Builds chunks around one constant head."""

    def __init__(self, answer: Answer, script: Script) -> None:
        identity = {"id": f"chatcmpl-{answer.id}", "created": answer.created}
        if "no-object" not in script.quirks:
            identity |= {"object": "chat.completion.chunk"}
        self._head = _encode(identity | {"model": answer.model})[:-1] + b',"choices":'
        self._tail = b"}"
        if script.usage == "every":
            self._tail = b',"usage":' + _encode(_usage(answer.tokens)) + b"}"
        elif script.usage == "null":
            self._tail = b',"usage":null}'
        self._everywhere = "role-everywhere" in script.quirks

    def chunk(self, delta: Json, finish: bytes = b"null", usage: bytes | None = None) -> bytes:
        if self._everywhere:
            delta = {"role": "assistant", **delta}
        choice = b'[{"index":0,"delta":' + _encode(delta) + b',"finish_reason":' + finish + b"}]"
        return self.bare(choice, usage)

    def bare(self, choices: bytes, usage: bytes | None) -> bytes:
        tail = self._tail if usage is None else b',"usage":' + usage + b"}"
        return self._head + choices + tail


def _deltas(answer: Answer, script: Script) -> Iterator[Json]:
    if "no-role" not in script.quirks:
        yield {"role": "assistant", "content": ""}
    calls: list[list[Json]] = []
    for part in answer.parts:
        match part:
            case Text():
                yield from ({"content": piece} for piece in part.pieces)
            case Reasoning():
                yield from ({"reasoning_content": piece} for piece in part.pieces)
            case ToolCall():
                index = len(calls) + ("index-from-1" in script.quirks)
                calls.append(list(_call(part, index, script)))
    if script.tool_form == "interleaved":
        rounds = [delta for turn in zip_longest(*calls) for delta in turn if delta is not None]
    else:
        rounds = [delta for call in calls for delta in call]
    yield from ({"tool_calls": [delta]} for delta in rounds)


def _call(call: ToolCall, index: int, script: Script) -> Iterator[Json]:
    """Yield the entries of `tool_calls` that make up one call."""
    text = argument_text(call, script)
    parts = fragments(text, script)
    if script.tool_form == "whole":
        yield {"index": index, "id": call.id, "type": "function", "function": {"name": call.name, "arguments": text}}
        return
    place: dict[str, object] = {} if script.tool_form == "no-index" else {"index": index}
    opening = {**place, "id": call.id, "type": "function", "function": {"name": call.name, "arguments": ""}}
    repeat = "repeat-id" in script.quirks
    pieces: list[dict[str, object]] = [
        {**place, **({"id": call.id} if repeat else {}), "function": _function(call.name if repeat else None, piece)}
        for piece in parts
        if piece
    ]
    match script.tool_form:
        case "late-name":
            yield {**place, "id": call.id, "type": "function", "function": {"arguments": ""}}
            yield from pieces[:1]
            yield {**place, "function": {"name": call.name}}
            yield from pieces[1:]
        case "late-id":
            yield {**place, "type": "function", "function": {"name": call.name, "arguments": ""}}
            yield from pieces[:1]
            yield {**place, "id": call.id}
            yield from pieces[1:]
        case "resend":
            yield from [opening, *pieces, {**place, "function": {"arguments": text}}]
        case _:
            yield from [opening, *pieces]


def _function(name: str | None, arguments: str) -> dict[str, object]:
    return {"arguments": arguments} if name is None else {"name": name, "arguments": arguments}


def _finish(answer: Answer) -> str | None:
    return None if answer.finish is None else _FINISH.get(answer.finish, answer.finish)


def _usage(tokens: Tokens) -> dict[str, object]:
    return {
        "prompt_tokens": tokens.input,
        "completion_tokens": tokens.output,
        "total_tokens": tokens.input + tokens.output,
        "prompt_tokens_details": {"cached_tokens": tokens.cached},
        "completion_tokens_details": {"reasoning_tokens": tokens.reasoning},
    }
