"""
Strict checks of what clients are sent: one for each dialect. Every test that sees a client's stream runs it through one.

They know the protocol and nothing of how the stream was made. A breach is an `AssertionError` that names the rule.
What they return is what a careful client would have read, for tests that compare content.
"""

import json
import re
from dataclasses import dataclass, field
from typing import Any

_ANTHROPIC_FRAME = re.compile(rb"event: ([a-z_]+)\ndata: ([^\r\n]+)\n\n|: [^\r\n]*\n\n")
_OPENAI_FRAME = re.compile(rb"data: ([^\r\n]+)\n\n|: [^\r\n]*\n\n")
_DELTAS = {
    "text": {"text_delta": "text"},
    "thinking": {"thinking_delta": "thinking", "signature_delta": "signature"},
    "tool_use": {"input_json_delta": "partial_json"},
    "redacted_thinking": {},
}
_STOP_REASONS = {
    "end_turn",
    "stop_sequence",
    "max_tokens",
    "tool_use",
    "refusal",
    "pause_turn",
    "model_context_window_exceeded",
}
_FINISH_REASONS = {"stop", "length", "tool_calls", "content_filter", "function_call"}


@dataclass
class Tool:
    """A call as read; `arguments` is JSON text."""

    id: str
    name: str
    arguments: str = ""


@dataclass
class Seen:
    """What a client read."""

    text: str = ""
    reasoning: str = ""
    refusal: str = ""
    tools: list[Tool] = field(default_factory=list)
    blocks: list[dict[str, Any]] = field(default_factory=list)
    reason: str | None = None
    stop_sequence: str | None = None
    usage: dict[str, Any] | None = None
    error: dict[str, Any] | None = None
    model: str | None = None
    id: str | None = None
    pings: int = 0


def check_anthropic_stream(stream: bytes) -> Seen:
    """Check a whole stream for an Anthropic client."""
    state = _Anthropic()
    for name, body in _frames(stream, _ANTHROPIC_FRAME):
        state.take(name, body)
    assert state.over, "a stream ends with message_stop or one error"
    return state.seen


def check_openai_stream(
    stream: bytes, *, include_usage: bool = False, legacy: bool = False, relayed: bool = False
) -> Seen:
    """
    Check a whole stream for an OpenAI client; `legacy` says that it sent `functions`.

    `relayed` allows what is harmless and no business of ours to repair where the upstream speaks OpenAI itself: an
    empty text beside the finish_reason, and usage without the count of cache writes.
    """
    state = _OpenAI(include_usage=include_usage, legacy=legacy, relayed=relayed)
    for _, body in _frames(stream, _OPENAI_FRAME):
        state.take(body)
    assert state.over, "a stream ends with [DONE] or one error"
    return state.seen


def _frames(stream: bytes, pattern: re.Pattern[bytes]) -> list[tuple[str, str]]:
    frames, at = [], 0
    while at < len(stream):
        match = pattern.match(stream, at)
        assert match, f"not a frame: {stream[at : at + 200]!r}"
        at = match.end()
        if match[match.lastindex or 0] != match[0]:
            groups = [group.decode() for group in match.groups()]  # strict: everything sent is UTF-8
            frames.append((groups[0], groups[-1]))
    return frames


def _count(usage: dict[str, Any], name: str) -> int:
    value = usage.get(name)
    assert type(value) is int, f"usage.{name} is a whole number"
    assert value >= 0, f"usage.{name} is not negative"
    return value


def _parse(body: str) -> dict[str, Any]:
    parsed = json.loads(body, strict=True)
    assert isinstance(parsed, dict), "a frame is an object"
    return parsed


