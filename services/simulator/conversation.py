"""
Reads a request body of either dialect into what the simulator needs to answer it.

Refuses what the upstream refuses, with the upstream's codes; passes everything it does not look at. Pure.
"""

import contextlib
import hashlib
import json
import re
from collections.abc import Iterator
from typing import Final

import msgspec

from services.simulator.wire import Wire

Json = dict[str, object]

_ROLES: Final = {
    Wire.OPENAI: frozenset({"system", "user", "assistant", "tool"}),
    # Claude Code puts `system` messages between the others, and the upstream has refused them (zai-org/GLM-5#74).
    Wire.ANTHROPIC: frozenset({"user", "assistant"}),
}
_ALWAYS_THINKING: Final = "glm-5.3"
_TEXT_ONLY: Final = re.compile(r"glm-(?:4\.[567](?:-air)?|5(?:\.[123])?(?:-turbo)?)")
_EFFORTS: Final = (None, "low", "high", "max")
_SCHEMA: Final = re.compile(r"JSON Schema[^\n{]{0,200}\n(?=\{)")  # without a bound, many mentions take it minutes
_DECODER: Final = json.JSONDecoder()  # it says where a text goes on behind a value
_REMINDER: Final = re.compile(r"<system-reminder>.*?</system-reminder>", re.DOTALL)


class Tool(msgspec.Struct, frozen=True):
    """A tool the client declared. `schema` is the JSON Schema of its arguments."""

    name: str
    description: str
    schema: Json


class ToolResult(msgspec.Struct, frozen=True):
    """What a tool brought back. `name` is empty when no call with its id is in the conversation."""

    id: str
    name: str
    text: str
    failed: bool


class Conversation(msgspec.Struct, frozen=True, kw_only=True):
    """One request, as far as it matters for the answer."""

    wire: Wire
    model: str
    stream: bool
    max_tokens: int | None
    thinking: bool
    context: str  # system text and everything said, for hints such as the working directory
    prompt: str  # the last thing the user said, without the agent's own reminders
    turns: int
    tools: tuple[Tool, ...]
    tool_choice: str  # "auto", "none", "any", or "=" and a tool's name
    results: tuple[ToolResult, ...]  # non-empty: the last message brings tool results
    json_schema: Json | None  # {}: any JSON object
    input_tokens: int
    seed: str  # 24 hex digits, a function of the body alone


class BadRequestError(Exception):
    """The upstream would refuse this body. `code` is of upstream.md section 7."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class _Peek(msgspec.Struct):
    model: str | None = None


_PEEK: Final = msgspec.json.Decoder(_Peek)


def read(wire: Wire, body: bytes) -> Conversation:
    """Read a request body. Raises `BadRequestError`."""
    try:
        request = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadRequestError("1210", "The request body is not valid JSON") from error
    if not isinstance(request, dict):
        raise BadRequestError("1210", "The request body is not a JSON object")
    model = request.get("model")
    if not isinstance(model, str) or not model:
        raise BadRequestError("1214", "model: must not be empty")
    messages = _messages(wire, request)
    choice = request.get("tool_choice")
    if wire is Wire.OPENAI and choice not in (None, "auto"):
        raise BadRequestError("1210", "Tool choice must be auto")
    _check_thinking(model, request)
    if wire is Wire.OPENAI:
        _check_parts(model, messages)
    limit = request.get("max_tokens")
    if wire is Wire.ANTHROPIC and not isinstance(limit, int):
        raise BadRequestError("1214", "max_tokens: must be an integer")
    said = [text for message in messages for text in _texts(message.get("content"))]
    return Conversation(
        wire=wire,
        model=model,
        stream=request.get("stream") is True,
        max_tokens=limit if isinstance(limit, int) and limit > 0 else None,
        thinking=_object(request.get("thinking")).get("type") != "disabled",
        context="\n".join([*_texts(request.get("system")), *said]),
        prompt=_prompt(messages),
        turns=len(messages),
        tools=tuple(_tools(request)),
        tool_choice=_tool_choice(choice),
        results=_results(messages),
        json_schema=_json_schema(request, messages),
        input_tokens=max(1, len(body) // 4),
        seed=hashlib.blake2b(body, digest_size=12).hexdigest(),
    )


def model_of(body: bytes) -> str | None:
    """Return the model a body names, or None where it names none; skips everything else in it."""
    try:
        return _PEEK.decode(body).model
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _messages(wire: Wire, request: Json) -> list[Json]:
    messages = request.get("messages")
    if not isinstance(messages, list) or not messages:
        raise BadRequestError("1214", "messages: must not be empty")
    for message in messages:
        role = message.get("role") if isinstance(message, dict) else None
        if wire is Wire.ANTHROPIC and role == "system":
            raise BadRequestError("422", "Input should be 'user' or 'assistant'")
        if not isinstance(role, str) or role not in _ROLES[wire]:
            raise BadRequestError("1214", "messages: wrong role information")
    _check_results(messages)
    if any(not isinstance(block.get("input"), dict) for message in messages for block in _tool_uses(message)):
        # What it says of an array (zai-org/zai-coding-plugins#14).
        raise BadRequestError("500", "'ClaudeContentBlockToolResult' object has no attribute 'id'")
    return messages


def _check_results(messages: list[Json]) -> None:
    """Refuse a tool result that answers no call of the assistant's message before it."""
    open_calls: set[str] = set()
    for message in messages:
        if message["role"] == "assistant":
            open_calls = {identity for identity, _ in _calls(message)}
        for identity, _, _ in _message_results(message):
            if identity not in open_calls:
                raise BadRequestError("1214", f"messages: tool result {identity!r} answers no tool call")


