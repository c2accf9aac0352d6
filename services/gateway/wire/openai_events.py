"""
What an OpenAI-format upstream answers: the chunks of a stream and the body of a batch. Only the fields that are read.

The types are those of the vendor's reference; `decode` also takes the shapes that servers are known to send instead
(content as a list of parts, arguments as an object, an id that is a number).
"""

from typing import Any, Final

import msgspec

from services.gateway.wire.mend import BROKEN, mended


class Function(msgspec.Struct, gc=False):
    """The name and the arguments, as JSON text, of a call, or a fragment of them."""

    name: str | None = None
    arguments: str | None = None


class ToolCall(msgspec.Struct, gc=False):
    """A call or a fragment of one."""

    index: int | None = None
    id: str | None = None
    function: Function | None = None


class Message(msgspec.Struct, gc=False):
    """A message of a batch, or the delta of a chunk."""

    content: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None  # what some servers call reasoning_content
    tool_calls: list[ToolCall] | None = None
    function_call: Function | None = None
    refusal: str | None = None


class Choice(msgspec.Struct, gc=False):
    """One choice; `delta` in streams, `message` in batches."""

    index: int = 0
    delta: Message | None = None
    message: Message | None = None
    finish_reason: str | None = None
    stop_reason: Any = None  # vLLM: the stop string that matched, or a token id
    matched_stop: Any = None  # SGLang: the same


class Chunk(msgspec.Struct, gc=False):
    """One chunk of a stream, a whole batch answer, or an error in the place of either."""

    id: str | None = None
    model: str | None = None
    choices: list[Choice] | None = None
    usage: Any = None
    error: Any = None
    code: Any = None  # the gateway in front of the vendor says {"code", "msg"}


_decoder: Final = msgspec.json.Decoder(Chunk)
decode_strictly: Final = _decoder.decode


def decode(data: bytes) -> Chunk:
    """Read a chunk or a batch body. Raises one of `BROKEN` where there is no making sense of it."""
    try:
        return decode_strictly(data)
    except BROKEN:
        data = mended(data)
    try:
        return decode_strictly(data)
    except msgspec.ValidationError:
        return msgspec.convert(_softened(msgspec.json.decode(data)), Chunk)


def _softened(body: Any) -> dict[str, Any]:
    """Keep of a chunk what has, or can be given, the right type."""
    if not isinstance(body, dict):
        raise msgspec.ValidationError("Expected `object`")
    soft = {name: body.get(name) for name in ("usage", "error", "code")}
    soft |= {"id": _name(body.get("id")), "model": _name(body.get("model"))}
    choices = body.get("choices")
    if isinstance(choices, list):
        soft["choices"] = [_soft_choice(choice) for choice in choices if isinstance(choice, dict)]
    return soft


def _soft_choice(choice: dict[str, Any]) -> dict[str, Any]:
    return {
        "index": _index(choice.get("index")) or 0,
        "delta": _soft_message(choice.get("delta")),
        "message": _soft_message(choice.get("message")),
        "finish_reason": _name(choice.get("finish_reason")),
        "stop_reason": choice.get("stop_reason"),
        "matched_stop": choice.get("matched_stop"),
    }


def _soft_message(message: Any) -> dict[str, Any] | None:
    if not isinstance(message, dict):
        return None
    soft: dict[str, Any] = {
        name: _text(message.get(name)) for name in ("content", "reasoning_content", "reasoning", "refusal")
    }
    calls = message.get("tool_calls")
    if isinstance(calls, list):
        soft["tool_calls"] = [_soft_call(call) for call in calls if isinstance(call, dict)]
    soft["function_call"] = _soft_function(message.get("function_call"))
    return soft


def _soft_call(call: dict[str, Any]) -> dict[str, Any]:
    return {
        "index": _index(call.get("index")),
        "id": _name(call.get("id")),
        "function": _soft_function(call.get("function")),
    }


def _soft_function(function: Any) -> dict[str, Any] | None:
    if not isinstance(function, dict):
        return None
    arguments = function.get("arguments")
    if arguments is not None and not isinstance(arguments, str):
        arguments = msgspec.json.encode(arguments).decode()
    return {"name": _name(function.get("name")), "arguments": arguments}


def _text(value: Any) -> str | None:
    """The text of a string, or of the text parts of a list."""
    if isinstance(value, list):
        texts = [part.get("text") if isinstance(part, dict) else part for part in value]
        return "".join(text for text in texts if isinstance(text, str))
    return value if isinstance(value, str) else None


def _name(value: Any) -> str | None:
    if isinstance(value, str):
        return value
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _index(value: Any) -> int | None:
    try:
        return int(value)
    except (TypeError, ValueError, OverflowError):
        return None