class _Anthropic:
    def __init__(self) -> None:
        self.seen = Seen()
        self.over = False
        self._started = False
        self._open: dict[str, Any] | None = None
        self._hollow = False  # the last block was closed with nothing in it
        self._ended = False

    def take(self, name: str, text: str) -> None:
        assert not self.over, "nothing follows the end"
        body = _parse(text)
        assert body["type"] == name, "the event's name is its type"
        if name == "error":
            assert self._open is None, "an error closes the open block first"
            assert set(body) <= {"type", "error", "request_id"}
            assert isinstance(body["error"]["message"], str)
            assert re.fullmatch(r"[a-z_]+_error|request_too_large", body["error"]["type"])
            self.seen.error = body["error"]
            self.over = True
            return
        assert self._started != (name == "message_start"), "message_start comes first and once"
        assert not self._hollow, "no empty blocks, but for one that an error broke off"
        getattr(self, f"_{name}")(body)

    def _ping(self, body: dict[str, Any]) -> None:
        assert body == {"type": "ping"}
        self.seen.pings += 1

    def _message_start(self, body: dict[str, Any]) -> None:
        self._started = True
        message = body["message"]
        assert message["type"] == "message"
        assert message["role"] == "assistant"
        assert message["content"] == []
        assert message["stop_reason"] is None
        assert message["stop_sequence"] is None
        assert message["id"].startswith("msg_")
        assert isinstance(message["model"], str)
        _count(message["usage"], "input_tokens")
        _count(message["usage"], "output_tokens")
        self.seen.id, self.seen.model = message["id"], message["model"]

    def _content_block_start(self, body: dict[str, Any]) -> None:
        assert not self._ended, "no block follows message_delta"
        assert self._open is None, "one block is open at a time"
        assert body["index"] == len(self.seen.blocks), "indexes are 0, 1, 2, …"
        block = dict(body["content_block"])
        assert block["type"] in _DELTAS
        if block["type"] == "tool_use":
            assert block["input"] == {}, "input travels in deltas only"
            assert re.fullmatch(r"[a-zA-Z0-9_-]+", block["id"])
            assert block["name"]
            assert all(block["id"] != tool.id for tool in self.seen.tools), "ids are unique"
            self.seen.tools.append(Tool(block["id"], block["name"]))
        elif block["type"] == "thinking":
            assert block == {"type": "thinking", "thinking": "", "signature": ""}
        elif block["type"] == "text":
            assert block == {"type": "text", "text": ""}
        self._open = block
        self.seen.blocks.append(block)

    def _content_block_delta(self, body: dict[str, Any]) -> None:
        assert self._open is not None, "a delta needs an open block"
        assert body["index"] == len(self.seen.blocks) - 1, "a delta is for the open block"
        delta = body["delta"]
        fields = _DELTAS[self._open["type"]]
        assert delta["type"] in fields, "a delta's type fits its block"
        value = delta[fields[delta["type"]]]
        assert isinstance(value, str)
        assert value, "no empty deltas"
        match delta["type"]:
            case "text_delta":
                self._open["text"] += value
                self.seen.text += value
            case "thinking_delta":
                assert not self._open["signature"], "a signature is the last of its block"
                self._open["thinking"] += value
                self.seen.reasoning += value
            case "signature_delta":
                assert not self._open["signature"], "one signature to a block"
                self._open["signature"] = value
            case "input_json_delta":
                self.seen.tools[-1].arguments += value

    def _content_block_stop(self, body: dict[str, Any]) -> None:
        assert self._open is not None, "only an open block stops"
        assert body == {"type": "content_block_stop", "index": len(self.seen.blocks) - 1}
        if self._open["type"] in {"text", "thinking"}:
            self._hollow = not any(self._open.get(name) for name in ("text", "thinking", "signature"))
        self._open = None

    def _message_delta(self, body: dict[str, Any]) -> None:
        assert self._open is None, "blocks are closed before message_delta"
        assert not self._ended, "one message_delta"
        self._ended = True
        delta = body["delta"]
        assert delta["stop_reason"] in _STOP_REASONS
        assert "stop_sequence" in delta
        if delta["stop_reason"] == "tool_use":
            assert self.seen.tools, "tool_use needs a call"
        elif self.seen.tools:
            assert delta["stop_reason"] not in {"end_turn", "stop_sequence"}, "a call makes it tool_use"
        for name in ("input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens"):
            _count(body["usage"], name)
        self.seen.reason, self.seen.stop_sequence = delta["stop_reason"], delta["stop_sequence"]
        self.seen.usage = body["usage"]

    def _message_stop(self, body: dict[str, Any]) -> None:
        assert body == {"type": "message_stop"}
        assert self._ended, "message_delta comes before message_stop"
        self.over = True