def _check_thinking(model: str, request: Json) -> None:
    """Refuse what a model that always thinks refuses, in both dialects (NousResearch/hermes-agent#96222)."""
    efforts = (request.get("reasoning_effort"), _object(request.get("output_config")).get("effort"))
    off = _object(request.get("thinking")).get("type") == "disabled"
    if model.startswith(_ALWAYS_THINKING) and (off or any(effort not in _EFFORTS for effort in efforts)):
        raise BadRequestError("1210", "This model always thinks; use low, high or max")


def _check_parts(model: str, messages: list[Json]) -> None:
    """Refuse the parts that the chat endpoint refuses (farion1231/cc-switch#7142, gptme/gptme#1444)."""
    for part in (part for message in messages for part in _list(message.get("content"))):
        if part.get("type") != "text" and _TEXT_ONLY.fullmatch(model):
            raise BadRequestError("1210", "messages.content.type: must be one of ['text']")
        if part.get("type") == "text" and not part.get("text"):
            raise BadRequestError("1214", "messages.content.text: cannot be empty")


def _texts(content: object) -> Iterator[str]:
    if isinstance(content, str):
        yield content
    for block in content if isinstance(content, list) else ():
        text = _object(block).get("text")
        if isinstance(text, str):
            yield text


def _prompt(messages: list[Json]) -> str:
    for message in reversed(messages):
        if message["role"] != "user":
            continue
        for text in reversed([_REMINDER.sub("", text).strip() for text in _texts(message.get("content"))]):
            if text:
                return text
    return ""


def _calls(message: Json) -> Iterator[tuple[str, str]]:
    """Yield id and name of every tool call of an assistant message, in either dialect."""
    for call in _list(message.get("tool_calls")):
        yield str(call.get("id")), str(_object(call.get("function")).get("name"))
    for block in _tool_uses(message):
        yield str(block.get("id")), str(block.get("name"))


def _tool_uses(message: Json) -> Iterator[Json]:
    return (block for block in _list(message.get("content")) if block.get("type") == "tool_use")


def _message_results(message: Json) -> Iterator[tuple[str, str, bool]]:
    """Yield id, text and failure of every tool result of a message, in either dialect."""
    if message["role"] == "tool":
        yield str(message.get("tool_call_id")), "\n".join(_texts(message.get("content"))), False
    for block in _list(message.get("content")):
        if block.get("type") == "tool_result":
            text = "\n".join(_texts(block.get("content")))
            yield str(block.get("tool_use_id")), text, block.get("is_error") is True


def _results(messages: list[Json]) -> tuple[ToolResult, ...]:
    names = {identity: name for message in messages for identity, name in _calls(message)}
    found: list[ToolResult] = []
    for message in reversed(messages):
        if message["role"] == "assistant":
            break
        results = (ToolResult(i, names.get(i, ""), text, failed) for i, text, failed in _message_results(message))
        found[:0] = results
    return tuple(found)


def _tools(request: Json) -> Iterator[Tool]:
    for entry in _list(request.get("tools")):
        function = _object(entry.get("function")) or entry
        name = function.get("name")
        schema = _object(function.get("input_schema")) or _object(function.get("parameters"))
        if isinstance(name, str) and name:
            yield Tool(name, str(function.get("description") or ""), schema)


def _tool_choice(choice: object) -> str:
    entry = _object(choice)
    kind, name = entry.get("type"), entry.get("name")
    if isinstance(name, str):
        return f"={name}"
    return kind if isinstance(kind, str) else "auto"


def _json_schema(request: Json, messages: list[Json]) -> Json | None:
    """Return the schema that the system text speaks of: one that is a parameter is taken, and not kept to."""
    system = [request.get("system"), *(message.get("content") for message in messages if message["role"] == "system")]
    for text in (text for content in system for text in _texts(content)):
        if said := _SCHEMA.search(text):
            with contextlib.suppress(ValueError, RecursionError):
                return _object(_DECODER.raw_decode(text, said.end())[0])
    return {} if _object(request.get("response_format")).get("type") == "json_object" else None


def _object(value: object) -> Json:
    return value if isinstance(value, dict) else {}


def _list(value: object) -> list[Json]:
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []
