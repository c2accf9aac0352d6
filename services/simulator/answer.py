"""What is said in one answer, in no dialect, and how it is made from a script or by the demo. Pure."""

import re
from collections.abc import Iterator
from typing import Final

import msgspec

from services.simulator import agent, demo
from services.simulator.arguments import Hints, fill
from services.simulator.conversation import Conversation, Tool
from services.simulator.script import Script


class Text(msgspec.Struct, frozen=True):
    """Visible text, in the pieces it is sent in."""

    pieces: tuple[str, ...]


class Reasoning(msgspec.Struct, frozen=True):
    """Reasoning, in the pieces it is sent in."""

    pieces: tuple[str, ...]


class ToolCall(msgspec.Struct, frozen=True):
    """A tool call; `arguments` is JSON text."""

    id: str
    name: str
    arguments: str


Part = Text | Reasoning | ToolCall


class Tokens(msgspec.Struct, frozen=True):
    """Plausible counts. `input` is all of the input, `cached` a part of it; `reasoning` is a part of `output`."""

    input: int
    cached: int
    output: int
    reasoning: int


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """One answer. `finish` is an OpenAI finish reason, or whatever the script wants to be sent; None is null."""

    id: str
    model: str
    created: int
    parts: tuple[Part, ...]
    finish: str | None
    tokens: Tokens


_WORD: Final = re.compile(r"\s*\S+|\s+\Z")
_WEATHER: Final = Tool(
    "get_weather",
    "",
    {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
)


def compose(conversation: Conversation, script: Script, created: int) -> Answer:
    """Return the answer to a conversation. The same conversation and script give the same answer."""
    scripted = script.text is not None or script.events is not None or script.reasoning is not None or script.tools
    parts = list(_scripted(conversation, script) if scripted else _demo(conversation))
    reason, parts = _limited(conversation, parts, scripted=bool(scripted))
    reason = script.finish or reason
    return Answer(
        id=conversation.seed,
        model=conversation.model,
        created=created,
        parts=tuple(parts),
        finish=None if reason == "null" else reason,
        tokens=_tokens(conversation, parts),
    )


def pieces(text: str) -> tuple[str, ...]:
    """Cut a text into words, each with the white space before it; joined they are the text again."""
    return tuple(_WORD.findall(text))


def _demo(conversation: Conversation) -> Iterator[Part]:
    call = agent.choose(conversation)
    if conversation.thinking:
        yield Reasoning(pieces(demo.reasoning(conversation, call)))
    if conversation.json_schema is not None and call is None:
        value = fill(conversation.json_schema, Hints.of(conversation)) or {"simulated": True}
        yield Text((_json(value),))
        return
    yield Text(pieces(demo.text(conversation, call)))
    if call is not None:
        yield ToolCall(f"call_{conversation.seed}0", call.name, _json(call.arguments))


def _scripted(conversation: Conversation, script: Script) -> Iterator[Part]:
    reasoning = script.reasoning or "none"
    thoughts = Reasoning(pieces("This is simulated reasoning, made by a script."))
    text = Text(_words(conversation, script))
    if reasoning != "none":
        yield thoughts
    if reasoning == "interleaved":
        half = len(text.pieces) // 2
        yield Text(text.pieces[:half])
        yield Reasoning(pieces(" On second thought, simulated as well."))
        text = Text(text.pieces[half:])
    if reasoning != "only" and text.pieces:
        yield text
    # An agent that runs the tools comes back with the same model name: calling again would never end.
    for index in range(0 if conversation.results else script.tools):
        tool = conversation.tools[index % len(conversation.tools)] if conversation.tools else _WEATHER
        arguments = _json(fill(tool.schema, Hints.of(conversation)))
        yield ToolCall(f"call_{conversation.seed}{index}", tool.name, arguments)


def _words(conversation: Conversation, script: Script) -> tuple[str, ...]:
    if script.text is not None:
        return pieces(script.text)
    if script.events is not None:
        return ("(simulated)", *(f" w{index}" for index in range(1, script.events)))[: script.events]
    if conversation.results:
        return pieces(demo.text(conversation, None))
    return pieces(f"{demo.MARK} A script asked for this.")


def _limited(conversation: Conversation, parts: list[Part], *, scripted: bool) -> tuple[str, list[Part]]:
    """Keep an unscripted answer within `max_tokens`, one word being one token."""
    finish = "tool_calls" if any(isinstance(part, ToolCall) for part in parts) else "stop"
    left = conversation.max_tokens
    if scripted or left is None:
        return finish, parts
    kept: list[Part] = []
    for part in parts:
        if isinstance(part, ToolCall):
            kept.append(part)
            continue
        if len(part.pieces) > left:
            kept.append(type(part)(part.pieces[:left]))
            return "length", [part for part in kept if isinstance(part, ToolCall) or part.pieces]
        left -= len(part.pieces)
        kept.append(part)
    return finish, kept


def _tokens(conversation: Conversation, parts: list[Part]) -> Tokens:
    reasoning = sum(len(part.pieces) for part in parts if isinstance(part, Reasoning))
    said = sum(len(part.pieces) for part in parts if isinstance(part, Text))
    called = sum(8 + len(part.arguments) // 4 for part in parts if isinstance(part, ToolCall))
    # What the upstream saw in an earlier turn is cached in blocks of 64 tokens.
    cached = conversation.input_tokens // 2 // 64 * 64 if conversation.turns > 1 else 0
    return Tokens(conversation.input_tokens, cached, max(1, reasoning + said + called), reasoning)


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