class _OpenAI:
    def __init__(self, *, include_usage: bool, legacy: bool, relayed: bool) -> None:
        self.seen = Seen()
        self.over = False
        self._include_usage = include_usage
        self._legacy = legacy
        self._relayed = relayed
        self._head: dict[str, Any] | None = None

    def take(self, text: str) -> None:
        assert not self.over, "nothing follows the end"
        if text == "[DONE]":
            assert self.seen.reason is not None, "[DONE] comes after a finish_reason"
            assert (self.seen.usage is not None) == self._include_usage, "usage if and only if it was asked for"
            self.over = True
            return
        body = _parse(text)
        if "error" in body:
            assert set(body) == {"error"}
            assert set(body["error"]) == {"message", "type", "param", "code"}
            assert isinstance(body["error"]["message"], str)
            assert body["error"]["code"] is None or isinstance(body["error"]["code"], str)
            self.seen.error = body["error"]
            self.over = True
            return
        assert self.seen.usage is None, "the usage chunk is the last"
        self._chunk(body)

    def _chunk(self, body: dict[str, Any]) -> None:
        head = {name: body[name] for name in ("id", "object", "created", "model")}
        assert head["object"] == "chat.completion.chunk"
        assert type(head["created"]) is int
        first = self._head is None
        assert first or head == self._head, "every chunk has the same head"
        self._head = head
        self.seen.id, self.seen.model = head["id"], head["model"]
        if not body["choices"]:
            assert self.seen.reason is not None, "usage comes after the finish_reason"
            self._usage(body["usage"])
            return
        assert body.get("usage") is None, "usage has a chunk of its own"
        [choice] = body["choices"]
        assert choice["index"] == 0
        assert self.seen.reason is None, "nothing follows the finish_reason"
        delta = choice["delta"]
        assert ("role" in delta) == first, "the role comes first and once"
        if choice["finish_reason"] is not None:
            self._finish(choice)
        self._delta(delta, first=first)

    def _delta(self, delta: dict[str, Any], *, first: bool) -> None:
        for name, value in delta.items():
            match name:
                case "role":
                    assert value == "assistant"
                case "content":
                    assert first or value or (self._relayed and self.seen.reason), "no empty deltas"
                    self.seen.text += value
                case "reasoning_content":
                    assert value, "no empty deltas"
                    self.seen.reasoning += value
                case "refusal":
                    self.seen.refusal += value
                case "tool_calls":
                    assert not self._legacy
                    [fragment] = value
                    self._tool(fragment)
                case "function_call":
                    assert self._legacy
                    self._function(value)
                case _:
                    raise AssertionError(f"unknown field of a delta: {name}")

    def _tool(self, fragment: dict[str, Any]) -> None:
        index, function = fragment["index"], fragment["function"]
        if "id" in fragment:
            assert index == len(self.seen.tools), "calls are numbered 0, 1, 2, …"
            assert fragment["type"] == "function"
            assert function["arguments"] == ""
            assert all(fragment["id"] != tool.id for tool in self.seen.tools), "ids are unique"
            assert fragment["id"]
            assert function["name"]
            self.seen.tools.append(Tool(fragment["id"], function["name"]))
        else:
            assert index == len(self.seen.tools) - 1, "fragments are for the last call"
            assert set(fragment) == {"index", "function"}, "id, name and type come once"
            assert set(function) == {"arguments"}
            assert function["arguments"], "no empty fragments"
            self.seen.tools[-1].arguments += function["arguments"]

    def _function(self, value: dict[str, Any]) -> None:
        if "name" in value:
            assert not self.seen.tools, "the old protocol has one call"
            self.seen.tools.append(Tool("", value["name"]))
        self.seen.tools[-1].arguments += value["arguments"]

    def _finish(self, choice: dict[str, Any]) -> None:
        reason = choice["finish_reason"]
        assert reason in _FINISH_REASONS
        delta = choice["delta"]
        assert delta == {} or (self._relayed and delta == {"content": ""}), "nothing is said beside the finish_reason"
        assert (reason == "function_call") <= self._legacy
        for tool in self.seen.tools:
            assert tool.arguments, "arguments are never empty"
        if reason in {"tool_calls", "function_call"}:
            assert self.seen.tools, "tool_calls needs a call"
        elif self.seen.tools:
            assert reason != "stop", "a call makes it tool_calls"
        self.seen.reason = reason

    def _usage(self, usage: dict[str, Any]) -> None:
        prompt, completion = _count(usage, "prompt_tokens"), _count(usage, "completion_tokens")
        assert _count(usage, "total_tokens") == prompt + completion, "the total is the sum"
        details = usage["prompt_tokens_details"]
        written = 0 if self._relayed and "cache_write_tokens" not in details else _count(details, "cache_write_tokens")
        assert _count(details, "cached_tokens") + written <= prompt
        self.seen.usage = usage
